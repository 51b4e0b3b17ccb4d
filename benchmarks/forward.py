"""Random hidden units against tuned linear models, and initialisations of shallow and deep networks, on Fashion-MNIST.

python -m benchmarks.forward [rows…]

All methods learn from the same 10,000 images; each setting is chosen on 5,000 validation images, with seeds that no
comparison uses; what is stored of the test images are accuracies and paired intervals.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.store import run
from dlbook.data.images import fashion_mnist
from dlbook.metrics.paired import difference_over_examples, difference_over_examples_and_seeds

WIDTHS = {"identity": (10, 30, 100, 300, 1_000), "relu": (10, 30, 100, 300, 1_000, 2_000)}
RIDGES = tuple(10.0**power for power in (-7, -6, -5, -4, -3, -2, -1, 0))  # times the number of images
DECAYS = tuple(10.0 ** (power / 2) for power in range(-9, -4))  # penalties of logistic regression
TUNING, SEEDS = (100, 101, 102), (0, 1, 2, 3, 4)
DEPTHS = {2: "2 hidden layers", 20: "20 hidden layers"}
INITS = {"he": 2.0, "lecun": 1.0, "third": 1 / 3, "pytorch": 1 / 3}  # variance of the weights times the fan-in
RATES = tuple(10.0 ** (power / 2) for power in range(-8, -2))
WIDTH, BATCH, UPDATES = 64, 100, 300


@cache
def images() -> dict[str, tuple[Tensor, Tensor]]:
    """Return flat images and labels to learn from, to choose by, and to compare on, as the chapter splits them."""
    data = fashion_mnist()
    order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(0))
    pixels, labels = data.train_images.flatten(1)[order], data.train_labels[order]
    found = {"train": (pixels[:10_000], labels[:10_000]), "validation": (pixels[-5_000:], labels[-5_000:])}
    return found | {"test": (data.test_images.flatten(1), data.test_labels)}


def right(logits: Tensor, part: str) -> Tensor:
    """Return 1 for each example of a part that is classified correctly, else 0."""
    return (logits.argmax(-1) == images()[part][1]).double()


# --- random hidden units ----------------------------------------------------------------------------------------------


def hidden(name: str, width: int, seed: int) -> dict[str, Tensor]:
    """Return the activations of a random layer for each part, with a column of ones; of "pixels", the pixels."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(width, 784, generator=generator, dtype=torch.float64) * (2 / 784) ** 0.5
    bias = torch.randn(width, generator=generator, dtype=torch.float64) * 0.3
    found = {}
    for part, (x, _) in images().items():
        a = x.double() if name == "pixels" else x.double() @ weight.T + bias
        a = a.clamp(min=0) if name == "relu" else a
        found[part] = torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], 1)
    return found


def ridge(features: dict[str, Tensor], strengths: tuple[float, ...], part: str) -> Tensor:
    """Return what ridge regression on one-hot labels gets right, for each strength."""
    a, target = features["train"], F.one_hot(images()["train"][1], 10).double()
    gram, moments = a.T @ a, a.T @ target
    eye = torch.eye(len(gram), dtype=gram.dtype) * len(a)
    return torch.stack([right(features[part] @ torch.linalg.solve(gram + s * eye, moments), part) for s in strengths])


def logistic(features: dict[str, Tensor], strengths: tuple[float, ...], part: str) -> Tensor:
    """Return what multinomial logistic regression with an L2 penalty gets right, for each strength, at the optimum."""
    mean, y = features["train"].mean(0), images()["train"][1]
    scale = (features["train"] - mean).std() / 0.3  # one for all columns: the pixels have about this spread
    a, other = (((features[name] - mean) / scale).float() for name in ("train", part))
    a[:, -1] = other[:, -1] = 1  # the intercept has no penalty
    weight, found = torch.zeros(10, a.shape[1], requires_grad=True), []
    for strength in sorted(strengths, reverse=True):  # from the strongest penalty on, each from the last one's end
        optimizer = torch.optim.LBFGS([weight], max_iter=250, history_size=20, line_search_fn="strong_wolfe")
        optimizer.param_groups[0].update(tolerance_grad=1e-4, tolerance_change=1e-7)

        def closure(optimizer: torch.optim.Optimizer = optimizer, strength: float = strength) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(a @ weight.T, y) + strength / 2 * weight[:, :-1].square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append(right(other @ weight.detach().T, part))
    return torch.stack(found[::-1])


@cache
def chosen(name: str, width: int, readout: Callable[..., Tensor]) -> dict[str, Any]:
    """Return the validation accuracy of each strength, the best, and what the best gets right with new seeds."""
    strengths = RIDGES if readout is ridge else DECAYS
    tuning, seeds = (TUNING[:1], SEEDS[:1]) if name == "pixels" else (TUNING, SEEDS)
    if width > 1_000 or readout is logistic:
        tuning = TUNING[:1]  # slow
    runs = [readout(hidden(name, width, seed), strengths, "validation").mean(1) for seed in tuning]
    table = torch.stack(runs).mean(0)
    best = strengths[int(table.argmax())]
    tested = [readout(hidden(name, width, seed), (best,), "test")[0] for seed in seeds]
    return {"table": table, "strength": best, "right": torch.stack(tested)}


READOUTS: dict[str, Callable[..., Tensor]] = {"ridge": ridge, "logistic": logistic}


def accuracy(name: str, width: int, readout: str) -> dict[str, Any]:
    """Return the accuracies of one kind of features under one readout, and its paired gain over the pixels."""
    found, pixels = chosen(name, width, READOUTS[readout]), chosen("pixels", 0, READOUTS[readout])
    result = {
        "validation": [round(float(value), 4) for value in found["table"]],
        "strength": found["strength"],
        "test": [round(float(value), 4) for value in found["right"].mean(1)],
    }
    if name != "pixels":
        result["over pixels"] = interval(found["right"], pixels["right"].expand_as(found["right"]))
        best = chosen("pixels", 0, logistic)["right"]
        result["over logistic regression"] = interval(found["right"], best.expand_as(found["right"]))
    return result


def interval(first: Tensor, second: Tensor) -> list[float]:
    """Return estimate, low and high of a paired difference over examples and seeds."""
    if len(first) == 1:
        found = difference_over_examples(first[0], second[0])
    else:
        found = difference_over_examples_and_seeds(first, second)
    return [round(found.estimate, 5), round(found.low, 5), round(found.high, 5)]


# --- initialisation ---------------------------------------------------------------------------------------------------


def drawn(init: str, depth: int, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return weights and biases of a network; the draws of one seed differ between initialisations by a factor alone.

    PyTorch's default has uniform numbers and random biases, and therefore other draws.
    """
    generator = torch.Generator().manual_seed(seed)
    weights, biases = [], []
    for inputs, outputs in zip([784, *[WIDTH] * depth], [*[WIDTH] * depth, 10], strict=True):
        if init == "pytorch":
            bound = inputs**-0.5
            weights.append((2 * torch.rand(outputs, inputs, generator=generator) - 1) * bound)
            biases.append((2 * torch.rand(outputs, generator=generator) - 1) * bound)
        else:
            weights.append(torch.randn(outputs, inputs, generator=generator) * (INITS[init] / inputs) ** 0.5)
            biases.append(torch.zeros(outputs))
    return weights, biases


def trained(init: str, depth: int, seeds: tuple[int, ...], rates: tuple[float, ...], part: str) -> Tensor:
    """Train networks side by side with Adam, and return what each gets right: seed by rate by example."""
    pairs = [(seed, rate) for seed in seeds for rate in rates]
    models = [drawn(init, depth, seed) for seed, _ in pairs]
    layers = [torch.stack([weights[n] for weights, _ in models]).transpose(1, 2) for n in range(depth + 1)]
    layers += [torch.stack([biases[n] for _, biases in models])[:, None] for n in range(depth + 1)]
    parameters = [layer.contiguous().requires_grad_() for layer in layers]
    lr = torch.tensor([rate for _, rate in pairs])[:, None, None]
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    x, y = images()["train"]
    orders = [torch.Generator().manual_seed(1_000 + seed) for seed, _ in pairs]

    def logits(a: Tensor) -> Tensor:
        for n in range(depth):
            a = torch.baddbmm(parameters[depth + 1 + n], a, parameters[n]).relu()
        return torch.baddbmm(parameters[-1], a, parameters[depth])

    for update in range(UPDATES):
        if update * BATCH % len(x) == 0:
            order = torch.stack([torch.randperm(len(x), generator=generator) for generator in orders])
        begin = update * BATCH % len(x)
        rows = order[:, begin : begin + BATCH]
        losses = F.cross_entropy(logits(x[rows]).flatten(0, 1), y[rows].flatten(), reduction="none")
        gradients = torch.autograd.grad(losses.sum() / BATCH, parameters)
        with torch.no_grad():
            for p, g, mean, square in zip(parameters, gradients, means, squares, strict=True):
                mean.mul_(0.9).add_(g, alpha=0.1)
                square.mul_(0.999).addcmul_(g, g, value=0.001)
                size = (square / (1 - 0.999 ** (update + 1))).sqrt() + 1e-8
                p -= lr * mean / (1 - 0.9 ** (update + 1)) / size
    with torch.no_grad():
        other = images()[part][0]
        found = [logits(rows.expand(len(pairs), -1, -1)) for rows in other.split(1_000)]
    return right(torch.cat(found, 1), part).reshape(len(seeds), len(rates), -1)


@cache
def tuned(init: str, depth: int) -> dict[str, Any]:
    """Return the validation accuracy of each rate, the best, and what it gets right with new seeds."""
    table = trained(init, depth, TUNING, RATES, "validation").mean((0, 2))
    rate = RATES[int(table.argmax())]
    return {"table": table, "rate": rate, "right": trained(init, depth, SEEDS, (rate,), "test")[:, 0]}


def initialised(init: str, depth: int) -> dict[str, Any]:
    """Return the accuracies of one initialisation, and what He initialisation gains over it."""
    found, he = tuned(init, depth), tuned("he", depth)
    return {
        "validation": [round(float(value), 4) for value in found["table"]],
        "rate": found["rate"],
        "test": [round(float(value), 4) for value in found["right"].mean(1)],
        "he ahead": interval(he["right"], found["right"]) if init != "he" else [0, 0, 0],
    }


def rows() -> dict[str, Callable[[], Any]]:
    """Return how to measure each row."""
    table: dict[str, Callable[[], Any]] = {}
    for depth, name in DEPTHS.items():
        table |= {f"{init}, {name}": partial(initialised, init, depth) for init in INITS}
    for readout in READOUTS:
        table[f"pixels, {readout}"] = partial(accuracy, "pixels", 0, readout)
    for name, widths in WIDTHS.items():
        for width in widths:
            table[f"{name} {width}, ridge"] = partial(accuracy, name, width, "ridge")
    table["relu 1000, logistic"] = partial(accuracy, "relu", 1_000, "logistic")
    return table


def main(arguments: list[str] | None = None) -> None:
    """Measure the rows that are asked for, by default those that are missing."""
    run(__file__, rows(), arguments)


if __name__ == "__main__":
    main()
