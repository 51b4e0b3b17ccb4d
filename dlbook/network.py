"""Dense layers: how to start their weights, both passes by hand, dropout, and the multilayer perceptron."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlbook.activations import relu

Elementwise = Callable[[Tensor], Tensor]


@torch.no_grad()
def he_normal_(weight: Float[Tensor, "outputs inputs *kernel"]) -> None:
    """Fill the weights so that ReLU layers keep the size of the signal: normal, with variance 2 / inputs.

    The inputs are those of one output: in a convolution, all that its kernel sees.

    Source: He et al. 2015, equation (10); book equation (3.1.1f).
    """
    weight.normal_(0, math.sqrt(2 / weight[0].numel()))


@torch.no_grad()
def glorot_uniform_(weight: Float[Tensor, "outputs inputs *kernel"]) -> None:
    """Fill the weights as Keras does: uniform, with variance 2 / (inputs + outputs).

    The inputs are those of one output, the outputs those that one input reaches.

    Source: Glorot and Bengio 2010, equation (16).
    """
    bound = math.sqrt(6 / (weight[0].numel() + weight[:, 0].numel()))
    weight.uniform_(-bound, bound)


class Dense(nn.Module):
    """Multiply by a weight matrix and add a bias: z = W a + b for each example of a batch.

    Biases start at zero.

    Source: book equation (3.1.1a).
    """

    def __init__(self, inputs: int, outputs: int, init: Callable[[Tensor], None] = he_normal_):
        """Make a layer of the given widths; `init` fills the weights, of shape (outputs, inputs), in place."""
        super().__init__()
        if min(inputs, outputs) < 1:
            raise ValueError(f"inputs and outputs must be at least 1: got {inputs=}, {outputs=}")
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        init(self.weight)

    def forward(self, a: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Return z; a batch lies in rows, hence the transpose."""
        return a @ self.weight.T + self.bias


class Dropout(nn.Module):
    """While training, silence each unit with a given probability and scale up the others to keep the mean.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, p: float):
        """Make the layer; `p` is the probability that a unit is silenced."""
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be at least 0 and less than 1: got {p}")
        self.p = p

    def forward(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Silence units in training mode; change nothing in evaluation mode."""
        if not self.training or self.p == 0:
            return a
        kept = torch.rand_like(a) >= self.p
        return a * kept / (1 - self.p)


class MLP(nn.Module):
    """Stack dense layers with an activation function between them; return scores, one for each class.

    No activation follows the last layer: softmax belongs to the loss, `losses.cross_entropy`, or to whoever wants
    probabilities.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Elementwise = relu,
        init: Callable[[Tensor], None] = he_normal_,
        dropout: float = 0.0,
    ):
        """Make the layers; `widths` are the numbers of units from input to output, such as [784, 64, 64, 10]."""
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"widths must name at least an input and an output: got {list(widths)}")
        self.layers = nn.ModuleList(Dense(m, n, init) for m, n in zip(widths, widths[1:], strict=False))
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch classes"]:
        """Flatten each example and send it through the layers."""
        a = x.flatten(1)
        for layer in self.layers[:-1]:
            a = self.dropout(self.activation(layer(a)))
        return self.layers[-1](a)


def propagate(
    x: Float[Tensor, "batch inputs"], weights: Sequence[Tensor], biases: Sequence[Tensor], f: Elementwise
) -> tuple[list[Tensor], list[Tensor]]:
    """Send a batch forward and keep what the way back will need.

    Returns:
        zs: the sums z_1 ... z_n of each layer, of shape (batch, outputs); the last holds the scores.
        activations: what each layer received, a_0 = x up to a_{n-1}.

    Source: book equations (3.1.1c) and (3.1.1d).
    """
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
    """Send the error backward and collect the gradient of every weight and bias.

    Args:
        delta: the derivative of the loss with respect to the scores.
        zs, activations: as `propagate` returned them.
        derivative: of the activation function between the layers.

    Returns:
        The gradients of the weights and of the biases, in the order of the layers.

    Source: book equations (3.1.2c) to (3.1.2e).
    """
    weight_gradients: list[Tensor] = []
    bias_gradients: list[Tensor] = []
    for layer in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ activations[layer])  # (outputs, inputs), summed over the batch
        bias_gradients.insert(0, delta.sum(0))
        if layer > 0:
            delta = (delta @ weights[layer]) * derivative(zs[layer - 1])  # (batch, inputs)
    return weight_gradients, bias_gradients


@torch.no_grad()
def finite_difference(
    loss: Callable[[], Tensor], parameter: Float[Tensor, "*shape"], index: int, step: float = 1e-5
) -> float:
    """Measure how the loss changes when one entry of a parameter moves a little up, and a little down.

    Args:
        loss: computes the loss from the parameter as it stands.
        index: of the entry in the flattened parameter, which is put back afterwards. Use float64.

    Source: book equation (3.1.2f).
    """
    entry, ends = parameter.view(-1)[index], []
    kept = entry.clone()
    for moved in (kept + step, kept - step):
        entry.copy_(moved)
        ends.append(float(loss()))
    entry.copy_(kept)
    return (ends[0] - ends[1]) / (2 * step)
