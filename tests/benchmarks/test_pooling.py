"""Committed results on pooling: still what a short run gives, and what the chapter shows."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks import pooling, store
from tests.helpers.chapters import measured


def rows(text):
    return torch.tensor([int(number) for number in text.split()])


def test_the_chapter_draws_what_is_stored():
    found, stored = measured("book/algorithms/pooling", "pooling"), store.load("pooling")
    assert set(found["correct"]) == set(found["same_at_one"]) == set(pooling.KINDS)
    for kind, text in found["correct"].items():
        accuracy = torch.tensor(stored[kind]["accuracy"], dtype=torch.float64)
        assert_close(rows(text).reshape(accuracy.shape) / pooling.TEST, accuracy, rtol=0, atol=1e-5, check_dtype=False)
        same = torch.tensor(stored[kind]["same"], dtype=torch.float64)[:, 1]
        counts = rows(found["same_at_one"][kind])
        assert_close(counts / pooling.TEST, same, rtol=0, atol=1e-5, check_dtype=False)


def test_rates_are_the_best_and_at_an_edge_the_next_does_as_well():
    stored = store.load("pooling")
    for kind in pooling.KINDS:
        table = stored[f"tune {kind}"]
        lr = pooling.best(table)
        assert stored[kind]["lr"] == lr
        if lr in (pooling.RATES[0], pooling.RATES[-1]):  # the next one does as well
            assert sorted(table.values())[-1] - sorted(table.values())[-2] < 0.005


@pytest.mark.parametrize("kind", list(pooling.KINDS))
def test_a_global_average_answers_alike_at_multiples_of_four(kind):
    torch.manual_seed(0)
    way, head, _ = pooling.KINDS[kind]
    model, x = pooling.make(way, head).double().eval(), torch.rand(3, 1, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        logits = [model(x.roll(shift, -1)) for shift in (0, 1, 2, 4)]
    invariant = [torch.allclose(other, logits[0]) for other in logits[1:]]
    assert invariant == [False, way == "blurred max" and head == "global", head == "global"]


def test_each_image_is_shifted_by_whole_pixels():
    x = torch.rand(20, 1, 4, 24)
    moved = pooling.shifted(x, torch.Generator().manual_seed(0))
    for image, before in zip(moved, x, strict=True):
        assert any(torch.equal(image, before.roll(shift, -1)) for shift in range(-5, 6))


def test_a_short_run_gives_what_is_stored():
    assert pooling.short() == pytest.approx(store.load("pooling")["short"], abs=0.02)
