"""Controls of the benchmark of compression: more seeds, equal epochs and losses, a better scale, other latencies.

python -m benchmarks.compress_controls [rows…]

Settings are those that `benchmarks.compress` chose. Accuracies are of the seeds that it did not use; a control that is
new has its seeds as well. Latencies do not depend on what trained the weights, so these are random.
"""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from benchmarks import compress
from benchmarks.store import run
from dlbook.cnn import CNN
from dlbook.practice.compress import dequantize, distillation_loss, fake_quantize, quantize, symmetric_scale

FIRST, MORE = (0, 1, 2), (3, 4, 5)  # seeds of the benchmark, and those added
FRACTIONS = tuple(0.1 + 0.02 * step for step in range(46))  # of the largest magnitude: where a scale clips
WIDTH = 4096  # of an MLP with 80 MB of weights
SIZES = (1, 32)  # of batches


# --- accuracy ---------------------------------------------------------------------------------------------------------


def large_smoothed(epochs: int, seed: int) -> nn.Module:
    """Return the CNN of the book, trained with label smoothing."""
    rate = compress.chosen()["large"]
    return compress.train(compress.fresh_model(CNN, seed), compress.labels(0.1), epochs, rate, seed)


def halved_smoothed(seed: int) -> nn.Module:
    """Return a CNN that was trained, halved and fine-tuned, with label smoothing throughout."""
    model, rate = compress.halved(large_smoothed(compress.EPOCHS, seed)), compress.chosen()["fine"]
    return compress.train(model, compress.labels(0.1), compress.FINE, rate, 1_000 + seed)


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


class LeastError(nn.Module):
    """Round a weight to few bits in each forward pass, with the scale that had the least error at first."""

    def __init__(self, weight: Tensor, bits: int):
        super().__init__()
        self.greatest, self.scale = 2 ** (bits - 1) - 1, least_error_scale(weight.detach(), bits)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight."""
        return fake_quantize(weight, self.scale, span=(-self.greatest, self.greatest))


def rounded_with_least_error(model: Any, inner: int, ends: int) -> nn.Module:
    """Let a CNN compute with the better scale, and with so many bits in its inner layers and in the first and last."""
    model = copy.deepcopy(model)
    layers = {model.conv1: ends, model.conv2: inner, model.hidden: inner, model.output: ends}
    for layer, bits in layers.items():
        parametrize.register_parametrization(layer, "weight", LeastError(layer.weight, bits))
    return model


def few_bits_afterwards(bits: int, seed: int) -> nn.Module:
    """Return a CNN that was trained for all epochs, and rounded then."""
    return rounded_with_least_error(compress.WAYS["large, longer"](seed), bits, bits)


def few_bits_in_training(bits: int, seed: int) -> nn.Module:
    """Return a CNN that was fine-tuned with the better scale, and 8 bits in its first and last layer."""
    return compress.fine_tuned(rounded_with_least_error(compress.large(seed), bits, 8), seed)


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
    "large, label smoothing": partial(large_smoothed, compress.EPOCHS + compress.FINE),
    "halved, label smoothing": halved_smoothed,
    "small, distilled on unlabelled": partial(taught, False),
    "small, likeliest classes on unlabelled": partial(taught, True),
    "2 bits, least error": partial(few_bits_afterwards, 2),
    "3 bits, least error": partial(few_bits_afterwards, 3),
    "2 bits, trained with it": partial(few_bits_in_training, 2),
}


def accuracy_row(make: Callable[[int], nn.Module], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the accuracy on the test set for each seed, in per cent."""
    y = compress.images()["test"][1]
    found = [(compress.answers(make(seed), "test").argmax(1) == y).double().mean().item() for seed in seeds]
    return {"seeds": list(seeds), "accuracy": [round(100 * value, 2) for value in found]}


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
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
