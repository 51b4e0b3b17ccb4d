"""Counts of successes: Clopper–Pearson, Wilson, Newcombe, and Fisher's exact test."""

import math
from collections.abc import Callable, Sequence

import torch

from dlbook._check import check_whole
from dlbook.metrics.paired import Interval


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return the Clopper–Pearson (exact binomial) interval of a probability.

    At the lower end, so many successes or more have the chance (1 - level) / 2; at the
    upper end, so many or fewer. It covers the truth at least as often as it says, also
    where all trials succeed or none does.

    Args:
        successes: how many of the trials succeeded, such as runs that learnt.
        trials: how many independent ones there were; runs of one seed are not.
        level: of confidence, such as 0.95.

    Raises:
        TypeError: successes or trials is no whole number.
        ValueError: trials is less than 1, successes is negative or more than trials, or
            level cannot be.

    Source: Clopper and Pearson 1934.
    """
    check_whole(0, successes=successes)
    check_whole(1, trials=trials)
    if successes > trials:
        raise ValueError(f"successes must be at most trials={trials}: got {successes}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    chance = (1 - level) / 2
    low, high = 0.0, 1.0
    if successes > 0:  # the chance of so many or more grows with the probability
        low = _solve(lambda p: _binomial_tail(successes, trials, p) < chance)
    if successes < trials:  # the chance of so many or fewer falls
        high = _solve(lambda p: 1 - _binomial_tail(successes + 1, trials, p) > chance)
    return Interval(low, high, successes / trials)


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Return the Wilson (score) interval of a probability.

    It holds the probabilities that a normal test would not reject. It covers the truth
    about as often as it says, also for small counts, and is narrower than the
    Clopper–Pearson interval.

    Args:
        successes: how many of the trials succeeded, such as people who are selected.
        trials: how many independent ones there were.
        level: of confidence, such as 0.95.

    Raises:
        TypeError: successes or trials is no whole number.
        ValueError: trials is less than 1, successes is negative or more than trials, or
            level cannot be.

    Source: Wilson 1927.
    """
    check_whole(0, successes=successes)
    check_whole(1, trials=trials)
    if successes > trials:
        raise ValueError(f"successes must be at most trials={trials}: got {successes}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    p = successes / trials
    z = math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64)).item()
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = math.sqrt(p * (1 - p) / trials + (z / (2 * trials)) ** 2) * z
    half /= 1 + z**2 / trials
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0), p)


def newcombe(
    first: tuple[int, int], second: tuple[int, int], level: float = 0.95
) -> Interval:
    """Return Newcombe's interval of a difference of two independent probabilities.

    Each probability has its Wilson interval; the distances to their ends are added like
    independent errors. So it also holds for small counts, and where all trials of a
    group succeed or none does.

    Args:
        first: successes and trials of the first group.
        second: those of the second, other people.
        level: of confidence, such as 0.95.

    Returns:
        The interval of the first probability minus the second.

    Raises:
        TypeError: A count is no whole number.
        ValueError: A group has no trial, successes are negative or more than the
            trials, or level cannot be.

    Source: Newcombe 1998, method 10.
    """
    one, other = wilson(*first, level), wilson(*second, level)
    difference = one.estimate - other.estimate
    below = math.hypot(one.estimate - one.low, other.high - other.estimate)
    above = math.hypot(one.high - one.estimate, other.estimate - other.low)
    return Interval(difference - below, difference + above, difference)


def fisher_exact(
    table: Sequence[Sequence[int]], alternative: str = "two-sided"
) -> float:
    """Return the p-value of Fisher's exact test of two counts.

    If both methods succeeded with the same probability, and all successes and failures
    were dealt to them at random: how often would the first get so many successes, or a
    number that is as improbable?

    Args:
        table: the successes and failures of the first method, and those of the second,
            as in SciPy.
        alternative: "greater" asks for so many successes of the first or more, "less"
            for so many or fewer, "two-sided" for all that are no more probable.

    Raises:
        TypeError: table does not hold whole numbers.
        ValueError: table is not 2 x 2, a count is negative, or alternative is another.

    Source: Fisher 1935.
    """
    rows = [list(row) for row in table]
    if [len(row) for row in rows] != [2, 2]:
        shape = [len(row) for row in rows]
        raise ValueError(f"table must have two rows of two counts: got rows of {shape}")
    for count in (count for row in rows for count in row):
        check_whole(0, table=count)
    (a, b), (c, d) = ([int(count) for count in row] for row in rows)
    ways = {  # to deal k of the a + c successes to the first method
        k: math.comb(a + b, k) * math.comb(c + d, a + c - k)
        for k in range(max(0, a - d), min(a + b, a + c) + 1)
    }
    extreme = {
        "two-sided": [k for k in ways if ways[k] <= ways[a]],
        "greater": [k for k in ways if k >= a],
        "less": [k for k in ways if k <= a],
    }
    if alternative not in extreme:
        known = ", ".join(extreme)
        raise ValueError(f"alternative must be one of {known}: got {alternative!r}")
    return sum(ways[k] for k in extreme[alternative]) / sum(ways.values())


def _binomial_tail(least: int, trials: int, p: float) -> float:
    """Return the chance of at least so many successes, each with probability p."""
    k = torch.arange(least, trials + 1, dtype=torch.float64)
    n = torch.tensor(float(trials), dtype=torch.float64)
    ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return (ways + k * math.log(p) + (n - k) * math.log1p(-p)).exp().sum().item()


def _solve(holds: Callable[[float], bool]) -> float:
    """Return, by bisection, the probability up to which something holds."""
    low, high = 0.0, 1.0
    for _ in range(50):  # middle then is neither 0 nor 1
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
