"""Activation functions with their derivatives, and softmax."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from dlbook._check import check_floating


def sigmoid(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the logistic sigmoid of each number, which lies in (0, 1).

    Computed through tanh, which does not overflow: exp(-z) would for z below -88 in
    float32.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.

    Source: book equation (3.1.1e).
    """
    check_floating(z=z)
    return (1 + torch.tanh(z / 2)) / 2


def sigmoid_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of the sigmoid at z: at most 1/4, at z = 0.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    s = sigmoid(z)
    return s * (1 - s)


def tanh(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the hyperbolic tangent of each number, which lies in (-1, 1).

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return torch.tanh(z)


def tanh_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of tanh at z: at most 1, at z = 0.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return 1 - torch.tanh(z) ** 2


def relu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the rectified linear unit (ReLU): positive numbers as they are, else 0.

    At z = 0 the gradient is zero.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.

    Source: book equation (3.1.1e).
    """
    check_floating(z=z)
    return torch.where(z <= 0, 0.0, z)


def relu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of ReLU at z: 1 where z is positive, else 0.

    At z = 0, where it has none, it counts as 0.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return torch.where(z.isnan(), z, (z > 0).to(z.dtype))


def leaky_relu(
    z: Float[Tensor, "*shape"], slope: float = 0.01
) -> Float[Tensor, "*shape"]:
    """Return the leaky ReLU: positive numbers as they are, others times a small slope.

    At z = 0 the gradient is `slope`.

    Args:
        z: pre-activations, of any shape.
        slope: the factor of numbers that are not positive.

    Raises:
        TypeError: z is not floating point.

    Source: Maas, Hannun and Ng 2013; book equation (6.2a).
    """
    check_floating(z=z)
    return torch.where(z > 0, z, slope * z)


def leaky_relu_derivative(
    z: Float[Tensor, "*shape"], slope: float = 0.01
) -> Float[Tensor, "*shape"]:
    """Return the derivative of leaky ReLU at z: 1 where z is positive, else `slope`.

    At z = 0, where it has none, it counts as `slope`.

    Args:
        z: pre-activations, of any shape.
        slope: the factor of numbers that are not positive.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return torch.where(z.isnan(), z, torch.where(z > 0, torch.ones_like(z), slope))


def elu(z: Float[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """Return the exponential linear unit (ELU), which saturates at -alpha.

    At z = 0 the gradient is `alpha`; with alpha = 1 it is continuous there. The
    exponential is taken of negative numbers alone: of others it may overflow, and zero
    times infinity is no gradient.

    Args:
        z: pre-activations, of any shape.
        alpha: minus the limit for z towards minus infinity.

    Raises:
        TypeError: z is not floating point.

    Source: Clevert, Unterthiner and Hochreiter 2016; book equation (6.2a).
    """
    check_floating(z=z)
    return torch.where(z > 0, z, alpha * torch.expm1(z.clamp(max=0)))


def elu_derivative(
    z: Float[Tensor, "*shape"], alpha: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Return the derivative of ELU at z: 1 where z is positive, else alpha * exp(z).

    Args:
        z: pre-activations, of any shape.
        alpha: minus the limit of ELU for z towards minus infinity.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return torch.where(z > 0, torch.ones_like(z), alpha * z.clamp(max=0).exp())


def gelu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the Gaussian error linear unit (GELU): z times the normal CDF at z.

    This is the exact form, with erf; the approximation with tanh is off by less than
    0.001.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.

    Source: Hendrycks and Gimpel 2016; book equation (6.2b).
    """
    return z * normal_cdf(z)


def gelu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of GELU at z: 1/2 at z = 0, up to 1.13 above.

    It is negative below z = -0.75.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    density = (-(z**2) / 2).exp() / math.sqrt(2 * math.pi)
    return normal_cdf(z) + z * density


def normal_cdf(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the cumulative distribution function of the standard normal at z.

    Args:
        z: numbers, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    check_floating(z=z)
    return (1 + torch.erf(z / math.sqrt(2))) / 2


def silu(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the sigmoid linear unit (SiLU, swish): z times its sigmoid.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.

    Source: Elfwing, Uchibe and Doya 2018; Ramachandran, Zoph and Le 2017; book
    equation (6.2b).
    """
    return z * sigmoid(z)


def silu_derivative(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of SiLU at z: 1/2 at z = 0, up to 1.10 above.

    It is negative below z = -1.28.

    Args:
        z: pre-activations, of any shape.

    Raises:
        TypeError: z is not floating point.
    """
    s = sigmoid(z)
    return s * (1 + z * (1 - s))


def softmax(
    logits: Float[Tensor, "*batch classes"],
) -> Float[Tensor, "*batch classes"]:
    """Return softmax of the logits: positive numbers with sum 1 over the classes.

    Subtracting the largest logit changes nothing in the result and keeps exp from
    overflowing. A logit of -inf rules a class out; where all are, the result is NaN.

    Args:
        logits: one number for each class.

    Raises:
        TypeError: logits is not floating point.
        ValueError: There is no class.

    Source: book equation (3.1.1b).
    """
    _check_logits(logits)
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def log_softmax(
    logits: Float[Tensor, "*batch classes"],
) -> Float[Tensor, "*batch classes"]:
    """Return the logarithm of softmax, also of probabilities that round to zero.

    Args:
        logits: one number for each class.

    Raises:
        TypeError: logits is not floating point.
        ValueError: There is no class.
    """
    _check_logits(logits)
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def _check_logits(logits: Tensor) -> None:
    """Refuse logits that are not floating point, or of no class."""
    check_floating(logits=logits)
    if not logits.ndim or not logits.shape[-1]:
        shape = tuple(logits.shape)
        raise ValueError(f"logits must have an axis of classes: got the shape {shape}")
