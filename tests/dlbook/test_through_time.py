"""Backpropagation through time by hand: equal to autograd and to the formulas as printed; clipping equal to PyTorch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.activations import relu, relu_derivative, sigmoid, sigmoid_derivative, tanh, tanh_derivative
from dlbook.recurrent import RNNCell, scan
from dlbook.through_time import backpropagate_through_time, clip_gradient_, unroll
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor

FUNCTIONS = {"tanh": (tanh, tanh_derivative), "relu": (relu, relu_derivative), "sigmoid": (sigmoid, sigmoid_derivative)}


def make(f=tanh, batch=2, length=4, inputs=2, hidden=3):
    """Make a cell and sequences in float64; return both with the pre-activations and states of all time steps."""
    torch.manual_seed(0)
    cell, x, h = RNNCell(inputs, hidden, f).double(), random(batch, length, inputs), random(batch, hidden)
    nn.init.normal_(cell.bias_ih)
    return cell, x, *unroll(x, h, cell.weight_hh, cell.weight_ih, cell.bias_ih, f)


@reference("dlbook.through_time.unroll", "dlbook.through_time.backpropagate_through_time", to="torch.autograd.grad")
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    batch=st.integers(0, 3),
    length=st.integers(1, 5),
    inputs=st.integers(1, 3),
    hidden=st.integers(1, 4),
    many=st.booleans(),
)
def test_gradients_by_hand_equal_autograd(name, batch, length, inputs, hidden, many):
    f, derivative = FUNCTIONS[name]
    cell, x, zs, hs = make(f, batch, length, inputs, hidden)
    y, _ = scan(cell, x, (hs[:, 0],))
    assert_close(hs[:, 1:], y)
    weights = random(batch, length, hidden)
    if not many:
        weights[:, :-1] = 0  # a loss at the last step only
    expected = torch.autograd.grad((weights * y**2).sum(), (cell.weight_hh, cell.weight_ih, cell.bias_ih))
    by_hand = backpropagate_through_time(2 * weights * y, x, zs, hs, cell.weight_hh, derivative)
    assert by_hand[0].shape == zs.shape
    assert_close(by_hand[1:], expected)


def parameters_of_sizes(*scales):
    torch.manual_seed(0)
    parameters = [nn.Parameter(random(2, 3)), nn.Parameter(random(4)), nn.Parameter(random(1))]
    for parameter, scale in zip(parameters, scales, strict=False):
        parameter.grad = scale * random(*parameter.shape)
    return parameters


@reference("dlbook.through_time.clip_gradient_", to="torch.nn.utils.clip_grad_norm_")
@given(st.floats(1e-3, 1e3), st.lists(st.floats(0, 1e4), min_size=1, max_size=3))
def test_clipping_equals_torch(limit, scales):
    ours, theirs = parameters_of_sizes(*scales), parameters_of_sizes(*scales)
    norm = clip_gradient_(ours, limit)
    assert_close(norm, nn.utils.clip_grad_norm_(theirs, limit))
    share = 2e-6 / max(norm.item(), 1e-9)  # PyTorch adds 1e-6 to the norm
    for mine, yours in zip(ours, theirs, strict=True):
        if mine.grad is None:  # it had none
            assert yours.grad is None
        else:
            assert_close(mine.grad, yours.grad, rtol=share, atol=1e-12)


def test_a_large_gradient_in_half_precision_is_clipped_not_lost():
    """Its norm lies above 65,504, the largest number of float16."""
    parameter = nn.Parameter(torch.zeros(100, dtype=torch.float16))
    parameter.grad = torch.full((100,), 60_000.0, dtype=torch.float16)
    assert clip_gradient_([parameter], 1.0).item() == pytest.approx(600_000, rel=1e-3)
    assert_close(parameter.grad, torch.full((100,), 0.1, dtype=torch.float16))


def test_clipping_takes_a_generator():
    parameters = parameters_of_sizes(3, 4)
    clip_gradient_((parameter for parameter in parameters), 0.5)
    assert torch.cat([p.grad.flatten() for p in parameters[:2]]).norm().item() == pytest.approx(0.5)


def test_errors():
    with pytest.raises(ValueError, match="max_norm must be greater than 0: got 0"):
        clip_gradient_(parameters_of_sizes(1), 0.0)
    with pytest.raises(ValueError, match="max_norm must be greater than 0: got nan"):
        clip_gradient_(parameters_of_sizes(1), math.nan)
    with pytest.raises(ValueError, match="parameters must have gradients: got none"):
        clip_gradient_(parameters_of_sizes(), 1.0)


def unrolled(cell, x, hs, moved):
    """Run the cell with something added to each z_t, by which a loss can be differentiated."""
    moved.requires_grad_()
    h, states = hs[:, 0].detach(), []
    for t in range(x.shape[1]):
        (h,) = cell.step(cell.project(x[:, t]) + moved[:, t], (h,))
        states.append(h)
    return torch.stack(states, 1)


def test_deltas_equal_autograd():
    cell, x, zs, hs = make()
    errors = random(2, 4, 3)
    delta, *_ = backpropagate_through_time(errors, x, zs, hs, cell.weight_hh, tanh_derivative)
    loss = (errors * unrolled(cell, x, hs, moved := torch.zeros_like(zs))).sum()
    assert_close(delta, torch.autograd.grad(loss, moved)[0])


# --- the equations, as printed ----------------------------------------------------------------------------------------


def slope(z):
    return tanh_derivative(tensor(z))


@executed("3.3.1b", of="dlbook.through_time.backpropagate_through_time", same={"-0 instead of 0": "both are zero"})
def test_deltas_as_printed(formula):
    cell, x, zs, hs = make(batch=1)
    errors = random(1, 4, 3)
    delta, *_ = backpropagate_through_time(errors, x, zs, hs, cell.weight_hh, tanh_derivative)
    names = {"f'": slope, "z": zs[0], "dL/dh": errors[0], "W_hh": cell.weight_hh, "T": 4, "delta_T+1": torch.zeros(3)}
    found = formula(names, {"t": 4})
    assert_close(delta[0], tensor(found["delta"]))
    assert found["delta_T+1"] == 0


@executed("3.3.1c", of="dlbook.through_time.backpropagate_through_time")
def test_gradient_of_the_recurrent_weights_as_printed(formula):
    cell, x, zs, hs = make(batch=1)
    errors = random(1, 4, 3)
    delta, gradient, *_ = backpropagate_through_time(errors, x, zs, hs, cell.weight_hh, tanh_derivative)
    found = formula({"delta": delta[0], "h": hs[0], "T": 4}, starts={"h": 0})
    assert_close(gradient, tensor(found["dL/dW_hh"]))


@executed("3.3.1d", of="dlbook.recurrent.RNNCell")
def test_derivative_over_k_steps_as_printed(formula):
    cell, x, zs, hs = make(batch=1, length=6)
    for t, k in [(6, 1), (5, 3)]:
        between = x[:, t - k : t]

        def last(h, between=between):
            return scan(cell, between, (h[None],))[0][0, -1]

        expected = torch.autograd.functional.jacobian(last, hs[0, t - k].detach())
        found = formula({"f'": slope, "z": zs[0], "W_hh": cell.weight_hh, "t": t, "k": k})
        assert_close(expected, tensor(found["dh_t/dh_t-k"]))


@executed("3.3.1e", of="dlbook.through_time.clip_gradient_")
def test_clipping_as_printed(formula):
    for scale in (0.1, 10):
        parameters = parameters_of_sizes(scale, scale, scale)
        before = torch.cat([parameter.grad.flatten() for parameter in parameters])
        clip_gradient_(parameters, 2.0)
        after = torch.cat([parameter.grad.flatten() for parameter in parameters])
        assert_close(after, tensor(formula({"g": before, "c": 2.0})["g"]))
