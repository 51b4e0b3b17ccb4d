"""How good are the predictions: accuracy, the confusion matrix and what is made of it, how far chance moves a mean."""

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


def precision(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return which share of what was taken for each class is of that class; 0 for a class that nothing was taken for.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: book equation (6.5a).
    """
    return matrix.diagonal().double() / matrix.sum(0).clamp(min=1)


def recall(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return which share of each class was taken for what it is; 0 for a class that does not occur.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: book equation (6.5a).
    """
    return matrix.diagonal().double() / matrix.sum(1).clamp(min=1)


def f1(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return the harmonic mean of precision and recall of each class; 0 for a class without a hit.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: van Rijsbergen 1979; book equation (6.5b).
    """
    return 2 * matrix.diagonal().double() / (matrix.sum(0) + matrix.sum(1)).clamp(min=1)


def averaged(
    values: Float[Tensor, " classes"], matrix: Int[Tensor, "classes classes"], weighted: bool = False
) -> Float[Tensor, ""]:
    """Average a number for each class: every class the same, or, weighted, each as often as it occurs.

    A class that neither occurs nor was taken for another is left out. What scikit-learn calls the micro average is,
    where each example has one class, the accuracy.

    Args:
        values: such as `f1(matrix)`.
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.
    """
    check_counts(matrix)
    occurs, predicted = matrix.sum(1), matrix.sum(0)
    weights = occurs if weighted else occurs + predicted > 0
    return (weights * values).sum() / weights.sum()


def balanced_accuracy(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Average the recall of the classes that occur: the accuracy if all of them occurred equally often.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: Brodersen et al. 2010.
    """
    check_counts(matrix)
    return recall(matrix)[matrix.sum(1) > 0].mean()


def matthews_correlation(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Return the correlation of prediction and truth, from -1 to 1; 0 where one of them is always the same class.

    With two classes it is Pearson's correlation of the two columns of zeros and ones.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: Matthews 1975; for more than two classes Gorodkin 2004.
    """
    check_counts(matrix)
    counts = matrix.double()
    occurs, predicted, examples = counts.sum(1), counts.sum(0), counts.sum()
    covariance = examples * counts.trace() - occurs @ predicted
    variances = (examples**2 - occurs @ occurs) * (examples**2 - predicted @ predicted)
    return covariance / variances.sqrt() if variances > 0 else torch.zeros_like(covariance)


def check_counts(matrix: Int[Tensor, "classes classes"]) -> None:
    """Refuse a matrix from which no average can be taken."""
    if not matrix.any():
        raise ValueError(f"matrix must count at least one example: got none in {len(matrix)} classes")


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
