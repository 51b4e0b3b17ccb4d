"""Ranking: equal to scikit-learn and torchmetrics, ties included; unmoved by what keeps the order."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch.testing import assert_close
from torchmetrics.functional import classification

from dlbook.metrics import ranking
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


def drawn(levels):
    """Draw scores, many of them equal, and labels of both kinds."""
    score = st.integers(0, levels)
    some = st.lists(st.tuples(score, st.booleans()), max_size=40)
    return st.builds(lambda rows, a, b: [*rows, (a, True), (b, False)], some, score, score)


def tensors(rows, levels):
    scores, positive = zip(*rows, strict=True)
    return tensor(scores) / levels, torch.tensor(positive)


@reference("dlbook.metrics.ranking.roc_curve", to="sklearn.metrics.roc_curve")
@reference("dlbook.metrics.ranking.roc_auc", to="sklearn.metrics.roc_auc_score")
@reference("dlbook.metrics.ranking.precision_recall_curve", to="sklearn.metrics.precision_recall_curve")
@reference("dlbook.metrics.ranking.average_precision", to="sklearn.metrics.average_precision_score")
@settings(max_examples=20)
@given(st.sampled_from([1, 4, 1000]).flatmap(lambda levels: st.tuples(st.just(levels), drawn(levels))))
def test_equal_to_scikit_learn_and_torchmetrics(example):
    levels, rows = example
    scores, positive = tensors(rows, levels)
    ours = ranking.roc_curve(scores, positive)
    for mine, yours in zip(ours, metrics.roc_curve(positive, scores, drop_intermediate=False), strict=True):
        assert_close(mine, tensor(yours))
    area, average = ranking.roc_auc(scores, positive), ranking.average_precision(scores, positive)
    assert area.item() == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert average.item() == pytest.approx(metrics.average_precision_score(positive, scores))

    precision, recall, thresholds = ranking.precision_recall_curve(scores, positive)
    theirs = metrics.precision_recall_curve(positive, scores)
    assert_close(precision.flip(0), tensor(theirs[0].copy()))
    assert_close(recall.flip(0), tensor(theirs[1].copy()))
    assert_close(thresholds[1:].flip(0), tensor(theirs[2].copy()))
    assert thresholds[0] == math.inf

    target = positive.long()
    assert area.item() == pytest.approx(classification.binary_auroc(scores, target).item(), abs=1e-6)
    assert average.item() == pytest.approx(classification.binary_average_precision(scores, target).item(), abs=1e-6)
    false_rate, true_rate, _ = classification.binary_roc(scores, target)
    assert_close(ours[0].float(), false_rate.float())
    assert_close(ours[1].float(), true_rate.float())
    theirs = classification.binary_precision_recall_curve(scores, target)
    assert_close(precision.flip(0)[-len(theirs[0]) :].float(), theirs[0].float())
    assert_close(recall.flip(0)[-len(theirs[1]) :].float(), theirs[1].float())


@given(drawn(5))
def test_only_the_order_counts(rows):
    scores, positive = tensors(rows, 5)
    for measure in (ranking.roc_auc, ranking.average_precision):
        assert_close(measure(scores, positive), measure(torch.exp(3 * scores) - 7, positive))
    assert ranking.roc_auc(-scores, ~positive).item() == pytest.approx(ranking.roc_auc(scores, positive).item())
    assert ranking.roc_auc(-scores, positive).item() == pytest.approx(1 - ranking.roc_auc(scores, positive).item())


@given(drawn(4), st.integers(2, 5))
def test_more_of_the_others_move_precision_but_not_the_roc_curve(rows, times):
    scores, positive = tensors(rows, 4)
    more = torch.where(positive, 1, times)
    scores_more, positive_more = scores.repeat_interleave(more), positive.repeat_interleave(more)
    for mine, yours in zip(
        ranking.roc_curve(scores, positive), ranking.roc_curve(scores_more, positive_more), strict=True
    ):
        assert_close(mine, yours)
    assert ranking.average_precision(scores_more, positive_more) <= ranking.average_precision(scores, positive) + 1e-12


def test_extremes():
    positive = torch.tensor([True, True, False, False])
    perfect, constant = tensor([4, 3, 2, 1]), tensor([1, 1, 1, 1])
    for measure, chance in ((ranking.roc_auc, 0.5), (ranking.average_precision, 0.5)):
        assert measure(perfect, positive).item() == 1
        assert measure(constant, positive).item() == chance
    assert ranking.roc_auc(-perfect, positive).item() == 0
    assert ranking.average_precision(perfect, torch.tensor([True] * 4)).item() == 1  # without others, ROC has no curve
    assert ranking.roc_auc(tensor([math.inf, 0, 0, -math.inf]), positive).item() == 0.875


def test_counts_above():
    counts = ranking.counts_above(tensor([1, 3, 3, 2]), torch.tensor([True, True, False, False]))
    assert [count.tolist() for count in counts] == [[3, 2, 1], [1, 1, 2], [1, 2, 2]]


# --- equations --------------------------------------------------------------------------------------------------------


def with_ties():
    """Make scores of which many are equal: the scores, which are positive, and the names of the equations."""
    scores = torch.randint(5, (12,)).double()
    positive = scores + 2 * random(12) > 2
    either = [set((positive == kind).nonzero()[:, 0].add(1).tolist()) for kind in (True, False)]
    return scores, positive, {"s": scores, "P": either[0], "N": either[1]}


@executed("6.5c", of="dlbook.metrics.ranking.roc_auc")
def test_area_under_roc_as_printed(formula):
    scores, positive, names = with_ties()
    assert_close(ranking.roc_auc(scores, positive), tensor(formula(names)["AUC"]))


@executed("6.5d", of="dlbook.metrics.ranking.average_precision")
def test_average_precision_as_printed(formula):
    scores, positive, names = with_ties()
    assert_close(ranking.average_precision(scores, positive), tensor(formula(names)["AP"]))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [ranking.roc_curve, ranking.precision_recall_curve])
@pytest.mark.parametrize(
    "scores, message",
    [
        ([], "scores must hold at least one example: got none"),
        ([1, math.nan], "scores must not hold NaN: got one at \\(1,\\)"),
    ],
)
def test_scores_that_cannot_be_ordered(function, scores, message):
    with pytest.raises(ValueError, match=message):
        function(tensor(scores), torch.ones(len(scores)).bool())


@pytest.mark.parametrize("kind, count", [(True, 3), (False, 0)])
def test_one_kind_alone_has_no_roc_curve(kind, count):
    for function in (ranking.roc_curve, ranking.roc_auc):
        with pytest.raises(ValueError, match=f"positive must hold both kinds: got {count} True of 3"):
            function(tensor([1, 2, 3]), torch.tensor([kind] * 3))


def test_recall_needs_a_positive():
    for function in (ranking.precision_recall_curve, ranking.average_precision):
        with pytest.raises(ValueError, match="positive must hold at least one True: got none of 2"):
            function(tensor([1, 2]), torch.tensor([False, False]))
