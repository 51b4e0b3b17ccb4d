"""How good are the predictions: accuracy, the confusion matrix and what is made of it, how far chance moves a mean."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def accuracy(logits: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Return the share of examples whose highest score is that of the right class; the first of equal scores counts."""
    return (logits.argmax(-1) == target).float().mean()


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


def macro_average(
    values: Float[Tensor, " classes"], matrix: Int[Tensor, "classes classes"], weighted: bool = False
) -> Float[Tensor, ""]:
    """Average a number for each class: every class the same, or, weighted, each as often as it occurs.

    A class that neither occurs nor was taken for another is left out. What scikit-learn calls the micro average is,
    where each example has one class, the accuracy.

    Args:
        values: such as `f1(matrix)`.
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.
    """
    _check_counts(matrix)
    occurs, predicted = matrix.sum(1), matrix.sum(0)
    weights = occurs if weighted else occurs + predicted > 0
    return (weights * values).sum() / weights.sum()


def balanced_accuracy(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Average the recall of the classes that occur: the accuracy if all of them occurred equally often.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: Brodersen et al. 2010.
    """
    _check_counts(matrix)
    return recall(matrix)[matrix.sum(1) > 0].mean()


def matthews_correlation(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Return the correlation of prediction and truth, from -1 to 1; 0 where one of them is always the same class.

    With two classes it is Pearson's correlation of the two columns of zeros and ones.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` gives them.

    Source: Matthews 1975; for more than two classes Gorodkin 2004.
    """
    _check_counts(matrix)
    counts = matrix.double()
    occurs, predicted, examples = counts.sum(1), counts.sum(0), counts.sum()
    covariance = examples * counts.trace() - occurs @ predicted
    variances = (examples**2 - occurs @ occurs) * (examples**2 - predicted @ predicted)
    return covariance / variances.sqrt() if variances > 0 else torch.zeros_like(covariance)


def _check_counts(matrix: Int[Tensor, "classes classes"]) -> None:
    """Refuse a matrix from which no average can be taken."""
    if not matrix.any():
        raise ValueError(f"matrix must count at least one example: got none in {len(matrix)} classes")
