"""Activations: equal to PyTorch's in value and gradient, derivatives equal to autograd's, softmax a distribution."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from dlbook import activations
from dlbook.network import backpropagate, he_normal_, propagate
from tests.helpers.by_index import softmax
from tests.helpers.equations import equation

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


FAMILY = {
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
WIDE = torch.tensor([-1e4, -800.0, -40.0, -20.0, 20.0, 800.0, 1e4], dtype=torch.float64)


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


def test_normal_distribution_equals_torch():
    assert_close(activations.normal_cdf(Z), torch.special.ndtr(Z))


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


@equation(
    "3.1.1b",
    "dlbook.activations.softmax",
    softmax,
    lambda z: [
        math.exp(v) / sum(math.exp(u) for u in z if u != v) for v in z
    ],  # the divisor leaves out the class itself
    lambda z: softmax([-v for v in z]),  # a sign
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


@equation(
    "6.2a",
    "dlbook.activations.elu",
    (lambda z, a: z if z > 0 else a * z, lambda z, alpha: z if z > 0 else alpha * (math.exp(z) - 1)),
    (lambda z, a: z if z > 0 else -a * z, lambda z, alpha: z if z > 0 else alpha * (1 - math.exp(z))),  # a sign
    (lambda z, a: a * z if z > 0 else z, lambda z, alpha: z if z < 0 else alpha * (math.exp(z) - 1)),  # other half
)
def test_leaky_relu_and_elu_as_printed(formula):
    for function, printed, value in zip((activations.leaky_relu, activations.elu), formula, (0.2, 0.7), strict=True):
        expected = torch.tensor([printed(z, value) for z in Z.tolist()], dtype=torch.float64)
        assert_close(function(Z, value), expected)


@equation(
    "6.2b",
    "dlbook.activations.gelu",
    (lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2, lambda z: z / (1 + math.exp(-z))),
    (lambda z: z * (1 + math.erf(z)) / 2, lambda z: z / (1 + math.exp(z))),  # without the root of two; a sign
    (lambda z: (1 + math.erf(z / math.sqrt(2))) / 2, lambda z: 1 / (1 + math.exp(-z))),  # without z
)
def test_gelu_and_silu_as_printed(formula):
    for function, printed in zip((activations.gelu, activations.silu), formula, strict=True):
        expected = torch.tensor([printed(z) for z in Z.tolist()], dtype=torch.float64)
        assert_close(function(Z), expected)


def expectation(g, cells=2000):
    """Average g over standard normal numbers, as a sum over small cells."""
    width = 20 / cells
    middles = [-10 + width * (k + 0.5) for k in range(cells)]
    return sum(g(z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * width for z in middles)


@equation(
    "6.2c",
    "dlbook.network.he_normal_",
    lambda n: 1 / (n * expectation(lambda z: max(0, z) ** 2)),
    lambda n: 1 / n,  # the activation left out
    lambda n: 1 / (n * expectation(lambda z: max(0, z)) ** 2),  # the square of the mean for the mean of the square
)
def test_he_is_the_variance_that_keeps_the_size(formula):
    torch.manual_seed(0)
    weight = torch.empty(1000, 300, dtype=torch.float64)
    he_normal_(weight)
    assert_close((weight**2).mean().item(), formula(300), rtol=0.02, atol=0)


def slope_of_tanh(z):
    return 1 - math.tanh(z) ** 2


@equation(
    "6.2d",
    "dlbook.network.backpropagate",
    lambda n, v: n * v * expectation(lambda z: slope_of_tanh(z) ** 2),
    lambda n, v: n * v * expectation(slope_of_tanh),  # without the square
    lambda n, v: n * v * expectation(lambda z: math.tanh(z) ** 2),  # the function for its slope
    lambda n, v: n * v,  # the slope left out
)
def test_what_a_layer_does_to_the_signal_on_its_way_back(formula):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, v = 500, 2.5 / 500
    weights, biases = [normal(n, n) / math.sqrt(n), math.sqrt(v) * normal(n, n)], 2 * [torch.zeros(n).double()]
    zs, a = propagate(normal(400, n), weights, biases, activations.tanh)  # z of the first layer: variance 1
    delta = normal(400, n)
    _, biases_gradients = backpropagate(delta, weights, zs, a, activations.tanh_derivative)
    one_by_one = (delta @ weights[1]) * activations.tanh_derivative(zs[0])
    assert_close(one_by_one.sum(0), biases_gradients[0])
    assert_close(((one_by_one**2).mean() / (delta**2).mean()).item(), formula(n, v), rtol=0.02, atol=0)
