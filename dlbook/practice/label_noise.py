"""Label noise: how labels go wrong, losses that withstand it, and confident learning.

A transition matrix says how likely each class is labelled as each other one. Confident
learning estimates from out-of-fold probabilities which labels are wrong.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn import functional as F

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_seed,
    check_shape,
    check_whole,
)

FitPredict = Callable[[Tensor, Tensor, Tensor], Tensor]


def uniform_noise(classes: int, p: float) -> Float[Tensor, "classes classes"]:
    """Return the transition matrix of uniform (symmetric) label noise.

    Args:
        classes: how many there are.
        p: the probability that a label is wrong; each other class is as likely.

    Raises:
        ValueError: There are fewer than 2 classes, or p is no probability.
    """
    check_whole(2, classes=classes)
    _check_rate(p)
    off = torch.full((classes, classes), p / (classes - 1), dtype=torch.float64)
    return off.fill_diagonal_(1 - p)


def pair_noise(
    classes: int, p: float, pairs: Iterable[tuple[int, int]]
) -> Float[Tensor, "classes classes"]:
    """Return the transition matrix of label noise between pairs of similar classes.

    Args:
        classes: how many there are.
        p: the probability that a label of a class in a pair is that of the other.
        pairs: of different classes, each class in one pair at most; the labels of a
            class in none are right.

    Raises:
        ValueError: There are fewer than 2 classes, p is no probability, or a class
            is in two pairs or unknown.
    """
    check_whole(2, classes=classes)
    _check_rate(p)
    pairs = [(int(first), int(second)) for first, second in pairs]
    every = [label for pair in pairs for label in pair]
    if len(set(every)) < len(every) or not set(every) <= set(range(classes)):
        raise ValueError(
            f"pairs must hold each class of 0 to {classes - 1} at most once: "
            f"got {pairs}"
        )
    transition = torch.eye(classes, dtype=torch.float64)
    for first, second in pairs:
        transition[first, [first, second]] = torch.tensor([1 - p, p]).double()
        transition[second, [first, second]] = torch.tensor([p, 1 - p]).double()
    return transition


def flip_labels(
    labels: Int64[Tensor, " examples"],
    transition: Float[Tensor, "classes classes"],
    seed: int = 0,
) -> Int64[Tensor, " examples"]:
    """Draw a noisy label for each example, from its true class's row.

    Args:
        labels: the true classes.
        transition: in row i and column j, the probability that class i is labelled j.
        seed: of the random numbers; the same seed and labels give the same result.

    Raises:
        TypeError: labels is not int64, or transition not floating point.
        ValueError: A row does not add up to 1, or a label is no class.

    Source: Natarajan et al. 2013; book equation (5.1.2a).
    """
    _check_transition(transition)
    _check_labels(labels, len(transition))
    check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(len(labels), 1, generator=generator, dtype=torch.float64)
    below = transition.cpu().double().cumsum(1)[labels.cpu()]  # (examples, classes)
    drawn = (draws >= below).sum(1).clamp(max=len(transition) - 1)
    return drawn.to(labels.device)


def generalized_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    target: Int64[Tensor, " batch"],
    q: float = 0.7,
) -> Float[Tensor, ""]:
    """Return the mean generalized cross-entropy (1 - p^q) / q of the label's p.

    Near q = 0 it is the cross-entropy; at q = 1 it is 1 - p, half of the absolute error
    of the probabilities, which tolerates uniform label noise.

    Args:
        logits: one number for each class, before softmax.
        target: the label of each example.
        q: above 0 and at most 1.

    Raises:
        TypeError: logits is not floating point, or target not int64.
        ValueError: The shapes do not fit, a target is no class, or q is out of range.

    Source: Zhang and Sabuncu 2018; book equation (5.1.2d).
    """
    check_shape("logits", logits, "batch", "classes")
    check_floating(logits=logits)
    _check_labels(target, logits.shape[1], len(logits), "target")
    if not 0 < q <= 1:
        raise ValueError(f"q must be above 0 and at most 1: got {q}")
    log_p = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    return -torch.expm1(q * log_p).mean() / q


def forward_corrected_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    target: Int64[Tensor, " batch"],
    transition: Float[Tensor, "classes classes"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy of noisy labels, predicted through the noise.

    The model's probabilities are those of the true classes; times the transition
    matrix, they are those of the labels.

    Args:
        logits: one number for each class, before softmax.
        target: the noisy label of each example.
        transition: in row i and column j, the probability that class i is labelled j.

    Raises:
        TypeError: logits or transition is not floating point, or target not int64.
        ValueError: The shapes do not fit, a row does not add up to 1, or a target is no
            class.

    Source: Patrini et al. 2017.
    """
    check_shape("logits", logits, "batch", "classes")
    check_floating(logits=logits)
    _check_transition(transition, logits.shape[1])
    _check_labels(target, logits.shape[1], len(logits), "target")
    noisy = logits.softmax(1) @ transition.to(logits)
    return F.nll_loss(noisy.clamp(min=torch.finfo(noisy.dtype).tiny).log(), target)


def out_of_fold(
    fit_predict: FitPredict,
    x: Tensor,
    labels: Int64[Tensor, " examples"],
    folds: int = 5,
    seed: int = 0,
) -> Float[Tensor, "examples classes"]:
    """Return for each example what a model predicts that was not trained on it.

    This is stratified cross-validation: each fold has about the same number of examples
    of each label.

    Args:
        fit_predict: called with the examples and labels to train on and the examples of
            the fold; returns a row of probabilities for each of the latter.
        x: the examples, along the first axis.
        labels: of each, perhaps wrong.
        folds: how many models are trained.
        seed: of the folds; the same seed and labels give the same folds.

    Raises:
        TypeError: labels is not int64, or folds no whole number.
        ValueError: The lengths differ, or a label occurs less often than `folds`.
    """
    _check_labels(labels, None, len(x))
    check_whole(2, folds=folds)
    check_seed(seed)
    least = int(labels.bincount()[labels.unique()].min()) if len(labels) else 0
    if least < folds:
        raise ValueError(
            f"labels must hold each at least {folds} times: got one {least} times"
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels.cpu()[order].argsort(stable=True)]  # by label, else at random
    fold = torch.empty(len(labels), dtype=torch.long)
    fold[order] = torch.arange(len(labels)) % folds
    result: Tensor | None = None
    for held_out in range(folds):
        rows = (fold == held_out).to(labels.device)
        predicted = fit_predict(x[~rows], labels[~rows], x[rows])
        if result is None:
            result = predicted.new_zeros(len(labels), predicted.shape[1])
        result[rows] = predicted
    assert result is not None
    return result


def self_confidence(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Float[Tensor, " examples"]:
    """Return the probability of each example's own label: exp of minus its loss.

    Args:
        probabilities: a row for each example, out of fold.
        labels: perhaps wrong; the lower the result, the more likely.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021.
    """
    _check_probabilities(probabilities, labels)
    return probabilities.gather(1, labels[:, None])[:, 0]


def normalized_margin(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Float[Tensor, " examples"]:
    """Return the margin of each label over the best other class, between 0 and 1.

    Args:
        probabilities: a row for each example, out of fold.
        labels: perhaps wrong; the lower the result, the more likely.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021.
    """
    own = self_confidence(probabilities, labels)
    others = probabilities.scatter(1, labels[:, None], -1.0).amax(1)
    return (own - others + 1) / 2


def confident_thresholds(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Float[Tensor, " classes"]:
    """Return each class's mean probability among the examples with its label.

    Args:
        probabilities: a row for each example, out of fold.
        labels: of each example, perhaps wrong. A class that is no label has an infinite
            threshold.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021; book equation (5.1.2e).
    """
    _check_probabilities(probabilities, labels)
    one_hot = F.one_hot(labels, probabilities.shape[1]).to(probabilities)
    counts = one_hot.sum(0)
    means = (one_hot * probabilities).sum(0) / counts
    return torch.where(counts > 0, means, torch.inf)


def confident_classes(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Int64[Tensor, " examples"]:
    """Return for each example the most probable class that reaches its threshold.

    Args:
        probabilities: a row for each example, out of fold.
        labels: of each example, perhaps wrong; they give the thresholds.

    Returns:
        A class, or -1 where none reaches its threshold.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021.
    """
    reached = probabilities >= confident_thresholds(probabilities, labels) - 1e-6
    best = probabilities.where(reached, -1.0).argmax(1)
    return best.where(reached.any(1), -1)


def confident_joint(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Int[Tensor, "classes classes"]:
    """Count examples by their label (rows) and their confident class (columns).

    Args:
        probabilities: a row for each example, out of fold.
        labels: of each example, perhaps wrong.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021; book equation (5.1.2f).
    """
    classes = probabilities.shape[1]
    confident = confident_classes(probabilities, labels)
    kept = confident >= 0
    cells = labels[kept] * classes + confident[kept]
    return cells.bincount(minlength=classes**2).reshape(classes, classes)


def estimate_joint(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Float[Tensor, "classes classes"]:
    """Estimate the joint distribution of label (rows) and true class (columns).

    Each row of the confident joint is scaled to the frequency of its label. What is off
    the diagonal adds up to the estimated noise rate.

    Args:
        probabilities: a row for each example, out of fold.
        labels: of each example, perhaps wrong.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021; book equation (5.1.2g).
    """
    counts = confident_joint(probabilities, labels).double()
    least = counts.diagonal().clamp(min=1)  # no row without any
    counts = counts.diagonal_scatter(least)
    frequency = labels.bincount(minlength=len(counts)) / len(labels)
    return counts / counts.sum(1, keepdim=True) * frequency[:, None]


def find_label_issues(
    probabilities: Float[Tensor, "examples classes"],
    labels: Int64[Tensor, " examples"],
) -> Bool[Tensor, " examples"]:
    """Return which labels confident learning takes for wrong.

    They are the examples off the diagonal of the confident joint: another class reaches
    its threshold.

    Args:
        probabilities: a row for each example, out of fold.
        labels: of each example, perhaps wrong.

    Raises:
        TypeError: probabilities is not floating point, or labels not int64.
        ValueError: The shapes do not fit, or a row holds no probabilities.

    Source: Northcutt, Jiang and Chuang 2021.
    """
    confident = confident_classes(probabilities, labels)
    own = self_confidence(probabilities, labels)
    doubted = own < probabilities.amax(1) - 1e-8
    return (confident >= 0) & (confident != labels) & doubted


def _check_rate(p: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie between 0 and 1: got {p}")


def _check_transition(transition: Tensor, classes: int | str = "classes") -> None:
    """Refuse a matrix whose rows are no distributions."""
    check_shape("transition", transition, classes, classes)
    check_floating(transition=transition)
    if transition.shape[0] != transition.shape[1]:
        raise ValueError(f"transition must be square: got {tuple(transition.shape)}")
    rows = transition.sum(1)
    if (transition < 0).any() or not torch.allclose(rows, torch.ones_like(rows)):
        raise ValueError(
            "transition must hold rows of probabilities that add up to 1: "
            f"got sums {rows.tolist()}"
        )


def _check_labels(
    labels: Tensor,
    classes: int | None = None,
    examples: int | str = "examples",
    name: str = "labels",
) -> None:
    """Refuse labels of another type or number, and such as are no classes."""
    check_shape(name, labels, examples)
    check_integer(**{name: labels})
    if labels.dtype != torch.int64:
        raise TypeError(f"{name} must be int64, as indices are: got {labels.dtype}")
    if labels.is_cpu and labels.numel():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or (classes is not None and high >= classes):
            top = "" if classes is None else f" and less than {classes}"
            raise ValueError(
                f"{name} must be at least 0{top}: got {low if low < 0 else high}"
            )


def _check_probabilities(probabilities: Tensor, labels: Tensor) -> None:
    """Refuse what are no probabilities of classes, and labels of other examples."""
    check_shape("probabilities", probabilities, "examples", "classes")
    check_floating(probabilities=probabilities)
    check_no_nan(probabilities=probabilities)
    _check_labels(labels, probabilities.shape[1], len(probabilities))
    if not len(labels):
        raise ValueError("labels must hold at least one: got none")
    sums = probabilities.sum(1)
    if (probabilities < 0).any() or ((sums - 1).abs() > 1e-3).any():
        raise ValueError(
            "probabilities must be at least 0 and add up to 1 in each row: "
            f"got a sum of {sums[(sums - 1).abs().argmax()].item():.6g}"
        )
