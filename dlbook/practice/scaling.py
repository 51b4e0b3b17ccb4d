"""Power laws: how time, memory or a loss changes with size, and what a larger one has.

A growth such as that of memory with the batch is a straight line between logarithms. A
loss falls towards a floor that no size removes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dlbook._check import check_floating, check_same_shape, check_shape
from dlbook._float64 import float64_on_cpu


@dataclass(frozen=True)
class PowerLaw:
    """The law y = floor + factor · x^exponent.

    Args:
        floor: what y comes near to if the power vanishes.
        factor: of the power.
        exponent: negative for what falls with x.

    Source: Kaplan et al. 2020, equation (1.1); book equation (5.4.1k).
    """

    floor: float | int
    factor: float | int
    exponent: float | int

    def __call__(self, x: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Return what the law says of some sizes.

        Args:
            x: positive sizes.
        """
        return self.floor + self.factor * x**self.exponent


@float64_on_cpu
def fit_power_law(x: Float[Tensor, " points"], y: Float[Tensor, " points"]) -> PowerLaw:
    """Fit a power law without a floor: least squares between the logarithms.

    Args:
        x: positive sizes, at least two of them different.
        y: positive measurements.

    Raises:
        TypeError: x or y is not floating point.
        ValueError: The shapes do not fit, a number is not positive, or all sizes are
            the same.
    """
    _check_points(x, y, 2)
    a, b = x.double().log(), y.double().log()
    centred = a - a.mean()
    exponent = (centred * b).sum() / centred.square().sum()
    factor = (b.mean() - exponent * a.mean()).exp()
    return PowerLaw(0.0, factor.item(), exponent.item())


@float64_on_cpu
def fit_saturating_law(
    x: Float[Tensor, " points"], y: Float[Tensor, " points"]
) -> PowerLaw:
    """Fit a falling power law with a floor of at least zero: least squares.

    For each of many exponents the best factor and floor have a formula; the search
    narrows on the best exponent between -3 and -0.01.

    Args:
        x: positive sizes, at least three of them different.
        y: positive measurements.

    Raises:
        TypeError: x or y is not floating point.
        ValueError: The shapes do not fit, a number is not positive, or there are too
            few sizes.

    Source: Hoffmann et al. 2022, equation (10), with one of its two terms.
    """
    _check_points(x, y, 3)
    x, y = x.double(), y.double()
    scale = x.log().mean().exp()  # powers of numbers near 1 are precise
    low, high = -3.0, -0.01
    for _ in range(8):
        exponents = torch.linspace(low, high, 41, dtype=torch.float64)
        floors, factors, errors = _fit_lines((x / scale) ** exponents[:, None], y)
        best = int(errors.argmin())
        low = exponents[max(best - 1, 0)].item()
        high = exponents[min(best + 1, 40)].item()
    exponent = exponents[best].item()
    factor = factors[best].item() * scale.item() ** -exponent
    return PowerLaw(floors[best].item(), factor, exponent)


def _fit_lines(powers: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best floor at or above zero, factor and squared error for each row."""
    centred = powers - powers.mean(1, keepdim=True)
    slope = (centred @ y) / centred.square().sum(1)
    floor = y.mean() - slope * powers.mean(1)
    through_zero = (powers @ y) / powers.square().sum(1)
    factor = torch.where(floor < 0, through_zero, slope)
    floor = floor.clamp(min=0)
    return (
        floor,
        factor,
        (floor[:, None] + factor[:, None] * powers - y).square().sum(1),
    )


def _check_points(x: Tensor, y: Tensor, least: int) -> None:
    """Refuse points that do not determine a law."""
    check_floating(x=x, y=y)
    check_shape("x", x, "points")
    check_same_shape(x=x, y=y)
    for name, values in (("x", x), ("y", y)):
        if not (values > 0).all():
            raise ValueError(f"{name} must be positive: got {values.tolist()}")
    if (different := len(x.unique())) < least:
        raise ValueError(
            f"x must hold at least {least} different sizes: got {different}"
        )
