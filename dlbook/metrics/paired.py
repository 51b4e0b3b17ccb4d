"""Paired differences: intervals over examples, over seeds, over both, over time.

All are of first minus second. If lower is better, give the errors of the method that is
better as `second`: the difference is then what it gains.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from dlbook._check import (
    check_same_shape,
    check_seed,
    check_shape,
    check_tensor,
    check_whole,
)
from dlbook.metrics.resample import _percentiles, block_bootstrap_interval


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and what it lets one say.

    In a string it may be formatted like a number: `f"{interval:.2f}"` gives
    "0.05 (0.01 to 0.09)".

    Attributes:
        low: the lower end.
        high: the upper end.
        estimate: the number whose interval it is, such as a mean difference.
    """

    low: float
    high: float
    estimate: float

    def above(self, value: float | int) -> bool:
        """Return whether the whole interval lies above a value.

        Args:
            value: of a difference, 0 to ask whether the first is larger.
        """
        return self.low > value

    def below(self, value: float | int) -> bool:
        """Return whether the whole interval lies below a value.

        Args:
            value: of a difference, 0 to ask whether the first is smaller.
        """
        return self.high < value

    def contains(self, value: float | int) -> bool:
        """Return whether a value lies in the interval.

        If a difference's interval contains 0, the two are not separated. It does not
        follow that they are equal: see `within`.

        Args:
            value: of a difference, 0 to ask whether the two are not separated.
        """
        return self.low <= value <= self.high

    def within(self, margin: float | int) -> bool:
        """Return whether all of it lies within a margin around 0 (equivalence).

        Args:
            margin: the largest difference that does not matter.
        """
        return -margin < self.low and self.high < margin

    def __format__(self, spec: str) -> str:
        """Return the estimate and both ends, each formatted like a number."""
        estimate, low, high = (
            format(part, spec) for part in (self.estimate, self.low, self.high)
        )
        return f"{estimate} ({low} to {high})"


def difference_over_examples(
    first: Shaped[Tensor, "examples *features"],
    second: Shaped[Tensor, "examples *features"],
    statistic: Callable[[Tensor], Tensor | float] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a paired bootstrap interval of a difference over examples.

    Each resample holds the same examples for both, so that those which are hard for
    both cancel. It speaks of these two trained models on other examples.

    Args:
        first: one number or row for each independent example, such as True where the
            first model is right.
        second: the same of the second model, on the same examples in the same order.
        statistic: the function of such rows whose values are compared, such as F1 of
            rows (target, predicted); the mean if None.
        level: of confidence, such as 0.95.
        resamples: how many samples are drawn with replacement.
        seed: of the random numbers.

    Raises:
        TypeError: first or second is no tensor, resamples no whole number, or seed no
            int.
        ValueError: The shapes differ, there are fewer than 2 examples, a number or a
            statistic is not finite, or level or resamples cannot be.

    Source: Efron 1979; for test sets Koehn 2004.
    """
    _check_pair(first, second, "examples", rows=statistic is not None)
    _check_settings(level, resamples, seed)
    measure = _measure(statistic)
    first, second = first.cpu(), second.cpu()
    differences = [
        measure(first[rows]) - measure(second[rows])
        for rows in _draws(len(first), resamples, seed)
    ]
    low, high = _percentiles(torch.tensor(differences).double(), level)
    return Interval(low, high, measure(first) - measure(second))


def difference_over_seeds(
    first: Shaped[Tensor, " seeds"],
    second: Shaped[Tensor, " seeds"],
    level: float = 0.95,
) -> Interval:
    """Return Student's t interval of the mean difference over seeds (paired t-test).

    The bootstrap needs many values; this holds for a few, if they are about normal. It
    speaks of other seeds on the same examples.

    Args:
        first: a result of the first method for each seed, such as its test accuracy.
        second: the same of the second method; a method without seeds has the same
            number for each.
        level: of confidence, such as 0.95.

    Raises:
        TypeError: first or second is no tensor.
        ValueError: The shapes differ, there are fewer than 2 seeds, a number is not
            finite, or level cannot be.

    Source: Student 1908.
    """
    _check_pair(first, second, "seeds")
    _check_settings(level)
    differences = first.cpu().double() - second.cpu().double()
    error = differences.std().item() / math.sqrt(len(differences))
    df = float(len(differences) - 1)
    return _student(differences.mean().item(), error, df, level)


def difference_over_pairs(
    first: Shaped[Tensor, " pairs"],
    second: Shaped[Tensor, " pairs"],
    level: float = 0.95,
) -> Interval:
    """Return the signed-rank interval of the typical difference over pairs of runs.

    The estimate is Hodges and Lehmann's: the median of the means of all two
    differences, each with itself too. A few wild values, as of times on a busy machine,
    move it little. It holds where the differences lie symmetrically around their
    middle.

    Args:
        first: a measurement of the first method in each pair, such as the logarithm of
            its seconds.
        second: that of the second method.
        level: of confidence, which is at least reached.

    Raises:
        TypeError: first or second is no tensor.
        ValueError: The shapes differ, there are too few pairs for the level, a number
            is not finite, or level cannot be.

    Source: Hodges and Lehmann 1963.
    """
    _check_pair(first, second, "pairs")
    _check_settings(level)
    differences = first.cpu().double() - second.cpu().double()
    pairs = len(differences)
    rows, columns = torch.triu_indices(pairs, pairs)
    means = ((differences[rows] + differences[columns]) / 2).sort().values
    left_out = int((_signed_rank_chances(pairs).cumsum(0) <= (1 - level) / 2).sum())
    if not left_out:
        raise ValueError(f"first must hold more pairs for level {level}: got {pairs}")
    low, high = means[left_out - 1].item(), means[-left_out].item()
    return Interval(low, high, _median(means).item())


def difference_over_examples_and_seeds(
    first: Shaped[Tensor, "seeds examples *features"],
    second: Shaped[Tensor, "seeds examples *features"],
    statistic: Callable[[Tensor], Tensor | float] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return an interval of a mean difference over examples and seeds (two-way).

    It speaks of the two methods, on other examples and with other seeds. Two variances
    are added: that over seeds, divided by their number, and that over bootstrap samples
    of the examples, the same for all seeds. What is peculiar to one seed on one example
    is in both, and is taken off once. The interval is Student's t, with Satterthwaite's
    degrees of freedom.

    Args:
        first: for each seed, one number or row for each example, such as True where the
            model of this seed is right.
        second: the same of the second method, on the same examples; a method without
            seeds has the same rows for each, as `rows.expand(seeds, -1)` gives them.
        statistic: the function of the rows of one seed whose values are compared, such
            as F1 of rows (target, predicted); the mean if None.
        level: of confidence, such as 0.95.
        resamples: how many samples of examples are drawn with replacement.
        seed: of the random numbers.

    Raises:
        TypeError: first or second is no tensor, resamples no whole number, or seed no
            int.
        ValueError: The shapes differ, there are fewer than 2 seeds or examples, a
            number or a statistic is not finite, or level or resamples cannot be.

    Source: Satterthwaite 1946; compare Owen 2007.
    """
    _check_pair(first, second, "seeds", "examples", rows=statistic is not None)
    _check_settings(level, resamples, seed)
    measure = _measure(statistic)
    first, second = first.cpu(), second.cpu()
    seeds, examples = first.shape[:2]

    def differences(rows: Tensor | slice) -> list[float]:
        return [
            measure(one[rows]) - measure(other[rows])
            for one, other in zip(first, second, strict=True)
        ]

    by_seed = torch.tensor(differences(slice(None))).double()
    drawn = torch.tensor(
        [differences(rows) for rows in _draws(examples, resamples, seed)]
    ).double()  # (resamples, seeds)
    over_seeds = by_seed.var().item() / seeds
    over_examples = drawn.mean(1).var().item()
    own = drawn - drawn.mean(1, keepdim=True)
    of_both = own.var(0).sum().item() / (seeds - 1) / seeds
    variance = max(over_seeds + over_examples - of_both, over_seeds, over_examples)
    df = float(seeds - 1)
    if variance > 0:
        parts = over_seeds**2 / (seeds - 1) + over_examples**2 / (examples - 1)
        df = variance**2 / parts
    return _student(by_seed.mean().item(), math.sqrt(variance), df, level)


def difference_over_time(
    first: Shaped[Tensor, " length"],
    second: Shaped[Tensor, " length"],
    block: int,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a moving block bootstrap interval of the mean difference of two series.

    Args:
        first: one number for each time step, in order, such as the squared error of the
            first forecast.
        second: the same of the second forecast.
        block: the length of a block, such that differences further apart are next to
            independent.
        level: of confidence, such as 0.95.
        resamples: how many series are drawn.
        seed: of the random numbers.

    Raises:
        TypeError: first or second is no tensor, block or resamples no whole number, or
            seed no int.
        ValueError: The shapes differ, there are fewer than 2 time steps, a number is
            not finite, block is less than 1 or more than half of the length, or level
            or resamples cannot be.

    Source: Künsch 1989.
    """
    _check_pair(first, second, "length")
    _check_settings(level, resamples, seed)
    differences = first.cpu().double() - second.cpu().double()
    check_whole(1, block=block)
    low, high = block_bootstrap_interval(differences, block, level, resamples, seed)
    return Interval(low, high, differences.mean().item())


def _measure(
    statistic: Callable[[Tensor], Tensor | float] | None,
) -> Callable[[Tensor], float]:
    """Return a statistic, or the mean, as a function whose values are finite floats."""

    def measure(rows: Tensor) -> float:
        value = float(statistic(rows) if statistic else rows.double().mean())
        if not math.isfinite(value):
            raise ValueError(f"statistic must be finite on each sample: got {value}")
        return value

    return measure


def _draws(examples: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of each bootstrap sample, those of `bootstrap_interval`."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(resamples):
        yield torch.randint(examples, (examples,), generator=generator)


def _student(mean: float, error: float, df: float, level: float) -> Interval:
    """Return Student's t interval around a mean, from its standard error.

    With t = sqrt(df) tan(a), the density of the angle a is proportional to
    cos(a)^(df - 1). It is summed up on a grid.
    """
    df = min(max(df, 1.0), 10_000.0)  # beyond, it is the normal distribution
    angle = torch.linspace(0, math.pi / 2, 200_001, dtype=torch.float64)
    mass = torch.cumulative_trapezoid(angle.cos() ** (df - 1), angle)
    fraction = mass / mass[-1]  # of what lies between -t and t
    above = int(torch.searchsorted(fraction, level))
    below_it = fraction[above - 1].item() if above else 0.0
    part = (level - below_it) / (fraction[above].item() - below_it)
    step = angle[1].item()
    reach = error * math.sqrt(df) * math.tan((above + part) * step)
    return Interval(mean - reach, mean + reach, mean)


def _signed_rank_chances(pairs: int) -> Tensor:
    """Return the chance of each sum of ranks 1 to n whose signs are drawn by a coin."""
    chances = torch.zeros(pairs * (pairs + 1) // 2 + 1, dtype=torch.float64)
    chances[0] = 1
    for rank in range(1, pairs + 1):
        chances = (chances + chances.roll(rank)) / 2
    return chances


def _median(values: Tensor) -> Tensor:
    """Return the median of sorted values, between the middle two of an even number."""
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _check_pair(first: Tensor, second: Tensor, *axes: str, rows: bool = False) -> None:
    """Refuse what are no results of two methods on the same examples or seeds."""
    check_tensor("first", first)
    features = ("features",) * (first.ndim - len(axes)) if rows else ()
    check_shape("first", first, *axes, *features)
    check_same_shape(first=first, second=second)
    for size, axis in zip(first.shape, axes, strict=False):
        if size < 2:
            unit = "time steps" if axis == "length" else axis
            raise ValueError(f"first must hold at least 2 {unit}: got {size}")
    for name, values in (("first", first), ("second", second)):
        if values.is_complex() or not (rows or values.isfinite().all()):
            raise ValueError(f"{name} must be real and finite: got others")


def _check_settings(level: float, resamples: int = 2, seed: int = 0) -> None:
    """Refuse a level that is no probability, too few resamples, and other seeds."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    check_whole(2, resamples=resamples)
    check_seed(seed)
