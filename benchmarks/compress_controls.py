"""Controls of the benchmark of compression: more seeds, equal epochs and losses, a better scale, other latencies.

python -m benchmarks.compress_controls [rows…]

Settings are those that `benchmarks.compress` chose. Accuracies are of the seeds that it did not use; a control that is
new has its seeds as well. `contrasts` takes the stored accuracies of both, paired over all seeds that two ways share.
Latencies do not depend on what trained the weights, so these are random.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import compress
from benchmarks.store import fresh, run
from dlbook.cnn import CNN
from dlbook.metrics.paired import difference_over_seeds
from dlbook.practice.compress import dequantize, distillation_loss, quantize, symmetric_scale

FIRST, MORE = (0, 1, 2), (3, 4, 5)  # seeds of the benchmark, and those added
FRACTIONS = tuple(0.1 + 0.02 * step for step in range(46))  # of the largest magnitude: where a scale clips
WIDTH = 4096  # of an MLP with 80 MB of weights
SIZES = (1, 32)  # of batches


# --- accuracy ---------------------------------------------------------------------------------------------------------


def large_smoothed(seed: int) -> nn.Module:
    """Return the CNN of the book, trained for all epochs with label smoothing."""
    epochs = compress.EPOCHS + compress.FINE
    return compress.train(
        compress.fresh_model(CNN, seed), compress.labels(0.1), epochs, compress.chosen()["large"], seed
    )


def taught(hard: bool, seed: int) -> nn.Module:
    """Return a small CNN trained for as many updates on nine times as many images, by what the large one answers.

    Args:
        hard: learn the class that the large one finds likeliest, instead of all its probabilities.
        seed: of both.
    """
    soft = compress.answers(compress.large(seed), "unlabelled").clone()
    likeliest, temperature = soft.argmax(1), compress.chosen()["temperature"]

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        if hard:
            return F.cross_entropy(logits, likeliest[rows])
        return distillation_loss(logits, soft[rows], likeliest[rows], temperature, weight=1.0)

    student = compress.fresh_model(compress.SmallCNN, seed)
    return compress.train(student, loss, 1, compress.chosen()["small"], seed, part="unlabelled")


def small_in_two(seed: int) -> nn.Module:
    """Return a small CNN, trained in two parts like a network that is fine-tuned."""
    rate = compress.chosen()["small"]
    model = compress.train(
        compress.fresh_model(compress.SmallCNN, seed), compress.labels(), compress.EPOCHS, rate, seed
    )
    return compress.fine_tuned(model, seed)


def least_error_scale(weight: Tensor, bits: int) -> Tensor:
    """Return the scale of least squared error for each output, among fractions of the symmetric one."""
    greatest, largest = 2 ** (bits - 1) - 1, symmetric_scale(weight, bits)
    dims = tuple(range(1, weight.ndim))
    scales = torch.stack([fraction * largest for fraction in FRACTIONS])
    errors = torch.stack(
        [
            (dequantize(quantize(weight, scale, span=(-greatest, greatest)), scale) - weight).square().sum(dims, True)
            for scale in scales
        ]
    )
    return scales.gather(0, errors.argmin(0, keepdim=True))[0]


def rounded_with_least_error(bits: int, seed: int) -> nn.Module:
    """Return the CNN of the book with weights of few bits, rounded after training with the better scale."""
    model: Any = compress.rounded(compress.large(seed), 8)
    for layer in (model.conv1, model.conv2, model.hidden, model.output):
        weight, greatest = layer.parametrizations.weight.original.detach(), 2 ** (bits - 1) - 1
        nn.utils.parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        scale = least_error_scale(weight, bits)
        layer.weight = nn.Parameter(dequantize(quantize(weight, scale, span=(-greatest, greatest)), scale))
    return model


ADDED = (
    "large",
    "small",
    "small, label smoothing",
    "halved, fine-tuned",
    "large, longer",
    "pruned, fine-tuned",
    "low rank, fine-tuned",
    "2 bits",
    "2 bits, trained",
    "3 bits, trained",
)
NEW: dict[str, Callable[[int], nn.Module]] = {
    "large, label smoothing": large_smoothed,
    "small, in two parts": small_in_two,
    "small, distilled on unlabelled": partial(taught, False),
    "small, likeliest classes on unlabelled": partial(taught, True),
    "2 bits, least error": partial(rounded_with_least_error, 2),
    "3 bits, least error": partial(rounded_with_least_error, 3),
}


def accuracy_row(make: Callable[[int], nn.Module], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the accuracy on the test set for each seed, in per cent."""
    y = compress.images()["test"][1]
    found = [(compress.answers(make(seed), "test").argmax(1) == y).double().mean().item() for seed in seeds]
    return {"seeds": list(seeds), "accuracy": [round(100 * value, 2) for value in found]}


CONTRASTS = (
    ("small, label smoothing", "large, label smoothing"),
    ("small, label smoothing", "large"),
    ("large, label smoothing", "large, longer"),
    ("small, label smoothing", "small"),
    ("small, in two parts", "small"),
    ("small, distilled on unlabelled", "small"),
    ("small, distilled on unlabelled", "small, label smoothing"),
    ("small, distilled on unlabelled", "small, likeliest classes on unlabelled"),
    ("small, distilled on unlabelled", "large, longer"),
    ("small, distilled on unlabelled", "large, label smoothing"),
    ("small, likeliest classes on unlabelled", "small, label smoothing"),
    ("halved, fine-tuned", "small"),
    ("halved, fine-tuned", "small, in two parts"),
    ("halved, fine-tuned", "small, label smoothing"),
    ("pruned, fine-tuned", "small"),
    ("pruned, fine-tuned", "small, label smoothing"),
    ("pruned, fine-tuned", "large, longer"),
    ("halved, fine-tuned", "pruned, fine-tuned"),
    ("low rank, fine-tuned", "small"),
    ("low rank, fine-tuned", "small, label smoothing"),
    ("low rank, fine-tuned", "large, longer"),
    ("2 bits, least error", "2 bits"),
    ("2 bits, trained", "2 bits, least error"),
    ("3 bits, trained", "3 bits, least error"),
    ("2 bits, trained", "large, longer"),
    ("int8 small, distilled", "2 bits, trained"),
    ("int8", "int8, full range"),
)


def contrasts(rows: dict[str, Any]) -> dict[str, Any]:
    """Return the intervals over seeds of differences of accuracy, in points, and the number of seeds."""
    by_seed: dict[str, dict[int, float]] = {}
    for name, row in fresh(compress.__file__).items():
        if "accuracy" in row:
            by_seed[name] = dict(zip(FIRST, row["accuracy"], strict=False))
    for name, row in rows.items():
        if "seeds" in row:
            by_seed.setdefault(name, {}).update(zip(row["seeds"], row["accuracy"], strict=True))
    found = {}
    for way, other in CONTRASTS:
        shared = sorted({*by_seed.get(way, {})} & {*by_seed.get(other, {})})
        if len(shared) > 1:
            first, second = (torch.tensor([by_seed[name][seed] for seed in shared]) for name in (way, other))
            gap = difference_over_seeds(first, second)
            ends = [round(value, 3) for value in (gap.low, gap.high, gap.estimate)]
            found[f"{way} - {other}"] = {"points": ends, "seeds": len(shared)}
    return {"contrasts": found}


# --- latency ----------------------------------------------------------------------------------------------------------


class ReluFirst(CNN):
    """The same function, with each ReLU before its pooling, where an engine can merge it with the convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.output(F.relu(self.hidden(x.flatten(1))))


def wide() -> nn.Module:
    """Return an MLP whose many weights are read for each batch, whatever its size."""
    layers = [nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)]
    return nn.Sequential(nn.Flatten(), *layers).eval()


def file_of(model: nn.Module, name: str) -> Path:
    """Export a model of images."""
    return compress.export(model.eval(), (compress.images()["test"][0][:2].contiguous(),), ["images"], name)


def sizes(first: Callable[[Tensor], Any], second: Callable[[Tensor], Any]) -> dict[str, Any]:
    """Return the ratio of latencies of two ways to prepare a call, for each size of batches."""
    x = compress.images()["test"][0]
    batches = {str(size): x[:size].contiguous() for size in SIZES}
    return {size: compress.ratio(first(batch), second(batch)) for size, batch in batches.items()}


def wide_latency() -> dict[str, Any]:
    """Return the ratio of an MLP in int8, quantised dynamically, to float."""
    path = file_of(wide(), "wide")
    goal = path.with_suffix(".int8.onnx")
    quantize_dynamic(path, goal, weight_type=QuantType.QInt8, reduce_range=True)
    return sizes(*(lambda x, file=file: compress.in_runtime(file, images=x) for file in (goal, path)))


def relu_latency() -> dict[str, Any]:
    """Return the ratio of the CNN in int8 with ReLU before pooling to the CNN in float."""
    torch.manual_seed(0)
    paths = [file_of(ReluFirst(), "relu-first"), file_of(CNN(), "as-it-is")]
    goal = paths[0].with_suffix(".int8.onnx")
    settings = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(paths[0], goal, compress.Calibration(), per_channel=True, reduce_range=True, **settings)
    return sizes(*(lambda x, file=file: compress.in_runtime(file, images=x) for file in (goal, paths[1])))


def engine_latency() -> dict[str, Any]:
    """Return the ratio of ONNX Runtime to PyTorch with channels last."""
    model: Any = compress.fresh_model(CNN, 0).eval()
    path = file_of(model, "engine")
    last = model.to(memory_format=torch.channels_last)
    return sizes(
        lambda x: compress.in_runtime(path, images=x),
        lambda x: compress.in_torch(last, x.contiguous(memory_format=torch.channels_last)),
    )


def sparse_latency() -> dict[str, Any]:
    """Return the ratio of a product with nine in ten weights zero, in a sparse format, to the dense one."""
    found = {}
    for outputs, inputs in ((64, 1600), (WIDTH, WIDTH)):
        weight = torch.randn(outputs, inputs) * (torch.rand(outputs, inputs) >= compress.PRUNED)
        with warnings.catch_warnings(action="ignore"):  # sparse tensors are in beta
            thin = weight.to_sparse_csr()
        for size in SIZES:
            x = torch.rand(inputs, size)
            calls = [lambda matrix=matrix, x=x: matrix @ x for matrix in (thin, weight)]
            found[f"{outputs} x {inputs}, {size}"] = compress.ratio(*calls)
    return found


ROWS: dict[str, Callable[[], Any]] = {
    way: partial(accuracy_row, make, MORE) for way, make in compress.WAYS.items() if way in ADDED
}
ROWS |= {way: partial(accuracy_row, make, FIRST + MORE) for way, make in NEW.items()}
ROWS |= {"latency MLP": wide_latency, "latency ReLU first": relu_latency, "latency channels last": engine_latency}
ROWS |= {"latency sparse": sparse_latency}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments, sum_up=contrasts)


if __name__ == "__main__":
    main()
