"""Recurrent cells: equal to PyTorch and Keras in value and every gradient; padding counts for nothing."""

import copy
import math
from functools import cache, partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from dlbook.activations import relu
from dlbook.recurrent import Cell, GRUCell, LSTMCell, Recurrent, RNNCell, keras_init_, scan, torch_init_
from tests.helpers.equations import executed
from tests.helpers.models import fill, train_steps
from tests.helpers.references import random, reference, tensor

KINDS = {
    "tanh": (RNNCell, nn.RNN),
    "relu": (partial(RNNCell, activation=relu), partial(nn.RNN, nonlinearity="relu")),
    "lstm": (LSTMCell, nn.LSTM),
    "gru": (GRUCell, nn.GRU),
}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
SHAPES = dict(
    kind=st.sampled_from(sorted(KINDS)),
    batch=st.integers(1, 3),
    length=st.integers(1, 4),
    inputs=st.integers(1, 3),
    hidden=st.integers(1, 4),
    layers=st.integers(1, 3),
    directions=st.integers(1, 2),
)


def make(kind, inputs, hidden, layers=1, directions=1, biases=2):
    """Make our layers in float64, with no parameter zero."""
    cell = KINDS[kind][0] if kind == "gru" else partial(KINDS[kind][0], biases=biases)
    return fill(Recurrent(cell, inputs, hidden, layers, directions))


def torch_name(ours, number, name):
    layer, reverse = divmod(number, ours.directions)
    return f"{name}_l{layer}{'_reverse' * reverse}"


def torch_copy(ours, kind):
    """Make PyTorch's layers with the weights of ours."""
    first, layers = ours.cells[0], len(ours.cells) // ours.directions
    theirs = KINDS[kind][1](
        first.inputs, first.hidden, layers, batch_first=True, bidirectional=ours.directions == 2
    ).double()
    weights = {
        torch_name(ours, number, name): torch.zeros_like(cell.bias_ih) if value is None else value
        for number, cell in enumerate(ours.cells)
        for name, value in ((name, getattr(cell, name)) for name in NAMES)
    }
    theirs.load_state_dict(weights)
    return theirs


def run_torch(theirs, x, state, lengths):
    """Call PyTorch's layer with and return what ours does: one tuple of states, batch first, zeros in the padding."""
    if state is not None:
        state = tuple(part.transpose(0, 1).contiguous() for part in state)
        state = state if isinstance(theirs, nn.LSTM) else state[0]
    if lengths is None:
        y, end = theirs(x, state)
    else:
        packed, end = theirs(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
        y, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
    return y, tuple(part.transpose(0, 1) for part in (end if isinstance(end, tuple) else (end,)))


def gradients(model, run, *inputs):
    """Run a model on tensors; return its results, the gradients of the inputs, and that of each parameter by name."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    y, end = run(*leaves)
    generator = torch.Generator().manual_seed(1)
    loss = sum((part * torch.randn(part.shape, dtype=part.dtype, generator=generator)).sum() for part in (y, *end))
    loss.backward()
    of_parameters = {name: parameter.grad for name, parameter in model.named_parameters()}
    return [y.detach(), *(part.detach() for part in end)], [leaf.grad for leaf in leaves], of_parameters


@reference("dlbook.recurrent.Recurrent", "dlbook.recurrent.RNNCell", to="torch.nn.RNN")
@reference("dlbook.recurrent.Recurrent", "dlbook.recurrent.LSTMCell", to="torch.nn.LSTM")
@reference("dlbook.recurrent.Recurrent", "dlbook.recurrent.GRUCell", to="torch.nn.GRU")
@given(**{**SHAPES, "batch": st.integers(0, 3)}, biases=st.integers(1, 2), begin=st.booleans(), data=st.data())
def test_layers_equal_torch(kind, batch, length, inputs, hidden, layers, directions, biases, begin, data):
    ours = make(kind, inputs, hidden, layers, directions, biases)
    theirs = torch_copy(ours, kind)
    lengths = None
    if batch and data.draw(st.booleans(), label="variable lengths"):
        lengths = torch.tensor(data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch)))
    x = random(batch, length, inputs)
    state = [random(batch, layers * directions, hidden) for _ in range(ours.cells[0].parts)] if begin else []
    results = [
        gradients(ours, lambda x, *state: ours(x, state or None, lengths), x, *state),
        gradients(theirs, lambda x, *state: run_torch(theirs, x, state or None, lengths), x, *state),
    ]
    (values, of_inputs, of_weights), (expected, of_their_inputs, of_their_weights) = results
    assert_close(values, expected)
    assert_close(of_inputs, of_their_inputs)
    assert len(of_weights) == layers * directions * (4 if kind == "gru" else 2 + biases)
    for name, gradient in of_weights.items():
        _, number, name = name.split(".")
        assert_close(gradient, of_their_weights[torch_name(ours, int(number), name)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_takes_torchs_state_dict(kind):
    torch.manual_seed(0)
    ours = KINDS[kind][0](3, 4) if kind == "gru" else KINDS[kind][0](3, 4, biases=2)
    cells = {"tanh": nn.RNNCell, "relu": partial(nn.RNNCell, nonlinearity="relu"), "lstm": nn.LSTMCell}
    theirs = cells.get(kind, nn.GRUCell)(3, 4)
    ours.load_state_dict(theirs.state_dict())
    x, state = torch.randn(2, 3), tuple(torch.randn(2, 4) for _ in range(ours.parts))
    expected = theirs(x, state if kind == "lstm" else state[0])
    assert_close(ours(x, state), expected if kind == "lstm" else (expected,))


@pytest.mark.parametrize("kind", KINDS)
def test_in_second_order(kind):
    ours, x = make(kind, 2, 2, layers=2), random(1, 3, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: ours(x)[0], (x,))


# --- padding ----------------------------------------------------------------------------------------------------------


@given(**SHAPES, filling=st.sampled_from([1e3, math.nan, math.inf, -math.inf]), data=st.data())
def test_padding_changes_nothing(kind, batch, length, inputs, hidden, layers, directions, filling, data):
    ours = make(kind, inputs, hidden, layers, directions)
    drawn = data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch), label="lengths")
    lengths = torch.tensor(drawn)
    padding = torch.arange(length) >= lengths[:, None]
    x = random(batch, length, inputs)
    other = torch.where(padding[:, :, None], filling, x)
    results = []
    for sequences in (x, other):
        ours.zero_grad()
        results.append(gradients(ours, lambda x: ours(x, None, lengths), sequences))
    (values, (of_x,), of_weights), (again, (of_other,), of_weights_again) = results
    assert all(map(torch.equal, values, again))  # to the bit
    assert torch.equal(of_x, of_other) and not of_x[padding].any()
    assert all(torch.equal(of_weights[name], of_weights_again[name]) for name in of_weights)
    assert not values[0][padding].any()
    for number, length in enumerate(drawn):  # and each sequence as if it were alone
        y, end = ours(x[number : number + 1, :length])
        assert_close(values[0][number : number + 1, :length], y)
        assert_close([part[number : number + 1] for part in values[1:]], list(end))


@given(**SHAPES, more=st.integers(1, 3))
def test_more_padding_changes_nothing(kind, batch, length, inputs, hidden, layers, directions, more):
    ours, x = make(kind, inputs, hidden, layers, directions), random(batch, length, inputs)
    y, end = ours(x)
    longer = torch.cat([x, random(batch, more, inputs)], 1)
    padded, again = ours(longer, None, torch.full((batch,), length))
    assert_close(padded[:, :length], y)
    assert_close(again, end)


@given(**{name: SHAPES[name] for name in ("kind", "batch", "length", "inputs", "hidden")}, data=st.data())
def test_the_future_cannot_change_the_past(kind, batch, length, inputs, hidden, data):
    cell, x = make(kind, inputs, hidden).cells[0], random(batch, length, inputs)
    t = data.draw(st.integers(0, length - 1))
    changed = x.clone()
    changed[:, t] += 1
    (y, _), (other, _) = scan(cell, x), scan(cell, changed)
    assert torch.equal(y[:, :t], other[:, :t])
    (y, _), (other, _) = scan(cell, x, reverse=True), scan(cell, changed, reverse=True)
    assert torch.equal(y[:, t + 1 :], other[:, t + 1 :])


# --- Keras ------------------------------------------------------------------------------------------------------------


def keras_layer(kind, hidden, **options):
    keras = pytest.importorskip("keras")
    layer = {"tanh": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[kind]
    return layer(hidden, return_sequences=True, return_state=True, dtype="float64", **options)


def in_keras_order(cell, of=lambda parameter: parameter):
    """Return our weights (or their gradients) as Keras keeps them; its GRU has z before r."""

    def order(values):
        blocks = of(values).chunk(len(cell.gates))
        return torch.cat([blocks[n] for n in ((1, 0, 2) if cell.gates == "rzn" else range(len(blocks)))])

    bias = order(cell.bias_ih)
    if cell.bias_hh is not None:
        bias = torch.stack([bias, order(cell.bias_hh)])
    return [order(cell.weight_ih).T, order(cell.weight_hh).T, bias]


@reference("dlbook.recurrent.scan", "dlbook.recurrent.RNNCell", to="keras.layers.SimpleRNN")
@reference("dlbook.recurrent.scan", "dlbook.recurrent.LSTMCell", to="keras.layers.LSTM")
@reference("dlbook.recurrent.scan", "dlbook.recurrent.GRUCell", to="keras.layers.GRU")
@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("batch, length, inputs, hidden", [(3, 5, 2, 4), (1, 1, 1, 1), (2, 7, 1, 50)])
def test_cells_equal_keras(kind, batch, length, inputs, hidden):
    cell = make(kind, inputs, hidden, biases=1).cells[0]
    x, state = random(batch, length, inputs), [random(batch, hidden) for _ in range(cell.parts)]
    theirs = keras_layer(kind, hidden)
    theirs.build(x.shape)
    theirs.set_weights([weight.detach().numpy() for weight in in_keras_order(cell)])
    values, of_inputs, _ = gradients(cell, lambda x, *state: scan(cell, x, state), x, *state)

    def run(x, *state):
        y, *end = theirs(x, initial_state=list(state))
        return y, tuple(end)

    expected, of_their_inputs, _ = gradients(nn.Module(), run, x, *state)
    close = partial(assert_close, rtol=1e-3, atol=1e-3) if kind == "tanh" else assert_close  # it adds in float32
    close(values, expected)
    close(of_inputs, of_their_inputs)
    for gradient, weight in zip(in_keras_order(cell, lambda p: p.grad), theirs.weights, strict=True):
        close(gradient, weight.value.grad)


def test_lengths_are_a_mask_of_keras():
    cell, lengths = make("lstm", 2, 3, biases=1).cells[0], torch.tensor([2, 5, 1])
    theirs, x = keras_layer("lstm", 3), random(3, 5, 2)
    theirs.build(x.shape)
    theirs.set_weights([weight.detach().numpy() for weight in in_keras_order(cell)])
    y, *end = theirs(x, mask=torch.arange(5) < lengths[:, None])
    ours, state = scan(cell, x, lengths=lengths)
    assert_close(list(state), end)
    assert_close(ours[0, :2], y[0, :2])


def test_the_original_gru_is_another_network():
    cell, x = make("gru", 2, 3).cells[0], random(2, 4, 2)
    nn.init.zeros_(cell.bias_hh)
    kernel, recurrent, bias = (weight.detach().numpy() for weight in in_keras_order(cell))
    same, other = keras_layer("gru", 3), keras_layer("gru", 3, reset_after=False)
    for theirs, biases in ((same, bias), (other, bias[0])):
        theirs.build(x.shape)
        theirs.set_weights([kernel, recurrent, biases])
    y, _ = scan(cell, x)
    assert_close(y, same(x)[0])
    assert_close(y[:, 0], other(x)[0][:, 0])  # from the zero state there is nothing to scale
    assert (y - other(x)[0])[:, 1:].abs().max() > 0.01


def test_the_two_numbers_of_parameters():
    theirs = keras_layer("lstm", 50)
    theirs.build((None, 24, 1))

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(LSTMCell(1, 50)) == theirs.count_params() == 10_400
    assert count(LSTMCell(1, 50, biases=2)) == count(nn.LSTM(1, 50)) == 10_600
    assert count(GRUCell(1, 50)) == count(nn.GRU(1, 50)) == 7_950
    assert count(RNNCell(1, 50, biases=2)) == count(nn.RNN(1, 50)) == 2_650


# --- how weights are initialised --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_cells_are_initialised_as_in_keras(kind):
    torch.manual_seed(0)
    cell, theirs = KINDS[kind][0](30, 40), keras_layer(kind, 40)
    theirs.build((None, 5, 30))
    weight, recurrent, bias = in_keras_order(cell)
    kernel, recurrent_kernel, their_bias = (weight.value for weight in theirs.weights)
    assert_close(bias.double(), their_bias.detach())
    quantiles = torch.linspace(0, 1, 11)
    size = kernel.abs().max().item()
    assert_close(
        weight.flatten().quantile(quantiles), kernel.float().flatten().quantile(quantiles), atol=0.1 * size, rtol=0
    )
    for matrix in (recurrent.double(), recurrent_kernel):
        assert_close(matrix @ matrix.T, torch.eye(40, dtype=torch.float64), rtol=0, atol=1e-5)


@reference("dlbook.recurrent.torch_init_", to="torch.nn.LSTM")
@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_cells_are_initialised_as_in_torch(kind):
    torch.manual_seed(0)
    ours, theirs = KINDS[kind][0](30, 40, init=torch_init_), KINDS[kind][1](30, 40)
    quantiles = torch.linspace(0, 1, 11)
    for parameter, other in ((ours.weight_ih, theirs.weight_ih_l0), (ours.bias_ih, theirs.bias_ih_l0)):
        assert parameter.abs().max() <= 40**-0.5
        found, expected = (values.detach().flatten().quantile(quantiles) for values in (parameter, other))
        assert_close(found, expected, rtol=0, atol=0.4 * 40**-0.5 if parameter.ndim == 1 else 0.01)


def test_an_open_forget_gate_is_counted_once():
    cell = LSTMCell(2, 3, biases=2)
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0] * 3 + [1] * 3 + [0] * 6
    keras_init_(cell)  # again, over what is there
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0] * 3 + [1] * 3 + [0] * 6


@pytest.mark.parametrize("kind", KINDS)
def test_overfits_a_tiny_batch(kind):
    torch.manual_seed(0)
    model, x = Recurrent(KINDS[kind][0], 2, 20, layers=2), torch.randn(8, 6, 2)
    target, output = x[:, 0].sum(1), nn.Linear(20, 1)  # to be remembered for six time steps
    optimizer = torch.optim.Adam([*model.parameters(), *output.parameters()], lr=0.02)
    assert train_steps(optimizer, lambda: ((output(model(x)[0][:, -1])[:, 0] - target) ** 2).mean(), steps=80) < 0.01


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda cell, x: LSTMCell(0, 4), "inputs must be at least 1: got 0"),
        (lambda cell, x: RNNCell(1, 0), "hidden must be at least 1: got 0"),
        (lambda cell, x: GRUCell(1, -1), "hidden must be at least 1: got -1"),
        (lambda cell, x: LSTMCell(1, 1, biases=3), "biases must be 1 or 2: got 3"),
        (lambda cell, x: Recurrent(LSTMCell, 1, 1, layers=0), "layers must be at least 1: got 0"),
        (lambda cell, x: Recurrent(LSTMCell, 1, 1, directions=3), "directions must be 1 or 2: got 3"),
        (lambda cell, x: scan(cell, x[:, :, :2]), r"x must have the shape \(batch, length, 3\): got \(2, 5, 2\)"),
        (lambda cell, x: scan(cell, x[:, :0]), r"x must have a length of 1 or more: got \(2, 0, 3\)"),
        (lambda cell, x: scan(cell, x[0]), r"got \(5, 3\)"),
        (lambda cell, x: scan(cell, x, (x[:, 0],)), r"state must hold .*\[\(2, 4\), \(2, 4\)\]: got \[\(2, 3\)\]"),
        (lambda cell, x: scan(cell, x, (random(2, 4), random(1, 4))), r"got \[\(2, 4\), \(1, 4\)\]"),
        (lambda cell, x: make("tanh", 3, 4)(x, (random(2, 2, 4),)), r"2, 1, 4.*: got \[\(2, 2, 4\)\]"),
        (lambda cell, x: make("tanh", 3, 4)(x, (random(2, 1, 3),)), r"\[\(2, 1, 4\)\]: got \[\(2, 1, 3\)\]"),
        (lambda cell, x: scan(cell, x, None, torch.tensor([1])), r"lengths must have the shape \(2,\): got \(1,\)"),
        (lambda cell, x: scan(cell, x, None, torch.tensor([0, 5])), "the length of x, 5: got 0 to 5"),
        (lambda cell, x: scan(cell, x, None, torch.tensor([6, 1])), "got 1 to 6"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(LSTMCell(3, 4).double(), random(2, 5, 3))


def test_a_cell_without_equations():
    with pytest.raises(NotImplementedError):
        Cell(1, 1)(torch.ones(1, 1), (torch.ones(1, 1),))


# --- the equations, as printed ----------------------------------------------------------------------------------------


@executed("3.3.1a", of="dlbook.recurrent.RNNCell")
def test_hidden_state_as_printed(formula):
    for kind, f in (("tanh", torch.tanh), ("relu", torch.relu)):
        cell, x, h = make(kind, 2, 3, biases=1).cells[0], random(1, 3, 2), random(1, 3)
        names = {"W_hh": cell.weight_hh, "W_xh": cell.weight_ih, "b_h": cell.bias_ih}
        names["f"] = lambda z, f=f: f(tensor(z))
        y, _ = scan(cell, x, (h,))
        state = h[0]
        for t in range(3):
            state = tensor(formula(names | {"h_t-1": state, "x_t": x[0, t]})["h_t"])
            assert_close(y[0, t], state)


def weights(cell):
    """Return the blocks of a cell's weights by their names in the book, W_xi and W_hi, and b_i or b_xi and b_hi."""
    biases = {"b_x": cell.bias_ih, "b_h": cell.bias_hh}
    if cell.parts == 2:  # an LSTM: only the sum of two biases counts
        biases = {"b_": cell.bias_ih if cell.bias_hh is None else cell.bias_ih + cell.bias_hh}
    stacked = {"W_x": cell.weight_ih, "W_h": cell.weight_hh} | biases
    return {
        name + letter: rows
        for name, values in stacked.items()
        for letter, rows in zip(cell.gates, values.chunk(len(cell.gates)), strict=True)
    }


def with_biases(cell, **biases):
    """Copy a cell and set the biases of some blocks, by their letters: at ±1000 a gate is open or shut."""
    changed = copy.deepcopy(cell)
    for letter, bias in biases.items():
        changed.bias_ih.data.view(len(cell.gates), -1)[cell.gates.index(letter)] = bias
    return changed


def parts_of_lstm(cell, x, h):
    """Return i, f, g and o of an LSTM, as its states show them when all else is 1 or 0."""
    zero, one = torch.zeros_like(h), torch.ones_like(h)
    _, i = with_biases(cell, g=1000)(x, (h, zero))
    _, f = with_biases(cell, i=-1000)(x, (h, one))
    _, g = with_biases(cell, i=1000)(x, (h, zero))
    o, _ = cell(x, (h, 1000 * one))
    return {"i_t": i[0], "f_t": f[0], "g_t": g[0], "o_t": o[0]}


@cache
def lstms():
    """Return, for one vector of biases and for two, an LSTM's weights, input and state, and all that comes of them."""
    pairs = []
    for biases in (1, 2):
        cell, x, h, c = make("lstm", 2, 3, biases=biases).cells[0], random(1, 2), random(1, 3), random(1, 3)
        supplied = weights(cell) | {"x_t": x[0], "h_t-1": h[0], "c_t-1": c[0]}
        h_t, c_t = cell(x, (h, c))
        pairs.append((supplied, parts_of_lstm(cell, x, h) | {"h_t": h_t[0], "c_t": c_t[0]}))
    return pairs


@executed("3.3.3a", of="dlbook.recurrent.LSTMCell")
def test_gates_as_printed(formula):
    for supplied, expected in lstms():
        found = formula(supplied)
        for gate in ("i_t", "f_t", "o_t"):
            assert_close(expected[gate], tensor(found[gate]))


@executed("3.3.3b", of="dlbook.recurrent.LSTMCell")
def test_candidate_as_printed(formula):
    for supplied, expected in lstms():
        assert_close(expected["g_t"], tensor(formula(supplied)["g_t"]))


@executed("3.3.3c", of="dlbook.recurrent.LSTMCell")
def test_cell_as_printed(formula):
    for supplied, expected in lstms():
        parts = {name: expected[name] for name in ("i_t", "f_t", "g_t")}
        assert_close(expected["c_t"], tensor(formula(supplied | parts)["c_t"]))


@executed("3.3.3d", of="dlbook.recurrent.LSTMCell")
def test_shown_state_as_printed(formula):
    for _, expected in lstms():
        found = formula({"o_t": expected["o_t"], "c_t": expected["c_t"]})
        assert_close(expected["h_t"], tensor(found["h_t"]))


def parts_of_gru(cell, x, h):
    """Return r, z and n of a GRU, as its states show them when all else is 1 or 0."""
    n = with_biases(cell, z=-1000)(x, (h,))[0]
    high, low = (with_biases(cell, n=limit)(x, (h,))[0] for limit in (1000, -1000))  # 1 - z + z h, and z - 1 + z h
    reset = with_biases(cell, z=-1000)  # and n = tanh(r): nothing but the bias behind the gate is left
    for parameter in reset.parameters():
        parameter.data.chunk(3)[2].fill_(parameter is reset.bias_hh)
    r = reset(x, (h,))[0].atanh()
    return {"r_t": r[0], "z_t": 1 - (high - low)[0] / 2, "n_t": n[0]}


@cache
def gru():
    """Return a GRU's weights, input and state, and all that comes of them."""
    cell, x, h = make("gru", 2, 3).cells[0], random(1, 2), random(1, 3)
    return weights(cell) | {"x_t": x[0], "h_t-1": h[0]}, parts_of_gru(cell, x, h) | {"h_t": cell(x, (h,))[0][0]}


@executed("3.3.3e", of="dlbook.recurrent.GRUCell")
def test_gates_of_the_gru_as_printed(formula):
    supplied, expected = gru()
    found = formula(supplied)
    for gate in ("r_t", "z_t"):
        assert_close(expected[gate], tensor(found[gate]))


@executed("3.3.3f", of="dlbook.recurrent.GRUCell")
def test_candidate_of_the_gru_as_printed(formula):
    supplied, expected = gru()
    assert_close(expected["n_t"], tensor(formula(supplied | {"r_t": expected["r_t"]})["n_t"]))


@executed("3.3.3g", of="dlbook.recurrent.GRUCell")
def test_state_of_the_gru_as_printed(formula):
    supplied, expected = gru()
    parts = {"z_t": expected["z_t"], "n_t": expected["n_t"]}
    assert_close(expected["h_t"], tensor(formula(supplied | parts)["h_t"]))


@executed("4.3a", of="dlbook.recurrent.LSTMCell")
def test_number_of_parameters_as_printed(formula):
    for m, n in ((1, 50), (3, 4)):
        one, two = (sum(p.numel() for p in LSTMCell(m, n, biases=biases).parameters()) for biases in (1, 2))
        assert formula({"m": m, "n": n})["#parameters"] == (one, two)
        assert two == sum(p.numel() for p in nn.LSTM(m, n).parameters())
