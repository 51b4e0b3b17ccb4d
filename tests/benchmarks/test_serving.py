"""Serving: each kind of row runs small, its clients and intervals are right, and the stored rows are whole."""

import asyncio
import math
import queue
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from torch import nn

from benchmarks import serve_singly, serving, store
from dlbook.practice.serve import load_onnx, parse, request_type


def test_a_batch_in_one_call_is_answered_like_its_inputs():
    with serving.stored("CNN") as path:
        x = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
        found, shape = serve_singly.load_singly(path)
        expected, same = load_onnx(path)
        assert shape == same and np.allclose(found(x), expected(x), atol=1e-5)


def test_a_request_holds_one_input():
    head, _, body = serving.request().partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert parse(request_type(784, 1, 0.0, 1.0), body).shape == (1, 784)


def test_rows_of_a_small_model(monkeypatch):
    monkeypatch.setitem(serving.MODELS, "CNN", lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    for name, value in {"REQUESTS": {1: 5, 3: 40}, "OPEN": 40, "ENOUGH": 40, "REPEATS": 2, "WIDTH": 8}.items():
        monkeypatch.setattr(serving, name, value)
    found = serving.measure("CNN")
    assert set(found) == {"repeats", "rate", "1", "3", "open"} and found["rate"] > 0
    for asked in ("1", "3", "open"):
        assert list(found[asked]) == list(serving.WAYS)
        for way, row in found[asked].items():
            assert len(row["p50"]) == len(row["per second"]) == 2 and min(row["per second"]) > 0
            assert ("p99" in row) is (asked != "1") and ("ratio" in row) is (way != "one by one")
            assert ("to one call" in row) is (way == "dynamic")
            assert row["median"]["p50"] == pytest.approx(sum(row["p50"]) / 2)
    assert min(found["1"]["dynamic, 5 ms"]["p50"]) > 5  # it waits so many milliseconds
    parts = serving.parts(repeats=3)
    assert parts.pop("bytes of binary") == 784 * 4 and parts.pop("bytes of JSON") > 784 * 7
    assert set(parts) == {"JSON", "binary", "model", "answer"} and min(parts.values()) > 0
    ends = serving.batches("CNN", 2, repeats=3)
    assert 0 < ends["low"] <= ends["ratio"] <= ends["high"]


@contextmanager
def slow_server(seconds):
    """Answer one request after another, each after so many seconds."""

    async def serve():
        turn = asyncio.Lock()

        async def answer(reader, writer):
            with suppress(asyncio.IncompleteReadError):
                while await reader.readexactly(len(serving.request())):
                    async with turn:
                        await asyncio.sleep(seconds)
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        async with server:
            await asyncio.to_thread(ended.wait)

    ports, ended = queue.Queue(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield ports.get(timeout=10)
    finally:
        ended.set()
        thread.join(10)


def test_a_closed_loop_waits_for_answers():
    with slow_server(0.01) as port:
        found = serving.load(port, 4, [None] * 40)
    assert found["p50"] >= 39  # each waits for the three others
    assert 1000 * 4 / found["per second"] == pytest.approx(found["p50"], rel=0.5)  # Little's law, of four clients


def test_an_open_loop_counts_from_the_time_that_was_planned(monkeypatch):
    monkeypatch.setattr(serving, "ENOUGH", 20)
    with slow_server(0.02) as port:
        burst = serving.load(port, 2, [0.0] * 20)  # all at once, of which 18 wait for a connection
        calm = serving.load(port, 2, [0.2 * n for n in range(5)])
    assert burst["p99"] > 380 and burst["p50"] > 190
    assert 20 <= calm["p50"] < 190 and set(calm) == {"p50", "per second"}


def test_arrivals_have_a_rate():
    times = serving.arrivals(50.0, 2000, 0)
    assert times == sorted(times) and times[-1] == pytest.approx(40, rel=0.1)
    assert serving.arrivals(50.0, 3, 0) == times[:3] != serving.arrivals(50.0, 3, 1)


def test_ratios_have_intervals():
    assert serving.interval([2.0, 4.0, 8.0], [1.0, 2.0, 4.0]) == {"ratio": 2, "low": 2, "high": 2}
    found = serving.interval([2.0, 3.0], [1.0, 2.0])
    assert found["ratio"] == pytest.approx(math.sqrt(3), abs=1e-4) and found["low"] < 1 < found["high"]


def test_the_stored_rows_are_whole():
    stored = store.load("serving")
    assert set(stored) == {"made", *serving.ROWS}
    for name in serving.MODELS:
        for asked in (*map(str, serving.REQUESTS), "open"):
            for way, row in stored[name][asked].items():
                assert len(row["p50"]) == stored[name]["repeats"] == serving.REPEATS
                assert ("p99" in row) is (asked != "1")
                for ends in row.get("ratio", {}).values():
                    assert ends["low"] <= ends["ratio"] <= ends["high"], (name, asked, way)
    assert min(stored["parts"].values()) > 0 and set(stored["batches"]) == set(serving.MODELS)
