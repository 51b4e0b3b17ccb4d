"""Convolutional networks. Batch normalisation equal to PyTorch, the article's network to Keras, all to ours."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook import conv, losses
from dlbook.activations import softmax
from dlbook.cnn import CNN, BatchNorm2d, ConvBlock, LocallyConnected2d, ResidualBlock, ResNet
from dlbook.network import he_normal_
from tests.helpers.equations import executed
from tests.helpers.models import fill, train_steps
from tests.helpers.references import assert_same, random, reference, tensor

# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: BatchNorm2d(0), "channels must be at least 1: got 0"),
        (lambda: BatchNorm2d(2)(torch.ones(1, 2, 1, 1)), "at least 2 values of each channel to train with: got 1"),
        (lambda: ConvBlock(1, 2, 4), "kernel must be odd: got 4"),
        (lambda: ResNet(widths=(), residual=()), "widths must be at least 1 each"),
        (lambda: ResNet(residual=(1, 1)), r"as many of them and not none: got .*residual=\(1, 1\)"),
        (lambda: ResNet(side=7), "side must be at least 8, to be halved 3 times: got 7"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- batch normalisation ----------------------------------------------------------------------------------------------


@reference("dlbook.cnn.BatchNorm2d", to="torch.nn.BatchNorm2d")
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_batch_norm_equals_torch(batch, channels, height, width):
    assume(batch * height * width > 1)
    torch.manual_seed(0)
    ours, theirs = BatchNorm2d(channels).double(), nn.BatchNorm2d(channels).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    for _ in range(2):
        x = 3 + 2 * random(batch, channels, height, width)
        assert_same(ours, theirs, x)
        ours.zero_grad(), theirs.zero_grad()
        loss_of = [(layer(x) ** 3).sum() for layer in (ours, theirs)]
        for loss in loss_of:
            loss.backward()
        assert_close(ours.weight.grad, theirs.weight.grad)
        assert_close(ours.bias.grad, theirs.bias.grad)
        assert_close(ours.running_mean, theirs.running_mean)
        assert_close(ours.running_var, theirs.running_var)
    ours.eval(), theirs.eval()
    assert_same(ours, theirs, random(batch, channels, height, width))
    assert ours(random(0, channels, 2, 2)).shape == (0, channels, 2, 2)


# --- the networks -----------------------------------------------------------------------------------------------------


def by_hand(model):
    """Let a network compute with this module's functions instead of PyTorch's layers, with the same weights."""

    def convolve(layer):
        return lambda x: conv.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = convolve(module)
        if isinstance(module, nn.MaxPool2d):
            module.forward = lambda x: conv.max_pool2d(x, 2)
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                norm = BatchNorm2d(child.num_features).double()
                norm.load_state_dict(child.state_dict(), strict=False)
                setattr(module, name, norm)
    return model


def by_functions(model, x):
    """Compute a ResNet in training with PyTorch's functions, from its parameters by name."""
    w = dict(model.named_parameters())

    def norm(z, name):
        return F.batch_norm(z, None, None, w[f"{name}.weight"], w[f"{name}.bias"], training=True)

    for n, block in enumerate(model.blocks):
        name = f"blocks.{n}"
        if isinstance(block, ConvBlock):
            z = F.conv2d(x, w[f"{name}.0.weight"], padding=w[f"{name}.0.weight"].shape[-1] // 2)
            x = F.relu(norm(F.max_pool2d(z, 2), f"{name}.2"))
        else:
            z = F.relu(norm(F.conv2d(x, w[f"{name}.conv1.weight"], padding=1), f"{name}.norm1"))
            x = F.relu(x + norm(F.conv2d(z, w[f"{name}.conv2.weight"], padding=1), f"{name}.norm2"))
    return F.linear(x.flatten(1), w["output.weight"], w["output.bias"])


@reference("dlbook.cnn.ResNet", "dlbook.cnn.ConvBlock", "dlbook.cnn.ResidualBlock", to="torch.nn.functional.batch_norm")
def test_resnet_equals_torchs_functions():
    model, x = fill(ResNet((2, 3), residual=(0, 1), side=8, channels=2, classes=4)), random(3, 2, 8, 8)
    assert [type(block) for block in model.blocks] == [ConvBlock, ConvBlock, ResidualBlock]
    found, expected = model(x), by_functions(model, x)
    assert_close(found, expected)
    leaves = [*model.parameters()]
    assert_close(*(torch.autograd.grad(y.square().sum(), leaves) for y in (found, expected)))


@pytest.mark.parametrize("make", [CNN, ResNet, lambda: ResNet(residual=(0, 0, 0)), lambda: ResidualBlock(1)])
def test_networks_equal_the_same_by_hand(make, monkeypatch):
    torch.manual_seed(0)
    ours, theirs = make().double(), make().double()
    theirs.load_state_dict(ours.state_dict())
    x = random(6, 1, 28, 28).requires_grad_()
    again = x.detach().clone().requires_grad_()
    with monkeypatch.context() as patch:
        expected = theirs(again)
        (expected**2).sum().backward()
        patch.setattr(F, "max_pool2d", conv.max_pool2d)
        found = by_hand(ours)(x)
        (found**2).sum().backward()
    assert_close(found, expected)
    assert_close(x.grad, again.grad)
    for (name, mine), yours in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(mine.grad, yours.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_the_article_s_network_has_121930_parameters():
    assert sum(p.numel() for p in CNN().parameters()) == 121_930


def keras_copy(ours):
    """Build the article's program in Keras and give it our weights."""
    keras = pytest.importorskip("keras")
    layers = keras.layers
    theirs = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    for layer, (weight, bias) in keras_weights(ours, theirs):
        layer.set_weights([weight.detach().numpy(), bias.detach().numpy()])
    return keras, theirs


def keras_weights(ours, theirs, of=lambda parameter: parameter):
    """Pair Keras' layers with ours, whose weights (or gradients) are put into Keras' order."""
    layers = [layer for layer in theirs.layers if layer.weights]
    mine = [(of(layer.weight), of(layer.bias)) for layer in (ours.conv1, ours.conv2, ours.hidden, ours.output)]
    orders = [
        lambda w: w.permute(2, 3, 1, 0),
        lambda w: w.permute(2, 3, 1, 0),
        lambda w: w.view(64, 64, 5, 5).permute(2, 3, 1, 0).reshape(1600, 64),  # Keras flattens with channels last
        lambda w: w.T,
    ]
    return [(layer, (order(weight), bias)) for layer, order, (weight, bias) in zip(layers, orders, mine, strict=True)]


@reference("dlbook.cnn.CNN", to="keras.layers.Conv2D")
def test_the_article_s_network_equals_keras():
    torch.manual_seed(0)
    ours = CNN()
    for layer in (ours.conv1, ours.conv2, ours.hidden, ours.output):
        nn.init.normal_(layer.bias, std=0.1)  # zero biases would hide a missing one
    keras, theirs = keras_copy(ours)
    assert theirs.count_params() == 121_930
    x, target = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    probabilities = theirs(x.permute(0, 2, 3, 1))
    assert_close(softmax(ours(x)), probabilities, rtol=1e-4, atol=1e-6)
    loss = losses.cross_entropy(ours(x), target)
    expected = keras.losses.SparseCategoricalCrossentropy()(target, probabilities)
    assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.backward()
    for layer, (weight, bias) in keras_weights(ours, theirs, of=lambda parameter: parameter.grad):
        assert_close(weight, layer.kernel.value.grad, rtol=1e-3, atol=1e-6)
        assert_close(bias, layer.bias.value.grad, rtol=1e-3, atol=1e-6)


def test_networks_are_initialised_as_they_say():
    torch.manual_seed(0)
    glorot, he = CNN(), CNN(init=he_normal_)
    for name, inputs, outputs in [("conv2", 9 * 32, 9 * 64), ("hidden", 1600, 64)]:
        assert getattr(glorot, name).weight.var().item() == pytest.approx(2 / (inputs + outputs), rel=0.05)
        assert getattr(he, name).weight.var().item() == pytest.approx(2 / inputs, rel=0.05)
    assert not any(getattr(glorot, name).bias.any() for name in ("conv1", "conv2", "hidden", "output"))


def test_glorot_equals_keras_in_distribution():
    keras = pytest.importorskip("keras")
    theirs = keras.initializers.GlorotUniform(seed=0)((3, 3, 32, 64)).flatten()
    torch.manual_seed(0)
    ours = CNN().conv2.weight.detach().flatten()
    quantiles = torch.linspace(0, 1, 21)
    assert_close(ours.quantile(quantiles), theirs.detach().quantile(quantiles), rtol=0, atol=0.002)


@pytest.mark.parametrize("make", [CNN, ResNet, lambda: ResNet(residual=(0, 0, 0))])
def test_overfits_a_tiny_batch(make):
    torch.manual_seed(0)
    model, x, target = make(), torch.randn(10, 1, 28, 28), torch.arange(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    assert train_steps(optimizer, lambda: losses.cross_entropy(model(x), target), steps=25) < 0.05


def test_resnet_takes_images_of_other_sizes_and_channels():
    model = ResNet(widths=(4, 6), residual=(0, 2), side=32, channels=3, classes=5)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 5)


# --- the equations, as printed ----------------------------------------------------------------------------------------


@executed("4.2a", of="dlbook.cnn.CNN")
def test_number_of_parameters_as_printed(formula):
    model = CNN()
    for layer, inputs, outputs in ((model.conv1, 1, 32), (model.conv2, 32, 64)):
        counted = sum(p.numel() for p in layer.parameters())
        assert counted == formula({"C": inputs, "k": 3, "O": outputs})["#parameters"]


@executed("4.2b", of="dlbook.cnn.BatchNorm2d")
def test_batch_norm_as_printed(formula):
    x, layer = random(2, 2, 2, 2) + 1, BatchNorm2d(2, eps=0.1).double()
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    v, m = torch.var_mean(x, (0, 2, 3), correction=0)  # of the batch
    trained, used = layer(x), layer.eval()(x)
    for y, means, variances in ((trained, m, v), (used, layer.running_mean, layer.running_var)):
        for c in range(2):
            names = {"x": x[:, c], "gamma": layer.weight[c], "beta": layer.bias[c], "varepsilon": layer.eps}
            found = formula(names | {"m": means[c], "v": variances[c]})
            assert_close(y[:, c], tensor(found["y"]))


@executed("4.2d", of="dlbook.cnn.ResidualBlock")
def test_residual_block_as_printed(formula):
    block, x = fill(ResidualBlock(2)), random(2, 2, 4, 4)

    def normalised(x, layer, norm):
        z = conv.conv2d(tensor(x), layer.weight, padding=1)
        return F.batch_norm(z, None, None, norm.weight, norm.bias, training=True)

    def change(x):
        return normalised(normalised(x, block.conv1, block.norm1).relu(), block.conv2, block.norm2)

    assert_close(block(x), tensor(formula({"x": x, "g": change})["y"]))


# --- locally connected layers -----------------------------------------------------------------------------------------


@reference("dlbook.cnn.LocallyConnected2d", to="torch.nn.functional.conv2d")
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 2, 1), ((2, 3), (1, 2), (0, 1))])
def test_a_locally_connected_layer_is_a_convolution_at_each_position(kernel, stride, padding):
    torch.manual_seed(0)
    layer, x = LocallyConnected2d(2, 4, (7, 6), kernel, stride, padding).double(), random(3, 2, 7, 6)
    high, wide = conv._pair(kernel)
    rows, columns = layer.shape
    torch.nn.init.normal_(layer.bias)

    def one_by_one(x, weight, bias):  # each position takes its own number from the convolution with its own kernels
        own = weight.unflatten(2, (high * wide, 2)).transpose(2, 3).unflatten(3, (high, wide))
        maps = [F.conv2d(x, w, b[0], stride, padding) for w, b in zip(own, bias, strict=True)]
        at = itertools.product(range(rows), range(columns))
        picked = [one[:, :, i, j] for one, (i, j) in zip(maps, at, strict=True)]
        return torch.stack(picked, 2).unflatten(2, (rows, columns))

    def ours(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert_same(ours, one_by_one, x, layer.weight.detach(), layer.bias.detach())


def test_a_locally_connected_layer_begins_with_he_initialisation():
    torch.manual_seed(0)
    layer = LocallyConnected2d(16, 32, 12, 3)
    assert layer.weight.std().item() == pytest.approx((2 / 144) ** 0.5, rel=0.02) and not layer.bias.any()


def test_a_locally_connected_layer_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="channels and outputs must be at least 1: got channels=0, outputs=4"):
        LocallyConnected2d(0, 4, 7, 3)
    with pytest.raises(ValueError, match="kernel must fit into the padded image"):
        LocallyConnected2d(2, 4, 2, 3)
    layer = LocallyConnected2d(2, 4, 7, 3)
    for x in (torch.zeros(1, 2, 8, 7), torch.zeros(1, 3, 7, 7)):
        with pytest.raises(ValueError, match="x must have the size and channels of the layer"):
            layer(x)
    with pytest.raises(TypeError, match="x"):
        layer(torch.zeros(1, 2, 7, 7, dtype=torch.float64))
