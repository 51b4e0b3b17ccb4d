"""Committed results on little data: still what a short run gives, and what the chapter shows."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks import little_data, store
from tests.helpers.chapters import measured

EFFECTS = {
    "reviews: MiniLM, not TF-IDF": ("texts 100", "MiniLM - TF-IDF"),
    "reviews: LSA, not TF-IDF": ("texts 100", "LSA - TF-IDF"),
    "reviews: MiniLM fine-tuned, not frozen": ("fine-tuned 100", "fine-tuned - frozen"),
    "reviews: margin, not random": ("active texts", "margin - random"),
    "reviews: core-set, not random": ("active texts", "core-set - random"),
    "images: contrastive, not pixels": ("images 100", "contrastive - pixels"),
    "images: rotation, not pixels": ("images 100", "rotation - pixels"),
    "images: virtual examples": ("images 100", "augmented - pixels"),
    "images: network, augmented": ("networks 100", "network, augmented - network"),
    "images: pseudo-labels, threshold 0.9": ("pseudo 100", "pixels 0.9 - pixels"),
    "images: pseudo-labels, threshold 0.5": ("pseudo 100", "pixels 0.5 - pixels"),
    "images: margin, not random": ("active images", "margin - random"),
    "images: entropy, not random": ("active images", "entropy - random"),
    "images: core-set, not random": ("active images", "core-set - random"),
}


def in_the_chapter(stored):
    """Return what the chapter draws: mean accuracies, curves of active learning, intervals of differences."""

    def means(row):
        return {name: round(sum(v) / len(v), 3) for name, v in row.items() if name != "differences"}

    at = {
        kind: {count: means(stored[f"{kind} {count}"]) for count in counts}
        for kind, counts in (("texts", little_data.TEXT_DRAWS), ("images", little_data.IMAGE_DRAWS))
    }
    active = {
        title: {strategy: [round(v, 3) for v in curve] for strategy, curve in stored[name]["curves"].items()}
        for title, name in (("reviews, embeddings", "active texts"), ("images, pixels", "active images"))
    }
    effects = {label: [round(v, 3) for v in stored[row]["differences"][pair]] for label, (row, pair) in EFFECTS.items()}
    return at["texts"], at["images"], active, effects


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/little-data", "little_data")
    assert tuple(found[name] for name in ("texts", "images", "active", "effects")) == in_the_chapter(
        store.load("little_data")
    )


def test_a_short_row_again():
    assert little_data.short() == pytest.approx(store.load("little_data")["short"], abs=0.02)


def test_every_row_has_all_its_draws():
    stored = store.load("little_data")
    for kind, draws in (("texts", little_data.TEXT_DRAWS), ("images", little_data.IMAGE_DRAWS)):
        for count, many in draws.items():
            row = stored[f"{kind} {count}"]
            assert {len(values) for name, values in row.items() if name != "differences"} == {many}


def test_a_draw_is_balanced_and_grows():
    labels = np.arange(200) % 4
    rows = little_data.draw(labels, 20, seed=1)
    assert np.bincount(labels[rows]).tolist() == [5] * 4
    assert set(rows) <= set(little_data.draw(labels, 40, seed=1))


def test_copies_keep_the_image_and_move_it(monkeypatch):
    monkeypatch.setattr(little_data, "images", lambda: {"black": torch.tensor(-1.0)})
    x = torch.rand(2, 1, 5, 5)
    assert torch.equal(little_data.copies(x, 0), torch.cat([x, x.flip(3)]))
    many = little_data.copies(x, 1)
    assert len(many) == 20 and torch.equal(many[:2], x)
    assert torch.equal(many[4:6, :, 1:], x[:, :, :-1]) and (many[4:6, :, 0] == -1).all()


@pytest.mark.parametrize("strategy", ["random", "margin", "entropy", "least confidence", "core-set"])
def test_a_strategy_labels_as_many_in_each_round(monkeypatch, strategy):
    x, labels, sizes = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2, []

    class Counting(LogisticRegression):
        def fit(self, x, y):
            sizes.append(len(y))
            return super().fit(x, y)

    monkeypatch.setattr(little_data, "regression", lambda c: Counting(C=c))
    list(little_data.queried(x, labels, strategy, seed=0, count=10, c=1, rounds=3))
    assert sizes == [10, 20, 30]
