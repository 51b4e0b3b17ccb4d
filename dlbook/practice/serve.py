"""A served model: predictions over HTTP, with limits, clear errors and a clean end.

`python -m dlbook.practice.serve MODEL.onnx` starts it. Any function that returns logits
for a batch can be served; that of a file comes from ONNX Runtime, without PyTorch.
"""

import argparse
import asyncio
import hashlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jaxtyping import Float, Float32
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

Predict = Callable[[np.ndarray], np.ndarray]
Waiting = tuple[np.ndarray, asyncio.Future[np.ndarray]]
PAGE = Path(__file__).with_suffix(".html")
BYTES_PER_NUMBER = 26  # of JSON: a float64 has at most 24 characters, and a comma
POLICY = "default-src 'none'; connect-src 'self'; img-src blob:; "
POLICY += "style-src 'unsafe-inline'; script-src 'unsafe-inline'"

logger = logging.getLogger("uvicorn.error")


# --- what is asked and answered -------------------------------------------------------


class Prediction(BaseModel):
    """Hold the answer for one input: the most probable class, and all probabilities."""

    label: str
    probabilities: dict[str, float]


class Answer(BaseModel):
    """Hold the predictions of a request, in its order, and which model made them."""

    model: str
    predictions: list[Prediction]


class Problem(BaseModel):
    """Hold the body of each error: what was wrong, the rule, and what came."""

    wrong: str
    rule: str
    got: str


class Health(BaseModel):
    """Hold whether the process answers, and whether it takes further requests."""

    live: bool
    ready: bool


class Version(BaseModel):
    """Hold what is running: the package, the model's name, and the file's sha256."""

    package: str
    model: str
    sha256: str


class Refusal(Exception):
    """Refuse a request with an HTTP status and a `Problem`."""

    def __init__(self, status: int, wrong: str, rule: str, got: object, **headers: str):
        """Keep what the answer will hold.

        Args:
            status: of HTTP, such as 422.
            wrong: which part of the request was wrong.
            rule: what that part must be.
            got: what came, which is shortened.
            headers: further ones of the answer.
        """
        super().__init__(wrong)
        self.status, self.headers = status, headers
        shown = got if isinstance(got, str) else repr(got)
        shown = shown.encode("ascii", "backslashreplace").decode()
        shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
        self.problem = Problem(wrong=wrong, rule=rule, got=shown)

    def response(self) -> Response:
        """Return the answer, as JSON."""
        body = self.problem.model_dump_json()
        headers = {name.replace("_", "-"): text for name, text in self.headers.items()}
        return Response(body, self.status, headers, media_type="application/json")


def request_type(
    length: int, max_items: int, low: float, high: float
) -> type[BaseModel]:
    """Return the type of a request: a list of inputs, each a flat list of numbers.

    Args:
        length: how many numbers an input has.
        max_items: the most inputs.
        low: the least value of a number.
        high: the greatest.
    """
    number = Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
    one = Annotated[list[number], Field(min_length=length, max_length=length)]
    several = Annotated[list[one], Field(min_length=1, max_length=max_items)]
    forbid = ConfigDict(extra="forbid")
    return create_model("Inputs", __config__=forbid, inputs=(several, ...))


def parse(Inputs: type[BaseModel], body: bytes) -> Float32[np.ndarray, "batch size"]:
    """Return the numbers of a request.

    Args:
        Inputs: from `request_type`.
        body: JSON, in UTF-8.

    Raises:
        Refusal: 400 for what is not JSON, 422 for what breaks a rule of the type.
    """
    try:
        inputs = Inputs.model_validate_json(body).inputs  # type: ignore[attr-defined]
    except ValidationError as errors:
        first = errors.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            got = body[:80].decode("utf-8", "backslashreplace")
            raise Refusal(400, "The body is not JSON.", first["msg"], got) from None
        where = ".".join(str(part) for part in first["loc"]) or "body"
        came = first["input"]
        got = f"a list of {len(came)}" if isinstance(came, list) else came
        raise Refusal(422, f"{where} is wrong.", first["msg"], got) from None
    return np.array(inputs, dtype=np.float32)


def answer(
    logits: Float[np.ndarray, "batch classes"], classes: Sequence[str], name: str
) -> Answer:
    """Return the softmax of the logits, by the names of the classes.

    Args:
        logits: of the inputs of a request.
        classes: their names.
        name: of the model.

    Raises:
        ValueError: There is not a finite logit for each class.
    """
    logits = logits.astype(np.float64)
    if logits.ndim != 2 or logits.shape[1] != len(classes):
        got, rule = logits.shape, f"(batch, {len(classes)})"
        raise ValueError(f"logits must have the shape {rule}: got {got}")
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite")
    exp = np.exp(logits - logits.max(1, keepdims=True))
    predictions = [
        Prediction(
            label=classes[row.argmax()],
            probabilities=dict(zip(classes, row.tolist(), strict=True)),
        )
        for row in exp / exp.sum(1, keepdims=True)
    ]
    return Answer(model=name, predictions=predictions)


# --- the model, off the event loop ----------------------------------------------------


class MicroBatcher:
    """Run a model in a thread of its own, on one request or on all that wait.

    While the model runs, requests arrive; the next batch takes them together.
    """

    def __init__(self, predict: Predict, max_batch: int = 1, wait: float = 0.0):
        """Start the thread.

        Args:
            predict: returns logits for a batch.
            max_batch: the most inputs in a batch of several requests; with 1, each
                request is run alone. No request is split.
            wait: how many seconds the oldest request may wait for others to run with,
                unless a batch is full before.

        Raises:
            TypeError: `max_batch` is no whole number.
            ValueError: It is below 1, or `wait` is negative or not finite.
        """
        _check_counts(max_batch=max_batch)
        if not 0 <= wait < math.inf:
            raise ValueError(f"wait must be at least 0 and finite: got {wait}")
        self.predict, self.max_batch, self.wait = predict, max_batch, wait
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[Waiting] = []
        self.since = 0.0  # when the oldest of these came
        self.working: asyncio.Task[None] | None = None
        self.filled = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether the requests that wait fill a batch."""
        return sum(len(inputs) for inputs, _ in self.waiting) >= self.max_batch

    async def __call__(
        self, inputs: Float32[np.ndarray, "batch *shape"]
    ) -> Float[np.ndarray, "batch classes"]:
        """Return the logits of a request's inputs.

        Args:
            inputs: of one request.
        """
        loop = asyncio.get_running_loop()
        if not self.waiting:
            self.since = loop.time()
        answer = loop.create_future()
        self.waiting.append((inputs, answer))
        if self.full:
            self.filled.set()
        if self.working is None or self.working.done():
            self.working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Run batches until nobody waits; an error goes to those of its batch."""
        loop = asyncio.get_running_loop()
        while self.waiting:
            if self.wait and not self.full:
                await self._collect()
            count = _count_that_fit(self.waiting, self.max_batch)
            requests, answers = zip(*self.waiting[:count], strict=True)
            self.waiting = self.waiting[count:]
            batch = np.concatenate(requests)
            results: list[np.ndarray | Exception]
            try:
                logits = await loop.run_in_executor(self.thread, self.predict, batch)
                if len(logits) != len(batch):
                    rule = f"must have {len(batch)} rows"
                    raise ValueError(f"logits {rule}: got {len(logits)}")
                ends = np.cumsum([len(inputs) for inputs in requests])
                results = [*np.split(logits, ends[:-1])]
            except Exception as error:
                results = [error for _ in answers]
            for answer, result in zip(answers, results, strict=True):
                if not answer.done():  # it is, where a request was cancelled
                    _settle(answer, result)

    async def _collect(self) -> None:
        """Wait for further requests, until they fill a batch or the time is over."""
        self.filled = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self.since + self.wait):
                await self.filled.wait()


def _count_that_fit(waiting: Sequence[Waiting], max_batch: int) -> int:
    """Return how many of the oldest requests fit into a batch: at least one."""
    totals = np.cumsum([len(inputs) for inputs, _ in waiting])
    return max(1, int((totals <= max_batch).sum()))


def _settle(answer: asyncio.Future[np.ndarray], result: np.ndarray | Exception) -> None:
    """Set the result of a request, or the error, for who awaits it."""
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


# --- the app --------------------------------------------------------------------------


def make_app(
    predict: Predict,
    classes: Sequence[str],
    shape: Sequence[int],
    *,
    name: str = "model",
    sha256: str = "",
    values: tuple[float, float] = (0.0, 1.0),
    max_items: int = 64,
    queue: int = 64,
    max_batch: int = 1,
    wait: float = 0.0,
    patience: float = 10.0,
) -> FastAPI:
    """Return an app that answers `/predict`, `/health`, `/version`, and a form at `/`.

    Args:
        predict: returns logits (batch, classes) for float32 inputs (batch, *shape).
        classes: their names.
        shape: of one input; a request lists its numbers row by row.
        name: of the model.
        sha256: of the model's file.
        values: the least and the greatest number that an input may hold.
        max_items: the most inputs in a request.
        queue: how many requests may be under way; more are refused.
        max_batch: of `MicroBatcher`.
        wait: of `MicroBatcher`.
        patience: how many seconds a request's body may take to arrive.

    Raises:
        TypeError: A size or a limit is no whole number.
        ValueError: It is below 1, names of classes repeat, or `values` is no range.
    """
    _check_settings(classes, shape, values, max_items, queue, patience)
    size = math.prod(shape)
    Inputs = request_type(size, max_items, *values)
    longest = max_items * (BYTES_PER_NUMBER * size + 4) + 1000
    run, in_flight = MicroBatcher(predict, max_batch, wait), InFlight(queue)
    warm_up = np.full((1, *shape), values[0], dtype=np.float32)
    app = _new_app(run, warm_up, in_flight, name)
    _handle_errors(app)
    _add_pages(app, in_flight, name, sha256, classes, shape, values)

    @app.post("/predict", response_model=Answer, **_described(Inputs))
    async def predict_(request: Request) -> Response:
        """Return the probabilities of the classes for each input."""
        async with in_flight.place(request):
            body = await _read(request, longest, patience)
            inputs = parse(Inputs, body)
            logits = await run(inputs.reshape(-1, *shape))
            text = answer(logits, classes, name).model_dump_json()
        return _counted(request, Response(text, media_type="application/json"))

    return app


class InFlight:
    """Count the requests under way, and refuse one when there are too many."""

    def __init__(self, most: int):
        """Begin at none.

        Args:
            most: how many may be under way.
        """
        self.most, self.under_way, self.accepted, self.answered = most, 0, 0, 0

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.under_way >= self.most

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """Take a place for a request while the block runs.

        Args:
            request: notes then where its answer counts, unless its client has left.

        Raises:
            Refusal: 503, as too many are under way.
        """
        if self.full:
            rule = f"At most {self.most} requests are under way at once."
            got = f"{self.most + 1} requests"
            raise Refusal(503, "The server is busy.", rule, got, Retry_After="1")
        self.accepted, self.under_way = self.accepted + 1, self.under_way + 1
        try:
            yield
        finally:
            self.under_way -= 1
            gone = await request.is_disconnected()
            request.state.in_flight = None if gone else self

    async def count_answer(self) -> None:
        """Count an answer that was sent."""
        self.answered += 1


def _counted(request: Request, response: Response) -> Response:
    """Let an answer count once it is sent, if its request was accepted."""
    if in_flight := getattr(request.state, "in_flight", None):
        response.background = BackgroundTask(in_flight.count_answer)
    return response


def _new_app(
    run: MicroBatcher, warm_up: np.ndarray, in_flight: InFlight, name: str
) -> FastAPI:
    """Return an app that is ready once the model has run, and counts at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run(warm_up)
        yield
        run.thread.shutdown()
        accepted, answered = in_flight.accepted, in_flight.answered
        logger.info("Accepted %d, answered %d", accepted, answered)

    return FastAPI(
        title=f"Predictions of {name}",
        version=version("dlbook"),
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )


async def _read(request: Request, longest: int, patience: float) -> bytes:
    """Return the body, of which no more than `longest` bytes are kept in memory."""
    media, _, rest = request.headers.get("content-type", "").lower().partition(";")
    charset = rest.strip().removeprefix("charset=").strip('"')
    if media.strip() != "application/json" or charset not in ("", "utf-8"):
        rule, got = "It must be application/json.", request.headers.get("content-type")
        raise Refusal(415, "The content type is another.", rule, got or "none")
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for chunk in request.stream():
                body += chunk
                if len(body) > longest:  # whatever Content-Length promised
                    rule = f"It must have at most {longest} bytes."
                    got = f"{len(body)} bytes or more"
                    raise Refusal(413, "The body is too large.", rule, got)
    except TimeoutError:
        rule, got = f"It must arrive within {patience} seconds.", f"{len(body)} bytes"
        raise Refusal(408, "The body is not complete.", rule, got) from None
    except ClientDisconnect:
        rule, got = "It must arrive whole.", f"{len(body)} bytes"
        raise Refusal(400, "The body is not complete.", rule, got) from None
    return bytes(body)


def _handle_errors(app: FastAPI) -> None:
    """Answer every error by a `Problem`; what failed inside stays in the log."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return _counted(request, refusal.response())

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        got = f"{request.method} {request.url.path}"
        rule = "/openapi.json lists the paths and their methods."
        headers = {**(error.headers or {})}
        return Refusal(error.status_code, error.detail, rule, got, **headers).response()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        rule = "It is no fault of the request; the log says more."
        refusal = Refusal(500, "The model failed.", rule, type(error).__name__)
        return _counted(request, refusal.response())


def _add_pages(
    app: FastAPI,
    in_flight: InFlight,
    name: str,
    sha256: str,
    classes: Sequence[str],
    shape: Sequence[int],
    values: tuple[float, float],
) -> None:
    """Add the form, and what a load balancer and an operator ask."""
    busy: dict[int | str, dict[str, Any]] = {
        503: {"model": Health, "description": "Too many requests are under way."}
    }
    settings = {"name": name, "shape": [*shape], "values": [*values]}
    page = PAGE.read_text(encoding="utf-8")
    for key, value in settings.items():
        text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace('"', "")
        page = page.replace(f"{{{{{key}}}}}", text)

    @app.get("/", response_class=HTMLResponse)
    async def form() -> HTMLResponse:
        """Return a page on which to try the model."""
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    @app.get("/health", response_model=Health, responses=busy)
    async def health(response: Response) -> Health:
        """Return whether the process answers, and whether it takes more requests."""
        response.status_code = 503 if in_flight.full else 200
        return Health(live=True, ready=not in_flight.full)

    @app.get("/version")
    async def version_() -> Version:
        """Return which model and which package answer."""
        return Version(package=version("dlbook"), model=name, sha256=sha256)


def _described(Inputs: type[BaseModel]) -> dict[str, Any]:
    """Return what the schema says of `/predict`."""
    about = {
        400: "The body is not JSON in UTF-8.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        415: "The content type is not application/json.",
        422: "The inputs have another number, length or range.",
        500: "The model failed.",
        503: "Too many requests are under way: come back later.",
    }
    responses = {
        code: {"model": Problem, "description": text} for code, text in about.items()
    }
    content = {"application/json": {"schema": Inputs.model_json_schema()}}
    body = {"required": True, "content": content}
    return {"responses": responses, "openapi_extra": {"requestBody": body}}


def _check_settings(
    classes: Sequence[str],
    shape: Sequence[int],
    values: tuple[float, float],
    max_items: int,
    queue: int,
    patience: float,
) -> None:
    """Refuse settings that no request could meet."""
    for length in shape:
        _check_counts(shape=length)
    _check_counts(max_items=max_items, queue=queue)
    if not classes or len({*classes}) != len(classes):
        raise ValueError(f"classes must be different names: got {[*classes]}")
    if not -3e38 <= values[0] < values[1] <= 3e38:
        raise ValueError(f"values must be a range within float32: got {values}")
    if not 0 < patience < math.inf:
        raise ValueError(f"patience must be positive and finite: got {patience}")


def _check_counts(**counts: object) -> None:
    """Refuse what is no whole number, or below 1; `dlbook._check` imports PyTorch."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral):
            kind = type(count).__name__
            raise TypeError(f"{name} must be a whole number: got {count!r} ({kind})")
        if int(count) < 1:
            raise ValueError(f"{name} must be at least 1: got {count}")


# --- from a file ----------------------------------------------------------------------


def load_onnx(path: str | Path, threads: int = 1) -> tuple[Predict, tuple[int, ...]]:
    """Load a model of one input and one output for ONNX Runtime, on the CPU.

    Args:
        path: of a file whose first axis, the batch, is open.
        threads: how many a call may use.

    Returns:
        A function that returns logits for a batch, and the shape of one input.

    Raises:
        ValueError: The file is no such model.
    """
    _check_counts(threads=threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        data = Path(path).read_bytes()
        session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
    except OSError as error:
        raise ValueError(f"path must be a readable file: got {error}") from None
    except Exception as error:  # of classes that ONNX Runtime does not export
        raise ValueError(f"path must be an ONNX model: got {error}") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        got = f"{len(inputs)} and {len(outputs)}"
        raise ValueError(f"path must have one input and one output: got {got}")
    batch, *shape = inputs[0].shape
    if isinstance(batch, int) or not all(isinstance(axis, int) for axis in shape):
        got = inputs[0].shape
        raise ValueError(f"path must have an open first axis, and only that: got {got}")
    input_name = inputs[0].name
    return lambda x: session.run(None, {input_name: x})[0], tuple(shape)


def main(
    arguments: Sequence[str] | None = None,
    load: Callable[[Path, int], tuple[Predict, tuple[int, ...]]] = load_onnx,
) -> None:
    """Serve a model from a file until the process is told to end.

    SIGTERM and Ctrl-C close the port; requests that were accepted are answered.

    Args:
        arguments: as on the command line.
        load: returns the model of a file, run on so many threads, and the shape of an
            input.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dlbook.practice.serve", description="Serve a model over HTTP."
    )
    add = parser.add_argument
    add("model", type=Path, help="a file for ONNX Runtime, such as cnn.onnx")
    add("--classes", help="their names, between commas (default: 0,1,2,…)")
    add("--values", type=float, nargs=2, default=(0.0, 1.0), metavar=("LOW", "HIGH"))
    add("--host", default="127.0.0.1", help="who may ask (default: this machine)")
    add("--port", type=int, default=8000, help="0 for any that is free (default: 8000)")
    add("--threads", type=int, default=1, help="of a call of the model (default: 1)")
    add("--max-items", type=int, default=64, help="inputs in a request (default: 64)")
    add("--queue", type=int, default=64, help="requests under way (default: 64)")
    add("--max-batch", type=int, default=1, help="inputs run together (default: 1)")
    add("--wait", type=float, default=0.0, help="seconds to collect (default: 0)")
    add("--patience", type=float, default=10.0, help="seconds for a body (default: 10)")
    asked = parser.parse_args(arguments)
    try:
        predict, shape = load(asked.model, asked.threads)
        probe = predict(np.full((2, *shape), asked.values[0], dtype=np.float32))
        numbers = [str(number) for number in range(probe.shape[-1])]
        classes = asked.classes.split(",") if asked.classes else numbers
        if len(classes) != len(numbers):
            got = len(classes)
            raise ValueError(f"classes must be {len(numbers)} names: got {got}")
        app = make_app(
            predict,
            classes,
            shape,
            name=asked.model.stem,
            sha256=hashlib.sha256(asked.model.read_bytes()).hexdigest(),
            values=tuple(asked.values),
            max_items=asked.max_items,
            queue=asked.queue,
            max_batch=asked.max_batch,
            wait=asked.wait,
            patience=asked.patience,
        )
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    uvicorn.run(
        app,
        host=asked.host,
        port=asked.port,
        access_log=False,
        timeout_graceful_shutdown=30,
    )


if __name__ == "__main__":
    main()
