"""Recurrent networks: RNN, LSTM and GRU cells from their equations, run over time.

Sequences are (batch, length, features). The state of a cell is a tuple: (h,), or (h, c)
in an LSTM. Weights have the names and the layout of PyTorch's cells, whose `state_dict`
fits.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_dtype,
    check_floating,
    check_integer,
    check_shape,
    check_whole,
)
from dlbook.activations import tanh
from dlbook.masks import length_mask
from dlbook.network import Elementwise, glorot_uniform_

CellState = tuple[Float[Tensor, "batch hidden"], ...]
LayerStates = tuple[Float[Tensor, "batch cells hidden"], ...]


@torch.no_grad()
def keras_init_(cell: "Cell") -> None:
    """Initialise a cell as Keras does: Glorot, orthogonal, and forget gates open.

    The weights of the inputs are Glorot uniform and the recurrent weights orthogonal,
    which keeps the norm of what they multiply. Biases are zero, but 1 in a forget gate.

    Args:
        cell: changed in place.

    Source: Saxe, McClelland and Ganguli 2014; Jozefowicz, Zaremba and Sutskever 2015.
    """
    glorot_uniform_(cell.weight_ih)
    nn.init.orthogonal_(cell.weight_hh)
    for bias in (cell.bias_ih, cell.bias_hh):
        if bias is not None:
            bias.zero_()
    if "f" in cell.gates:
        cell.bias_ih.view(len(cell.gates), -1)[cell.gates.index("f")] = 1


@torch.no_grad()
def torch_init_(cell: "Cell") -> None:
    """Initialise a cell as PyTorch does: uniform between -1/√hidden and 1/√hidden.

    Args:
        cell: changed in place, weights and biases alike.
    """
    for parameter in cell.parameters():
        parameter.uniform_(-(cell.hidden**-0.5), cell.hidden**-0.5)


class Cell(nn.Module):
    """The weights that all cells share: one matrix for the input, one for the state.

    Both have a block of rows for each gate.
    """

    gates = "h"  # one letter for each block of rows
    parts = 1  # tensors in the state
    torch_layer: type[nn.RNNBase] | None = None  # PyTorch's layer of the same equations

    def __init__(
        self,
        inputs: int,
        hidden: int,
        biases: int = 1,
        init: Callable[["Cell"], None] = keras_init_,
    ):
        """Create the weights.

        Args:
            inputs: features of one time step.
            hidden: units, the width of the state.
            biases: vectors of biases: 1 as on paper and in Keras, or 2 as in PyTorch,
                where one goes with the input and one with the state. Only their sum
                counts: what two can compute, one can.
            init: fills the weights and biases in place.

        Raises:
            TypeError: A size is no whole number.
            ValueError: A size is less than 1, or biases is neither 1 nor 2.
        """
        super().__init__()
        check_whole(1, inputs=inputs, hidden=hidden)
        if biases not in (1, 2):
            raise ValueError(f"biases must be 1 or 2: got {biases}")
        self.inputs, self.hidden, rows = inputs, hidden, len(self.gates) * hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))  # W_xh
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows)) if biases == 2 else None
        init(self)

    def project(
        self, x: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch rows"]:
        """Return W_xh x_t + b_h, which needs no state: all time steps at once.

        Args:
            x: the input of one time step, or of many.
        """
        bias = self.bias_ih if self.bias_hh is None else self.bias_ih + self.bias_hh
        return F.linear(x, self.weight_ih, bias)

    def step(
        self, projected: Float[Tensor, "batch rows"], state: CellState
    ) -> CellState:
        """Return the next state; each kind of cell has its own equations.

        Args:
            projected: the input of this time step, as `project` returned it.
            state: the state after the time step before.
        """
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "batch inputs"], state: CellState) -> CellState:
        """Return the state after one time step of a batch of sequences.

        Args:
            x: the input of this time step.
            state: the state after the time step before.

        Raises:
            TypeError: One of them is of another type than the weights.
            ValueError: One of them has a shape that does not fit the cell.
        """
        _check_step(self, x, state)
        return self.step(self.project(x), state)


class RNNCell(Cell):
    """The vanilla RNN (Elman) cell: h_t = f(W_hh h_{t-1} + W_xh x_t + b_h).

    Source: Elman 1990; book equation (3.3.1a).
    """

    torch_layer = nn.RNN

    def __init__(
        self, inputs: int, hidden: int, activation: Elementwise = tanh, **options: Any
    ):
        """Create the cell.

        Args:
            inputs: features of one time step.
            hidden: units, the width of the state.
            activation: f.
            options: those of `Cell`: `biases` and `init`.
        """
        super().__init__(inputs, hidden, **options)
        self.activation = activation

    def step(
        self, projected: Float[Tensor, "batch hidden"], state: CellState
    ) -> CellState:
        """Add the product of the last state and apply the activation."""
        return (self.activation(torch.addmm(projected, state[0], self.weight_hh.T)),)


class LSTMCell(Cell):
    """The long short-term memory (LSTM) cell: gates scale what c forgets, adds, shows.

    With `biases=1` it has Keras' parameters, with 2 PyTorch's: 10,400 or 10,600 for 50
    units on one feature.

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000; book
    equations (3.3.3a) to (3.3.3d).
    """

    gates, parts, torch_layer = "ifgo", 2, nn.LSTM

    def step(
        self, projected: Float[Tensor, "batch rows"], state: CellState
    ) -> CellState:
        """Compute input, forget and output gate and the candidate g, then c and h."""
        h, c = state
        i, f, g, o = torch.addmm(projected, h, self.weight_hh.T).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(Cell):
    """The gated recurrent unit (GRU) cell, with reset gate r and update gate z.

    This is PyTorch's form and Keras' (`reset_after=True`): r scales the product
    W_hn h + b_hn, which makes b_hn a bias of its own, so that there are always two
    vectors. The original form, `reset_after=False` in Keras, scales h before the
    product; it is another network, not the same with other weights.

    Source: Cho et al. 2014; book equations (3.3.3e) to (3.3.3g).
    """

    gates, torch_layer = "rzn", nn.GRU

    def __init__(
        self, inputs: int, hidden: int, init: Callable[[Cell], None] = keras_init_
    ):
        """Create the cell, with two vectors of biases.

        Args:
            inputs: features of one time step.
            hidden: units, the width of the state.
            init: fills the weights and biases in place.
        """
        super().__init__(inputs, hidden, 2, init)

    def project(
        self, x: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch rows"]:
        """Return W_xh x_t with the biases of the input alone."""
        return F.linear(x, self.weight_ih, self.bias_ih)

    def step(
        self, projected: Float[Tensor, "batch rows"], state: CellState
    ) -> CellState:
        """Compute both gates and the candidate n, then mix n with the last state."""
        (h,) = state
        r_x, z_x, n_x = projected.chunk(3, 1)
        r_h, z_h, n_h = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, 1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * n_h)
        return ((1 - z) * n + z * h,)


def scan(
    cell: Cell,
    x: Float[Tensor, "batch length inputs"],
    state: CellState | None = None,
    lengths: Int[Tensor, " batch"] | None = None,
    reverse: bool = False,
) -> tuple[Float[Tensor, "batch length hidden"], CellState]:
    """Run a cell over sequences, from the first time step to the last.

    Args:
        cell: computes the next state of each time step.
        x: the inputs, one time step after another.
        state: the state to begin with, zeros if not given.
        lengths: of the sequences, without the padding after them, which changes
            nothing.
        reverse: runs from the last time step to the first.

    Returns:
        h after each time step, in the order of x and zero in the padding, and the state
        at the end.

    Raises:
        TypeError: One of the tensors is of another type than the cell's weights.
        ValueError: x, state or lengths do not fit the cell.
    """
    _check_sequences(x, cell.weight_ih, lengths)
    if state is None:
        state = tuple(x.new_zeros(len(x), cell.hidden) for _ in range(cell.parts))
    _check_state(state, [(len(x), cell.hidden)] * cell.parts)
    if lengths is not None:
        real = length_mask(lengths.to(x.device), x.shape[1])[:, :, None]
        x = torch.where(real, x, 0)  # whatever stands in the padding, NaN included
    outputs = []
    projected = cell.project(x).unbind(1)  # a tensor (batch, rows) for each time step
    for t in reversed(range(len(projected))) if reverse else range(len(projected)):
        after = cell.step(projected[t], state)
        if lengths is not None:
            pairs = zip(after, state, strict=True)
            after = tuple(torch.where(real[:, t], new, old) for new, old in pairs)
        state = after
        outputs.append(state[0])
    y = torch.stack(outputs[::-1] if reverse else outputs, 1)
    return y if lengths is None else torch.where(real, y, 0), state


class Recurrent(nn.Module):
    """A recurrent network: cells in layers, in one direction or in two."""

    def __init__(
        self,
        cell: Callable[[int, int], Cell],
        inputs: int,
        hidden: int,
        layers: int = 1,
        directions: int = 1,
    ):
        """Create the cells.

        Args:
            cell: makes one from its numbers of inputs and hidden units: `LSTMCell`, or
                `functools.partial(LSTMCell, biases=2)`.
            inputs: features of one time step.
            hidden: units of each cell.
            layers: how many stand on one another.
            directions: 2 to run backward in time too; the outputs of both are
                concatenated.

        Raises:
            TypeError: A size is no whole number.
            ValueError: A size is less than 1, or directions is neither 1 nor 2.
        """
        super().__init__()
        check_whole(1, inputs=inputs, hidden=hidden, layers=layers)
        if directions not in (1, 2):
            raise ValueError(f"directions must be 1 or 2: got {directions}")
        sizes = [inputs] + [directions * hidden] * (layers - 1)
        self.cells: Any = nn.ModuleList(
            cell(size, hidden) for size in sizes for _ in range(directions)
        )
        self.directions = directions

    def forward(
        self,
        x: Float[Tensor, "batch length inputs"],
        state: LayerStates | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch length outputs"], LayerStates]:
        """Return h of the last layer after each time step, and the state of each cell.

        Args:
            x: the inputs, one time step after another.
            state: the states to begin with, one of each cell; zeros if not given.
            lengths: of the sequences, without the padding after them.

        Raises:
            TypeError: One of the tensors is of another type than the weights.
            ValueError: x, state or lengths do not fit the cells.
        """
        first = self.cells[0]
        _check_sequences(x, first.weight_ih, lengths)
        if state is not None:
            _check_state(state, [(len(x), len(self.cells), first.hidden)] * first.parts)
        ends = []
        for layer in range(0, len(self.cells), self.directions):
            outputs = []
            for n in range(layer, layer + self.directions):
                begin = None if state is None else tuple(part[:, n] for part in state)
                y, end = scan(self.cells[n], x, begin, lengths, reverse=n > layer)
                outputs.append(y)
                ends.append(end)
            x = torch.cat(outputs, 2)  # (batch, length, directions × hidden)
        return x, tuple(torch.stack(parts, 1) for parts in zip(*ends, strict=True))


def _check_step(cell: Cell, x: Tensor, state: tuple[Tensor, ...]) -> None:
    """Refuse an input of one time step, or a state, that does not fit a cell."""
    check_shape("x", x, "batch", cell.inputs)
    check_dtype("x", x, cell.weight_ih)
    _check_state(state, [(len(x), cell.hidden)] * cell.parts)


def _check_sequences(x: Tensor, weight: Tensor, lengths: Tensor | None) -> None:
    """Refuse sequences that do not fit a cell's weights, and wrong lengths."""
    check_shape("x", x, "batch", "length", weight.shape[1])
    check_dtype("x", x, weight)
    if x.shape[1] < 1:
        raise ValueError(f"x must have a length of 1 or more: got {tuple(x.shape)}")
    if lengths is None:
        return
    check_shape("lengths", lengths, len(x))
    check_integer(lengths=lengths)
    if lengths.device.type == "cpu" and len(x):  # another device would have to wait
        low, high = int(lengths.min()), int(lengths.max())
        if not 1 <= low <= high <= x.shape[1]:
            raise ValueError(
                f"lengths must lie between 1 and the length of x, {x.shape[1]}: "
                f"got {low} to {high}"
            )


def _check_state(state: Any, expected: list[tuple[int, ...]]) -> None:
    """Refuse a state that is not a tuple of tensors of the expected shapes."""
    if not isinstance(state, tuple | list):
        raise TypeError(f"state must be a tuple of tensors: got {type(state).__name__}")
    for part in state:
        check_floating(state=part)
    if (found := [tuple(part.shape) for part in state]) != expected:
        raise ValueError(f"state must hold the shapes {expected}: got {found}")
