"""Backpropagation through time by hand, for the vanilla RNN; gradient clipping."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from dlbook._check import check_floating, check_shape
from dlbook.network import Elementwise


def unroll(
    x: Float[Tensor, "batch length inputs"],
    h: Float[Tensor, "batch hidden"],
    weight_hh: Float[Tensor, "hidden hidden"],
    weight_xh: Float[Tensor, "hidden inputs"],
    bias: Float[Tensor, " hidden"],
    f: Elementwise,
) -> tuple[Float[Tensor, "batch length hidden"], Float[Tensor, "batch states hidden"]]:
    """Run a vanilla RNN forward and keep what the backward pass needs.

    Args:
        x: the inputs, one time step after another.
        h: the state to begin with.
        weight_hh: the weights of the state.
        weight_xh: the weights of the input.
        bias: b_h.
        f: the activation.

    Returns:
        zs: the pre-activations z_1 ... z_T.
        hs: the states h_0 ... h_T, one more.

    Raises:
        TypeError: The tensors are not of one floating type.
        ValueError: One of the tensors has a shape that does not fit the others.

    Source: book equation (3.3.1a).
    """
    _check_weights(x, h, weight_hh, weight_xh, bias)
    zs, hs = [], [h]
    for x_t in x.unbind(1):
        zs.append(hs[-1] @ weight_hh.T + x_t @ weight_xh.T + bias)
        hs.append(f(zs[-1]))
    return torch.stack(zs, 1), torch.stack(hs, 1)


def backpropagate_through_time(
    output_gradients: Float[Tensor, "batch length hidden"],
    x: Float[Tensor, "batch length inputs"],
    zs: Float[Tensor, "batch length hidden"],
    hs: Float[Tensor, "batch states hidden"],
    weight_hh: Float[Tensor, "hidden hidden"],
    derivative: Elementwise,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of an unrolled RNN, whose weights all time steps share.

    Args:
        output_gradients: the derivative by h_t of the loss of time step t alone; zero
            where it has none.
        x: the inputs, one time step after another.
        zs: the pre-activations, as `unroll` returned them.
        hs: the states, as `unroll` returned them.
        weight_hh: the weights of the state.
        derivative: of the activation.

    Returns:
        delta: the derivative of the whole loss by each z_t, (batch, length, hidden).
        The gradients of W_hh, W_xh and b_h.

    Raises:
        TypeError: The tensors are not of one floating type.
        ValueError: One of the tensors has a shape that does not fit the others.

    Source: Werbos 1990; book equations (3.3.1b) and (3.3.1c).
    """
    _check_unrolled(output_gradients, x, zs, hs, weight_hh)
    slopes, deltas = derivative(zs), []
    from_later = torch.zeros_like(hs[:, 0])  # nothing comes after the last time step
    for t in reversed(range(zs.shape[1])):
        deltas.append(slopes[:, t] * (output_gradients[:, t] + from_later))
        from_later = deltas[-1] @ weight_hh  # the transpose of W_hh, for rows
    delta = torch.stack(deltas[::-1], 1)
    # Each delta meets the state before it.
    weight_hh_gradient = torch.einsum("bti,btj->ij", delta, hs[:, :-1])
    weight_xh_gradient = torch.einsum("bti,btj->ij", delta, x)
    return delta, weight_hh_gradient, weight_xh_gradient, delta.sum((0, 1))


@torch.no_grad()
def clip_gradient_(parameters: Iterable[Tensor], max_norm: float) -> Float[Tensor, ""]:
    """Clip the gradient of all parameters together to a norm; its direction stays.

    Args:
        parameters: those whose gradients are changed in place.
        max_norm: the largest norm that is left as it is.

    Returns:
        The norm before.

    Raises:
        ValueError: max_norm is not positive, or no parameter has a gradient.

    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1; book equation (3.3.1e).
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be greater than 0: got {max_norm}")
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        raise ValueError(
            "parameters must have gradients: got none (call backward first)"
        )
    norm = torch.stack([_norm(gradient) for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= (max_norm / norm).clamp(max=1)
    return norm


def _norm(gradient: Tensor) -> Tensor:
    """Return the norm, in float32 at least: float16 ends at 65,504."""
    return gradient.norm(dtype=torch.promote_types(gradient.dtype, torch.float32))


def _check_weights(
    x: Tensor, h: Tensor, weight_hh: Tensor, weight_xh: Tensor, bias: Tensor
) -> None:
    """Refuse inputs, a state and weights that do not fit one another."""
    check_shape("x", x, "batch", "length", "inputs")
    check_shape("bias", bias, "hidden")
    (batch, length, inputs), hidden = x.shape, len(bias)
    if length < 1:
        raise ValueError(f"x must have a length of 1 or more: got {tuple(x.shape)}")
    check_shape("h", h, batch, hidden)
    check_shape("weight_hh", weight_hh, hidden, hidden)
    check_shape("weight_xh", weight_xh, hidden, inputs)
    _check_one_type(x=x, h=h, weight_hh=weight_hh, weight_xh=weight_xh, bias=bias)


def _check_unrolled(
    output_gradients: Tensor, x: Tensor, zs: Tensor, hs: Tensor, weight_hh: Tensor
) -> None:
    """Refuse what does not belong to the time steps of one unrolled network."""
    check_shape("zs", zs, "batch", "length", "hidden")
    batch, length, hidden = zs.shape
    if length < 1:
        raise ValueError(f"zs must have a length of 1 or more: got {tuple(zs.shape)}")
    check_shape("output_gradients", output_gradients, batch, length, hidden)
    check_shape("x", x, batch, length, "inputs")
    check_shape("hs", hs, batch, length + 1, hidden)
    check_shape("weight_hh", weight_hh, hidden, hidden)
    _check_one_type(
        output_gradients=output_gradients, x=x, zs=zs, hs=hs, weight_hh=weight_hh
    )


def _check_one_type(**tensors: Tensor) -> None:
    """Refuse tensors that are not of one floating-point type, as products need."""
    check_floating(**tensors)
    types = {name: tensor.dtype for name, tensor in tensors.items()}
    if len(set(types.values())) > 1:
        raise TypeError(f"{', '.join(types)} must have one type: got {types}")
