"""What an architecture assumes: dense layers with permuted, tied or repeated weights, as the chapter prints them."""

import numpy as np
import torch
from torch.func import functional_call
from torch.testing import assert_close

from dlbook.attention import MultiHeadAttention, RotarySelfAttention
from dlbook.conv import conv2d
from dlbook.network import MLP
from dlbook.recurrent import RNNCell
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor

ORDER = [2, 0, 3, 1]  # not its own inverse
PI = {1: 3, 2: 1, 3: 4, 4: 2}.__getitem__  # the same, counted from 1


@executed("2a", of="dlbook.network.MLP", same={r"W_{i \pi(j)} instead of w_{i \pi(j)}": "W is the matrix of all w_ij"})
def test_a_dense_network_does_not_see_the_order_of_its_inputs(formula):
    network, x, P = MLP([4, 5, 3]).double(), random(4), torch.eye(4)[ORDER]
    W = network.layers[0].weight.detach()

    def f(x, W):
        return functional_call(network, {"layers.0.weight": tensor(W)}, tensor(x)[None])[0]

    names = {"f": f, "P": P, "x": x, "W": W, "w": W, "pi": PI}
    found = formula(names, {"i": 5, "j": 4}, sides=True)
    for sides, expected in zip(found.values(), (network(x[None])[0], x[ORDER], W[:, ORDER]), strict=True):
        for side in sides:
            assert_close(tensor(side), expected)


@executed("2b", of="dlbook.conv.conv2d")
def test_a_convolution_is_a_dense_layer_with_tied_weights(formula):
    w, x = random(3), random(7)
    found = formula({"w": w, "x": x, "k": 3}, {"i": 5, "j": 7})

    def convolved(rows):
        return conv2d(rows[:, None, None], w[None, None, None])[:, 0, 0]

    assert_close(tensor(found["y"]), convolved(x[None])[0])
    assert_close(tensor(found["V"]).T, convolved(torch.eye(7).double()))


@executed("2c", of="dlbook.recurrent.RNNCell")
def test_a_recurrent_layer_repeats_one_block(formula):
    cell, x = RNNCell(3, 2).double(), random(4, 3)
    assert not cell.bias_ih.any()
    found = formula({"w": cell.weight_ih, "x": x}, {"t": 4, "u": 2, "s": 4, "j": 3})
    z = tensor(found["z"])
    assert_close(z, cell.project(x))
    of_each = cell.project(torch.eye(12).double().view(12, 4, 3))  # (step and number, step, unit)
    assert_close(tensor(found["V"]), of_each.permute(1, 2, 0).unflatten(2, (4, 3)))
    state = torch.zeros(1, 2).double()
    for t in range(4):  # and the state is all that joins the steps
        expected = torch.tanh(z[t] + state @ cell.weight_hh.T)
        (state,) = cell(x[t : t + 1], (state,))
        assert_close(state, expected)


@executed("2d", of="dlbook.attention.MultiHeadAttention")
def test_attention_without_positions_reorders_its_results_with_the_steps(formula):
    layer, x = MultiHeadAttention(6, 2).double(), random(4, 6)
    names = {"y": lambda i, *x: layer(tensor(np.stack(x))[None])[0, i - 1], "x": x, "T": 4, "pi": PI}
    (sides,) = formula(names, {"i": 4}, sides=True).values()
    for side in sides:
        assert_close(tensor(side), layer(x[None, ORDER])[0])


def test_attention_with_positions_sees_the_order():
    torch.manual_seed(0)
    layer, x = RotarySelfAttention(6, 1, 4).double(), random(1, 4, 6)
    assert (layer(x[:, ORDER]) - layer(x)[:, ORDER]).abs().max() > 1e-3
