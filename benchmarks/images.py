"""How fast: convolution by unfolding beside PyTorch's, `fit` beside a bare loop, the article's program beside Keras.

python -m benchmarks.images

Everything is timed in pairs that take turns, since a machine's speed drifts. Run it on a machine that does nothing
else. TensorFlow is installed into an environment of its own, _build/tensorflow, which takes 2 GB.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.results import store, summary
from dlbook.cnn import CNN
from dlbook.conv import conv2d
from dlbook.data.images import fashion_mnist
from dlbook.evaluate import accuracy
from dlbook.losses import cross_entropy
from dlbook.train import Batches, evaluate, fit
from tools.book import ROOT

TENSORFLOW = "tensorflow>=2.21,<2.22"
THREADS, SEEDS, EPOCHS = 2, 5, 5
LAYERS = {"conv1": (1, 28, 32), "conv2": (32, 13, 64)}  # channels, side of the picture, outputs


def pairs(first: Callable[[], Any], second: Callable[[], Any], count: int) -> dict[str, float]:
    """Time two functions in turns; return the medians of the first, of the second, and of the ratios of the pairs."""
    times: list[tuple[float, float]] = []
    for number in range(count + 1):
        taken = {}
        for name in ("first", "second") if number % 2 else ("second", "first"):
            start = time.perf_counter()
            (first if name == "first" else second)()
            taken[name] = time.perf_counter() - start
        times.append((taken["first"], taken["second"]))
    return medians(times[1:])  # the first pair warms up


def medians(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return the medians over pairs of times."""
    return {
        "first": statistics.median(a for a, _ in times),
        "second": statistics.median(b for _, b in times),
        "ratio": round(statistics.median(a / b for a, b in times), 3),
        "pairs": len(times),
    }


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
    batches = Batches(data.train_images[:examples, None], data.train_labels[:examples], size=32, shuffle=True)
    ours, theirs = network(), network()

    def bare() -> None:
        model, optimizer = theirs
        for x, target in batches:
            optimizer.zero_grad()
            cross_entropy(model(x), target).backward()
            optimizer.step()

    return pairs(lambda: fit(ours[0], batches, cross_entropy, ours[1], epochs=1), bare, count)


KERAS = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
from tensorflow.keras import layers
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
data = np.load(sys.argv[1])
x, y, x_test, y_test = (data[name] for name in ("x", "y", "x_test", "y_test"))
for line in sys.stdin:
    what = json.loads(line)
    if "seed" in what:
        tf.keras.utils.set_random_seed(what["seed"])
        model = tf.keras.Sequential([
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
            layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax"),
        ])
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        answer = {"version": tf.__version__}
    elif "epoch" in what:
        start = time.perf_counter()
        model.fit(x, y, epochs=1, batch_size=32, verbose=0)
        answer = {"seconds": time.perf_counter() - start}
    else:
        answer = {"accuracy": model.evaluate(x_test, y_test, batch_size=1000, verbose=0)[1]}
    print("answer", json.dumps(answer), flush=True)
"""


class Keras:
    """The article's program in TensorFlow, in a process of its own that does what it is told, a line at a time."""

    def __init__(self, threads: int):
        folder = ROOT / "_build" / "tensorflow"
        python = folder / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", TENSORFLOW], check=True)
        script, arrays = folder / "keras_program.py", folder / "clothes.npz"
        script.write_text(KERAS, encoding="utf-8")
        data = fashion_mnist()
        np.savez(
            arrays,
            x=data.train_images[..., None].numpy(),
            y=data.train_labels.numpy(),
            x_test=data.test_images[..., None].numpy(),
            y_test=data.test_labels.numpy(),
        )
        command = [python, script, arrays, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def tell(self, **what: Any) -> dict[str, Any]:
        """Send a command and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise RuntimeError(f"TensorFlow's process ended with status {self.process.wait()}")


def programs() -> dict[str, Any]:
    """Train the article's program in both, epoch by epoch in turns; return times of an epoch and test accuracies."""
    torch.set_num_threads(THREADS)
    data, keras = fashion_mnist(), Keras(THREADS)
    testing = Batches(data.test_images[:, None], data.test_labels, size=1000)
    times: list[tuple[float, float]] = []
    accuracies: dict[str, list[float]] = {"ours": [], "keras": []}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model, optimizer = network()
        version = keras.tell(seed=seed)["version"]
        for epoch in range(EPOCHS):
            batches = Batches(
                data.train_images[:, None], data.train_labels, size=32, shuffle=True, seed=EPOCHS * seed + epoch
            )
            start = time.perf_counter()
            fit(model, batches, cross_entropy, optimizer, epochs=1)
            times.append((time.perf_counter() - start, keras.tell(epoch=epoch)["seconds"]))
            print(f"seed {seed}, epoch {epoch + 1}: ours {times[-1][0]:.1f} s, Keras {times[-1][1]:.1f} s", flush=True)
        accuracies["ours"].append(round(evaluate(model, testing, accuracy=accuracy)["accuracy"], 4))
        accuracies["keras"].append(round(keras.tell(evaluate=True)["accuracy"], 4))
    return {
        **medians(times),
        "threads": THREADS,
        "tensorflow": version,
        "accuracy": {name: summary(values) for name, values in accuracies.items()},
    }


def main() -> None:
    """Measure everything and store it."""
    layouts = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
    results: dict[str, Any] = {
        name: {layout: unfolding(name, memory) for layout, memory in layouts.items()} for name in LAYERS
    }
    print(json.dumps(results), flush=True)
    results["fit"] = loops()
    print(json.dumps(results["fit"]), flush=True)
    results["program"] = programs()
    print(json.dumps(results["program"]), flush=True)
    store(__file__, "one thread; the programs on two", **results)


if __name__ == "__main__":
    main()
