"""Whether what is called 80 % sure happens in 80 % of the cases: reliability, its error, Brier score, temperature."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def calibration_curve(
    confidence: Float[Tensor, " examples"], outcome: Bool[Tensor, " examples"], bins: int = 10
) -> tuple[Float[Tensor, " filled"], Float[Tensor, " filled"], Int[Tensor, " filled"]]:
    """Compare, bin by bin, the mean probability that was stated with how often the event happened.

    The bins are equally wide; a probability on an edge belongs to the bin below. Bins without examples are left out.

    Args:
        confidence: what the model says, from 0 to 1: of one class; or, with several, of the class that it chooses.
        outcome: whether the example is of that class.

    Returns:
        The mean probability, the share that happened, and the number of examples of each bin that has any.

    Source: DeGroot and Fienberg 1983.
    """
    _check_probability(confidence)
    if bins < 1:
        raise ValueError(f"bins must be at least 1: got {bins}")
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    place = torch.bucketize(confidence.double().contiguous(), edges[1:-1])
    count = torch.bincount(place, minlength=bins)
    said, was = (torch.bincount(place, values.double(), minlength=bins) for values in (confidence, outcome))
    filled = count > 0
    return (said / count)[filled], (was / count)[filled], count[filled]


def expected_calibration_error(
    confidence: Float[Tensor, " examples"], outcome: Bool[Tensor, " examples"], bins: int = 10
) -> Float[Tensor, ""]:
    """Average over the examples how far, in their bin, the stated probability is from how often the event happened.

    It depends on the bins, and a model without any error still gets more than 0, from chance, above all on few
    examples.

    Args:
        confidence: what the model says, from 0 to 1: of one class; or, with several, of the class that it chooses.
        outcome: whether the example is of that class.

    Source: Naeini, Cooper and Hauskrecht 2015; book equation (6.5e).
    """
    said, was, count = calibration_curve(confidence, outcome, bins)
    return (count * (was - said).abs()).sum() / count.sum()


def brier_score(probability: Float[Tensor, " examples"], outcome: Bool[Tensor, " examples"]) -> Float[Tensor, ""]:
    """Average the squared difference between the stated probability and what happened, as 0 or 1.

    0 is perfect, and always saying 0.5 gets 0.25. It is lowest in expectation where the probability is the true one.
    With several classes, Brier's own score is the sum of this one over the classes.

    Source: Brier 1950.
    """
    _check_probability(probability)
    return (probability.double() - outcome.double()).square().mean()


@torch.no_grad()
def fit_temperature(logits: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]) -> float:
    """Find the number by which to divide scores before softmax so that the cross-entropy is lowest.

    Above 1, the model was too sure of itself. The order of the classes, hence the accuracy, stays as it was. To be
    found on data that the model was not trained on, and that does not serve as the test.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.

    Returns:
        The temperature. The slope of the cross-entropy in its inverse only rises, and changes sign there.

    Source: Guo et al. 2017.
    """
    if not len(logits):
        raise ValueError("logits must hold at least one example: got none")
    s = logits.double()
    right = s.gather(1, target[:, None])[:, 0]

    def slope(inverse: float) -> float:
        return ((inverse * s).softmax(-1) * s).sum(-1).sub(right).mean().item()

    low, high = 1e-4, 1e4  # of the inverse
    if not slope(low) < 0 < slope(high):
        trouble = "no better than chance" if slope(low) >= 0 else "never wrong"
        raise ValueError(f"logits must be better than chance and wrong at times, or no temperature fits: {trouble}")
    while high / low > 1 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / low


def _check_probability(probability: Float[Tensor, " examples"]) -> None:
    """Refuse what holds no probabilities."""
    if not len(probability) or not ((probability >= 0) & (probability <= 1)).all():
        got = f"{probability.min()} to {probability.max()}" if len(probability) else "none"
        raise ValueError(f"probability must hold one or more numbers from 0 to 1: got {got}")
