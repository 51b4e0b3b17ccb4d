"""How fast: convolution by unfolding beside PyTorch's, `fit` beside a bare loop, the article's program beside Keras.

python -m benchmarks.images [rows…]

Everything is timed in pairs that take turns, since a machine's speed drifts. Run it on a machine that does nothing
else.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.pairs import Keras, medians, pairs
from benchmarks.store import run, summary
from dlbook.cnn import CNN
from dlbook.conv import conv2d
from dlbook.data.images import fashion_mnist
from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.training.batches import Batches
from dlbook.training.fit import evaluate, fit

THREADS, SEEDS, EPOCHS = 2, 3, 5
LAYERS = {"conv1": (1, 28, 32), "conv2": (32, 13, 64)}  # channels, side of the picture, outputs


def unfolding(name: str, layout: torch.memory_format, count: int = 101) -> dict[str, float]:
    """Compare one layer of the article's network, forward and backward, on a batch of 32: ours, then PyTorch's."""
    torch.set_num_threads(1)
    channels, side, outputs = LAYERS[name]
    x = torch.randn(32, channels, side, side).contiguous(memory_format=layout).requires_grad_(channels > 1)
    weight, bias = torch.randn(outputs, channels, 3, 3, requires_grad=True), torch.randn(outputs, requires_grad=True)
    error = torch.randn(32, outputs, side - 2, side - 2).contiguous(memory_format=layout)

    def run(function: Callable[..., Tensor]) -> None:
        for tensor in (x, weight, bias):
            tensor.grad = None
        function(x, weight, bias).backward(error)

    return pairs(lambda: run(conv2d), lambda: run(F.conv2d), count)


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Make the article's network and its optimizer, with channels last and all of Adam in one kernel."""
    model = CNN().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)


def loops(count: int = 21, examples: int = 6400) -> dict[str, float]:
    """Compare an epoch of `fit` with the shortest loop that trains the same network on the same batches."""
    torch.set_num_threads(1)
    data = fashion_mnist()
    batches = Batches(data.train_images[:examples, None], data.train_labels[:examples], batch_size=32, shuffle=True)
    ours, theirs = network(), network()

    def bare() -> None:
        model, optimizer = theirs
        for x, target in batches:
            optimizer.zero_grad()
            cross_entropy(model(x), target).backward()
            optimizer.step()

    return pairs(lambda: fit(ours[0], batches, cross_entropy, ours[1], epochs=1), bare, count)


ARTICLE = """
model = tf.keras.Sequential([
    layers.Input((28, 28, 1)),
    layers.Conv2D(32, (3, 3), activation="relu"),
    layers.MaxPooling2D((2, 2)),
    layers.Conv2D(64, (3, 3), activation="relu"),
    layers.MaxPooling2D((2, 2)),
    layers.Flatten(),
    layers.Dense(64, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
"""


def programs() -> dict[str, Any]:  # pragma: no cover  (needs TensorFlow, 2 GB)
    """Train the article's program in both, epoch by epoch in turns; return times of an epoch and test accuracies."""
    torch.set_num_threads(THREADS)
    data = fashion_mnist()
    keras = Keras(
        ARTICLE,
        THREADS,
        x=data.train_images[..., None].numpy(),
        y=data.train_labels.numpy(),
        x_test=data.test_images[..., None].numpy(),
        y_test=data.test_labels.numpy(),
    )
    testing = Batches(data.test_images[:, None], data.test_labels, batch_size=1000)
    times: list[tuple[float, float]] = []
    accuracies: dict[str, list[float]] = {"ours": [], "keras": []}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model, optimizer = network()
        version = keras.tell(seed=seed)["version"]
        for epoch in range(EPOCHS):
            batches = Batches(
                data.train_images[:, None], data.train_labels, batch_size=32, shuffle=True, seed=EPOCHS * seed + epoch
            )
            start = time.perf_counter()
            fit(model, batches, cross_entropy, optimizer, epochs=1)
            times.append((time.perf_counter() - start, keras.tell(epoch=epoch)["seconds"]))
            print(f"seed {seed}, epoch {epoch + 1}: ours {times[-1][0]:.1f} s, Keras {times[-1][1]:.1f} s", flush=True)
        accuracies["ours"].append(round(evaluate(model, testing, accuracy=accuracy)["accuracy"], 4))
        accuracies["keras"].append(round(keras.tell(evaluate=True)["results"][1], 4))
    return {
        **medians(times),
        "threads": THREADS,
        "tensorflow": version,
        "accuracy": {name: summary(values) for name, values in accuracies.items()},
    }


def layouts(name: str) -> dict[str, Any]:
    """Compare one layer with the channels first in memory, and last."""
    return {
        "channels_first": unfolding(name, torch.contiguous_format),
        "channels_last": unfolding(name, torch.channels_last),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows = {name: partial(layouts, name) for name in LAYERS}
    run(__file__, rows | {"fit": loops, "program": programs}, arguments, "one thread; the programs on two")


if __name__ == "__main__":
    main()
