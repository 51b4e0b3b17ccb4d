"""Committed controls on little data: still what a short run gives, what the chapter shows, and the same draws."""

import pytest

from benchmarks import little_data_controls, store
from tests.helpers.chapters import measured

CONTROLS = {
    "reviews: MiniLM's word vectors, not TF-IDF": ("texts 100", "word vectors - TF-IDF"),
    "reviews: MiniLM, not its word vectors": ("texts 100", "MiniLM - word vectors"),
    "images: ImageNet, 64 px, SVM, not pixels": ("images 100", "64 px, SVM - pixels, SVM"),
    "images: ImageNet, 112 px, logistic, not pixels": ("images 100", "112 px, logistic - pixels, SVM"),
}


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/little-data", "little_data")
    stored = store.load("little_data_controls")
    assert found["controls"] == {
        label: [round(v, 3) for v in stored[row]["differences"][pair]] for label, (row, pair) in CONTROLS.items()
    }


def test_a_short_row_again():
    stored = store.load("little_data_controls")["short"]
    assert little_data_controls.short() == pytest.approx(stored, abs=0.02)


def test_the_draws_are_those_of_the_other_script():
    ours, theirs = (store.load(name)["images 100"] for name in ("little_data_controls", "little_data"))
    for one, other in (("pixels, SVM", "pixels"), ("64 px, SVM", "ImageNet")):
        assert ours[one] == pytest.approx(theirs[other], abs=0.005)


@pytest.mark.parametrize("name", ["64 px, logistic", "112 px, SVM"])
def test_either_change_alone_is_not_separated_as_the_chapter_says(name):
    low, high, _ = store.load("little_data_controls")["images 100"]["differences"][f"{name} - pixels, SVM"]
    assert low < 0 < high
