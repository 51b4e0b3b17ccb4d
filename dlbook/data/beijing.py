"""Beijing's air: PM2.5 and weather, hour by hour."""

import csv
from pathlib import Path

import numpy as np
import torch

from dlbook.data.series import Series
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
HEADER = [
    "No",
    "year",
    "month",
    "day",
    "hour",
    *list(NAMES)[:4],
    "cbwd",
    *list(NAMES)[4:],
]
WINDS = {
    "NE": "wind NE",
    "NW": "wind NW",
    "SE": "wind SE",
    "cv": "wind calm",
}  # cv: calm and variable


def beijing_pm25() -> Series:
    """Load PM2.5 (fine particulate matter) and weather of Beijing by the hour.

    43,824 hours of 2010 to 2014, 11 columns. PM2.5 was measured at the US Embassy, the
    weather at the airport. 2,067 values of PM2.5 are missing, none of the others. The
    direction of the wind is one-hot, in four columns; `UNITS` holds the units of the
    others.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Liang et al. 2015, doi:10.1098/rspa.2015.0257.
    """
    return _read_pm25(fetch("beijing-pm25") / "hourly_beijing_pm.csv")


def _read_pm25(path: Path) -> Series:
    """Read a file with the columns of the Beijing data set, NA for a missing number.

    Raises:
        ValueError: The file has other columns, a field that is no number, an unknown
            wind, or a gap in time.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header != HEADER:
        raise ValueError(
            f"{path.name} must have the columns {', '.join(HEADER)}: "
            f"got {', '.join(header)}"
        )
    for line, row in enumerate(rows, 2):
        if len(row) != len(HEADER):
            raise ValueError(
                f"{path.name} must have {len(HEADER)} fields in each line: "
                f"got {len(row)} in line {line}"
            )
    fields = np.array(rows, dtype=str).reshape(-1, len(HEADER)).T
    table = dict(zip(HEADER, fields, strict=True))
    try:
        year, month, day, hour = (table[name].astype(int) for name in HEADER[1:5])
        numbers = [
            np.where(table[name] == "NA", "nan", table[name]).astype(np.float32)
            for name in NAMES
        ]
    except ValueError as error:
        raise ValueError(
            f"{path.name} must hold numbers, or NA for a missing one: {error}"
        ) from error
    if unknown := set(table["cbwd"]) - set(WINDS):
        raise ValueError(
            f"cbwd in {path.name} must be one of {', '.join(WINDS)}: "
            f"got {', '.join(sorted(unknown))}"
        )
    days = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    times = (days.astype("datetime64[D]") + (day - 1)).astype("datetime64[h]") + hour
    winds = [(table["cbwd"] == name).astype(np.float32) for name in WINDS]
    values = torch.from_numpy(np.stack(numbers + winds, 1))
    return Series(times, values, (*UNITS, *WINDS.values()))
