"""Compression of trained models: pruning, quantisation, distillation, low rank.

Each makes a model smaller in another way: weights are set to zero, or whole channels
are removed; numbers are rounded to a few bits; a small model learns from a large one; a
matrix becomes the product of two thin ones.
"""

import gzip
import io
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_rows,
    check_same_shape,
    check_shape,
    check_whole,
)

UINT8, INT8 = (0, 255), (-127, 127)  # least and greatest integer


# --- pruning --------------------------------------------------------------------------


def magnitude_masks(
    weights: Sequence[Float[Tensor, "..."]], fraction: float
) -> list[Bool[Tensor, "..."]]:
    """Return masks that are False for the part of the weights of smallest magnitude.

    All tensors share one threshold: global pruning. Called with one tensor at a time,
    each loses the same part: pruning per layer.

    Args:
        weights: of the layers to be pruned.
        fraction: which part of all their numbers is pruned, rounded to a whole number.

    Returns:
        A mask for each tensor, True where a weight is kept.

    Raises:
        TypeError: A tensor is not floating point.
        ValueError: There is no tensor, or `fraction` is not from 0 to 1.

    Source: Han et al. 2015.
    """
    if not weights:
        raise ValueError("weights must hold at least one tensor: got none")
    for weight in weights:
        check_floating(weights=weight)
        check_no_nan(weights=weight)
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be from 0 to 1: got {fraction}")
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    pruned = magnitudes.topk(round(fraction * len(magnitudes)), largest=False).indices
    kept = torch.ones_like(magnitudes, dtype=torch.bool).index_fill(0, pruned, False)
    parts = kept.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


@torch.no_grad()
def apply_masks_(
    weights: Sequence[Float[Tensor, "..."]], masks: Sequence[Bool[Tensor, "..."]]
) -> None:
    """Set the weights to zero where their mask is False.

    As `optimizer.register_step_post_hook(lambda *_: apply_masks_(weights, masks))` it
    keeps them at zero in further training.

    Args:
        weights: are changed in place.
        masks: of `magnitude_masks`.

    Raises:
        ValueError: There are more of one than of the other, or shapes differ.
    """
    if len(weights) != len(masks):
        raise ValueError(
            f"masks must be as many as weights, {len(weights)}: got {len(masks)}"
        )
    for weight, mask in zip(weights, masks, strict=True):
        check_same_shape(weights=weight, masks=mask)
        weight.mul_(mask)


def strongest_channels(
    weight: Float[Tensor, "outputs inputs *kernel"], count: int
) -> Int64[Tensor, " count"]:
    """Return the output channels, or neurons, whose weights have the largest L2 norm.

    Args:
        weight: of a convolution or a dense layer.
        count: how many are kept.

    Returns:
        Their numbers in rising order.

    Raises:
        TypeError: `weight` is not floating point.
        ValueError: It has no axes of outputs and inputs, or `count` is below 1 or above
            the number of outputs.

    Source: Li et al. 2017b, section 3.1, there with L1 norms.
    """
    check_floating(weight=weight)
    if weight.ndim < 2:
        raise ValueError(
            f"weight must have axes of outputs and inputs: got {tuple(weight.shape)}"
        )
    check_whole(1, count=count)
    if count > len(weight):
        raise ValueError(f"count must be at most {len(weight)}: got {count}")
    norms = weight.detach().flatten(1).norm(dim=1)
    return norms.topk(count).indices.sort().values


def keep_outputs_(layer: nn.Module, channels: Int64[Tensor, " kept"]) -> None:
    """Remove all but some output channels, or neurons, of a layer.

    Args:
        layer: with a weight, (outputs, inputs, ...), and perhaps a bias: a dense layer
            or a convolution without groups. It is changed in place.
        channels: the numbers of those that stay.

    Raises:
        ValueError: A channel does not exist, or the layer has no such weight.
    """
    weight = _weight_of(layer)
    check_rows(channels, len(weight))
    layer.weight = nn.Parameter(weight.detach()[channels].clone())
    if getattr(layer, "bias", None) is not None:
        layer.bias = nn.Parameter(layer.get_parameter("bias").detach()[channels])
    _set_size(layer, ("out_channels", "out_features"), len(channels))


def keep_inputs_(
    layer: nn.Module, channels: Int64[Tensor, " kept"], per_channel: int = 1
) -> None:
    """Remove all but some input channels of a layer: those removed before it.

    Args:
        layer: as for `keep_outputs_`; it is changed in place.
        channels: the numbers of those that stay.
        per_channel: how many inputs belong to a channel: the pixels of a feature map,
            if it was flattened in front of a dense layer.

    Raises:
        ValueError: A channel does not exist, or the layer has no such weight.
    """
    weight = _weight_of(layer)
    check_whole(1, per_channel=per_channel)
    if weight.shape[1] % per_channel:
        raise ValueError(
            f"per_channel must divide the {weight.shape[1]} inputs: got {per_channel}"
        )
    check_rows(channels, weight.shape[1] // per_channel)
    by_channel = weight.detach().unflatten(1, (-1, per_channel))
    layer.weight = nn.Parameter(by_channel[:, channels].flatten(1, 2).clone())
    _set_size(layer, ("in_channels", "in_features"), len(channels) * per_channel)


def serialized_bytes(state: Mapping[str, Tensor], compressed: bool = False) -> int:
    """Return how many bytes `torch.save` writes of some tensors.

    Args:
        state: such as a model's `state_dict`; tensors may be sparse.
        compressed: whether they are then compressed by gzip.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    return len(gzip.compress(content, mtime=0) if compressed else content)


# --- quantisation ---------------------------------------------------------------------


def affine_scale(low: float, high: float, bits: int = 8) -> tuple[float, int]:
    """Return scale and zero point that map an interval onto unsigned integers.

    The interval is widened to hold zero, which then is represented exactly.

    Args:
        low: the smallest number.
        high: the largest.
        bits: of an integer, from 2 to 8.

    Raises:
        ValueError: An end is not finite, `low` is above `high`, both are zero, or
            `bits` are fewer or more.

    Source: Jacob et al. 2018, section 2.1; book equation (5.4.2a).
    """
    _check_bits(bits)
    if not -math.inf < low <= high < math.inf or low == high == 0:
        raise ValueError(
            "low and high must be finite, in this order, and not both zero: "
            f"got {low=}, {high=}"
        )
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def symmetric_scale(
    weight: Float[Tensor, "outputs *rest"], bits: int = 8, per_channel: bool = True
) -> Float[Tensor, "#outputs *#rest"]:
    """Return the scale at which the largest magnitude is the largest signed integer.

    The zero point is 0. A tensor of zeros has the scale 1.

    Args:
        weight: of a layer.
        bits: of an integer, from 2 to 8.
        per_channel: whether each output has its own scale.

    Returns:
        One scale, or one for each output, in a shape that fits the weight.

    Raises:
        TypeError: `weight` is not floating point.
        ValueError: It is empty, or `bits` are fewer or more.

    Source: Gholami et al. 2021, section III; book equation (5.4.2c).
    """
    check_floating(weight=weight)
    _check_bits(bits)
    if not weight.numel() or not weight.ndim:
        raise ValueError(f"weight must hold numbers: got {tuple(weight.shape)}")
    dims = tuple(range(1 if per_channel else 0, weight.ndim))
    largest = weight.detach().abs()
    if dims:
        largest = largest.amax(dims, keepdim=True)
    return torch.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)


def quantize(
    x: Float[Tensor, "*shape"],
    scale: float | Float[Tensor, "..."],
    zero_point: int = 0,
    span: tuple[int, int] = INT8,
) -> Integer[Tensor, "*shape"]:
    """Round numbers to multiples of a scale, and return these as small integers.

    Args:
        x: of any shape.
        scale: of all numbers, or such that it can be broadcast to them.
        zero_point: the integer of zero.
        span: the least and the greatest integer; numbers beyond are clipped.

    Returns:
        Integers of one byte, without a sign if the least is not negative.

    Raises:
        TypeError: `x` is not floating point.
        ValueError: The span is empty or does not fit into a byte, or `zero_point` lies
            outside.

    Source: Jacob et al. 2018, equation (1); book equation (5.4.2b).
    """
    check_floating(x=x)
    _check_span(span, zero_point)
    low, high = span
    q = torch.clamp(torch.round(x / scale) + zero_point, low, high)
    return q.to(torch.int8 if low < 0 else torch.uint8)


def dequantize(
    q: Integer[Tensor, "*shape"],
    scale: float | Float[Tensor, "..."],
    zero_point: int = 0,
) -> Float[Tensor, "*shape"]:
    """Return the numbers that integers stand for: s (q - z).

    Args:
        q: the integers.
        scale, zero_point: as in `quantize`.

    Raises:
        TypeError: `q` holds no integers.

    Source: Jacob et al. 2018, equation (1); book equation (5.4.2b).
    """
    check_integer(q=q)
    return (q.int() - zero_point) * scale


def quantized_linear(
    q: Integer[Tensor, "batch inputs"],
    scale: float,
    zero_point: int,
    weight: Integer[Tensor, "outputs inputs"],
    weight_scale: Float[Tensor, "outputs 1"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "batch outputs"]:
    """Multiply integers with integers, and scale the sums once: an int8 dense layer.

    The products are added up as integers of 32 bits, without rounding. PyTorch has no
    product of integer matrices on CUDA.

    Args:
        q: the inputs, quantised with `scale` and `zero_point`.
        scale: of the inputs.
        zero_point: of the inputs.
        weight: of the layer, quantised with `weight_scale` and the zero point 0.
        weight_scale: one for each output.
        bias: in floating point.

    Raises:
        TypeError: `q` or `weight` holds no integers.
        ValueError: The shapes do not fit.

    Source: Jacob et al. 2018, section 2.2; book equation (5.4.2d).
    """
    check_integer(q=q, weight=weight)
    check_shape("q", q, "batch", "inputs")
    check_shape("weight", weight, "outputs", q.shape[1])
    check_shape("weight_scale", weight_scale, len(weight), 1)
    sums = (q.int() - zero_point) @ weight.int().T
    outputs = sums * (scale * weight_scale.T)
    return outputs if bias is None else outputs + bias


def fake_quantize(
    x: Float[Tensor, "*shape"],
    scale: float | Float[Tensor, "..."],
    zero_point: int = 0,
    span: tuple[int, int] = INT8,
) -> Float[Tensor, "*shape"]:
    """Quantise and dequantise; the gradient is that of the identity (straight through).

    Rounding is flat almost everywhere, so that its own gradient is zero. Numbers that
    are clipped have the gradient zero.

    Args:
        x: of any shape.
        scale, zero_point, span: as in `quantize`.

    Raises:
        TypeError: `x` is not floating point.
        ValueError: As in `quantize`.

    Source: Bengio, Léonard and Courville 2013; Jacob et al. 2018, section 3.
    """
    check_floating(x=x)
    _check_span(span, zero_point)
    low, high = span
    unclipped = torch.round(x.detach() / scale) + zero_point
    rounded = (unclipped.clamp(low, high) - zero_point) * scale
    inside = (low <= unclipped) & (unclipped <= high)
    passing = torch.where(inside, x, x.detach())
    return rounded + (passing - passing.detach())


class FakeQuantized(nn.Module):
    """Round a weight to few bits in each forward pass, with a scale for each output.

    Made for `torch.nn.utils.parametrize.register_parametrization(layer, "weight",
    FakeQuantized(bits))`: the layer then computes with rounded weights and trains those
    behind them (quantisation-aware training).
    """

    def __init__(self, bits: int = 8):
        """Choose how fine it is.

        Args:
            bits: of an integer, from 2 to 8.

        Raises:
            ValueError: They are fewer or more.
        """
        super().__init__()
        _check_bits(bits)
        self.bits = bits

    def forward(
        self, weight: Float[Tensor, "outputs *rest"]
    ) -> Float[Tensor, "outputs *rest"]:
        """Return the rounded weight.

        Args:
            weight: of the layer, outputs first.
        """
        greatest = 2 ** (self.bits - 1) - 1
        scale = symmetric_scale(weight, self.bits)
        return fake_quantize(weight, scale, span=(-greatest, greatest))


# --- distillation and low rank --------------------------------------------------------


def distillation_loss(
    logits: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    target: Int64[Tensor, " batch"],
    temperature: float = 4.0,
    weight: float = 0.9,
) -> Float[Tensor, ""]:
    """Return the loss of a student: a mixture of the teacher's answers and the labels.

    The first part is the divergence from the teacher's probabilities to the student's,
    both softened by a temperature, and multiplied by its square; the second is
    cross-entropy.

    Args:
        logits: of the student.
        teacher: logits of the teacher; no gradient flows into them.
        target: the classes.
        temperature: what logits are divided by.
        weight: of the first part, from 0 to 1.

    Raises:
        TypeError: Logits are not floating point, or `target` is not int64.
        ValueError: The shapes differ, `temperature` is not above 0, or `weight` is not
            from 0 to 1.

    Source: Hinton, Vinyals and Dean 2015, section 2; book equation (5.4.2e).
    """
    check_floating(logits=logits, teacher=teacher)
    check_integer(target=target)
    check_shape("logits", logits, "batch", "classes")
    check_same_shape(logits=logits, teacher=teacher)
    check_shape("target", target, len(logits))
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite: got {temperature}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be from 0 to 1: got {weight}")
    log_p = (teacher.detach() / temperature).log_softmax(1)
    log_q = (logits / temperature).log_softmax(1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    return weight * temperature**2 * divergence + (1 - weight) * F.cross_entropy(
        logits, target
    )


def low_rank(
    weight: Float[Tensor, "outputs inputs"], rank: int
) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]]:
    """Return the two thin matrices whose product is nearest to a matrix.

    They come from its singular value decomposition; the singular values are shared
    between both.

    Args:
        weight: of a dense layer.
        rank: of the product.

    Raises:
        TypeError: `weight` is not floating point.
        ValueError: It is no matrix, or `rank` is below 1 or above its smaller size.

    Source: Eckart and Young 1936; book equation (5.4.2f).
    """
    check_floating(weight=weight)
    check_shape("weight", weight, "outputs", "inputs")
    check_whole(1, rank=rank)
    if rank > min(weight.shape):
        raise ValueError(f"rank must be at most {min(weight.shape)}: got {rank}")
    u, s, vh = torch.linalg.svd(weight.detach(), full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


@torch.no_grad()
def factorized(layer: nn.Module, rank: int) -> nn.Sequential:
    """Return two dense layers of low rank in the place of one.

    Args:
        layer: with a weight, (outputs, inputs), and perhaps a bias.
        rank: how many numbers pass between the two.

    Returns:
        A layer without bias and one with the bias of the old, if it had any.

    Raises:
        ValueError: The weight is no matrix, or `rank` does not suit it.
    """
    weight = _weight_of(layer)
    second, first = low_rank(weight, rank)
    bias = getattr(layer, "bias", None)
    inner = nn.Linear(weight.shape[1], rank, bias=False).to(weight)
    outer = nn.Linear(rank, len(weight), bias=bias is not None).to(weight)
    inner.weight.copy_(first)
    outer.weight.copy_(second)
    if bias is not None:
        outer.bias.copy_(bias)
    return nn.Sequential(inner, outer)


def _weight_of(layer: nn.Module) -> Tensor:
    """Return a layer's weight, if it has outputs and inputs."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim < 2:
        raise ValueError(
            "layer must have a weight with axes of outputs and inputs: "
            f"got {type(layer).__name__}"
        )
    if getattr(layer, "groups", 1) != 1:
        raise ValueError(f"layer must have no groups: got groups={layer.groups}")
    return weight


def _set_size(layer: nn.Module, names: Sequence[str], count: int) -> None:
    """Write the new number of channels into a layer that states it."""
    for name in names:
        if hasattr(layer, name):
            setattr(layer, name, count)


def _check_bits(bits: int) -> None:
    """Refuse integers that do not fit into a byte, or hold only zero."""
    check_whole(2, bits=bits)
    if bits > 8:
        raise ValueError(f"bits must be at most 8: got {bits}")


def _check_span(span: tuple[int, int], zero_point: int) -> None:
    """Refuse a span that needs more than a byte, or lacks the zero point."""
    low, high = span
    if not (-128 <= low < high <= 127 or 0 <= low < high <= 255):
        raise ValueError(
            "span must rise, within -128 to 127 or within 0 to 255: "
            f"got {low} to {high}"
        )
    if not low <= zero_point <= high:
        raise ValueError(f"zero_point must be from {low} to {high}: got {zero_point}")
