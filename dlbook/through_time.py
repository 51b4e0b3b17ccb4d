"""Backpropagation through time by hand, for the plain recurrent network; and gradients cut to a length."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from dlbook.network import Elementwise


def unroll(
    x: Float[Tensor, "batch steps inputs"],
    h: Float[Tensor, "batch hidden"],
    weight_hh: Float[Tensor, "hidden hidden"],
    weight_xh: Float[Tensor, "hidden inputs"],
    bias: Float[Tensor, " hidden"],
    f: Elementwise,
) -> tuple[Float[Tensor, "batch steps hidden"], Float[Tensor, "batch states hidden"]]:
    """Run a plain recurrent network from the state h and keep what the way back will need.

    Returns:
        zs: the sums z_1 ... z_T that went into f.
        hs: the states h_0 ... h_T, one more than there are steps.

    Source: book equation (3.3.1a).
    """
    zs, hs = [], [h]
    for x_t in x.unbind(1):
        zs.append(hs[-1] @ weight_hh.T + x_t @ weight_xh.T + bias)
        hs.append(f(zs[-1]))
    return torch.stack(zs, 1), torch.stack(hs, 1)


def backpropagate_through_time(
    errors: Float[Tensor, "batch steps hidden"],
    x: Float[Tensor, "batch steps inputs"],
    zs: Float[Tensor, "batch steps hidden"],
    hs: Float[Tensor, "batch states hidden"],
    weight_hh: Float[Tensor, "hidden hidden"],
    derivative: Elementwise,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Send the errors backward through the steps and collect the gradients, which all steps share.

    Args:
        errors: the derivative by h_t of the losses that step t itself causes; zero where it causes none.
        zs, hs: as `unroll` returned them.
        derivative: of the function f.

    Returns:
        The derivative of the whole loss by each z_t, of shape (batch, steps, hidden), and the gradients of W_hh,
        W_xh and b_h.

    Source: Werbos 1990; book equations (3.3.1b) and (3.3.1c).
    """
    slopes, deltas = derivative(zs), []
    from_later = torch.zeros_like(hs[:, 0])  # the last step has none after it
    for t in reversed(range(zs.shape[1])):
        deltas.append(slopes[:, t] * (errors[:, t] + from_later))
        from_later = deltas[-1] @ weight_hh  # the transpose of W_hh, for a batch in rows
    delta = torch.stack(deltas[::-1], 1)
    weight_hh_gradient = torch.einsum("bti,btj->ij", delta, hs[:, :-1])  # each delta meets the state before it
    weight_xh_gradient = torch.einsum("bti,btj->ij", delta, x)
    return delta, weight_hh_gradient, weight_xh_gradient, delta.sum((0, 1))


@torch.no_grad()
def clip_gradient_(parameters: Iterable[Tensor], max_norm: float) -> Float[Tensor, ""]:
    """Shorten the gradient of all parameters together to a length, if it is longer; its direction stays.

    Args:
        max_norm: the largest length that is left as it is.

    Returns:
        The length before.

    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1; book equation (3.3.1e).
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be greater than 0: got {max_norm}")
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        raise ValueError("parameters must have gradients: got none (call backward first)")
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= (max_norm / norm).clamp(max=1)
    return norm
