"""Timing two things in turns, and TensorFlow in a process of its own to be the second of them."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from authoring.book import ROOT

TENSORFLOW = "tensorflow>=2.21,<2.22"


def pairs(first: Callable[[], Any], second: Callable[[], Any], count: int) -> dict[str, float]:
    """Time two functions in turns, each first in every other pair; a pair before these warms up."""
    times: list[tuple[float, float]] = []
    for number in range(count + 1):
        taken = {}
        for name in ("first", "second") if number % 2 else ("second", "first"):
            start = time.perf_counter()
            (first if name == "first" else second)()
            taken[name] = time.perf_counter() - start
        times.append((taken["first"], taken["second"]))
    return medians(times[1:])


def medians(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return the median seconds of the first and of the second, the median of their ratios, and how many pairs."""
    return {
        "first": float(f"{statistics.median(a for a, _ in times):.4g}"),
        "second": float(f"{statistics.median(b for _, b in times):.4g}"),
        "ratio": round(statistics.median(a / b for a, b in times), 3),
        "pairs": len(times),
    }


class Keras:  # pragma: no cover  (needs TensorFlow, 2 GB)
    """A program in TensorFlow's Keras that does what it is told, a line at a time; idle, it takes no time.

    TensorFlow is installed into an environment of its own, _build/tensorflow, which takes 2 GB.
    """

    def __init__(self, build: str, threads: int, **arrays: np.ndarray):
        """Start the process.

        Args:
            build: code that makes and compiles `model`; it knows tf, layers, and the arrays by name.
            arrays: must hold x and y, to train with, and x_test and y_test.
        """
        folder = ROOT / "_build" / "tensorflow"
        python = folder / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", TENSORFLOW], check=True)
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)}
        command = [str(python), "-c", SERVER, str(folder / "arrays.npz"), str(threads), build]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def tell(self, **what: Any) -> dict[str, Any]:
        """Send a command, one of seed=…, epoch=… and evaluate=True, and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise RuntimeError(f"TensorFlow's process ended with status {self.process.wait()}")


SERVER = """
import json, sys, time
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
arrays = np.load(sys.argv[1])
x, y, x_test, y_test = (arrays[name] for name in ("x", "y", "x_test", "y_test"))
for line in sys.stdin:
    what = json.loads(line)
    if "seed" in what:
        tf.keras.utils.set_random_seed(what["seed"])
        exec(sys.argv[3])
        answer = {"version": tf.__version__, "parameters": model.count_params()}
    elif "epoch" in what:
        start = time.perf_counter()
        model.fit(x, y, epochs=1, batch_size=32, verbose=0)
        answer = {"seconds": time.perf_counter() - start}
    else:
        answer = {"results": model.evaluate(x_test, y_test, batch_size=1000, verbose=0)}
    print("answer", json.dumps(answer), flush=True)
"""
