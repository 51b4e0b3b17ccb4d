"""Activation functions and their derivatives, and softmax, which turns scores into probabilities."""

import torch
from jaxtyping import Float
from torch import Tensor


def sigmoid(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Squash each number into (0, 1).

    Computed through tanh, which does not overflow: exp(-z) would for z below -88 in float32.

    Source: book equation (3.1.1e).
    """
    return (1 + torch.tanh(z / 2)) / 2


def sigmoid_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the slope of the sigmoid at z: at most 1/4, at z = 0."""
    s = sigmoid(z)
    return s * (1 - s)


def tanh(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Squash each number into (-1, 1), odd around zero."""
    return torch.tanh(z)


def tanh_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the slope of tanh at z: at most 1, at z = 0."""
    return 1 - torch.tanh(z) ** 2


def relu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Keep what is positive, replace the rest by zero; at z = 0 the gradient is zero.

    Source: book equation (3.1.1e).
    """
    return torch.where(z <= 0, 0.0, z)


def relu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the slope of ReLU at z: 1 where z is positive, else 0 (also at z = 0, where it has no slope)."""
    return (z > 0).to(z.dtype)


def softmax(scores: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
    """Turn scores into probabilities: positive, and with sum 1 over the classes.

    Subtracting the largest score changes nothing in the result and keeps exp from overflowing.

    Source: book equation (3.1.1b).
    """
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def log_softmax(scores: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
    """Return the logarithm of softmax without forming probabilities that round to zero."""
    shifted = scores - scores.amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()
