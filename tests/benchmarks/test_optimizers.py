"""Committed results on optimisers: still what a short run gives, and what the chapter shows; best rates inside."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks import optimizers, store
from dlbook.losses import cross_entropy
from dlbook.network import MLP
from tests.helpers.chapters import measured


def mean(values):
    return sum(values) / len(values)


def tables():
    """Return, by a name, the accuracies of each table of learning rates."""
    stored = store.load("optimizers")
    found = {
        f"{row}, {name}": table for row in stored if row.startswith("tune ") for name, table in stored[row].items()
    }
    assert found
    return found


def test_no_best_rate_is_at_an_edge():
    for name, table in tables().items():
        assert len(table) >= 8
        assert optimizers.best(table) not in (next(iter(table)), list(table)[-1]), name


def test_comparisons_took_the_best_rates():
    stored = store.load("optimizers")
    for row in [row for row in stored if row.startswith("compare ")]:
        for name, table in stored[row.replace("compare", "tune")].items():
            assert stored[row][name]["rate"] == float(optimizers.best(table))
            assert len(stored[row][name]["accuracy"]) == len(optimizers.SEEDS)


def test_the_chapter_draws_what_is_stored():
    found, stored = measured("book/algorithms/gradient-descent", "optimizers"), store.load("optimizers")
    assert found["grid"] == optimizers.RATES
    for schedule, curves in found["tuned"].items():
        assert set(curves) == set(optimizers.MAKERS)
        for name, curve in curves.items():
            assert curve == [round(100 * mean(row), 1) for row in stored[f"tune 2 {schedule}"][name].values()]


def test_images_that_judge_are_apart():
    (x, _), (held, _) = optimizers.parts(optimizers.TUNING[0])
    assert len(x) == optimizers.TRAIN and len(held) == optimizers.HELD
    lots = [optimizers.parts(seed)[1][0] for seed in optimizers.SEEDS]
    images = optimizers.images()[0]
    first = optimizers.POOL + optimizers.HELD
    assert_close(torch.cat(lots), images[first : first + len(lots) * optimizers.LOT])
    assert first + len(lots) * optimizers.LOT <= len(images)


def test_sharpness_is_the_largest_eigenvalue():
    torch.manual_seed(0)
    model, x, y = MLP([3, 4, 2]).double(), torch.randn(9, 3).double(), torch.randint(2, (9,))
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()), strict=True)

    def loss(weights):
        parts = weights.split([shape.numel() for shape in shapes])
        named = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(model, named, (x,)), y)

    eigenvalues = torch.linalg.eigvalsh(torch.func.hessian(loss)(flat))
    assert optimizers.sharpness(model, x, y, rounds=300) == pytest.approx(eigenvalues.max().item(), rel=1e-3)


def test_a_short_run_gives_what_is_stored():
    assert optimizers.short() == pytest.approx(store.load("optimizers")["short"], abs=0.01)
