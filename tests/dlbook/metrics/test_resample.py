"""Bootstrap intervals: they cover the mean as often as they say; those of series are those of a loop over blocks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.metrics.resample import block_bootstrap_interval, bootstrap_interval


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for trial in range(200):
        values = (torch.rand(100, generator=generator) < 0.7).float()
        low, high = bootstrap_interval(values, resamples=200, seed=trial)
        covered += low <= 0.7 <= high
    assert 180 <= covered <= 199


def test_bootstrap_interval_narrows_with_the_root_of_the_number_of_examples():
    values = torch.arange(2).repeat(200).double()
    wide, narrow = (bootstrap_interval(v) for v in (values[:100], values))
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(2, rel=0.15)


# --- time series -----------------------------------------------------------------------------------------------------


def by_loop(values, block, level, resamples, seed):
    """Put blocks end to end as lists, cut the result to length, and count its mean's quantiles."""
    count = math.ceil(len(values) / block)
    starts = torch.randint(
        len(values) - block + 1, (resamples, count), generator=torch.Generator().manual_seed(seed)
    ).tolist()
    rows = [[v for start in row for v in values[start : start + block]][: len(values)] for row in starts]
    means = torch.tensor([sum(row) / len(row) for row in rows], dtype=torch.float64)
    return [means.quantile(end).item() for end in ((1 - level) / 2, (1 + level) / 2)]


@given(st.integers(2, 30), st.data(), st.floats(0.1, 0.99), st.integers(0, 99))
def test_equal_to_a_loop(steps, data, level, seed):
    block = data.draw(st.integers(1, steps // 2))
    values = torch.randn(steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = block_bootstrap_interval(values, block, level, resamples=20, seed=seed)
    assert found == pytest.approx(by_loop(values.tolist(), block, level, 20, seed))


def test_blocks_of_one_are_the_ordinary_bootstrap():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = block_bootstrap_interval(values, 1)
    assert (low, high) == pytest.approx(bootstrap_interval(values), abs=1e-12)


def test_the_seed_decides_and_single_precision_suffices():
    values = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert block_bootstrap_interval(values, 4) == block_bootstrap_interval(values, 4)
    assert block_bootstrap_interval(values, 4) != block_bootstrap_interval(values, 4, seed=1)
    assert block_bootstrap_interval(values.float(), 4) == pytest.approx(block_bootstrap_interval(values, 4), rel=1e-6)


def test_covers_the_mean_of_a_series_where_the_ordinary_bootstrap_does_not():
    """Each value is 0.9 of the last one and something new, with mean 0."""
    generator, covered = torch.Generator().manual_seed(0), {1: 0, 50: 0}
    for trial in range(100):
        values = [0.0]
        for new in torch.randn(2000, generator=generator, dtype=torch.float64).tolist():
            values.append(0.9 * values[-1] + new)
        for block in covered:
            low, high = block_bootstrap_interval(torch.tensor(values).double(), block, resamples=200, seed=trial)
            covered[block] += low <= 0 <= high
    assert covered[1] < 60 and 85 <= covered[50] <= 99


@pytest.mark.parametrize(
    ("steps", "block", "level", "message"),
    [
        (9, 5, 0.95, "block must lie between 1 and half of the 9 values: got 5"),
        (9, 0, 0.95, "block must lie between 1 and half of the 9 values: got 0"),
        (1, 1, 0.95, "half of the 1 values: got 1"),
        (9, 2, 1.0, "level must lie between 0 and 1: got 1.0"),
        (9, 2, 0.0, "level must lie between 0 and 1: got 0.0"),
    ],
)
def test_errors(steps, block, level, message):
    with pytest.raises(ValueError, match=message):
        block_bootstrap_interval(torch.ones(steps), block, level)


@pytest.mark.parametrize(
    "values, options, message",
    [
        ([1.0], {}, "values must hold at least 2 examples: got 1"),
        ([0.0, 1.0], {"level": 1.0}, "level must lie between 0 and 1: got 1.0"),
        ([0.0, 1.0], {"level": math.nan}, "level must lie between 0 and 1: got nan"),
        ([0.0, 1.0], {"resamples": 0}, "resamples must be at least 1: got 0"),
        ([0.0, math.nan], {}, "values must be real and finite: got others"),
    ],
)
def test_errors_of_the_ordinary_bootstrap(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(torch.tensor(values), **options)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32])
def test_right_and_wrong_may_be_of_any_type(dtype):
    values = torch.arange(40) % 3 == 0
    assert bootstrap_interval(values.to(dtype)) == bootstrap_interval(values.double())
    assert block_bootstrap_interval(values.to(dtype), 4) == block_bootstrap_interval(values.double(), 4)
