"""PyTorch's layers with our weights: the same results and gradients behind the same interface."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.activations import relu, sigmoid
from dlbook.fused import FusedRecurrent, as_torch
from dlbook.recurrent import Cell, GRUCell, LSTMCell, Recurrent, RNNCell
from tests.helpers.models import fill
from tests.helpers.references import random

CELLS = {
    "tanh": RNNCell,
    "torch.tanh": partial(RNNCell, activation=torch.tanh),
    "relu": partial(RNNCell, activation=relu, biases=2),
    "lstm": LSTMCell,
    "lstm2": partial(LSTMCell, biases=2),
    "gru": GRUCell,
}
LAYERS = dict(kind=st.sampled_from(sorted(CELLS)), layers=st.integers(1, 3), directions=st.integers(1, 2))


def make(kind, layers=1, directions=1, dtype=torch.float64):
    """Make our layers, with no parameter zero."""
    return fill(Recurrent(CELLS[kind], 2, 3, layers, directions)).to(dtype)


@given(**LAYERS, double=st.booleans())
def test_torchs_layers_give_the_same(kind, layers, directions, double):
    dtype = torch.float64 if double else torch.float32
    ours = make(kind, layers, directions, dtype)
    theirs, x = as_torch(ours), torch.randn(2, 4, 2, dtype=dtype)
    (y, state), (expected, end) = ours(x), theirs(x)
    assert_close(y, expected)
    assert_close(state, tuple(part.transpose(0, 1) for part in (end if isinstance(end, tuple) else (end,))))
    trained = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    assert sum(p.numel() for p in trained) == sum(p.numel() for p in ours.parameters())
    y.square().sum().backward()
    expected.square().sum().backward()
    for mine, yours in zip(ours.parameters(), trained, strict=True):
        assert mine.data_ptr() != yours.data_ptr()  # a copy
        assert_close(mine.grad, yours.grad, rtol=1e-4, atol=1e-5)


@given(**LAYERS, batch=st.integers(0, 3), length=st.integers(1, 4), begin=st.booleans(), data=st.data())
def test_both_have_one_interface(kind, layers, directions, batch, length, begin, data):
    ours = make(kind, layers, directions)
    fused, x, lengths, state = FusedRecurrent(ours), random(batch, length, 2), None, None
    if data.draw(st.booleans(), label="variable lengths"):
        drawn = data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))
        lengths = torch.tensor(drawn, dtype=data.draw(st.sampled_from([torch.int64, torch.int32, torch.int8])))
        x[torch.arange(length) >= lengths[:, None]] = math.nan  # in the padding
    if begin:
        state = tuple(random(batch, layers * directions, 3) for _ in range(ours.cells[0].parts))
    (y, end), (expected, expected_end) = fused(x, state, lengths), ours(x, state, lengths)
    assert_close(y, expected)
    assert_close(end, expected_end)
    weights = random(*y.shape)
    trained = [parameter for parameter in fused.parameters() if parameter.requires_grad]
    assert_close(
        torch.autograd.grad((y * weights).sum() + end[-1].sum(), trained),
        torch.autograd.grad((expected * weights).sum() + expected_end[-1].sum(), list(ours.parameters())),
    )


def test_frozen_weights_stay_frozen():
    assert not any(p.requires_grad for p in as_torch(make("gru").requires_grad_(False)).parameters())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda fused, x: fused(x[:, :, :1]), r"x must have the shape \(batch, length, 2\): got \(2, 4, 1\)"),
        (lambda fused, x: fused(x[:, :0]), r"x must have a length of 1 or more: got \(2, 0, 2\)"),
        (lambda fused, x: fused(x, (random(1, 2, 3),)), r"state must hold the shapes .*2, 1, 3.*: got \[\(1, 2, 3\)\]"),
        (lambda fused, x: fused(x, random(2, 1, 3)), "state must be a tuple of tensors: got Tensor"),
        (lambda fused, x: fused(x, None, torch.tensor([0, 4])), "lengths must lie between 1 and .*: got 0 to 4"),
        (lambda fused, x: fused(x, None, torch.tensor([4.0, 1.0])), "lengths must hold integers"),
        (lambda fused, x: fused(x.float()), "x must have the type of the weights, torch.float64: got torch.float32"),
    ],
)
def test_errors(call, message, unchecked):
    for layers in (make("lstm"), FusedRecurrent(make("lstm"))):  # of one interface, and with the same messages
        with pytest.raises((ValueError, TypeError), match=message):
            call(layers, random(2, 4, 2))


def test_torch_has_two_functions_only():
    with pytest.raises(ValueError, match="activation must be tanh or relu for PyTorch's layer: got <function sigmoid"):
        as_torch(Recurrent(partial(RNNCell, activation=sigmoid), 1, 1))


class Leaky(GRUCell):
    """A cell with other equations than its parent's."""

    def step(self, projected, state):
        """Keep half of the state, whatever the gates say."""
        return tuple((new + old) / 2 for new, old in zip(super().step(projected, state), state, strict=True))


@pytest.mark.parametrize("cell", [Leaky, Cell])
def test_torch_has_no_layer_of_another_cell(cell):
    with pytest.raises(ValueError, match=f"recurrent must have cells with a torch_layer: got {cell.__name__}"):
        FusedRecurrent(Recurrent(cell, 1, 1))
