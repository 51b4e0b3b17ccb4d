"""Augmentation: change images in ways that keep their meaning, whole batches at a time.

Images are (batch, channels, height, width). Each change comes twice: with given
numbers, and drawn at random (`random_…`) from PyTorch's random numbers, so that a seed
decides and `fit` resumes with the same draws.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from dlbook._check import (
    check_bool,
    check_floating,
    check_integer,
    check_shape,
    check_tensor,
    check_whole,
)

Images = Float[Tensor, "batch channels height width"]


class Augmented:
    """Batches that are changed each time they are drawn, for `fit`.

    Args:
        batches: yield (images, target) and have `set_epoch`, such as `Batches`.
        change: called with both, returns both.

    Raises:
        TypeError: The batches have no `set_epoch`.
    """

    def __init__(
        self, batches: Any, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> None:
        if not hasattr(batches, "set_epoch"):
            raise TypeError(
                "batches must have set_epoch, such as Batches: "
                f"got a {type(batches).__name__}"
            )
        self.batches, self.change = batches, change

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the examples in the next epoch.

        Args:
            epoch: its number, counted from 0.
        """
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch, changed."""
        for images, target in self.batches:
            yield self.change(images, target)


# Each of these functions raises a TypeError for what is no tensor or one of another
# type, and a ValueError for other shapes or a number that breaks its rule.


def flip(x: Images, which: Bool[Tensor, " batch"]) -> Images:
    """Mirror images left to right, where `which` is True.

    Args:
        x: the images.
        which: one for each image.
    """
    _check(x, which=which)
    check_bool(which=which)
    return torch.where(which[:, None, None, None], x.flip(3), x)


def random_flip(x: Images, p: float = 0.5) -> Images:
    """Mirror each image left to right with probability p.

    Args:
        x: the images.
        p: the probability.
    """
    check_shape("x", x, "batch", "channels", "height", "width")
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie between 0 and 1: got {p}")
    return flip(x, torch.rand(len(x), device=x.device) < p)


def crop(
    x: Images,
    top: Int[Tensor, " batch"],
    left: Int[Tensor, " batch"],
    height: int,
    width: int,
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Cut a rectangle out of each image, at its own position.

    Args:
        x: the images.
        top: the first row of each rectangle; none may reach beyond its image.
        left: the first column of each.
        height: of the rectangles, in pixels.
        width: of the rectangles, in pixels.
    """
    _check(x, top=top, left=left)
    check_integer(top=top, left=left)
    _check_rectangle(x, height, width)
    for name, first, size, whole in (
        ("top", top, height, x.shape[2]),
        ("left", left, width, x.shape[3]),
    ):
        if len(x) and not 0 <= int(first.min()) <= int(first.max()) <= whole - size:
            raise ValueError(
                f"{name} must lie between 0 and {whole - size}: "
                f"got {first.min()} to {first.max()}"
            )
    return _cut(x, top.long(), left.long(), height, width)


def random_crop(
    x: Images, height: int, width: int
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Cut a rectangle out of each image, at a random position.

    Args:
        x: the images.
        height: of the rectangles, in pixels.
        width: of the rectangles, in pixels.
    """
    _check(x)
    _check_rectangle(x, height, width)
    return _cut(
        x,
        _draw(x, x.shape[2] - height + 1),
        _draw(x, x.shape[3] - width + 1),
        height,
        width,
    )


def shift(
    x: Images,
    down: Int[Tensor, " batch"],
    right: Int[Tensor, " batch"],
    fill: float = 0.0,
) -> Images:
    """Move each image by its own number of pixels (translation); what leaves is lost.

    Args:
        x: the images.
        down: how far each moves; up, if below 0.
        right: how far each moves; left, if below 0.
        fill: the value of what comes in.
    """
    _check(x, down=down, right=right)
    check_integer(down=down, right=right)
    down, right = down.long(), right.long()
    most = int(torch.cat([down, right]).abs().max()) if len(x) else 0
    padded = F.pad(x, [most] * 4, value=fill)
    return _cut(padded, most - down, most - right, x.shape[2], x.shape[3])


def random_shift(x: Images, max_pixels: int, fill: float = 0.0) -> Images:
    """Move each image by up to `max_pixels` pixels up or down, and left or right.

    Args:
        x: the images.
        max_pixels: the largest move.
        fill: the value of what comes in.
    """
    check_shape("x", x, "batch", "channels", "height", "width")
    check_whole(0, max_pixels=max_pixels)
    return random_crop(F.pad(x, [max_pixels] * 4, value=fill), x.shape[2], x.shape[3])


def rotate(x: Images, degrees: Float[Tensor, " batch"]) -> Images:
    """Rotate each image anticlockwise about its centre.

    Between pixels values are interpolated (bilinear); from outside comes zero.

    Args:
        x: the images.
        degrees: the angle of each, finite.
    """
    _check(x, degrees=degrees)
    check_floating(degrees=degrees)
    if not degrees.isfinite().all():
        raise ValueError(f"degrees must be finite: got {degrees.tolist()}")
    return _rotate(x, degrees)


def random_rotate(x: Images, max_degrees: float) -> Images:
    """Rotate each image by up to `max_degrees` degrees either way.

    Args:
        x: the images.
        max_degrees: the largest angle.
    """
    _check(x)
    if not 0 <= max_degrees < math.inf:
        raise ValueError(
            f"max_degrees must be at least 0, and finite: got {max_degrees}"
        )
    draw = torch.rand(len(x), device=x.device, dtype=x.dtype)
    return _rotate(x, max_degrees * (2 * draw - 1))


def erase(
    x: Images,
    top: Int[Tensor, " batch"],
    left: Int[Tensor, " batch"],
    height: int,
    width: int,
    fill: float = 0.0,
) -> Images:
    """Paint over a rectangle in each image, at its own position (random erasing).

    Args:
        x: the images.
        top: the first row of each rectangle; what lies beyond the edge is left out.
        left: the first column of each.
        height: of the rectangles, in pixels.
        width: of the rectangles, in pixels.
        fill: the value to paint with.
    """
    _check(x, top=top, left=left)
    check_integer(top=top, left=left)
    check_whole(1, height=height, width=width)
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape[2:])
    # Within the rectangle, counted from its corner:
    down = rows - top[:, None]  # (batch, height)
    right = columns - left[:, None]  # (batch, width)
    inside_rows, inside_columns = (
        (position >= 0) & (position < size)
        for position, size in ((down, height), (right, width))
    )
    hit = inside_rows[:, :, None] & inside_columns[:, None, :]
    return x.masked_fill(hit[:, None], fill)


def random_erase(x: Images, height: int, width: int, fill: float = 0.0) -> Images:
    """Paint over a rectangle whose centre is a random pixel of each image.

    Args:
        x: the images.
        height: of the rectangles, in pixels; at an edge, less of one is seen.
        width: of the rectangles, in pixels.
        fill: the value to paint with.
    """
    _check(x)
    check_whole(1, height=height, width=width)
    top = _draw(x, x.shape[2]) - height // 2
    left = _draw(x, x.shape[3]) - width // 2
    return erase(x, top, left, height, width, fill)


def mixup(
    x: Images,
    target: Float[Tensor, "batch classes"],
    lam: Float[Tensor, " batch"],
    order: Int[Tensor, " batch"],
) -> tuple[Images, Float[Tensor, "batch classes"]]:
    """Average each image with another one, and their targets likewise (mixup).

    Args:
        x: the images.
        target: probabilities, one row for each image, such as
            `torch.nn.functional.one_hot(labels, 10).float()`.
        lam: the weight λ of each image itself, between 0 and 1; the other's is 1 - λ.
        order: the number of each image's other one.

    Returns:
        The mixed images, and their targets.

    Source: Zhang et al. 2018, equation in section 1; book equation (4.2c).
    """
    _check(x, lam=lam, order=order)
    check_floating(target=target, lam=lam)
    check_integer(order=order)
    check_shape("target", target, len(x), "classes")
    lam, order = lam.to(x.dtype), order.long()
    one, many = lam[:, None], lam[:, None, None, None]
    mixed = many * x + (1 - many) * x[order]
    return mixed, one * target + (1 - one) * target[order]


def random_mixup(
    x: Images, target: Float[Tensor, "batch classes"], alpha: float = 0.2
) -> tuple[Images, Float[Tensor, "batch classes"]]:
    """Average each image with a random one of the batch (mixup), λ from Beta(α, α).

    Args:
        x: the images.
        target: probabilities, one row for each image.
        alpha: α; the smaller, the nearer is λ to 0 or 1.

    Returns:
        The mixed images, and their targets.

    Source: Zhang et al. 2018, section 1.
    """
    _check(x)
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be above 0, and finite: got {alpha}")
    concentration = torch.tensor(alpha, device=x.device)
    beta = torch.distributions.Beta(concentration, concentration, validate_args=False)
    lam = beta.sample((len(x),))
    return mixup(x, target, lam.to(x.dtype), torch.randperm(len(x), device=x.device))


def _cut(
    x: Images,
    top: Int[Tensor, " batch"],
    left: Int[Tensor, " batch"],
    height: int,
    width: int,
) -> Tensor:
    """Cut rectangles known to lie within the images: to look would be to wait."""
    windows = x.unfold(2, height, 1).unfold(3, width, 1)  # a view: all of this size
    return windows[torch.arange(len(x), device=x.device), :, top, left]


def _rotate(x: Images, degrees: Float[Tensor, " batch"]) -> Images:
    """Rotate by angles known to be finite, in float32 or better."""
    kind = torch.promote_types(x.dtype, torch.float32)
    angle = torch.deg2rad(degrees.to(torch.promote_types(degrees.dtype, kind)))
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    height, width = x.shape[2:]
    # The grid runs from -1 to 1 along both sides, hence the ratios.
    first = torch.stack([cosine, -sine * height / width, zero], 1)
    second = torch.stack([sine * width / height, cosine, zero], 1)
    maps = torch.stack([first, second], 1).to(kind)  # (batch, 2, 3)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x.to(kind), grid, align_corners=False).to(x.dtype)


def _draw(x: Tensor, below: int) -> Int[Tensor, " batch"]:
    """Draw a whole number from 0 to below - 1 for each image."""
    return torch.randint(below, (len(x),), device=x.device)


def _check(x: Tensor, **numbers: Tensor) -> None:
    """Refuse what is no batch of images, or tensors without a number for each image."""
    check_floating(x=x)
    if x.ndim != 4:
        raise ValueError(
            "x must have the shape (batch, channels, height, width): "
            f"got {tuple(x.shape)}"
        )
    for name, values in numbers.items():
        check_tensor(name, values)
        if values.shape != (len(x),):
            raise ValueError(
                f"{name} must have one number for each of {len(x)} images: "
                f"got {tuple(values.shape)}"
            )


def _check_rectangle(x: Tensor, height: int, width: int) -> None:
    """Refuse a rectangle that is larger than the images."""
    check_whole(1, height=height, width=width)
    if not (1 <= height <= x.shape[2] and 1 <= width <= x.shape[3]):
        raise ValueError(
            f"height must be 1 to {x.shape[2]} and width 1 to {x.shape[3]}: "
            f"got height={height}, width={width}"
        )
