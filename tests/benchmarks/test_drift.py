"""Committed results on drift: each kind of row measured small, and what the chapter draws."""

import pytest
import torch
from scipy import stats
from torch import nn

from benchmarks import drift, store
from tests.helpers.chapters import measured


@pytest.fixture
def tiny(monkeypatch):
    """Let the benchmark run on a few made images."""
    settings = {"NETWORKS": 2, "WINDOWS": 4, "REQUESTS": (20, 40), "EPOCHS": 1}
    for name, value in settings.items():
        monkeypatch.setattr(drift, name, value)
    drift.network.cache_clear()
    generator = torch.Generator().manual_seed(0)

    def examples(count):
        y = torch.arange(count) % 10
        x = torch.rand(count, 1, 28, 28, generator=generator) / 2
        x[torch.arange(count), 0, 2 * y + 3] += 0.5
        return x, y

    parts = {"train": examples(200), "known": examples(100), "new": examples(100)}
    monkeypatch.setattr(drift, "images", lambda: parts)
    yield
    drift.network.cache_clear()


def test_the_chapter_draws_what_is_stored():
    found, stored = measured("book/challenges/deployment-cost", "drift"), store.load("drift")
    assert (found["requests"], found["windows"]) == (stored["plan"]["requests"], stored["plan"]["windows"])
    assert list(found["drift_alarms"]) == list(drift.SHIFTS)
    for name, (classifier, outputs) in found["drift_alarms"].items():
        assert (classifier, outputs) == (stored[name]["classifier"], stored[name]["outputs"])


def test_the_stored_rows_are_whole():
    stored = store.load("drift")
    assert set(stored) == {"made", *drift.ROWS}
    assert stored["plan"] == drift.plan()
    for name in drift.SHIFTS:
        for kind in ("classifier", "outputs"):
            assert all(0 <= count <= stored["plan"]["windows"] for count in stored[name][kind])


@pytest.mark.parametrize("name", drift.SHIFTS)
def test_a_row(tiny, name):
    found = drift.measure(name)
    assert len(found["accuracy"]) == 2
    for kind in ("classifier", "outputs"):
        assert len(found[kind]) == 2 and all(0 <= count <= 8 for count in found[kind])
    for low, high, estimate in found["outputs - classifier"]:
        assert low <= estimate <= high


def test_shifts():
    x, y = torch.rand(6, 1, 2, 2), torch.tensor([0, drift.BAG, 1, drift.BAG, 2, 3])
    for name, factor in (("none", 1.0), ("a fifth darker", 0.8), ("half as bright", 0.5)):
        shifted, labels = drift.SHIFTS[name](x, y)
        assert torch.equal(shifted, factor * x) and torch.equal(labels, y)
    shifted, labels = drift.SHIFTS["more bags"](x, y)
    assert labels.tolist().count(drift.BAG) == 4 * 2 and len(labels) == 12
    assert all((x == image).flatten(1).all(1).any() for image in shifted)


def test_the_smallest_p_value_is_corrected_and_close_to_scipy():
    known, recent = torch.randn(300, 4), torch.randn(300, 4)
    recent[:, 2] += 1.5
    ours = drift.by_output(known, recent)
    exact = min(
        stats.ks_2samp(first, second).pvalue
        for first, second in zip(known.softmax(1).T.numpy(), recent.softmax(1).T.numpy(), strict=True)
    )
    assert exact <= ours / 4 < max(1e-9, 100 * exact)  # an upper bound
    assert drift.by_output(known, known) >= 1


def test_a_strong_shift_raises_every_alarm_and_none_hardly_any(monkeypatch):
    monkeypatch.setattr(drift, "WINDOWS", 10)
    known, recent = torch.randn(500, 3), torch.randn(500, 3)
    for raised in drift.alarms(known, recent + torch.tensor([3.0, 0, 0]), 100, 0):
        assert raised.all()
    for raised in drift.alarms(known, recent, 100, 0):
        assert raised.sum() <= 2


def test_logits_come_from_all_batches():
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.rand(1001, 1, 2, 2)
    torch.testing.assert_close(drift.logits(model, x), model(x))
