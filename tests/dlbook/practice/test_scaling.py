"""Power laws: as SciPy and NumPy fit them, with and without a floor."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from dlbook.practice.scaling import PowerLaw, fit_power_law, fit_saturating_law
from tests.helpers.references import random, reference


def sizes(count=6):
    return torch.logspace(3, 6, count, dtype=torch.float64)


@reference("dlbook.practice.scaling.fit_power_law", to="numpy.polyfit")
def test_a_power_law_is_a_line_between_logarithms():
    x = sizes()
    y = 3 * x**-0.2 * (0.05 * random(6)).exp()
    slope, intercept = np.polyfit(np.log(x.numpy()), np.log(y.numpy()), 1)
    law = fit_power_law(x, y)
    assert (law.floor, law.factor, law.exponent) == pytest.approx((0, np.exp(intercept), slope))
    assert fit_power_law(x.float(), (2 * x**1.5).float()).exponent == pytest.approx(1.5, abs=1e-4)


@reference("dlbook.practice.scaling.fit_saturating_law", to="scipy.optimize.curve_fit")
@pytest.mark.parametrize("exponent", [-0.1, -0.35, -1.0])
def test_a_law_with_a_floor_as_in_scipy(exponent):
    torch.manual_seed(0)
    x = sizes()
    scale = x.log().mean().exp().item()
    y = 1.5 + (x / scale) ** exponent + 0.001 * random(6)

    def law(x, floor, factor, exponent):
        return floor + factor * (x / scale) ** exponent

    expected, _ = curve_fit(law, x.numpy(), y.numpy(), (1, 1, -0.3), maxfev=10_000)
    found = fit_saturating_law(x, y)
    assert (found.floor, found.factor * scale**found.exponent, found.exponent) == pytest.approx(expected, rel=2e-3)


def test_a_floor_is_never_below_zero():
    x = sizes()
    y = (x / 1e4) ** -0.5 - 0.05  # a curve that ends below zero
    law = fit_saturating_law(x, y.clamp(min=0.01))
    assert law.floor >= 0
    exact = fit_saturating_law(x, 2 * x**-0.5)
    assert (exact.floor, exact.factor, exact.exponent) == pytest.approx((0, 2, -0.5), abs=1e-5)


@reference("dlbook.practice.scaling.PowerLaw", to="numpy.power")
def test_what_a_law_says():
    x = sizes()
    expected = 1 + 2 * np.power(x.numpy(), -0.5)
    assert PowerLaw(1, 2, -0.5)(x).numpy() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 1.0], [1.0, 2.0], "x must hold at least 2 different sizes: got 1"),
        ([1.0, 0.0], [1.0, 2.0], "x must be positive"),
        ([1.0, 2.0], [1.0, -2.0], "y must be positive"),
    ],
)
def test_points_without_a_law_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(torch.tensor(x), torch.tensor(y))
    with pytest.raises(ValueError, match="x must hold at least 3 different sizes: got 2"):
        fit_saturating_law(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]))
