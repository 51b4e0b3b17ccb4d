"""Data checks: equal to SciPy, scikit-learn and pandas, and finding what is planted."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch.testing import assert_close

from dlbook.practice import data_checks as checks
from tests.helpers.references import random, reference


def logistic(x, y, others):
    """Fit logistic regression, and return labels."""
    model = LogisticRegression().fit(x.flatten(1).numpy(), y.numpy())
    return torch.tensor(model.predict(others.flatten(1).numpy()))


@reference(
    "dlbook.practice.data_checks.classifier_two_sample_test",
    "dlbook.practice.data_checks.TwoSampleTest",
    to="scipy.stats.binomtest",
)
def test_two_samples():
    first, second = random(200, 3), random(150, 3) + 0.4
    seen = []

    def fit_predict(x, y, others):
        seen.append((len(x), int(y.sum()), len(others)))
        return logistic(x, y, others)

    found = checks.classifier_two_sample_test(first, second, fit_predict, seed=1)
    assert isinstance(found, checks.TwoSampleTest)
    assert seen == [(150, 75, 150)] and found.tested == 150
    hits = round(found.accuracy * found.tested)
    exact = scipy.stats.binomtest(hits, found.tested, alternative="greater").pvalue
    assert found.p_value == pytest.approx(exact, rel=1e-9)
    assert found.p_value < 0.01


def test_two_samples_of_one_distribution_are_called_different_as_seldom_as_promised():
    p = [checks.classifier_two_sample_test(random(60, 2), random(60, 2), logistic, seed=n).p_value for n in range(200)]
    assert np.mean(np.array(p) < 0.1) < 0.16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_two_samples_on_a_gpu():
    def fit_predict(x, y, others):
        assert x.device == y.device == others.device
        means = torch.stack([x[y == c].mean(0) for c in (0, 1)])
        return torch.cdist(others, means).argmin(1)

    first, second = random(40, 3), random(40, 3) + 2
    on_gpu = checks.classifier_two_sample_test(first.cuda(), second.cuda(), fit_predict)
    assert on_gpu == checks.classifier_two_sample_test(first, second, fit_predict)


@reference("dlbook.practice.data_checks.kolmogorov_smirnov", to="scipy.stats.ks_2samp")
def test_kolmogorov_smirnov():
    first, second = random(700), torch.cat([random(500) + 0.1, torch.zeros(40).double(), torch.tensor([math.nan])])
    statistic, p = checks.kolmogorov_smirnov(first, second)
    theirs = scipy.stats.ks_2samp(first, second[~second.isnan()], method="asymp")
    assert statistic == pytest.approx(theirs.statistic)
    assert theirs.pvalue <= p < 1.5 * theirs.pvalue + 0.01
    assert checks.kolmogorov_smirnov(first, first) == (0.0, 1.0)


@reference("dlbook.practice.data_checks.chi_squared", to="scipy.stats.chi2_contingency")
def test_chi_squared():
    table = torch.tensor([[10, 20, 30], [12, 15, 9], [3, 3, 8]])
    theirs = scipy.stats.chi2_contingency(table.numpy(), correction=False)
    assert checks.chi_squared(table) == pytest.approx((theirs.statistic, theirs.pvalue))
    wider = torch.cat([table, torch.zeros(3, 1).long()], 1)
    assert checks.chi_squared(wider) == pytest.approx(checks.chi_squared(table))
    assert checks.chi_squared(table[:1]) == (0.0, 1.0)


@reference("dlbook.practice.data_checks.duplicate_groups", to="pandas.DataFrame")
def test_duplicates():
    rows = torch.tensor([[1, 2], [3, 4], [1, 2], [math.nan, 0.0], [5, 6], [math.nan, -0.0], [1, 2]]).double()
    groups = checks.duplicate_groups(rows)
    assert groups == [[0, 2, 6], [3, 5]]
    assert sum(len(group) - 1 for group in groups) == pd.DataFrame(rows.numpy()).duplicated().sum()
    assert checks.duplicate_groups(random(5, 2, 2)) == []


def test_any_missing_number_equals_any_other():
    computed = torch.zeros(1).double() / 0  # its sign is that of the processor
    column = torch.cat([torch.tensor([math.nan]).double(), computed, -computed, torch.tensor([1.0]).double()])
    assert len({row.numpy().tobytes() for row in column[:3]}) > 1
    assert checks.duplicate_groups(column[:, None]) == [[0, 1, 2]]
    assert checks.duplicate_groups(column[:, None].float()) == [[0, 1, 2]]


@reference("dlbook.practice.data_checks.nearest_neighbors", to="sklearn.neighbors.NearestNeighbors")
def test_nearest_neighbors():
    queries, rows = random(23, 2, 3), random(40, 2, 3)
    distance, index = checks.nearest_neighbors(queries, rows, chunk=10)
    theirs = NearestNeighbors(n_neighbors=1).fit(rows.flatten(1).numpy()).kneighbors(queries.flatten(1).numpy())
    assert_close(distance, torch.tensor(theirs[0][:, 0]))
    assert index.tolist() == theirs[1][:, 0].tolist()


def test_purity():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (1000,), generator=generator)
    honest = torch.randint(20, (1000,), generator=generator).double()
    found = checks.value_purity(honest, labels)
    assert isinstance(found, checks.Purity)
    assert (found.pure, found.values) == (0, 20) and found.expected < 0.1
    assert found.share == 0 and found.expected_share < 0.01
    leak = torch.where(torch.rand(1000, generator=generator) < 0.1, 20.0 + labels, honest)
    found = checks.value_purity(leak, labels)
    assert found.pure == 2 and found.share == (leak >= 20).double().mean()
    leak[:5] = math.nan
    assert checks.value_purity(leak, labels).pure == 2
    rare = torch.arange(1000).double()
    assert checks.value_purity(rare, labels).values == 0
    assert checks.value_purity(torch.full((3,), math.nan).double(), labels[:3]).values == 0


def leaks(labels):
    """Columns made from labels: the label, with gaps, with noise, for a part of the rows; and a harmless one."""
    generator = torch.Generator().manual_seed(0)
    label, u = labels.double(), torch.rand(len(labels), generator=generator).double()
    noise = torch.randn(2, len(labels), generator=generator).double()
    return {
        "label": label,
        "gaps": label.where(u > 0.1, math.nan),
        "noise": label + 0.05 * noise[0],
        "part": (100 + label).where(u < 0.1, (1000 * u).floor()),
        "fine": label + 2 * noise[1],
    }


@pytest.mark.parametrize("rate, classes", [(0.4, 2), (0.02, 2), (0.7, 5)])
def test_one_column(rate, classes):
    """A rare class has bins of its own: a column that tells it from the others is found as well."""
    generator = torch.Generator().manual_seed(1)
    rare = torch.rand(2000, generator=generator) < rate
    labels = torch.randint(1, classes, (2000,), generator=generator) * rare
    columns = leaks(labels)
    scores = {name: checks.column_score(column, labels) for name, column in columns.items()}
    assert all(isinstance(score, checks.ColumnScore) for score in scores.values())
    majority = labels.bincount().max().item() / 2000
    assert all(score.majority == pytest.approx(majority, abs=0.03) for score in scores.values())
    assert scores["label"].accuracy == 1
    assert scores["gaps"].accuracy == pytest.approx(0.9 + 0.1 * majority, abs=0.03)
    assert scores["noise"].accuracy > 0.98
    assert scores["fine"].accuracy < (1 + majority) / 2 + 0.02
    assert checks.column_score(torch.full((2000,), math.nan), labels).accuracy == scores["label"].majority
    assert checks.column_score(random(2000), labels).accuracy < majority + 0.05


def test_columns_made_from_the_label_are_flagged():
    labels = (torch.rand(2000, generator=torch.Generator().manual_seed(1)) < 0.3).long()
    columns = leaks(labels)
    table = torch.stack(list(columns.values()), 1)
    report = checks.check_table(table[:1500], labels[:1500], table[1500:], labels[1500:], list(columns))
    found = {(finding.check, finding.where) for finding in report.flagged}
    assert found >= {("one column", name) for name in ("label", "gaps", "noise")} | {("purity", "part")}
    assert not {where for _, where in found} & {"fine"}
    one_class = torch.zeros_like(labels)
    report = checks.check_table(table[:1500], one_class[:1500], table[1500:], one_class[1500:], list(columns))
    assert not {finding.check for finding in report.flagged} & {"one column", "purity"}


def planted_table():
    """A table with a gap that depends on the label, a duplicate, a leak, a constant, a shift and a pure column."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(1000, 6, generator=generator).double()
    labels = (torch.rand(1000, generator=generator) < 0.4).long()
    table[:, 1] = 3.0
    table[torch.rand(1000, generator=generator) < 0.1 + 0.3 * labels, 2] = math.nan
    table[:, 3] = torch.randint(15, (1000,), generator=generator) * 2 + labels
    table[700:, 4] += 1
    train, test = table[:700], table[700:]
    train[5], test[3] = train[2], train[9]
    labels[5] = 1 - labels[2]
    return train, labels[:700], test, labels[700:], ["fine", "constant", "gaps", "pure", "moved", "also fine"]


def test_a_table_with_planted_faults():
    report = checks.check_table(*planted_table())
    assert isinstance(report, checks.Report) and all(isinstance(f, checks.Finding) for f in report.findings)
    found = {(finding.check, finding.where): finding.text for finding in report.flagged}
    assert set(found) == {
        ("duplicates", "train"),
        ("leak", "train and test"),
        ("constant", "constant"),
        ("missing", "gaps"),
        ("purity", "pure"),
        ("one column", "pure"),
        ("shift", "moved"),
    }
    assert "1 rows repeat another, 1 sets have several labels" in found["duplicates", "train"]
    assert found["leak", "train and test"].startswith("1 test rows")
    assert "depends on the label" in found["missing", "gaps"]
    assert str(report).count("\n!") + str(report).startswith("!") == len(found)


def test_a_key_hides_duplicates():
    train, labels, test, others, columns = planted_table()
    keys = torch.arange(1000)[:, None].double()
    parts = (torch.cat([train, keys[:700]], 1), labels, torch.cat([test, keys[700:]], 1), others, [*columns, "key"])
    searched = {"duplicates", "leak"}
    assert not {finding.check for finding in checks.check_table(*parts).flagged} & searched
    ignored = {f.check: f.text for f in checks.check_table(*parts, ignore=["key"]).flagged}
    without = {f.check: f.text for f in checks.check_table(train, labels, test, others, columns).flagged}
    assert all(ignored[check] == without[check] for check in searched)


def test_a_clean_table_is_not_flagged():
    table, labels = random(600, 4), torch.arange(600) % 3
    assert not checks.check_table(table[:400], labels[:400], table[400:], labels[400:], list("abcd")).flagged


def test_images_with_planted_faults():
    images, labels = random(80, 5, 5).abs(), torch.arange(80) % 2
    test, others = random(30, 5, 5).abs(), torch.arange(30) % 2
    assert not checks.check_images(images, labels, test, others).flagged
    images[3], images[7] = 0, images[9]
    test[0], test[1] = images[20], images[21] * 1.01
    flagged = {f.check: f.text for f in checks.check_images(images, labels, test, others).flagged}
    assert set(flagged) == {"blank", "duplicates", "leak", "near duplicates"}
    assert flagged["near duplicates"].startswith("2 of 30")
    for brighter in (0.8, 1.2):  # a copy, whatever its brightness and contrast
        copies = test.clone()
        copies[2:10] = brighter * images[30:38]
        copies[10] = 0.5 * images[40] + 0.25
        flagged = {f.check: f.text for f in checks.check_images(images, labels, copies, others).flagged}
        assert flagged["near duplicates"].startswith("11 of 30")
    test[2], test[3] = 0.1, 0.7  # blank images are alike, and like no other
    flagged = {f.check: f.text for f in checks.check_images(images, labels, test, others).flagged}
    assert flagged["near duplicates"].startswith("4 of 30")
    assert "near duplicates" not in {
        f.check for f in checks.check_images(images[10:], labels[10:], test[2:], others[2:]).flagged
    }
    shifted = checks.check_images(
        random(300, 3, 3), torch.zeros(300).long(), random(300, 3, 3) + 2, torch.ones(300).long()
    )
    assert {f.check for f in shifted.flagged} >= {"brightness", "classes"}


@pytest.mark.parametrize(
    "error, call, message",
    [
        (ValueError, lambda: checks.classifier_two_sample_test(random(9, 2), random(9, 3), logistic), "features of"),
        (ValueError, lambda: checks.classifier_two_sample_test(random(3, 2), random(9, 2), logistic), "at least 4"),
        (ValueError, lambda: checks.kolmogorov_smirnov(random(2), torch.full((2,), math.nan)), "must hold numbers"),
        (ValueError, lambda: checks.chi_squared(torch.tensor([[-1, 2]])), "must not be negative: got -1"),
        (ValueError, lambda: checks.nearest_neighbors(random(2, 3), random(2, 4)), "features of queries"),
        (ValueError, lambda: checks.nearest_neighbors(random(2, 3), random(2, 3) * math.nan), "NaN"),
        (ValueError, lambda: checks.value_purity(random(3), torch.tensor([0, 1])), "labels must have the shape"),
        (ValueError, lambda: checks.value_purity(random(2), torch.tensor([0, 1]), least=0), "least must be at least 1"),
        (
            ValueError,
            lambda: checks.check_table(random(3, 2), torch.zeros(3).long(), random(2, 1), torch.zeros(2).long(), ["a"]),
            "same features",
        ),
        (
            ValueError,
            lambda: checks.check_table(
                random(3, 1), torch.zeros(3).long(), random(2, 1), torch.zeros(2).long(), ["a"], ignore=["b", "a"]
            ),
            "ignore must hold names of columns: got b",
        ),
        (ValueError, lambda: checks.column_score(random(3), torch.tensor([0, 1])), "labels must have the shape"),
        (ValueError, lambda: checks.column_score(random(1), torch.tensor([0])), "at least 2 rows: got 1"),
        (
            ValueError,
            lambda: checks.column_score(random(2), torch.tensor([0, -1])),
            "labels must be at least 0: got -1",
        ),
        (ValueError, lambda: checks.column_score(random(2), torch.tensor([0, 1]), bins=0), "bins must be at least 1"),
        (
            ValueError,
            lambda: checks.check_images(random(1, 2), torch.tensor([-1]), random(1, 2), torch.tensor([0])),
            "at least 0",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(error, call, message):
    with pytest.raises(error, match=message):
        call()
