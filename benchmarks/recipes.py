"""From the article's convolutional network to better ones: test accuracy and seconds of each step, over five seeds.

python -m benchmarks.recipes [rows…]

Rows add up: each is the row above with one thing changed. Their settings were chosen on pictures held out of the
training set (`train(..., held_out=10_000)`); the results are of networks trained on all of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.processes import in_processes
from benchmarks.store import run, summary
from dlbook.cnn import CNN, ResNet
from dlbook.data.images import fashion_mnist
from dlbook.data.splits import random_split
from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.training.augment import Augmented, random_flip
from dlbook.training.batches import Batches
from dlbook.training.fit import evaluate, fit
from dlbook.training.optim import warmup_cosine

DATA = fashion_mnist()
SEEDS = 5


@dataclass(frozen=True)
class Recipe:
    """How a network is made and trained; as it stands, the article's program."""

    make: Callable[[], nn.Module] = CNN
    epochs: int = 5
    size: int = 32
    rate: float = 1e-3
    scheduled: bool = False
    flips: bool = False
    smoothing: float = 0.0


def plain() -> ResNet:
    """Make three convolutional blocks."""
    return ResNet(widths=(24, 48, 96), residual=(0, 0, 0))


def with_residual() -> ResNet:
    """Make the same with a residual block behind them."""
    return ResNet(widths=(24, 48, 96), residual=(0, 0, 1))


ARTICLE = Recipe()
SCHEDULE = replace(ARTICLE, size=128, rate=5e-3, scheduled=True)
BLOCKS = replace(SCHEDULE, make=plain)
FLIPS = replace(BLOCKS, flips=True)
SMOOTHING = replace(FLIPS, smoothing=0.05)
RESIDUAL = replace(SMOOTHING, make=with_residual)
ROWS = {
    "article": ARTICLE,
    "schedule": SCHEDULE,
    "blocks": BLOCKS,
    "flips": FLIPS,
    "smoothing": SMOOTHING,
    "residual": RESIDUAL,
    "chapter": replace(SMOOTHING, epochs=3),
}


class Averaged(nn.Module):
    """Average the probabilities that a network gives a picture and its mirror image."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).softmax(1) + self.model(x.flip(3)).softmax(1)


def train(recipe: Recipe, seed: int, held_out: int = 0, examples: int | None = None) -> dict[str, float]:
    """Train one network; return how it does on the test set (or on pictures held out) and the seconds of `fit`.

    Returns:
        accuracy: as it is.
        averaged: over each picture and its mirror image.
        cpu_seconds: of the processor, which other work on the machine changes less than the seconds on the clock.
    """
    torch.set_num_threads(1)
    training = [DATA.train_images[:, None], DATA.train_labels]
    testing = [DATA.test_images[:, None], DATA.test_labels]
    if held_out:
        training, testing = random_split(*training, test_size=held_out)
    torch.manual_seed(seed)
    model = recipe.make().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.rate, eps=1e-7, fused=True)
    batches = Batches(*(part[:examples] for part in training), batch_size=recipe.size, shuffle=True, seed=seed)
    steps = recipe.epochs * len(batches)
    scheduler = LambdaLR(optimizer, warmup_cosine(steps, warmup=steps // 4)) if recipe.scheduled else None

    def change(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return (random_flip(x) if recipe.flips else x), target

    def smoothed(scores: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(scores, target, label_smoothing=recipe.smoothing)

    loss = smoothed if recipe.smoothing else cross_entropy
    start, begun = time.perf_counter(), time.process_time()
    fit(model, Augmented(batches, change), loss, optimizer, epochs=recipe.epochs, schedule=scheduler)
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - begun}
    judged = {"accuracy": model, "averaged": Averaged(model)}
    tests = Batches(*testing, batch_size=1000)
    return {name: evaluate(judge, tests, share=accuracy)["share"] for name, judge in judged.items()} | seconds


def short() -> dict[str, float]:
    """Train the article's network on a few images, to be done again by a test."""
    return {"accuracy": round(train(ARTICLE, seed=0, examples=3200)["accuracy"], 4)}


def measure(name: str) -> dict[str, Any]:
    """Train the networks of one row, with every seed."""
    runs = in_processes(train, [ROWS[name]] * SEEDS, range(SEEDS))
    return {
        "test_accuracy": summary([round(run["accuracy"], 4) for run in runs]),
        "averaged": summary([round(run["averaged"], 4) for run in runs]),
        **{name: round(median(run[name] for run in runs)) for name in ("seconds", "cpu_seconds")},
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"short": short, **{name: partial(measure, name) for name in ROWS}}, arguments)


if __name__ == "__main__":
    main()
