"""Small networks between clothes and digits: trained anew, probed, fine-tuned, and layer by layer.

python -m benchmarks.transfer [rows…]

A network of four layers learns one task (clothes of Fashion-MNIST, or digits of MNIST), and what it learnt is used for
the other one, with few labels. All methods get the same draws of labels. Their hyperparameters are chosen for each
target and number of labels on 1,000 validation images, as the mean of two draws that the comparison does not use. A
draw comes with its own source network, so the intervals speak of other draws, other networks and other test images.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.little_data import draw
from benchmarks.store import fresh, run
from dlbook.data.images import fashion_mnist, mnist_subset
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.transfer import linear_probe, replace_head_

UPDATES = {20: 100, 100: 200, 1000: 300}  # by number of labels, the same for all methods
DRAWS, TUNING = 5, (100, 101)  # how many draws are compared; the seeds of those for tuning
RATES = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
STRENGTHS = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
SVM_C = [0.1, 1.0, 3.0, 10.0, 30.0, 100.0]
OTHER = {"clothes": "digits", "digits": "clothes"}
DEPTHS = (1, 2, 3)


@cache
def task(name: str) -> dict[str, Tensor]:
    """Return images of 14 × 14 pixels and labels of a task: a pool, a validation set and a test set."""
    data, pool = (fashion_mnist(), 10_000) if name == "clothes" else (mnist_subset(), 3000)
    rows = {"pool": slice(pool), "validation": slice(pool, pool + 1000)}
    found = {}
    for part, chosen in rows.items():
        found[part], found[f"{part} labels"] = small(data.train_images[chosen]), data.train_labels[chosen]
    found["test"], found["test labels"] = small(data.test_images[:1000]), data.test_labels[:1000]
    return found


def small(images: Tensor) -> Tensor:
    """Return images of half the side, about standardised."""
    return (F.avg_pool2d(images[:, None], 2) - 0.25) / 0.3


class Network(nn.Module):
    """Three convolutions and a hidden layer, which can be cut anywhere, and a head."""

    def __init__(self) -> None:
        """Create the layers; the head begins at zero."""
        super().__init__()

        def block(inputs: int, outputs: int, *pooling: nn.Module) -> nn.Sequential:
            conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(), *pooling)

        hidden = nn.Sequential(nn.Flatten(), nn.Linear(288, 64), nn.ReLU())
        convolutions = block(1, 8, nn.MaxPool2d(2)), block(8, 16, nn.MaxPool2d(2)), block(16, 32)
        self.body = nn.Sequential(*convolutions, hidden)
        self.head = nn.Linear(64, 10)
        replace_head_(self, "head", 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.body(x))


def train(
    model: nn.Module, x: Tensor, labels: Tensor, lr: float, updates: int, seed: int, batch_size: int = 32
) -> nn.Module:
    """Train by AdamW with a one-cycle schedule, and return the model in evaluation mode."""
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, lr, total_steps=updates)
    shuffle = torch.Generator().manual_seed(seed)
    batch_size, order = min(batch_size, len(x)), torch.empty(0, dtype=torch.long)
    model.train()
    for _ in range(updates):
        if len(order) < batch_size:
            order = torch.randperm(len(x), generator=shuffle)
        batch, order = order[:batch_size], order[batch_size:]
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def new(seed: int) -> Network:
    """Return a network with new weights."""
    torch.manual_seed(seed)
    return Network()


@cache
def state(kind: str, name: str, seed: int) -> dict[str, Tensor]:
    """Return the weights of a network that learnt a task, or of a random one with that task's normalisation."""
    model, data = new(1000 + seed), task(name)
    if kind == "copied":
        train(model, data["pool"], data["pool labels"], lr=1e-2, updates=400, seed=seed, batch_size=64)
    else:
        model.train()
        with torch.no_grad():
            for batch in data["pool"][:3000].split(64):
                model(batch)
    return model.state_dict()


def source(kind: str, target: str, seed: int) -> Network:
    """Return a network for a target, made on the other task, with a new head."""
    model = Network()
    model.load_state_dict(state(kind, OTHER[target], seed))
    replace_head_(model, "head", 10)
    return model.eval()


def labelled(target: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return a draw of labelled images."""
    data = task(target)
    rows = torch.from_numpy(draw(data["pool labels"].numpy(), count, seed))
    return data["pool"][rows], data["pool labels"][rows]


def right(model: Callable[[Tensor], Tensor], target: str, part: str) -> Tensor:
    """Return which images of a part are classified correctly."""
    with torch.no_grad():
        return model(task(target)[part]).argmax(1) == task(target)[f"{part} labels"]


def anew(target: str, count: int, seed: int, part: str, lr: float) -> Tensor:
    """Train a network on the labels alone."""
    model = train(new(seed), *labelled(target, count, seed), lr, UPDATES[count], seed)
    return right(model, target, part)


def fine_tuned(target: str, count: int, seed: int, part: str, lr: float) -> Tensor:
    """Train all layers of a copied network, with a new head."""
    model = train(source("copied", target, seed), *labelled(target, count, seed), lr, UPDATES[count], seed)
    return right(model, target, part)


def probed(kind: str, target: str, count: int, seed: int, part: str, strength: float) -> Tensor:
    """Fit a linear probe on a frozen network."""
    model = source(kind, target, seed)
    x, labels = labelled(target, count, seed)
    with torch.no_grad():
        model.head = linear_probe(model.body(x), labels, strength, classes=10)
    return right(model, target, part)


def on_pixels(target: str, count: int, seed: int, part: str, c: float) -> Tensor:
    """Fit a support vector machine to the pixels."""
    x, labels = labelled(target, count, seed)
    machine = SVC(C=c).fit(x.flatten(1).numpy(), labels.numpy())
    predicted = torch.from_numpy(machine.predict(task(target)[part].flatten(1).numpy()))
    return predicted == task(target)[f"{part} labels"]


def upper(kind: str, depth: int, target: str, count: int, seed: int, part: str, lr: float) -> Tensor:
    """Freeze the first layers of a copied or random network, and train new ones above them."""
    below, fresh_ones = source(kind, target, seed).body[:depth], new(seed)
    above = nn.Sequential(*fresh_ones.body[depth:], fresh_ones.head)  # type: ignore[misc]
    x, labels = labelled(target, count, seed)
    with torch.no_grad():
        features = below(x)
    train(above, features, labels, lr, UPDATES[count], seed)
    return right(lambda images: above(below(images)), target, part)


METHODS: dict[str, tuple[Callable[..., Tensor], list[float]]] = {
    "pixels": (on_pixels, SVM_C),
    "anew": (anew, RATES),
    "random": (lambda *given: probed("random", *given), STRENGTHS),
    "probe": (lambda *given: probed("copied", *given), STRENGTHS),
    "fine-tuned": (fine_tuned, RATES),
}
LAYERS: dict[str, tuple[Callable[..., Tensor], list[float]]] = {
    f"{kind} {depth}": (lambda *given, kind=kind, depth=depth: upper(kind, depth, *given), RATES)
    for kind in ("copied", "random")
    for depth in DEPTHS
}


def accuracy(found: Tensor) -> float:
    """Return how many are right, rounded."""
    return round(found.double().mean().item(), 4)


def tune(methods: dict[str, Any], target: str, count: int) -> dict[str, dict[str, float]]:
    """Return for each method the accuracy on the validation set by hyperparameter."""
    return {
        name: {
            f"{value:g}": accuracy(torch.stack([method(target, count, seed, "validation", value) for seed in TUNING]))
            for value in grid
        }
        for name, (method, grid) in methods.items()
    }


def compare(methods: dict[str, Any], target: str, count: int, tuned: str, pairs: list[tuple[str, str]]) -> Any:
    """Return each method's test accuracies, and paired intervals (low, high, estimate) of differences."""
    found = {}
    for name, (method, _) in methods.items():
        by_value = fresh(__file__)[tuned][name]
        best = float(max(by_value, key=by_value.get))
        found[name] = torch.stack([method(target, count, seed, "test", best) for seed in range(DRAWS)])
    if tuned.startswith("tune layers"):
        best = float(max(fresh(__file__)[f"tune {target} {count}"]["anew"].items(), key=lambda item: item[1])[0])
        found["anew"] = torch.stack([anew(target, count, seed, "test", best) for seed in range(DRAWS)])
    result: dict[str, Any] = {name: [accuracy(one) for one in draws] for name, draws in found.items()}
    result["differences"] = {}
    for first, second in pairs:
        interval = difference_over_examples_and_seeds(found[first], found[second], resamples=500)
        ends = (interval.low, interval.high, interval.estimate)
        result["differences"][f"{first} - {second}"] = [round(value, 4) for value in ends]
    return result


PAIRS = [
    ("probe", "anew"),
    ("probe", "random"),
    ("probe", "pixels"),
    ("fine-tuned", "anew"),
    ("fine-tuned", "probe"),
    ("fine-tuned", "pixels"),
    ("anew", "random"),
]
LAYER_PAIRS = [(f"copied {k}", f"random {k}") for k in DEPTHS] + [
    (f"{kind} {k}", "anew") for kind in ("copied", "random") for k in DEPTHS
]


def sources() -> dict[str, list[float]]:
    """Return the test accuracies of the source networks on their own tasks."""
    found = {}
    for name in OTHER:
        models = [Network() for _ in range(DRAWS)]
        for seed, model in enumerate(models):
            model.load_state_dict(state("copied", name, seed))
        found[name] = [accuracy(right(model.eval(), name, "test")) for model in models]
    return found


def short() -> dict[str, float]:
    """Return accuracies that a test measures again."""
    return {
        "pixels": accuracy(on_pixels("digits", 100, 0, "test", 10.0)),
        "anew": accuracy(anew("digits", 20, 0, "test", 1e-2)),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": short, "sources": sources}
    for target in ("digits", "clothes"):
        for count in UPDATES:
            tuned = f"tune {target} {count}"
            rows[tuned] = lambda target=target, count=count: tune(METHODS, target, count)  # type: ignore[misc]
            rows[f"{target} {count}"] = lambda target=target, count=count, tuned=tuned: compare(  # type: ignore[misc]
                METHODS, target, count, tuned, PAIRS
            )
        rows[f"tune layers {target}"] = lambda target=target: tune(LAYERS, target, 100)  # type: ignore[misc]
        rows[f"layers {target}"] = lambda target=target: compare(  # type: ignore[misc]
            LAYERS, target, 100, f"tune layers {target}", LAYER_PAIRS
        )
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
