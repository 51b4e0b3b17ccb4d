"""Distillation on images without labels: each way measured small, with as many updates, and what the chapter shows."""

import pytest

from benchmarks import compress, distillation, store
from tests.benchmarks.test_compress import tiny
from tests.helpers.chapters import measured

__all__ = ["tiny"]


def test_the_chapter_has_what_is_stored():
    found = measured("book/challenges/deployment-cost", "distillation")["longer"]
    stored = store.load("distillation")
    assert found == {way: stored[way]["accuracy"] for way in distillation.WAYS}


@pytest.mark.parametrize("way", [*distillation.WAYS])
def test_each_way(tiny, monkeypatch, way):
    monkeypatch.setattr(distillation, "SEEDS", (0, 1))
    found = distillation.accuracy_row(distillation.WAYS[way], distillation.SEEDS)
    assert found["seeds"] == [0, 1] and all(0 <= value <= 100 for value in found["accuracy"])


def test_all_students_make_as_many_updates(tiny, monkeypatch):
    counts = []

    def train(model, loss, epochs, lr, seed, hook=None, part="train"):
        if isinstance(model, compress.SmallCNN):
            counts.append(epochs * len(compress.images()[part][0]))
        return model.eval()

    monkeypatch.setattr(compress, "train", train)
    for way in ("probabilities", "likeliest classes", "label smoothing"):
        distillation.WAYS[way](0)
    assert counts == [3 * 400] * 3


def test_contrasts_are_of_all_pairs_over_seeds():
    accuracies = {"a": [80.0, 81.0], "b": [79.0, 80.0], "c": [80.0, 83.0]}
    rows = {name: {"accuracy": values} for name, values in accuracies.items()}
    found = distillation.contrasts(rows)["contrasts"]
    assert set(found) == {"a - b", "a - c", "b - c"}
    assert found["a - b"] == [1.0, 1.0, 1.0] and found["b - c"][2] == -2.0
