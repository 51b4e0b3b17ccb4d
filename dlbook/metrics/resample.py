"""Confidence intervals by resampling: the bootstrap, and its form for time series."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from dlbook._check import check_shape


def bootstrap_interval(
    values: Shaped[Tensor, " examples"],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of the mean.

    Args:
        values: one number for each independent example, such as 1.0 or True where the
            prediction was right.
        level: of confidence, such as 0.95.
        resamples: how many samples are drawn with replacement.
        seed: of the random numbers.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: values does not hold two or more finite numbers, or level or
            resamples cannot be.

    Source: Efron 1979.
    """
    _check_values(values, level, resamples)
    if len(values) < 2:
        raise ValueError(f"values must hold at least 2 examples: got {len(values)}")
    sample = values.cpu().double()
    generator = torch.Generator().manual_seed(seed)
    draws = (
        torch.randint(len(sample), sample.shape, generator=generator)
        for _ in range(resamples)
    )
    return _percentiles(torch.stack([sample[draw].mean() for draw in draws]), level)


def block_bootstrap_interval(
    values: Shaped[Tensor, " length"],
    block: int,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a moving block bootstrap interval of the mean of a time series.

    Blocks of consecutive values are drawn, each as likely as any other, until the
    series has its length again; the last is cut off there. Within a block, the
    dependence of neighbours is kept.

    Args:
        values: one number for each time step, in order, such as the squared error of a
            forecast.
        block: the length of a block, such that values further apart are next to
            independent; with 1 this is the ordinary bootstrap.
        level: of confidence, such as 0.95.
        resamples: how many series are drawn.
        seed: of the random numbers.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: values does not hold finite numbers, block is less than 1 or more
            than half of their length, or level or resamples cannot be.

    Source: Künsch 1989.
    """
    _check_values(values, level, resamples)
    length = len(values)
    if not 1 <= block <= length // 2:
        raise ValueError(
            f"block must lie between 1 and half of the {length} values: got {block}"
        )
    blocks = -(-length // block)
    lengths = torch.full((blocks,), block)
    lengths[-1] = length - (blocks - 1) * block
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(length - block + 1, (resamples, blocks), generator=generator)
    total = torch.cat([torch.zeros(1).double(), values.cpu().double().cumsum(0)])
    sums = total[first + lengths] - total[first]  # (resamples, blocks)
    return _percentiles(sums.sum(1) / length, level)


def _percentiles(
    means: Float[Tensor, " resamples"], level: float
) -> tuple[float, float]:
    """Return the two percentiles between which a fraction `level` of the means lies."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=means.dtype)
    low, high = means.quantile(ends).tolist()
    return low, high


def _check_values(values: Tensor, level: float, resamples: int) -> None:
    """Refuse what has no interval."""
    check_shape("values", values, "examples")
    if values.is_complex() or not values.isfinite().all():
        raise ValueError("values must be real and finite: got others")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1: got {resamples}")
