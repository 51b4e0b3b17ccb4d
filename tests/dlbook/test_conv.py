"""Convolution and pooling: equal to PyTorch in value and in every gradient, and to the formulas as printed."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook import conv
from tests.helpers.equations import executed
from tests.helpers.references import assert_same, random, reference, tensor

small, pairs = st.integers(1, 3), lambda numbers: st.one_of(numbers, st.tuples(numbers, numbers))


def fits(side, kernel, padding=0, dilation=1):
    return all(
        n + 2 * p >= d * (k - 1) + 1
        for n, k, p, d in zip(side, *map(conv._pair, (kernel, padding, dilation)), strict=True)
    )


# --- convolution ------------------------------------------------------------------------------------------------------


@reference("dlbook.conv.conv2d", to="torch.nn.functional.conv2d")
@given(
    batch=st.integers(0, 3),
    groups=small,
    channels=small,
    outputs=small,
    side=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=pairs(small),
    padding=pairs(st.integers(0, 2)),
    dilation=pairs(small),
    bias=st.booleans(),
)
def test_conv2d_equals_torch(batch, groups, channels, outputs, side, kernel, stride, padding, dilation, bias):
    assume(fits(side, kernel, padding, dilation))
    torch.manual_seed(0)
    x = random(batch, groups * channels, *side)
    weight = random(groups * outputs, channels, *kernel)
    parameters = [weight, random(groups * outputs)] if bias else [weight]

    def run(function):
        return lambda x, w, b=None: function(x, w, b, stride, padding, dilation, groups)

    assert_same(run(conv.conv2d), run(F.conv2d), x, *parameters)


def test_conv2d_of_one_pixel_is_a_dense_layer():
    torch.manual_seed(0)
    x, weight, bias = random(4, 3, 1, 1), random(5, 3, 1, 1), random(5)
    assert_close(conv.conv2d(x, weight, bias).flatten(1), F.linear(x.flatten(1), weight.flatten(1), bias))


def test_conv2d_in_second_order():
    torch.manual_seed(0)
    x, weight = random(1, 2, 4, 4).requires_grad_(), random(2, 2, 2, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, w: conv.conv2d(x, w, stride=2, padding=1), (x, weight))


@given(st.integers(0, 3), st.integers(0, 3))
def test_a_shifted_image_gives_a_shifted_result(down, right):
    torch.manual_seed(0)
    x, weight = random(1, 1, 16, 16), random(2, 1, 3, 3)
    x[..., :4, :], x[..., -4:, :], x[..., :, :4], x[..., :, -4:] = 0, 0, 0, 0
    moved = conv.conv2d(x.roll((down, right), (2, 3)), weight, padding=1)
    assert_close(moved, conv.conv2d(x, weight, padding=1).roll((down, right), (2, 3)))


@reference("dlbook.conv.unfold", to="torch.nn.functional.unfold")
def test_unfold_equals_torch():
    torch.manual_seed(0)
    x = random(2, 3, 7, 6)
    ours = conv.unfold(x, (2, 3), (2, 1), (1, 0), (1, 2))  # (batch, rows, columns, taps, channels)
    theirs = F.unfold(x, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2))  # (batch, channels taps, places)
    assert_close(ours.permute(0, 4, 3, 1, 2).reshape(theirs.shape), theirs)


# --- pooling ----------------------------------------------------------------------------------------------------------


@reference("dlbook.conv.max_pool2d", to="torch.nn.functional.max_pool2d")
@settings(max_examples=30)
@given(
    batch=st.integers(0, 3),
    channels=small,
    side=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=pairs(st.integers(1, 4)),
    stride=st.one_of(st.none(), pairs(small)),
    padding=pairs(st.integers(0, 2)),
    dilation=pairs(st.integers(1, 2)),
    ties=st.booleans(),
)
def test_max_pool2d_equals_torch(batch, channels, side, kernel, stride, padding, dilation, ties):
    assume(fits(side, kernel, padding, dilation))
    torch.manual_seed(0)
    x = random(batch, channels, *side)
    x = x.relu().round() if ties else x  # many equal values, as after ReLU
    arguments = kernel, stride, padding, dilation
    try:
        blank = F.max_pool2d(torch.zeros(1, 1, *side), *arguments)
    except RuntimeError:  # torch's rule for padding is stricter than ours
        assume(False)
    if blank.isneginf().any():  # where torch answers with minus infinity, ours is an error
        with pytest.raises(ValueError, match="padding must leave a pixel in every window"):
            conv.max_pool2d(x, *arguments)
    else:
        assert_same(lambda x: conv.max_pool2d(x, *arguments), lambda x: F.max_pool2d(x, *arguments), x)


@reference("dlbook.conv.avg_pool2d", to="torch.nn.functional.avg_pool2d")
@given(
    batch=st.integers(0, 3),
    channels=small,
    side=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=pairs(st.integers(1, 4)),
    stride=st.one_of(st.none(), pairs(small)),
    halves=st.tuples(st.booleans(), st.booleans()),
)
def test_avg_pool2d_equals_torch(batch, channels, side, kernel, stride, halves):
    padding = tuple(half * k // 2 for half, k in zip(halves, conv._pair(kernel), strict=True))
    assume(fits(side, kernel, padding))
    torch.manual_seed(0)
    x = random(batch, channels, *side)
    assert_same(
        lambda x: conv.avg_pool2d(x, kernel, stride, padding), lambda x: F.avg_pool2d(x, kernel, stride, padding), x
    )


@reference("dlbook.conv.global_avg_pool", to="torch.nn.functional.adaptive_avg_pool2d")
@given(st.integers(0, 3), small, st.integers(1, 5), st.integers(1, 5))
def test_global_average_equals_torch(batch, channels, height, width):
    torch.manual_seed(0)
    x = random(batch, channels, height, width)
    assert_same(conv.global_avg_pool, lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), x)


def test_pooling_before_relu_is_pooling_after_relu():
    torch.manual_seed(0)
    x = random(3, 2, 6, 6)
    x[0] = 0  # exact zeros, as on an empty background with zero biases
    assert_same(lambda x: conv.max_pool2d(x, 2).relu(), lambda x: conv.max_pool2d(x.relu(), 2), x)


# --- receptive field --------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=3))
def test_receptive_field_is_where_the_gradient_goes(layers):
    size, jump = conv.receptive_field(layers)
    x = torch.zeros(1, 1, size + jump, 1, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = conv.conv2d(y, torch.ones(1, 1, kernel, 1, dtype=torch.float64), stride=(stride, 1))
    assert y.shape[2] == 2
    seen = [torch.autograd.grad(y[0, 0, n, 0], x, retain_graph=True)[0].flatten().nonzero().flatten() for n in (0, 1)]
    assert (seen[0].min(), seen[0].max(), seen[1].min()) == (0, size - 1, jump)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: conv.conv2d(x, random(1, 2, 6, 1)),
            r"kernel must fit into the padded image: got one that spans 6",
        ),
        (lambda x: conv.conv2d(x, random(1, 2, 3, 3), dilation=3), "got one that spans 7 pixels for 5"),
        (lambda x: conv.conv2d(x, random(1, 2, 3, 3), stride=0), "at least 1 and padding at least 0: .* stride=0"),
        (lambda x: conv.conv2d(x, random(1, 2, 3, 3), padding=-1), "padding=-1"),
        (lambda x: conv.conv2d(x, random(1, 3, 3, 3)), "got 2 channels, weight of 1 × 3, groups=1"),
        (lambda x: conv.conv2d(x, random(3, 1, 3, 3), groups=2), "got 2 channels, weight of 3 × 1, groups=2"),
        (lambda x: conv.conv2d(x, random(3, 2, 3, 3), groups=0), "groups=0"),
        (lambda x: conv.conv2d(x, random(3, 2, 3, 3), random(2)), r"bias must have the shape \(3,\): got \(2,\)"),
        (lambda x: conv.conv2d(x, random(3, 2, 3)[0]), r"weight must have the shape .*got \(2, 3\)"),
        (lambda x: conv.max_pool2d(x, 6), "kernel must fit into the padded image"),
        (lambda x: conv.max_pool2d(x, 2, padding=2), "padding must leave a pixel in every window: got kernel=2"),
        (lambda x: conv.avg_pool2d(x, (2, 0)), "kernel=0"),
        (lambda x: conv.receptive_field([(3, 1), (3, 0)]), r"got \(3, 0\)"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(random(1, 2, 5, 5))


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (1, 1, 2, 5, 5)])
@pytest.mark.parametrize(
    "call", [lambda x: conv.conv2d(x, random(1, 1, 2, 2)), lambda x: conv.max_pool2d(x, 2), lambda x: conv.unfold(x, 2)]
)
def test_the_wrong_number_of_dimensions_is_named(call, shape, unchecked):
    message = rf"x must have the shape \(batch, channels, height, width\): got \({', '.join(map(str, shape))}\)"
    with pytest.raises(ValueError, match=message):
        call(random(*shape))


# --- the equations, as printed ----------------------------------------------------------------------------------------


def image_and_kernel(k=3, n=6):
    torch.manual_seed(0)
    return random(n, n), random(k, k)


SLIDING = {"i": 4, "j": 4}  # where a kernel of 3 fits into an image of 6


@executed("3.2.1a", of="dlbook.conv.conv2d")
def test_cross_correlation_as_printed(formula):
    x, w = image_and_kernel()
    found = formula({"x": x, "w": w, "k": 3}, SLIDING)
    assert_close(conv.conv2d(x[None, None], w[None, None])[0, 0], tensor(found["y"]))


@executed("3.2.1b", of="dlbook.conv.conv2d")
def test_convolution_layer_as_printed(formula):
    x, w, b = random(1, 2, 6, 5), random(2, 2, 3, 3), random(2)
    names = {"x": x[0], "w": w, "b": b, "k": 3}
    for s, padding, d in [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)]:
        expected = conv.conv2d(x, w, b, stride=s, padding=padding, dilation=d)[0]
        ranges = dict(zip("oij", expected.shape, strict=True)) | {"c": 2}
        found = formula(names | {"s": s, "P": padding, "d": d}, ranges, padded=["x"])
        assert_close(tensor(found["y"]), expected)


@executed("3.2.1c", of="dlbook.conv.output_size")
def test_output_size_as_printed(formula):
    for n, k, s, padding, d in itertools.product((5, 8), (1, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        found = formula({"n": n, "k": k, "s": s, "P": padding, "d": d})["value"]
        x = torch.empty(1, 1, n, n)
        assert found == F.conv2d(x, torch.empty(1, 1, k, k), None, s, padding, d).shape[2]
        assert found == conv.output_size(n, k, s, padding, d)


@executed("3.2.1d", of="dlbook.conv.conv2d")
def test_true_convolution_as_printed(formula):
    x, w = image_and_kernel()
    found = tensor(formula({"x": x, "w": w, "k": 3}, SLIDING)["y"])
    assert_close(found, conv.conv2d(x[None, None], w.flip(0, 1)[None, None])[0, 0])  # the kernel turned over
    rows = [sum(np.convolve(x[i + 2 - p], w[p], "valid") for p in range(3)) for i in range(4)]  # as NumPy defines it
    assert_close(found, tensor(np.array(rows)))


@executed("3.2.1e", of="dlbook.conv.receptive_field")
def test_receptive_field_as_printed(formula):
    layers = [(3, 1), (2, 2), (3, 1), (2, 2), (3, 3)]
    kernels, strides = zip(*layers, strict=True)
    found = formula({"k": list(kernels), "s": list(strides)}, {"l": 5})
    assert [found["r_0"], *found["r"]] == [conv.receptive_field(layers[:n])[0] for n in range(6)]


def gradients():
    """Return image, kernel, and autograd's gradients of a loss by the result, the kernel and the image."""
    x, w = (values.requires_grad_() for values in image_and_kernel())
    y = conv.conv2d(x[None, None], w[None, None])[0, 0]
    y.retain_grad()
    (y**3).sum().backward()
    return x, w, y.grad, w.grad, x.grad


@executed("3.2.1f", of="dlbook.conv.conv2d")
def test_gradient_of_the_kernel_as_printed(formula):
    x, _, delta, kernel_gradient, _ = gradients()
    found = formula({"delta": delta, "x": x}, SLIDING | {"p": 3, "q": 3})
    assert_close(tensor(found["dL/dw"]), kernel_gradient)


@executed("3.2.1g", of="dlbook.conv.conv2d")
def test_gradient_of_the_image_as_printed(formula):
    _, w, delta, _, image_gradient = gradients()
    found = formula({"delta": delta, "w": w, "k": 3}, {"u": 6, "v": 6}, padded=["delta"])
    assert_close(tensor(found["dL/dx"]), image_gradient)


POOLINGS = [(2, 2), (2, 1), (3, 2), (3, 3)]


def windows(y):
    """Return the ranges of a pooled image."""
    return {"i": y.shape[0], "j": y.shape[1]}


@executed("3.2.2a", of="dlbook.conv.max_pool2d")
def test_max_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    for k, s in POOLINGS:
        y = conv.max_pool2d(x[None, None], k, s)[0, 0]
        assert_close(tensor(formula({"x": x, "k": k, "s": s}, windows(y))["y"]), y)


@executed("3.2.2b", of="dlbook.conv.avg_pool2d")
def test_average_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    for k, s in POOLINGS:
        y = conv.avg_pool2d(x[None, None], k, s)[0, 0]
        assert_close(tensor(formula({"x": x, "k": k, "s": s}, windows(y))["y"]), y)


@executed("3.2.2c", of="dlbook.conv.max_pool2d")
def test_gradient_of_max_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    x.requires_grad_()
    for k, s in POOLINGS[:3]:
        y = conv.max_pool2d(x[None, None], k, s)[0, 0]
        (gradient,) = torch.autograd.grad((y**3).sum(), x)

        def is_maximum(u, v, i, j, k=k, s=s, y=y):
            inside = 0 <= u - 1 - s * (i - 1) < k and 0 <= v - 1 - s * (j - 1) < k
            return inside and x[u - 1, v - 1] == y[i - 1, j - 1]

        names = {"delta": 3 * y**2, r"x_{uv} is the maximum of window (i,j)": is_maximum}
        found = formula(names, windows(y) | {"u": 6, "v": 6})
        assert_close(tensor(found["dL/dx"]), gradient)
