"""Results on gradients: the chapter shows what is stored, the fault is the chapter's, stacks are single networks."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from benchmarks import gradients, store
from dlbook.activations import relu
from dlbook.losses import cross_entropy_gradient
from dlbook.network import MLP, backpropagate, propagate
from tests.helpers.chapters import measured

PAGE = "book/algorithms/backpropagation"


def test_the_chapter_draws_what_is_stored():
    found, stored = measured(PAGE, "gradients"), store.load("gradients")
    assert list(found["deep"]) == [f"{activation} {optimizer}" for activation, optimizer in gradients.DEEP]
    assert list(found["fault_runs"]) == gradients.FAULTS
    for kind, runs in (("deep", found["deep"]), ("fault", found["fault_runs"])):
        for name, (rate, accuracies) in runs.items():
            row = stored[f"confirm {name}"]
            assert rate == row["rate"] == gradients.best(stored[f"{kind} {name}"])
            assert accuracies == [round(value, 4) for value in row["accuracies"]]
            assert len(accuracies) == len(gradients.NEW_SEEDS)


def test_no_best_rate_is_at_an_edge():
    for name, table in store.load("gradients").items():
        rates = list(table) if name.startswith(("fault", "deep")) else []
        if name == "deep sigmoid SGD":  # no rate of its grid does more than guess
            assert max(sum(runs) / len(runs) for runs in table.values()) < 0.12
        elif rates:
            assert str(gradients.best(table)) not in (rates[0], rates[-1])


@pytest.mark.parametrize("widths", [gradients.WIDTHS, gradients.DEEP_WIDTHS])
@pytest.mark.parametrize("activation", [torch.relu, torch.sigmoid])
def test_a_stack_is_networks_side_by_side(widths, activation):
    stack = gradients.Stack(widths, 2, [3, 4])
    x, y = torch.randn(2, 5, 784), torch.randint(10, (2, 5))
    losses = stack.losses(x, y, activation)
    losses.sum().backward()
    for n in range(2):
        model = single(stack, n, widths, activation)
        loss = F.cross_entropy(model(x[n]), y[n])
        loss.backward()
        assert_close(loss, losses[n])
        for layer, weight in zip(model.layers, stack.weights, strict=True):
            assert_close(layer.weight.grad.T, weight.grad[n])


def single(stack, n, widths, activation):
    """Return one network of a stack."""
    model = MLP(widths, activation)
    with torch.no_grad():
        for layer, weight in zip(model.layers, stack.weights, strict=True):
            layer.weight.copy_(weight[n].T)
    return model


def test_the_planted_fault_is_that_of_the_package_without_its_derivative():
    stack = gradients.Stack(gradients.WIDTHS, 2, [0])
    x, y = torch.rand(1, 20, 784), torch.randint(10, (1, 20))
    stack.losses(x, y, gradients.NoSlope.apply).sum().backward()
    weights, biases = [w[0].T for w in stack.weights], [b[0, 0] for b in stack.biases]
    zs, kept = propagate(x[0], weights, biases, relu)
    faulty, _ = backpropagate(cross_entropy_gradient(zs[-1], y[0]), weights, zs, kept, torch.ones_like)
    for ours, gradient in zip(stack.weights, faulty, strict=True):
        assert_close(ours.grad[0].T, gradient)


def test_frozen_layers_never_change(monkeypatch):
    trained = []
    monkeypatch.setattr(gradients, "data", small(gradients.data()))
    monkeypatch.setattr(gradients.Stack, "__init__", remembered(gradients.Stack.__init__, trained))
    gradients.train_with_fault("frozen", 0.5, [0], epochs=1)
    (after,), before = trained, gradients.Stack(gradients.WIDTHS, 2, [0])
    assert torch.equal(after.weights[0], before.weights[0]) and torch.equal(after.weights[1], before.weights[1])
    assert not torch.equal(after.weights[2], before.weights[2])


def small(parts):
    """Return a stand-in for `data` with few images to train on."""
    x, y, *others = parts
    return lambda held_out: (x[:500], y[:500], *others)


def remembered(init, made):
    """Return an `__init__` that keeps what it makes."""

    def wrapped(self, *arguments):
        init(self, *arguments)
        if not made:
            made.append(self)

    return wrapped


@pytest.mark.parametrize("fault", gradients.FAULTS)
def test_a_short_training_learns(fault, monkeypatch):
    monkeypatch.setattr(gradients, "data", small(gradients.data()))
    assert min(gradients.train_with_fault(fault, 0.1, [0, 1], epochs=2)) > 0.18


def test_weights_have_the_variance_that_is_named():
    for variance in (1, 2):
        for weight in gradients.Stack(gradients.DEEP_WIDTHS, variance, range(4)).weights:
            assert weight.var().item() * weight.shape[1] == pytest.approx(variance, rel=0.1)
            assert weight.mean().item() == pytest.approx(0, abs=0.02)
