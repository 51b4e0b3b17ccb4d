"""Losses: equal to PyTorch's in value and gradient, and their gradients by hand equal to autograd's."""

import math

import pytest
import torch
from equations import equation
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from dlbook import losses
from dlbook.activations import softmax


def example(batch=6, classes=4, scale=3.0):
    torch.manual_seed(batch + classes)
    return scale * torch.randn(batch, classes, dtype=torch.float64), torch.randint(classes, (batch,))


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 300))
def test_cross_entropy_equals_torch(batch, classes, scale):
    scores, target = example(batch, classes, scale)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss, expected = losses.cross_entropy(ours, target), functional.cross_entropy(theirs, target)
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad)
    assert_close(losses.cross_entropy_gradient(scores, target), theirs.grad)


def test_a_uniform_guess_costs_the_logarithm_of_the_number_of_classes():
    assert losses.cross_entropy(torch.zeros(3, 10), torch.tensor([0, 4, 9])).item() == pytest.approx(math.log(10))


def test_mean_squared_error_equals_torch():
    prediction, target = (
        torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    prediction.requires_grad_()
    loss = losses.mean_squared_error(prediction, target)
    assert_close(loss, functional.mse_loss(prediction, target))
    loss.backward()
    assert_close(losses.mean_squared_error_gradient(prediction.detach(), target), prediction.grad)


def loss_by_index(scores, target):
    return sum(
        -math.log(math.exp(z[y]) / sum(math.exp(v) for v in z)) for z, y in zip(scores, target, strict=True)
    ) / len(target)


@equation(
    "3.1.2a",
    "dlbook.losses.cross_entropy",
    loss_by_index,
    lambda scores, target: loss_by_index(scores, target) * len(target),  # the sum instead of the mean
    lambda scores, target: -loss_by_index(scores, target),  # a sign
    lambda scores, target: loss_by_index(scores, [(y + 1) % 4 for y in target]),  # the next class
)
def test_cross_entropy_as_printed(formula):
    scores, target = example()
    expected = torch.tensor(formula(scores.tolist(), target.tolist()), dtype=torch.float64)
    assert_close(losses.cross_entropy(scores, target), expected)


def delta_by_index(p, target):
    return [[(p_i - float(i == y)) / len(p) for i, p_i in enumerate(row)] for row, y in zip(p, target, strict=True)]


@equation(
    "3.1.2b",
    "dlbook.losses.cross_entropy_gradient",
    delta_by_index,
    lambda p, target: [[-d for d in row] for row in delta_by_index(p, target)],  # truth minus probability
    lambda p, target: [[p_i / len(p) for p_i in row] for row in p],  # the truth left out
)
def test_delta_as_printed(formula):
    scores, target = example()
    expected = torch.tensor(formula(softmax(scores).tolist(), target.tolist()), dtype=torch.float64)
    assert_close(losses.cross_entropy_gradient(scores, target), expected)
