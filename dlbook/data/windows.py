"""Sliding windows over a time series: the inputs and targets of a forecaster."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dlbook._check import check_whole
from dlbook.data.series import Series, fill_forward


@dataclass(frozen=True)
class Windows:
    """Inputs and targets of a forecaster, window by window, without missing values.

    Args:
        inputs: what each window shows, with all columns.
        targets: the values that come after it, one for each horizon.
        times: of the last step that each window shows.
        dropped: how many windows were left out, for a value was missing.
    """

    inputs: Float32[Tensor, "windows length columns"]
    targets: Float32[Tensor, "windows horizons"]
    times: np.ndarray
    dropped: int


def windows(
    series: Series,
    target: str,
    length: int,
    horizons: Sequence[int] = (1,),
    fill: int = 0,
) -> Windows:
    """Cut a series into all sliding windows, each with the target values after it.

    Inputs and targets lie inside the series. Of a series that was split before, no
    window reaches over a border.

    Args:
        series: what to cut up.
        target: the column to forecast.
        length: how many time steps a window shows.
        horizons: how many steps after the last one shown the targets lie.
        fill: the limit up to which `fill_forward` fills gaps of the inputs. A target is
            never filled: the error would measure how well a forecaster guesses our
            filling.

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is too small, the series too short, the column unknown, or
            no window is without missing values.
    """
    _check_windows(series, length, horizons)
    count = len(series) - length - max(horizons) + 1
    truth, shown = series[target], fill_forward(series, fill).values
    last = torch.arange(count) + length - 1  # the last step that each window shows
    targets = truth[last[:, None] + torch.tensor(horizons)]  # (windows, horizons)
    known = ~shown.isnan().any(1)
    complete = known.unfold(0, length, 1)[:count].all(1) & ~targets.isnan().any(1)
    if not complete.any():
        raise ValueError(
            "series must hold a window without missing values: "
            f"got none of {count}, {series.missing=}"
        )
    inputs = shown.unfold(0, length, 1)[:count][complete]
    inputs = inputs.transpose(1, 2).contiguous()  # (windows, length, columns)
    times = series.times[last[complete].numpy()]
    return Windows(inputs, targets[complete], times, count - len(inputs))


def _check_windows(series: Series, length: int, horizons: Sequence[int]) -> None:
    """Refuse numbers below 1, and a series that is too short for one window."""
    check_whole(1, length=length)
    if not isinstance(horizons, Sequence | np.ndarray) or len(horizons) == 0:
        raise ValueError(
            f"horizons must be one or more, such as (1,): got {horizons!r}"
        )
    for horizon in horizons:
        check_whole(1, horizons=horizon)
    if len(series) < (least := length + max(horizons)):
        raise ValueError(
            f"series must be at least {least} long, length + the largest horizon: "
            f"got {len(series)}"
        )
