"""A served model: latency and throughput, with and without dynamic batching, in a closed loop and at a fixed rate.

python -m benchmarks.serving [rows…]

Each way has a server in a process of its own; the clients are tasks in this one, which keep their connections. In a
closed loop a client asks again when it has its answer, so that a slow server is asked less often. In the open loop
requests come at random times, at a rate of about half of what the closed loop has shown, and a latency begins when its
request should have been sent. Each cell has a fixed number of requests of one input; within a repeat, the ways come in
random order. One way takes requests together as dynamic batching does, and runs their inputs one by one in one call.
What trained the weights does not change the times, so they are random.
"""

import asyncio
import math
import os
import random
import re
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from authoring.book import ROOT
from benchmarks.serve_singly import main as serve_singly
from benchmarks.store import run
from dlbook.cnn import CNN
from dlbook.metrics.paired import difference_over_seeds
from dlbook.practice.serve import answer, load_onnx, parse, request_type
from dlbook.practice.serve import main as serve

REQUESTS = {1: 200, 16: 1000}  # of a cell, by the number of clients
OPEN, CONNECTIONS, RATE = 1000, 32, 0.5  # requests of an open loop, which may wait for a connection
WAYS = {  # the server, and its options
    "one by one": (serve, []),
    "dynamic": (serve, ["--max-batch", "16"]),
    "dynamic, 5 ms": (serve, ["--max-batch", "16", "--wait", "0.005"]),
    "one call": (serve_singly, ["--max-batch", "16"]),
}
REPEATS, WIDTH = 6, 1024
ENOUGH = 1000  # requests for the high percentiles
CLASSES, SIDE = 10, 28


# --- models -----------------------------------------------------------------------------------------------------------


def wide() -> nn.Module:
    """Return a network whose weights, 7 MB, must be read for each batch, whatever its size."""
    size = SIDE * SIDE
    layers = [nn.Linear(size, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES)]
    return nn.Sequential(nn.Flatten(), *layers)


MODELS: dict[str, Callable[[], nn.Module]] = {"CNN": CNN, "wide MLP": wide}


@contextmanager
def stored(name: str) -> Iterator[Path]:
    """Export a model to a file."""
    torch.manual_seed(0)
    model, inputs = MODELS[name]().eval(), (torch.rand(2, 1, SIDE, SIDE),)
    dynamic = ({0: torch.export.Dim("batch")},)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, inputs, path, dynamo=True, external_data=False, dynamic_shapes=dynamic, verbose=False)
        yield path


@contextmanager
def served(path: Path, server: Callable[..., None], options: list[str]) -> Iterator[int]:
    """Serve a file, and give the port."""
    command = [sys.executable, "-m", server.__module__, str(path), "--port", "0", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                return
        raise RuntimeError(f"the server ended with status {process.wait()}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


# --- clients ----------------------------------------------------------------------------------------------------------


def request() -> bytes:
    """Return a request of one input, as bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, SIDE * SIDE) / 255
    body = '{"inputs": [[' + ", ".join(f"{pixel:.4f}" for pixel in pixels) + "]]}"
    head = "POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def client(connection: Connection, starts: Iterator[float | None], latencies: list[float]) -> None:
    """Ask at the times that come next, or at once where none is set, and note how long after it the answer came."""
    reader, writer = connection
    asked = request()
    for planned in starts:
        start = time.perf_counter() if planned is None else planned
        await asyncio.sleep(max(0.0, start - time.perf_counter()))
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or not length:
            raise RuntimeError(f"the server must answer: got {head!r}")
        await reader.readexactly(int(length[1]))
        latencies.append(time.perf_counter() - start)
    writer.close()


def load(port: int, clients: int, plan: Sequence[float | None]) -> dict[str, float]:
    """Return milliseconds (median, and high percentiles where there are ENOUGH requests) and answers a second.

    Args:
        port: of the server.
        clients: how many ask at once at most; together they take one time of the plan after another.
        plan: when requests are sent, in seconds from now, or None for as soon as a client is free.
    """

    async def ask() -> float:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
        start = time.perf_counter()
        starts = iter([None if planned is None else start + planned for planned in plan])
        await asyncio.gather(*[client(connection, starts, latencies) for connection in connections])
        return time.perf_counter() - start

    latencies: list[float] = []
    with asyncio.Runner(loop_factory=exact_loop) as runner:
        taken = runner.run(ask())
    parts = (50, 95, 99) if len(plan) >= ENOUGH else (50,)
    found = {f"p{part}": 1000 * float(np.percentile(latencies, part)) for part in parts}
    return found | {"per second": len(plan) / taken}


def exact_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose sleep is not rounded up to a millisecond, as that of epoll is."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Return the times of independent arrivals, in seconds."""
    return np.random.default_rng(seed).exponential(1 / rate, count).cumsum().tolist()


# --- rows -------------------------------------------------------------------------------------------------------------


def interval(first: list[float], second: list[float]) -> dict[str, float]:
    """Return the ratio of two results of the same repeats, with its interval: Student's t of the logarithms."""
    found = difference_over_seeds(Tensor(first).double().log(), Tensor(second).double().log())
    ends = {"ratio": found.estimate, "low": found.low, "high": found.high}
    return {name: round(math.exp(value), 4) for name, value in ends.items()}


def measure(name: str) -> dict[str, Any]:
    """Return results for each load and way, with the ratio to requests that are run one by one."""
    rng = random.Random(0)
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    with stored(name) as path, ExitStack() as servers:
        ports = {way: servers.enter_context(served(path, *how)) for way, how in WAYS.items()}
        most = max(REQUESTS)
        for port in ports.values():
            load(port, most, [None] * 200)  # warms up
        rate = RATE * load(ports["one by one"], most, [None] * REQUESTS[most])["per second"]
        for repeat in range(REPEATS):
            loads: dict[str, tuple[int, Sequence[float | None]]] = {
                f"{clients}": (clients, [None] * count) for clients, count in REQUESTS.items()
            }
            loads["open"] = (CONNECTIONS, arrivals(rate, OPEN, repeat))
            for way, asked in rng.sample([*product(WAYS, loads)], len(WAYS) * len(loads)):
                rows.setdefault((asked, way), []).append(load(ports[way], *loads[asked]))
    return {"repeats": REPEATS, "rate": round(rate, 1)} | {asked: table(asked, rows) for asked in loads}


def table(asked: str, rows: dict[tuple[str, str], list[dict[str, float]]]) -> dict[str, Any]:
    """Return all repeats under one load, their median, and ratios to the first way."""
    found: dict[str, Any] = {}
    first, *others = WAYS
    for way in WAYS:
        repeats = rows[asked, way]
        columns = {key: [float(f"{row[key]:.4g}") for row in repeats] for key in repeats[0]}
        found[way] = columns | {"median": {key: statistics.median(column) for key, column in columns.items()}}
    for way in others:
        keys = found[first]["median"]
        found[way]["ratio"] = {key: interval(found[way][key], found[first][key]) for key in keys}
    found["dynamic"]["to one call"] = {key: interval(found["dynamic"][key], found["one call"][key]) for key in keys}
    return found


def batches(name: str, size: int = 16, repeats: int = 15, calls: int = 3) -> dict[str, float]:
    """Return the time of a batch as a part of that of its inputs one by one, in this process."""
    x = np.random.default_rng(0).random((size, 1, SIDE, SIDE), dtype=np.float32)
    with stored(name) as path:
        predict, _ = load_onnx(path)
        timed: dict[str, Callable[[], object]] = {
            "batch": lambda: predict(x),
            "singles": lambda: [predict(one[None]) for one in x],
        }
        times: dict[str, list[float]] = {part: [] for part in timed}
        for _ in range(repeats + 1):
            for part, function in timed.items():
                start = time.perf_counter()
                for _ in range(calls):
                    function()
                times[part].append(time.perf_counter() - start)
    return interval(times["batch"][1:], times["singles"][1:])


def parts(repeats: int = 200) -> dict[str, float]:
    """Return median microseconds of what is done for a request of one input, in one process without HTTP."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, (1, SIDE * SIDE)) / 255).round(4).astype(np.float32)
    rows = ["[" + ", ".join(f"{pixel:.4f}" for pixel in row) + "]" for row in x]
    text, binary = ('{"inputs": [' + ", ".join(rows) + "]}").encode(), x.tobytes()
    Inputs = request_type(SIDE * SIDE, 64, 0.0, 1.0)
    names = [str(number) for number in range(CLASSES)]

    def parse_binary() -> np.ndarray:
        numbers = np.frombuffer(binary, "<f4").reshape(-1, SIDE * SIDE)
        if not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError("numbers must be from 0 to 1")
        return numbers

    with stored("CNN") as path:
        predict, shape = load_onnx(path)
        inputs = parse(Inputs, text).reshape(-1, *shape)
        assert np.array_equal(inputs.ravel(), parse_binary().ravel())
        logits = predict(inputs)
        timed: dict[str, Callable[[], object]] = {
            "JSON": lambda: parse(Inputs, text),
            "binary": parse_binary,
            "model": lambda: predict(inputs),
            "answer": lambda: answer(logits, names, "CNN").model_dump_json(),
        }
        times: dict[str, list[float]] = {part: [] for part in timed}
        for _ in range(repeats):
            for part, function in timed.items():
                start = time.perf_counter()
                function()
                times[part].append(1e6 * (time.perf_counter() - start))
    found = {part: float(f"{statistics.median(values):.4g}") for part, values in times.items()}
    return found | {"bytes of JSON": len(text), "bytes of binary": len(binary)}


ROWS: dict[str, Callable[[], Any]] = {
    "parts": parts,
    "batches": lambda: {name: batches(name) for name in MODELS},
    "CNN": lambda: measure("CNN"),
    "wide MLP": lambda: measure("wide MLP"),
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and end the servers
    run(__file__, ROWS, arguments, threads="one thread for each server, clients in another process")


if __name__ == "__main__":
    main()
