"""EfficientNet with ImageNet's weights fine-tuned on few clothes, beside its linear probe and the head alone.

python -m benchmarks.fine_tuning [rows…]

The draws of labels, the images of 96 × 96 pixels and the parts of the data are those of `benchmarks.imagenet`. Full
fine-tuning, and the control whose head alone is trained, begin with the tuned probe as the head, and make as many
updates on the same batches, by Adam without weight decay, with one learning rate for all that is trained. Batch
normalisation stays in evaluation mode; with the method "statistics", which is full fine-tuning at the same learning
rate, it is in training mode. Hyperparameters are chosen on the first 500 validation images, as the mean of two draws
that the comparison does not use.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks import imagenet
from benchmarks.lora import pack, unpack
from benchmarks.store import fresh, run
from benchmarks.transfer import DRAWS, TUNING, accuracy, task
from dlbook.efficientnet import EfficientNetLite, scale_image
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.transfer import linear_probe

BATCH, UPDATES = 10, {20: 40, 100: 60}  # by number of labels, the same for all methods
TESTED = {"validation": 500, "test": 1000}
STRENGTHS = [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]
HEAD_RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
METHODS = ["probe", "head", "full", "statistics"]
PAIRS = [("head", "probe"), ("full", "probe"), ("full", "head"), ("statistics", "full"), ("statistics", "probe")]


@cache
def images(target: str, part: str) -> Tensor:
    """Return the images of a part of a task, as large as they are."""
    return imagenet.images(target)[part]


@torch.no_grad()
def embed(model: EfficientNetLite, given: Tensor) -> Tensor:
    """Return the features of images, enlarged."""
    return torch.cat([model.features(scale_image(batch, imagenet.SIDE)) for batch in given[:, None].split(20)])


@cache
def embedded(target: str, part: str) -> Tensor:
    """Return the features of a part by the network as it came."""
    return embed(imagenet.network("ImageNet", target), images(target, part)[: TESTED[part]])


@cache
def labelled(target: str, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the enlarged images of a draw, their labels, and their features by the network as it came."""
    chosen = imagenet.rows(target, count, seed)
    given = images(target, "pool")[chosen]
    features = embed(imagenet.network("ImageNet", target), given)
    return scale_image(given[:, None], imagenet.SIDE), task(target)["pool labels"][chosen], features


def right(head: nn.Linear, features: Tensor, target: str, part: str) -> Tensor:
    """Return which of the first images of a part are classified correctly, as many as there are features."""
    with torch.no_grad():
        return head(features).argmax(1) == task(target)[f"{part} labels"][: len(features)]


@cache
def fitted(target: str, count: int, seed: int, strength: float) -> nn.Linear:
    """Return a linear probe, fitted to the features of a draw."""
    _, labels, features = labelled(target, count, seed)
    return linear_probe(features, labels, strength, classes=10)


def probed(target: str, count: int, seed: int, part: str, strength: float) -> Tensor:
    """Fit a linear probe, and return which images of a part it classifies correctly."""
    return right(fitted(target, count, seed, strength), embedded(target, part), target, part)


def batches(count: int, updates: int, seed: int) -> tuple[Tensor, ...]:
    """Return the rows of each update: each epoch in another order."""
    shuffle = torch.Generator().manual_seed(seed)
    epochs = -(-updates * BATCH // count)
    return torch.cat([torch.randperm(count, generator=shuffle) for _ in range(epochs)]).split(BATCH)[:updates]


def tuned(
    method: str,
    target: str,
    count: int,
    seed: int,
    part: str,
    lr: float,
    strength: float,
    updates: int | None = None,
    tested: int = 1000,
) -> Tensor:
    """Train the network with a fitted probe as its head, and return which images of a part are classified correctly.

    With the method "head" the head alone is trained. The images lie in memory with the channels last, which is quicker.
    """
    x, labels, features = labelled(target, count, seed)
    head = deepcopy(fitted(target, count, seed, strength))
    body: nn.Module = nn.Identity() if method == "head" else imagenet.network("ImageNet", target)
    weights = [weight for name, weight in body.named_parameters() if not name.startswith("output.")]
    optimizer = torch.optim.Adam([*weights, *head.parameters()], lr, fused=True)
    order = batches(count, updates or UPDATES[count], seed)
    schedule = OneCycleLR(optimizer, lr, total_steps=len(order), pct_start=0.2)
    x = x.contiguous(memory_format=torch.channels_last)
    body.train(method == "statistics")
    for batch in order:
        found = body.features(x[batch]) if isinstance(body, EfficientNetLite) else features[batch]
        optimizer.zero_grad()
        F.cross_entropy(head(found), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    if isinstance(body, EfficientNetLite):
        return right(head, embed(body.eval(), images(target, part)[: min(tested, TESTED[part])]), target, part)
    return right(head, embedded(target, part)[:tested], target, part)


def mean_of_tuning(method: Callable[..., Tensor], target: str, count: int, *given: float) -> float:
    """Return the mean accuracy on validation images of the two draws for tuning."""
    return accuracy(torch.stack([method(target, count, seed, "validation", *given) for seed in TUNING]))


def tune_probe(target: str, count: int) -> dict[str, float]:
    """Return the accuracy of the probe on validation images by strength."""
    return {f"{strength:g}": mean_of_tuning(probed, target, count, strength) for strength in STRENGTHS}


def tune(method: str, target: str, count: int, lr: float) -> float:
    """Return the accuracy of a trained method on validation images, begun with the best probe."""
    strength = chosen(fresh(__file__), target, count)["probe"]
    return mean_of_tuning(lambda *given: tuned(method, *given), target, count, lr, strength)


def tune_head(target: str, count: int) -> dict[str, float]:
    """Return the accuracy of the head alone on validation images by learning rate."""
    return {f"{lr:g}": tune("head", target, count, lr) for lr in HEAD_RATES}


def chosen(rows: dict[str, Any], target: str, count: int) -> dict[str, float]:
    """Return the hyperparameters that were best on validation images, as far as they were tried."""
    tried = {method: rows.get(f"tune {method} {target} {count}", {}) for method in ("probe", "head")}
    start = f"tune full {target} {count} "
    tried["full"] = {name.removeprefix(start): value for name, value in rows.items() if name.startswith(start)}
    return {method: float(max(by_value, key=by_value.get)) for method, by_value in tried.items() if by_value}


def one(method: str, target: str, count: int, seed: int) -> dict[str, Any]:
    """Return a method's accuracy on the test images with a draw, and which ones are right, packed as digits."""
    best = chosen(fresh(__file__), target, count)
    if method == "probe":
        found = probed(target, count, seed, "test", best["probe"])
    else:
        lr = best["head" if method == "head" else "full"]
        found = tuned(method, target, count, seed, "test", lr, best["probe"])
    return {"accuracy": accuracy(found), "right": pack(found)}


def sum_up(rows: dict[str, Any]) -> dict[str, Any]:
    """Return for each target and number of labels what was chosen, accuracies, and paired intervals.

    An interval is given as low, high and estimate.
    """
    found: dict[str, Any] = {}
    for target in imagenet.KINDS:
        for count in UPDATES:
            names = {method: [f"{method} {target} {count} {seed}" for seed in range(DRAWS)] for method in METHODS}
            draws = {method: [rows[n] for n in every] for method, every in names.items() if set(every) <= rows.keys()}
            if "full" not in draws:
                continue
            known = {
                method: torch.stack([unpack(row["right"], TESTED["test"]) for row in every])
                for method, every in draws.items()
            }
            differences = {}
            for first, second in PAIRS:
                if first in known:
                    interval = difference_over_examples_and_seeds(known[first], known[second], resamples=500)
                    ends = (interval.low, interval.high, interval.estimate)
                    differences[f"{first} - {second}"] = [round(value, 4) for value in ends]
            found[f"{target} {count}"] = {
                "chosen": chosen(rows, target, count),
                "accuracies": {method: [row["accuracy"] for row in every] for method, every in draws.items()},
                "differences": differences,
            }
    return found


def short() -> float:
    """Return an accuracy that a test measures again: ten updates on 20 digits, tested on a hundred."""
    return accuracy(tuned("full", "digits", 20, 0, "test", 1e-4, 10.0, updates=10, tested=100))


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": short}
    for given in [("clothes", 100), ("clothes", 20)]:
        said = " ".join(map(str, given))
        rows[f"tune probe {said}"] = lambda given=given: tune_probe(*given)  # type: ignore[misc]
        rows[f"tune head {said}"] = lambda given=given: tune_head(*given)  # type: ignore[misc]
        for lr in (3e-5, 1e-4, 3e-4, 1e-3, 3e-3):
            rows[f"tune full {said} {lr:g}"] = lambda what=("full", *given, lr): tune(*what)  # type: ignore[misc]
        for method in METHODS if given == ("clothes", 100) else METHODS[:3]:
            for seed in range(DRAWS):
                rows[f"{method} {said} {seed}"] = lambda what=(method, *given, seed): one(*what)  # type: ignore[misc]
    run(__file__, rows, arguments, sum_up=sum_up)


if __name__ == "__main__":
    main()
