"""Committed results on a law of losses: a short run gives them again, the law follows, the chapter draws them."""

import pytest
import torch

from benchmarks import scaling, store
from tests.helpers.chapters import measured

TINY = {"updates": 2, "count": 4}


def test_a_short_run_gives_what_is_stored():
    assert scaling.short() == pytest.approx(store.load("scaling")["short"], abs=0.01)


def test_tuning_widens_until_the_best_is_inside(monkeypatch):
    monkeypatch.setattr(scaling, "train", lambda width, lr, seed, part, **short: abs(lr - 0.07))
    found = scaling.tune(8)
    rates = [float(lr) for lr in found]
    best = rates.index(float(min(found, key=found.get)))
    assert rates == sorted(rates) and 0 < best < len(rates) - 1 and rates[best] == 0.064
    monkeypatch.setattr(scaling, "train", lambda width, lr, seed, part, **short: abs(lr - 0.0011))
    found = scaling.tune(8)
    assert min(found, key=found.get) == "0.001"


def test_rows_run_small(monkeypatch):
    monkeypatch.setattr(scaling, "fresh", lambda script: {"tune 8": {"0.01": 1.0, "0.02": 0.5, "0.04": 1.5}})
    found = scaling.train_tuned(8, seeds=2, **TINY)
    assert found["lr"] == 0.02 and len(found["losses"]) == 2 and found["weights"] == scaling.weights(8)
    model = scaling.make(8, 0)
    embedding = model[0].weight.numel()
    assert found["weights"] == sum(w.numel() for w in model.parameters()) - embedding
    assert len(scaling.tune(8, **TINY)) >= 3


def test_windows_hold_what_follows():
    tokens, target = scaling.windows(torch.arange(100), torch.tensor([3, 20]))
    assert tokens.shape == (2, scaling.CONTEXT) and (target == tokens[:, -1] + 1).all() and tokens[1, 0] == 20


def test_a_law_is_found_again_and_its_interval_covers(monkeypatch):
    monkeypatch.setattr(scaling, "LAWS", {"line": scaling.fit_power_law})
    torch.manual_seed(0)
    sizes = torch.tensor([1e3, 4e3, 16e3, 64e3]).double()
    covered = 0
    for _ in range(40):
        exact = 3 * torch.cat([sizes, torch.tensor([256e3]).double()]) ** -0.1
        losses = exact[:, None] + 0.02 * torch.randn(5, 5).double()
        found = scaling.extrapolate(sizes, losses[:4], 256_000, draws=200)["line"]
        covered += found["interval"][0] <= losses[4].mean() <= found["interval"][1]
    assert covered >= 34


def test_the_stored_prediction_follows_from_the_four_sizes(monkeypatch):
    stored = store.load("scaling")
    monkeypatch.setattr(scaling, "fresh", lambda script: stored)
    monkeypatch.setattr(scaling.extrapolate, "__defaults__", (100,))
    again = scaling.predict()
    for name in scaling.LAWS:
        assert again[name]["law"] == pytest.approx(stored["prediction"][name]["law"], rel=1e-6)
        assert again[name]["predicted"] == pytest.approx(stored["prediction"][name]["predicted"], rel=1e-6)
    assert list(stored).index("prediction") < list(stored).index(f"train {scaling.LARGE}")


def test_a_weighted_law_is_found_again():
    sizes = torch.tensor([2e3, 6e3, 18e3, 60e3]).double()
    exact = 1.9 + 60 * sizes**-0.6
    law = scaling.fit_weighted(sizes, exact, torch.tensor([0.02, 0.01, 0.01, 0.002]).double())
    assert (law.floor, law.factor, law.exponent) == pytest.approx((1.9, 60, -0.6), rel=1e-3)
    bent = exact + torch.tensor([0.05, 0, 0, 0]).double()
    wide, narrow = (
        scaling.fit_weighted(sizes, bent, torch.tensor([first, 0.01, 0.01, 0.01]).double()) for first in (1.0, 0.001)
    )
    misses = [(fit(sizes) - bent)[0].abs() for fit in (wide, narrow)]
    assert misses[0] > 10 * misses[1]  # a noisy size pulls little


def test_the_judgement_follows_from_the_stored_losses():
    stored = store.load("scaling")
    again = scaling.judge(stored, draws=100)["judged"]
    assert set(again) == {*scaling.RIVALS, "errors"} == set(stored["judged"])
    assert again["errors"] == pytest.approx(stored["judged"]["errors"])
    for name in scaling.RIVALS:
        mine, theirs = again[name], stored["judged"][name]
        assert mine["predicted"] == pytest.approx(theirs["predicted"], abs=1e-4)
        assert mine["error"] == pytest.approx(theirs["error"], abs=1e-4)
        assert mine["interval"] == pytest.approx(theirs["interval"], abs=0.01)
    for name in scaling.LAWS:
        assert again[name]["predicted"] == pytest.approx(stored["prediction"][name]["predicted"])
    assert scaling.judge({}) == {}


def test_no_best_rate_is_at_an_edge():
    stored = store.load("scaling")
    for width in (*scaling.WIDTHS, scaling.LARGE):
        tuned = stored[f"tune {width}"]
        best = min(tuned, key=tuned.get)
        assert list(tuned)[0] != best != list(tuned)[-1]
        assert stored[f"train {width}"]["lr"] == float(best)


def test_the_chapter_draws_what_is_stored():
    stored, found = store.load("scaling"), measured("book/challenges/training-cost", "scaling")
    for width, row in found["trained"].items():
        assert list(row) == list(stored[f"train {width}"].values())
    assert list(found["trained"]) == [*scaling.WIDTHS, scaling.LARGE]
    assert list(found["predictions"]) == list(scaling.RIVALS)
    assert list(found["before"]) == list(scaling.LAWS)
    for name, ends in found["before"].items():
        assert ends == pytest.approx(stored["prediction"][name]["interval"], abs=6e-5)
    for name, (law, predicted, ends) in found["predictions"].items():
        theirs = stored["judged"][name]
        assert law == pytest.approx(theirs["law"], rel=1e-4)
        assert [predicted, *ends] == pytest.approx([theirs["predicted"], *theirs["interval"]], abs=6e-5)
