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
from tests.helpers.equations import equation
from tests.helpers.references import assert_same, random, tensor

small, pairs = st.integers(1, 3), lambda numbers: st.one_of(numbers, st.tuples(numbers, numbers))


def fits(side, kernel, padding=0, dilation=1):
    return all(
        n + 2 * p >= d * (k - 1) + 1
        for n, k, p, d in zip(side, *map(conv._pair, (kernel, padding, dilation)), strict=True)
    )


# --- convolution ------------------------------------------------------------------------------------------------------


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


def test_unfold_equals_torch():
    torch.manual_seed(0)
    x = random(2, 3, 7, 6)
    ours = conv.unfold(x, (2, 3), (2, 1), (1, 0), (1, 2))  # (batch, rows, columns, taps, channels)
    theirs = F.unfold(x, (2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2))  # (batch, channels taps, places)
    assert_close(ours.permute(0, 4, 3, 1, 2).reshape(theirs.shape), theirs)


# --- pooling ----------------------------------------------------------------------------------------------------------


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
    return random(n, n).tolist(), random(k, k).tolist()


def slide(x, w, at, n=4, k=3):
    """Sum x[at(i, p)][at(j, q)] w[p][q] for i and j from 1 to n; all indices count from 1, as on paper."""
    steps = range(1, k + 1)
    return [
        [sum(x[at(i, p) - 1][at(j, q) - 1] * w[p - 1][q - 1] for p in steps for q in steps) for j in range(1, n + 1)]
        for i in range(1, n + 1)
    ]


@equation(
    "3.2.1a",
    "dlbook.conv.conv2d",
    lambda x, w: slide(x, w, lambda i, p: i + p - 1),
    lambda x, w: slide(x, w, lambda i, p: i + p),  # an index shift, as if counted from 0
    lambda x, w: slide(x, w, lambda i, p: i + 3 - p),  # the kernel turned over: true convolution
    lambda x, w: slide(x, [list(column) for column in zip(*w, strict=True)], lambda i, p: i + p - 1),  # a transpose
)
def test_cross_correlation_as_printed(formula):
    x, w = image_and_kernel()
    x += [[0.0] * 6]
    x = [[*row, 0.0] for row in x]  # a border, so that the shifted index finds something
    expected = conv.conv2d(tensor(x)[None, None], tensor(w)[None, None])[0, 0, :4, :4]
    assert_close(tensor(formula(x, w)), expected)


def conv_by_index(x, w, b, s, P, d, sign=1, step=1, over=None):
    """Evaluate the whole formula for one example; a pixel outside the image is zero."""
    height, width, k = len(x[0]), len(x[0][0]), len(w[0][0])
    over = over or range(len(x))
    sizes = [(n + 2 * P - d * (k - 1) - 1) // s + 1 for n in (height, width)]

    def pixel(c, u, v):
        return x[c][u - 1][v - 1] if 1 <= u <= height and 1 <= v <= width else 0.0

    def place(i, p):
        return s * (i - 1) + d * (p - 1) + step - P

    return [
        [
            [
                sign * b[o]
                + sum(
                    w[o][c][p - 1][q - 1] * pixel(c, place(i, p), place(j, q))
                    for c in over
                    for p, q in itertools.product(range(1, k + 1), repeat=2)
                )
                for j in range(1, sizes[1] + 1)
            ]
            for i in range(1, sizes[0] + 1)
        ]
        for o in range(len(w))
    ]


@equation(
    "3.2.1b",
    "dlbook.conv.conv2d",
    conv_by_index,
    lambda *terms: conv_by_index(*terms, sign=-1),  # a sign
    lambda *terms: conv_by_index(*terms, step=2),  # an index shift
    lambda *terms: conv_by_index(*terms, over=[0]),  # one channel only
)
def test_convolution_layer_as_printed(formula):
    torch.manual_seed(0)
    x, w, b = random(1, 2, 7, 6), random(3, 2, 3, 3), random(3)
    for s, padding, d in [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 2)]:
        expected = conv.conv2d(x, w, b, stride=s, padding=padding, dilation=d)[0]
        assert_close(tensor(formula(x[0].tolist(), w.tolist(), b.tolist(), s, padding, d)), expected)


@equation(
    "3.2.1c",
    "dlbook.conv.output_size",
    lambda n, k, s, P, d: (n + 2 * P - d * (k - 1) - 1) // s + 1,
    lambda n, k, s, P, d: (n + 2 * P - d * (k - 1) - 1) // s,  # the last place forgotten
    lambda n, k, s, P, d: (n + P - d * (k - 1) - 1) // s + 1,  # padding at one end
    lambda n, k, s, P, d: -(-(n + 2 * P - d * (k - 1) - 1) // s) + 1,  # rounded up
)
def test_output_size_as_printed(formula):
    for n, k, s, padding, d in itertools.product(range(5, 9), (1, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        x = torch.empty(1, 1, n, n)
        assert formula(n, k, s, padding, d) == F.conv2d(x, torch.empty(1, 1, k, k), None, s, padding, d).shape[2]
        assert formula(n, k, s, padding, d) == conv.output_size(n, k, s, padding, d)


@equation(
    "3.2.1d",
    "dlbook.conv.conv2d",
    lambda x, w: slide(x, w, lambda i, p: i + 3 - p),
    lambda x, w: slide(x, w, lambda i, p: i + p - 1),  # cross-correlation
    lambda x, w: slide(x, w, lambda i, p: i + 2 - p if i + 2 > p else i),  # an index shift
)
def test_true_convolution_as_printed(formula):
    x, w = image_and_kernel()
    ours = conv.conv2d(tensor(x)[None, None], tensor(w).flip(0, 1)[None, None])[0, 0]  # the kernel turned over
    assert_close(tensor(formula(x, w)), ours)
    rows = [sum(np.convolve(x[i + 2 - p], w[p], "valid") for p in range(3)) for i in range(4)]  # as NumPy defines it
    assert_close(tensor(formula(x, w)), tensor(np.array(rows)))


@equation(
    "3.2.1e",
    "dlbook.conv.receptive_field",
    lambda r, k, strides: r + (k - 1) * torch.tensor(strides).prod().item(),
    lambda r, k, strides: r + k * torch.tensor(strides).prod().item(),  # without the minus one
    lambda r, k, strides: r + (k - 1) * sum(strides),  # a sum of strides
    lambda r, k, strides: r + (k - 1),  # without the strides
)
def test_receptive_field_as_printed(formula):
    layers, r, strides = [(3, 1), (2, 2), (3, 1), (2, 2), (3, 3)], 1, [1]
    for number, (k, s) in enumerate(layers, 1):
        r = formula(r, k, strides)
        strides.append(s)
        assert r == conv.receptive_field(layers[:number])[0]


def gradients():
    """Return image, kernel, and autograd's gradients of a loss by the result, the kernel and the image."""
    x, w = (tensor(values).requires_grad_() for values in image_and_kernel())
    y = conv.conv2d(x[None, None], w[None, None])[0, 0]
    y.retain_grad()
    (y**3).sum().backward()
    return x.detach().tolist(), w.detach().tolist(), y.grad.tolist(), w.grad, x.grad


@equation(
    "3.2.1f",
    "dlbook.conv.conv2d",
    lambda delta, x: slide(x, delta, lambda p, i: i + p - 1, n=3, k=4),
    lambda delta, x: slide(x, delta, lambda p, i: i + (3 - p), n=3, k=4),  # the kernel turned over
    lambda delta, x: [[-g for g in row] for row in slide(x, delta, lambda p, i: i + p - 1, n=3, k=4)],  # a sign
)
def test_gradient_of_the_kernel_as_printed(formula):
    x, _, delta, kernel_gradient, _ = gradients()
    assert_close(tensor(formula(delta, x)), kernel_gradient)


def back(delta, w, at):
    """Sum delta[at(u, p)][at(v, q)] w[p][q]; outside its range delta is zero."""

    def error(i, j):
        return delta[i - 1][j - 1] if 1 <= i <= 4 and 1 <= j <= 4 else 0.0

    steps = list(itertools.product(range(1, 4), repeat=2))
    return [
        [sum(error(at(u, p), at(v, q)) * w[p - 1][q - 1] for p, q in steps) for v in range(1, 7)] for u in range(1, 7)
    ]


@equation(
    "3.2.1g",
    "dlbook.conv.conv2d",
    lambda delta, w: back(delta, w, lambda u, p: u - p + 1),
    lambda delta, w: back(delta, w, lambda u, p: u + p - 3),  # the kernel not turned over
    lambda delta, w: back(delta, w, lambda u, p: u - p),  # an index shift
)
def test_gradient_of_the_image_as_printed(formula):
    _, w, delta, _, image_gradient = gradients()
    assert_close(tensor(formula(delta, w)), image_gradient)


def pool_by_index(x, k, s, reduce, step=0):
    n = (len(x) - k) // s + 1
    places, window = range(1, n + 1), range(1, k + 1)
    return [
        [
            reduce(
                [
                    x[min(s * (i - 1) + p + step, len(x)) - 1][min(s * (j - 1) + q + step, len(x)) - 1]
                    for p in window
                    for q in window
                ]
            )
            for j in places
        ]
        for i in places
    ]


def mean(values):
    return sum(values) / len(values)


@equation(
    "3.2.2a",
    "dlbook.conv.max_pool2d",
    lambda x, k, s: pool_by_index(x, k, s, max),
    lambda x, k, s: pool_by_index(x, k, s, min),  # the least
    lambda x, k, s: pool_by_index(x, k, s, max, step=1),  # an index shift
    lambda x, k, s: pool_by_index(x, k, s, lambda window: max(map(abs, window))),  # the largest in size
)
def test_max_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    for k, s in [(2, 2), (2, 1), (3, 2), (3, 3)]:
        assert_close(tensor(formula(x, k, s)), conv.max_pool2d(tensor(x)[None, None], k, s)[0, 0])


@equation(
    "3.2.2b",
    "dlbook.conv.avg_pool2d",
    lambda x, k, s: pool_by_index(x, k, s, mean),
    lambda x, k, s: pool_by_index(x, k, s, sum),  # the sum
    lambda x, k, s: pool_by_index(x, k, s, mean, step=1),  # an index shift
)
def test_average_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    for k, s in [(2, 2), (2, 1), (3, 2), (3, 3)]:
        assert_close(tensor(formula(x, k, s)), conv.avg_pool2d(tensor(x)[None, None], k, s)[0, 0])


def route(x, y, delta, k, s, share):
    """Add, for each pixel, the errors of the windows that it lies in, each times its share of that window."""
    n = range(1, len(y) + 1)
    return [
        [
            sum(
                delta[i - 1][j - 1] * share(x[u - 1][v - 1], y[i - 1][j - 1])
                for i in n
                for j in n
                if 1 <= u - s * (i - 1) <= k and 1 <= v - s * (j - 1) <= k
            )
            for v in range(1, len(x) + 1)
        ]
        for u in range(1, len(x) + 1)
    ]


@equation(
    "3.2.2c",
    "dlbook.conv.max_pool2d",
    lambda x, y, delta, k, s: route(x, y, delta, k, s, lambda pixel, top: float(pixel == top)),
    lambda x, y, delta, k, s: route(x, y, delta, k, s, lambda pixel, top: 1 / k**2),  # shared out, as in an average
    lambda x, y, delta, k, s: route(x, y, delta, k, s, lambda pixel, top: 1.0),  # to all of the window
)
def test_gradient_of_max_pooling_as_printed(formula):
    x, _ = image_and_kernel()
    for k, s in [(2, 2), (2, 1), (3, 2)]:
        pixels = tensor(x).requires_grad_()
        y = conv.max_pool2d(pixels[None, None], k, s)[0, 0]
        y.retain_grad()
        (y**3).sum().backward()
        expected = formula(x, y.tolist(), y.grad.tolist(), k, s)
        assert_close(tensor(expected), pixels.grad)
