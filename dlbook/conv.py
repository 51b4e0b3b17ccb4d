"""Convolution and pooling by hand, as matrix products over the patches of an image.

The functions take the arguments of PyTorch's, in its order, and return its results;
PyTorch's are faster, and the networks of `cnn` use them. Images are (batch, channels,
height, width). A size is one number for height and width, or a pair of them; padding is
a number of pixels, not a word such as "same".
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from dlbook._check import check_dtype, check_floating, check_shape

Size = int | tuple[int, int]


def _pair(size: Size) -> tuple[int, int]:
    """Return a size for height and width; one number means both."""
    return (size, size) if isinstance(size, int) else size


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Return the number of positions along one side of an image at which a kernel fits.

    Args:
        size: pixels along that side.
        kernel: weights along it.
        stride: pixels from one position to the next.
        padding: pixels added at both ends.
        dilation: pixels from one weight to the next.

    Raises:
        TypeError: An argument is not an int.
        ValueError: One is too small, or the kernel does not fit.

    Source: book equation (3.2.1c).
    """
    _check_integers(
        size=size, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            "kernel, stride and dilation must be at least 1 and padding at least 0: "
            f"got {kernel=}, {stride=}, {dilation=}, {padding=}"
        )
    span = dilation * (kernel - 1) + 1  # pixels from the first weight to the last
    if size + 2 * padding < span:
        raise ValueError(
            "kernel must fit into the padded image: "
            f"got one that spans {span} pixels for {size} + 2 × {padding}"
        )
    return (size + 2 * padding - span) // stride + 1


def unfold(
    x: Float[Tensor, "batch channels height width"],
    kernel: Size,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    fill: float = 0.0,
) -> Float[Tensor, "batch rows columns taps channels"]:
    """Return the patch under the kernel at each position (im2col).

    A patch has the kernel's taps, row by row, with their channels.

    Args:
        x: images.
        kernel: its height and width.
        stride: pixels from one position to the next.
        padding: pixels added at each side.
        dilation: pixels from one tap to the next.
        fill: the value of the pixels that padding adds.

    Raises:
        TypeError: x is not floating point, or a size is neither an int nor two.
        ValueError: x is not a batch of images, or the kernel does not fit.
    """
    _check_images(x)
    _check_sizes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    (high, wide), (down, right), (top, left), (by, across) = map(
        _pair, (kernel, stride, padding, dilation)
    )
    rows = output_size(x.shape[2], high, down, top, by)
    columns = output_size(x.shape[3], wide, right, left, across)
    if top or left:
        x = F.pad(x, (left, left, top, top), value=fill)
    pixels = x.permute(0, 2, 3, 1)  # (batch, height, width, channels)
    taps = [
        pixels[:, i * by :: down, j * across :: right][:, :rows, :columns]
        for i in range(high)
        for j in range(wide)
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
    """Return the convolution (cross-correlation), one matrix product over all patches.

    Args:
        x: images.
        weight: the kernels.
        bias: is added to each output.
        stride: pixels from one position to the next.
        padding: pixels of zeros added at each side.
        dilation: pixels from one tap of the kernel to the next.
        groups: of channels, dealt out in order: each group of outputs sees its own
            group of inputs.

    Raises:
        TypeError: x, weight and bias are not of one floating-point type, or a size is
            neither an int nor two.
        ValueError: Channels, groups or sizes do not fit together.

    Source: book equation (3.2.1b).
    """
    _check_channels(x, weight, bias, groups)
    patches = unfold(x, (weight.shape[2], weight.shape[3]), stride, padding, dilation)
    batch, rows, columns, taps, channels = patches.shape
    patches = patches.reshape(
        batch * rows * columns, taps, groups, channels // groups
    ).permute(2, 0, 1, 3)
    kernels = weight.reshape(groups, -1, channels // groups, taps).permute(0, 3, 2, 1)
    y = patches.flatten(2) @ kernels.flatten(1, 2)  # (groups, positions, outputs)
    y = y.transpose(0, 1).reshape(batch, rows, columns, len(weight))
    if bias is not None:
        y = y + bias
    return y.permute(0, 3, 1, 2)


def max_pool2d(
    x: Float[Tensor, "batch channels height width"],
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the maximum of each window (max pooling).

    Its gradient goes to the position of the maximum, the first of equal ones.

    Args:
        x: images.
        kernel: height and width of the window.
        stride: from one window to the next; by default the kernel, so that windows
            touch and do not overlap.
        padding: pixels added at each side, which are never the maximum.
        dilation: pixels from one tap of the window to the next.

    Raises:
        TypeError: x is not floating point, or a size is neither an int nor two.
        ValueError: x is not a batch of images, the window does not fit, or one would
            hold nothing but padding.

    Source: book equation (3.2.2a).
    """
    _check_images(x)
    stride = kernel if stride is None else stride
    _check_windows(x, kernel, stride, padding, dilation)
    patches = unfold(x, kernel, stride, padding, dilation, fill=-torch.inf)
    return patches.max(3).values.permute(0, 3, 1, 2)


def avg_pool2d(
    x: Float[Tensor, "batch channels height width"],
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the mean of each window (average pooling); padding counts as zeros.

    Args:
        x: images.
        kernel: height and width of the window.
        stride: from one window to the next; by default the kernel, so that windows
            touch and do not overlap.
        padding: pixels of zeros added at each side.

    Raises:
        TypeError: x is not floating point, or a size is neither an int nor two.
        ValueError: x is not a batch of images, or the window does not fit.

    Source: book equation (3.2.2b).
    """
    stride = kernel if stride is None else stride
    return unfold(x, kernel, stride, padding).mean(3).permute(0, 3, 1, 2)


def global_avg_pool(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels"]:
    """Return the mean of each channel over all positions (global average pooling).

    Args:
        x: images, of any size.

    Raises:
        TypeError: x is not floating point.
        ValueError: It is not a batch of images.
    """
    _check_images(x)
    return x.mean((2, 3))


def receptive_field(layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the receptive field of one number behind some layers, and their stride.

    Args:
        layers: (kernel, stride) of each convolution or pooling, the first first.

    Returns:
        The side, in pixels, of the square on which the number depends, and how many
        pixels the squares of neighbours are apart.

    Raises:
        TypeError: kernel or stride is not an int.
        ValueError: One is less than 1.

    Source: book equation (3.2.1e).
    """
    field, jump = 1, 1
    for kernel, stride in layers:
        _check_integers(kernel=kernel, stride=stride)
        if min(kernel, stride) < 1:
            raise ValueError(
                "layers must be pairs (kernel, stride), each at least 1: "
                f"got ({kernel}, {stride})"
            )
        field += (kernel - 1) * jump
        jump *= stride
    return field, jump


def _check_images(x: Tensor) -> None:
    """Refuse what is no batch of images."""
    check_shape("x", x, "batch", "channels", "height", "width")
    check_floating(x=x)


def _check_sizes(**sizes: Size) -> None:
    """Refuse sizes that are neither an int nor a pair of them, by arguments' names."""
    for name, size in sizes.items():
        pair = size if isinstance(size, tuple | list) else (size, size)
        if len(pair) != 2 or any(type(number) is not int for number in pair):
            raise TypeError(
                f"{name} must be an int, or two for height and width "
                f"(words such as 'same' are not supported): got {size!r}"
            )


def _check_integers(**numbers: int) -> None:
    """Refuse what is not an int, by the arguments' names; True is none."""
    for name, number in numbers.items():
        if type(number) is not int:
            raise TypeError(f"{name} must be an int: got {number!r}")


def _check_channels(
    x: Tensor, weight: Tensor, bias: Tensor | None, groups: int
) -> None:
    """Refuse images and kernels that do not fit together."""
    _check_images(x)
    _check_integers(groups=groups)
    check_shape("weight", weight, "outputs", "channels", "height", "width")
    outputs, channels = weight.shape[:2]
    if groups < 1 or x.shape[1] != groups * channels or outputs % groups:
        raise ValueError(
            "channels of x must be groups × channels of weight, and outputs a multiple "
            f"of groups: got {x.shape[1]} channels, weight of {outputs} × {channels}, "
            f"{groups=}"
        )
    check_dtype("x", x, weight)
    if bias is not None:
        check_shape("bias", bias, outputs)
        check_dtype("bias", bias, weight)


def _check_windows(
    x: Tensor, kernel: Size, stride: Size, padding: Size, dilation: Size
) -> None:
    """Refuse windows that hold nothing but padding."""
    _check_sizes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    sizes = map(_pair, (kernel, stride, padding, dilation))
    for side, taps, step, added, apart in zip(x.shape[2:], *sizes, strict=True):
        for position in range(output_size(side, taps, step, added, apart)):
            first = position * step - added
            if not any(0 <= first + tap * apart < side for tap in range(taps)):
                raise ValueError(
                    "padding must leave a pixel in every window: "
                    f"got {kernel=}, {stride=}, {padding=}"
                )
