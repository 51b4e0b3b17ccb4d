"""How well scores put the examples of one class above all others: the ROC curve, precision and recall, their areas."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def counts_above(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[Float[Tensor, " thresholds"], Int[Tensor, " thresholds"], Int[Tensor, " thresholds"]]:
    """Count the positive and the other examples that score at or above each threshold, from the highest down.

    The thresholds are the scores that occur, each once: what has the same score is on the same side of any threshold.

    Args:
        scores: one number for each example, higher where it is rather positive; a probability is not needed.
        positive: True where the example is of the class in question.
    """
    if not len(scores) or scores.isnan().any():
        got = f"NaN at {int(scores.isnan().int().argmax())}" if len(scores) else "none"
        raise ValueError(f"scores must be one or more, and numbers: got {got}")
    thresholds, place = scores.unique(return_inverse=True)  # the lowest first
    hits, false_alarms = (
        torch.bincount(place[chosen], minlength=len(thresholds)).flip(0).cumsum(0) for chosen in (positive, ~positive)
    )
    return thresholds.flip(0), hits, false_alarms


def roc_curve(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"], Float[Tensor, " points"]]:
    """Return, for each threshold, the share of the others that reach it, and the share of the positive ones.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; both kinds must occur.

    Returns:
        The false positive rate, the true positive rate and the thresholds, from infinity (nothing reaches it) down to
        the lowest score (everything does).

    Source: Fawcett 2006.
    """
    thresholds, hits, false_alarms = counts_above(scores, positive)
    if not 0 < hits[-1] < len(scores):
        raise ValueError(f"positive must hold both kinds: got {int(hits[-1])} True of {len(scores)}")
    false_rate, true_rate = (_prepend(0.0, counts / counts[-1].double()) for counts in (false_alarms, hits))
    return false_rate, true_rate, _prepend(math.inf, thresholds)


def roc_auc(scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]) -> Float[Tensor, ""]:
    """Return how often a positive example scores higher than another, a tie counting one half; 0.5 is chance.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; both kinds must occur.

    Source: Hanley and McNeil 1982; book equation (6.5c).
    """
    false_rate, true_rate, _ = roc_curve(scores, positive)
    return torch.trapezoid(true_rate, false_rate)


def precision_recall_curve(
    scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]
) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"], Float[Tensor, " points"]]:
    """Return precision and recall for each threshold, if what reaches it is taken for positive.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; at least one must be.

    Returns:
        Precision, recall and the thresholds, from infinity down to the lowest score. Nothing reaches infinity: recall
        is 0 there and precision 0/0, which counts as 1, as in scikit-learn.
    """
    thresholds, hits, false_alarms = counts_above(scores, positive)
    if not hits[-1]:
        raise ValueError(f"positive must hold at least one True: got none of {len(scores)}")
    precision, recall = hits.double() / (hits + false_alarms), hits / hits[-1].double()
    return _prepend(1.0, precision), _prepend(0.0, recall), _prepend(math.inf, thresholds)


def average_precision(scores: Float[Tensor, " examples"], positive: Bool[Tensor, " examples"]) -> Float[Tensor, ""]:
    """Average the precision over the positive examples, each at the threshold that just takes it in.

    Scores without any information come to about the share of positive examples.

    Args:
        scores: one number for each example, higher where it is rather positive.
        positive: True where the example is of the class in question; at least one must be.

    Source: Davis and Goadrich 2006; book equation (6.5d).
    """
    precision, recall, _ = precision_recall_curve(scores, positive)
    return (recall.diff() * precision[1:]).sum()


def _prepend(value: float, rest: Float[Tensor, " points"]) -> Float[Tensor, " more"]:
    """Put a number in front of others."""
    return torch.cat([rest.new_tensor([value]), rest])
