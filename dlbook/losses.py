"""Loss functions: the mean over a batch, and its gradient with respect to the logits.

Shapes and types are checked always, values (is each target a class?) on a CPU alone: a
GPU would have to be waited for at every update, and reports such a target itself.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlbook._check import check_floating, check_same_shape, check_shape
from dlbook.activations import log_softmax, softmax


def cross_entropy(
    logits: Float[Tensor, "batch classes"], target: Int64[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy, -log of the right class's probability, in nats.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.

    Raises:
        TypeError: logits is not floating point, or target not int64.
        ValueError: The shapes do not fit, or a target is no class.

    Source: book equation (3.1.2a).
    """
    _check_classes(logits, target)
    log_probability = log_softmax(logits)  # (batch, classes)
    return -log_probability.gather(1, target[:, None]).mean()


def cross_entropy_gradient(
    logits: Float[Tensor, "batch classes"], target: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of `cross_entropy` with respect to the logits.

    It is the probability minus the one-hot target, over the batch size.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.

    Raises:
        TypeError: logits is not floating point, or target not int64.
        ValueError: The shapes do not fit, or a target is no class.

    Source: book equation (3.1.2b).
    """
    _check_classes(logits, target)
    one_hot = torch.nn.functional.one_hot(target, logits.shape[-1]).to(logits.dtype)
    return (softmax(logits) - one_hot) / len(logits)


def mean_squared_error(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Return the mean squared error, in the square of the target's unit.

    Args:
        prediction: of any shape.
        target: of the same shape.

    Raises:
        TypeError: One is not floating point.
        ValueError: The shapes differ.
    """
    _check_regression(prediction, target)
    return ((prediction - target) ** 2).mean()


def mean_squared_error_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `mean_squared_error` with respect to the prediction.

    Args:
        prediction: of any shape.
        target: of the same shape.

    Raises:
        TypeError: One is not floating point.
        ValueError: The shapes differ.
    """
    _check_regression(prediction, target)
    return 2 * (prediction - target) / prediction.numel()


def mean_absolute_error(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Return the mean absolute error, in the target's unit.

    Args:
        prediction: of any shape.
        target: of the same shape.

    Raises:
        TypeError: One is not floating point.
        ValueError: The shapes differ.

    Source: book equation (6.4a).
    """
    _check_regression(prediction, target)
    return (prediction - target).abs().mean()


def mean_absolute_error_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `mean_absolute_error` with respect to the prediction.

    It is the sign of the difference over the number of elements. Where a prediction
    equals its target the loss has no derivative; 0 is returned, as autograd does.

    Args:
        prediction: of any shape.
        target: of the same shape.

    Raises:
        TypeError: One is not floating point.
        ValueError: The shapes differ.
    """
    _check_regression(prediction, target)
    difference = prediction - target
    sign = torch.where(difference.isnan(), difference, difference.sign())
    return sign / prediction.numel()


def huber(
    prediction: Float[Tensor, "*shape"],
    target: Float[Tensor, "*shape"],
    delta: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean Huber loss: half the square up to delta, linear beyond.

    Args:
        prediction: of any shape.
        target: of the same shape.
        delta: the difference at which the linear part begins, in the target's unit.

    Raises:
        TypeError: prediction or target is not floating point.
        ValueError: The shapes differ, or delta is not positive.

    Source: Huber 1964; book equation (6.4b).
    """
    _check_regression(prediction, target)
    _check_delta(delta)
    difference = (prediction - target).abs()
    linear = delta * (difference - delta / 2)
    return torch.where(difference <= delta, difference**2 / 2, linear).mean()


def huber_gradient(
    prediction: Float[Tensor, "*shape"],
    target: Float[Tensor, "*shape"],
    delta: float = 1.0,
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `huber` with respect to the prediction.

    It is the difference, clipped at delta: the two parts meet with the same slope.

    Args:
        prediction: of any shape.
        target: of the same shape.
        delta: the difference at which the linear part begins, in the target's unit.

    Raises:
        TypeError: prediction or target is not floating point.
        ValueError: The shapes differ, or delta is not positive.
    """
    _check_regression(prediction, target)
    _check_delta(delta)
    return (prediction - target).clamp(-delta, delta) / prediction.numel()


def weighted_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    target: Int64[Tensor, " batch"],
    weight: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy, each example weighted by its class.

    It is divided by the sum of the examples' weights, as PyTorch does; Keras divides by
    their number.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.
        weight: of each class, not negative. If all examples have weight 0, the result
            is NaN.

    Raises:
        TypeError: logits or weight is not floating point, or target not int64.
        ValueError: The shapes do not fit, a target is no class, a weight is negative.

    Source: book equation (6.4d).
    """
    _check_classes(logits, target)
    _check_weight(weight, logits.shape[1])
    log_probability = log_softmax(logits).gather(1, target[:, None])[:, 0]  # (batch,)
    w = weight[target]
    return -(w * log_probability).sum() / w.sum()


def quantile_loss(
    prediction: Float[Tensor, "*batch levels"],
    target: Float[Tensor, " *batch"],
    levels: list[float] | tuple[float, ...],
) -> Float[Tensor, ""]:
    """Return the mean quantile (pinball) loss, least at the quantiles of the target.

    A target above the prediction costs `level` for each unit, one below it 1 - `level`.

    Args:
        prediction: one number for each level, in the same order.
        target: the numbers that are predicted.
        levels: of the quantiles, in (0, 1), such as [0.05, 0.5, 0.95].

    Raises:
        TypeError: prediction or target is not floating point.
        ValueError: The shapes do not fit, or levels are not those of quantiles.

    Source: Koenker and Bassett 1978; book equation (4.3b).
    """
    check_floating(prediction=prediction, target=target)
    check_shape("prediction", prediction, *target.shape, len(levels))
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie between 0 and 1: got {list(levels)}")
    tau = torch.tensor(levels, dtype=prediction.dtype, device=prediction.device)
    u = target[..., None] - prediction  # (*batch, levels)
    return torch.maximum(tau * u, (tau - 1) * u).mean()


def _check_regression(prediction: Tensor, target: Tensor) -> None:
    """Refuse what would be broadcast, and what is not floating point."""
    check_same_shape(prediction=prediction, target=target)
    check_floating(prediction=prediction, target=target)


def _check_delta(delta: float) -> None:
    """Refuse a Huber loss without its quadratic part."""
    if not delta > 0:
        raise ValueError(f"delta must be positive: got {delta}")


def _check_classes(logits: Tensor, target: Tensor) -> None:
    """Refuse targets that are not one class for each row of logits."""
    tensors = isinstance(logits, Tensor) and isinstance(target, Tensor)
    if not tensors or logits.ndim != 2 or target.shape != logits.shape[:1]:
        check_shape("logits", logits, "batch", "classes")
        check_shape("target", target, logits.shape[0])
    if not logits.is_floating_point():
        check_floating(logits=logits)
    if target.dtype != torch.int64:
        raise TypeError(f"target must be int64, as indices are: got {target.dtype}")
    if target.is_cpu and target.numel() and not torch.compiler.is_compiling():
        low, high = _range(target)
        if low < 0 or high >= logits.shape[1]:
            raise ValueError(
                f"target must lie between 0 and classes - 1 = {logits.shape[1] - 1}: "
                f"got {low} to {high}"
            )


def _range(target: Tensor) -> tuple[int, int]:
    """Return the least and the largest target, or 0 where vmap hides the values."""
    try:
        if target.numel() <= 64:  # at a usual batch size a list takes half the time
            values = target.tolist()
            return min(values), max(values)
        low, high = target.aminmax()
        return int(low), int(high)
    except RuntimeError:  # torch.func.vmap: no single example has a value here
        return 0, 0


def _check_weight(weight: Tensor, classes: int) -> None:
    """Refuse weights that are not one for each class, and negative ones."""
    check_shape("weight", weight, classes)
    check_floating(weight=weight)
    if weight.is_cpu and not (weight >= 0).all():
        raise ValueError(f"weight must not be negative: got {weight.tolist()}")
