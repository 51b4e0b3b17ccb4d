"""A served model over real HTTP: answers as the model's, each error, fuzzing by its own schema, an end without loss."""

import asyncio
import http.client
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from fastapi import Request
from fastapi.testclient import TestClient
from torch import nn
from torch.testing import assert_close

from authoring.book import ROOT
from dlbook.cnn import CNN
from dlbook.practice import serve
from tests.helpers.references import reference
from tests.helpers.serving import served, store_linear, store_module

JSON = {"content-type": "application/json"}
HTTP = httpx.Client(timeout=20, limits=httpx.Limits(keepalive_expiry=2))  # less than the server waits
LABELS = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


@pytest.fixture(scope="module")
def cnn():
    torch.manual_seed(0)
    return CNN().eval()


@pytest.fixture(scope="module")
def cnn_file(cnn, tmp_path_factory):
    return store_module(tmp_path_factory.mktemp("cnn") / "cnn.onnx", cnn, 1, 28, 28)


@pytest.fixture(scope="module")
def linear():
    torch.manual_seed(0)
    return nn.Linear(6, 3)


@pytest.fixture(scope="module")
def linear_file(linear, tmp_path_factory):
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    return store_linear(tmp_path_factory.mktemp("linear") / "linear.onnx", weight, bias, (2, 3))


@pytest.fixture(scope="module")
def server(cnn_file):
    with served(cnn_file, "--classes", ",".join(LABELS), "--max-batch", "32") as found:
        yield found


@pytest.fixture(scope="module")
def small(linear_file):
    with served(linear_file, "--max-items", "4", "--queue", "1", "--patience", "1") as found:
        yield found


def ask(server, inputs):
    return HTTP.post(f"{server.url}/predict", json={"inputs": inputs.flatten(1).tolist()})


def probabilities(response):
    rows = [list(one["probabilities"].values()) for one in response.json()["predictions"]]
    return torch.tensor(rows, dtype=torch.float64)


# --- answers ----------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.serve.load_onnx", to="torch.nn.Linear")
def test_a_file_gives_the_logits_of_the_module(linear_file):
    torch.manual_seed(0)
    module, x = torch.nn.Linear(6, 3), torch.rand(5, 2, 3)
    predict, shape = serve.load_onnx(linear_file)
    assert shape == (2, 3)
    assert_close(torch.from_numpy(predict(x.numpy())), module(x.flatten(1)).detach())


@reference("dlbook.practice.serve.answer", to="torch.softmax")
def test_probabilities_are_softmax():
    logits = 50 * torch.randn(7, 4)
    found = serve.answer(logits.numpy(), "abcd", "model")
    rows = [list(one.probabilities.values()) for one in found.predictions]
    assert_close(torch.tensor(rows, dtype=torch.float64), torch.softmax(logits.double(), 1))
    assert [one.label for one in found.predictions] == ["abcd"[n] for n in logits.argmax(1)]


@reference("dlbook.practice.serve.make_app", to="torch.softmax")
@pytest.mark.parametrize("count", [1, 2, 64])
def test_predictions_are_those_of_the_model(server, cnn, count):
    x = torch.rand(count, 1, 28, 28)
    app = serve.make_app(lambda x: cnn(torch.from_numpy(x)).detach().numpy(), LABELS, (1, 28, 28))
    expected = torch.softmax(cnn(x).detach().double(), 1)
    response = ask(server, x)
    assert response.status_code == 200 and response.json()["model"] == "cnn"
    assert list(response.json()["predictions"][0]["probabilities"]) == LABELS
    assert [one["label"] for one in response.json()["predictions"]] == [LABELS[n] for n in expected.argmax(1)]
    assert_close(probabilities(response), expected, rtol=1e-4, atol=1e-6)
    with TestClient(app) as client:
        answered = client.post("/predict", json={"inputs": x.flatten(1).tolist()})
    assert_close(probabilities(answered), expected, rtol=1e-4, atol=1e-6)


def test_each_of_many_clients_gets_its_own_answer(server, cnn):
    x = torch.rand(120, 1, 28, 28)
    counts = [1 + n % 3 for n in range(60)]
    parts = x[: sum(counts)].split(counts)
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda part: ask(server, part), parts))
    assert {answer.status_code for answer in answers} == {200}
    for part, answer in zip(parts, answers, strict=True):
        assert_close(probabilities(answer), cnn(part).detach().double().softmax(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_latencies_under_load_are_bounded(server, count):
    def ask_on(image):
        latencies = []
        with httpx.Client(timeout=20) as client:
            for _ in range(10):
                start = time.monotonic()
                response = client.post(f"{server.url}/predict", json={"inputs": [image.tolist()]})
                latencies.append(time.monotonic() - start)
                assert response.status_code == 200
        return latencies

    with ThreadPoolExecutor(count) as clients:
        found = np.concatenate([*clients.map(ask_on, torch.rand(count, 784))])
    p50, p99 = np.percentile(found, [50, 99])
    assert len(found) == 10 * count
    assert p50 < 0.5 and p99 < 3, (p50, p99)  # on two cores, with the tests beside: some milliseconds for each client


def test_health_version_and_schema(server, cnn_file):
    assert HTTP.get(f"{server.url}/health").json() == {"live": True, "ready": True}
    version = HTTP.get(f"{server.url}/version").json()
    assert version["model"] == "cnn" and re.fullmatch("[0-9a-f]{64}", version["sha256"])
    digest = subprocess.run(["sha256sum", cnn_file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert version["sha256"] == digest
    operation = HTTP.get(f"{server.url}/openapi.json").json()["paths"]["/predict"]["post"]
    assert {"200", "400", "408", "413", "415", "422", "500", "503"} == set(operation["responses"])
    inputs = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["inputs"]
    assert inputs["maxItems"] == 64 and inputs["items"]["minItems"] == inputs["items"]["maxItems"] == 784
    assert (inputs["items"]["items"]["minimum"], inputs["items"]["items"]["maximum"]) == (0, 1)


def test_the_page_needs_nothing_from_elsewhere(server):
    response = HTTP.get(server.url)
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["content-type"].startswith("text/html")
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["'(]?(?:https?:)?//|@import|\{\{""", response.text)
    assert 'data-shape="[1, 28, 28]"' in response.text and "color-scheme: light dark" in response.text
    for elsewhere in ("/docs", "/redoc"):
        assert HTTP.get(server.url + elsewhere).status_code == 404


# --- errors -----------------------------------------------------------------------------------------------------------


def body(inputs):
    return json.dumps({"inputs": inputs}).encode()


@pytest.mark.parametrize(
    "content, headers, status, wrong, rule, got",
    [
        (body([[0] * 6]), {"content-type": "text/plain"}, 415, "content type", "application/json", "text/plain"),
        (body([[0] * 6]), {"content-type": "application/json; charset=utf-16"}, 415, "content type", "json", "utf-16"),
        (body([[0] * 6]), {}, 415, "content type", "application/json", "none"),
        (b"", JSON, 400, "not JSON", "EOF", ""),
        (b'{"inputs": [[0', JSON, 400, "not JSON", "EOF", '{"inputs"'),
        (b'{"inputs": "\xff"}', JSON, 400, "not JSON", "unicode", "xff"),
        (b"[" * 1000, JSON, 400, "not JSON", "recursion", "[["),
        (b"7", JSON, 422, "body", "object", "7"),
        (b"{}", JSON, 422, "inputs", "required", "{}"),
        (body([]), JSON, 422, "inputs", "at least 1", "a list of 0"),
        (body([[0] * 6] * 5), JSON, 422, "inputs", "at most 4", "a list of 5"),
        (body([[0] * 5]), JSON, 422, "inputs.0", "at least 6", "a list of 5"),
        (body([[0] * 6, [0] * 7]), JSON, 422, "inputs.1", "at most 6", "a list of 7"),
        (body([[[0] * 3] * 2]), JSON, 422, "inputs.0.0", "valid number", "a list of 3"),
        (body([[0, 0, "1", 0, 0, 0]]), JSON, 422, "inputs.0.2", "valid number", "1"),
        (body([[0, 0, None, 0, 0, 0]]), JSON, 422, "inputs.0.2", "valid number", "None"),
        (body([[0, 0, True, 0, 0, 0]]), JSON, 422, "inputs.0.2", "valid number", "True"),
        (body([[0, 255, 0, 0, 0, 0]]), JSON, 422, "inputs.0.1", "less than or equal to 1", "255"),
        (body([[0, -1e-9, 0, 0, 0, 0]]), JSON, 422, "inputs.0.1", "greater than or equal to 0", "-1e-09"),
        (body([[float("nan")] * 6]), JSON, 422, "inputs.0.0", "finite", "nan"),
        (body([[float("inf")] * 6]), JSON, 422, "inputs.0.0", "finite|less than", "inf"),
        (b'{"inputs": [[1e999, 0, 0, 0, 0, 0]]}', JSON, 422, "inputs.0.0", "finite|less than", "inf"),
        (b'{"inputs": [[0,0,0,0,0,0]], "more": 1}', JSON, 422, "more", "not permitted", "1"),
        (b" " * 2000, JSON, 413, "too large", "at most", "bytes"),
    ],
)
def test_what_is_refused(small, content, headers, status, wrong, rule, got):
    response = HTTP.post(f"{small.url}/predict", content=content, headers=headers)
    found = response.json()
    assert (response.status_code, set(found)) == (status, {"wrong", "rule", "got"}), found
    assert wrong in found["wrong"] and re.search(rule, found["rule"]) and got in found["got"], found
    assert len(found["got"]) <= 81


def test_a_body_without_a_stated_length_is_bounded_too(server):
    def chunks():
        for _ in range(300):
            yield b" " * 10_000

    response = HTTP.post(f"{server.url}/predict", content=chunks(), headers=JSON)
    assert response.request.headers["transfer-encoding"] == "chunked" and response.status_code == 413
    good = HTTP.post(f"{server.url}/predict", content=iter([body([[0] * 784])]), headers=JSON)
    assert good.status_code == 200


def test_other_paths_and_methods(server):
    missing, method = HTTP.get(f"{server.url}/nothing"), HTTP.put(f"{server.url}/predict")
    assert (missing.status_code, missing.json()["got"]) == (404, "GET /nothing")
    assert (method.status_code, method.json()["got"], method.headers["allow"]) == (405, "PUT /predict", "POST")


def test_too_many_and_too_slow(small):
    """A request whose body does not come holds the only place: the next is refused, and the place becomes free."""
    address = urlsplit(small.url)
    head = f"POST /predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\nContent-Length: 99"
    with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
        slow.sendall(f"{head}\r\n\r\n{{".encode())
        until = time.monotonic() + 0.8
        while HTTP.get(f"{small.url}/health").status_code == 200 and time.monotonic() < until:
            time.sleep(0.01)
        health = HTTP.get(f"{small.url}/health")
        busy = ask(small, torch.zeros(1, 2, 3))
        assert (health.status_code, health.json()) == (503, {"live": True, "ready": False})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1") and "busy" in busy.json()["wrong"]
        assert b"408 Request Timeout" in slow.recv(4000)
    assert ask(small, torch.zeros(1, 2, 3)).status_code == 200


def test_who_leaves_takes_no_place_along(small):
    address = urlsplit(small.url)
    head = f"POST /predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\nContent-Length: 99"
    with socket.create_connection((address.hostname, address.port)) as gone:
        gone.sendall(f"{head}\r\n\r\n".encode())
    until = time.monotonic() + 0.9  # before patience ends
    while HTTP.get(f"{small.url}/health").status_code == 503 and time.monotonic() < until:
        time.sleep(0.01)
    assert ask(small, torch.zeros(1, 2, 3)).status_code == 200


@pytest.mark.parametrize(
    "predict",
    [
        lambda x: (_ for _ in ()).throw(RuntimeError("secret")),
        lambda x: np.full((len(x), 3), np.nan, np.float32),
        lambda x: np.zeros((len(x), 2), np.float32),
        lambda x: np.zeros((len(x) + 1, 3), np.float32),
    ],
)
def test_a_model_that_fails(predict):
    calls = []
    first = lambda x: predict(x) if (calls.append(0), len(calls) > 1)[1] else np.zeros((1, 3), np.float32)  # noqa: E731
    app = serve.make_app(first, "abc", (2,))
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.post("/predict", json={"inputs": [[0, 1]]})
        assert client.get("/health").json()["ready"]
    assert response.status_code == 500 and "secret" not in response.text
    assert response.json()["wrong"] == "The model failed."


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_batch, wait", [(1, 0.0), (4, 0.0), (4, 0.01), (100, 0.02)])
def test_micro_batches_change_no_answer(max_batch, wait):
    sizes = []

    def predict(x):
        sizes.append(len(x))
        time.sleep(0.002)
        return x * np.float32(2)

    requests = [np.full((1 + n % 3, 2), n, np.float32) for n in range(20)]

    async def all_at_once():
        run = serve.MicroBatcher(predict, max_batch, wait)
        found = await asyncio.gather(*map(run, requests))
        again = await run(requests[0])
        return [*found, again]

    found = asyncio.run(all_at_once())
    for inputs, logits in zip([*requests, requests[0]], found, strict=True):
        assert np.array_equal(logits, 2 * inputs)
    assert sum(sizes) == sum(map(len, requests)) + len(requests[0])
    assert max(sizes) <= max(max_batch, 3)
    assert (len(sizes) == 21) is (max_batch == 1)


@pytest.mark.parametrize("max_batch, count", [(1, 3), (4, 8)])
def test_a_full_batch_waits_no_longer(max_batch, count):
    sizes = []

    async def all_at_once():
        run = serve.MicroBatcher(lambda x: (sizes.append(len(x)), x)[1], max_batch, wait=60.0)
        return await asyncio.wait_for(asyncio.gather(*[run(np.zeros((1, 2), np.float32)) for _ in range(count)]), 20)

    assert len(asyncio.run(all_at_once())) == count and sizes == [max_batch] * (count // max_batch)


def test_the_wait_counts_from_the_arrival_of_the_oldest_request():
    begun = []

    def predict(x):
        begun.append(time.monotonic())
        time.sleep(0.3)
        return x

    async def ask():
        run = serve.MicroBatcher(predict, 4, wait=0.2)
        first = asyncio.create_task(run(np.zeros((1, 2), np.float32)))
        await asyncio.sleep(0.25)  # while the first one runs
        await asyncio.gather(first, run(np.zeros((1, 2), np.float32)))

    asyncio.run(ask())
    assert begun[1] - begun[0] < 0.45  # it has waited 0.25 s for the model, so no longer for others


def test_it_waits_until_the_batch_is_full_or_the_time_is_over():
    sizes = []

    async def one_after_another():
        run = serve.MicroBatcher(lambda x: (sizes.append(len(x)), x)[1], 3, wait=0.3)
        start, asked = time.monotonic(), []
        for _ in range(3):  # the third fills the batch
            asked.append(asyncio.ensure_future(run(np.zeros((1, 2), np.float32))))
            await asyncio.sleep(0.01)
        await asyncio.gather(*asked)
        full = time.monotonic()
        await run(np.zeros((1, 2), np.float32))
        return full - start, time.monotonic() - full

    first, second = asyncio.run(one_after_another())
    assert sizes == [3, 1] and second >= 0.29 and first < second + 0.2


def test_an_error_goes_to_its_own_batch_alone():
    def predict(x):
        if (x < 0).any():
            raise RuntimeError("negative")
        return x

    async def all_at_once():
        run = serve.MicroBatcher(predict)
        inputs = [np.full((1, 2), sign, np.float32) for sign in (1, -1, 1)]
        cancelled = asyncio.ensure_future(run(inputs[0]))
        others = asyncio.gather(*map(run, inputs), return_exceptions=True)
        await asyncio.sleep(0)
        cancelled.cancel()
        return await others

    first, second, third = asyncio.run(all_at_once())
    assert first.sum() == third.sum() == 2 and isinstance(second, RuntimeError)


def test_the_event_loop_answers_while_the_model_runs():
    running, go_on = threading.Event(), threading.Event()
    calls = []

    def predict(x):
        if calls:
            running.set()
            assert go_on.wait(10)
        calls.append(len(x))
        return np.zeros((len(x), 3), np.float32)

    with TestClient(serve.make_app(predict, "abc", (2,))) as client, ThreadPoolExecutor(1) as other:
        answer = other.submit(client.post, "/predict", json={"inputs": [[0, 1]]})
        assert running.wait(10)
        assert client.get("/health").status_code == 200
        go_on.set()
        assert answer.result().status_code == 200


# --- fuzzing, and the end ---------------------------------------------------------------------------------------------


def test_requests_made_from_its_own_schema(small, tmp_path):
    refusals = [400, 405, 413, 415, 422]  # by itself it knows no 413 for what breaks the schema by being too long
    settings = f"[checks.negative_data_rejection]\nexpected-statuses = {refusals}\n"
    (tmp_path / "schemathesis.toml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{small.url}/openapi.json", "--seed", "1"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--checks", "all", "--no-color"]
    command += ["--generation-database", "none"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No issues found" in result.stdout


@pytest.mark.parametrize("options", [(), ("--max-batch", "32", "--wait", "0.005")])
def test_told_to_end_under_load_it_answers_all_that_it_accepted(cnn_file, options):
    content, answered, refused = body([[0.5] * 784]), [], []

    def client(number):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        try:
            while True:
                connection.request("POST", "/predict", content, JSON)
                response = connection.getresponse()
                whole = json.loads(response.read())
                (answered if response.status == 200 and whole["predictions"] else refused).append(number)
        except (ConnectionError, http.client.RemoteDisconnected, TimeoutError):
            connection.close()

    with served(cnn_file, *options) as server:
        address = urlsplit(server.url)
        clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in clients:
            thread.start()
        time.sleep(1)
        status = server.end()
        for thread in clients:
            thread.join(20)
    counts = re.search(r"Accepted (\d+), answered (\d+)", server.log)
    assert counts and status in (0, -signal.SIGTERM), server.log
    assert int(counts[1]) == int(counts[2]) == len(answered) > 20
    assert not refused and not any(thread.is_alive() for thread in clients)


# --- settings ---------------------------------------------------------------------------------------------------------


def app(**changed):
    settings = {"predict": lambda x: x, "classes": "ab", "shape": (2,)}
    return serve.make_app(**(settings | changed))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: serve.MicroBatcher(None, 0), ValueError, "max_batch must be at least 1: got 0"),
        (lambda: serve.MicroBatcher(None, 1.0), TypeError, "max_batch must be a whole number"),
        (lambda: serve.MicroBatcher(None, wait=-1.0), ValueError, "wait must be at least 0 and finite: got -1.0"),
        (lambda: app(shape=(0,)), ValueError, "shape must be at least 1: got 0"),
        (lambda: app(max_items=0), ValueError, "max_items must be at least 1: got 0"),
        (lambda: app(queue=0), ValueError, "queue must be at least 1: got 0"),
        (lambda: app(classes="aa"), ValueError, "classes must be different names"),
        (lambda: app(classes=""), ValueError, "classes must be different names"),
        (lambda: app(values=(1.0, 0.0)), ValueError, "values must be a range within float32"),
        (lambda: app(values=(0.0, float("nan"))), ValueError, "values must be a range"),
        (lambda: app(patience=0.0), ValueError, "patience must be positive and finite: got 0.0"),
        (lambda: serve.load_onnx("missing.onnx"), ValueError, "path must be a readable file"),
        (lambda: serve.load_onnx(__file__), ValueError, "path must be an ONNX model"),
        (lambda: serve.load_onnx(__file__, 0), ValueError, "threads must be at least 1: got 0"),
    ],
)
def test_errors(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("shape", [("side", 3), (2, "side")])
def test_a_file_of_open_inputs_is_refused(tmp_path, shape):
    weight = np.zeros((2, 6), np.float32)
    path = store_linear(tmp_path / "open.onnx", weight, np.zeros(2, np.float32), shape)
    with pytest.raises(ValueError, match="path must have an open first axis, and only that"):
        serve.load_onnx(path)


def test_the_command_line(linear_file, capsys):
    with pytest.raises(SystemExit) as ended:
        serve.main(["--help"])
    assert ended.value.code == 0 and "default: this machine" in capsys.readouterr().out
    for arguments, words in {
        ("missing.onnx",): "path must be a readable file",
        (str(linear_file), "--classes", "a,b"): "classes must be 3 names",
        (str(linear_file), "--queue", "0"): "queue must be at least 1",
        (str(linear_file), "--values", "1", "0"): "values must be a range",
    }.items():
        with pytest.raises(SystemExit) as ended:
            serve.main(arguments)
        assert ended.value.code == 2 and words in capsys.readouterr().err


def test_a_server_needs_no_torch():
    program = "import sys, dlbook.practice.serve; print({'torch', 'scipy', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_container_copies_what_is_there_and_starts_what_runs(linear_file):
    """There is no engine here to build it with: its files, packages, user and command are checked."""
    lines = (ROOT / "examples" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    words = [step for step, _ in steps]
    assert words[0] == "FROM" and "HEALTHCHECK" in words and words.index("USER") < words.index("CMD")
    assert dict(steps)["USER"] not in ("root", "0")
    for _, copied in (step for step in steps if step[0] == "COPY"):
        *files, _ = copied.split()
        assert all((ROOT / file).exists() or file == "model.onnx" for file in files), files
    installed = next(rest for step, rest in steps if step == "RUN" and "-c constraints.txt" in rest)
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    packages = installed.partition("-c constraints.txt")[2].partition("&&")[0].split()
    assert all(f"\n{package}==" in constraints for package in packages)
    used = {"fastapi", "jaxtyping", "numpy", "onnxruntime", "pydantic", "uvicorn"}
    assert set(packages) == used
    command = json.loads(dict(steps)["CMD"])
    assert command[:3] == ["python", "-m", "dlbook.practice.serve"] and command[3].endswith("model.onnx")
    with served(linear_file, *command[4 : command.index("--port")], *command[command.index("--port") + 2 :]) as server:
        address = urlsplit(server.url)
        check = json.loads(dict(steps)["HEALTHCHECK"].partition("CMD ")[2])
        port = str(address.port)
        healthy = [sys.executable, *(part.replace("8000", port) for part in check[1:])]
        assert subprocess.run(healthy).returncode == 0
    assert subprocess.run(healthy, stderr=subprocess.DEVNULL).returncode == 1


def test_a_request_has_a_type():
    Inputs = serve.request_type(2, 3, 0.0, 1.0)
    assert np.array_equal(serve.parse(Inputs, b'{"inputs": [[0, 0.5]]}'), np.array([[0, 0.5]], np.float32))
    with pytest.raises(serve.Refusal) as refused:
        serve.parse(Inputs, b"{")
    assert refused.value.status == 400 and refused.value.response().status_code == 400


@pytest.mark.parametrize("left", [False, True])
def test_places_are_counted(left):
    in_flight = serve.InFlight(1)

    async def receive():
        return {"type": "http.disconnect" if left else "http.request"}

    async def take():
        request = Request({"type": "http"}, receive)
        async with in_flight.place(request):
            assert in_flight.full
            with pytest.raises(serve.Refusal, match="busy"):
                async with in_flight.place(Request({"type": "http"}, receive)):
                    raise AssertionError("no place is left")
        assert request.state.in_flight is (None if left else in_flight)
        assert not in_flight.full and (in_flight.accepted, in_flight.answered) == (1, 0)
        await in_flight.count_answer()

    asyncio.run(take())
    assert (in_flight.accepted, in_flight.answered) == (1, 1)


def test_answers_and_errors_count_but_not_to_who_left(caplog):
    """Of four accepted requests, one is answered, two get an error, and one client leaves while the model runs."""
    calls = []
    running, go_on = threading.Event(), threading.Event()

    def predict(x):
        calls.append(len(x))
        if len(calls) == 3:  # behind the warm-up and the first request
            raise RuntimeError("a fault")
        if len(calls) == 4:
            running.set()
            assert go_on.wait(10)
        return np.zeros((len(x), 3), np.float32)

    application = serve.make_app(predict, "abc", (2,))
    web = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None))
    caplog.set_level(logging.INFO, logger=serve.logger.name)
    thread = threading.Thread(target=web.run)
    thread.start()
    try:
        until = time.monotonic() + 10
        while not web.started and time.monotonic() < until:
            time.sleep(0.01)
        port = web.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/predict"
        statuses = [httpx.post(url, json={"inputs": inputs}).status_code for inputs in ([[0, 1]], [[0, 1]], [[7, 1]])]
        assert statuses == [200, 500, 422]
        content = body([[0, 1]])
        head = "POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(content)}"
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.sendall(f"{head}\r\n\r\n".encode() + content)
            assert running.wait(10)
        time.sleep(0.2)  # until the server notices
        go_on.set()
    finally:
        go_on.set()
        web.should_exit = True
        thread.join(20)
    assert "Accepted 4, answered 3" in caplog.messages
