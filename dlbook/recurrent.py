"""Recurrent networks: RNN, LSTM and GRU cells from their equations, and what runs them over time.

Sequences are (batch, steps, features). The state of a cell is a tuple: (h,), or (h, c) in an LSTM. Weights have the
names and the layout of PyTorch's cells, whose `state_dict` fits.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.activations import tanh
from dlbook.network import Elementwise, glorot_uniform_

CellState = tuple[Float[Tensor, "batch hidden"], ...]
LayerStates = tuple[Float[Tensor, "cells batch hidden"], ...]


@torch.no_grad()
def keras_init_(cell: "Cell") -> None:
    """Fill a cell as Keras does: inputs after Glorot, recurrent weights orthogonal, biases zero, but 1 to remember.

    Orthogonal weights neither stretch nor shrink what they carry, and an open forget gate lets the cell keep it.

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
    """Fill a cell as PyTorch does: all weights and biases uniform between -1/√hidden and 1/√hidden."""
    for parameter in cell.parameters():
        parameter.uniform_(-(cell.hidden**-0.5), cell.hidden**-0.5)


class Cell(nn.Module):
    """What all cells share: a matrix for the inputs and one for the state, with a block of rows for each gate."""

    gates = "h"  # one letter for each block of rows
    parts = 1  # tensors in the state

    def __init__(self, inputs: int, hidden: int, biases: int = 1, init: Callable[["Cell"], None] = keras_init_):
        """Make the weights.

        Args:
            inputs: features of one step.
            hidden: units, the width of the state.
            biases: vectors of biases: 1 as on paper and in Keras, or 2 as in PyTorch, where one goes with the inputs
                and one with the state. Only their sum counts: what two can compute, one can.
            init: fills the weights and biases in place.
        """
        super().__init__()
        if min(inputs, hidden) < 1 or biases not in (1, 2):
            raise ValueError(
                f"inputs and hidden must be at least 1, biases 1 or 2: got {inputs=}, {hidden=}, {biases=}"
            )
        self.inputs, self.hidden, rows = inputs, hidden, len(self.gates) * hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))  # W_xh
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows)) if biases == 2 else None
        init(self)

    def project(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch rows"]:
        """Return W_xh x_t + b_h, which needs no state and can be had for all steps at once."""
        bias = self.bias_ih if self.bias_hh is None else self.bias_ih + self.bias_hh
        return F.linear(x, self.weight_ih, bias)

    def step(self, projected: Float[Tensor, "batch rows"], state: CellState) -> CellState:
        """Return the next state; each kind of cell has its own equations."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "batch inputs"], state: CellState) -> CellState:
        """Read one step of a batch of sequences and return the next state."""
        return self.step(self.project(x), state)


class RNNCell(Cell):
    """The plain cell: h_t = f(W_hh h_{t-1} + W_xh x_t + b_h).

    Source: Elman 1990; book equation (3.3.1a).
    """

    def __init__(self, inputs: int, hidden: int, activation: Elementwise = tanh, **options: Any):
        """Make the cell; `activation` is f, and the options are those of `Cell`: `biases` and `start`."""
        super().__init__(inputs, hidden, **options)
        self.activation = activation

    def step(self, projected: Float[Tensor, "batch hidden"], state: CellState) -> CellState:
        """Add what the last state says, and squash the sum."""
        return (self.activation(torch.addmm(projected, state[0], self.weight_hh.T)),)


class LSTMCell(Cell):
    """The long short-term memory: gates decide what the cell c forgets, takes in and shows as h.

    With `biases=1` it has Keras' parameters, with 2 PyTorch's: 10,400 or 10,600 for 50 units on one feature.

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000; book equations (3.3.3a) to (3.3.3d).
    """

    gates, parts = "ifgo", 2

    def step(self, projected: Float[Tensor, "batch rows"], state: CellState) -> CellState:
        """Compute all gates in one product; g is the candidate, what the cell could take in."""
        h, c = state
        i, f, g, o = torch.addmm(projected, h, self.weight_hh.T).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(Cell):
    """The gated recurrent unit: r says how much of the state the candidate n sees, z how much of it stays.

    This is PyTorch's form and Keras' (`reset_after=True`): r scales the product W_hn h + b_hn, which makes b_hn a
    bias of its own, so that there are always two vectors. The original form, `reset_after=False` in Keras, scales h
    before the product; it is another network, not the same with other weights.

    Source: Cho et al. 2014; book equations (3.3.3e) to (3.3.3g).
    """

    gates = "rzn"

    def __init__(self, inputs: int, hidden: int, init: Callable[[Cell], None] = keras_init_):
        """Make the cell; the arguments are those of `Cell`."""
        super().__init__(inputs, hidden, 2, init)

    def project(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch rows"]:
        """Return W_xh x_t with the biases that go with the inputs."""
        return F.linear(x, self.weight_ih, self.bias_ih)

    def step(self, projected: Float[Tensor, "batch rows"], state: CellState) -> CellState:
        """Compute both gates, then the candidate, and mix it with the state."""
        (h,) = state
        r_x, z_x, n_x = projected.chunk(3, 1)
        r_h, z_h, n_h = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, 1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * n_h)
        return ((1 - z) * n + z * h,)


def scan(
    cell: Cell,
    x: Float[Tensor, "batch steps inputs"],
    state: CellState | None = None,
    lengths: Int[Tensor, " batch"] | None = None,
    reverse: bool = False,
) -> tuple[Float[Tensor, "batch steps hidden"], CellState]:
    """Run a cell over sequences, from the first step to the last, or from the last to the first.

    Args:
        state: the state to begin with, zeros if not given.
        lengths: how many steps of each sequence are real; those after them are padding, which changes nothing.

    Returns:
        h after each step, in the order of the steps and zero in the padding, and the state at the end.

    Errors: ValueError if x, state or lengths do not fit the cell.
    """
    _check_sequences(cell, x, state, lengths)
    if state is None:
        state = tuple(x.new_zeros(len(x), cell.hidden) for _ in range(cell.parts))
    if lengths is not None:
        real = (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).unsqueeze(2)  # (batch, steps, 1)
        x = torch.where(real, x, 0)  # whatever stands in the padding, NaN included
    outputs = []
    projected = cell.project(x).unbind(1)  # one tensor (batch, rows) for each step
    for t in reversed(range(len(projected))) if reverse else range(len(projected)):
        after = cell.step(projected[t], state)
        if lengths is not None:
            after = tuple(torch.where(real[:, t], new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs.append(state[0])
    y = torch.stack(outputs[::-1] if reverse else outputs, 1)
    return y if lengths is None else torch.where(real, y, 0), state


def _check_sequences(cell: Cell, x: Tensor, state: tuple[Tensor, ...] | None, lengths: Tensor | None) -> None:
    """Refuse sequences, a state or lengths that do not fit a cell."""
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != cell.inputs:
        raise ValueError(
            f"x must have the shape (batch, steps, {cell.inputs}), of 1 step or more: got {tuple(x.shape)}"
        )
    expected = [(len(x), cell.hidden)] * cell.parts
    if state is not None and (found := [tuple(part.shape) for part in state]) != expected:
        raise ValueError(f"state must hold tensors of the shapes {expected}: got {found}")
    if lengths is not None:
        if lengths.shape != (len(x),):
            raise ValueError(f"lengths must be {len(x)} numbers, one for each sequence: got {tuple(lengths.shape)}")
        if len(x) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[1]:
            bounds = f"{int(lengths.min())} to {int(lengths.max())}"
            raise ValueError(f"lengths must lie between 1 and the number of steps, {x.shape[1]}: got {bounds}")


class Recurrent(nn.Module):
    """Cells in layers, each reading what the one below put out, forward or in both directions."""

    def __init__(
        self, cell: Callable[[int, int], Cell], inputs: int, hidden: int, layers: int = 1, directions: int = 1
    ):
        """Make the cells.

        Args:
            cell: makes one from its numbers of inputs and hidden units: `LSTMCell`, or
                `functools.partial(LSTMCell, biases=2)`.
            directions: 2 to read backward too; the outputs of both stand side by side.
        """
        super().__init__()
        if layers < 1 or directions not in (1, 2):
            raise ValueError(f"layers must be at least 1 and directions 1 or 2: got {layers=}, {directions=}")
        widths = [inputs] + [directions * hidden] * (layers - 1)
        self.cells: Any = nn.ModuleList(cell(width, hidden) for width in widths for _ in range(directions))
        self.directions = directions

    def forward(
        self,
        x: Float[Tensor, "batch steps inputs"],
        state: LayerStates | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch steps outputs"], LayerStates]:
        """Return h of the last layer after each step, and the state of each cell at its end.

        Args:
            state: to begin with, one for each cell, in the order of `cells`.
            lengths: how many steps of each sequence are real; those after them are padding.
        """
        if state is not None and (found := [len(part) for part in state]) != [len(self.cells)] * len(found):
            raise ValueError(f"state must hold one for each of {len(self.cells)} cells: got {found}")
        ends = []
        for layer in range(0, len(self.cells), self.directions):
            outputs = []
            for reverse in range(self.directions):
                begin = None if state is None else tuple(part[layer + reverse] for part in state)
                y, end = scan(self.cells[layer + reverse], x, begin, lengths, reverse=reverse == 1)
                outputs.append(y)
                ends.append(end)
            x = torch.cat(outputs, 2)  # (batch, steps, directions × hidden)
        return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
