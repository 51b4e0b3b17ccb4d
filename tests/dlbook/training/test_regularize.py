"""Penalties equal to PyTorch's weight decay, ridge and lasso; early stopping keeps the weights of the best epoch."""

import copy
import functools
import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, Ridge
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.losses import cross_entropy, mean_squared_error
from dlbook.network import MLP, Dense, Dropout
from dlbook.training.batches import Batches
from dlbook.training.fit import fit
from dlbook.training.optim import GradientDescent
from dlbook.training.regularize import (
    EarlyStopping,
    l1_penalty,
    l2_penalty,
    regularized,
    regularized_parameters,
    soft_threshold_,
)
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


def half_squares(prediction, target):
    return mean_squared_error(prediction, target) / 2


def network():
    torch.manual_seed(0)
    return MLP([4, 5, 3]).double()


def some_data():
    torch.manual_seed(1)
    return random(12, 4), torch.randint(3, (12,))


def regression(rows=40, columns=6):
    torch.manual_seed(2)
    x = random(rows, columns)
    y = x @ tensor([2.0, -1.0, 0.5, 0.0, 0.0, 0.0]) + 0.3 * random(rows)
    return x - x.mean(0), (y - y.mean())[:, None]


def line(columns=6):
    model = Dense(columns, 1).double()
    nn.init.zeros_(model.weight)
    return model


# --- which parameters -------------------------------------------------------------------------------------------------


@reference(
    "dlbook.training.regularize.l1_penalty", "dlbook.training.regularize.l2_penalty", to="torch.linalg.vector_norm"
)
def test_penalties_are_for_weights_only():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()
    chosen = [model[0].weight, model[3].weight]
    assert [id(w) for w in regularized_parameters(model)] == [id(w) for w in chosen]
    assert_close(l1_penalty(model), sum(torch.linalg.vector_norm(w, 1) for w in chosen))
    assert_close(l2_penalty(model), sum(torch.linalg.vector_norm(w) ** 2 / 2 for w in chosen))


@pytest.mark.parametrize("penalty, slope", [(l1_penalty, torch.sign), (l2_penalty, lambda w: w)])
def test_gradients_are_the_sign_and_the_weight(penalty, slope):
    model = network()
    model.layers[0].weight.data[0, 0] = 0  # where |w| has a kink, the gradient is taken as zero
    penalty(model).backward()
    for layer in model.layers:
        assert_close(layer.weight.grad, slope(layer.weight.detach()))
        assert layer.bias.grad is None


# --- PyTorch and scikit-learn -----------------------------------------------------------------------------------------


@reference(
    "dlbook.training.regularize.regularized", "dlbook.training.regularize.regularized_parameters", to="torch.optim.SGD"
)
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_l2_penalty_is_the_weight_decay_of_sgd(momentum):
    (x, y), ours = some_data(), network()
    theirs = copy.deepcopy(ours)
    plain = [p for p in theirs.parameters() if p.ndim < 2]
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=momentum)
    decayed = sgd([{"params": list(regularized_parameters(theirs)), "weight_decay": 0.05}, {"params": plain}])
    batches = Batches(x, y, batch_size=5, shuffle=True)
    fit(ours, batches, regularized(cross_entropy, ours, l2=0.05), sgd(ours.parameters()), epochs=4)
    fit(theirs, batches, cross_entropy, decayed, epochs=4)
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(mine, yours)
    untouched = network()
    fit(untouched, batches, cross_entropy, sgd(untouched.parameters()), epochs=4)
    assert (untouched.layers[0].weight - ours.layers[0].weight).abs().max() > 0.01


@reference("dlbook.training.regularize.regularized", to="sklearn.linear_model.Ridge")
def test_the_l2_penalty_leads_to_ridge_regression():
    (x, y), model = regression(), line()
    loss = regularized(half_squares, model, l2=0.3)
    fit(model, Batches(x, y, batch_size=len(x)), loss, GradientDescent(model.parameters(), lr=0.3), epochs=300)
    ridge = Ridge(alpha=0.3 * len(x), fit_intercept=False).fit(x.numpy(), y[:, 0].numpy())
    assert_close(model.weight[0].detach(), torch.from_numpy(ridge.coef_))


@reference("dlbook.training.regularize.soft_threshold_", to="sklearn.linear_model.Lasso")
def test_shrinking_leads_to_the_lasso_and_to_its_zeros():
    (x, y), model = regression(), line()
    optimizer = GradientDescent(model.parameters(), lr=0.3)
    optimizer.register_step_post_hook(lambda *_: soft_threshold_(model.weight, 0.3 * 0.2))
    fit(model, Batches(x, y, batch_size=len(x)), half_squares, optimizer, epochs=300)
    lasso = Lasso(alpha=0.2, fit_intercept=False, tol=1e-12).fit(x.numpy(), y[:, 0].numpy())
    assert_close(model.weight[0].detach(), torch.from_numpy(lasso.coef_), atol=1e-7, rtol=0)
    assert 0 < int((model.weight == 0).sum()) == (lasso.coef_ == 0).sum() < 6
    swinging = line()
    loss = regularized(half_squares, swinging, l1=0.2)
    fit(swinging, Batches(x, y, batch_size=len(x)), loss, GradientDescent(swinging.parameters(), lr=0.3), epochs=300)
    assert int((swinging.weight == 0).sum()) == 0 and (swinging.weight - model.weight).abs().max() < 0.1


@reference("dlbook.training.regularize.soft_threshold_", to="torch.nn.functional.softshrink")
@given(amount=st.floats(0, 3))
def test_shrinking_is_soft_thresholding(amount):
    torch.manual_seed(0)
    weight = random(4, 3)
    expected = F.softshrink(weight, amount)
    soft_threshold_(weight, amount)
    assert_close(weight, expected, rtol=0, atol=0)


def test_shrinking_minimises_what_it_says():
    places = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    for v in (-2.0, -0.3, 0.0, 0.4, 1.7):
        weight = tensor([v])
        soft_threshold_(weight, 0.5)
        least = places[((places - v) ** 2 / 2 + 0.5 * places.abs()).argmin()]
        assert weight.item() == pytest.approx(least.item(), abs=1e-3)


def test_the_history_holds_the_penalised_loss():
    (x, y), model = some_data(), network()
    expected = cross_entropy(model(x), y) + 0.1 * l1_penalty(model) + 0.2 * l2_penalty(model)
    loss = regularized(cross_entropy, model, l1=0.1, l2=0.2)
    history = fit(model, Batches(x, y, batch_size=12), loss, GradientDescent(model.parameters(), lr=0.1), epochs=1)
    assert history.loss == pytest.approx([expected.item()])


# --- the equations ----------------------------------------------------------------------------------------------------


def weights(model):
    """Return the weights of a model in one row."""
    return torch.cat([w.detach().flatten() for w in regularized_parameters(model)])


@executed("6.3a", of="dlbook.training.regularize.regularized")
def test_the_penalised_loss_as_printed(formula):
    (x, y), model = some_data(), network()
    nn.init.normal_(model.layers[0].bias)
    expected = regularized(cross_entropy, model, l1=0.03, l2=0.2)(model(x), y)

    def loss(w):
        nn.utils.vector_to_parameters(tensor(w), regularized_parameters(model))
        return cross_entropy(model(x), y)

    found = formula({"w": weights(model), "L": loss, "lambda_1": 0.03, "lambda_2": 0.2}, {"j": 35})
    assert_close(tensor(found["tilde_L"]), expected)


@executed("6.3b", of="dlbook.training.regularize.l2_penalty")
def test_the_step_with_l2_as_printed(formula):
    (x, y), model = some_data(), network()
    before = copy.deepcopy(model)
    cross_entropy(before(x), y).backward()
    optimizer = GradientDescent(model.parameters(), lr=0.2)
    regularized(cross_entropy, model, l2=0.4)(model(x), y).backward()
    optimizer.step()
    slopes = torch.cat([w.grad.flatten() for w in regularized_parameters(before)])
    found = formula({"w": weights(before), "dL/dw": slopes, "eta": 0.2, "lambda_2": 0.4}, {"j": 35})
    assert_close(tensor(found["w"]), weights(model))
    assert_close(model.layers[0].bias, before.layers[0].bias - 0.2 * before.layers[0].bias.grad)


@executed("6.3c", of="dlbook.training.regularize.soft_threshold_")
def test_shrinking_as_printed(formula):
    (x, y), model = some_data(), network()
    before = weights(model)
    cross_entropy(model(x), y).backward()
    slopes = torch.cat([w.grad.flatten() for w in regularized_parameters(model)])
    GradientDescent(model.parameters(), lr=0.2).step()
    stepped = weights(model)
    for w in regularized_parameters(model):
        soft_threshold_(w, 0.2 * 1.5)
    found = formula({"w": before, "dL/dw": slopes, "eta": 0.2, "lambda_1": 1.5}, {"j": 35})
    assert_close(tensor(found["v"]), stepped)
    assert_close(tensor(found["w"]), weights(model))


@executed("6.3d", of="dlbook.network.Dropout")
def test_what_dropout_does_to_a_squared_error_as_printed(formula, monkeypatch):
    y, w, a, p = 0.7, random(4), random(4), 0.3
    masks = tensor(list(itertools.product((0.0, 1.0), repeat=4)))  # all that can happen, each with its probability
    probabilities = (masks * (1 - p) + (1 - masks) * p).prod(1)
    monkeypatch.setattr(torch, "rand_like", lambda a: masks)
    noisy = Dropout(p)(a.expand(16, 4))
    assert_close(probabilities @ noisy, a)
    expected = probabilities @ (y - noisy @ w) ** 2
    samples = {r"\tilde a": (noisy, probabilities)}
    ((averaged, derived),) = formula({"y": y, "w": w, "a": a, "p": p}, {"j": 4}, samples=samples, sides=True).values()
    assert_close((tensor(averaged), tensor(derived)), (expected, expected))


def quadratic():
    """Make a least-squares problem, with its directions in columns, their curvatures, and its solution along them."""
    x, y = regression()
    curvature, directions = torch.linalg.eigh(x.T @ x / len(x))
    solution = torch.linalg.lstsq(x, y).solution
    return x, y, directions, curvature, (directions.T @ solution)[:, 0]


@functools.cache
def descended(lr, epochs, l2=0.0):
    """Return where gradient descent is on the least-squares problem, along its directions."""
    x, y, directions, _, _ = quadratic()
    model = line()
    loss = regularized(half_squares, model, l2=l2)
    fit(model, Batches(x, y, batch_size=len(x)), loss, GradientDescent(model.parameters(), lr=lr), epochs=epochs)
    return model.weight.detach()[0] @ directions


@executed("6.3e", of="dlbook.training.optim.GradientDescent")
def test_stopped_gradient_descent_as_printed(formula):
    *_, curvature, best = quadratic()
    for t in (1, 7, 30):
        found = formula({"h": curvature, "w^*": best, "eta": 0.1, "t": t}, {"j": 6})
        assert_close(tensor(found["w^(t)"]), descended(0.1, t))


@executed("6.3f", of="dlbook.training.regularize.l2_penalty")
def test_the_solution_with_l2_as_printed(formula):
    *_, curvature, best = quadratic()
    found = formula({"h": curvature, "w^*": best, "lambda_2": 0.4}, {"j": 6})
    assert_close(tensor(found["w"]), descended(0.3, 300, l2=0.4))


# --- early stopping ---------------------------------------------------------------------------------------------------


def told(values):
    """Make a `validate` that says what it was told to, one number after another."""
    numbers = iter(values)
    return lambda model: {"loss": float(next(numbers)), "epoch": 0.0}


def train(model, epochs, validate=None):
    batches = Batches(*some_data(), batch_size=5, shuffle=True)
    return fit(
        model, batches, cross_entropy, GradientDescent(model.parameters(), lr=0.1), epochs=epochs, validate=validate
    )


@pytest.mark.parametrize(
    "losses, patience, seen, best",
    [
        ([3, 2, 4, 1, 5, 6, 0], 2, 6, 3),  # a rise of one is borne, the second of two ends it
        ([3, 2, 4, 1, 5, 6, 0], 1, 3, 1),
        ([3, 2, 2, 2, 1], 2, 4, 1),  # as good is not better
        ([5, 4, 3, 2, 1], 1, 5, 4),  # never stopped
        ([1, math.nan, math.nan, 0], 2, 3, 0),  # what is no number is no better
    ],
)
def test_the_weights_of_the_best_epoch_come_back(losses, patience, seen, best):
    model, other = network(), network()
    with EarlyStopping(told(losses), "loss", patience) as stopping:
        train(model, len(losses), stopping)
    assert (len(stopping.history), stopping.best) == (seen, best)
    train(other, best + 1)
    for mine, yours in zip(model.parameters(), other.parameters(), strict=True):
        assert_close(mine, yours, rtol=0, atol=0)


def test_other_errors_go_on_their_way_and_leave_the_weights():
    model = network()

    def fail(model):
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"), EarlyStopping(fail, "loss", 3) as stopping:
        train(model, 5, stopping)
    assert stopping.history == []
    other = network()
    train(other, 1)
    assert_close(model.layers[0].weight, other.layers[0].weight, rtol=0, atol=0)


def test_without_training_nothing_is_put_back():
    with EarlyStopping(told([]), "loss", 1) as stopping:
        pass
    assert stopping.history == [] and stopping.model is None


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [-0.1, math.nan, math.inf])
def test_prices_must_be_prices(price):
    for name in ("l1", "l2"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0 and finite: got {price}"):
            regularized(cross_entropy, network(), **{name: price})
    with pytest.raises(ValueError, match=f"threshold must be at least 0 and finite: got {price}"):
        soft_threshold_(torch.zeros(2), price)


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_a_model_must_have_weights(penalty):
    with pytest.raises(ValueError, match="model must have weights, parameters of two dimensions or more: got none"):
        penalty(nn.BatchNorm1d(3))


def test_early_stopping_says_what_is_wrong():
    with pytest.raises(ValueError, match="patience must be at least 1: got 0"):
        EarlyStopping(told([]), "loss", 0)
    stopping = EarlyStopping(told([1.0]), "accuracy", 2)
    with pytest.raises(ValueError, match="measure must be one that validate returns, loss, epoch: got accuracy"):
        stopping(network())
