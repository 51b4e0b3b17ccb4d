"""Committed results on tables: still what a short run gives, equal budgets, and intervals that know of shared rows."""

import numpy as np
import pytest
import torch
from scipy.stats import t
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from benchmarks import store, tabular
from tests.helpers.equations import executed


@pytest.fixture(scope="module")
def stored():
    return store.load("tabular")


def test_a_short_row_again(stored):
    assert tabular.short() == pytest.approx(stored["short"], abs=0.01)


def test_every_learner_had_the_same_budget(stored):
    for seed in range(tabular.SPLITS):
        for table in tabular.TABLES:
            run = stored[f"{table}_{seed}"]
            assert set(run) == {"prior", *tabular.LEARNERS}
            for learner in tabular.LEARNERS:
                trials = run[learner]["trials"]
                assert len(trials) == tabular.TRIALS and trials == sorted(trials, reverse=True)
                assert run[learner]["log_loss"] < run["prior"]["log_loss"]


@pytest.mark.parametrize("table", tabular.TABLES)
def test_what_is_summed_up_is_what_was_run(stored, table):
    runs = [stored[f"{table}_{seed}"] for seed in range(tabular.SPLITS)]
    assert stored[table] == tabular.sum_up(table, stored) and stored[table]["splits"] == tabular.SPLITS
    for learner in tabular.LEARNERS:
        values = [run[learner]["accuracy"] for run in runs]
        assert stored[table][learner]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    difference = np.mean([run["network"]["log_loss"] - run["boosting"]["log_loss"] for run in runs])
    assert stored[table]["boosting"]["network_minus_it"]["log_loss"]["mean"] == pytest.approx(difference, abs=6e-5)


def test_the_curve(stored):
    assert list(stored["curve"]) == [str(rows) for rows in tabular.SIZES]
    for learner in ("logistic", "boosting", "network"):
        losses = [row[learner]["log_loss"]["mean"] for row in stored["curve"].values()]
        assert losses == sorted(losses, reverse=True)  # more rows never hurt


@executed("6.1a", of="benchmarks.tabular.interval")
def test_interval(formula):
    for differences in ([100.0, 250.0, -100.0, 400.0, 300.0], [1000.0, 3000.0, 1500.0]):
        names = {"d": differences, "J": len(differences), "n_test": 840, "n_train": 2_520}
        printed = formula(names | {"t": lambda freedom: t.ppf(0.975, freedom)})
        found = tabular.interval(differences, 840 / 2_520)
        assert printed["bar_d"] == pytest.approx(found["mean"], abs=1e-4)
        assert printed["value"] == pytest.approx(np.array([found["low"], found["high"]]), abs=1e-4)


def test_a_third_is_the_ratio():
    assert tabular.interval([1.0, 2.0]) == tabular.interval([1.0, 2.0], 1 / 3)


def test_judge():
    rng = np.random.default_rng(0)
    for classes in (2, 3):
        probability, y = rng.dirichlet(np.ones(classes), 200), rng.integers(0, classes, 200)
        found = tabular.judge(probability, y)
        assert found["accuracy"] == accuracy_score(y, probability.argmax(1))
        assert found["log_loss"] == pytest.approx(log_loss(y, probability, labels=range(classes)), abs=1e-4)
        assert 0 < found["calibration"] < 1 and ("area" in found) == (classes == 2)
    assert found == tabular.judge(probability, y)
    sure = tabular.judge(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]))
    assert sure["log_loss"] == pytest.approx(-np.log(1e-6) / 3, rel=1e-3)  # no infinite loss
    assert sure["area"] == roc_auc_score([0, 1, 0], [0, 1, 1]) and sure["calibration"] == pytest.approx(1 / 3, abs=1e-5)


def test_the_network_keeps_its_best_epoch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=60) > 0).astype(int)
    one, other = (x[:40], y[:40]), (x[40:], y[40:])
    losses = [log_loss(other[1], tabular.Network(epochs=n).fit(*one).predict_proba(other[0])) for n in range(1, 8)]
    kept = tabular.Network(epochs=7).fit(*one, other).predict_proba(other[0])
    assert log_loss(other[1], kept) == pytest.approx(min(losses))


def test_parts_are_encoded_by_training_alone():
    train, validation, test = tabular.parts_of("spambase", 1)
    assert np.abs(train[0].mean(0)).max() < 1e-4 < np.abs(test[0].mean(0)).max()
    assert [len(part[1]) for part in (train, validation, test)] == [2_520, 840, 840]
    small = tabular.some(train, 100, 3)
    assert small[0].shape == (100, 57) and len(np.unique(small[0], axis=0)) == 100
    assert torch.equal(torch.from_numpy(tabular.some(train, 10_000, 0)[1]).bincount(), torch.tensor([1_515, 1_005]))


def test_logarithm():
    assert tabular.logarithm(np.array([-np.e + 1, 0, np.e - 1])).tolist() == pytest.approx([-1, 0, 1])
