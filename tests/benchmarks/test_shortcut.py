"""The benchmark of the chapter on interpretability: its scores by hand, and AUCs that follow from them."""

import pytest
import torch

from benchmarks import shortcut, store


def test_the_mark_is_planted_as_often_in_both_kinds():
    labels = torch.arange(400) % 10
    for only_shirts in (True, False):
        chosen = shortcut.choose(labels, 25, only_shirts, torch.Generator().manual_seed(0))
        assert chosen.sum() == 10
        assert (labels[chosen] == shortcut.SHIRT).all() == only_shirts


def test_a_corner_is_stamped_and_nothing_else():
    for corner in shortcut.CORNERS:
        marked = shortcut.stamp(torch.zeros(2, 1, 14, 14), corner)
        assert (marked.sum((1, 2, 3)) == 4).all()
        assert (marked[:, 0, corner[0], corner[1]] == 1).all()


def test_fractions_in_the_corners():
    even = torch.ones(10, 1, 14, 14)
    assert shortcut.in_corners(even) == pytest.approx(torch.full((10, 4), 4 / 196))
    inside = shortcut.in_corners(shortcut.stamp(0 * even, shortcut.CORNERS[2]))
    assert inside == pytest.approx(torch.tensor([0.0, 0, 1, 0]).expand(10, 4))
    assert (shortcut.in_corners(0 * even) == 0).all()  # blank maps


def test_two_summaries_of_one_rare_mark():
    labels = torch.arange(200) % 10
    inside = torch.zeros(200, 4)
    inside[10 * torch.arange(4), 3] = 0.5  # four of the twenty maps of class 0, in one corner
    assert shortcut.class_mean(inside, labels) == pytest.approx(0.1)
    assert shortcut.five_largest(inside, labels) == pytest.approx(0.4)


def test_recall_gap_by_hand():
    labels, marked = torch.zeros(8, dtype=torch.long), torch.arange(8) < 4
    predicted = torch.tensor([0, 0, 0, 0, 1, 1, 1, 0])  # recall 1 with the mark, 1/4 without
    error = (5 / 8 * 3 / 8 * (1 / 4 + 1 / 4)) ** 0.5
    assert shortcut.recall_gap(predicted, labels, marked) == pytest.approx(0.75 / error)
    assert shortcut.recall_gap(predicted, labels, ~marked) == 0


def test_explanations_of_a_network_that_reads_one_corner():
    model = shortcut.make()
    images, labels = torch.rand(20, 1, 14, 14), torch.arange(20) % 10
    found = shortcut.explain(model, images, labels)
    assert {name: inside.shape for name, inside in found.items()} == dict.fromkeys(found, (20, 4))
    with torch.no_grad():
        model[6].weight.view(10, 24, 7, 7)[:, :, 1:] = 0
        model[6].weight.view(10, 24, 7, 7)[:, :, :, 1:] = 0  # the upper left position alone is left
    hires = shortcut.explain(model, images, labels)["HiResCAM"]
    assert ((hires[:, 0] > 0.999) | (hires.sum(1) == 0)).all()
    assert (hires[:, 0] > 0.999).any()


def test_wins_count_ties_one_half():
    won = shortcut.wins({"shortcut": [1.0, 2.0], "control": [0.0, 1.0, 3.0]})
    assert won.tolist() == [[1, 0.5, 0], [1, 1, 0]]


def test_stored_aucs_follow_from_the_stored_values():
    stored = store.load("shortcut")
    assert [name for name in stored if name != "made"] == [f"{rate} %" for rate in shortcut.RATES]
    for rate in shortcut.RATES:
        for score in stored[f"{rate} %"].values():
            assert {kind: len(some) for kind, some in score["values"].items()} == {"shortcut": 20, "control": 40}
            assert score["auc"] == pytest.approx(shortcut.wins(score["values"]).mean().item())
