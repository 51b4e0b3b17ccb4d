"""PyTorch's own recurrent layers, with the weights and the interface of ours."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlbook.activations import relu, tanh
from dlbook.recurrent import (
    LayerStates,
    Recurrent,
    RNNCell,
    _check_sequences,
    _check_state,
)


class FusedRecurrent(nn.Module):
    """A `Recurrent` that PyTorch's own layer computes: the same numbers, but faster.

    Its weights are a copy of the written-out layers', in `layer`.
    """

    def __init__(self, recurrent: Recurrent):
        """Make PyTorch's layer.

        Args:
            recurrent: the written-out layers, whose weights are copied.

        Raises:
            ValueError: PyTorch has no layer of these cells.
        """
        super().__init__()
        self.layer: Any = as_torch(recurrent)
        self.cells, self.parts = len(recurrent.cells), recurrent.cells[0].parts

    def forward(
        self,
        x: Float[Tensor, "batch length inputs"],
        state: LayerStates | None = None,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch length outputs"], LayerStates]:
        """Return what `Recurrent` returns for the same arguments.

        Args:
            x: the inputs, one time step after another.
            state: the states to begin with; zeros if not given.
            lengths: of the sequences, without the padding after them. PyTorch packs by
                lengths on the CPU: from another device they are copied.

        Raises:
            TypeError: One of the tensors is of another type than the weights.
            ValueError: x, state or lengths do not fit the layers.
        """
        lengths = None if lengths is None else lengths.cpu()
        _check_sequences(x, self.layer.weight_ih_l0, lengths)
        begin: Any = None
        if state is not None:  # PyTorch's states are (cells, batch, hidden), one or two
            _check_state(
                state, [(len(x), self.cells, self.layer.hidden_size)] * self.parts
            )
            begin = tuple(part.transpose(0, 1).contiguous() for part in state)
            begin = begin if self.parts > 1 else begin[0]
        if lengths is None or len(x) == 0:  # PyTorch packs no empty batch
            y, end = self.layer(x, begin)
        else:
            packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            packed, end = self.layer(packed, begin)
            y, _ = pad_packed_sequence(packed, True, total_length=x.shape[1])
        ends = end if self.parts > 1 else (end,)
        return y, tuple(part.transpose(0, 1) for part in ends)


@torch.no_grad()
def as_torch(recurrent: Recurrent) -> nn.RNNBase:
    """Return PyTorch's layer with the weights of ours: one call instead of a loop.

    Where a cell has one vector of biases, PyTorch's second one is zero and is not
    trained.

    Args:
        recurrent: the written-out layers, whose weights are copied.

    Raises:
        ValueError: PyTorch has no layer of these cells, or not with their activation.
    """
    first = recurrent.cells[0]
    layer = vars(type(first)).get("torch_layer")  # named by the class itself: one that
    if layer is None:  # inherits from LSTMCell may have other equations
        raise ValueError(
            f"recurrent must have cells with a torch_layer: got {type(first).__name__}"
        )
    directions = recurrent.directions
    options: dict[str, Any] = {
        "num_layers": len(recurrent.cells) // directions,
        "bidirectional": directions == 2,
        "batch_first": True,
        "device": first.weight_hh.device,
        "dtype": first.weight_hh.dtype,
    }
    if isinstance(first, RNNCell):
        options["nonlinearity"] = _nonlinearity(first)
    theirs = layer(first.inputs, first.hidden, **options)
    for number, cell in enumerate(recurrent.cells):
        n, reverse = divmod(number, directions)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            parameter = theirs.get_parameter(f"{name}_l{n}{'_reverse' * reverse}")
            ours = getattr(cell, name)
            parameter.copy_(torch.zeros_like(parameter) if ours is None else ours)
            parameter.requires_grad_(ours is not None and ours.requires_grad)
    return theirs


def _nonlinearity(cell: RNNCell) -> str:
    """Return PyTorch's name of a cell's activation."""
    names = {tanh: "tanh", torch.tanh: "tanh", relu: "relu", torch.relu: "relu"}
    if cell.activation not in names:
        raise ValueError(
            "activation must be tanh or relu for PyTorch's layer: "
            f"got {cell.activation}"
        )
    return names[cell.activation]
