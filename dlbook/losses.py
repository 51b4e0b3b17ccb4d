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
