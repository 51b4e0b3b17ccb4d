"""Controls of compression: each kind of row measured small, and how accuracies of two files are joined."""

import pytest
import torch

from benchmarks import compress, compress_controls, store
from dlbook.practice.compress import dequantize, quantize, symmetric_scale
from tests.benchmarks.test_compress import tiny
from tests.helpers.chapters import measured

__all__ = ["tiny"]


def test_the_chapter_has_what_is_stored():
    found = measured("book/challenges/deployment-cost", "compress_controls")["more"]
    stored = {way: row for way, row in store.load("compress_controls").items() if "seeds" in row}
    assert found == {way: row["accuracy"] for way, row in stored.items()}
    assert set(found) == {*compress_controls.ADDED, *compress_controls.NEW}


@pytest.mark.parametrize("way", [*compress_controls.NEW])
def test_each_new_way(tiny, way):
    found = compress_controls.accuracy_row(compress_controls.NEW[way], (0, 1))
    assert found["seeds"] == [0, 1] and all(0 <= value <= 100 for value in found["accuracy"])


def test_a_way_of_the_benchmark_on_other_seeds(tiny):
    found = compress_controls.accuracy_row(compress.WAYS["small"], (3,))
    again = compress.answers(compress.WAYS["small"](3), "test").argmax(1) == compress.images()["test"][1]
    assert found["accuracy"] == [round(100 * again.double().mean().item(), 2)]


def test_no_scale_has_a_smaller_error():
    weight = torch.randn(5, 40)
    for bits in (2, 3):
        greatest = 2 ** (bits - 1) - 1

        def error(scale, greatest=greatest):
            back = dequantize(quantize(weight, scale, span=(-greatest, greatest)), scale)
            return (back - weight).square().sum(1)

        largest = symmetric_scale(weight, bits)
        best = error(compress_controls.least_error_scale(weight, bits))
        assert all((best <= error(fraction * largest)).all() for fraction in compress_controls.FRACTIONS)
        assert (best < error(largest)).any()


def test_rounding_leaves_few_values(tiny):
    model = compress_controls.few_bits_afterwards(2, 0)
    assert all(len(row.unique()) <= 3 for row in model.conv2.weight.flatten(1))


def test_training_with_rounding_keeps_its_scale_and_finer_ends(tiny):
    scale = compress_controls.least_error_scale(compress.large(0).conv2.weight.detach(), 2)
    model = compress_controls.few_bits_in_training(2, 0)
    assert torch.allclose(model.conv2.weight.abs().amax((1, 2, 3), keepdim=True), scale)
    assert all(len(row.unique()) <= 3 for row in model.hidden.weight)
    assert all(len(row.unique()) > 3 for row in model.output.weight)
    assert not torch.equal(model.conv2.parametrizations.weight.original, compress.large(0).conv2.weight)


def test_relu_and_pooling_commute():
    torch.manual_seed(0)
    model = compress_controls.ReluFirst()
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(model(x), compress_controls.CNN.forward(model, x))


def test_latencies(tiny, monkeypatch):
    monkeypatch.setattr(compress_controls, "WIDTH", 16)
    monkeypatch.setattr(compress_controls, "SIZES", (1, 2))
    kinds = ("latency MLP", "latency ReLU first", "latency channels last", "latency sparse")
    for kind in kinds:
        for found in compress_controls.ROWS[kind]().values():
            low, high, middle = found["ratio"]
            assert 0 <= low <= middle <= high and min(found["first"]) > 0
