"""Compression of a CNN, an LSTM and MiniLM: accuracy, size and latency, against a small model trained from the start.

python -m benchmarks.compress [rows…]

All train on 5,000 images of Fashion-MNIST with Adam, and each update is counted: what is fine-tuned for FINE epochs is
compared with a model that was trained for these epochs as well. Learning rates are chosen on 5,000 other images with a
seed that no comparison uses. int8 runs in onnxruntime, on its own kernels. Latencies are ratios, measured in turns.
"""

import copy
import logging
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from benchmarks.store import fresh, run
from dlbook.cnn import CNN
from dlbook.data.images import fashion_mnist
from dlbook.data.labelled import movie_reviews
from dlbook.data.speech import Recordings, spoken_digits
from dlbook.metrics.paired import (
    Interval,
    difference_over_examples,
    difference_over_examples_and_seeds,
    difference_over_seeds,
)
from dlbook.network import Dense, glorot_uniform_
from dlbook.practice import compress
from dlbook.pretrained import load_minilm

SEEDS, EPOCHS, FINE = 3, 6, 3
RATES, LSTM_RATES = (0.003, 0.01, 0.03), (0.003, 0.01, 0.03, 0.1)
FINE_RATES = (0.003, 0.01, 0.03)
TEMPERATURES = (1.0, 2.0, 4.0)
BITS, TRAINED_BITS = (8, 4, 3, 2), (3, 2)
PRUNED, RANK = 0.9, 8
BATCHES = (1, 32)
REPEATS, SECONDS = 10, 0.25  # of a latency: turns, and the least time of each
TEXTS = (1_000, 1_000)  # to train a probe, and to test it


# --- models and training ----------------------------------------------------------------------------------------------


class SmallCNN(nn.Module):
    """The CNN of the book, with half of its channels and hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        for conv in (self.conv1, self.conv2):
            glorot_uniform_(conv.weight)
            nn.init.zeros_(conv.get_parameter("bias"))
        self.hidden, self.output = Dense(32 * 25, 32, glorot_uniform_), Dense(32, 10, glorot_uniform_)

    forward = CNN.forward


class Listener(nn.Module):
    """An LSTM that reads the frames of a recording, and classifies by its last state."""

    def __init__(self, hidden: int = 128):
        super().__init__()
        self.lstm, self.output = nn.LSTM(13, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return logits."""
        h, _ = self.lstm(x)
        return self.output(h[torch.arange(x.shape[0], device=x.device), lengths - 1])


@cache
def images() -> dict[str, tuple[Tensor, Tensor]]:
    """Return images and labels: to train on, to choose by, whose labels nobody uses, and those of the test set."""
    data = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    x = data.train_images[:, None].contiguous(memory_format=torch.channels_last)
    test = data.test_images[:, None].contiguous(memory_format=torch.channels_last)
    found = {name: (x[rows], data.train_labels[rows]) for name, rows in parts(order).items()}
    return found | {"test": (test, data.test_labels)}


def parts(order: Tensor) -> dict[str, Tensor]:
    """Cut the rows in a random order."""
    return {"train": order[:5_000], "held": order[5_000:10_000], "unlabelled": order[10_000:55_000]}


Loss = Callable[[Tensor, Tensor], Tensor]  # of logits and row numbers


def train(
    model: Any,
    loss: Loss,
    epochs: int,
    lr: float,
    seed: int,
    hook: Callable[..., None] | None = None,
    part: str = "train",
) -> nn.Module:
    """Train on batches of 50 with Adam and a learning rate that falls as a half cosine."""
    x, _ = images()[part]
    model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    if hook:
        optimizer.register_step_post_hook(hook)
    steps = epochs * math.ceil(len(x) / 50)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            loss(model(x[rows]), rows).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def labels(smoothing: float = 0.0) -> Loss:
    """Return cross-entropy with the labels."""
    y = images()["train"][1]
    return lambda logits, rows: F.cross_entropy(logits, y[rows], label_smoothing=smoothing)


@torch.inference_mode()
def answers(model: nn.Module, part: str) -> Tensor:
    """Return a model's logits."""
    return torch.cat([model(batch) for batch in images()[part][0].split(500)])


def distilled(teacher: nn.Module, temperature: float) -> Loss:
    """Return the loss of a student; the labels count a tenth."""
    soft, y = answers(teacher, "train").clone(), images()["train"][1]
    return lambda logits, rows: compress.distillation_loss(logits, soft[rows], y[rows], temperature, 0.9)


def fresh_model(kind: type[nn.Module], seed: int) -> nn.Module:
    """Return an initialised model."""
    torch.manual_seed(seed)
    return kind()


@cache
def chosen() -> dict[str, float]:
    """Return the settings of highest accuracy on the images to choose by."""
    return {
        name: float(max(table, key=lambda setting: table[setting])) for name, table in fresh(__file__)["tune"].items()
    }


@cache
def large(seed: int) -> nn.Module:
    """Return the CNN of the book."""
    return train(fresh_model(CNN, seed), labels(), EPOCHS, chosen()["large"], seed)


def fine_tuned(model: nn.Module, seed: int, hook: Callable[..., None] | None = None) -> nn.Module:
    """Train a model further, with the labels."""
    return train(model, labels(), FINE, chosen()["fine"], 1_000 + seed, hook)


def halved(model: Any) -> nn.Module:
    """Remove the weaker half of the channels and hidden units of a CNN."""
    model = copy.deepcopy(model)
    layers: list[Any] = [model.conv1, model.conv2, model.hidden, model.output]
    for layer, following, pixels in zip(layers, layers[1:], (1, 25, 1), strict=False):
        kept = compress.strongest_channels(layer.weight, len(layer.weight) // 2)
        compress.keep_outputs_(layer, kept)
        compress.keep_inputs_(following, kept, pixels)
    return model


def sparse(model: Any) -> tuple[nn.Module, Callable[..., None]]:
    """Set the smallest weights of a CNN to zero; the second value keeps them there."""
    model = copy.deepcopy(model)
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    masks = compress.magnitude_masks(weights, PRUNED)
    compress.apply_masks_(weights, masks)
    return model, lambda *_: compress.apply_masks_(weights, masks)


def thin(model: Any) -> nn.Module:
    """Replace the largest dense layer of a CNN by two of low rank."""
    model = copy.deepcopy(model)
    model.hidden = compress.factorized(model.hidden, RANK)
    return model


def rounded(model: Any, bits: int) -> nn.Module:
    """Let all layers of a CNN compute with weights of few bits."""
    model = copy.deepcopy(model)
    for layer in (model.conv1, model.conv2, model.hidden, model.output):
        parametrize.register_parametrization(layer, "weight", compress.FakeQuantized(bits))
    return model


@cache
def small(way: str, seed: int) -> nn.Module:
    """Return a small CNN, trained for all epochs: with labels, smoothed labels, or a teacher."""
    loss = labels()
    if way == "label smoothing":
        loss = labels(0.1)
    elif way == "distilled":
        loss = distilled(large(seed), chosen()["temperature"])
    return train(fresh_model(SmallCNN, seed), loss, EPOCHS + FINE, chosen()["small"], seed)


def pruned_further(seed: int) -> nn.Module:
    """Prune a CNN and train it further; what is zero stays zero."""
    model, hook = sparse(large(seed))
    return fine_tuned(model, seed, hook)


WAYS: dict[str, Callable[[int], nn.Module]] = {
    "large": large,
    "large, longer": lambda seed: fine_tuned(copy.deepcopy(large(seed)), seed),
    "small": lambda seed: small("small", seed),
    "small, label smoothing": lambda seed: small("label smoothing", seed),
    "small, distilled": lambda seed: small("distilled", seed),
    "halved": lambda seed: halved(large(seed)),
    "halved, fine-tuned": lambda seed: fine_tuned(halved(large(seed)), seed),
    "pruned": lambda seed: sparse(large(seed))[0],
    "pruned, fine-tuned": pruned_further,
    "low rank": lambda seed: thin(large(seed)),
    "low rank, fine-tuned": lambda seed: fine_tuned(thin(large(seed)), seed),
}


def of_few_bits(bits: int, trained: bool, seed: int) -> nn.Module:
    """Round the weights of a CNN, and perhaps train it further as it is then."""
    model = rounded(large(seed), bits)
    return fine_tuned(model, seed) if trained else model


WAYS |= {f"{bits} bits": partial(of_few_bits, bits, False) for bits in BITS}
WAYS |= {f"{bits} bits, trained": partial(of_few_bits, bits, True) for bits in TRAINED_BITS}


# --- accuracy ---------------------------------------------------------------------------------------------------------


@cache
def model_of(way: str, seed: int) -> nn.Module:
    """Return a model that was made in one way."""
    return WAYS[way](seed)


@cache
def right(way: str) -> Tensor:
    """Return, for each seed, on which test images a model is right."""
    y = images()["test"][1]
    if way.startswith("int8"):
        found = [integer_answers(way, seed) for seed in range(SEEDS)]
    else:
        found = [answers(model_of(way, seed), "test") for seed in range(SEEDS)]
    return torch.stack([logits.argmax(1) == y for logits in found])


def ends(interval: Interval) -> list[float]:
    """Return both ends and the estimate, in per cent."""
    return [round(100 * value, 3) for value in (interval.low, interval.high, interval.estimate)]


def difference(way: str, other: str) -> list[float]:
    """Return the interval of a difference of accuracies over images and seeds, in points."""
    return ends(difference_over_examples_and_seeds(right(way), right(other), resamples=100))


def accuracies(way: str) -> list[float]:
    """Return the accuracy for each seed, in per cent."""
    return [round(value, 2) for value in (100 * right(way).double().mean(1)).tolist()]


def image_row(way: str) -> dict[str, Any]:
    """Return accuracies of one way, its difference to the large CNN, and its size."""
    state = state_of(model_of(way, 0))
    return {
        "accuracy": accuracies(way),
        "minus large": difference(way, "large"),
        "weights": sum(value.numel() for value in state.values()),
        "bytes": compress.serialized_bytes(state),
        "gzipped": compress.serialized_bytes(state, compressed=True),
    }


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of all layers, rounded where a layer computes with rounded ones."""
    return {
        f"{name}.{kind}": value.detach()
        for name, layer in model.named_modules()
        for kind in ("weight", "bias")
        if isinstance(value := getattr(layer, kind, None), Tensor)
    }


def tune() -> dict[str, dict[str, float]]:
    """Return accuracies on the images to choose by, of one seed that is not used again."""
    y, seed = images()["held"][1], 999

    def score(model: nn.Module) -> float:
        return round((answers(model, "held").argmax(1) == y).double().mean().item(), 4)

    found: dict[str, dict[str, float]] = {}
    of_large = {lr: train(fresh_model(CNN, seed), labels(), EPOCHS, lr, seed) for lr in RATES}
    found["large"] = {str(lr): score(model) for lr, model in of_large.items()}
    best = of_large[max(RATES, key=lambda lr: found["large"][str(lr)])]
    found["small"] = {
        str(lr): score(train(fresh_model(SmallCNN, seed), labels(), EPOCHS + FINE, lr, seed)) for lr in RATES
    }
    rate = float(max(found["small"], key=lambda lr: found["small"][lr]))
    found["temperature"] = {
        str(t): score(train(fresh_model(SmallCNN, seed), distilled(best, t), EPOCHS + FINE, rate, seed))
        for t in TEMPERATURES
    }
    found["fine"] = {str(lr): score(train(halved(best), labels(), FINE, lr, seed)) for lr in FINE_RATES}
    return found


# --- onnxruntime ------------------------------------------------------------------------------------------------------


@cache
def folder() -> Path:
    """Return where files of this run lie."""
    return Path(tempfile.mkdtemp(prefix="compress-"))


def export(model: nn.Module, inputs: tuple[Tensor, ...], names: list[str], name: str) -> Path:
    """Write a model as ONNX, of which the first axis, and for texts the second, may have any size.

    The older exporter is used: it leaves an LSTM as one operation with constant weights, which can be quantised.
    """
    path = folder() / f"{name}.onnx"
    axes = {0: "batch", 1: "length"}
    dynamic = [axes if x.ndim > 1 and names[0] != "images" else {0: "batch"} for x in inputs]
    logging.getLogger().setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            inputs,
            path,
            input_names=names,
            output_names=["answers"],
            dynamo=False,
            dynamic_axes=dict(zip(names, dynamic, strict=True)),
        )
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Calibration(CalibrationDataReader):
    """Give images of the training set, by which the ranges of activations are found."""

    def __init__(self) -> None:
        self.batches: Iterator[Tensor] = iter(images()["train"][0][:1_000].split(100))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch."""
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch.numpy()}


@cache
def integer_file(way: str, seed: int) -> Path:
    """Export a CNN and quantise it; with seven bits of weights unless it says eight."""
    source = "small, distilled" if "small" in way else "large"
    name = f"{source}-{seed}".replace(", ", "-")
    path = export(model_of(source, seed), (images()["test"][0][:2],), ["images"], name)
    goal = path.with_suffix(".int8.full.onnx" if "full" in way else ".int8.onnx")
    quantize_static(
        path,
        goal,
        Calibration(),
        per_channel=True,
        reduce_range="full" not in way,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return goal


def integer_answers(way: str, seed: int) -> Tensor:
    """Return the logits of a quantised CNN in onnxruntime."""
    opened = session(integer_file(way, seed))
    batches = images()["test"][0].split(500)
    return torch.cat([torch.from_numpy(opened.run(None, {"images": batch.numpy()})[0]) for batch in batches])


INT8 = ("int8", "int8, full range", "int8 small, distilled")


def integer_row(way: str) -> dict[str, Any]:
    """Return accuracies of one way of int8, its difference to the float model, and its size."""
    source = "small, distilled" if "small" in way else "large"
    path = integer_file(way, 0)
    return {
        "accuracy": accuracies(way),
        "minus large": difference(way, "large"),
        "minus float": difference(way, source),
        "bytes": path.stat().st_size,
        "float bytes": Path(str(path).partition(".int8")[0] + ".onnx").stat().st_size,
    }


# --- latency ----------------------------------------------------------------------------------------------------------


def ratio(first: Callable[[], Any], second: Callable[[], Any]) -> dict[str, list[float]]:
    """Return milliseconds of two calls in each turn, and their ratio with the ends of its interval over turns.

    In a turn, the two run alternately for at least SECONDS; its latencies are medians.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(REPEATS + 1):
        times: tuple[list[float], list[float]] = ([], [])
        begin = time.perf_counter()
        while time.perf_counter() - begin < SECONDS or len(times[1]) < 3:
            for which in (0, 1) if len(times[0]) % 2 else (1, 0):
                start = time.perf_counter()
                (first, second)[which]()
                times[which].append(time.perf_counter() - start)
        if turn:  # the first one warms up
            for column, part in zip(taken, times, strict=True):
                column.append(float(f"{1000 * statistics.median(part):.4g}"))
    logs = [torch.tensor(column, dtype=torch.float64).log() for column in taken]
    found = difference_over_seeds(logs[0], logs[1])
    ends_of_ratio = [round(math.exp(value), 3) for value in (found.low, found.high, found.estimate)]
    return {"ratio": ends_of_ratio, "first": taken[0], "second": taken[1]}


def in_torch(model: nn.Module, *inputs: Tensor) -> Callable[[], Any]:
    """Return a call of a model."""

    def call() -> None:
        with torch.inference_mode():
            model(*inputs)

    return call


def in_runtime(path: Path, **inputs: Tensor) -> Callable[[], Any]:
    """Return a call of onnxruntime."""
    opened, arrays = session(path), {name: value.numpy() for name, value in inputs.items()}
    return lambda: opened.run(None, arrays)


def image_latency(batch_size: int) -> dict[str, dict[str, list[float]]]:
    """Return ratios of latencies of CNNs: engines against PyTorch, and models against the large one in onnxruntime."""
    x = images()["test"][0][:batch_size].contiguous()
    model: Any = copy.deepcopy(model_of("large", 0))
    model = model.to(memory_format=torch.contiguous_format)
    files = {"large": folder() / "large-0.onnx", "int8": integer_file("int8", 0)}
    files |= {"int8, full range": integer_file("int8, full range", 0)}
    files |= {"int8 small, distilled": integer_file("int8 small, distilled", 0)}
    for way in ("small, distilled", "pruned, fine-tuned", "low rank, fine-tuned"):
        files[way] = export(model_of(way, 0), (x[:2] if batch_size > 1 else x.repeat(2, 1, 1, 1),), ["images"], way)
    eager, runtime = in_torch(model, x), in_runtime(files["large"], images=x)
    last = images()["test"][0][:batch_size].contiguous(memory_format=torch.channels_last)
    compiled: Any = torch.compile(copy.deepcopy(model), dynamic=False)
    found = {
        "onnxruntime / eager": ratio(runtime, eager),
        "channels last / eager": ratio(in_torch(model_of("large", 0), last), eager),
        "compiled / eager": ratio(in_torch(compiled, x), eager),
        "onnxruntime / compiled": ratio(runtime, in_torch(compiled, x)),
    }
    for way, path in files.items():
        if way != "large":
            found[f"{way} / large"] = ratio(in_runtime(path, images=x), runtime)
    return found


# --- an LSTM ----------------------------------------------------------------------------------------------------------


@cache
def recordings() -> dict[str, Recordings]:
    """Return spoken digits, standardised by the training set."""
    data = spoken_digits()
    frames = data.train.features[data.train.real]
    mean, scale = frames.mean(0), frames.std(0)

    def standardised(part: Recordings) -> Recordings:
        return Recordings((part.features - mean) / scale * part.real[..., None], part.lengths, part.labels)

    return {"train": standardised(data.train), "held": standardised(data.validation), "test": standardised(data.test)}


def train_listener(hidden: int, lr: float, seed: int, epochs: int = 6) -> nn.Module:
    """Train an LSTM with Adam on batches of 50."""
    torch.manual_seed(seed)
    model, data = Listener(hidden), recordings()["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr)
    steps = epochs * math.ceil(len(data) / 50)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(data), generator=generator).split(50):
            longest = int(data.lengths[rows].max())
            logits = model(data.features[rows, :longest], data.lengths[rows])
            optimizer.zero_grad()
            F.cross_entropy(logits, data.labels[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def tune_listener() -> dict[str, dict[str, float]]:
    """Return accuracies on the validation set for each size and learning rate."""
    held = recordings()["held"]
    found: dict[str, dict[str, float]] = {}
    for hidden in (128, 64):
        for lr in LSTM_RATES:
            model = train_listener(hidden, lr, 999)
            with torch.inference_mode():
                logits = model(held.features, held.lengths)
            score = (logits.argmax(1) == held.labels).double().mean().item()
            found.setdefault(str(hidden), {})[str(lr)] = round(score, 4)
    return found


def speech_row() -> dict[str, Any]:
    """Return accuracies, sizes and latencies of LSTMs: 128 units, their int8, and half as many units."""
    test, tuned = recordings()["test"], fresh(__file__)["tune lstm"]
    files: dict[str, list[Path]] = {"large": [], "int8": [], "small": []}
    models = {}
    for hidden, name in ((128, "large"), (64, "small")):
        of_size = tuned[str(hidden)]
        lr = float(max(of_size, key=of_size.get))
        for seed in range(SEEDS):
            model = models[name, seed] = train_listener(hidden, lr, seed)
            inputs = (test.features[:2, :20], torch.tensor([20, 10]))
            files[name].append(export(model, inputs, ["x", "lengths"], f"lstm-{name}-{seed}"))
    for path in files["large"]:
        files["int8"].append(path.with_suffix(".int8.onnx"))
        quantize_dynamic(path, files["int8"][-1], weight_type=QuantType.QInt8, reduce_range=True)
    given = {"x": test.features.numpy(), "lengths": test.lengths.numpy()}
    correct = {
        name: torch.stack([torch.from_numpy(session(path).run(None, given)[0]).argmax(1) == test.labels for path in of])
        for name, of in files.items()
    }
    found: dict[str, Any] = {name: {"bytes": of[0].stat().st_size} for name, of in files.items()}
    for name, values in correct.items():
        found[name]["accuracy"] = [round(value, 2) for value in (100 * values.double().mean(1)).tolist()]
        gap = difference_over_examples_and_seeds(values, correct["large"], resamples=100)
        found[name]["minus large"] = ends(gap) if name != "large" else [0.0, 0.0, 0.0]
    for batch_size in BATCHES:
        lengths = test.lengths[:batch_size]
        x = test.features[:batch_size, : int(lengths.max())].contiguous()
        calls = {name: in_runtime(of[0], x=x, lengths=lengths) for name, of in files.items()}
        found[f"latency {batch_size}"] = {
            "onnxruntime / eager": ratio(calls["large"], in_torch(models["large", 0], x, lengths)),
            "int8 / large": ratio(calls["int8"], calls["large"]),
            "small / large": ratio(calls["small"], calls["large"]),
        }
    return found


# --- MiniLM -----------------------------------------------------------------------------------------------------------


def table(first: Tensor, second: Tensor) -> list[int]:
    """Return on how many examples both are right, the first alone, the second alone, and neither."""
    return [int((a & b).sum()) for a in (first, ~first) for b in (second, ~second)]


def text_row() -> dict[str, Any]:
    """Return how int8 changes MiniLM: cosines, the accuracy of a probe on film reviews, size and latency."""
    model, tokenizer = load_minilm()
    data, generator = movie_reviews("rotten tomatoes"), torch.Generator().manual_seed(0)
    encoded, target = {}, {}
    for name, part, count in (("train", data.train, TEXTS[0]), ("test", data.test, TEXTS[1])):
        rows = torch.randperm(len(part.texts), generator=generator)[:count].tolist()
        encoded[name] = [tokenizer.encode(part.texts[row], 64) for row in rows]
        target[name] = part.labels[rows]

    def padded(texts: list[list[int]]) -> Tensor:
        longest = max(map(len, texts))
        return torch.tensor([text + [tokenizer.pad] * (longest - len(text)) for text in texts])

    float_file = export(model, (padded(encoded["test"][:3]),), ["tokens"], "minilm")
    files = {"float": float_file}
    for name, reduced in (("int8", True), ("int8, full range", False)):
        files[name] = float_file.with_suffix(f".{'7' if reduced else '8'}.onnx")
        quantize_dynamic(float_file, files[name], weight_type=QuantType.QInt8, per_channel=True, reduce_range=reduced)

    def embedded(path: Path, texts: list[list[int]]) -> Tensor:
        opened, order = session(path), sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found = torch.zeros(len(texts), 384)
        for first in range(0, len(order), 20):
            rows = order[first : first + 20]
            tokens = padded([texts[row] for row in rows]).numpy()
            found[rows] = torch.from_numpy(opened.run(None, {"tokens": tokens})[0])
        return found

    probe = LogisticRegression(C=10.0, max_iter=1000)
    probe.fit(embedded(files["float"], encoded["train"]).numpy(), target["train"].numpy())
    vectors = {name: embedded(path, encoded["test"]) for name, path in files.items()}
    correct = {name: torch.tensor(probe.predict(v.numpy())) == target["test"] for name, v in vectors.items()}
    with torch.inference_mode():
        own = model(padded(encoded["test"][:20]))
    found: dict[str, Any] = {"gap to torch": float(f"{(own - vectors['float'][:20]).abs().max():.2g}")}
    for name, path in files.items():
        cosines = F.cosine_similarity(vectors[name], vectors["float"])
        found[name] = {
            "bytes": path.stat().st_size,
            "accuracy": round(100 * correct[name].double().mean().item(), 2),
            "minus float": ends(difference_over_examples(correct[name], correct["float"])),
            "right": table(correct[name], correct["float"]),
            "cosine": [round(value, 4) for value in (cosines.mean().item(), cosines.min().item())],
        }
    for batch_size in BATCHES:
        tokens = padded(encoded["test"][:batch_size])
        calls = {name: in_runtime(path, tokens=tokens) for name, path in files.items()}
        found[f"latency {batch_size}"] = {
            "onnxruntime / eager": ratio(calls["float"], in_torch(model, tokens)),
            "int8 / float": ratio(calls["int8"], calls["float"]),
            "int8, full range / float": ratio(calls["int8, full range"], calls["float"]),
        }
    return found


ROWS: dict[str, Callable[[], Any]] = {"tune": tune}
ROWS |= {way: partial(image_row, way) for way in WAYS}
ROWS |= {way: partial(integer_row, way) for way in INT8}
ROWS |= {f"latency {size}": partial(image_latency, size) for size in BATCHES}
ROWS |= {"tune lstm": tune_listener, "lstm": speech_row, "minilm": text_row}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
