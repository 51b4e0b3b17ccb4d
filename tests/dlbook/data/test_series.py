"""Time series: read rightly, cut and scaled without a look into the future, missing values never hidden."""

import csv
import math
from datetime import datetime, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.data import store
from dlbook.data.series import (
    HEADER,
    UNITS,
    WINDS,
    Scaler,
    Series,
    Windows,
    beijing_pm25,
    fill_forward,
    read_pm25,
    split_by_time,
    windows,
    with_calendar,
)


@pytest.fixture(scope="module")
def beijing():
    return beijing_pm25()


@pytest.fixture(scope="module")
def rows():
    with (store.folder_of("beijing-pm25") / "hourly_beijing_pm.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def hours(count, start="2013-01-01T00"):
    return np.datetime64(start, "h") + np.arange(count)


def series(*columns, start="2013-01-01T00"):
    """Make a series from columns of numbers, named a, b, c …; None is a missing value."""
    values = [[math.nan if value is None else float(value) for value in column] for column in columns]
    return Series(hours(len(columns[0]), start), torch.tensor(values).T, tuple("abcdef"[: len(columns)]))


numbers = st.one_of(st.none(), st.integers(-9, 9))

# --- Beijing ----------------------------------------------------------------------------------------------------------


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


def test_the_catalogue_knows_the_size(beijing):
    for member in store.find("beijing-pm25").members:
        assert (store.folder_of("beijing-pm25") / member.file).stat().st_size == member.bytes


LINES = [",".join(HEADER), "1,2010,1,1,0,NA,-21,-11,1021,NW,1.79,0,0", "2,2010,1,1,1,9,-21,-12.5,1020,cv,4.92,1,2"]


def written(tmp_path, lines, end="\r\n"):
    path = tmp_path / "air.csv"
    path.write_text("".join(line + end for line in lines))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_small_file(tmp_path, end):
    read = read_pm25(written(tmp_path, LINES, end))
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
        read_pm25(written(tmp_path, lines))


# --- a series ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "values", "columns", "message"),
    [
        (hours(3)[[0, 2, 1]], torch.zeros(3, 1), ("a",), "times must increase: got 2013-01-01T01 after 2013-01-01T02"),
        (hours(3)[[0, 0, 1]], torch.zeros(3, 1), ("a",), "times must increase: got 2013-01-01T00 after 2013-01-01T00"),
        (hours(5)[[0, 1, 2, 4]], torch.zeros(4, 1), ("a",), "regular, 1 hours apart: got 2013-01-01T04 after .*T02"),
        (
            np.array([1, 2]),
            torch.zeros(2, 1),
            ("a",),
            r"times must be a row of datetime64, .*: got int64 of shape \(2,\), 0",
        ),
        (np.array(["2013", "NaT"], "datetime64[h]"), torch.zeros(2, 1), ("a",), "none of them missing: .*, 1 missing"),
        (hours(2), torch.zeros(3, 1), ("a",), r"a row for each time .*got \(3, 1\) for 2 times"),
        (hours(2), torch.zeros(2, 1), ("a", "b"), r"a column for each name, .*got \(2, 1\) .*columns=\('a', 'b'\)"),
        (hours(2), torch.zeros(2, 2), ("a", "a"), r"no two names equal: got .*columns=\('a', 'a'\)"),
        (hours(4).reshape(2, 2), torch.zeros(2, 1), ("a",), r"times must be a row of .*of shape \(2, 2\)"),
        (hours(2), torch.tensor([[0], [-math.inf]]), ("a",), "must be finite, .*: got -inf for a at 2013-01-01T01"),
    ],
)
def test_what_is_no_regular_series_is_refused(times, values, columns, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Series(times, values, columns)


def test_columns_by_name():
    abc = series([1, 2], [3, 4], [5, None])
    assert abc["b"].tolist() == [3, 4]
    assert abc.select(["c", "a"]).columns == ("c", "a") and abc.select(["c", "a"]).values[0].tolist() == [5, 1]
    assert abc.missing == {"a": 0, "b": 0, "c": 1}
    for ask in (lambda: abc["d"], lambda: abc.select(["a", "d"])):
        with pytest.raises(ValueError, match="column must be one of a, b, c: got 'd'"):
            ask()


def test_the_calendar(beijing):
    part = with_calendar(beijing)
    assert part.columns[-4:] == ("sine of day", "cosine of day", "sine of year", "cosine of year")
    for n in (0, 6, 15, 20_000, 43_823):
        when = beijing.times[n].astype(datetime)
        day = when.hour / 24
        year = (when - datetime(when.year, 1, 1)) / timedelta(days=365.25)
        expected = [wave(2 * math.pi * turn) for turn in (day, year) for wave in (math.sin, math.cos)]
        assert part.values[n, -4:].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(part.values[:, :-4].nan_to_num(-1), beijing.values.nan_to_num(-1))


# --- parts ------------------------------------------------------------------------------------------------------------


def test_parts_begin_at_their_borders(beijing):
    parts = split_by_time(beijing, "2013-01-01", "2014-01-01")
    assert [len(part) for part in parts] == [26_304, 8_760, 8_760]
    assert [str(part.times[0]) for part in parts] == ["2010-01-01T00", "2013-01-01T00", "2014-01-01T00"]
    assert torch.cat([part.values for part in parts]).nan_to_num(-1).equal(beijing.values.nan_to_num(-1))
    (whole,) = split_by_time(beijing)
    assert len(whole) == len(beijing)


@pytest.mark.parametrize(
    "borders",
    [
        ("2013-01-01T00",),
        ("2013-01-01T10",),
        ("2012-05-01",),
        ("2013-01-01T05", "2013-01-01T05"),
        ("2013-01-01T05", "2013"),
    ],
)
def test_each_part_holds_something(borders):
    with pytest.raises(ValueError, match="borders must increase and leave a step in each part, between 2013-01-01T00 "):
        split_by_time(series(range(10)), *borders)


# --- windows ----------------------------------------------------------------------------------------------------------


def naive(data, steps, horizons):
    """List the windows without missing values as nested lists, by loops."""
    found, dropped = [], 0
    for last in range(steps - 1, len(data) - max(horizons)):
        shown = data.values[last - steps + 1 : last + 1].tolist()
        target = [data["a"][last + horizon].item() for horizon in horizons]
        if any(math.isnan(value) for row in [*shown, target] for value in row):
            dropped += 1
        else:
            found.append((shown, target, data.times[last]))
    return found, dropped


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20),
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_windows_are_those_of_a_loop(rows, steps, horizons):
    data = series(*zip(*rows, strict=True))
    expected, dropped = naive(data, steps, horizons)
    if expected:
        found = windows(data, "a", steps, horizons)
        assert found.inputs.tolist() == [shown for shown, _, _ in expected]
        assert found.targets.tolist() == [target for _, target, _ in expected]
        assert list(found.times) == [time for _, _, time in expected]
        assert found.dropped == dropped
        assert found.inputs.is_contiguous() and not found.inputs.isnan().any() and not found.targets.isnan().any()
    else:
        with pytest.raises(ValueError, match="series must"):
            windows(data, "a", steps, horizons)


@given(
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.tuples(st.integers(30, 35), st.integers(30, 35), st.integers(30, 35)),
    st.integers(0, 3),
    st.sets(st.integers(0, 89), max_size=2),
)
def test_no_window_reaches_over_a_border(steps, horizons, lengths, fill, gaps):
    """Every value is the number of its step, so that each window tells what it has seen.

    All that the windows of a part show and ask for lies in the part: no target of one is an input of another.
    """
    total = sum(lengths)
    data = series([None if n in gaps else n for n in range(total)], range(total))
    borders = [str(hours(total)[end]) for end in (lengths[0], lengths[0] + lengths[1])]
    begin = 0
    for part, length in zip(split_by_time(data, *borders), lengths, strict=True):
        found = windows(part, "a", steps, horizons, fill)
        for shown, targets in zip(found.inputs[:, :, 1].tolist(), found.targets.tolist(), strict=True):
            assert shown == list(range(int(shown[0]), int(shown[0]) + steps))  # steps in a row
            assert targets == [shown[-1] + horizon for horizon in horizons]  # after all that is shown
            assert begin <= shown[0] and max(targets) < begin + length  # all of it in the part
        assert set(found.targets.flatten().tolist()).isdisjoint(gaps)  # a target is never filled
        begin += length


def test_windows_of_beijing(beijing):
    train, validation, test = split_by_time(beijing, "2013-01-01", "2014-01-01")
    found = windows(train, "PM2.5", 24, (1, 24), fill=6)
    assert isinstance(found, Windows)
    assert len(found.inputs) + found.dropped == len(train) - 24 - 24 + 1
    n = 5_000
    last = int(np.searchsorted(train.times, found.times[n]))
    assert found.targets[n].tolist() == [train["PM2.5"][last + 1].item(), train["PM2.5"][last + 24].item()]
    assert torch.equal(found.inputs[n, :, 1:], train.values[last - 23 : last + 1, 1:])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: windows(data, "a", 8, (3,)), "series must be at least 11 long, .* horizon: got 10"),
        (lambda data: windows(data, "a", 1, (4, 10)), "series must be at least 11 long"),
        (lambda data: windows(data, "a", 0), r"must be at least 1: got steps=0, horizons=\(1,\)"),
        (lambda data: windows(data, "a", 2, ()), r"must be at least 1: got steps=2, horizons=\(\)"),
        (lambda data: windows(data, "a", 2, (0, 1)), r"must be at least 1: got steps=2, horizons=\(0, 1\)"),
        (lambda data: windows(data, "c", 2), "column must be one of a, b: got 'c'"),
        (lambda data: windows(data, "a", 2, fill=-1), "limit must be at least 0: got -1"),
        (lambda data: windows(data, "b", 2), "series must hold a window without missing values: got none of 8"),
    ],
)
def test_errors_of_windows(call, message):
    with pytest.raises(ValueError, match=message):
        call(series(range(10), [None] * 10))


def test_the_shortest_series():
    found = windows(series([1, 2, 3]), "a", 2)
    assert (found.inputs.tolist(), found.targets.tolist(), found.dropped) == ([[[1], [2]]], [[3]], 0)
    assert found.times.tolist() == [datetime(2013, 1, 1, 1)]


# --- missing values ---------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12), st.integers(0, 12))
def test_filling_is_that_of_a_loop(rows, limit):
    data = series(*zip(*rows, strict=True))
    before = data.values.clone()
    filled = fill_forward(data, limit)
    for name in data.columns:
        known, age, expected = None, 0, []
        for value in data[name].tolist():
            known, age = (known, age + 1) if math.isnan(value) else (value, 0)
            expected.append(math.nan if known is None or age > limit else known)
        assert filled[name].tolist() == pytest.approx(expected, nan_ok=True)
    assert torch.equal(data.values.nan_to_num(99), before.nan_to_num(99))  # the data itself is left alone


@given(st.lists(numbers, min_size=2, max_size=12), st.integers(0, 5), st.data())
def test_filling_knows_nothing_of_the_future(values, limit, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    other = values[:cut] + data.draw(st.lists(numbers, min_size=len(values) - cut, max_size=len(values) - cut))
    past = [fill_forward(series(row), limit).values[:cut].nan_to_num(99) for row in (values, other)]
    assert torch.equal(*past)


# --- scaling ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_scaling_equals_scikit_learn(rows):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    data = series(*zip(*rows, strict=True))
    if data.values.isnan().all(0).any():
        with pytest.raises(ValueError, match="series must have a known value in each column: got none in a|b"):
            Scaler.fit(data)
        return
    theirs = preprocessing.StandardScaler().fit(data.values.double().numpy())
    scaled = Scaler.fit(data).transform(data)
    expected = torch.from_numpy(theirs.transform(data.values.double().numpy()))
    assert_close(scaled.values.double(), expected, rtol=1e-5, atol=1e-5, equal_nan=True)
    for name in data.columns:
        assert_close(Scaler.fit(data).inverse_transform(scaled[name], name), data[name], rtol=1e-5, atol=1e-5, equal_nan=True)


def test_the_scale_knows_nothing_of_later_parts(beijing):
    train, validation, _ = split_by_time(beijing, "2013-01-01", "2014-01-01")
    scaler = Scaler.fit(train)
    known = train["PM2.5"][~train["PM2.5"].isnan()].double()
    assert scaler.mean[0].item() == pytest.approx(known.mean().item())
    assert scaler.std[0].item() == pytest.approx(known.std(correction=0).item())
    scaled = scaler.transform(validation)
    assert scaled["PM2.5"].nanmean().abs() > 0.01  # other years have another mean
    assert scaled.missing == validation.missing
    assert scaled["wind NE"].unique().numel() == 2


def test_errors_of_the_scaler():
    scaler = Scaler.fit(series([1, 2], [3, 3]))
    with pytest.raises(ValueError, match=r"series must have the columns \('a', 'b'\): got \('a',\)"):
        scaler.transform(series([1, 2]))
    with pytest.raises(ValueError, match="column must be one of a, b: got 'c'"):
        scaler.inverse_transform(torch.zeros(1), "c")
    assert scaler.transform(series([1, 2], [3, 4])).values.tolist() == [
        [-1, 0],
        [1, 1],
    ]  # what never changed keeps its unit
