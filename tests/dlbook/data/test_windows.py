"""Sliding windows: those of a loop, inside their part, without missing values."""

import math
from datetime import datetime

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data.series import split_by_time
from dlbook.data.windows import Windows, windows
from tests.dlbook.data.examples import hours, series
from tests.helpers.references import reference

numbers = st.one_of(st.none(), st.integers(-9, 9))


def naive(data, length, horizons):
    """List the windows without missing values as nested lists, by loops."""
    found, dropped = [], 0
    for last in range(length - 1, len(data) - max(horizons)):
        shown = data.values[last - length + 1 : last + 1].tolist()
        target = [data["a"][last + horizon].item() for horizon in horizons]
        if any(math.isnan(value) for row in [*shown, target] for value in row):
            dropped += 1
        else:
            found.append((shown, target, data.times[last]))
    return found, dropped


@reference("dlbook.data.windows.windows", to="numpy.lib.stride_tricks.sliding_window_view")
def test_windows_equal_numpys_sliding_windows():
    data = series(range(9), [n**2 for n in range(9)])
    theirs = np.lib.stride_tricks.sliding_window_view(data.values.numpy(), 3, axis=0)  # (windows, columns, length)
    found = windows(data, "b", 3, horizons=(1, 2))
    assert found.inputs.tolist() == theirs[:5].transpose(0, 2, 1).tolist()
    assert found.targets.T.tolist() == [theirs[1:6, 1, 2].tolist(), theirs[2:7, 1, 2].tolist()]


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20),
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_windows_are_those_of_a_loop(rows, length, horizons):
    data = series(*zip(*rows, strict=True))
    expected, dropped = naive(data, length, horizons)
    if expected:
        found = windows(data, "a", length, horizons)
        assert found.inputs.tolist() == [shown for shown, _, _ in expected]
        assert found.targets.tolist() == [target for _, target, _ in expected]
        assert list(found.times) == [time for _, _, time in expected]
        assert found.dropped == dropped
        assert found.inputs.is_contiguous() and not found.inputs.isnan().any() and not found.targets.isnan().any()
    else:
        with pytest.raises(ValueError, match="series must"):
            windows(data, "a", length, horizons)


@given(
    st.integers(1, 4),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.tuples(st.integers(30, 35), st.integers(30, 35), st.integers(30, 35)),
    st.integers(0, 3),
    st.sets(st.integers(0, 89), max_size=2),
)
def test_no_window_reaches_over_a_border(length, horizons, lengths, fill, gaps):
    """Every value is the number of its step, so that each window tells what it has seen.

    All that the windows of a part show and ask for lies in the part: no target of one is an input of another.
    """
    total = sum(lengths)
    data = series([None if n in gaps else n for n in range(total)], range(total))
    borders = [str(hours(total)[end]) for end in (lengths[0], lengths[0] + lengths[1])]
    begin = 0
    for part, size in zip(split_by_time(data, *borders), lengths, strict=True):
        found = windows(part, "a", length, horizons, fill)
        for shown, targets in zip(found.inputs[:, :, 1].tolist(), found.targets.tolist(), strict=True):
            assert shown == list(range(int(shown[0]), int(shown[0]) + length))  # time steps in a row
            assert targets == [shown[-1] + horizon for horizon in horizons]  # after all that is shown
            assert begin <= shown[0] and max(targets) < begin + size  # all of it in the part
        assert set(found.targets.flatten().tolist()).isdisjoint(gaps)  # a target is never filled
        begin += size


def test_windows_of_beijing(beijing):
    train, _, _ = split_by_time(beijing, "2013-01-01", "2014-01-01")
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
        (lambda data: windows(data, "a", 0), "length must be at least 1: got 0"),
        (lambda data: windows(data, "a", 2, ()), r"horizons must be one or more, such as \(1,\): got \(\)"),
        (lambda data: windows(data, "a", 2, (0, 1)), "horizons must be at least 1: got 0"),
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
