"""Time series: the air of Beijing hour by hour; parts, windows and scales that let nothing of the future leak in."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from dlbook.data.store import fetch

NAMES = {
    "pm2.5": ("PM2.5", "µg/m³"),
    "DEWP": ("dew point", "°C"),
    "TEMP": ("temperature", "°C"),
    "PRES": ("pressure", "hPa"),  # codespell:ignore pres
    "Iws": ("wind speed", "m/s, summed up"),  # since the wind last turned
    "Is": ("snow", "hours of it so far"),
    "Ir": ("rain", "hours of it so far"),
}
UNITS = dict(NAMES.values())
HEADER = ["No", "year", "month", "day", "hour", *list(NAMES)[:4], "cbwd", *list(NAMES)[4:]]
WINDS = {"NE": "wind NE", "NW": "wind NW", "SE": "wind SE", "cv": "wind calm"}  # cv: calm and variable


@dataclass(frozen=True)
class Series:
    """Measurements at regular times: a row for each time, a column for each quantity, NaN where one is missing.

    Raises:
        ValueError: The times do not increase by equal steps, a value is infinite, or sizes or names do not fit.
    """

    times: np.ndarray  # datetime64, of shape (steps,)
    values: Float32[Tensor, "steps columns"]
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what is no regular series."""
        _check_times(self.times)
        _check_values(self)

    def __len__(self) -> int:
        """Count the steps."""
        return len(self.times)

    def __getitem__(self, column: str) -> Float32[Tensor, " steps"]:
        """Give one column by its name."""
        if column not in self.columns:
            raise ValueError(f"column must be one of {', '.join(self.columns)}: got {column!r}")
        return self.values[:, self.columns.index(column)]

    def select(self, columns: Iterable[str]) -> "Series":
        """Keep some columns, in the order given."""
        names = tuple(columns)
        return Series(self.times, torch.stack([self[name] for name in names], 1), names)

    @property
    def missing(self) -> dict[str, int]:
        """How many values each column lacks."""
        return dict(zip(self.columns, self.values.isnan().sum(0).tolist(), strict=True))


def _check_times(times: np.ndarray) -> None:
    """Refuse times that do not increase by equal steps."""
    if times.ndim != 1 or not np.issubdtype(times.dtype, np.datetime64) or np.isnat(times).any():
        raise ValueError(
            "times must be a row of datetime64, none of them missing: "
            f"got {times.dtype} of shape {times.shape}, {np.sum(times != times)} missing"
        )
    apart = np.diff(times)
    for n in np.flatnonzero(apart <= np.timedelta64(0))[:1]:
        raise ValueError(f"times must increase: got {times[n + 1]} after {times[n]}")
    for n in np.flatnonzero(apart != apart[:1])[:1]:
        raise ValueError(f"times must be regular, {apart[0]} apart: got {times[n + 1]} after {times[n]}")


def _check_values(series: Series) -> None:
    """Refuse values that do not fit times and columns, or that are infinite."""
    times, values, columns = series.times, series.values, series.columns
    if tuple(values.shape) != (len(times), len(columns)) or len(set(columns)) != len(columns):
        raise ValueError(
            "values must have a row for each time and a column for each name, no two names equal: "
            f"got {tuple(values.shape)} for {len(times)} times and {columns=}"
        )
    for row, column in values.isinf().nonzero()[:1].tolist():
        what = f"{values[row, column]} for {columns[column]} at {times[row]}"
        raise ValueError(f"values must be finite, or NaN where missing: got {what}")


def beijing_pm25() -> Series:
    """Load the fine dust and the weather of Beijing for each hour of 2010 to 2014: 43,824 hours, 11 columns.

    PM2.5 was measured at the US Embassy, the weather at the airport. 2,067 values of PM2.5 are missing, none of the
    others. The direction of the wind is in four columns, of which one is 1; `UNITS` says what the others count.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Liang et al. 2015, doi:10.1098/rspa.2015.0257.
    """
    return read_pm25(fetch("beijing-pm25") / "hourly_beijing_pm.csv")


def read_pm25(path: Path) -> Series:
    """Read a file with the columns of the Beijing data set, where NA stands for a missing number.

    Raises:
        ValueError: The file has other columns, a field that is no number, an unknown wind, or a gap in time.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header != HEADER:
        raise ValueError(f"{path.name} must have the columns {', '.join(HEADER)}: got {', '.join(header)}")
    for line, row in enumerate(rows, 2):
        if len(row) != len(HEADER):
            raise ValueError(f"{path.name} must have {len(HEADER)} fields in each line: got {len(row)} in line {line}")
    table = dict(zip(HEADER, np.array(rows, dtype=str).reshape(-1, len(HEADER)).T, strict=True))
    try:
        year, month, day, hour = (table[name].astype(int) for name in ("year", "month", "day", "hour"))
        numbers = [np.where(table[name] == "NA", "nan", table[name]).astype(np.float32) for name in NAMES]
    except ValueError as error:
        raise ValueError(f"{path.name} must hold numbers, or NA for a missing one: {error}") from error
    if unknown := set(table["cbwd"]) - set(WINDS):
        raise ValueError(f"cbwd in {path.name} must be one of {', '.join(WINDS)}: got {', '.join(sorted(unknown))}")
    days = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    times = (days.astype("datetime64[D]") + (day - 1)).astype("datetime64[h]") + hour
    winds = [(table["cbwd"] == name).astype(np.float32) for name in WINDS]
    return Series(times, torch.from_numpy(np.stack(numbers + winds, 1)), (*UNITS, *WINDS.values()))


def with_calendar(series: Series) -> Series:
    """Add columns that say where in the day and in the year a step lies, as sine and cosine, which join at midnight."""
    days, years = series.times.astype("datetime64[D]"), series.times.astype("datetime64[Y]")
    turns = {
        "day": (series.times - days) / np.timedelta64(24, "h"),
        "year": (series.times - years.astype("datetime64[D]")) / np.timedelta64(8766, "h"),  # 365.25 days
    }
    names = [f"{function} of {name}" for name in turns for function in ("sine", "cosine")]
    waves = [wave(2 * math.pi * turn) for turn in turns.values() for wave in (np.sin, np.cos)]
    added = torch.from_numpy(np.stack(waves, 1).astype(np.float32))
    return Series(series.times, torch.cat([series.values, added], 1), (*series.columns, *names))


def split_by_time(series: Series, *borders: str) -> list[Series]:
    """Cut a series at times such as "2013-01-01": each begins a new part, and the step at that time belongs to it.

    train, validation, test = split_by_time(series, "2013-01-01", "2014-01-01")
    """
    cuts = [int(np.searchsorted(series.times, np.datetime64(border))) for border in borders]
    spans = list(zip([0, *cuts], [*cuts, len(series)], strict=True))
    if any(first >= last for first, last in spans):
        raise ValueError(
            f"borders must increase and leave a step in each part, between {series.times[0]} and {series.times[-1]}: "
            f"got {', '.join(borders)}"
        )
    return [Series(series.times[first:last], series.values[first:last], series.columns) for first, last in spans]


def fill_forward(series: Series, limit: int) -> Series:
    """Put the last known value in the place of each missing one, if it is at most `limit` steps old.

    What happens later changes nothing, so that filling lets nothing of the future leak in. Count what is left with
    `missing`.
    """
    if limit < 0:
        raise ValueError(f"limit must be at least 0: got {limit}")
    here = torch.arange(len(series))[:, None]
    last = torch.where(series.values.isnan(), -1, here).cummax(0).values  # the step of the last known value, or -1
    usable = (last >= 0) & (here - last <= limit)
    filled = torch.where(usable, series.values.gather(0, last.clamp(min=0)), math.nan)
    return Series(series.times, filled, series.columns)


@dataclass(frozen=True)
class Windows:
    """What a forecaster reads and what it is to say, window by window, without missing values."""

    inputs: Float32[Tensor, "windows steps columns"]
    targets: Float32[Tensor, "windows horizons"]
    times: np.ndarray  # of the last step that each window shows
    dropped: int  # windows left out, for a value was missing


def windows(series: Series, target: str, length: int, horizons: Sequence[int] = (1,), fill: int = 0) -> Windows:
    """Cut a series into all windows of some steps, each with the values of a column that come after it.

    Inputs and targets lie inside the series. Of a series that was split before, no window reaches over a border.

    Args:
        target: the column to forecast.
        length: how many steps a window shows, with all columns.
        horizons: how many steps after the last one shown the targets lie.
        fill: fills gaps of the inputs as `fill_forward` does, up to this limit. A target is never filled: the score
            would measure how well a forecaster guesses our filling.
    """
    if length < 1 or not horizons or min(horizons) < 1:
        raise ValueError(f"length and each of one or more horizons must be at least 1: got {length=}, {horizons=}")
    count = len(series) - length - max(horizons) + 1
    if count < 1:
        least = length + max(horizons)
        raise ValueError(f"series must be at least {least} long, steps + the largest horizon: got {len(series)}")
    truth, shown = series[target], fill_forward(series, fill).values
    last = torch.arange(count) + length - 1  # the last step that each window shows
    targets = truth[last[:, None] + torch.tensor(horizons)]  # (windows, horizons)
    known = ~shown.isnan().any(1)
    complete = known.unfold(0, length, 1)[:count].all(1) & ~targets.isnan().any(1)
    if not complete.any():
        raise ValueError(f"series must hold a window without missing values: got none of {count}, {series.missing=}")
    inputs = shown.unfold(0, length, 1)[:count][complete].transpose(1, 2).contiguous()  # (windows, steps, columns)
    return Windows(inputs, targets[complete], series.times[last[complete].numpy()], count - len(inputs))


@dataclass(frozen=True)
class Scaler:
    """Give each column mean 0 and standard deviation 1, as they were in the part that the scaler was fitted to.

    Fit it to the training part: with the mean of all years, the training would know of the test's.
    """

    columns: tuple[str, ...]
    mean: Float64[Tensor, " columns"]
    std: Float64[Tensor, " columns"]

    @classmethod
    def fit(cls, series: Series) -> "Scaler":
        """Measure the known values of each column; one that never changes keeps its unit."""
        if unknown := [name for name, count in series.missing.items() if count == len(series)]:
            raise ValueError(f"series must have a known value in each column: got none in {', '.join(unknown)}")
        values = series.values.double()
        mean = values.nanmean(0)
        std = ((values - mean) ** 2).nanmean(0).sqrt()
        return cls(series.columns, mean, torch.where(std > 0, std, 1.0))

    def transform(self, series: Series) -> Series:
        """Scale a series with the same columns."""
        if series.columns != self.columns:
            raise ValueError(f"series must have the columns {self.columns}: got {series.columns}")
        return Series(series.times, ((series.values.double() - self.mean) / self.std).float(), self.columns)

    def inverse_transform(self, values: Float[Tensor, "*shape"], column: str) -> Float[Tensor, "*shape"]:
        """Give scaled values of one column, such as forecasts of it, their unit back."""
        if column not in self.columns:
            raise ValueError(f"column must be one of {', '.join(self.columns)}: got {column!r}")
        n = self.columns.index(column)
        return values * self.std[n].item() + self.mean[n].item()
