"""The output of each time step, and a forecaster: an LSTM with a dense layer."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlbook._check import check_dtype, check_last_axes, check_shape, check_whole
from dlbook.fused import FusedRecurrent
from dlbook.network import Dense, Elementwise, glorot_uniform_
from dlbook.recurrent import Cell, LSTMCell, Recurrent


class Readout(nn.Module):
    """The output layer: o_t = f(W_ho h_t + W_xo x_t + b_o), or without x and f.

    The second form is the usual one: the state knows what it has read, and logits need
    no nonlinearity.

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
        """Create the weights; the bias is zero.

        Args:
            hidden: units of the state h_t.
            outputs: numbers in o_t.
            inputs: features of x_t, or 0 for the usual form.
            activation: f, or None for the usual form.
            init: fills each of the matrices in place.

        Raises:
            TypeError: A size is no whole number.
            ValueError: hidden or outputs is less than 1, or inputs less than 0.
        """
        super().__init__()
        check_whole(1, hidden=hidden, outputs=outputs)
        check_whole(0, inputs=inputs)
        self.weight_ho = nn.Parameter(torch.empty(outputs, hidden))
        self.weight_xo = nn.Parameter(torch.empty(outputs, inputs)) if inputs else None
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.activation = activation
        for weight in (self.weight_ho, self.weight_xo):
            if weight is not None:
                init(weight)

    def forward(
        self,
        h: Float[Tensor, "*batch hidden"],
        x: Float[Tensor, "*batch inputs"] | None = None,
    ) -> Float[Tensor, "*batch outputs"]:
        """Return o_t, for one time step or for all at once.

        Args:
            h: the states.
            x: the inputs of the same time steps, if the layer was made with `inputs`.

        Raises:
            TypeError: h or x is of another type than the weights.
            ValueError: x is missing or unexpected, or h or x has another shape.
        """
        _check_readout(h, x, self.weight_ho, self.weight_xo)
        z = h @ self.weight_ho.T + self.bias
        if x is not None and self.weight_xo is not None:
            z = z + x @ self.weight_xo.T
        return z if self.activation is None else self.activation(z)


def _check_readout(
    h: Tensor, x: Tensor | None, weight_ho: Tensor, weight_xo: Tensor | None
) -> None:
    """Refuse states and inputs that do not belong together or not to the weights."""
    if (x is None) != (weight_xo is None):
        got = "none" if x is None else tuple(x.shape)
        raise ValueError(
            f"x must be given if the layer has inputs, else not: got {got}"
        )
    check_last_axes("h", h, weight_ho.shape[1])
    check_dtype("h", h, weight_ho)
    if x is not None and weight_xo is not None:
        check_shape("x", x, *h.shape[:-1], weight_xo.shape[1])
        check_dtype("x", x, weight_xo)


class Forecaster(nn.Module):
    """An LSTM over a window of measurements, and a dense layer on its last state.

    On one feature it has 10,400 + 51 parameters, as the article's network in Keras.
    """

    def __init__(
        self,
        inputs: int = 1,
        hidden: int = 50,
        outputs: int = 1,
        cell: Callable[[int, int], Cell] = LSTMCell,
        fused: bool = False,
    ):
        """Create the layers.

        Args:
            inputs: features of one time step.
            hidden: units of the recurrent layer.
            outputs: numbers to forecast, such as one for each horizon or quantile.
            cell: makes the recurrent cell, as in `Recurrent`.
            fused: lets PyTorch's own layer compute, with the same weights, but faster.

        Raises:
            TypeError: A size is no whole number.
            ValueError: A size is less than 1, or PyTorch has no such layer.
        """
        super().__init__()
        recurrent = Recurrent(cell, inputs, hidden)
        self.output = Dense(hidden, outputs, glorot_uniform_)
        self.recurrent = FusedRecurrent(recurrent) if fused else recurrent

    def forward(
        self, x: Float[Tensor, "batch length inputs"]
    ) -> Float[Tensor, "batch outputs"]:
        """Return the forecasts.

        Args:
            x: windows of measurements.

        Raises:
            TypeError: x is of another type than the weights.
            ValueError: x has another shape.
        """
        h, _ = self.recurrent(x)  # (batch, length, hidden)
        return self.output(h[:, -1])
