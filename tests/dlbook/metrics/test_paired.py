"""Paired differences: equal to SciPy and to published examples, covering as often as they say, refusing misfits."""

import math

import pytest
import torch
from scipy import stats

from dlbook.metrics import paired
from dlbook.metrics.paired import (
    Interval,
    difference_over_examples,
    difference_over_examples_and_seeds,
    difference_over_pairs,
    difference_over_seeds,
    difference_over_time,
)
from dlbook.metrics.resample import block_bootstrap_interval, bootstrap_interval
from tests.helpers.inputs import (
    assert_misfit_refused,
    other_types,
    poisoned,
    public_names,
)
from tests.helpers.references import reference

MANY_CALLS = pytest.mark.usefixtures("unchecked")  # of which the other tests have a few with the shapes checked


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ends(interval):
    return interval.low, interval.high


# --- what an interval says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "low, high, true",
    [
        (0.1, 0.3, {"above"}),
        (-0.3, -0.1, {"below"}),
        (-0.1, 0.3, {"contains"}),
        (0.0, 0.3, {"contains"}),
        (-0.3, 0.0, {"contains"}),
        (-0.04, 0.04, {"contains", "within"}),
        (0.01, 0.04, {"above", "within"}),
        (-0.05, 0.01, {"contains"}),
    ],
)
def test_what_an_interval_supports(low, high, true):
    interval = Interval(low, high, (low + high) / 2)
    said = {name for name in ("above", "below", "contains") if getattr(interval, name)(0)}
    said |= {"within"} if interval.within(0.05) else set()
    assert said == true


def test_an_interval_in_a_string():
    assert f"{Interval(0.01234, 0.09, 0.05):.2f}" == "0.05 (0.01 to 0.09)"
    assert f"{Interval(0.25, 0.75, 0.5):.0%}" == "50% (25% to 75%)"


def test_what_is_not_finite_supports_nothing():
    interval = Interval(math.nan, math.nan, math.nan)
    assert not (interval.above(0) or interval.below(0) or interval.contains(0) or interval.within(1))


# --- over examples ----------------------------------------------------------------------------------------------------


def test_over_examples_equals_the_bootstrap_of_the_differences():
    first, second = normal(80), normal(80, seed=1)
    found = difference_over_examples(first, second, resamples=200, seed=3)
    assert ends(found) == pytest.approx(bootstrap_interval(first - second, resamples=200, seed=3))
    assert found.estimate == pytest.approx((first - second).mean().item())


@reference("dlbook.metrics.paired.difference_over_examples", to="scipy.stats.bootstrap")
def test_over_examples_agrees_with_scipy():
    first, second = normal(200) + 0.1, normal(200, seed=1)
    scipys = stats.bootstrap(
        (first.numpy(), second.numpy()),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=4000,
        rng=0,
    ).confidence_interval
    width = scipys.high - scipys.low
    found = difference_over_examples(first, second, resamples=4000)
    assert ends(found) == pytest.approx((scipys.low, scipys.high), abs=0.04 * width)


def test_pairing_takes_away_what_is_hard_for_both():
    hard = 10 * normal(300)
    first, second = hard + normal(300, seed=1) + 1, hard + normal(300, seed=2)
    assert difference_over_examples(first, second, resamples=300).above(0)
    alone = bootstrap_interval(first, resamples=300), bootstrap_interval(second, resamples=300)
    assert alone[0][0] < alone[1][1]  # each by itself, they overlap


def test_a_statistic_of_rows():
    def median(rows):
        return rows.quantile(0.5)

    first, second = normal(60), normal(60, seed=1)
    found = difference_over_examples(first, second, median, resamples=300)
    scipys = stats.bootstrap(
        (first.numpy(), second.numpy()),
        lambda a, b: median(torch.from_numpy(a)).item() - median(torch.from_numpy(b)).item(),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=300,
        rng=0,
    ).confidence_interval
    assert ends(found) == pytest.approx((scipys.low, scipys.high), abs=0.15)
    assert found.estimate == (median(first) - median(second)).item()


def test_rows_keep_their_type_and_their_columns():
    target, predicted = torch.arange(30) % 3, (torch.arange(30) + torch.arange(30) // 20) % 3
    rows = torch.stack([target, predicted], 1)  # (examples, 2)

    def accuracy(rows):
        assert rows.dtype == torch.int64 and rows.shape[1] == 2
        return (rows[:, 0] == rows[:, 1]).double().mean()

    found = difference_over_examples(rows, rows.roll(1, 0), accuracy, resamples=50)
    assert found.estimate == 0 and found.contains(0)


@MANY_CALLS
def test_over_examples_covers_the_truth_as_often_as_it_says():
    generator, covered = torch.Generator().manual_seed(0), 0
    for trial in range(200):
        hard = torch.rand(100, generator=generator) < 0.3
        first, second = (~hard & (torch.rand(100, generator=generator) < p) for p in (0.9, 0.8))
        covered += difference_over_examples(first, second, resamples=100, seed=trial).contains(0.07)
    assert 180 <= covered <= 199


# --- over seeds -------------------------------------------------------------------------------------------------------

# The hours of sleep that two drugs gave to ten patients: Student 1908, table on page 20, from Cushny and Peebles 1905.
FIRST_DRUG = torch.tensor([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND_DRUG = torch.tensor([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_over_seeds_gives_students_own_example():
    found = difference_over_seeds(FIRST_DRUG, SECOND_DRUG)
    assert found.estimate == pytest.approx(-1.58)  # the mean difference that he gives
    assert ends(found) == pytest.approx((-2.4598858, -0.7001142), abs=1e-5)  # as R's t.test has it for these data


@reference("dlbook.metrics.paired.difference_over_seeds", to="scipy.stats.ttest_rel")
@pytest.mark.parametrize("count", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_over_seeds_equals_scipy(count, level):
    first, second = normal(count), normal(count, seed=1)
    scipys = stats.ttest_rel(first.numpy(), second.numpy()).confidence_interval(level)
    assert ends(difference_over_seeds(first, second, level)) == pytest.approx((scipys.low, scipys.high), rel=1e-5)


@reference("dlbook.metrics.paired.difference_over_pairs", to="scipy.stats.wilcoxon")
@pytest.mark.parametrize("count", [6, 9, 15, 40])
def test_over_pairs_leaves_out_zero_where_scipy_rejects_it(count):
    for trial in range(40):
        first, second = normal(count, seed=trial) + 0.5, normal(count, seed=1000 + trial)
        p = stats.wilcoxon((first - second).numpy(), method="exact").pvalue
        found = difference_over_pairs(first, second)
        assert found.contains(0) == (p > 0.05)
        assert ends(difference_over_pairs(second, first)) == pytest.approx((-found.high, -found.low))


def test_over_pairs_is_the_median_of_the_means_of_two_and_bears_a_wild_value():
    values = torch.tensor([1.0, 2, 4, 8, 16, 32]).double()
    means = sorted((a + b) / 2 for n, a in enumerate(values.tolist()) for b in values.tolist()[n:])
    found = difference_over_pairs(values, torch.zeros(6))
    assert found.estimate == means[10] and ends(found) == (1, 32)  # six pairs: both ends at 95 %
    first = normal(15)
    wild = first.clone()
    wild[wild.argmax()] = 1e6
    assert abs(difference_over_pairs(wild, torch.zeros(15)).estimate) < 1
    with pytest.raises(ValueError, match=r"first must hold more pairs for level 0.95: got 5"):
        difference_over_pairs(values[:5], torch.zeros(5))
    with pytest.raises(ValueError, match="level must lie between 0 and 1: got 2"):
        difference_over_pairs(values, torch.zeros(6), 2.0)


@MANY_CALLS
def test_over_pairs_covers_the_truth_as_often_as_it_says():
    covered = 0
    for trial in range(300):
        first = normal(15, seed=trial) / normal(15, seed=1000 + trial)  # Cauchy, with wild values
        covered += difference_over_pairs(first + 1, torch.zeros(15)).contains(1)
    assert 276 <= covered <= 297


@MANY_CALLS
def test_over_seeds_covers_the_truth_as_often_as_it_says_where_the_bootstrap_does_not():
    generator, covered, by_bootstrap = torch.Generator().manual_seed(0), 0, 0
    for trial in range(300):
        first, second = torch.randn(2, 3, generator=generator).double()
        covered += difference_over_seeds(first + 1, second).contains(1)
        if trial < 100:  # it misses so often that these are enough
            by_bootstrap += difference_over_examples(first + 1, second, resamples=100, seed=trial).contains(1)
    assert 275 <= covered <= 296 and by_bootstrap < 83


# --- over both --------------------------------------------------------------------------------------------------------


def by_analysis_of_variance(table, level=0.95):
    """Return the interval of the mean of a table of two random factors, from mean squares and Satterthwaite's rule."""
    rows, columns = table.shape
    mean, of_rows, of_columns = table.mean(), table.mean(1, keepdim=True), table.mean(0, keepdim=True)
    ms_rows = columns * (of_rows - mean).square().sum() / (rows - 1)
    ms_columns = rows * (of_columns - mean).square().sum() / (columns - 1)
    ms_rest = (table - of_rows - of_columns + mean).square().sum() / ((rows - 1) * (columns - 1))
    variance = torch.stack([ms_rows + ms_columns - ms_rest, ms_rows, ms_columns]).max()
    df = variance**2 / (ms_rows**2 / (rows - 1) + ms_columns**2 / (columns - 1))
    reach = stats.t.ppf((1 + level) / 2, max(df.item(), 1)) * (variance / table.numel()).sqrt().item()
    return mean.item() - reach, mean.item() + reach


@reference("dlbook.metrics.paired.difference_over_examples_and_seeds", to="scipy.stats.t.ppf")
@MANY_CALLS
@pytest.mark.parametrize("of_seeds, of_examples", [(0.3, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_over_both_equals_the_analysis_of_variance(of_seeds, of_examples):
    table = of_seeds * normal(4, 1) + of_examples * normal(1, 200, seed=1) + normal(4, 200, seed=2)
    found = difference_over_examples_and_seeds(table, torch.zeros_like(table), resamples=1000)
    expected = by_analysis_of_variance(table)
    assert ends(found) == pytest.approx(expected, abs=0.06 * (expected[1] - expected[0]))
    assert found.estimate == pytest.approx(table.mean().item())


def test_over_both_is_wider_than_over_either():
    table = 0.1 * normal(3, 1) + normal(1, 100, seed=1) + 0.3 * normal(3, 100, seed=2)
    zero = torch.zeros_like(table)
    both = difference_over_examples_and_seeds(table, zero)
    examples = difference_over_examples(table.mean(0), zero[0])
    seeds = difference_over_seeds(table.mean(1), zero[:, 0])
    width = {name: one.high - one.low for name, one in (("both", both), ("examples", examples), ("seeds", seeds))}
    assert width["both"] > width["examples"]
    assert both.estimate == pytest.approx(seeds.estimate) == pytest.approx(examples.estimate)


def test_over_both_without_differences_between_seeds_is_that_over_examples():
    rows = normal(400)
    both = difference_over_examples_and_seeds(rows.expand(3, -1), torch.zeros(3, 400).double())
    assert ends(both) == pytest.approx(ends(difference_over_examples(rows, torch.zeros(400).double())), abs=0.02)


def test_two_that_are_the_same_do_not_differ():
    rows = normal(3, 20)
    assert difference_over_examples_and_seeds(rows, rows) == Interval(0.0, 0.0, 0.0)


def test_over_both_of_a_statistic():
    target = normal(60)
    near, far = (torch.stack([normal(2, 60, seed=n) * by + target, target.expand(2, -1)], -1) for n, by in PAIR)
    found = difference_over_examples_and_seeds(near, far, lambda rows: torch.corrcoef(rows.T)[0, 1], resamples=200)
    assert found.above(0) and 0 < found.estimate < 1


PAIR = ((1, 0.5), (2, 3.0))  # the seed, and how loud the noise is


@MANY_CALLS
@pytest.mark.parametrize("of_seeds, seeds", [(0.1, 3), (1.0, 3), (0.1, 2)])
def test_over_both_covers_the_truth_as_often_as_it_says(of_seeds, seeds):
    generator, covered = torch.Generator().manual_seed(0), 0
    for trial in range(100):
        parts = [torch.randn(*shape, generator=generator) for shape in ((seeds, 1), (1, 60), (seeds, 60))]
        table = (of_seeds * parts[0] + parts[1] + parts[2]).double() + 1
        covered += difference_over_examples_and_seeds(
            table, torch.zeros_like(table), resamples=60, seed=trial
        ).contains(1)
    assert covered >= 90


# --- over time --------------------------------------------------------------------------------------------------------


def test_over_time_equals_the_block_bootstrap_of_the_differences():
    first, second = normal(90), normal(90, seed=1)
    found = difference_over_time(first, second, 5, resamples=200, seed=2)
    assert ends(found) == pytest.approx(block_bootstrap_interval(first - second, 5, resamples=200, seed=2))
    assert found.estimate == pytest.approx((first - second).mean().item())


# --- errors -----------------------------------------------------------------------------------------------------------

ROWS, OTHER = normal(8).mul(4).round() / 4, normal(8, seed=1).mul(4).round() / 4
TABLES = torch.stack([ROWS, OTHER]), torch.stack([OTHER, ROWS + 1])
CASES = {
    "difference_over_examples": (difference_over_examples, {"first": ROWS, "second": OTHER}),
    "difference_over_seeds": (difference_over_seeds, {"first": ROWS, "second": OTHER}),
    "difference_over_pairs": (difference_over_pairs, {"first": ROWS, "second": OTHER}),
    "difference_over_examples_and_seeds": (
        difference_over_examples_and_seeds,
        {"first": TABLES[0], "second": TABLES[1]},
    ),
    "difference_over_time": (
        lambda first, second: difference_over_time(first, second, 2),
        {"first": ROWS, "second": OTHER},
    ),
}
ARGUMENTS = [(case, name) for case, (_, arguments) in CASES.items() for name in arguments]


def test_every_public_function_is_tried():
    assert public_names(paired) == {*CASES, "Interval"}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case, name", ARGUMENTS)
class TestInputs:
    def test_what_does_not_fit_is_refused(self, case, name):
        function, arguments = CASES[case]
        value = arguments[name]
        for other in (value[..., None], value[:-1], value[:0], value[None], value.tolist(), value.to(torch.complex64)):
            assert_misfit_refused(function, arguments, name, other)

    def test_other_types_give_the_same(self, case, name):
        function, arguments = CASES[case]
        for other in other_types(arguments[name]):
            found, expected = (function(**{**arguments, name: value}) for value in (other, arguments[name]))
            assert ends(found) == pytest.approx(ends(expected))

    def test_what_is_not_finite_is_refused(self, case, name):
        function, arguments = CASES[case]
        for other in poisoned(arguments[name]):
            with pytest.raises(ValueError, match=f"{name} must be real and finite: got others"):
                function(**{**arguments, name: other})


@pytest.mark.parametrize("case", CASES)
def test_one_alone_has_no_interval(case):
    function, arguments = CASES[case]
    with pytest.raises(ValueError, match=r"first must hold at least 2 (examples|seeds|pairs|time steps): got 1"):
        function(**{name: value[..., :1] for name, value in arguments.items()})
    with pytest.raises(ValueError, match="first must hold at least 2 seeds: got 1"):
        difference_over_examples_and_seeds(ROWS[None], OTHER[None])


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"level": 1.0}, ValueError, "level must lie between 0 and 1: got 1.0"),
        ({"level": math.nan}, ValueError, "level must lie between 0 and 1: got nan"),
        ({"resamples": 1}, ValueError, "resamples must be at least 2: got 1"),
        ({"statistic": lambda rows: math.nan}, ValueError, "statistic must be finite on each sample: got nan"),
    ],
)
@pytest.mark.parametrize("function", [difference_over_examples, difference_over_examples_and_seeds])
def test_settings_that_cannot_be(function, options, error, message):
    with pytest.raises(error, match=message):
        function(*(TABLES if function is difference_over_examples_and_seeds else (ROWS, OTHER)), **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"block": 0}, ValueError, "block must be at least 1: got 0"),
        ({"block": 5}, ValueError, "block must lie between 1 and half of the 8 values: got 5"),
        ({"block": 2, "level": 0.0}, ValueError, "level must lie between 0 and 1: got 0.0"),
        ({"block": 2, "resamples": 0}, ValueError, "resamples must be at least 2: got 0"),
    ],
)
def test_settings_of_series_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        difference_over_time(ROWS, OTHER, **options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "options, message",
    [({"seed": True}, "seed must be an int"), ({"resamples": 9.0}, "resamples must be a whole number: got 9.0")],
)
def test_settings_of_other_types(options, message):
    with pytest.raises(TypeError, match=message):
        difference_over_examples(ROWS, OTHER, **options)


def test_the_level_of_seeds():
    with pytest.raises(ValueError, match="level must lie between 0 and 1: got 2"):
        difference_over_seeds(ROWS, OTHER, 2.0)


def test_columns_need_a_statistic():
    rows = normal(6, 2)
    with pytest.raises((ValueError, TypeError), match=r"first must have the shape \(examples,\): got \(6, 2\)"):
        difference_over_examples(rows, rows)
