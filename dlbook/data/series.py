"""Time series at regular times: splitting, filling and scaling without leakage."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from dlbook._check import check_floating, check_tensor, check_whole


@dataclass(frozen=True)
class Series:
    """Measurements at regular times: a row for each time, a column for each quantity.

    Args:
        times: in datetime64, ascending by equal steps, at least one.
        values: in float32, NaN where one is missing.
        columns: their names.

    Raises:
        TypeError: An argument has another type.
        ValueError: The times do not increase by equal steps, a value is infinite, or
            sizes or names do not fit.
    """

    times: np.ndarray  # datetime64, of shape (length,)
    values: Float32[Tensor, "length columns"]
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what is no regular series."""
        _check_times(self.times)
        _check_values(self)

    def __len__(self) -> int:
        """Return the number of time steps."""
        return len(self.times)

    def __getitem__(self, column: str) -> Float32[Tensor, " length"]:
        """Return one column by its name."""
        return self.values[:, _column_index(self.columns, column)]

    def select(self, columns: Iterable[str]) -> "Series":
        """Return some columns, in the order given.

        Args:
            columns: their names.
        """
        names = tuple(columns)
        indices = [_column_index(self.columns, name) for name in names]
        return Series(self.times, self.values[:, indices], names)

    @property
    def missing(self) -> dict[str, int]:
        """Return how many values each column lacks."""
        counts = self.values.isnan().sum(0).tolist()
        return dict(zip(self.columns, counts, strict=True))


def _column_index(columns: tuple[str, ...], column: str) -> int:
    """Return the position of a column by its name."""
    if column not in columns:
        raise ValueError(f"column must be one of {', '.join(columns)}: got {column!r}")
    return columns.index(column)


def _check_times(times: object) -> None:
    """Refuse times that do not increase by equal steps."""
    if not isinstance(times, np.ndarray):
        kind = type(times).__name__
        raise TypeError(f"times must be a NumPy array of datetime64: got {kind}")
    right = times.ndim == 1 and np.issubdtype(times.dtype, np.datetime64)
    if not right or not len(times) or np.isnat(times).any():
        raise ValueError(
            "times must be a row of datetime64, at least one, none of them missing: "
            f"got {times.dtype} of shape {times.shape}, "
            f"{np.sum(times != times)} missing"
        )
    apart = np.diff(times)
    for n in np.flatnonzero(apart <= np.timedelta64(0))[:1]:
        raise ValueError(f"times must increase: got {times[n + 1]} after {times[n]}")
    for n in np.flatnonzero(apart != apart[:1])[:1]:
        raise ValueError(
            f"times must be regular, {apart[0]} apart: "
            f"got {times[n + 1]} after {times[n]}"
        )


def _check_values(series: Series) -> None:
    """Refuse values that do not fit times and columns, or that are infinite."""
    times, values, columns = series.times, series.values, series.columns
    if not isinstance(columns, tuple) or not all(isinstance(c, str) for c in columns):
        raise TypeError(f"columns must be a tuple of strings: got {columns!r}")
    check_tensor("values", values)
    if values.dtype != torch.float32:
        raise TypeError(f"values must be float32: got {values.dtype}")
    sizes = (len(times), len(columns))
    if tuple(values.shape) != sizes or len(set(columns)) != len(columns):
        raise ValueError(
            "values must have a row for each time and a column for each name, no two "
            f"names equal: got {tuple(values.shape)} for {len(times)} times and "
            f"{columns=}"
        )
    for row, column in values.isinf().nonzero()[:1].tolist():
        what = f"{values[row, column]} for {columns[column]} at {times[row]}"
        raise ValueError(f"values must be finite, or NaN where missing: got {what}")


def with_calendar(series: Series) -> Series:
    """Add the time of day and of year as sine and cosine, which join at midnight.

    Args:
        series: without such columns.

    Returns:
        The series with four more columns.
    """
    days = series.times.astype("datetime64[D]")
    years = series.times.astype("datetime64[Y]").astype("datetime64[D]")
    turns = {
        "day": (series.times - days) / np.timedelta64(24, "h"),
        "year": (series.times - years) / np.timedelta64(8766, "h"),  # 365.25 days
    }
    names = [
        f"{function} of {name}" for name in turns for function in ("sine", "cosine")
    ]
    waves = [
        wave(2 * math.pi * turn) for turn in turns.values() for wave in (np.sin, np.cos)
    ]
    added = torch.from_numpy(np.stack(waves, 1).astype(np.float32))
    values = torch.cat([series.values, added], 1)
    return Series(series.times, values, (*series.columns, *names))


def split_by_time(series: Series, *borders: str) -> list[Series]:
    """Split a series at times: each begins a new part, and its step belongs to that.

        train, validation, test = split_by_time(series, "2013-01-01", "2014-01-01")

    Args:
        series: what to split.
        borders: dates, or times such as "2013-01-01T12", ascending.

    Raises:
        ValueError: A border is no date, they do not increase, or a part is empty.
    """
    try:
        dates = [np.datetime64(border) for border in borders]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"borders must be dates such as 2013-01-01: got {borders}"
        ) from error
    cuts = [int(np.searchsorted(series.times, date)) for date in dates]
    spans = list(zip([0, *cuts], [*cuts, len(series)], strict=True))
    if any(first >= last for first, last in spans):
        raise ValueError(
            "borders must increase and leave a step in each part, between "
            f"{series.times[0]} and {series.times[-1]}: "
            f"got {', '.join(map(str, borders))}"
        )
    return [
        Series(series.times[first:last], series.values[first:last], series.columns)
        for first, last in spans
    ]


def fill_forward(series: Series, limit: int) -> Series:
    """Replace a missing value by the last known one (forward fill), up to a limit.

    Later values change nothing, so that filling does not leak. Count what is still
    missing with `missing`.

    Args:
        series: what to fill.
        limit: how many steps old the last known value may be.

    Raises:
        TypeError: `limit` is no integer.
        ValueError: It is negative.
    """
    check_whole(0, limit=limit)
    here = torch.arange(len(series))[:, None]
    known = ~series.values.isnan()
    last = torch.where(known, here, -1).cummax(0).values  # the last known step, or -1
    usable = (last >= 0) & (here - last <= limit)
    filled = torch.where(usable, series.values.gather(0, last.clamp(min=0)), math.nan)
    return Series(series.times, filled, series.columns)


@dataclass(frozen=True)
class Scaler:
    """Standardises columns by mean and standard deviation of the training set.

    Fit to later parts as well, it would leak: the training set would know their mean.

    Args:
        columns: their names.
        mean: of each column, over its known values.
        std: its standard deviation, with n in the denominator; 1 for a constant.
    """

    columns: tuple[str, ...]
    mean: Float64[Tensor, " columns"]
    std: Float64[Tensor, " columns"]

    @classmethod
    def fit(cls, series: Series) -> "Scaler":
        """Compute mean and standard deviation of the known values of each column.

        Args:
            series: the training part.

        Raises:
            ValueError: A column has no known value.
        """
        absent = [name for name, n in series.missing.items() if n == len(series)]
        if absent:
            raise ValueError(
                "series must have a known value in each column: "
                f"got none in {', '.join(absent)}"
            )
        values = series.values.double()
        mean = values.nanmean(0)
        std = (values - mean).square().nanmean(0).sqrt()
        std = torch.where(std <= 1e-12 * mean.abs(), 1.0, std)  # a constant becomes 0
        return cls(series.columns, mean, std)

    def transform(self, series: Series) -> Series:
        """Return the series with its columns standardised.

        Args:
            series: with the columns that the scaler was fitted to.

        Raises:
            ValueError: The columns are others.
        """
        if series.columns != self.columns:
            raise ValueError(
                f"series must have the columns {self.columns}: got {series.columns}"
            )
        values = ((series.values.double() - self.mean) / self.std).float()
        return Series(series.times, values, self.columns)

    def inverse_transform(
        self, values: Float[Tensor, "*shape"], column: str
    ) -> Float[Tensor, "*shape"]:
        """Return standardised values of one column, such as forecasts, in its unit.

        Args:
            values: of any shape.
            column: the name of their column.

        Raises:
            TypeError: The values are no floating-point numbers.
            ValueError: The scaler has no such column.
        """
        check_floating(values=values)
        n = _column_index(self.columns, column)
        return values * self.std[n].item() + self.mean[n].item()
