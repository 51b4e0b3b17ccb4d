"""Activations: equal to PyTorch's in value and gradient, derivatives equal to autograd's, softmax a distribution."""

import math

import pytest
import torch
from equations import equation
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook import activations

Z = torch.linspace(-6, 6, 97, dtype=torch.float64)  # holds 0, where ReLU has its corner


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_value_and_gradient_equal_torch(name):
    ours, theirs = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    y, expected = getattr(activations, name)(ours), getattr(torch, name)(theirs)
    assert_close(y, expected)
    y.sum().backward()
    expected.sum().backward()
    away_from_corner = Z != 0
    assert_close(ours.grad[away_from_corner], theirs.grad[away_from_corner])


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_derivative_equals_autograd(name):
    z = Z[Z != 0].clone().requires_grad_()
    getattr(activations, name)(z).sum().backward()
    assert_close(getattr(activations, name + "_derivative")(z.detach()), z.grad)


def test_slopes_at_the_extremes():
    zero = torch.zeros(1, dtype=torch.float64)
    assert activations.sigmoid_derivative(zero) == 0.25 and activations.tanh_derivative(zero) == 1
    assert activations.relu_derivative(zero) == 0


def test_sigmoid_does_not_overflow():
    z = torch.tensor([-1000.0, -100.0, 100.0, 1000.0], requires_grad=True)
    y = activations.sigmoid(z)
    y.sum().backward()
    assert_close(y.detach(), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_equals_torch(name):
    torch.manual_seed(0)
    ours = (10 * torch.randn(5, 7, dtype=torch.float64)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    weight = torch.randn(5, 7, dtype=torch.float64)
    y, expected = getattr(activations, name)(ours), getattr(torch, name)(theirs, -1)
    assert_close(y, expected)
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    assert_close(ours.grad, theirs.grad)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=12), st.floats(-1e4, 1e4))
def test_softmax_is_a_distribution_that_a_shift_leaves_alone(scores, shift):
    z = torch.tensor(scores, dtype=torch.float64)
    p = activations.softmax(z)
    assert (p >= 0).all() and p.sum().item() == pytest.approx(1)
    assert_close(activations.softmax(z + shift), p, rtol=1e-9, atol=1e-9)
    assert (activations.log_softmax(z) <= 0).all()


def test_log_softmax_keeps_what_softmax_rounds_to_zero():
    z = torch.tensor([0.0, 1000.0])
    assert activations.softmax(z)[0] == 0
    assert activations.log_softmax(z)[0] == -1000


def softmax_by_index(z):
    powers = [math.exp(v) for v in z]
    return [power / sum(powers) for power in powers]


@equation(
    "3.1.1b",
    "dlbook.activations.softmax",
    softmax_by_index,
    lambda z: [
        math.exp(v) / sum(math.exp(u) for u in z if u != v) for v in z
    ],  # the divisor leaves out the class itself
    lambda z: [math.exp(-v) / sum(math.exp(-u) for u in z) for v in z],  # a sign
)
def test_softmax_as_printed(formula):
    z = [0.3, -1.2, 2.0, 0.0]
    expected = torch.tensor(formula(z), dtype=torch.float64)
    assert_close(activations.softmax(torch.tensor(z, dtype=torch.float64)), expected)


@equation(
    "3.1.1e",
    "dlbook.activations.sigmoid",
    (
        lambda z: 1 / (1 + math.exp(-z)),
        lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
        lambda z: max(0.0, z),
    ),
    (lambda z: 1 / (1 + math.exp(z)), math.tanh, lambda z: max(0.0, z)),  # a sign
    (lambda z: 1 / (1 + math.exp(-z)), math.tanh, lambda z: min(0.0, z)),  # the other half
)
def test_activations_as_printed(formula):
    for function, printed in zip((activations.sigmoid, activations.tanh, activations.relu), formula, strict=True):
        expected = torch.tensor([printed(z) for z in Z.tolist()], dtype=torch.float64)
        assert_close(function(Z), expected)
