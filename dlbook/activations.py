"""Activation functions and their derivatives, and softmax, which turns scores into probabilities."""

import math

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


def leaky_relu(z: Float[Tensor, "*shape"], slope: float = 0.01) -> Float[Tensor, "*shape"]:
    """Keep what is positive, and a small share of the rest; at z = 0 the gradient is `slope`.

    Source: Maas, Hannun and Ng 2013; book equation (6.2a).
    """
    return torch.where(z > 0, z, slope * z)


def leaky_relu_derivative(z: Float[Tensor, "*shape"], slope: float = 0.01) -> Float[Tensor, "*shape"]:
    """Return the slope of leaky ReLU at z: 1 where z is positive, else `slope` (also at z = 0, where it has none)."""
    return torch.where(z > 0, torch.ones_like(z), slope)


def elu(z: Float[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """Keep what is positive, and let the rest sink towards -alpha; at z = 0 the gradient is `alpha`.

    With alpha = 1, the two halves meet without a corner. The exponential is taken of the negative half alone: of the
    other it may overflow, and nothing times infinity is no gradient.

    Source: Clevert, Unterthiner and Hochreiter 2016; book equation (6.2a).
    """
    return torch.where(z > 0, z, alpha * torch.expm1(z.clamp(max=0)))


def elu_derivative(z: Float[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """Return the slope of ELU at z: 1 where z is positive, else alpha times exp(z)."""
    return torch.where(z > 0, torch.ones_like(z), alpha * z.clamp(max=0).exp())


def gelu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Weight each number by the chance that a standard normal one is smaller: a ReLU whose corner is rounded.

    This is the exact form, with erf; there is also an approximation with tanh, off by less than 0.001.

    Source: Hendrycks and Gimpel 2016; book equation (6.2b).
    """
    return z * normal_cdf(z)


def gelu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the slope of GELU at z: 1/2 at z = 0, negative below -0.75, up to 1.13 above."""
    density = (-(z**2) / 2).exp() / math.sqrt(2 * math.pi)
    return normal_cdf(z) + z * density


def normal_cdf(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the chance that a standard normal number is smaller than z."""
    return (1 + torch.erf(z / math.sqrt(2))) / 2


def silu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Weight each number by its sigmoid: another rounded ReLU, also known as swish.

    Source: Elfwing, Uchibe and Doya 2018; Ramachandran, Zoph and Le 2017; book equation (6.2b).
    """
    return z * sigmoid(z)


def silu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the slope of SiLU at z: 1/2 at z = 0, negative below -1.28, up to 1.10 above."""
    s = sigmoid(z)
    return s * (1 + z * (1 - s))


def softmax(logits: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
    """Turn scores into probabilities: positive, and with sum 1 over the classes.

    Subtracting the largest score changes nothing in the result and keeps exp from overflowing.

    Source: book equation (3.1.1b).
    """
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def log_softmax(logits: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
    """Return the logarithm of softmax without forming probabilities that round to zero."""
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()
