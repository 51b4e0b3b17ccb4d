"""Distillation where images without labels are many: a small CNN, trained three times as long as in `compress`.

python -m benchmarks.distillation [rows…]

The teacher is the large CNN of `benchmarks.compress`, which learnt from 5,000 labels. All students make the same number
of updates, with the learning rate and the temperature that were chosen there: on 45,000 images without labels, by the
teacher's probabilities or by its likeliest classes, or on the 5,000 images with label smoothing.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import compress
from benchmarks.compress_controls import accuracy_row
from benchmarks.store import run
from dlbook.metrics.paired import difference_over_seeds
from dlbook.practice.compress import distillation_loss

SEEDS, PASSES = (0, 1, 2, 3, 4, 5), 3  # over the images without labels


def epochs() -> int:
    """Return how many epochs of the images with labels have as many updates."""
    images = compress.images()
    return PASSES * len(images["unlabelled"][0]) // len(images["train"][0])


def train(loss: compress.Loss, part: str, count: int, seed: int) -> nn.Module:
    """Train a small CNN for some epochs of a part of the images."""
    student = compress.fresh_model(compress.SmallCNN, seed)
    return compress.train(student, loss, count, compress.chosen()["small"], seed, part=part)


def taught(hard: bool, seed: int) -> nn.Module:
    """Train on the images without labels, by the teacher's probabilities or its likeliest classes."""
    soft = compress.answers(compress.large(seed), "unlabelled").clone()
    likeliest, temperature = soft.argmax(1), compress.chosen()["temperature"]

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        if hard:
            return F.cross_entropy(logits, likeliest[rows])
        return distillation_loss(logits, soft[rows], likeliest[rows], temperature, weight=1.0)

    return train(loss, "unlabelled", PASSES, seed)


WAYS: dict[str, Callable[[int], nn.Module]] = {
    "probabilities": partial(taught, False),
    "likeliest classes": partial(taught, True),
    "label smoothing": lambda seed: train(compress.labels(0.1), "train", epochs(), seed),
    "teacher": compress.large,
}


def contrasts(rows: dict[str, Any]) -> dict[str, Any]:
    """Return the intervals over seeds of the differences of all ways, in points."""
    found = {}
    for way, other in combinations(rows, 2):
        gap = difference_over_seeds(*(torch.tensor(rows[name]["accuracy"]) for name in (way, other)))  # type: ignore[arg-type]
        found[f"{way} - {other}"] = [round(value, 3) for value in (gap.low, gap.high, gap.estimate)]
    return {"contrasts": found}


ROWS: dict[str, Callable[[], Any]] = {way: partial(accuracy_row, make, SEEDS) for way, make in WAYS.items()}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments, sum_up=contrasts)


if __name__ == "__main__":
    main()
