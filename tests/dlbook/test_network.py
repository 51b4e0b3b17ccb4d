"""Dense layers and the MLP: equal to PyTorch and Keras under copied weights, passes by hand equal to autograd."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook import activations, losses, network
from dlbook.network import MLP, Dense, Dropout
from tests.helpers.equations import executed
from tests.helpers.models import train_steps
from tests.helpers.references import reference, tensor


def copied(ours, theirs):
    """Copy the weights of torch.nn.Linear layers from ours into theirs."""
    for mine, yours in zip(ours.layers, [m for m in theirs if isinstance(m, nn.Linear)], strict=True):
        yours.load_state_dict(mine.state_dict())


@reference("dlbook.network.Dense", to="torch.nn.Linear")
@given(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))
def test_dense_equals_linear(batch, inputs, outputs):
    torch.manual_seed(0)
    ours, theirs = Dense(inputs, outputs).double(), nn.Linear(inputs, outputs).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(batch, inputs, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert_close(ours(a), theirs(b))
    (ours(a) ** 2).sum().backward()
    (theirs(b) ** 2).sum().backward()
    for mine, yours in [(a, b), (ours.weight, theirs.weight), (ours.bias, theirs.bias)]:
        assert_close(mine.grad, yours.grad)


@reference("dlbook.network.MLP", to="torch.nn.Sequential")
@pytest.mark.parametrize(
    "f, reference", [(activations.relu, nn.ReLU), (activations.tanh, nn.Tanh), (activations.sigmoid, nn.Sigmoid)]
)
def test_mlp_equals_torch(f, reference):
    torch.manual_seed(0)
    ours = MLP([12, 8, 6, 3], activation=f).double()
    theirs = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 8), reference(), nn.Linear(8, 6), reference(), nn.Linear(6, 3)
    ).double()
    copied(ours, theirs)
    x, target = torch.randn(5, 3, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    assert_close(ours(x), theirs(x))
    losses.cross_entropy(ours(x), target).backward()
    nn.functional.cross_entropy(theirs(x), target).backward()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(mine.grad, yours.grad)


def test_the_article_s_network_has_55050_parameters():
    assert sum(p.numel() for p in MLP([784, 64, 64, 10]).parameters()) == 55_050


def keras_copy(ours):
    """Build the article's program in Keras and give it our weights."""
    keras = pytest.importorskip("keras")
    theirs = keras.Sequential(
        [
            keras.Input((784,)),
            *(keras.layers.Dense(64, activation="relu") for _ in range(2)),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    for mine, yours in zip(ours.layers, theirs.layers, strict=True):
        yours.set_weights([mine.weight.detach().numpy().T, mine.bias.detach().numpy()])
    return keras, theirs


@reference("dlbook.network.MLP", to="keras.layers.Dense")
def test_the_article_s_network_equals_keras():
    torch.manual_seed(0)
    ours = MLP([784, 64, 64, 10], init=network.glorot_uniform_)
    for layer in ours.layers:
        nn.init.normal_(layer.bias, std=0.1)  # zero biases would hide a missing one
    keras, theirs = keras_copy(ours)
    assert theirs.count_params() == 55_050
    x, target = torch.rand(20, 784), torch.arange(20) % 10
    probabilities = theirs(x)
    assert_close(activations.softmax(ours(x)), probabilities, rtol=1e-5, atol=1e-6)
    loss = losses.cross_entropy(ours(x), target)
    expected = keras.losses.SparseCategoricalCrossentropy()(target, probabilities)
    assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.backward()
    for mine, yours in zip(ours.layers, theirs.layers, strict=True):
        assert_close(mine.weight.grad.T, yours.kernel.value.grad, rtol=1e-4, atol=1e-7)
        assert_close(mine.bias.grad, yours.bias.value.grad, rtol=1e-4, atol=1e-7)


def test_initialisation():
    torch.manual_seed(0)
    he, glorot = Dense(400, 300), Dense(400, 300, init=network.glorot_uniform_)
    assert he.weight.var().item() == pytest.approx(2 / 400, rel=0.02)
    assert glorot.weight.var().item() == pytest.approx(2 / 700, rel=0.02)
    assert glorot.weight.abs().max().item() <= (6 / 700) ** 0.5
    assert not he.bias.any() and not glorot.bias.any()


@reference("dlbook.network.glorot_uniform_", to="keras.initializers.GlorotUniform")
def test_glorot_equals_keras_in_distribution():
    keras = pytest.importorskip("keras")
    theirs = keras.initializers.GlorotUniform(seed=0)((400, 300)).flatten()
    ours = Dense(400, 300, init=network.glorot_uniform_).weight.detach().flatten()
    quantiles = torch.linspace(0, 1, 21)
    assert_close(ours.quantile(quantiles), theirs.detach().quantile(quantiles), rtol=0, atol=0.002)


def test_dropout():
    torch.manual_seed(0)
    layer, a = Dropout(0.3), torch.full((100, 1000), 2.0, requires_grad=True)
    y = layer(a)
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert y.mean().item() == pytest.approx(2.0, abs=0.02)
    assert y.unique().tolist() == pytest.approx([0, 2 / 0.7])
    y.sum().backward()
    assert_close(a.grad, (y != 0).float() / 0.7)  # no gradient through a silenced unit
    assert_close(layer.eval()(a), a, rtol=0, atol=0)
    assert_close(Dropout(0.0)(a), a, rtol=0, atol=0)


def test_dropout_acts_between_the_layers_of_an_mlp_only():
    torch.manual_seed(0)
    model, x = MLP([4, 50, 3], dropout=0.5), torch.randn(2, 4)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Dense(0, 3), "inputs and outputs must be at least 1: got inputs=0, outputs=3"),
        (lambda: MLP([784]), r"widths must name at least an input and an output: got \[784\]"),
        (lambda: Dropout(1.0), "p must be at least 0 and less than 1: got 1.0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def small(f=torch.tanh):
    torch.manual_seed(0)
    model = MLP([5, 4, 3, 2], activation=f).double()
    for layer in model.layers:
        nn.init.normal_(layer.bias)
    x, target = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    return model, [m.weight.detach() for m in model.layers], [m.bias.detach() for m in model.layers], x, target


@reference("dlbook.network.propagate", "dlbook.network.backpropagate", to="torch.Tensor.backward")
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_passes_by_hand_equal_autograd(name):
    f = getattr(activations, name)
    model, weights, biases, x, target = small(f)
    zs, kept = network.propagate(x, weights, biases, f)
    assert_close(zs[-1], model(x).detach())
    delta = losses.cross_entropy_gradient(zs[-1], target)
    by_hand = network.backpropagate(delta, weights, zs, kept, getattr(activations, name + "_derivative"))
    losses.cross_entropy(model(x), target).backward()
    for layer, weight_gradient, bias_gradient in zip(model.layers, *by_hand, strict=True):
        assert_close(weight_gradient, layer.weight.grad)
        assert_close(bias_gradient, layer.bias.grad)


def test_passes_by_hand_equal_finite_differences():
    _, weights, biases, x, target = small()
    zs, kept = network.propagate(x, weights, biases, torch.tanh)
    by_hand = network.backpropagate(
        losses.cross_entropy_gradient(zs[-1], target), weights, zs, kept, activations.tanh_derivative
    )
    for parameters, gradients in zip((weights, biases), by_hand, strict=True):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            flat, measured = parameter.view(-1), []
            for i in range(len(flat)):
                ends = []
                for step in (1e-5, -1e-5):
                    flat[i] += step
                    ends.append(losses.cross_entropy(network.propagate(x, weights, biases, torch.tanh)[0][-1], target))
                    flat[i] -= step
                measured.append((ends[0] - ends[1]) / 2e-5)
            assert_close(torch.stack(measured).view_as(gradient), gradient, rtol=1e-6, atol=1e-9)


def test_overfits_a_tiny_batch():
    torch.manual_seed(0)
    model, x, target = MLP([8, 32, 4]), torch.randn(16, 8), torch.randint(4, (16,))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    assert train_steps(optimizer, lambda: losses.cross_entropy(model(x), target), steps=150) < 0.01


# --- the equations, as printed ----------------------------------------------------------------------------------------


@executed("3.1.1a", of="dlbook.network.Dense")
def test_layer_as_printed(formula):
    layer, a = Dense(3, 3).double(), torch.randn(3, dtype=torch.float64)
    nn.init.normal_(layer.bias)
    found = formula({"w": layer.weight, "a": a, "b": layer.bias}, {"i": 3, "j": 3})
    assert_close(layer(a), tensor(found["z"]))


@executed("3.1.1c", of="dlbook.network.propagate")
def test_hidden_layer_as_printed(formula):
    _, weights, biases, x, _ = small()
    _, kept = network.propagate(x, weights, biases, torch.tanh)
    layer = {"W_1": weights[0], "b_1": biases[0], "f": lambda z: torch.tanh(tensor(z))}
    assert_close(kept[1], torch.stack([tensor(formula(layer | {"a_0": row})["a_1"]) for row in x]))


@executed("3.1.1d", of="dlbook.network.propagate")
def test_output_layer_as_printed(formula):
    _, weights, biases, x, _ = small()
    zs, kept = network.propagate(x, weights, biases, torch.tanh)
    layer = {"W_2": weights[2], "b_2": biases[2]}
    expected = torch.stack([tensor(formula(layer | {"a_1": row})["a_2"]) for row in kept[2]])
    assert_close(activations.softmax(zs[-1]), expected)


@executed("3.1.1f", of="dlbook.network.he_normal_")
def test_he_variance_as_printed(formula):
    weight = Dense(50, 40_000).double().weight
    variance = tensor(formula({"n_0": 50})["Var(w_ij)"])
    assert_close(weight.var(), variance, rtol=0.005, atol=0)  # five standard errors
    a = activations.relu(torch.randn(20, 50, dtype=torch.float64))  # what (3.1.1f) is for: the size is kept
    kept = torch.nn.functional.linear(a, weight.detach() / weight.std() * variance.sqrt()).square().mean() / 2
    assert_close(kept, a.square().mean(), rtol=0.05, atol=0)


def gradients_and_deltas():
    """Return weights, activations, and autograd's derivatives with respect to each layer's sums, for one example."""
    _, weights, biases, x, target = small()
    zs = [(weights[0] @ x[0] + biases[0]).requires_grad_()]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        zs.append(weight @ torch.tanh(zs[-1]) + bias)
        zs[-1].retain_grad()
    losses.cross_entropy(zs[-1][None], target[:1]).backward()
    by_hand = network.backpropagate(
        losses.cross_entropy_gradient(zs[-1][None].detach(), target[:1]),
        weights,
        [z.detach()[None] for z in zs],
        [x[:1], *(torch.tanh(z.detach())[None] for z in zs[:-1])],
        activations.tanh_derivative,
    )
    return weights, [x[0], *(torch.tanh(z.detach()) for z in zs[:-1])], [z.grad for z in zs], zs, by_hand


@executed("3.1.2c", of="dlbook.network.backpropagate")
def test_weight_gradient_as_printed(formula):
    _, kept, deltas, _, (weight_gradients, _) = gradients_and_deltas()
    for delta, a, gradient in zip(deltas, kept, weight_gradients, strict=True):
        assert_close(gradient, tensor(formula({r"\delta_l": delta, "a_{l-1}": a})["dL/dW_l"]))


@executed("3.1.2d", of="dlbook.network.backpropagate")
def test_bias_gradient_as_printed(formula):
    _, _, deltas, _, (_, bias_gradients) = gradients_and_deltas()
    for delta, gradient in zip(deltas, bias_gradients, strict=True):
        assert_close(gradient, tensor(formula({r"\delta_l": delta})["dL/db_l"]))


@executed("3.1.2e", of="dlbook.network.backpropagate")
def test_delta_as_printed(formula):
    weights, _, deltas, zs, (_, bias_gradients) = gradients_and_deltas()
    slope = {"f'": lambda z: activations.tanh_derivative(tensor(z))}
    for layer in (0, 1):
        next_layer = {"W_{l+1}": weights[layer + 1], r"\delta_{l+1}": deltas[layer + 1]}
        found = formula(slope | next_layer | {"z_l": zs[layer]})
        assert_close(bias_gradients[layer], tensor(found["delta_l"]))


def test_finite_difference_puts_the_entry_back():
    w = torch.tensor([0.1, 0.7], dtype=torch.float64)
    before = w.clone()
    assert network.finite_difference(lambda: (w**3).sum(), w, 1) == pytest.approx(3 * 0.7**2, rel=1e-9)
    assert torch.equal(w, before)


@executed("3.1.2f", of="dlbook.network.finite_difference")
def test_finite_difference_as_printed(formula):
    loss = lambda w: w**3 - 2 * w  # noqa: E731
    w = torch.tensor([0.7], dtype=torch.float64)
    found = network.finite_difference(lambda: loss(w), w, 0, step=0.1)
    assert_close(tensor(found), tensor(formula({"L": loss, "w": 0.7, "h": 0.1})["dL/dw"]))


@executed("4.1a", of="dlbook.network.MLP")
def test_number_of_parameters_as_printed(formula):
    widths = [7, 5, 4, 3]
    counted = sum(p.numel() for p in MLP(widths).parameters())
    assert counted == formula({"n": widths, "k": 3}, starts={"n": 0})["#parameters"]
