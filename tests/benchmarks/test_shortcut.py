"""The benchmark of the chapter on interpretability: its scores by hand, and counts that follow from them."""

import pytest
import torch

from benchmarks import shortcut, store


def test_the_mark_is_planted_as_often_in_both_kinds():
    labels = torch.arange(400) % 10
    for only_shirts in (True, False):
        chosen = shortcut.choose(labels, 25, only_shirts, torch.Generator().manual_seed(0))
        assert chosen.sum() == 10
        assert (labels[chosen] == shortcut.SHIRT).all() == only_shirts


def test_scores_by_hand():
    attribution, classes = torch.ones(10, 1, 14, 14), torch.arange(10)
    assert shortcut.corner_mass(attribution, classes) == pytest.approx(4 / 196)
    assert shortcut.corner_mass(shortcut.stamp(0 * attribution), classes) == pytest.approx(1)
    labels, marked = torch.zeros(8, dtype=torch.long), torch.arange(8) < 4
    predicted = torch.tensor([0, 0, 0, 0, 1, 1, 1, 0])  # recall 1 with the mark, 1/4 without
    error = (5 / 8 * 3 / 8 * (1 / 4 + 1 / 4)) ** 0.5
    assert shortcut.recall_gap(predicted, labels, marked) == pytest.approx(0.75 / error)
    assert shortcut.recall_gap(predicted, labels, ~marked) == 0


def test_stored_counts_follow_from_the_stored_values():
    stored = store.load("shortcut")
    assert [name for name in stored if name != "made"] == [f"{rate} %" for rate in shortcut.RATES]
    for rate in shortcut.RATES:
        for score in stored[f"{rate} %"].values():
            threshold = max(score["values"]["calibration"])
            for kind, count in score["caught"].items():
                values = score["values"][kind]
                assert len(values) == len(shortcut.SEEDS[kind])
                assert abs(sum(value > threshold for value in values) - count) <= 1  # values are rounded
