"""Learning with few labels: which examples to label, and what unlabelled ones tell.

Uncertainty scores and core-sets choose examples for a person to label (active
learning). Pseudo-labels are a model's own confident predictions. Rotations are labels
that cost nothing (self-supervision).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dlbook._check import check_bool, check_floating, check_shape, check_whole


def least_confidence(
    probabilities: Float[Tensor, "batch classes"],
) -> Float[Tensor, " batch"]:
    """Return how unsure a model is: 1 minus the probability of its likeliest class.

    Args:
        probabilities: of the classes, one row for each example.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are no matrix with at least 2 classes, or no probabilities.

    Source: Settles 2009, section 3.1; book equation (5.1.1a).
    """
    _check_probabilities(probabilities)
    return 1 - probabilities.amax(1)


def margin(probabilities: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Return how unsure a model is: 1 minus the lead of its likeliest class.

    Args:
        probabilities: of the classes, one row for each example.

    Returns:
        1 where the two likeliest classes tie, 0 where one class has everything.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are no matrix with at least 2 classes, or no probabilities.

    Source: Settles 2009, section 3.1; book equation (5.1.1b).
    """
    _check_probabilities(probabilities)
    first, second = probabilities.topk(2, dim=1).values.T
    return 1 - (first - second)


def entropy(probabilities: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Return how unsure a model is: the entropy of its prediction, in nats.

    Args:
        probabilities: of the classes, one row for each example.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are no matrix with at least 2 classes, or no probabilities.

    Source: Settles 2009, section 3.1; book equation (5.1.1c).
    """
    _check_probabilities(probabilities)
    return -torch.xlogy(probabilities, probabilities).sum(1)


def k_center_greedy(
    features: Float[Tensor, "batch dim"], labelled: Bool[Tensor, " batch"], count: int
) -> Int64[Tensor, " count"]:
    """Choose a core-set greedily: again and again the example furthest from all chosen.

    Args:
        features: of all examples.
        labelled: which of them have a label already; at least one.
        count: how many to choose.

    Returns:
        Their numbers, in the order in which they were chosen.

    Raises:
        TypeError: `features` is not floating point, or `labelled` not boolean.
        ValueError: The shapes do not fit, no example is labelled, or fewer than `count`
            are not.

    Source: Sener and Savarese 2018, algorithm 1; book equation (5.1.1d).
    """
    check_floating(features=features)
    check_shape("features", features, "batch", "dim")
    check_shape("labelled", labelled, len(features))
    check_bool(labelled=labelled)
    check_whole(1, count=count)
    free = int((~labelled).sum())
    if not 0 < count <= free < len(features):
        raise ValueError(
            f"labelled must hold an example, and leave at least count = {count}: "
            f"got {len(features) - free} of {len(features)}"
        )
    distance = torch.cdist(features, features[labelled]).amin(1)
    distance[labelled] = -1.0  # never the furthest, even where all others coincide
    chosen = []
    for _ in range(count):
        chosen.append(distance.argmax())
        new = torch.cdist(features, features[chosen[-1]][None])[:, 0]
        distance = torch.minimum(distance, new)
        distance[chosen[-1]] = -1.0
    return torch.stack(chosen)


def pseudo_labels(
    probabilities: Float[Tensor, "batch classes"], threshold: float = 0.95
) -> tuple[Int64[Tensor, " confident"], Int64[Tensor, " confident"]]:
    """Return the unlabelled examples of which a model is sure, and its own labels.

    Args:
        probabilities: of the classes, one row for each unlabelled example.
        threshold: the probability that the likeliest class must exceed.

    Returns:
        The numbers of the rows, and the class predicted for each.

    Raises:
        TypeError: `probabilities` is not floating point.
        ValueError: They are no matrix with at least 2 classes, or no probabilities, or
            `threshold` does not lie from 0 to below 1.

    Source: Yarowsky 1995; Sohn et al. 2020, section 2.1; book equation (5.1.1e).
    """
    _check_probabilities(probabilities)
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be at least 0 and below 1: got {threshold}")
    confidence, predicted = probabilities.max(1)
    rows = (confidence > threshold).nonzero()[:, 0]
    return rows, predicted[rows]


def rotations(
    images: Float[Tensor, "batch channels side side"],
) -> tuple[Float[Tensor, "many channels side side"], Int64[Tensor, " many"]]:
    """Return each image in four orientations, and which it is (rotation prediction).

    Args:
        images: as high as they are wide.

    Returns:
        All images unturned, then all turned by one quarter anticlockwise, by two, and
        by three; and the number of quarters for each.

    Raises:
        TypeError: They are not floating point.
        ValueError: They are no batch of square images.

    Source: Gidaris et al. 2018, section 2.1.
    """
    check_floating(images=images)
    check_shape("images", images, "batch", "channels", "side", "side")
    check_shape("images", images, "batch", "channels", "side", images.shape[2])
    turned = torch.cat([images.rot90(quarters, (2, 3)) for quarters in range(4)])
    quarters = torch.arange(4, device=images.device).repeat_interleave(len(images))
    return turned, quarters


def _check_probabilities(probabilities: Tensor) -> None:
    """Refuse what are no rows of probabilities of two or more classes."""
    check_floating(probabilities=probabilities)
    check_shape("probabilities", probabilities, "batch", "classes")
    if probabilities.shape[1] < 2:
        raise ValueError(
            f"probabilities must be of at least 2 classes: got {probabilities.shape[1]}"
        )
    off = (probabilities.sum(1) - 1).abs()  # of no rows, none is wrong
    if not ((probabilities >= 0).all() and (off < 1e-3).all()):
        raise ValueError("probabilities must be at least 0 and sum to 1: got others")
