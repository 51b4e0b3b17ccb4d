"""Losses under label noise, each with its settings and its stopping chosen on noisy validation labels.

python -m benchmarks.label_noise [rows…]

A seed draws the images, the noise, the initialisation and the order. The search has two seeds; what it chooses is
trained with five others and evaluated on the official test images, whose labels are not touched. Learning rate and
weight decay are chosen for each loss, and for generalized cross-entropy and label smoothing one of two values of their
own, q or the amount of smoothing. A setting is chosen twice: by the accuracy after the last epoch, and by that of the
best epoch (early stopping). Validation labels are as noisy as those for training.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.store import run, summary
from dlbook.data.images import fashion_mnist
from dlbook.practice.label_noise import (
    estimate_joint,
    flip_labels,
    forward_corrected_cross_entropy,
    generalized_cross_entropy,
    out_of_fold,
    pair_noise,
    uniform_noise,
)

Loss = Callable[[Tensor, Tensor], Tensor]

DATA = fashion_mnist()
POOL, ANNOTATED = 50_000, 500  # images to draw from; the annotator has seen so many of the others
TRAIN, VALIDATION, EPOCHS = 3000, 1000, 30
PAIRS = [(0, 6), (2, 4), (5, 7)]  # T-shirt and shirt, pullover and coat, sandal and sneaker
GRID = list(product([0.0003, 0.001, 0.003, 0.01, 0.03], [0.0, 0.1, 0.3, 1.0]))  # learning rate, weight decay
SEARCH, FRESH = (0, 1), (10, 11, 12, 13, 14)
NOISE = [("uniform", 0.0), ("uniform", 0.2), ("uniform", 0.4), ("similar", 0.2), ("annotator", 0.2)]
LOSSES: dict[str, list[float]] = {  # and the values among which theirs is chosen
    "cross-entropy": [0.0],
    "generalized": [0.4, 0.7],
    "smoothing": [0.1, 0.4],
    "forward": [0.0],
    "absolute": [1.0],
}
ROWS = [(kind, rate, loss) for kind, rate in NOISE for loss in ("cross-entropy", "generalized", "smoothing")] + [
    ("uniform", 0.4, "forward"),
    ("uniform", 0.4, "absolute"),
    ("similar", 0.2, "forward"),
]


def small(images: Tensor) -> Tensor:
    """Reduce images to 14 x 14 pixels, flat."""
    return F.avg_pool2d(images[:, None], 2).flatten(1)


def annotate(rows: Tensor, seed: int) -> Tensor:
    """Return the class whose mean image is nearest: what an annotator says who has seen 500 images."""
    shown = POOL + torch.randperm(len(DATA.train_images) - POOL, generator=torch.Generator().manual_seed(seed))
    x, y = small(DATA.train_images[shown[:ANNOTATED]]), DATA.train_labels[shown[:ANNOTATED]]
    means = torch.stack([x[y == label].mean(0) for label in range(10)])
    return torch.cdist(small(DATA.train_images[rows]), means).argmin(1)


def noisy(rows: Tensor, kind: str, rate: float, seed: int) -> Tensor:
    """Return labels of which about the share `rate` is wrong."""
    true = DATA.train_labels[rows]
    if kind == "uniform":
        return flip_labels(true, uniform_noise(10, rate), seed)
    if kind == "similar":
        return flip_labels(true, pair_noise(10, rate / 0.6, PAIRS), seed)  # six of ten classes are in pairs
    other = annotate(rows, seed)
    asked = torch.rand(len(true), generator=torch.Generator().manual_seed(seed))
    return other.where(asked < rate / (other != true).double().mean(), true)


def draw(kind: str, rate: float, seed: int) -> tuple[Tensor, Tensor]:
    """Draw the images of a seed, those for validation last, with noisy labels."""
    rows = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))[: TRAIN + VALIDATION]
    return small(DATA.train_images[rows]), noisy(rows, kind, rate, seed)


def train(
    x: Tensor, y: Tensor, loss: Loss, lr: float, decay: float, seed: int, epochs: int = EPOCHS
) -> tuple[nn.Module, list[float], list[Tensor]]:
    """Train on the first images; return the network, and each epoch's validation accuracy and test predictions."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=decay, fused=True)
    test, validated, predicted = small(DATA.test_images), [], []
    for _ in range(epochs):
        for batch in torch.randperm(TRAIN).split(100):
            optimizer.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            validated.append((model(x[TRAIN:]).argmax(1) == y[TRAIN:]).double().mean().item())
            if seed in FRESH:
                predicted.append(model(test).argmax(1))
    return model, validated, predicted


def transition(x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Estimate the transition matrix by confident learning, from the noisy labels alone."""

    def fit_predict(images: Tensor, labels: Tensor, others: Tensor) -> Tensor:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.AdamW(model.parameters(), 0.003, fused=True)
        for _ in range(10):
            for batch in torch.randperm(len(images)).split(100):
                optimizer.zero_grad()
                F.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            return model(others).softmax(1)

    joint = estimate_joint(out_of_fold(fit_predict, x, y), y).T  # true class in rows
    return joint / joint.sum(1, keepdim=True)


def loss_function(name: str, value: float, x: Tensor, y: Tensor, seed: int) -> Loss:
    """Return a loss by its name and its value; the noise that forward correction needs is estimated."""
    if name == "forward":
        return partial(forward_corrected_cross_entropy, transition=transition(x, y, seed))
    if name in ("generalized", "absolute"):
        return partial(generalized_cross_entropy, q=value)
    return partial(F.cross_entropy, label_smoothing=value)


def row(kind: str, rate: float, name: str) -> dict[str, Any]:
    """Choose the settings of a loss under some noise, and evaluate them with other seeds."""
    settings = list(product(LOSSES[name], GRID))
    last = torch.zeros(len(settings), len(SEARCH))
    best = torch.zeros(len(settings), len(SEARCH))
    for column, seed in enumerate(SEARCH):
        x, y = draw(kind, rate, seed)
        losses = {value: loss_function(name, value, x, y, seed) for value in LOSSES[name]}
        for n, (value, (lr, decay)) in enumerate(settings):
            _, validated, _ = train(x, y, losses[value], lr, decay, seed)
            last[n, column], best[n, column] = validated[-1], max(validated)
    found: dict[str, Any] = {}
    for stopping, accuracies in (("last", last), ("early", best)):
        value, (lr, decay) = settings[int(accuracies.mean(1).argmax())]
        tests = []
        for seed in FRESH:
            x, y = draw(kind, rate, seed)
            _, validated, predicted = train(x, y, loss_function(name, value, x, y, seed), lr, decay, seed)
            epoch = EPOCHS - 1 if stopping == "last" else validated.index(max(validated))
            tests.append(round((predicted[epoch] == DATA.test_labels).double().mean().item(), 4))
        grid = [round(accuracy, 4) for accuracy in accuracies.mean(1).tolist()]
        found[stopping] = {"lr": lr, "decay": decay, "value": value, "validation": grid, "test": summary(tests)}
    return found


def short() -> float:
    """Train one network for three epochs, to be done again by a test."""
    x, y = draw("similar", 0.2, 0)
    return train(x, y, generalized_cross_entropy, 0.003, 0.1, 0, epochs=3)[1][-1]


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows = {f"{kind} {rate} {name}": partial(row, kind, rate, name) for kind, rate, name in ROWS}
    run(__file__, {"short": short, **rows}, arguments)


if __name__ == "__main__":
    main()
