"""Loss functions: the mean over a batch, and the gradient with respect to what the network put out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dlbook.activations import log_softmax, softmax


def cross_entropy(logits: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Average how surprised the network is by the right class: minus the logarithm of its probability, in nats.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.

    Source: book equation (3.1.2a).
    """
    log_probability = log_softmax(logits)  # (batch, classes)
    return -log_probability.gather(1, target[:, None]).mean()


def cross_entropy_gradient(
    logits: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of `cross_entropy` by the scores: probability minus truth, over the batch size.

    Source: book equation (3.1.2b).
    """
    truth = torch.nn.functional.one_hot(target, logits.shape[-1]).to(logits.dtype)
    return (softmax(logits) - truth) / len(logits)


def mean_squared_error(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Average the squared differences, in the square of the target's unit."""
    return ((prediction - target) ** 2).mean()


def mean_squared_error_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `mean_squared_error` with respect to the prediction."""
    return 2 * (prediction - target) / prediction.numel()


def mean_absolute_error(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Average the absolute differences, in the target's unit.

    Source: book equation (6.4a).
    """
    return (prediction - target).abs().mean()


def mean_absolute_error_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `mean_absolute_error` with respect to the prediction: a sign, over their number.

    Where a prediction meets its target the loss has a corner; the gradient there is 0, as autograd's is.
    """
    return (prediction - target).sign() / prediction.numel()


def huber(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], delta: float = 1.0
) -> Float[Tensor, ""]:
    """Average a loss that is squared, by half, for differences up to delta, and grows in a straight line beyond.

    Args:
        delta: the difference at which the line begins, in the target's unit.

    Errors: ValueError if delta is not positive.

    Source: Huber 1964; book equation (6.4b).
    """
    _check_delta(delta)
    difference = (prediction - target).abs()
    return torch.where(difference <= delta, difference**2 / 2, delta * (difference - delta / 2)).mean()


def huber_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], delta: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `huber` with respect to the prediction: the difference, cut off at delta.

    Square and line meet with the same slope, so that it has a value everywhere.

    Errors: ValueError if delta is not positive.
    """
    _check_delta(delta)
    return (prediction - target).clamp(-delta, delta) / prediction.numel()


def _check_delta(delta: float) -> None:
    """Refuse a Huber loss without a square, or upside down."""
    if not delta > 0:
        raise ValueError(f"delta must be positive: got {delta}")


def weighted_cross_entropy(
    logits: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"], weight: Float[Tensor, " classes"]
) -> Float[Tensor, ""]:
    """Average the surprise about the right class, each example with the weight of that class.

    It is divided by the sum of the examples' weights, as PyTorch does; Keras divides by their number.

    Args:
        logits: one number for each class, before softmax.
        target: the index of the right class of each example.
        weight: of each class, not negative. If all examples have weight 0, the result is NaN.

    Source: book equation (6.4d).
    """
    log_probability = log_softmax(logits).gather(1, target[:, None])[:, 0]  # (batch,)
    w = weight[target]
    return -(w * log_probability).sum() / w.sum()


def quantile_loss(
    prediction: Float[Tensor, "*batch levels"],
    target: Float[Tensor, " *batch"],
    levels: list[float] | tuple[float, ...],
) -> Float[Tensor, ""]:
    """Average the pinball loss, which is smallest where a prediction is the quantile of its level.

    A target above the prediction costs `level` for each unit, one below it costs 1 - `level`.

    Args:
        prediction: one number for each level, in the same order.
        levels: shares of the targets that are to lie below, such as [0.05, 0.5, 0.95].

    Source: Koenker and Bassett 1978; book equation (4.3b).
    """
    if len(levels) != prediction.shape[-1] or not all(0 < level < 1 for level in levels):
        raise ValueError(
            f"levels must lie between 0 and 1, one for each of {prediction.shape[-1]} predictions: got {list(levels)}"
        )
    tau = torch.tensor(levels, dtype=prediction.dtype, device=prediction.device)
    u = target[..., None] - prediction  # (*batch, levels)
    return torch.maximum(tau * u, (tau - 1) * u).mean()
