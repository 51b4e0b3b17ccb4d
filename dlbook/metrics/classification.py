"""Accuracy, the confusion matrix, and what is computed from it.

What is computed from counts is returned on the CPU, in float64.
"""

import torch
from jaxtyping import Float, Int, Int64, Integer
from torch import Tensor

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_same_shape,
    check_shape,
)


def accuracy(
    logits: Float[Tensor, "batch classes"], target: Integer[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Return the accuracy: the fraction of examples that are classified correctly.

    The class of the largest logit is predicted, the first one of equal logits.

    Args:
        logits: one number for each class; probabilities do as well.
        target: the index of the right class of each example.

    Raises:
        TypeError: logits is not floating point, or target holds no integers.
        ValueError: The shapes do not fit, a logit is NaN, or a target is no class.
    """
    _check_logits(logits, target)
    return (logits.argmax(-1) == target).float().mean()


def confusion_matrix(
    target: Integer[Tensor, " examples"],
    predicted: Integer[Tensor, " examples"],
    classes: int,
) -> Int64[Tensor, "classes classes"]:
    """Return the confusion matrix: how often class i (row) was predicted as j (column).

    Args:
        target: the right class of each example.
        predicted: the class that was predicted.
        classes: how many there are.

    Raises:
        TypeError: target or predicted holds no integers.
        ValueError: The shapes differ, or a label is not one of the classes.
    """
    check_shape("target", target, "examples")
    check_same_shape(target=target, predicted=predicted)
    _check_labels("target", target, classes)
    _check_labels("predicted", predicted, classes)
    cells = target.long() * classes + predicted.long()
    return torch.bincount(cells, minlength=classes**2).reshape(classes, classes)


def precision(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return the precision of each class; 0 for a class that was never predicted.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.

    Raises:
        TypeError: matrix holds no integers.
        ValueError: It is not square, or a count is negative.

    Source: book equation (6.5a).
    """
    counts = _counts(matrix)
    return counts.diagonal() / counts.sum(0).clamp(min=1)


def recall(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return the recall of each class; 0 for a class that does not occur.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.

    Raises:
        TypeError: matrix holds no integers.
        ValueError: It is not square, or a count is negative.

    Source: book equation (6.5a).
    """
    counts = _counts(matrix)
    return counts.diagonal() / counts.sum(1).clamp(min=1)


def f1(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return the F1 score of each class, the harmonic mean of precision and recall.

    It is 0 for a class without a true positive.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.

    Raises:
        TypeError: matrix holds no integers.
        ValueError: It is not square, or a count is negative.

    Source: van Rijsbergen 1979; book equation (6.5b).
    """
    counts = _counts(matrix)
    return 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1)).clamp(min=1)


def macro_average(
    values: Float[Tensor, " classes"],
    matrix: Int[Tensor, "classes classes"],
    weighted: bool = False,
) -> Float[Tensor, ""]:
    """Return the macro average of a number for each class, or the weighted average.

    A class that neither occurs nor was predicted is left out. The micro average is,
    where each example has one class, the accuracy.

    Args:
        values: such as `f1(matrix)`.
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.
        weighted: whether a class counts as often as it occurs, instead of once.

    Raises:
        TypeError: values is not floating point, or matrix holds no integers.
        ValueError: The shapes do not fit, a count is negative, or all are 0.
    """
    counts = _counts(matrix, least=1)
    check_shape("values", values, len(counts))
    check_floating(values=values)
    occurs, predicted = counts.sum(1), counts.sum(0)
    weights = occurs if weighted else (occurs + predicted > 0).double()
    return weights @ values.cpu().double() / weights.sum()


def balanced_accuracy(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Return the balanced accuracy: the mean recall of the classes that occur.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.

    Raises:
        TypeError: matrix holds no integers.
        ValueError: It is not square, a count is negative, or all are 0.

    Source: Brodersen et al. 2010.
    """
    counts = _counts(matrix, least=1)
    return recall(matrix)[counts.sum(1) > 0].mean()


def matthews_correlation(matrix: Int[Tensor, "classes classes"]) -> Float[Tensor, ""]:
    """Return Matthews' correlation coefficient of prediction and truth, in [-1, 1].

    It is 0 where one of them is always the same class. With two classes it is Pearson's
    correlation of the two columns of zeros and ones.

    Args:
        matrix: counts with the truth in rows, as `confusion_matrix` returns them.

    Raises:
        TypeError: matrix holds no integers.
        ValueError: It is not square, a count is negative, or all are 0.

    Source: Matthews 1975; for more than two classes Gorodkin 2004.
    """
    counts = _counts(matrix, least=1)
    occurs, predicted, examples = counts.sum(1), counts.sum(0), counts.sum()
    covariance = examples * counts.trace() - occurs @ predicted
    variances = (examples**2 - occurs @ occurs) * (examples**2 - predicted @ predicted)
    if variances == 0:
        return torch.zeros_like(covariance)
    return covariance / variances.sqrt()


def _check_logits(logits: Tensor, target: Tensor) -> None:
    """Refuse what has no largest logit, and targets that are not classes."""
    check_shape("logits", logits, "batch", "classes")
    check_floating(logits=logits)
    check_no_nan(logits=logits)
    check_shape("target", target, len(logits))
    _check_labels("target", target, logits.shape[1])


def _check_labels(name: str, labels: Tensor, classes: int) -> None:
    """Refuse labels that are not one of the classes, and fewer than one class."""
    if classes < 1:
        raise ValueError(f"classes must be at least 1: got {classes}")
    check_integer(**{name: labels})
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"{name} must lie between 0 and classes - 1 = {classes - 1}: "
            f"got {labels.min()} to {labels.max()}"
        )


def _counts(
    matrix: Int[Tensor, "classes classes"], least: int = 0
) -> Float[Tensor, "classes classes"]:
    """Return the counts of a confusion matrix; refuse what is none.

    Args:
        matrix: counts with the truth in rows.
        least: how many examples it must count.
    """
    check_shape("matrix", matrix, "classes", "classes")
    check_shape("matrix", matrix, len(matrix), len(matrix))
    check_integer(matrix=matrix)
    counts = matrix.cpu().double()  # not every GPU has float64
    if (counts < 0).any():
        raise ValueError(f"matrix must not be negative: got {int(counts.min())}")
    if counts.sum() < least:
        raise ValueError(
            f"matrix must count at least one example: got none in {len(matrix)} classes"
        )
    return counts
