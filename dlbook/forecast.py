"""What stands on a recurrent network: the output of each step, and the article's forecaster; and PyTorch's layers."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlbook.activations import relu, tanh
from dlbook.network import Dense, Elementwise, glorot_uniform_
from dlbook.recurrent import Cell, LSTMCell, Recurrent


class Readout(nn.Module):
    """The output of each step: o_t = f(W_ho h_t + W_xo x_t + b_o), the article's form, or the usual one.

    The usual form has neither W_xo nor f: the state knows what it has read, and scores need no squashing.

    Source: book equations (3.3.2a) and (3.3.2b).
    """

    def __init__(
        self,
        hidden: int,
        outputs: int,
        inputs: int = 0,
        activation: Elementwise | None = None,
        init: Callable[[Tensor], None] = glorot_uniform_,
    ):
        """Make the weights; `inputs` is the number of features of x_t, 0 for the usual form, and `activation` is f."""
        super().__init__()
        if min(hidden, outputs) < 1 or inputs < 0:
            raise ValueError(
                f"hidden and outputs must be at least 1, and inputs at least 0: got {hidden=}, {outputs=}, {inputs=}"
            )
        self.weight_ho = nn.Parameter(torch.empty(outputs, hidden))
        self.weight_xo = nn.Parameter(torch.empty(outputs, inputs)) if inputs else None
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.activation = activation
        for weight in (self.weight_ho, self.weight_xo):
            if weight is not None:
                init(weight)

    def forward(
        self, h: Float[Tensor, "*batch hidden"], x: Float[Tensor, "*batch inputs"] | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        """Return o_t for one step or for all at once."""
        if (x is None) != (self.weight_xo is None):
            got = "none" if x is None else tuple(x.shape)
            raise ValueError(f"x must be given in the article's form, made with inputs, and in no other: got {got}")
        z = h @ self.weight_ho.T + self.bias
        if x is not None and self.weight_xo is not None:
            z = z + x @ self.weight_xo.T
        return z if self.activation is None else self.activation(z)


class Forecaster(nn.Module):
    """The article's network: an LSTM reads a window of measurements, and a dense layer forecasts from its last state.

    On one feature it has 10,400 + 51 parameters, as in Keras.
    """

    def __init__(
        self,
        inputs: int = 1,
        hidden: int = 50,
        outputs: int = 1,
        cell: Callable[[int, int], Cell] = LSTMCell,
        fused: bool = False,
    ):
        """Make the layers.

        Args:
            inputs: features of one step.
            hidden: units of the recurrent layer.
            outputs: numbers to forecast, such as one for each horizon or quantile.
            cell: makes the recurrent cell, as in `Recurrent`.
            fused: lets PyTorch's own layer compute, with the same weights, which is faster.
        """
        super().__init__()
        recurrent = Recurrent(cell, inputs, hidden)
        self.output = Dense(hidden, outputs, glorot_uniform_)
        self.recurrent = as_torch(recurrent) if fused else recurrent

    def forward(self, x: Float[Tensor, "batch steps inputs"]) -> Float[Tensor, "batch outputs"]:
        """Return the forecasts for a batch of windows."""
        h, _ = self.recurrent(x)  # (batch, steps, hidden)
        return self.output(h[:, -1])


@torch.no_grad()
def as_torch(ours: Recurrent) -> nn.RNNBase:
    """Give PyTorch's layer with the weights of ours: the same numbers, computed in one piece instead of a loop.

    Where a cell has one vector of biases, PyTorch's second one is zero and is not trained.
    """
    first, layers = ours.cells[0], len(ours.cells) // ours.directions
    options = dict[str, Any](num_layers=layers, bidirectional=ours.directions == 2, batch_first=True)
    if first.gates == "h":
        functions = {tanh: "tanh", torch.tanh: "tanh", relu: "relu", torch.relu: "relu"}
        if first.activation not in functions:
            raise ValueError(f"activation must be tanh or relu for PyTorch's layer: got {first.activation}")
        options["nonlinearity"] = functions[first.activation]
    kind = {"h": nn.RNN, "ifgo": nn.LSTM, "rzn": nn.GRU}[first.gates]
    theirs = kind(first.inputs, first.hidden, **options).to(first.weight_hh)
    for number, cell in enumerate(ours.cells):
        layer, reverse = divmod(number, ours.directions)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            parameter = theirs.get_parameter(f"{name}_l{layer}{'_reverse' * reverse}")
            parameter.copy_(0 * cell.bias_ih if getattr(cell, name) is None else getattr(cell, name))
            parameter.requires_grad_(getattr(cell, name) is not None)
    return theirs
