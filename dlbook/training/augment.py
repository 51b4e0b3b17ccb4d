"""Augmentation: change pictures in ways that leave their meaning alone, whole batches at a time.

Pictures are (batch, channels, height, width). Each change comes twice: as it is told, and drawn at random (`random_…`)
from PyTorch's random numbers, so that a seed decides and `fit` resumes with the same draws.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

Images = Float[Tensor, "batch channels height width"]


class Augmented:
    """Batches that are changed each time they are drawn, for `fit`: Augmented(batches, change).

    Args:
        batches: what yields (pictures, target), such as `train.Batches`.
        change: takes both and returns both.
    """

    def __init__(self, batches: Any, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        self.batches, self.change = batches, change

    def set_epoch(self, epoch: int) -> None:
        """Choose the order in which the next pass will visit the examples."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for pictures, target in self.batches:
            yield self.change(pictures, target)


def flip(x: Images, which: Bool[Tensor, " batch"]) -> Images:
    """Mirror pictures left to right, where `which` is True."""
    _check(x, which=which)
    return torch.where(which[:, None, None, None], x.flip(3), x)


def random_flip(x: Images, p: float = 0.5) -> Images:
    """Mirror each picture left to right with a probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie between 0 and 1: got {p}")
    return flip(x, torch.rand(len(x), device=x.device) < p)


def crop(
    x: Images, top: Int[Tensor, " batch"], left: Int[Tensor, " batch"], height: int, width: int
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Cut a rectangle out of each picture, at its own place.

    Errors: ValueError if a rectangle reaches beyond its picture.
    """
    _check(x, top=top, left=left)
    _check_rectangle(x, height, width)
    for name, places, size, whole in (("top", top, height, x.shape[2]), ("left", left, width, x.shape[3])):
        if len(x) and not 0 <= int(places.min()) <= int(places.max()) <= whole - size:
            raise ValueError(f"{name} must lie between 0 and {whole - size}: got {places.min()} to {places.max()}")
    return _cut(x, top, left, height, width)


def random_crop(x: Images, height: int, width: int) -> Float[Tensor, "batch channels new_height new_width"]:
    """Cut a rectangle out of each picture at a random place."""
    _check(x)
    _check_rectangle(x, height, width)
    return _cut(x, _draw(x, x.shape[2] - height + 1), _draw(x, x.shape[3] - width + 1), height, width)


def shift(x: Images, down: Int[Tensor, " batch"], right: Int[Tensor, " batch"], fill: float = 0.0) -> Images:
    """Move each picture by its own number of pixels; what leaves is lost, `fill` comes in."""
    _check(x, down=down, right=right)
    most = int(torch.cat([down, right]).abs().max()) if len(x) else 0
    return _cut(F.pad(x, [most] * 4, value=fill), most - down, most - right, x.shape[2], x.shape[3])


def random_shift(x: Images, max_pixels: int, fill: float = 0.0) -> Images:
    """Move each picture by up to `max_pixels` pixels up or down and left or right."""
    if max_pixels < 0:
        raise ValueError(f"max_pixels must be at least 0: got {max_pixels}")
    return random_crop(F.pad(x, [max_pixels] * 4, value=fill), x.shape[2], x.shape[3])


def rotate(x: Images, degrees: Float[Tensor, " batch"]) -> Images:
    """Turn each picture anticlockwise about its centre; between pixels it is interpolated, from outside comes zero."""
    _check(x, degrees=degrees)
    cosine, sine = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    height, width = x.shape[2:]
    zero = torch.zeros_like(sine)  # the grid runs from -1 to 1 along both sides, hence the ratios
    first = torch.stack([cosine, -sine * height / width, zero], 1)
    second = torch.stack([sine * width / height, cosine, zero], 1)
    grid = F.affine_grid(torch.stack([first, second], 1).to(x.dtype), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def random_rotate(x: Images, max_degrees: float) -> Images:
    """Turn each picture by up to `max_degrees` degrees either way."""
    return rotate(x, max_degrees * (2 * torch.rand(len(x), device=x.device, dtype=x.dtype) - 1))


def erase(
    x: Images, top: Int[Tensor, " batch"], left: Int[Tensor, " batch"], height: int, width: int, fill: float = 0.0
) -> Images:
    """Paint over a rectangle in each picture, at its own place; what lies beyond the edge is left out."""
    _check(x, top=top, left=left)
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1: got {height=}, {width=}")
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape[2:])
    down, right = rows - top[:, None], columns - left[:, None]  # (batch, height), (batch, width): within the rectangle
    hit = ((down >= 0) & (down < height))[:, :, None] & ((right >= 0) & (right < width))[:, None, :]
    return x.masked_fill(hit[:, None], fill)


def random_erase(x: Images, height: int, width: int, fill: float = 0.0) -> Images:
    """Paint over a rectangle whose centre is a random place of each picture; at the edge less of it is seen."""
    top, left = (_draw(x, whole) - size // 2 for whole, size in zip(x.shape[2:], (height, width), strict=True))
    return erase(x, top, left, height, width, fill)


def mixup(
    x: Images,
    target: Float[Tensor, "batch classes"],
    lam: Float[Tensor, " batch"],
    order: Int[Tensor, " batch"],
) -> tuple[Images, Float[Tensor, "batch classes"]]:
    """Blend each picture with another, and their targets likewise: `lam` of its own, the rest of number `order`.

    Args:
        target: probabilities, one row for each picture, such as `torch.nn.functional.one_hot(labels, 10).float()`.

    Source: Zhang et al. 2018, equation in section 1; book equation (4.2c).
    """
    _check(x, share=lam, order=order)
    if target.ndim != 2 or len(target) != len(x):
        raise ValueError(f"target must be probabilities, (batch, classes): got {tuple(target.shape)} for {len(x)}")
    one, many = lam[:, None], lam[:, None, None, None]
    return many * x + (1 - many) * x[order], one * target + (1 - one) * target[order]


def random_mixup(
    x: Images, target: Float[Tensor, "batch classes"], alpha: float = 0.2
) -> tuple[Images, Float[Tensor, "batch classes"]]:
    """Blend each picture with another of the batch, by a share from the distribution Beta(alpha, alpha)."""
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0: got {alpha}")
    beta = torch.distributions.Beta(torch.tensor(alpha, device=x.device), torch.tensor(alpha, device=x.device))
    return mixup(x, target, beta.sample((len(x),)).to(x.dtype), torch.randperm(len(x), device=x.device))


def _cut(x: Images, top: Int[Tensor, " batch"], left: Int[Tensor, " batch"], height: int, width: int) -> Tensor:
    """Cut rectangles that are known to lie within their pictures: on a GPU, to look would be to wait."""
    windows = x.unfold(2, height, 1).unfold(3, width, 1)  # a view: every rectangle of this size
    return windows[torch.arange(len(x), device=x.device), :, top, left]


def _draw(x: Tensor, below: int) -> Int[Tensor, " batch"]:
    """Draw a whole number from 0 to below - 1 for each picture."""
    return torch.randint(below, (len(x),), device=x.device)


def _check(x: Tensor, **numbers: Tensor) -> None:
    """Refuse what is no batch of pictures, and lists that do not have a number for each of them."""
    if x.ndim != 4:
        raise ValueError(f"x must have the shape (batch, channels, height, width): got {tuple(x.shape)}")
    for name, values in numbers.items():
        if values.shape != (len(x),):
            raise ValueError(f"{name} must have one number for each of {len(x)} pictures: got {tuple(values.shape)}")


def _check_rectangle(x: Tensor, height: int, width: int) -> None:
    """Refuse a rectangle that is larger than the pictures."""
    if not (1 <= height <= x.shape[2] and 1 <= width <= x.shape[3]):
        raise ValueError(
            f"height must be 1 to {x.shape[2]} and width 1 to {x.shape[3]}: got height={height}, width={width}"
        )
