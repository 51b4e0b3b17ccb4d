"""Optimisers, schedules and batch sizes on Fashion-MNIST, each with its own learning rate; descent above the limit.

python -m benchmarks.optimizers [rows…]

All optimisers have the same grid of learning rates, the same number of tuning runs and PyTorch's other defaults
(momentum 0.9). Rates are chosen by validation accuracy. The comparison has new seeds, and each of them has its own draw
of training images and its own images to be judged by, so that an interval over seeds is one over images, too. The
official test set is not used.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.store import fresh, run
from dlbook.data.images import fashion_mnist
from dlbook.losses import cross_entropy
from dlbook.network import MLP
from dlbook.training.optim import warmup_cosine

MAKERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "RMSProp": torch.optim.RMSprop,
    "Adam": torch.optim.Adam,
}
SCHEDULES = ("constant", "cosine")
RATES = [float(f"{10 ** (exponent / 2):.2g}") for exponent in range(-8, 1)]  # 0.0001 to 1: factors of 3.2
BATCH_RATES = [float(f"{10 ** (exponent / 2):.2g}") for exponent in range(-5, 3)]  # 0.0032 to 10
TRAIN, POOL, HELD, LOT = 10_000, 30_000, 5_000, 2_500
TUNING, SEEDS = (0, 1, 2), range(100, 110)
EPOCHS = (2, 6)
BATCHES = (10, 50, 250, 1_000, 10_000)
MULTIPLES = (0.5, 1, 2, 4, 8, 16, 32)


@cache
def images() -> tuple[Tensor, Tensor]:
    """Return the training images of Fashion-MNIST and their labels, in the chapter's order."""
    data = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    return data.train_images.flatten(1)[order], data.train_labels[order]


def parts(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the training images of a seed, and those that judge it: in tuning the same, later a lot of its own."""
    x, y = images()
    drawn = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))[:TRAIN]
    first = POOL if seed in TUNING else POOL + HELD + LOT * (seed - SEEDS[0])
    judged = slice(first, first + (HELD if seed in TUNING else LOT))
    return (x[drawn], y[drawn]), (x[judged], y[judged])


def trained(make: Callable[..., Any], rate: float, schedule: str, epochs: int, size: int, seed: int) -> float:
    """Train one network, and return its accuracy; that of a guess if the loss is no longer finite."""
    (x, y), (x_held, y_held) = parts(seed)
    torch.manual_seed(seed)
    model = MLP([784, 64, 64, 10])
    optimizer = make(model.parameters(), lr=rate)
    updates = epochs * math.ceil(len(x) / size)
    scheduler = LambdaLR(optimizer, warmup_cosine(updates)) if schedule == "cosine" else None
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(size):
            optimizer.zero_grad()
            loss = cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
        if not loss.isfinite():
            return 0.1
    with torch.no_grad():
        return round((model(x_held).argmax(1) == y_held).double().mean().item(), 4)


def best(table: dict[str, list[float]]) -> str:
    """Return the learning rate with the highest mean accuracy."""
    return max(table, key=lambda rate: sum(table[rate]))


def tune(epochs: int, schedule: str) -> dict[str, dict[str, list[float]]]:
    """Return the validation accuracies of each optimiser at each rate."""
    return {
        name: {str(rate): [trained(make, rate, schedule, epochs, 50, seed) for seed in TUNING] for rate in RATES}
        for name, make in MAKERS.items()
    }


def compare(epochs: int, schedule: str) -> dict[str, dict[str, Any]]:
    """Return accuracies with new seeds and images, at the chosen rates; Adam's also at its default of 0.001."""
    tables = fresh(__file__)[f"tune {epochs} {schedule}"]
    chosen = {name: (make, float(best(tables[name]))) for name, make in MAKERS.items()}
    chosen["Adam, default"] = (torch.optim.Adam, 0.001)
    return {
        name: {"rate": rate, "accuracy": [trained(make, rate, schedule, epochs, 50, seed) for seed in SEEDS]}
        for name, (make, rate) in chosen.items()
    }


def tune_batch() -> dict[str, dict[str, list[float]]]:
    """Return the validation accuracies of SGD after two epochs, for each batch size and rate."""
    return {
        str(size): {
            str(rate): [trained(torch.optim.SGD, rate, "constant", 2, size, seed) for seed in TUNING]
            for rate in BATCH_RATES
        }
        for size in BATCHES
    }


def compare_batch() -> dict[str, dict[str, Any]]:
    """Return accuracies with new seeds and images, for each batch size at its chosen rate."""
    chosen = {size: float(best(table)) for size, table in fresh(__file__)["tune batch"].items()}
    return {
        size: {
            "rate": rate,
            "accuracy": [trained(torch.optim.SGD, rate, "constant", 2, int(size), seed) for seed in SEEDS],
        }
        for size, rate in chosen.items()
    }


def sharpness(model: nn.Module, x: Tensor, y: Tensor, rounds: int = 20) -> float:
    """Return the largest eigenvalue of the Hessian, by power iteration on Hessian-vector products."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(cross_entropy(model(x), y), parameters, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    vector = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    value = 0.0
    for _ in range(rounds):
        norm = math.sqrt(sum((v**2).sum().item() for v in vector))
        vector = [v / norm for v in vector]
        dot = torch.stack([(g * v).sum() for g, v in zip(gradients, vector, strict=True)]).sum()
        product = torch.autograd.grad(dot, parameters, retain_graph=True)
        value = sum((p * v).sum().item() for p, v in zip(product, vector, strict=True))
        vector = [p.detach() for p in product]
    return value


def catapult() -> dict[str, dict[str, list[float]]]:
    """Return what 50 full-batch updates do at multiples of two over the first sharpness: losses, and sharpnesses."""
    x, y = images()
    x, y, found = x[:1_000].double(), y[:1_000], {}
    for multiple in MULTIPLES:
        rows: dict[str, list[float]] = {
            "first loss": [],
            "last loss": [],
            "first sharpness": [],
            "lowest sharpness": [],
        }
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = MLP([784, 64, 64, 10]).double()
            sharp = [sharpness(model, x, y)]
            optimizer = torch.optim.SGD(model.parameters(), lr=multiple * 2 / sharp[0])
            losses = []
            for update in range(1, 51):
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if update % 10 == 0:
                    sharp.append(sharpness(model, x, y))
            values = (losses[0], losses[-1], sharp[0], min(sharp))
            for row, value in zip(rows.values(), values, strict=True):
                row.append(round(value, 3) if math.isfinite(value) else 1e9)
        found[str(multiple)] = rows
    return found


def short() -> list[float]:
    """Return what a test can repeat: a short run of SGD, and one of Adam with the cosine."""
    return [
        trained(MAKERS["SGD"], 0.1, "constant", 1, 500, TUNING[0]),
        trained(MAKERS["Adam"], 0.001, "cosine", 1, 500, SEEDS[0]),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure the rows that are asked for, by default those that are missing."""
    rows: dict[str, Callable[[], Any]] = {"short": short, "catapult": catapult, "tune batch": tune_batch}
    rows |= {"compare batch": compare_batch}
    for epochs in EPOCHS[:1]:  # the chapter claims nothing of six epochs
        for schedule in SCHEDULES:
            rows[f"tune {epochs} {schedule}"] = partial(tune, epochs, schedule)
            rows[f"compare {epochs} {schedule}"] = partial(compare, epochs, schedule)
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
