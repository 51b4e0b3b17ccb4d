"""Committed results on privacy: still what a short run gives, and what the chapter shows; its stack as the package."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from benchmarks import privacy, store
from dlbook.practice.privacy import clipped_sum, per_sample_gradients
from tests.helpers.chapters import measured


def mean(values):
    return sum(values) / len(values)


def test_the_chapter_draws_what_is_stored():
    found, stored = measured("book/challenges/privacy", "privacy"), store.load("privacy")
    assert found["fprs"] == pytest.approx(privacy.FPRS)
    for attack, curves in found["curves"].items():
        for way, curve in curves.items():
            assert curve == [round(value, 4) for value in stored[way][attack]["curve"]]
    assert [*found["epsilons"], None] == list(privacy.EPSILONS)
    for count, accuracies in found["accuracies"].items():
        rows = stored[f"accuracy {count}"]
        assert accuracies == [round(mean(values), 4) for values in rows["accuracy"].values()]
        assert found["costs"][count] == list(rows["cost"].values())
    assert set(found["accuracies"]) == set(privacy.SIZES)


def test_no_best_setting_is_at_an_edge():
    stored = store.load("privacy")
    epochs, decays = stored["tune plain"]["epochs"], stored["tune plain"]["decay"]
    for table in (epochs, decays):
        assert min(table, key=table.get) not in (next(iter(table)), list(table)[-1])
    for name in [f"tune {count}" for count in privacy.SIZES] + ["tune network"]:
        for epsilon, table in stored[name].items():
            rate, norm = privacy.best(table)
            assert rate not in (privacy.RATES[0], privacy.RATES[-1])
            edges = privacy.NORMS[:1] if epsilon == "None" else (privacy.NORMS[0], privacy.NORMS[-1])
            assert norm not in edges  # without noise, a norm that clips nothing is no edge


@pytest.mark.parametrize("width", [0, 6])
@pytest.mark.parametrize("max_norm", [None, 0.3, 2.0])
def test_gradients_of_a_stack_are_those_of_the_package(width, max_norm):
    stack = privacy.Stack(2, 4, width, torch.Generator().manual_seed(0))
    stack.weights = [weight + 0.1 * torch.randn(weight.shape) for weight in stack.weights]
    x, y, real = torch.randn(2, 5, 4), torch.randint(2, (2, 5)).float(), torch.tensor([[1.0, 1, 1, 0, 1]] * 2)
    norms = None if max_norm is None else torch.full((2,), max_norm)
    ours = stack.gradients(x, y, real, norms)
    for n in range(2):
        layers = [nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1)] if width else [nn.Linear(4, 1)]
        model = nn.Sequential(*layers)
        with torch.no_grad():
            for weight, stored in zip(model.parameters(), stack.weights, strict=True):
                weight.copy_(stored[n].T if weight.ndim == 2 else stored[n][0])
        chosen = real[n] > 0
        assert_close(stack.logits(x)[n], model(x[n])[:, 0])

        def loss(output, target):
            return F.binary_cross_entropy_with_logits(output[:, 0], target)

        each = per_sample_gradients(model, loss, x[n][chosen], y[n][chosen])
        expected = clipped_sum(each, max_norm or 1e9)
        for found, theirs in zip(ours, expected.values(), strict=True):
            assert_close(found[n].T if theirs.ndim == 2 else found[n][0], theirs, rtol=1e-4, atol=1e-5)


def test_samples_are_poisson():
    rows, real = privacy.sample(200, 0.05, 4000, torch.Generator().manual_seed(0))
    counts = rows[real > 0].bincount(minlength=200)
    assert abs(counts / 4000 - 0.05).max() < 5 * (0.05 * 0.95 / 4000) ** 0.5
    sizes = real.sum(1)
    assert sizes.mean().item() == pytest.approx(10, abs=0.3) and sizes.var().item() == pytest.approx(9.5, rel=0.1)


def test_a_short_run_gives_what_is_stored():
    assert privacy.short() == pytest.approx(store.load("privacy")["short"], abs=0.005)
