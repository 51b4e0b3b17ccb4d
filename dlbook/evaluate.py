"""How good are the predictions: accuracy, the confusion matrix, and how far chance alone could move a mean."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def accuracy(scores: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Return the share of examples whose highest score is that of the right class; the first of equal scores counts."""
    return (scores.argmax(-1) == target).float().mean()


def confusion_matrix(
    target: Int[Tensor, " examples"], predicted: Int[Tensor, " examples"], classes: int
) -> Int[Tensor, "classes classes"]:
    """Count how often class i (row) was taken for class j (column)."""
    labels = torch.cat([target, predicted])
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must lie between 0 and classes - 1 = {classes - 1}: got {labels.min()} to {labels.max()}"
        )
    return torch.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes)


def bootstrap_interval(
    values: Float[Tensor, " examples"], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Say how far the mean of the values would move if other examples had been drawn.

    Args:
        values: one number for each test example, such as 1.0 where the prediction was right.
        level: the share of resampled means that lie inside.

    Returns:
        The lower and the upper end of the percentile interval.

    Source: Efron 1979.
    """
    if len(values) < 2:
        raise ValueError(f"values must hold at least 2 examples: got {len(values)}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randint(len(values), (len(values),), generator=generator) for _ in range(resamples))
    means = torch.stack([values[draw].mean() for draw in draws])
    low, high = means.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=means.dtype)).tolist()
    return low, high
