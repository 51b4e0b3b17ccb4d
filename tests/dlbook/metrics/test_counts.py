"""Counts: the Clopper–Pearson interval and Fisher's test are SciPy's, and those of published examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlbook.metrics import counts
from dlbook.metrics.counts import clopper_pearson, fisher_exact, newcombe, wilson
from tests.helpers.inputs import public_names
from tests.helpers.references import reference


def test_every_public_function_is_tested():
    assert public_names(counts) == {"clopper_pearson", "wilson", "newcombe", "fisher_exact"}


@reference("dlbook.metrics.counts.clopper_pearson", to="scipy.stats.binomtest")
@pytest.mark.parametrize("successes, trials", [(0, 1), (1, 1), (0, 10), (10, 10), (3, 7), (500, 1000), (9000, 10_000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_clopper_pearson_equals_scipy(successes, trials, level):
    found = clopper_pearson(successes, trials, level)
    scipys = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)
    assert found.estimate == successes / trials


@reference("dlbook.metrics.counts.wilson", to="scipy.stats.binomtest")
@pytest.mark.parametrize("successes, trials", [(0, 1), (1, 1), (0, 10), (10, 10), (3, 7), (500, 1000), (9000, 10_000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_wilson_equals_scipy(successes, trials, level):
    found = wilson(successes, trials, level)
    scipys = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)
    assert found.estimate == successes / trials


@pytest.mark.parametrize(
    "first, second, low, high",
    [  # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_newcombe_equals_the_paper(first, second, low, high):
    found = newcombe(first, second)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_none_of_ten_may_still_be_three_of_ten():
    """With no success, the upper end solves (1 - p)^n = 0.025."""
    assert clopper_pearson(0, 10).high == pytest.approx(1 - 0.025**0.1)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_clopper_pearson_covers_at_least_as_often_as_it_says(p):
    covered = sum(stats.binom.pmf(k, 20, p) for k in range(21) if clopper_pearson(k, 20).contains(p))
    assert covered >= 0.95


def test_the_lady_who_tasted_tea():
    """Fisher, The Design of Experiments, 1935, section 5: three right of four is no wonder, 17 of 70 ways."""
    assert fisher_exact([[3, 1], [1, 3]], "greater") == pytest.approx(17 / 70)
    assert fisher_exact([[4, 0], [0, 4]], "greater") == pytest.approx(1 / 70)


def test_the_criminal_twins():
    """Fisher 1935, The logic of inductive inference: 13 monozygotic twins, 10 convicted; 17 dizygotic, 2 convicted."""
    assert fisher_exact([[10, 3], [2, 15]], "greater") == pytest.approx(619 / 1330665)


@reference("dlbook.metrics.counts.fisher_exact", to="scipy.stats.fisher_exact")
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4), st.sampled_from(["two-sided", "greater", "less"]))
def test_fisher_exact_equals_scipy(cells, alternative):
    table = [cells[:2], cells[2:]]
    assert fisher_exact(table, alternative) == pytest.approx(stats.fisher_exact(table, alternative).pvalue, abs=1e-9)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((-1, 5), ValueError, "successes must be at least 0: got -1"),
        ((6, 5), ValueError, "successes must be at most trials=5: got 6"),
        ((0, 0), ValueError, "trials must be at least 1: got 0"),
        ((1.0, 5), TypeError, "successes must be a whole number: got 1.0"),
        ((1, 5, 0.0), ValueError, "level must lie between 0 and 1: got 0.0"),
    ],
)
def test_counts_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        clopper_pearson(*arguments)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([[1, 2, 3], [4, 5, 6]],), ValueError, r"table must have two rows of two counts: got rows of \[3, 3\]"),
        (([[1, 2]],), ValueError, r"table must have two rows of two counts: got rows of \[2\]"),
        (([[1, -2], [3, 4]],), ValueError, "table must be at least 0: got -2"),
        (([[1, 0.5], [3, 4]],), TypeError, "table must be a whole number: got 0.5"),
        (([[1, 2], [3, 4]], "larger"), ValueError, "alternative must be one of two-sided, greater, less: got 'larger'"),
    ],
)
def test_tables_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        fisher_exact(*arguments)
