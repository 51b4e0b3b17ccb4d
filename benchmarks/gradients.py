"""What does a fault in the gradient cost, and what do vanishing gradients cost, each at its own best learning rate?

python -m benchmarks.gradients [rows…]

Ten thousand images of Fashion-MNIST train each network, 5,000 others are the validation set, and both are the same for
all rows. Rows `fault …` train networks with layers of 784, 64, 64 and 10 units and ReLU for three epochs by stochastic
gradient descent. `no slope` leaves the derivative of ReLU out of the backward pass, `frozen` never changes the hidden
layers; in `none` nothing is wrong. Rows `deep …` train eight layers, 64 units each and 10 in the last, for five epochs
on standardised images; each row differs from the one before it in the optimiser or in the activation function alone
(`scaled` is Adam without momentum). Weights are drawn with a variance of two over the fan-in in the first kind of rows,
and of one over the fan-in in the second. A row holds the validation accuracy for each learning rate and each of the
seeds 0 to 2. Rows `confirm …` train again at the rate with the best mean, with the seeds 100 to 107, and hold the
accuracy on 5,000 images that no choice has seen.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.store import fresh, run
from dlbook.data.images import fashion_mnist

SEEDS, NEW_SEEDS, BATCH = range(3), range(100, 108), 50
WIDTHS, DEEP_WIDTHS = [784, 64, 64, 10], [784, *[64] * 7, 10]
RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
FAULTS = ["none", "no slope", "frozen"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "scaled": partial(torch.optim.Adam, betas=(0.0, 0.999)),  # divides by the gradient's size, without momentum
    "Adam": torch.optim.Adam,
}
DEEP_RATES = {"SGD": [0.01, 0.1, 0.3, 1.0, 3.0, 10.0]} | dict.fromkeys(
    ("scaled", "Adam"), [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
)
DEEP = [("sigmoid", "SGD"), ("sigmoid", "scaled"), ("sigmoid", "Adam"), ("tanh", "Adam")]


@cache
def data(held_out: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the training set, and the validation set or the images that no choice has seen."""
    every = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    images, labels = every.train_images.flatten(1)[order], every.train_labels[order]
    others = slice(10_000, 15_000) if held_out else slice(-5_000, None)
    return images[:10_000], labels[:10_000], images[others], labels[others]


class NoSlope(torch.autograd.Function):
    """ReLU whose backward pass forgets its derivative."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """Return ReLU."""
        return z.relu()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient as it came."""
        return gradient


class Stack:
    """Networks of the same widths, one for each seed, side by side: none sees another."""

    def __init__(self, widths: Sequence[int], variance: float, seeds: Sequence[int]):
        """Draw the weights with a variance in units of one over the fan-in; biases are zero."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weights = []
        for inputs, outputs in pairwise(widths):
            drawn = torch.stack([torch.randn(inputs, outputs, generator=one) for one in generators])
            self.weights.append((drawn * (variance / inputs) ** 0.5).requires_grad_())
        self.biases = [torch.zeros(len(seeds), 1, width, requires_grad=True) for width in widths[1:]]

    def logits(self, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Return logits, (seeds, batch, classes), of one batch for all or of one for each."""
        a = x
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = a @ weight + bias
            a = activation(z) if layer < len(self.weights) - 1 else z
        return a

    def train(
        self,
        parts: tuple[Tensor, Tensor, Tensor, Tensor],
        activation: Callable[[Tensor], Tensor],
        update: torch.optim.Optimizer,
        seeds: Sequence[int],
        epochs: int,
    ) -> list[float]:
        """Train each network on its own batches, and return the accuracies on the other images."""
        x, y, other_x, other_y = parts
        generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
        for _ in range(epochs):
            orders = torch.stack([torch.randperm(len(x), generator=one) for one in generators])
            for batch in orders.split(BATCH, 1):  # (seeds, batch)
                update.zero_grad()
                self.losses(x[batch], y[batch], activation).sum().backward()  # each network gets its own gradient
                update.step()
        with torch.no_grad():
            return (self.logits(other_x, activation).argmax(-1) == other_y).double().mean(1).tolist()

    def losses(self, x: Tensor, y: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean cross-entropy of each network."""
        logits = self.logits(x, activation)
        return F.cross_entropy(logits.transpose(1, 2), y, reduction="none").mean(1)


def train_with_fault(
    fault: str, rate: float, seeds: Sequence[int], held_out: bool = False, epochs: int = 3
) -> list[float]:
    """Train networks with one fault in the backward pass, and return their accuracies."""
    networks = Stack(WIDTHS, 2, seeds)
    layers = [-1] if fault == "frozen" else [0, 1, 2]
    update = torch.optim.SGD([part[layer] for part in (networks.weights, networks.biases) for layer in layers], lr=rate)
    activation = NoSlope.apply if fault == "no slope" else torch.relu
    return networks.train(data(held_out), activation, update, seeds, epochs)


def train_deep(
    activation: str, optimizer: str, rate: float, seeds: Sequence[int], held_out: bool = False, epochs: int = 5
) -> list[float]:
    """Train deep networks, and return their accuracies."""
    x, y, other_x, other_y = data(held_out)
    mean, deviation = x.mean(), x.std()
    networks = Stack(DEEP_WIDTHS, 1, seeds)
    update = OPTIMIZERS[optimizer]([*networks.weights, *networks.biases], lr=rate)
    parts = (x - mean) / deviation, y, (other_x - mean) / deviation, other_y
    return networks.train(parts, ACTIVATIONS[activation], update, seeds, epochs)


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
        train = partial(train_with_fault, fault)
        rows[f"fault {fault}"] = partial(search, train, RATES)
        rows[f"confirm {fault}"] = partial(confirm, train, f"fault {fault}")
    for activation, optimizer in DEEP:
        name, deep = f"{activation} {optimizer}", partial(train_deep, activation, optimizer)
        rows[f"deep {name}"] = partial(search, deep, DEEP_RATES[optimizer])
        rows[f"confirm {name}"] = partial(confirm, deep, f"deep {name}")
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
