"""What an architecture assumes: dense layers with permuted, tied or repeated weights, as the chapter prints them."""

import math

import torch
from torch import nn
from torch.testing import assert_close

from dlbook.attention import MultiHeadAttention, RotarySelfAttention
from dlbook.conv import conv2d
from dlbook.network import MLP
from dlbook.recurrent import RNNCell
from tests.helpers.equations import equation
from tests.helpers.references import random, tensor

ORDER = [2, 0, 3, 1]  # not its own inverse
INVERSE = [ORDER.index(j) for j in range(4)]


@equation(
    "2a",
    "dlbook.network.MLP",
    lambda w: [[row[ORDER[j]] for j in range(4)] for row in w],
    lambda w: [[row[INVERSE[j]] for j in range(4)] for row in w],  # permuted the other way
    lambda w: w,  # not permuted
    lambda w: [w[ORDER[i]] for i in range(4)],  # the rows: units instead of inputs
)
def test_a_dense_network_does_not_see_the_order_of_its_inputs(formula):
    torch.manual_seed(0)
    network, other = MLP([4, 4, 3]).double(), MLP([4, 4, 3]).double()
    other.load_state_dict(network.state_dict())
    other.layers[0].weight = nn.Parameter(tensor(formula(network.layers[0].weight.tolist())))
    x = random(5, 4)
    moved = tensor([[row[ORDER[j]] for j in range(4)] for row in x.tolist()])
    assert_close(other(moved), network(x))


def banded(w, n):
    k = len(w)

    def entry(i, j):  # i and j count from 1, as in the book
        return w[j - i] if 1 <= j - i + 1 <= k else 0

    return [[entry(i, j) for j in range(1, n + 1)] for i in range(1, n - k + 2)]


@equation(
    "2b",
    "dlbook.conv.conv2d",
    banded,
    lambda w, n: banded(w[::-1], n),  # the kernel turned over: a convolution of mathematics
    lambda w, n: [[0, *row[:-1]] for row in banded(w, n)],  # an index shift
    lambda w, n: [[w[0] if v else 0 for v in row] for row in banded(w, n)],  # one weight for all
)
def test_a_convolution_is_a_dense_layer_with_tied_weights(formula):
    torch.manual_seed(0)
    w, x = random(3), random(7)
    V = formula(w.tolist(), 7)
    y = [sum(V[i][j] * x[j].item() for j in range(7)) for i in range(5)]
    assert_close(conv2d(x.view(1, 1, 1, 7), w.view(1, 1, 1, 3)).flatten(), tensor(y))


@equation(
    "2c",
    "dlbook.recurrent.RNNCell",
    lambda w, t, u, s, j: w[u][j] if s == t else 0,
    lambda w, t, u, s, j: w[j][u] if s == t else 0,  # a transpose
    lambda w, t, u, s, j: w[u][j],  # every step sees all
    lambda w, t, u, s, j: w[u][j] if s == t - 1 else 0,  # an index shift
)
def test_a_recurrent_layer_repeats_one_block(formula):
    torch.manual_seed(0)
    cell, x, units = RNNCell(3, 3).double(), random(4, 3), range(3)
    w = cell.weight_ih.tolist()
    z = [
        [sum(formula(w, t, u, s, j) * x[s, j].item() for s in range(4) for j in range(3)) for u in units]
        for t in range(4)
    ]
    assert not cell.bias_ih.any()
    assert_close(cell.project(x), tensor(z))
    h = [0.0] * 3
    for t in range(4):  # and the state is all that joins the steps
        (state,) = cell(x[t : t + 1], (tensor([h]),))
        h = [math.tanh(z[t][u] + sum(cell.weight_hh[u, v].item() * h[v] for v in units)) for u in units]
        assert_close(state[0], tensor(h))


@equation(
    "2d",
    "dlbook.attention.MultiHeadAttention",
    lambda y: [y[ORDER[i]] for i in range(4)],
    lambda y: [y[INVERSE[i]] for i in range(4)],  # permuted the other way
    lambda y: y,  # as if it did not matter to the steps either
)
def test_attention_without_positions_reorders_its_results_with_the_steps(formula):
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(6, 2).double(), random(1, 4, 6)
    assert_close(layer(x[:, ORDER])[0], tensor(formula(layer(x)[0].tolist())))


def test_attention_with_positions_sees_the_order():
    torch.manual_seed(0)
    layer, x = RotarySelfAttention(6, 1, 4).double(), random(1, 4, 6)
    assert (layer(x[:, ORDER]) - layer(x)[:, ORDER]).abs().max() > 1e-3
