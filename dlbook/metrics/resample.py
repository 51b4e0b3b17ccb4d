"""How far chance could move a mean when the values lean on their neighbours, as those of a time series do."""

import torch
from jaxtyping import Float
from torch import Tensor


def bootstrap_interval(
    values: Float[Tensor, " examples"], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Say how far the mean of the values would move if other examples had been drawn.

    Args:
        values: one number for each test example, such as 1.0 where the prediction was right.
        level: the share of resampled means that lie inside.

    Returns:
        The lower and the upper end of the percentile interval.

    Source: Efron 1979.
    """
    if len(values) < 2:
        raise ValueError(f"values must hold at least 2 examples: got {len(values)}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randint(len(values), (len(values),), generator=generator) for _ in range(resamples))
    means = torch.stack([values[draw].mean() for draw in draws])
    low, high = means.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=means.dtype)).tolist()
    return low, high


def block_bootstrap_interval(
    values: Float[Tensor, " steps"], block: int, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Say how far the mean of a series would move if other stretches of time of the same kind had been seen.

    Whole blocks are drawn, any stretch of `block` steps as likely as any other, until the series has its length again;
    the last is cut off there. Within a block, neighbours stay together.

    Args:
        values: one number for each step, in the order of time, such as the squared error of a forecast.
        block: steps in a block, enough for what lies further apart to be next to independent; with 1 this is the
            ordinary bootstrap.
        level: the share of resampled means that lie inside.

    Returns:
        The lower and the upper end of the percentile interval.

    Source: Künsch 1989.
    """
    if not 1 <= block <= len(values) // 2:
        raise ValueError(f"block must lie between 1 and half of the {len(values)} steps: got {block}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1: got {level}")
    steps, count = len(values), -(-len(values) // block)
    lengths = torch.full((count,), block)
    lengths[-1] = steps - (count - 1) * block
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(steps - block + 1, (resamples, count), generator=generator)
    total = torch.cat([torch.zeros(1, dtype=torch.float64), values.double().cpu().cumsum(0)])  # before each step
    sums = total[starts + lengths] - total[starts]  # (resamples, blocks)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = (sums.sum(1) / steps).quantile(ends).tolist()
    return low, high
