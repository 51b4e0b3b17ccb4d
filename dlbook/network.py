"""Dense layers: initialisation, forward and backward pass by hand, dropout, the MLP."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlbook._check import (
    check_dtype,
    check_features,
    check_floating,
    check_same_shape,
    check_shape,
)
from dlbook.activations import relu

Elementwise = Callable[[Tensor], Tensor]


@torch.no_grad()
def he_normal_(weight: Float[Tensor, "outputs inputs *kernel"]) -> None:
    """Fill weights by He (Kaiming) initialisation: normal, with variance 2 / inputs.

    It keeps the scale of the signal through ReLU layers.

    Args:
        weight: is changed in place. The inputs are those of one output: in a
            convolution, all that its kernel covers.

    Raises:
        TypeError: weight is not floating point.
        ValueError: It has no axes of outputs and inputs.

    Source: He et al. 2015, equation (10); book equation (3.1.1f).
    """
    _check_weight(weight)
    weight.normal_(0, math.sqrt(2 / weight[0].numel()))


@torch.no_grad()
def glorot_uniform_(weight: Float[Tensor, "outputs inputs *kernel"]) -> None:
    """Fill weights by Glorot initialisation: uniform, variance 2 / (inputs + outputs).

    It is the default of Keras.

    Args:
        weight: is changed in place. The inputs are those of one output, the outputs
            those that one input reaches.

    Raises:
        TypeError: weight is not floating point.
        ValueError: It has no axes of outputs and inputs.

    Source: Glorot and Bengio 2010, equation (16).
    """
    _check_weight(weight)
    bound = math.sqrt(6 / (weight[0].numel() + weight[:, 0].numel()))
    weight.uniform_(-bound, bound)


def _check_weight(weight: Tensor) -> None:
    """Refuse weights without outputs and inputs."""
    check_floating(weight=weight)
    if weight.ndim < 2 or not weight.numel():
        raise ValueError(
            "weight must have the shape (outputs, inputs, ...), none of them 0: "
            f"got {tuple(weight.shape)}"
        )


class Dense(nn.Module):
    """Apply a dense (linear, fully connected) layer: z = W a + b.

    Biases are initialised to zero.

    Source: book equation (3.1.1a).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        init: Callable[[Tensor], None] = he_normal_,
    ):
        """Create the weights.

        Args:
            inputs: how many numbers the layer receives.
            outputs: how many it returns.
            init: fills the weights, of shape (outputs, inputs), in place.

        Raises:
            ValueError: inputs or outputs is less than 1.
        """
        super().__init__()
        if min(inputs, outputs) < 1:
            raise ValueError(
                f"inputs and outputs must be at least 1: got {inputs=}, {outputs=}"
            )
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        init(self.weight)

    def forward(
        self, a: Float[Tensor, "*batch inputs"]
    ) -> Float[Tensor, "*batch outputs"]:
        """Return z; the examples of a batch are rows, hence the transpose.

        Args:
            a: what the layer receives, of the weights' type.

        Raises:
            TypeError: a is of another type.
            ValueError: Its last axis does not have the size `inputs`.
        """
        check_features("a", a, self.weight)
        return a @ self.weight.T + self.bias


class Dropout(nn.Module):
    """Apply dropout: in training, set units to 0 at random and scale the others up.

    The mean stays the same. In evaluation mode nothing changes.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, p: float):
        """Set the probability.

        Args:
            p: the probability that a unit is set to 0.

        Raises:
            ValueError: p is negative, or 1 or more.
        """
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be at least 0 and less than 1: got {p}")
        self.p = p

    def forward(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the activations, in training mode with dropout.

        Args:
            a: activations, of any shape.

        Raises:
            TypeError: a is not floating point.
        """
        check_floating(a=a)
        if not self.training or self.p == 0:
            return a
        kept = torch.rand_like(a) >= self.p
        return a * kept / (1 - self.p)


class MLP(nn.Module):
    """Stack dense layers into a multilayer perceptron, which returns logits.

    No activation function follows the last layer: softmax is part of the loss,
    `losses.cross_entropy`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Elementwise = relu,
        init: Callable[[Tensor], None] = he_normal_,
        dropout: float = 0.0,
    ):
        """Create the layers.

        Args:
            widths: numbers of units from input to output, such as [784, 64, 64, 10].
            activation: the function between two layers.
            init: fills the weights of a layer, of shape (outputs, inputs), in place.
            dropout: the probability that a hidden unit is set to 0 in training.

        Raises:
            ValueError: widths has less than two entries, or one below 1.
        """
        super().__init__()
        if len(widths) < 2:
            raise ValueError(
                f"widths must name at least an input and an output: got {list(widths)}"
            )
        self.layers = nn.ModuleList(
            Dense(m, n, init) for m, n in zip(widths, widths[1:], strict=False)
        )
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch *features"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits, one for each class.

        Args:
            x: one example a row; what has more axes, such as an image, is flattened.

        Raises:
            TypeError: x is not of the weights' type.
            ValueError: An example does not have as many numbers as the input.
        """
        _check_examples(x, self.layers)
        a = x.flatten(1)
        for layer in self.layers[:-1]:
            a = self.dropout(self.activation(layer(a)))
        return self.layers[-1](a)


def _check_examples(x: Tensor, layers: nn.ModuleList) -> None:
    """Refuse examples that the first of some layers cannot take."""
    first: Any = layers[0]
    check_features("x", x, first.weight, first=1)


def propagate(
    x: Float[Tensor, "batch inputs"],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    f: Elementwise,
) -> tuple[list[Tensor], list[Tensor]]:
    """Run the forward pass; keep what the backward pass needs.

    Args:
        x: one example a row.
        weights: of each layer, (outputs, inputs).
        biases: of each layer, (outputs,).
        f: the activation function between the layers.

    Returns:
        The pre-activations z_1 ... z_n of each layer, (batch, outputs), of which the
        last are the logits; and what each layer received, a_0 = x up to a_{n-1}.

    Raises:
        TypeError: x is not of the weights' type.
        ValueError: The shapes do not fit.

    Source: book equations (3.1.1c) and (3.1.1d).
    """
    _check_layers(x, weights, biases)
    zs, activations = [], [x]
    for weight, bias in zip(weights, biases, strict=True):
        zs.append(activations[-1] @ weight.T + bias)
        activations.append(f(zs[-1]))
    return zs, activations[:-1]


def backpropagate(
    delta: Float[Tensor, "batch outputs"],
    weights: Sequence[Tensor],
    zs: Sequence[Tensor],
    activations: Sequence[Tensor],
    derivative: Elementwise,
) -> tuple[list[Tensor], list[Tensor]]:
    """Run the backward pass (backpropagation); return the gradient of each parameter.

    Args:
        delta: the derivative of the loss with respect to the logits.
        weights: of each layer, (outputs, inputs).
        zs: the pre-activations that `propagate` returned.
        activations: what each layer received, as `propagate` returned it.
        derivative: of the activation function between the layers.

    Returns:
        The gradients of the weights and of the biases, in the order of the layers.

    Raises:
        TypeError: delta is not of the weights' type.
        ValueError: The shapes do not fit.

    Source: book equations (3.1.2c) to (3.1.2e).
    """
    _check_backward(delta, weights, zs, activations)
    weight_gradients: list[Tensor] = []
    bias_gradients: list[Tensor] = []
    for layer in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ activations[layer])  # (outputs, inputs)
        bias_gradients.insert(0, delta.sum(0))  # both are summed over the batch
        if layer > 0:
            delta = (delta @ weights[layer]) * derivative(zs[layer - 1])
    return weight_gradients, bias_gradients


def _check_layers(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]
) -> None:
    """Refuse layers of which one does not return what the next one takes."""
    if not weights or len(weights) != len(biases):
        raise ValueError(
            "weights and biases must be as many as each other, at least 1: "
            f"got {len(weights)} and {len(biases)}"
        )
    check_shape("x", x, "batch", "inputs")
    check_features("x", x, weights[0])
    inputs = x.shape[1]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        check_shape(f"weights[{layer}]", weight, "outputs", inputs)
        inputs = weight.shape[0]
        check_shape(f"biases[{layer}]", bias, inputs)


def _check_backward(
    delta: Tensor,
    weights: Sequence[Tensor],
    zs: Sequence[Tensor],
    activations: Sequence[Tensor],
) -> None:
    """Refuse what does not belong to one forward pass."""
    if not len(weights) == len(zs) == len(activations) > 0:
        raise ValueError(
            "weights, zs and activations must be as many as each other, at least 1: "
            f"got {len(weights)}, {len(zs)} and {len(activations)}"
        )
    check_same_shape(**{"zs[-1]": zs[-1], "delta": delta})
    check_dtype("delta", delta, weights[0])
    for layer, weight in enumerate(weights):
        outputs, inputs = weight.shape
        check_shape(f"zs[{layer}]", zs[layer], len(delta), outputs)
        check_shape(f"activations[{layer}]", activations[layer], len(delta), inputs)


@torch.no_grad()
def finite_difference(
    loss: Callable[[], Tensor],
    parameter: Float[Tensor, "*shape"],
    index: int,
    step: float = 1e-5,
) -> float:
    """Return a central difference: the derivative of the loss by one entry, measured.

    Args:
        loss: computes the loss from the parameter as it stands.
        parameter: float64, contiguous; one entry is changed and then put back.
        index: of that entry in the flattened parameter.
        step: how far the entry moves, up and down.

    Raises:
        TypeError: parameter is not float64: in others, rounding hides the difference.
        ValueError: It is not contiguous, or step is not positive.

    Source: book equation (3.1.2f).
    """
    _check_difference(parameter, step)
    entry, ends = parameter.view(-1)[index], []
    kept = entry.clone()
    for moved in (kept + step, kept - step):
        entry.copy_(moved)
        ends.append(float(loss()))
    entry.copy_(kept)
    return (ends[0] - ends[1]) / (2 * step)


def _check_difference(parameter: Tensor, step: float) -> None:
    """Refuse a parameter that cannot be changed exactly, or a step of nothing."""
    check_floating(parameter=parameter)
    if parameter.dtype != torch.float64:
        raise TypeError(f"parameter must be float64: got {parameter.dtype}")
    if not parameter.is_contiguous():
        raise ValueError(f"parameter must be contiguous: got {parameter.stride()=}")
    if not step > 0:
        raise ValueError(f"step must be positive: got {step}")
