"""Committed rivals on little data: still what a short run gives, what the chapter shows, and the same draws."""

import numpy as np
import pytest
import torch

from benchmarks import little_data_rivals, store
from dlbook.metrics.paired import difference_over_seeds
from tests.helpers.chapters import measured

RIVALS = {
    "images: HOG, squares of 7 pixels, not pixels": ("images 100", "HOG 7 - pixels"),
    "images: HOG, squares of 4 pixels, not pixels": ("images 100", "HOG 4 - pixels"),
}


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/little-data", "little_data")
    stored = store.load("little_data_rivals")
    assert found["rivals"] == {
        label: [round(v, 3) for v in stored[row]["differences"][pair]] for label, (row, pair) in RIVALS.items()
    }
    assert found["hog"] == {
        count: round(sum(stored[f"images {count}"]["HOG 7"]) / len(stored[f"images {count}"]["HOG 7"]), 3)
        for count in little_data_rivals.IMAGE_DRAWS
    }


def test_a_short_row_again():
    assert little_data_rivals.short() == pytest.approx(store.load("little_data_rivals")["short"], abs=0.02)


@pytest.mark.parametrize("count", little_data_rivals.IMAGE_DRAWS)
def test_the_draws_are_those_of_the_other_script(count):
    ours, theirs = (store.load(name)[f"images {count}"]["pixels"] for name in ("little_data_rivals", "little_data"))
    assert ours == pytest.approx(theirs, abs=0.005)


def test_gradients_are_not_separated_from_the_best_encoder_as_the_chapter_says():
    ours = torch.tensor(store.load("little_data_rivals")["images 100"]["HOG 7"])
    encoder = torch.tensor(store.load("little_data_controls")["images 100"]["112 px, logistic"])
    assert difference_over_seeds(ours, encoder).contains(0)


def test_gradients_of_an_edge_have_its_direction_and_place():
    x = np.zeros((1, 8, 8))
    x[:, :, 2:] = 1  # dark on the left: the brightness changes along the rows, between the second pixel and the third
    found = little_data_rivals.hog(x, 4).reshape(2, 2, 8) ** 2
    assert found.sum() == pytest.approx(1)
    inner = found[:, 0]  # the left cells, which hold the edge and no border but the upper and the lower one
    assert (inner[:, 0] > 2 * inner[:, 1:].sum(1)).all()


def test_gradients_do_not_change_with_contrast():
    x = np.random.default_rng(0).random((3, 28, 28))
    assert little_data_rivals.hog(5 * x, 7) == pytest.approx(little_data_rivals.hog(x, 7), abs=1e-6)
    assert little_data_rivals.hog(x, 7).shape == (3, 128)


def test_shuffled_texts_keep_their_words():
    texts = ["a film of great charm", "dull"]
    again = little_data_rivals.shuffled(texts, seed=1)
    assert [sorted(text.split()) for text in again] == [sorted(text.split()) for text in texts]
