"""Calibration: its curve and error, the Brier score, temperature scaling."""

import math

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from dlbook._check import (
    check_bool,
    check_floating,
    check_integer,
    check_no_nan,
    check_same_shape,
    check_shape,
)
from dlbook._float64 import float64_on_cpu


@float64_on_cpu
def calibration_curve(
    confidence: Float[Tensor, " examples"],
    outcome: Bool[Tensor, " examples"],
    n_bins: int = 10,
) -> tuple[Float[Tensor, " filled"], Float[Tensor, " filled"], Int[Tensor, " filled"]]:
    """Return the calibration curve (reliability diagram): bins of similar confidence.

    The bins are equally wide; a confidence on an edge belongs to the bin below. Bins
    without examples are left out.

    Args:
        confidence: the predicted probability, from 0 to 1, of one class; or, with
            several, of the class that is predicted.
        outcome: whether the example is of that class.
        n_bins: how many bins there are between 0 and 1.

    Returns:
        The mean confidence, the frequency of a true outcome, and the number of examples
        of each bin that has any.

    Raises:
        TypeError: confidence is not floating point, or outcome not bool.
        ValueError: The shapes differ, there is no example, a confidence is no
            probability, or n_bins is less than 1.

    Source: DeGroot and Fienberg 1983.
    """
    _check_confidence(confidence, outcome)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1: got {n_bins}")
    edges = torch.linspace(
        0, 1, n_bins + 1, dtype=torch.float64, device=confidence.device
    )
    index = torch.bucketize(confidence.double().contiguous(), edges[1:-1])
    count = torch.bincount(index, minlength=n_bins)
    sum_confidence, sum_outcome = (
        torch.bincount(index, values.double(), minlength=n_bins)
        for values in (confidence, outcome)
    )
    filled = count > 0
    return (
        (sum_confidence / count)[filled],
        (sum_outcome / count)[filled],
        count[filled],
    )


def expected_calibration_error(
    confidence: Float[Tensor, " examples"],
    outcome: Bool[Tensor, " examples"],
    n_bins: int = 10,
) -> Float[Tensor, ""]:
    """Return the expected calibration error (ECE), the mean gap of the curve.

    It depends on the bins, and a perfectly calibrated model still gets more than 0, by
    chance, above all on few examples.

    Args:
        confidence: the predicted probability, from 0 to 1, of one class; or, with
            several, of the class that is predicted.
        outcome: whether the example is of that class.
        n_bins: how many bins there are between 0 and 1.

    Raises:
        TypeError: confidence is not floating point, or outcome not bool.
        ValueError: The shapes differ, there is no example, a confidence is no
            probability, or n_bins is less than 1.

    Source: Naeini, Cooper and Hauskrecht 2015; book equation (6.5e).
    """
    mean_confidence, frequency, count = calibration_curve(confidence, outcome, n_bins)
    return (count * (frequency - mean_confidence).abs()).sum() / count.sum()


def brier_score(
    confidence: Float[Tensor, " examples"], outcome: Bool[Tensor, " examples"]
) -> Float[Tensor, ""]:
    """Return the Brier score: the mean squared error of confidence against 0 or 1.

    0 is perfect, and a constant 0.5 gets 0.25. It is least in expectation where the
    confidence is the true probability. With several classes, Brier's own score is the
    sum of this one over the classes.

    Args:
        confidence: the predicted probability, from 0 to 1, of one class.
        outcome: whether the example is of that class.

    Raises:
        TypeError: confidence is not floating point, or outcome not bool.
        ValueError: The shapes differ, there is no example, or a confidence is no
            probability.

    Source: Brier 1950.
    """
    _check_confidence(confidence, outcome)
    return (confidence.cpu().double() - outcome.cpu().double()).square().mean()


@torch.no_grad()
def fit_temperature(
    logits: Float[Tensor, "batch classes"], target: Integer[Tensor, " batch"]
) -> float:
    """Return the temperature that, dividing the logits, minimises the cross-entropy.

    Above 1, the model was overconfident. The order of the classes, hence the accuracy,
    stays as it was. Use examples that the model was not trained on, and that do not
    serve as the test set.

    Args:
        logits: one number for each class, before softmax; -inf rules a class out.
        target: the index of the right class of each example.

    Returns:
        The temperature. The derivative of the cross-entropy with respect to its inverse
        never falls, and changes its sign there.

    Raises:
        TypeError: logits is not floating point, or target holds no integers.
        ValueError: The shapes do not fit, a logit is NaN or +inf, a right class is
            ruled out, or no temperature is best: the logits are no better than chance,
            or never wrong.

    Source: Guo et al. 2017.
    """
    _check_temperature(logits, target)
    z = logits.cpu().double()
    ruled_out = z.isneginf()
    z = (z - z.amax(-1, keepdim=True)).masked_fill(ruled_out, 0)  # at most 0
    right = z.gather(1, target.cpu().long()[:, None])[:, 0]

    def slope(inverse: float) -> float:
        p = (inverse * z).masked_fill(ruled_out, -math.inf).softmax(-1)
        return ((p * z).sum(-1) - right).mean().item()

    if slope(0.0) >= 0 or not right.any():
        found = "no better than chance" if slope(0.0) >= 0 else "never wrong"
        raise ValueError(
            "logits must be better than chance and wrong at times, "
            f"or no temperature is best: got {found}"
        )
    low = high = 1.0  # of the inverse
    while slope(low) >= 0:
        low /= 2
    while slope(high) < 0:
        high *= 2
    while high / low > 1 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / low


def _check_confidence(confidence: Tensor, outcome: Tensor) -> None:
    """Refuse what holds no probabilities, and outcomes that are not theirs."""
    check_shape("confidence", confidence, "examples")
    check_floating(confidence=confidence)
    check_same_shape(confidence=confidence, outcome=outcome)
    check_bool(outcome=outcome)
    if not len(confidence) or not ((confidence >= 0) & (confidence <= 1)).all():
        got = "none"
        if len(confidence):
            got = f"{confidence.min()} to {confidence.max()}"
        raise ValueError(
            f"confidence must hold one or more numbers from 0 to 1: got {got}"
        )


def _check_temperature(logits: Tensor, target: Tensor) -> None:
    """Refuse logits whose cross-entropy is not finite."""
    check_shape("logits", logits, "batch", "classes")
    check_floating(logits=logits)
    check_shape("target", target, len(logits))
    check_integer(target=target)
    check_no_nan(logits=logits)
    if not logits.numel():
        raise ValueError("logits must hold at least one example: got none")
    if logits.isposinf().any():
        raise ValueError("logits must not hold +inf: got one")
    classes = logits.shape[1]
    if not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise ValueError(
            f"target must lie between 0 and classes - 1 = {classes - 1}: "
            f"got {target.min()} to {target.max()}"
        )
    ruled_out = logits.gather(1, target.long()[:, None]).isneginf()[:, 0]
    if ruled_out.any():
        raise ValueError(
            "target must not be a class that a logit of -inf rules out: "
            f"got one in row {int(ruled_out.nonzero()[0])}"
        )
