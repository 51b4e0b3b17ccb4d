"""EfficientNet-Lite: its layers, and the whole as the code that ships with the weights."""

import math

import efficientnet_lite_pytorch as shipped
import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch.model import MBConvBlock
from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.efficientnet import ConvNorm, EfficientNetLite, InvertedResidual, pad_same, scale_image
from dlbook.pretrained import _efficientnet_state
from tests.helpers.references import assert_same, reference


@reference("dlbook.efficientnet.pad_same", to="efficientnet_lite_pytorch.utils.Conv2dStaticSamePadding")
@given(side=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.integers(1, 3))
def test_same_padding(side, kernel, stride):
    theirs = Conv2dStaticSamePadding(2, 3, kernel, stride=stride, image_size=side, bias=False)
    x = torch.randn(2, 2, side, side)
    ours = F.conv2d(pad_same(x, kernel, stride), theirs.weight, stride=stride)
    assert_close(ours, theirs(x))
    assert ours.shape[2:] == 2 * (math.ceil(side / stride),)


def test_padding_of_an_image_that_is_not_square():
    x = torch.ones(1, 1, 4, 5)
    assert pad_same(x, 3, 2).shape == (1, 1, 5, 7)
    assert pad_same(x, 3, 2)[0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0]  # nothing above, one pixel to the left


@pytest.mark.parametrize("stride, outputs, expansion", [(1, 8, 6), (2, 8, 6), (1, 12, 6), (1, 8, 1)])
def test_a_block_by_hand(stride, outputs, expansion):
    """Expand, filter each channel alone, project; residual only where the shape stays."""
    block = InvertedResidual(8, outputs, 3, stride, expansion).eval()
    x, inner = torch.randn(2, 8, 6, 6), 8 * expansion

    def layer(part, z, groups=1):
        z = F.conv2d(z, part.conv.weight, stride=part.stride, groups=groups)
        return F.batch_norm(
            z, part.norm.running_mean, part.norm.running_var, part.norm.weight, part.norm.bias, eps=1e-3
        )

    wide = F.relu6(layer(block.expand, x)) if expansion > 1 else x
    filtered = F.relu6(layer(block.filter, pad_same(wide, 3, stride), groups=inner))
    expected = layer(block.project, filtered)
    if stride == 1 and outputs == 8:
        expected = expected + x
    assert_close(block(x), expected)
    weights = sum(p.numel() for p in block.parameters())
    norms = 2 * ((expansion > 1) * inner + inner + outputs)
    assert weights == (expansion > 1) * 8 * inner + 9 * inner + inner * outputs + norms


@pytest.fixture
def pair():
    """Our network and the shipped one with the same weights: without dropout, and without blocks that are left out."""
    theirs = shipped.EfficientNet.from_name("efficientnet-lite0", image_size=64, num_classes=7, dropout_rate=0.0)
    theirs._global_params = theirs._global_params._replace(drop_connect_rate=0.0)
    ours = EfficientNetLite(classes=7, dropout=0.0)
    ours.load_state_dict(_efficientnet_state(theirs.state_dict(), len(ours.blocks)))
    return ours.double(), theirs.double()


@reference("dlbook.efficientnet.EfficientNetLite", to="efficientnet_lite_pytorch.EfficientNet")
@pytest.mark.parametrize("training", [False, True])
def test_a_whole_network_with_random_weights(pair, training):
    """Batch normalisation of batches as well as by running averages."""
    ours, theirs = pair
    assert isinstance(ours, EfficientNetLite) and isinstance(theirs, shipped.EfficientNet)
    ours.train(training)
    theirs.train(training)
    assert_same(ours, theirs, torch.randn(4, 3, 64, 64, dtype=torch.float64))
    assert_close(ours.head.norm.running_var, theirs._bn1.running_var)
    assert_close(ours.head.conv.weight.grad, theirs._conv_head.weight.grad)


@reference("dlbook.efficientnet.InvertedResidual", to="efficientnet_lite_pytorch.model.MBConvBlock")
@pytest.mark.parametrize("number", [0, 1, 2, 3, 15])
def test_each_kind_of_block(pair, number):
    ours, theirs = (model.eval() for model in pair)
    ours, theirs = ours.blocks[number], theirs._blocks[number]
    assert isinstance(ours, InvertedResidual) and isinstance(theirs, MBConvBlock)
    side = {0: 32, 1: 32, 2: 16, 3: 16, 15: 2}[number]  # of 64 × 64 pixels, where this block stands
    assert_same(ours, theirs, torch.randn(2, theirs._block_args.input_filters, side, side, dtype=torch.float64))


@reference("dlbook.efficientnet.ConvNorm", to="torch.nn.Conv2d")
@pytest.mark.parametrize("depthwise, activation", [(False, True), (True, True), (False, False)])
def test_a_convolution_with_its_norm(depthwise, activation):
    ours = ConvNorm(4, 4, 3, 1, depthwise, activation).double().eval()
    convolution = nn.Conv2d(4, 4, 3, padding=1, groups=4 if depthwise else 1, bias=False).double()
    convolution.load_state_dict(ours.conv.state_dict())
    last = nn.ReLU6() if activation else nn.Identity()
    assert_same(ours, nn.Sequential(convolution, ours.norm, last), 4 * torch.randn(2, 4, 5, 5, dtype=torch.float64))


def test_dropout_is_at_the_features():
    model = EfficientNetLite(classes=2, stages=[(1, 3, 2, 16, 1)], dropout=0.5)
    x = torch.randn(3, 3, 32, 32)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert_close(model(x), model.output(model.features(x)))


def test_scaled_images():
    grey = torch.linspace(0, 1, 28 * 28).reshape(1, 1, 28, 28)
    found = scale_image(grey, side=56)
    assert found.shape == (1, 3, 56, 56)
    assert_close(found[:, 0], found[:, 2])
    assert found.min() >= -127 / 128 and found.max() <= 1
    colour = torch.rand(2, 3, 8, 8)
    assert_close(scale_image(colour, side=8), (colour * 255 - 127) / 128)


@reference("dlbook.efficientnet.scale_image", to="PIL.Image.Image.resize")
@pytest.mark.parametrize("side", [8, 20, 40])
def test_images_are_scaled_as_in_pillow(side):
    """On floating-point images; others are rounded there."""
    grey = torch.rand(1, 1, 20, 20)
    image = Image.fromarray(grey[0, 0].numpy())
    resized = Image.Image.resize(image, (side, side), Image.Resampling.BILINEAR)
    expected = (torch.from_numpy(np.array(resized)) * 255 - 127) / 128
    assert_close(scale_image(grey, side)[0, 1], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: pad_same(torch.zeros(3, 8, 8), 3, 1), ValueError, "x must have the shape"),
        (lambda: pad_same(torch.zeros(1, 3, 8, 8), 0, 1), ValueError, "kernel must be at least 1: got 0"),
        (lambda: ConvNorm(8, 4, depthwise=True), ValueError, "outputs must be inputs in a depthwise convolution"),
        (lambda: ConvNorm(8, 4)(torch.zeros(1, 3, 8, 8)), ValueError, "x must have the shape"),
        (lambda: InvertedResidual(8, 4, expansion=0), ValueError, "expansion must be at least 1: got 0"),
        (lambda: EfficientNetLite(classes=0), ValueError, "classes must be at least 1: got 0"),
        (lambda: EfficientNetLite(stages=[]), ValueError, "stages must be at least 1: got 0"),
        (lambda: SMALL(torch.zeros(1, 1, 32, 32)), ValueError, "x must have the shape"),
        (lambda: SMALL(torch.zeros(1, 3, 32, 32, dtype=torch.float64)), TypeError, "float64"),
        (lambda: scale_image(torch.zeros(1, 2, 8, 8)), ValueError, "x must have 1 or 3 channels: got"),
        (lambda: scale_image(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), TypeError, "x must be floating point"),
        (lambda: scale_image(torch.full((1, 3, 8, 8), 255.0)), ValueError, "x must be from 0 to 1: got 255 to 255"),
        (lambda: scale_image(torch.zeros(1, 3, 8, 8), side=0), ValueError, "side must be at least 1: got 0"),
    ],
)
def test_errors(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()


SMALL = EfficientNetLite(classes=2, stages=[(1, 3, 2, 16, 1)])
