"""Outputs of recurrent networks, the article's forecaster as in Keras."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.activations import sigmoid, tanh
from dlbook.forecast import Forecaster, Readout
from dlbook.fused import FusedRecurrent
from dlbook.losses import quantile_loss
from dlbook.network import Dense, he_normal_
from dlbook.recurrent import GRUCell, LSTMCell, RNNCell
from tests.helpers.equations import executed
from tests.helpers.models import train_steps
from tests.helpers.references import random, reference, tensor

# --- the output -------------------------------------------------------------------------------------------------------


@reference("dlbook.forecast.Readout", to="torch.nn.Linear")
def test_the_usual_output_is_a_dense_layer():
    torch.manual_seed(0)
    ours, theirs, h = Readout(4, 3).double(), nn.Linear(4, 3).double(), random(2, 5, 4).requires_grad_()
    theirs.load_state_dict({"weight": ours.weight_ho, "bias": ours.bias})
    assert_close(ours(h), theirs(h))
    ours(h).square().sum().backward()
    theirs(h).square().sum().backward()
    assert_close(ours.weight_ho.grad, theirs.weight.grad)
    assert_close(ours.bias.grad, theirs.bias.grad)
    assert ours.weight_xo is None and [name for name, _ in ours.named_parameters()] == ["weight_ho", "bias"]


def test_the_articles_output_is_a_dense_layer_of_both():
    torch.manual_seed(0)
    ours, theirs = Readout(4, 3, inputs=2, activation=tanh).double(), nn.Linear(6, 3).double()
    nn.init.normal_(ours.bias)
    theirs.load_state_dict({"weight": torch.cat([ours.weight_ho, ours.weight_xo], 1), "bias": ours.bias})
    h, x = random(2, 5, 4), random(2, 5, 2)
    assert_close(ours(h, x), torch.tanh(theirs(torch.cat([h, x], -1))))
    assert_close(ours(h[:, 3], x[:, 3]), ours(h, x)[:, 3])  # one step is no different


def test_a_readout_is_initialised_as_told():
    torch.manual_seed(0)
    readout = Readout(300, 200, inputs=100, init=he_normal_)
    assert readout.weight_ho.var().item() == pytest.approx(2 / 300, rel=0.05)
    assert readout.weight_xo.var().item() == pytest.approx(2 / 100, rel=0.05)
    assert Readout(300, 200).weight_ho.abs().max().item() == pytest.approx(math.sqrt(6 / 500), rel=0.01)


def readout(**options):
    """Make an output layer, and its weights by their names in the book."""
    torch.manual_seed(0)
    layer = Readout(3, 3, **options).double()
    nn.init.normal_(layer.bias)
    return layer, {"W_ho": layer.weight_ho, "b_o": layer.bias}


@executed("3.3.2a", of="dlbook.forecast.Readout")
def test_the_articles_output_as_printed(formula):
    layer, names = readout(inputs=3, activation=sigmoid)
    h, x = random(3), random(3)
    names |= {"W_xo": layer.weight_xo, "h_t": h, "x_t": x, "f": lambda z: sigmoid(tensor(z))}
    assert_close(layer(h, x), tensor(formula(names)["o_t"]))


@executed("3.3.2b", of="dlbook.forecast.Readout")
def test_the_usual_output_as_printed(formula):
    layer, names = readout()
    h = random(3)
    assert_close(layer(h), tensor(formula(names | {"h_t": h})["o_t"]))


# --- the forecaster ---------------------------------------------------------------------------------------------------


@reference("dlbook.forecast.Forecaster", to="keras.layers.LSTM")
def test_the_forecaster_is_the_articles_program_in_keras():
    keras = pytest.importorskip("keras")
    torch.manual_seed(0)
    ours = Forecaster()
    nn.init.normal_(ours.output.bias)
    theirs = keras.Sequential([keras.Input((24, 1)), keras.layers.LSTM(50, activation="tanh"), keras.layers.Dense(1)])
    assert theirs.count_params() == sum(p.numel() for p in ours.parameters()) == 10_400 + 51
    (cell,), dense = ours.recurrent.cells, ours.output
    mine = [cell.weight_ih, cell.weight_hh, cell.bias_ih, dense.weight, dense.bias]

    def in_keras_order(of):
        return [of(parameter).T if parameter.ndim == 2 else of(parameter) for parameter in mine]

    theirs.set_weights([weight.numpy() for weight in in_keras_order(lambda parameter: parameter.detach())])
    x, target = torch.randn(32, 24, 1), torch.randn(32, 1)
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    nn.functional.mse_loss(ours(x), target).backward()
    keras.ops.mean(keras.losses.mean_squared_error(target, theirs(x))).backward()
    for gradient, weight in zip(in_keras_order(lambda parameter: parameter.grad), theirs.weights, strict=True):
        assert_close(gradient, weight.value.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell, RNNCell, partial(LSTMCell, biases=2)])
def test_the_fused_forecaster_is_the_same(cell):
    x, models = torch.randn(4, 6, 3), []
    for fused in (False, True):
        torch.manual_seed(0)
        models.append(Forecaster(3, 7, outputs=2, cell=cell, fused=fused))
    ours, theirs = models
    assert isinstance(theirs.recurrent, FusedRecurrent)
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    for model in models:  # and so it stays in training: the bias that ours lacks is not trained
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        train_steps(optimizer, lambda model=model: model(x).square().mean(), steps=5)
    assert_close(ours(x), theirs(x), rtol=1e-3, atol=1e-4)


def test_the_forecaster_is_initialised_as_in_keras():
    torch.manual_seed(0)
    model = Forecaster(hidden=400)
    assert model.output.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 401), rel=0.02)
    assert not model.output.bias.any()
    assert model.recurrent.cells[0].bias_ih.sum().item() == 400
    assert isinstance(model.output, Dense)


def test_overfits_a_tiny_batch():
    torch.manual_seed(0)
    model, x, target = Forecaster(2, 20, outputs=3), torch.randn(8, 5, 2), torch.randn(8, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    assert train_steps(optimizer, lambda: nn.functional.mse_loss(model(x), target), steps=150) < 0.01


# --- quantiles --------------------------------------------------------------------------------------------------------


@executed("4.3b", of="dlbook.losses.quantile_loss")
def test_quantile_loss_as_printed(formula):
    for tau in (0.05, 0.8):
        for y, q in ((1.5, 2.25), (3.0, -0.5)):
            found = formula({"tau": tau, "y": y, "q": q})
            assert_close(quantile_loss(tensor([q]), tensor(y), [tau]), tensor(found["ell_tau"]))
            assert found["u"] == y - q


def test_quantile_loss_is_the_mean():
    torch.manual_seed(0)
    prediction, target, levels = random(4, 5, 3), random(4, 5), [0.05, 0.5, 0.8]
    each = [
        quantile_loss(q[None], y, [tau])
        for row, y in zip(prediction.flatten(0, 1), target.flatten(), strict=True)
        for q, tau in zip(row, levels, strict=True)
    ]
    assert_close(quantile_loss(prediction, target, levels), torch.stack(each).mean())


@reference("dlbook.losses.quantile_loss", to="sklearn.metrics.mean_pinball_loss")
def test_quantile_loss_equals_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    torch.manual_seed(0)
    prediction, target, levels = random(50, 2), random(50), (0.1, 0.9)
    theirs = [
        metrics.mean_pinball_loss(target.numpy(), prediction[:, n].numpy(), alpha=tau) for n, tau in enumerate(levels)
    ]
    assert quantile_loss(prediction, target, levels).item() == pytest.approx(sum(theirs) / 2)
    prediction.requires_grad_()
    quantile_loss(prediction, target, levels).backward()
    below = (target[:, None] > prediction).double()
    assert_close(prediction.grad, ((1 - below) - tensor(levels)) / 100)


@given(st.floats(0.02, 0.98))
def test_the_best_constant_is_the_quantile(tau):
    torch.manual_seed(0)
    target = random(41)
    candidates = torch.cat([target, target.mean()[None]])
    costs = torch.stack([quantile_loss(c.expand(41, 1), target, [tau]) for c in candidates])
    best = candidates[costs.argmin()]
    assert (target < best).double().mean() <= tau <= (target <= best).double().mean()


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Readout(0, 1), "hidden must be at least 1: got 0"),
        (lambda: Readout(1, 0), "outputs must be at least 1: got 0"),
        (lambda: Readout(1, 1, inputs=-1), "inputs must be at least 0: got -1"),
        (lambda: Readout(1, 1)(torch.ones(1, 1), torch.ones(1, 1)), r"x must be given if .*: got \(1, 1\)"),
        (lambda: Readout(1, 1, inputs=1)(torch.ones(1, 1)), "the layer has inputs, else not: got none"),
        (lambda: Forecaster(hidden=0), "hidden must be at least 1"),
        (lambda: Forecaster(outputs=0), "outputs must be at least 1"),
        (lambda: Forecaster(2)(torch.ones(1, 3, 1)), r"x must have the shape \(batch, length, 2\)"),
        (lambda: quantile_loss(random(3, 2), random(3), [0.5]), r"prediction must have .* \(3, 1\): got \(3, 2\)"),
        (lambda: quantile_loss(random(3, 1), random(3), [1.0]), r"levels must lie between 0 and 1.*got \[1.0\]"),
        (lambda: quantile_loss(random(3, 2), random(3), [0.0, 0.5]), r"got \[0.0, 0.5\]"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
