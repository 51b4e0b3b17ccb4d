"""Convolution and pooling by hand, as matrix products over what a kernel sees.

The functions take the arguments of PyTorch's, in its order, and give its results; PyTorch's are faster, and the
networks of `cnn` use them. Pictures are (batch, channels, height, width).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Size = int | tuple[int, int]


def _pair(size: Size) -> tuple[int, int]:
    """Return a size for height and width; one number means both."""
    return (size, size) if isinstance(size, int) else size


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Count the places along one side of a picture at which a kernel fits.

    Args:
        size: pixels along that side.
        kernel: weights along it.
        stride: pixels from one place to the next.
        padding: pixels added at both ends.
        dilation: pixels from one weight to the next.

    Source: book equation (3.2.1c).
    """
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            "kernel, stride and dilation must be at least 1 and padding at least 0: "
            f"got {kernel=}, {stride=}, {dilation=}, {padding=}"
        )
    span = dilation * (kernel - 1) + 1  # pixels from the first weight to the last
    if size + 2 * padding < span:
        raise ValueError(
            f"kernel must fit into the padded picture: got one that spans {span} pixels for {size} + 2 × {padding}"
        )
    return (size + 2 * padding - span) // stride + 1


def _check_images(x: Tensor) -> None:
    """Refuse what is no batch of pictures."""
    if x.ndim != 4:
        raise ValueError(f"x must have the shape (batch, channels, height, width): got {tuple(x.shape)}")


def unfold(
    x: Float[Tensor, "batch channels height width"],
    kernel: Size,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    fill: float = 0.0,
) -> Float[Tensor, "batch rows columns taps channels"]:
    """Gather what the kernel sees at each place: its taps, row by row, with their channels.

    Args:
        fill: the value of the pixels that padding adds.

    Errors: ValueError if the kernel does not fit into the padded picture.
    """
    _check_images(x)
    (high, wide), (down, right), (top, left), (by, across) = map(_pair, (kernel, stride, padding, dilation))
    rows = output_size(x.shape[2], high, down, top, by)
    columns = output_size(x.shape[3], wide, right, left, across)
    if top or left:
        x = F.pad(x, (left, left, top, top), value=fill)
    pixels = x.permute(0, 2, 3, 1)  # (batch, height, width, channels): the channels of a pixel side by side
    taps = [
        pixels[:, i * by :: down, j * across :: right][:, :rows, :columns] for i in range(high) for j in range(wide)
    ]
    return torch.stack(taps, 3)


def conv2d(
    x: Float[Tensor, "batch channels height width"],
    weight: Float[Tensor, "outputs channels_per_group kernel_height kernel_width"],
    bias: Float[Tensor, " outputs"] | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Float[Tensor, "batch outputs rows columns"]:
    """Weigh and add what the kernel sees at each place, as one matrix product over all places.

    With groups, the channels are dealt out in order: each group of outputs sees its own group of inputs.

    Errors: ValueError if channels, groups or sizes do not fit together.

    Source: book equation (3.2.1b).
    """
    _check_channels(x, weight, bias, groups)
    seen = unfold(x, (weight.shape[2], weight.shape[3]), stride, padding, dilation)
    batch, rows, columns, taps, channels = seen.shape
    seen = seen.reshape(batch * rows * columns, taps, groups, channels // groups).permute(2, 0, 1, 3)
    kernels = weight.reshape(groups, -1, channels // groups, taps).permute(0, 3, 2, 1)
    y = seen.flatten(2) @ kernels.flatten(1, 2)  # (groups, places, outputs of a group)
    y = y.transpose(0, 1).reshape(batch, rows, columns, len(weight))
    if bias is not None:
        y = y + bias
    return y.permute(0, 3, 1, 2)


def _check_channels(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """Refuse a picture and a kernel that do not fit together."""
    _check_images(x)
    if weight.ndim != 4:
        raise ValueError(f"weight must have the shape (outputs, channels, height, width): got {tuple(weight.shape)}")
    outputs, channels = weight.shape[:2]
    if groups < 1 or x.shape[1] != groups * channels or outputs % groups:
        raise ValueError(
            "channels of x must be groups × channels of weight, and outputs a multiple of groups: "
            f"got {x.shape[1]} channels, weight of {outputs} × {channels}, {groups=}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias must have one number for each of {outputs} outputs: got {tuple(bias.shape)}")


def max_pool2d(
    x: Float[Tensor, "batch channels height width"],
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> Float[Tensor, "batch channels rows columns"]:
    """Keep the largest value of each window; the gradient goes to the place that it came from, the first of equals.

    Args:
        stride: the kernel's size if not given, so that windows touch and do not overlap.
        padding: pixels that can never be the largest.

    Errors: ValueError if the window does not fit into the padded picture, or one would hold nothing but padding.

    Source: book equation (3.2.2a).
    """
    _check_images(x)
    stride = kernel if stride is None else stride
    for side, *sizes in zip(x.shape[2:], *map(_pair, (kernel, stride, padding, dilation)), strict=True):
        places, (taps, step, added, apart) = output_size(side, *sizes), sizes
        if not all(any(0 <= n * step - added + i * apart < side for i in range(taps)) for n in range(places)):
            raise ValueError(f"padding must leave a pixel in every window: got {kernel=}, {stride=}, {padding=}")
    return unfold(x, kernel, stride, padding, dilation, fill=-torch.inf).max(3).values.permute(0, 3, 1, 2)


def avg_pool2d(
    x: Float[Tensor, "batch channels height width"], kernel: Size, stride: Size | None = None, padding: Size = 0
) -> Float[Tensor, "batch channels rows columns"]:
    """Average each window; padding counts as zeros.

    Args:
        stride: the kernel's size if not given, so that windows touch and do not overlap.

    Errors: ValueError if the window does not fit into the padded picture.

    Source: book equation (3.2.2b).
    """
    return unfold(x, kernel, kernel if stride is None else stride, padding).mean(3).permute(0, 3, 1, 2)


def global_avg_pool(x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels"]:
    """Average each channel over the whole picture, whatever its size."""
    return x.mean((2, 3))


def receptive_field(layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Say how much of a picture one number behind some layers depends on.

    Args:
        layers: (kernel, stride) of each convolution or pooling, the first first.

    Returns:
        The side of the square of pixels that it sees, and how far apart the squares of neighbours are.

    Source: book equation (3.2.1e).
    """
    field, jump = 1, 1
    for kernel, stride in layers:
        if min(kernel, stride) < 1:
            raise ValueError(f"layers must be pairs (kernel, stride), each at least 1: got ({kernel}, {stride})")
        field += (kernel - 1) * jump
        jump *= stride
    return field, jump
