"""Ranking metrics: ROC curve, precision–recall curve, and the areas under them.

All are computed, and returned, on the CPU.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dlbook._check import (
    check_bool,
    check_floating,
    check_no_nan,
    check_same_shape,
    check_shape,
)


def counts_above(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[
    Float[Tensor, " thresholds"], Int[Tensor, " thresholds"], Int[Tensor, " thresholds"]
]:
    """Return each threshold with its numbers of true and of false positives.

    The thresholds are the scores that occur, each once, from the highest down: examples
    of one score are on the same side of any threshold.

    Args:
        scores: one number for each example, higher where it is rather positive; a
            probability is not needed.
        positive: True where the example is of the class in question.

    Returns:
        The thresholds, and how many positive and how many negative examples score at or
        above each.

    Raises:
        TypeError: scores is not floating point, or positive not bool.
        ValueError: The shapes differ, there is no example, or a score is NaN.
    """
    _check_scores(scores, positive)
    scores, positive = scores.cpu(), positive.cpu()
    thresholds, index = scores.unique(return_inverse=True)  # the lowest first
    true_positives, false_positives = (
        torch.bincount(index[chosen], minlength=len(thresholds)).flip(0).cumsum(0)
        for chosen in (positive, ~positive)
    )
    return thresholds.flip(0), true_positives, false_positives


def roc_curve(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[
    Float[Tensor, " points"], Float[Tensor, " points"], Float[Tensor, " points"]
]:
    """Return the receiver operating characteristic (ROC) curve.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; both kinds must
            occur.

    Returns:
        The false positive rate, the true positive rate and the thresholds, from
        infinity, which no score reaches, down to the lowest score.

    Raises:
        TypeError: scores is not floating point, or positive not bool.
        ValueError: The shapes differ, a score is NaN, or there is one kind alone.

    Source: Fawcett 2006.
    """
    thresholds, true_positives, false_positives = counts_above(scores, positive)
    if not 0 < true_positives[-1] < len(scores):
        raise ValueError(
            "positive must hold both kinds: "
            f"got {int(true_positives[-1])} True of {len(scores)}"
        )
    false_positive_rate, true_positive_rate = (
        _prepend(0.0, counts / counts[-1].double())
        for counts in (false_positives, true_positives)
    )
    return false_positive_rate, true_positive_rate, _prepend(math.inf, thresholds)


def roc_auc(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> Float[Tensor, ""]:
    """Return the area under the ROC curve; 0.5 is chance.

    It is the probability that a positive example scores higher than a negative one, a
    tie counting one half.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; both kinds must
            occur.

    Raises:
        TypeError: scores is not floating point, or positive not bool.
        ValueError: The shapes differ, a score is NaN, or there is one kind alone.

    Source: Hanley and McNeil 1982; book equation (6.5c).
    """
    false_positive_rate, true_positive_rate, _ = roc_curve(scores, positive)
    return torch.trapezoid(true_positive_rate, false_positive_rate)


def precision_recall_curve(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[
    Float[Tensor, " points"], Float[Tensor, " points"], Float[Tensor, " points"]
]:
    """Return the precision–recall curve.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; at least one must
            be.

    Returns:
        Precision, recall and the thresholds, from infinity down to the lowest score. No
        score reaches infinity: recall is 0 there and precision 0/0, which counts as 1,
        as in scikit-learn.

    Raises:
        TypeError: scores is not floating point, or positive not bool.
        ValueError: The shapes differ, a score is NaN, or no example is positive.
    """
    thresholds, true_positives, false_positives = counts_above(scores, positive)
    if not true_positives[-1]:
        raise ValueError(
            f"positive must hold at least one True: got none of {len(scores)}"
        )
    precision = true_positives.double() / (true_positives + false_positives)
    recall = true_positives / true_positives[-1].double()
    return (
        _prepend(1.0, precision),
        _prepend(0.0, recall),
        _prepend(math.inf, thresholds),
    )


def average_precision(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> Float[Tensor, ""]:
    """Return the average precision, the mean precision at each positive example.

    Scores without any information come to about the fraction of positive examples.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; at least one must
            be.

    Raises:
        TypeError: scores is not floating point, or positive not bool.
        ValueError: The shapes differ, a score is NaN, or no example is positive.

    Source: Davis and Goadrich 2006; book equation (6.5d).
    """
    precision, recall, _ = precision_recall_curve(scores, positive)
    return (recall.diff() * precision[1:]).sum()


def _prepend(value: float, rest: Float[Tensor, " points"]) -> Float[Tensor, " more"]:
    """Return numbers with another one in front."""
    return torch.cat([rest.new_tensor([value]), rest])


def _check_scores(scores: Tensor, positive: Tensor) -> None:
    """Refuse scores that cannot be ordered, and labels that are not their own."""
    check_shape("scores", scores, "examples")
    check_floating(scores=scores)
    check_same_shape(scores=scores, positive=positive)
    check_bool(positive=positive)
    if not len(scores):
        raise ValueError("scores must hold at least one example: got none")
    check_no_nan(scores=scores)
