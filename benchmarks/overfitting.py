"""A network that learns 500 pictures by heart, and each remedy against it alone, at several strengths, over five seeds.

python -m benchmarks.overfitting [rows…]

A seed draws the training pictures, the start and the order. Networks take the same number of steps, unless a row says
otherwise. A strength is chosen by the validation loss, the mean over the seeds; the test numbers of all are kept, so
that a reader sees what was not chosen.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from benchmarks.store import fresh, run
from dlbook.data.images import fashion_mnist
from dlbook.data.splits import random_split
from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.network import MLP
from dlbook.training.augment import Augmented, random_flip, random_shift
from dlbook.training.batches import Batches
from dlbook.training.fit import evaluate, fit
from dlbook.training.optim import GradientDescent
from dlbook.training.regularize import EarlyStopping, regularized, regularized_parameters, soft_threshold_

DATA = fashion_mnist()
POOL, VALIDATION = random_split(DATA.train_images, DATA.train_labels, test_size=2000)
TEST = [DATA.test_images, DATA.test_labels]
SEEDS, SIZE, RATE, SHOWN = 5, 25, 0.03, 30_000  # pictures shown to a network, all epochs together


@dataclass(frozen=True)
class Remedy:
    """What is done against overfitting; as it stands, nothing."""

    examples: int = 500
    hidden: int = 256  # units in each of two hidden layers
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    shift: int | None = None  # flip pictures at random, and shift them by up to so many pixels
    patience: int | None = None  # epochs without a better validation loss before training ends
    times: int = 1  # as many steps as the others


GRID = {
    "nothing": [Remedy()],
    "more data": [Remedy(examples=count) for count in (1000, 2000, 5000, 10_000)],
    "l2": [Remedy(l2=price) for price in (0.003, 0.01, 0.03, 0.1, 0.3)],
    "l1": [Remedy(l1=price) for price in (0.0001, 0.0003, 0.001, 0.003, 0.01)],
    "smaller": [Remedy(hidden=units) for units in (64, 32, 16, 8, 4)],
    "larger": [Remedy(hidden=1024)],
    "dropout": [Remedy(dropout=rate) for rate in (0.1, 0.3, 0.5, 0.7, 0.8)],
    "augmentation": [Remedy(shift=pixels) for pixels in (0, 1, 2, 4, 8)],
    "early stopping": [Remedy(patience=epochs) for epochs in (1, 2, 5, 10, 20)],
}
TEMPERATURES = [1 + 0.25 * n for n in range(13)]
TOGETHER = {
    "l2 and dropout": ("l2", "dropout"),
    "l2 and augmentation": ("l2", "augmentation"),
    "dropout and augmentation": ("dropout", "augmentation"),
    "all three": ("l2", "dropout", "augmentation"),
    "all three and early stopping": ("l2", "dropout", "augmentation", "early stopping"),
}
BASELINES = {
    "logistic regression": [LogisticRegression(C=c, max_iter=2000) for c in (0.001, 0.01, 0.1, 1, 10)],
    "nearest neighbours": [KNeighborsClassifier(k) for k in (1, 3, 5, 10, 20)],
}


def draw(examples: int, seed: int) -> list[Tensor]:
    """Draw the training pictures of a seed; the more are asked for, the more come on top of the same ones."""
    chosen = torch.randperm(len(POOL[0]), generator=torch.Generator().manual_seed(seed))[:examples]
    return [part[chosen] for part in POOL]


def chosen(name: str, kept: dict[str, Any]) -> int:
    """Return which strength of a row has the least validation loss."""
    losses = [sum(strength["validation_loss"]) for strength in kept[name]]
    return losses.index(min(losses))


def combine(names: tuple[str, ...], kept: dict[str, Any]) -> Remedy:
    """Put remedies together, each as strong as was best for it alone."""
    fields = {"l2": "l2", "dropout": "dropout", "augmentation": "shift", "early stopping": "patience"}
    best = {fields[name]: getattr(GRID[name][chosen(name, kept)], fields[name]) for name in names}
    return Remedy(**best)


def strengths(name: str, kept: dict[str, Any]) -> list[Any]:
    """Return what a row runs; the last rows depend on those before them."""
    if name == "temperature":
        return [Remedy()]
    if name == "together":
        return [combine(names, kept) for names in TOGETHER.values()]
    if name == "longer":
        best = [strengths(row, kept)[chosen(row, kept)] for row in ("nothing", "augmentation", "together")]
        return [replace(remedy, times=3) for remedy in best]
    return [*GRID.get(name, ()), *BASELINES.get(name, ())]


def certainty(scores: Tensor, target: Tensor) -> Tensor:
    """Average the probability that a network gives to what it answers."""
    return scores.softmax(1).amax(1).mean()


@torch.no_grad()
def cool(model: MLP, validation: list[Tensor]) -> None:
    """Divide the scores of a network by the temperature that gives the least loss on validation, in its last layer."""
    scores = model.eval()(validation[0])
    losses = [cross_entropy(scores / temperature, validation[1]).item() for temperature in TEMPERATURES]
    for parameter in model.layers[-1].parameters():
        parameter.div_(TEMPERATURES[losses.index(min(losses))])


def train(remedy: Remedy, seed: int, epochs: int | None = None, cooled: bool = False) -> dict[str, float]:
    """Train one network; return its loss, accuracy and certainty on each part, and the share of weights that are 0.

    If it is to be cooled, its scores are divided in the end by the number that suits the validation pictures best.
    """
    training = draw(remedy.examples, seed)
    mean, size = training[0].mean(), training[0].std()
    parts = {
        name: [(x - mean) / size, target]
        for name, (x, target) in {"train": training, "validation": VALIDATION, "test": TEST}.items()
    }
    torch.manual_seed(seed)
    model = MLP([784, remedy.hidden, remedy.hidden, 10], dropout=remedy.dropout)
    optimizer = GradientDescent(model.parameters(), lr=RATE)

    def shrink(*_: Any) -> None:
        for w in regularized_parameters(model):
            soft_threshold_(w, RATE * remedy.l1)

    if remedy.l1:
        optimizer.register_step_post_hook(shrink)

    def change(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if remedy.shift is None:
            return x, target
        return random_shift(random_flip(x[:, None]), remedy.shift, fill=float(-mean / size))[:, 0], target

    def validate(model: torch.nn.Module) -> dict[str, float]:
        return evaluate(model, Batches(*parts["validation"], batch_size=1000), loss=cross_entropy)

    batches = Augmented(Batches(*parts["train"], batch_size=SIZE, shuffle=True, seed=seed), change)
    loss = regularized(cross_entropy, model, l2=remedy.l2)
    epochs = epochs or remedy.times * SHOWN // remedy.examples
    if remedy.patience is None:
        fit(model, batches, loss, optimizer, epochs=epochs)
    else:
        with EarlyStopping(validate, "loss", remedy.patience) as stopping:
            fit(model, batches, loss, optimizer, epochs=epochs, validate=stopping)
    if cooled:
        cool(model, parts["validation"])
    every = torch.cat([w.detach().flatten() for w in regularized_parameters(model)])
    measured = {"zeros": (every == 0).double().mean().item()}
    for part, tensors in parts.items():
        judged = evaluate(
            model, Batches(*tensors, batch_size=1000), loss=cross_entropy, accuracy=accuracy, certainty=certainty
        )
        measured |= {f"{part}_{name}": value for name, value in judged.items()}
    return measured


def baseline(model: Any, seed: int) -> dict[str, float]:
    """Fit one of scikit-learn's models to the same pictures; return the same numbers."""
    training = draw(Remedy.examples, seed)
    model.fit(training[0].flatten(1).numpy(), training[1].numpy())
    measured = {}
    for part, (x, target) in {"train": training, "validation": VALIDATION, "test": TEST}.items():
        probability = torch.from_numpy(model.predict_proba(x.flatten(1).numpy())).clamp(min=1e-12)
        measured[f"{part}_loss"] = -probability.gather(1, target[:, None]).log().mean().item()
        measured[f"{part}_accuracy"] = accuracy(probability, target).item()
        measured[f"{part}_certainty"] = probability.amax(1).mean().item()
    return measured


def row(name: str, kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Run all strengths of a remedy, or of a baseline, over the seeds."""
    rows, one = [], baseline if name in BASELINES else partial(train, cooled=True) if name == "temperature" else train
    for strength in strengths(name, kept):
        runs = [one(strength, seed) for seed in range(SEEDS)]
        rows.append({"what": str(strength)} | {key: [round(run[key], 4) for run in runs] for key in runs[0]})
        means = {key: round(sum(run[key] for run in runs) / SEEDS, 3) for key in runs[0]}
        print(name, strength, means, flush=True)
    return rows


def short() -> dict[str, float]:
    """Train a network for five epochs with all remedies at once, to be done again by a test."""
    return train(Remedy(200, hidden=64, l1=1e-4, l2=0.003, dropout=0.2, shift=1, patience=3), seed=0, epochs=5)


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    names = [*BASELINES, *GRID, "temperature", "together", "longer"]
    measured = {"short": lambda: {key: round(value, 4) for key, value in short().items()}}
    run(__file__, measured | {name: lambda name=name: row(name, fresh(__file__)) for name in names}, arguments)


if __name__ == "__main__":
    main()
