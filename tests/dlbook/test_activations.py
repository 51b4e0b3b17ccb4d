"""Activations: equal to PyTorch's in value and gradient, derivatives equal to autograd's, softmax a distribution."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from dlbook import activations
from dlbook.network import backpropagate, he_normal_, propagate
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor

Z = torch.linspace(-6, 6, 97, dtype=torch.float64)  # holds 0, where ReLU has its corner


@reference("dlbook.activations.sigmoid", to="torch.sigmoid")
@reference("dlbook.activations.tanh", to="torch.tanh")
@reference("dlbook.activations.relu", to="torch.relu")
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_value_and_gradient_equal_torch(name):
    ours, theirs = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    y, expected = getattr(activations, name)(ours), getattr(torch, name)(theirs)
    assert_close(y, expected)
    y.sum().backward()
    expected.sum().backward()
    away_from_corner = Z != 0
    assert_close(ours.grad[away_from_corner], theirs.grad[away_from_corner])


@reference(
    "dlbook.activations.sigmoid_derivative",
    "dlbook.activations.tanh_derivative",
    "dlbook.activations.relu_derivative",
    to="torch.Tensor.backward",
)
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


FAMILY = {
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
WIDE = torch.tensor([-1e4, -800.0, -40.0, -20.0, 20.0, 800.0, 1e4], dtype=torch.float64)


@reference(
    "dlbook.activations.leaky_relu", "dlbook.activations.leaky_relu_derivative", to="torch.nn.functional.leaky_relu"
)
@reference("dlbook.activations.elu", "dlbook.activations.elu_derivative", to="torch.nn.functional.elu")
@reference("dlbook.activations.gelu", "dlbook.activations.gelu_derivative", to="torch.nn.functional.gelu")
@reference("dlbook.activations.silu", "dlbook.activations.silu_derivative", to="torch.nn.functional.silu")
@pytest.mark.parametrize("name", FAMILY)
def test_family_equals_torch_in_value_and_gradient_at_zero_and_far_out_too(name):
    ours, theirs = (torch.cat([Z, WIDE]).requires_grad_() for _ in range(2))
    y, expected = getattr(activations, name)(ours), FAMILY[name](theirs)
    assert_close(y, expected)
    y.sum().backward()
    expected.sum().backward()
    assert_close(ours.grad, theirs.grad)
    assert_close(getattr(activations, name + "_derivative")(ours.detach()), theirs.grad)


@pytest.mark.parametrize(("name", "at_zero"), [("leaky_relu", 0.01), ("elu", 1), ("gelu", 0.5), ("silu", 0.5)])
def test_slope_of_the_family_at_zero(name, at_zero):
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    getattr(activations, name)(zero).backward()
    assert zero.grad == at_zero
    assert getattr(activations, name + "_derivative")(zero.detach()) == at_zero


@given(st.sampled_from(["leaky_relu", "elu"]), st.floats(0, 3))
def test_share_and_floor_equal_torch(name, value):
    ours, theirs = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    y, expected = getattr(activations, name)(ours, value), FAMILY[name](theirs, value)
    assert_close(y, expected)
    y.sum().backward()
    expected.sum().backward()
    assert_close(ours.grad, theirs.grad)
    assert_close(getattr(activations, name + "_derivative")(Z, value), theirs.grad)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_family_keeps_the_type(name, dtype):
    z = torch.tensor([[-200.0, 0.0], [1.0, 200.0]], dtype=dtype, requires_grad=True)
    y = getattr(activations, name)(z)
    y.sum().backward()
    assert y.dtype == getattr(activations, name + "_derivative")(z.detach()).dtype == dtype
    assert y.isfinite().all() and z.grad.isfinite().all()


def test_what_the_docstrings_say_of_slopes_and_of_the_approximation():
    z = torch.linspace(-5, 5, 10_001, dtype=torch.float64)
    for name, low, top in (("gelu", -0.752, 1.129), ("silu", -1.278, 1.100)):
        slope = getattr(activations, name + "_derivative")(z)
        assert (slope[z < low - 0.002] < 0).all() and (slope[z > low + 0.002] > 0).all()
        assert slope.max().item() == pytest.approx(top, abs=0.001)
    assert (activations.gelu(z) - functional.gelu(z, approximate="tanh")).abs().max() < 0.001


@reference("dlbook.activations.normal_cdf", to="torch.special.ndtr")
def test_normal_distribution_equals_torch():
    assert_close(activations.normal_cdf(Z), torch.special.ndtr(Z))


@reference("dlbook.activations.softmax", to="torch.softmax")
@reference("dlbook.activations.log_softmax", to="torch.log_softmax")
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


# --- the equations, as printed ----------------------------------------------------------------------------------------

SOME = Z[::8]  # whole numbers: 0, where the pieces meet, and 1, which tells whether they meet there


@executed("3.1.1b", of="dlbook.activations.softmax")
def test_softmax_as_printed(formula):
    z = tensor([0.3, -1.2, 2.0, 0.0])
    assert_close(activations.softmax(z), tensor(formula({"z": z}, {"i": 4, "j": 4})["softmax"]))


@executed("3.1.1e", of="dlbook.activations.sigmoid")
def test_activations_as_printed(formula):
    found = formula({}, {"z": SOME.tolist()})
    assert_close(activations.sigmoid(SOME), tensor(found["sigma"]))
    assert_close(activations.tanh(SOME), tensor(found["tanh"]))
    assert_close(activations.relu(SOME), tensor(found["ReLU"]))


@executed("6.2a", of="dlbook.activations.elu")
def test_leaky_relu_and_elu_as_printed(formula):
    found = formula({"a": 0.2, "alpha": 0.7}, {"z": SOME.tolist()})
    assert_close(activations.leaky_relu(SOME, 0.2), tensor(found["leaky"]))
    assert_close(activations.elu(SOME, 0.7), tensor(found["ELU"]))


@executed("6.2b", of="dlbook.activations.gelu")
def test_gelu_and_silu_as_printed(formula):
    found = formula({}, {"z": SOME.tolist()})
    for function, sides in ((activations.gelu, found["GELU"]), (activations.silu, found["SiLU"])):
        for side in sides:
            assert_close(function(SOME), tensor(side))


def normal_numbers(mean, variance):
    """Return numbers and weights: their weighted average is that over a normal distribution."""
    places, weights = np.polynomial.hermite_e.hermegauss(20)
    return mean + math.sqrt(variance) * places, weights


@executed("6.2c", of="dlbook.network.he_normal_")
def test_he_is_the_variance_that_keeps_the_size(formula):
    weight = torch.empty(1000, 300, dtype=torch.float64)
    he_normal_(weight)
    found = formula({"n": 300, "f": lambda z: activations.relu(tensor(z)), "N": normal_numbers})
    assert_close(weight.square().mean(), tensor(found["v"]), rtol=0.01, atol=0)


N, V = 500, 2.5 / 500


@functools.cache
def signal_on_its_way_back():
    """Return a layer's sums, of variance 1, and the loss's derivatives by them and by the next layer's sums."""
    torch.manual_seed(0)
    weights, biases = [random(N, N) / math.sqrt(N), math.sqrt(V) * random(N, N)], 2 * [torch.zeros(N).double()]
    zs, a = propagate(random(400, N), weights, biases, activations.tanh)
    delta = 3 * random(400, N)
    _, biases_gradients = backpropagate(delta, weights, zs, a, activations.tanh_derivative)
    one_by_one = (delta @ weights[1]) * activations.tanh_derivative(zs[0])
    assert_close(one_by_one.sum(0), biases_gradients[0])
    return zs[0].flatten(), one_by_one.flatten(), delta.flatten()


@executed("6.2d", of="dlbook.network.backpropagate")
def test_what_a_layer_does_to_the_signal_on_its_way_back(formula):
    z, before, after = signal_on_its_way_back()
    names = {"n": N, "v": V, "z": z, r"\delta_l": before, r"\delta_{l+1}": after}
    functions = {"f'": lambda z: activations.tanh_derivative(tensor(z)), "E": np.mean}
    as_measured, as_derived = formula(names | functions)["chi"]
    assert_close(tensor(as_measured), before.square().mean() / after.square().mean())
    assert_close(tensor(as_derived), tensor(as_measured), rtol=0.02, atol=0)
