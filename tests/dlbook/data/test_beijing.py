"""The air of Beijing: every number at its hour, malformed files refused."""

import csv
import math
from datetime import datetime

import numpy as np
import pytest
import torch

from dlbook.data import store
from dlbook.data.beijing import HEADER, UNITS, WINDS, _read_pm25


@pytest.fixture(scope="module")
def rows():
    with (store.folder_of("beijing-pm25") / "hourly_beijing_pm.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_beijing_is_whole(beijing, rows):
    assert len(beijing) == len(rows) == 43_824
    assert beijing.values.dtype == torch.float32 and beijing.values.shape == (43_824, 11)
    assert beijing.times.dtype == np.dtype("datetime64[h]")
    assert beijing.times[0] == np.datetime64("2010-01-01T00") and beijing.times[-1] == np.datetime64("2014-12-31T23")
    assert beijing.missing == {name: 2_067 if name == "PM2.5" else 0 for name in beijing.columns}
    assert beijing["PM2.5"].isnan().sum() == sum(row["pm2.5"] == "NA" for row in rows)
    assert set(UNITS) < set(beijing.columns)


def test_beijing_has_every_number_at_its_hour(beijing, rows):
    """Against the file itself, read by plain Python."""
    names = dict(zip([name for name in HEADER[5:] if name != "cbwd"], UNITS, strict=True))
    for n in [0, 24, 1_416, 9_999, 30_000, 42_427, 43_823]:
        row = rows[n]
        when = datetime(*(int(row[name]) for name in ("year", "month", "day", "hour")))
        assert beijing.times[n].astype(datetime) == when
        for theirs, ours in names.items():
            expected = math.nan if row[theirs] == "NA" else float(row[theirs])
            assert beijing[ours][n].item() == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert [beijing[name][n].item() for name in WINDS.values()] == [float(row["cbwd"] == wind) for wind in WINDS]


def test_values_are_possible(beijing):
    assert beijing["PM2.5"].nan_to_num(0).min() >= 0 and beijing["PM2.5"].nan_to_num(0).max() == 994
    assert beijing["temperature"].min() > -25 and beijing["temperature"].max() < 45
    assert (beijing["dew point"] <= beijing["temperature"] + 3).float().mean() > 0.999
    assert beijing["pressure"].min() > 980 and beijing["pressure"].max() < 1050
    assert (sum(beijing[name] for name in WINDS.values()) == 1).all()


def test_the_wind_is_summed_until_it_turns(beijing):
    wind, speed = beijing.select(WINDS.values()).values.argmax(1), beijing["wind speed"]
    fell = speed.diff() < 0
    assert (wind.diff() != 0)[fell].float().mean() > 0.99


LINES = [",".join(HEADER), "1,2010,1,1,0,NA,-21,-11,1021,NW,1.79,0,0", "2,2010,1,1,1,9,-21,-12.5,1020,cv,4.92,1,2"]


def written(tmp_path, lines, end="\r\n"):
    path = tmp_path / "air.csv"
    path.write_text("".join(line + end for line in lines))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_small_file(tmp_path, end):
    read = _read_pm25(written(tmp_path, LINES, end))
    assert read.times.tolist() == [datetime(2010, 1, 1, 0), datetime(2010, 1, 1, 1)]
    assert read["PM2.5"].isnan().tolist() == [True, False]
    assert read.values[1].tolist() == [9, -21, -12.5, 1020, pytest.approx(4.92), 1, 2, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "^air.csv must have the columns No, year, .*: got $"),
        ([LINES[0].replace("TEMP", "temp"), *LINES[1:]], "must have the columns .*: got .*, temp, "),
        ([LINES[0], LINES[1] + ",1"], "^air.csv must have 13 fields in each line: got 14 in line 2"),
        ([LINES[0], LINES[1], ""], "got 0 in line 3"),
        ([LINES[0], LINES[1].replace("-21", "cold")], "must hold numbers, or NA for a missing one: .*'cold'"),
        ([LINES[0], LINES[1].replace("2010", "NA")], "must hold numbers, or NA for a missing one: .*'NA'"),
        ([LINES[0], LINES[1].replace("NW", "N")], "^cbwd in air.csv must be one of NE, NW, SE, cv: got N$"),
        ([LINES[0], LINES[1].replace("NW", "NA")], "^cbwd in air.csv must be one of NE, NW, SE, cv: got NA$"),
        (
            [LINES[0], LINES[1].replace("1021", "inf")],
            "values must be finite, .*: got inf for pressure at 2010-01-01T00",
        ),
        ([LINES[0], LINES[2], LINES[1]], "times must increase: got 2010-01-01T00 after 2010-01-01T01"),
        ([*LINES, LINES[2].replace("1,1,1", "1,1,3")], "times must be regular, 1 hours apart: got 2010-01-01T03 after"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        _read_pm25(written(tmp_path, lines))
