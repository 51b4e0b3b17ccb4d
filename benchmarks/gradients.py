"""What does a fault in the gradient cost, and what do vanishing gradients cost, each at its own best learning rate?

python -m benchmarks.gradients [rows…]

Ten thousand images of Fashion-MNIST train each network, 5,000 others are the validation set, and both are the same for
all rows. Rows `fault …` train the chapter's network, layers of 784, 64, 64 and 10 units, for three epochs by stochastic
gradient descent with the package's own backward pass, in which one fault is planted. Rows `deep …` train a network of
eight layers, 64 units each and 10 in the last, for five epochs; each of these rows has another pair of activation
function and optimiser (`scaled` is Adam without momentum), and nothing else changes. Their weights are drawn with a
variance of one over the fan-in. A row holds the validation accuracy for each learning rate and each of the seeds 0 to
2. Rows `confirm …` train again at the rate with the best mean, with the seeds 100 to 109, and hold the accuracy on
5,000 images that no choice has seen.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.store import fresh, run
from dlbook.activations import relu, relu_derivative
from dlbook.data.images import fashion_mnist
from dlbook.losses import cross_entropy_gradient
from dlbook.network import MLP, backpropagate, propagate

SEEDS, NEW_SEEDS, BATCH, DEPTH = range(3), range(100, 110), 50, 8
RATES = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
SLOPES: dict[str, Callable[[Tensor], Tensor]] = {"no slope": torch.ones_like}
FACTORS = {"half": [0.5, 1.0, 1.0], "wrong sign": [-1.0, 1.0, 1.0], "frozen": [0.0, 0.0, 1.0]}  # of each layer
FAULTS = ["none", *SLOPES, *FACTORS]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "scaled": partial(torch.optim.Adam, betas=(0.0, 0.999)),  # divides by the gradient's size, without momentum
}
DEEP_RATES = {
    "SGD": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
    "Adam": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
}
DEEP_RATES["scaled"] = DEEP_RATES["Adam"]
DEEP = [("sigmoid", "SGD"), ("sigmoid", "scaled"), ("sigmoid", "Adam"), ("tanh", "SGD"), ("tanh", "Adam")]


@cache
def data(dtype: torch.dtype, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the training set, and the validation set or the images that no choice has seen."""
    every = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    images, labels = every.train_images.flatten(1).to(dtype)[order], every.train_labels[order]
    others = slice(10_000, 15_000) if held_out else slice(-5_000, None)
    return images[:10_000], labels[:10_000], images[others], labels[others]


def train_with_fault(fault: str, rate: float, seeds: Sequence[int], held_out: bool = False) -> list[float]:
    """Train for each seed with one fault in the backward pass, and return the accuracies."""
    return [train_once(fault, rate, seed, held_out) for seed in seeds]


def train_once(fault: str, rate: float, seed: int, held_out: bool = False, epochs: int = 3) -> float:
    """Train with one fault in the backward pass, and return the accuracy."""
    x, y, other_x, other_y = data(torch.float64, held_out)
    torch.manual_seed(seed)
    layers = MLP([784, 64, 64, 10]).double().layers
    weights, biases = ([getattr(m, kind).detach() for m in layers] for kind in ("weight", "bias"))
    factors = FACTORS.get(fault, [1.0] * len(weights))
    slope = SLOPES.get(fault, relu_derivative)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            zs, activations = propagate(x[batch], weights, biases, relu)
            delta = cross_entropy_gradient(zs[-1], y[batch])
            gradients = backpropagate(delta, weights, zs, activations, slope)
            for parameters, some in zip((weights, biases), gradients, strict=True):
                for parameter, gradient, factor in zip(parameters, some, factors, strict=True):
                    parameter -= rate * factor * gradient
    logits = propagate(other_x, weights, biases, relu)[0][-1]
    return (logits.argmax(1) == other_y).double().mean().item()


class Stack:
    """Networks of eight layers, one for each seed, side by side: none sees another."""

    def __init__(self, seeds: Sequence[int]):
        """Draw the weights with a variance of one over the fan-in; biases are zero."""
        widths = [784, *[64] * (DEPTH - 1), 10]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weights = []
        for inputs, outputs in pairwise(widths):
            drawn = torch.stack([torch.randn(inputs, outputs, generator=one) for one in generators])
            self.weights.append((drawn * inputs**-0.5).requires_grad_())
        self.biases = [torch.zeros(len(seeds), 1, width, requires_grad=True) for width in widths[1:]]

    def logits(self, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Return logits, (seeds, batch, classes), of one batch for all or of one for each."""
        a = x
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = a @ weight + bias
            a = activation(z) if layer < len(self.weights) - 1 else z
        return a


def train_deep(
    activation: str, optimizer: str, rate: float, seeds: Sequence[int], held_out: bool = False, epochs: int = 5
) -> list[float]:
    """Train a network of eight layers for each seed, and return the accuracies."""
    x, y, other_x, other_y = data(torch.float32, held_out)
    mean, deviation = x.mean(), x.std()
    x, other_x = ((part - mean) / deviation for part in (x, other_x))
    f, networks = ACTIVATIONS[activation], Stack(seeds)
    update = OPTIMIZERS[optimizer]([*networks.weights, *networks.biases], lr=rate)
    generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    for _ in range(epochs):
        orders = torch.stack([torch.randperm(len(x), generator=one) for one in generators])
        for batch in orders.split(BATCH, 1):  # (seeds, batch)
            update.zero_grad()
            logits = networks.logits(x[batch], f)
            losses = F.cross_entropy(logits.flatten(0, 1), y[batch].flatten(), reduction="sum") / batch.shape[1]
            losses.backward()  # a sum of means: each network gets its own gradient
            update.step()
    with torch.no_grad():
        right = networks.logits(other_x, f).argmax(-1) == other_y
    return right.double().mean(1).tolist()


def search(train: Callable[[float, Sequence[int]], list[float]], rates: list[float]) -> dict[str, list[float]]:
    """Return the accuracies of all seeds, for each rate."""
    return {str(rate): train(rate, SEEDS) for rate in rates}


def best(table: dict[str, list[float]]) -> float:
    """Return the rate with the highest mean accuracy."""
    return float(max(table, key=lambda rate: sum(table[rate])))


def confirm(train: Callable[..., list[float]], name: str) -> dict[str, Any]:
    """Train with new seeds at the best rate of a search, and look at images that no choice has seen."""
    rate = best(fresh(__file__)[name])
    return {"rate": rate, "accuracies": train(rate, NEW_SEEDS, held_out=True)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {}
    for fault in FAULTS:
        rows[f"fault {fault}"] = partial(search, partial(train_with_fault, fault), RATES)
    for activation, optimizer in DEEP:
        train = partial(train_deep, activation, optimizer)
        rows[f"deep {activation} {optimizer}"] = partial(search, train, DEEP_RATES[optimizer])
    for fault in FAULTS:
        rows[f"confirm {fault}"] = partial(confirm, partial(train_with_fault, fault), f"fault {fault}")
    for activation, optimizer in DEEP:
        name = f"{activation} {optimizer}"
        rows[f"confirm {name}"] = partial(confirm, partial(train_deep, activation, optimizer), f"deep {name}")
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
