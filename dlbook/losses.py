"""Loss functions: the mean over a batch, and the gradient with respect to what the network put out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dlbook.activations import log_softmax, softmax


def cross_entropy(scores: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Average how surprised the network is by the right class: minus the logarithm of its probability, in nats.

    Args:
        scores: one number for each class, before softmax.
        target: the index of the right class of each example.

    Source: book equation (3.1.2a).
    """
    log_probability = log_softmax(scores)  # (batch, classes)
    return -log_probability.gather(1, target[:, None]).mean()


def cross_entropy_gradient(
    scores: Float[Tensor, "batch classes"], target: Int[Tensor, " batch"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of `cross_entropy` by the scores: probability minus truth, over the batch size.

    Source: book equation (3.1.2b).
    """
    truth = torch.nn.functional.one_hot(target, scores.shape[-1]).to(scores.dtype)
    return (softmax(scores) - truth) / len(scores)


def mean_squared_error(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Average the squared differences, in the square of the target's unit."""
    return ((prediction - target) ** 2).mean()


def mean_squared_error_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of `mean_squared_error` with respect to the prediction."""
    return 2 * (prediction - target) / prediction.numel()


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
