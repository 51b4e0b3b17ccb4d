"""Results on gradients: the chapter shows what is stored, its faults are planted, stacks are single networks."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from authoring.book import ROOT, read
from benchmarks import gradients, store
from dlbook.network import MLP
from tests.helpers.chapters import measured

PAGE = "book/algorithms/backpropagation"


def test_the_chapter_draws_what_is_stored():
    found, stored = measured(PAGE, "gradients"), store.load("gradients")
    assert set(found["deep"]) == {f"{activation} {optimizer}" for activation, optimizer in gradients.DEEP}
    for name, (rate, accuracies) in found["deep"].items():
        row = stored[f"confirm {name}"]
        assert rate == row["rate"] == gradients.best(stored[f"deep {name}"])
        assert accuracies == [round(value, 4) for value in row["accuracies"]]
    assert list(found["fault_runs"]) == gradients.FAULTS
    for fault, (rate, accuracies) in found["fault_runs"].items():
        row = stored[f"confirm {fault}"]
        assert rate == row["rate"] == gradients.best(stored[f"fault {fault}"])
        assert accuracies == [round(value, 4) for value in row["accuracies"]]


def test_no_best_rate_is_at_an_edge():
    for name, table in store.load("gradients").items():
        rates = list(table) if name.startswith(("fault", "deep")) else []
        if name == "deep sigmoid SGD":  # no rate of its grid does more than guess
            assert max(sum(runs) / len(runs) for runs in table.values()) < 0.12
        elif rates:
            assert str(gradients.best(table)) not in (rates[0], rates[-1])


def test_the_faults_are_those_of_the_chapter():
    sources = [cell.source for cell in read(ROOT / f"{PAGE}.ipynb").cells]
    (source,) = [source for source in sources if "faults = {" in source]
    for fault, factors in gradients.FACTORS.items():
        assert f'"{fault}": (relu_derivative, {[int(f) if f == int(f) else f for f in factors]})' in source
    assert '"no slope": (no_slope, [1, 1, 1])' in source
    assert gradients.SLOPES["no slope"](torch.tensor([-2.0, 3.0])).tolist() == [1, 1]


@pytest.mark.parametrize("activation", gradients.ACTIVATIONS)
def test_a_stack_is_networks_side_by_side(activation):
    stack = gradients.Stack([3, 4])
    x, y = torch.randn(2, 5, 784), torch.randint(10, (2, 5))
    f = gradients.ACTIVATIONS[activation]
    logits = stack.logits(x, f)
    (F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / 5).backward()
    assert len(stack.weights) == gradients.DEPTH
    for n in range(2):
        model = MLP([784, *[64] * (gradients.DEPTH - 1), 10], f)
        with torch.no_grad():
            for layer, weight in zip(model.layers, stack.weights, strict=True):
                layer.weight.copy_(weight[n].T)
        assert_close(model(x[n]), logits[n])
        F.cross_entropy(model(x[n]), y[n]).backward()
        for layer, weight in zip(model.layers, stack.weights, strict=True):
            assert_close(layer.weight.grad.T, weight.grad[n])


def test_weights_have_a_variance_of_one_over_the_fan_in():
    stack = gradients.Stack(range(4))
    for weight in stack.weights:
        assert weight.var().item() * weight.shape[1] == pytest.approx(1, abs=0.1)
        assert weight.mean().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("fault", ["none", "frozen"])
def test_a_short_training_learns(fault, monkeypatch):
    x, y, validation_x, validation_y = gradients.data(torch.float64)
    monkeypatch.setattr(gradients, "data", lambda dtype, held_out: (x[:500], y[:500], validation_x, validation_y))
    assert gradients.train_once(fault, 0.1, 0, epochs=2) > 0.3
