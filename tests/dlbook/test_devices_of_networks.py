"""Networks, activations and losses on the device "meta", which has shapes and types but no numbers.

What makes a tensor on another device than its inputs', or looks at values, fails here. A table is CALLS: name → call.
"""

import pytest
import torch
from torch import Tensor

from dlbook import activations, cnn, conv, efficientnet, losses, network
from tests.helpers.inputs import public_names, tensors_in

META = torch.device("meta")


def numbers(*shape: int) -> Tensor:
    """Return numbers that are not there."""
    return torch.empty(shape, device=META)


def on_meta(make):
    """Return a model whose parameters and buffers are not there."""
    return make().to(META)


LOGITS, TARGET = numbers(4, 3), torch.empty(4, dtype=torch.int64, device=META)
IMAGES, KERNELS = numbers(2, 2, 5, 5), numbers(3, 2, 2, 2)
DIGITS = numbers(2, 1, 28, 28)
LAYERS = [numbers(4, 3), numbers(2, 4)], [numbers(4), numbers(2)]

FAMILY = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu")
ELEMENTWISE = [*FAMILY, *(f"{name}_derivative" for name in FAMILY), "normal_cdf", "softmax", "log_softmax"]
REGRESSION = ("mean_squared_error", "mean_absolute_error", "huber")
CALLS = {
    **{name: lambda name=name: getattr(activations, name)(LOGITS) for name in ELEMENTWISE},
    **{
        name: lambda name=name: getattr(losses, name)(LOGITS, LOGITS)
        for loss in REGRESSION
        for name in (loss, f"{loss}_gradient")
    },
    "cross_entropy": lambda: losses.cross_entropy(LOGITS, TARGET),
    "weighted_cross_entropy": lambda: losses.weighted_cross_entropy(LOGITS, TARGET, numbers(3)),
    "quantile_loss": lambda: losses.quantile_loss(LOGITS, numbers(4), (0.1, 0.5, 0.9)),
    "he_normal_": lambda: network.he_normal_(LOGITS),
    "glorot_uniform_": lambda: network.glorot_uniform_(LOGITS),
    "Dense": lambda: on_meta(lambda: network.Dense(3, 2))(LOGITS),
    "Dropout": lambda: network.Dropout(0.5)(LOGITS),
    "MLP": lambda: on_meta(lambda: network.MLP([3, 4, 2], dropout=0.5))(LOGITS),
    "propagate": lambda: network.propagate(LOGITS, *LAYERS, torch.tanh),
    "backpropagate": lambda: network.backpropagate(
        numbers(5, 2), LAYERS[0], [numbers(5, 4), numbers(5, 2)], [numbers(5, 3), numbers(5, 4)], torch.tanh
    ),
    "unfold": lambda: conv.unfold(IMAGES, 2, padding=1),
    "conv2d": lambda: conv.conv2d(IMAGES, KERNELS, numbers(3), padding=1),
    "max_pool2d": lambda: conv.max_pool2d(IMAGES, 2, padding=1),
    "avg_pool2d": lambda: conv.avg_pool2d(IMAGES, 2, padding=1),
    "global_avg_pool": lambda: conv.global_avg_pool(IMAGES),
    "BatchNorm2d": lambda: on_meta(lambda: cnn.BatchNorm2d(2))(IMAGES),
    "CNN": lambda: on_meta(cnn.CNN)(DIGITS),
    "LocallyConnected2d": lambda: on_meta(lambda: cnn.LocallyConnected2d(1, 2, 28, 3))(DIGITS),
    "ConvBlock": lambda: on_meta(lambda: cnn.ConvBlock(1, 2))(DIGITS),
    "ResidualBlock": lambda: on_meta(lambda: cnn.ResidualBlock(1))(DIGITS),
    "ResNet": lambda: on_meta(cnn.ResNet)(DIGITS),
    "pad_same": lambda: efficientnet.pad_same(IMAGES, 3, 2),
    "ConvNorm": lambda: on_meta(lambda: efficientnet.ConvNorm(2, 3))(IMAGES),
    "InvertedResidual": lambda: on_meta(lambda: efficientnet.InvertedResidual(2, 3))(IMAGES),
    "EfficientNetLite": lambda: on_meta(efficientnet.EfficientNetLite)(numbers(2, 3, 64, 64)),
    "scale_image": lambda: efficientnet.scale_image(DIGITS, 40),
}
VALUES = {
    "cross_entropy_gradient": "torch's one_hot looks for the largest class",
    "finite_difference": "it measures two values of the loss",
    "output_size": "no tensors",
    "receptive_field": "no tensors",
}


def test_every_public_name_is_called_or_has_a_reason():
    assert public_names(activations, cnn, conv, efficientnet, losses, network) == CALLS.keys() | VALUES.keys()


@pytest.mark.parametrize("name", CALLS)
def test_the_result_is_where_the_inputs_are(name):
    assert {tensor.device for tensor in tensors_in(CALLS[name]())} <= {META}  # he_normal_ returns nothing


@pytest.mark.parametrize("make", [cnn.CNN, cnn.ResNet, lambda: network.MLP([784, 8, 10], dropout=0.5)])
def test_gradients_are_where_the_weights_are(make):
    model = on_meta(make)
    losses.cross_entropy(model(DIGITS), TARGET[:2]).backward()
    assert {parameter.grad.device for parameter in model.parameters()} == {META}
