"""Time series: split, filled and scaled without a look into the future; missing values never hidden."""

import math
from datetime import datetime, timedelta

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.data.series import Scaler, Series, fill_forward, split_by_time, with_calendar
from tests.dlbook.data.examples import hours, series
from tests.helpers.references import reference

numbers = st.one_of(st.none(), st.integers(-9, 9))


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


@reference("dlbook.data.series.fill_forward", to="pandas.Series")
@given(st.lists(numbers, min_size=2, max_size=12), st.integers(1, 5))
def test_filling_equals_pandas(values, limit):
    theirs = pandas.Series([math.nan if value is None else value for value in values], dtype=float).ffill(limit=limit)
    assert fill_forward(series(values), limit)["a"].tolist() == pytest.approx(theirs.tolist(), nan_ok=True)


@given(st.lists(numbers, min_size=2, max_size=12), st.integers(0, 5), st.data())
def test_filling_knows_nothing_of_the_future(values, limit, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    other = values[:cut] + data.draw(st.lists(numbers, min_size=len(values) - cut, max_size=len(values) - cut))
    past = [fill_forward(series(row), limit).values[:cut].nan_to_num(99) for row in (values, other)]
    assert torch.equal(*past)


# --- scaling ----------------------------------------------------------------------------------------------------------


@reference("dlbook.data.series.Scaler", to="sklearn.preprocessing.StandardScaler")
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
        assert_close(
            Scaler.fit(data).inverse_transform(scaled[name], name), data[name], rtol=1e-5, atol=1e-5, equal_nan=True
        )


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
