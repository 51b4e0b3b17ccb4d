"""The article's program of section 4.1 and variants of it over ten seeds: test accuracy and time of training.

python -m benchmarks.program [rows…]
"""

import time
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.store import run, summary
from dlbook.data.images import fashion_mnist
from dlbook.data.splits import random_split
from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.network import MLP, glorot_uniform_
from dlbook.training.batches import Batches
from dlbook.training.fit import evaluate, fit
from dlbook.training.optim import Adam, warmup_cosine

EPOCHS, SIZE = 5, 32
DATA = fashion_mnist()


def torch_start(widths: list[int]) -> MLP:
    """Make an MLP whose weights and biases start as those of torch.nn.Linear."""
    model = MLP(widths)
    for layer in model.layers:
        layer.load_state_dict(nn.Linear(layer.weight.shape[1], layer.weight.shape[0]).state_dict())  # type: ignore
    return model


def keras_start(widths: list[int]) -> MLP:
    """Make an MLP whose weights start as Keras' do."""
    return MLP(widths, init=glorot_uniform_)


VARIANTS: dict[
    str, tuple[Any, ...]
] = {  # how to start, the widths, the settings of Adam, whether the learning rate falls along a cosine
    "article": (keras_start, [784, 64, 64, 10], {"eps": 1e-7, "eps_hat": True}, False),
    "torch": (torch_start, [784, 64, 64, 10], {"eps": 1e-8}, False),
    "cosine": (keras_start, [784, 64, 64, 10], {"eps": 1e-7, "eps_hat": True}, True),
    "linear": (keras_start, [784, 10], {"eps": 1e-7, "eps_hat": True}, False),
}


def train(variant: str, seed: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train one network; return its test accuracy and the seconds that `fit` took."""
    make, widths, settings, cosine = VARIANTS[variant]
    torch.manual_seed(seed)
    model = make(widths)
    optimizer = Adam(model.parameters(), **settings)
    train_part, _ = random_split(DATA.train_images, DATA.train_labels, test_size=10_000)
    batches = Batches(*train_part, batch_size=SIZE, shuffle=True, seed=seed)
    schedule = LambdaLR(optimizer, warmup_cosine(epochs * len(batches))) if cosine else None
    start = time.perf_counter()
    fit(model, batches, cross_entropy, optimizer, epochs=epochs, schedule=schedule)
    seconds = time.perf_counter() - start
    test = Batches(DATA.test_images, DATA.test_labels, batch_size=1000)
    return {"accuracy": evaluate(model, test, accuracy=accuracy)["accuracy"], "seconds": seconds}


def measure(variant: str, seeds: int = 10) -> dict[str, Any]:
    """Train a variant with every seed."""
    runs = [train(variant, seed) for seed in range(seeds)]
    return {
        "test_accuracy": summary([round(run["accuracy"], 4) for run in runs]),
        "seconds": round(sorted(run["seconds"] for run in runs)[seeds // 2], 1),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {variant: partial(measure, variant) for variant in VARIANTS}, arguments)


if __name__ == "__main__":
    main()
