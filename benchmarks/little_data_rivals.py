"""Rivals on little data that need no encoder: gradient histograms and finer pixels; and shuffled words.

python -m benchmarks.little_data_rivals [rows…]

Draws, test examples, heads and tuning are those of `benchmarks.little_data` and `benchmarks.little_data_controls`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from benchmarks.little_data import (
    IMAGE_DRAWS,
    TEST,
    THRESHOLDS,
    Right,
    active_images,
    compare,
    draw,
    folds,
    images,
    regression,
    reviews,
    space,
    tuned_svm,
)
from benchmarks.little_data_controls import DRAWS, TEXT_C
from benchmarks.store import run
from dlbook import pretrained
from dlbook.data.images import fashion_mnist
from dlbook.practice.few_labels import pseudo_labels

DIRECTIONS = 8
POOL = 2000  # images that labels are drawn from


def hog(x: np.ndarray, cell: int) -> np.ndarray:
    """Return histograms of oriented gradients of square images: in each square cell, how strong each direction is.

    Args:
        x: images, (batch, side, side).
        cell: the side of a cell in pixels, a divisor of the images' side.
    """
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.hypot(right, down)
    place = (np.arctan2(down, right) % np.pi) / np.pi * DIRECTIONS
    lower, part = np.floor(place).astype(int) % DIRECTIONS, place - np.floor(place)
    n, found = x.shape[1] // cell, []
    for k in range(DIRECTIONS):
        weight = strength * ((lower == k) * (1 - part) + ((lower + 1) % DIRECTIONS == k) * part)
        found.append(weight.reshape(-1, n, cell, n, cell).sum((2, 4)))
    counts = np.stack(found, -1).reshape(len(x), -1)
    return np.sqrt(counts / (counts.sum(1, keepdims=True) + 1e-9))


def spaces() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the features of the pool and of the test images, none of them trained."""
    data = fashion_mnist()
    parts = [part.double().numpy() for part in (data.train_images[:POOL], data.test_images[:TEST])]

    def of_both(features: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return features(parts[0]), features(parts[1])

    return {
        "pixels": space("pixels"),
        "pixels 28": of_both(lambda x: x.reshape(len(x), -1)),
        "HOG 7": of_both(lambda x: hog(x, 7)),
        "HOG 4": of_both(lambda x: hog(x, 4)),
    }


def images_at(count: int) -> dict[str, Any]:
    """Return the results of support vector machines on untrained features with so many labelled images."""
    labels, target = images()["labels"].numpy()[:POOL], images()["target"].numpy()
    right: Right = {}
    for name, (x, tested) in spaces().items():
        for seed in range(IMAGE_DRAWS[count]):
            rows = draw(labels, count, seed)
            right.setdefault(name, []).append(tuned_svm(x[rows], labels[rows]).predict(tested) == target)
    return compare(right, [(name, "pixels") for name in right if name != "pixels"])


def pseudo_kept() -> dict[str, Any]:
    """Return how many of 2,000 images each teacher gives a pseudo-label at each threshold, and what part is right."""
    labels, x = images()["labels"].numpy(), space("pixels")[0]
    kept: dict[str, list[int]] = {str(threshold): [] for threshold in THRESHOLDS}
    right = dict.fromkeys(kept, 0)
    for seed in range(DRAWS):
        rows = draw(labels[:POOL], 100, seed)
        y = labels[rows]
        grid = {"C": [0.0001, 0.001, 0.01, 0.1, 1]}  # as in benchmarks.little_data
        teacher = GridSearchCV(regression(1), grid, cv=folds(y)).fit(x[rows], y)
        probabilities = torch.from_numpy(teacher.predict_proba(x[2000:4000]))
        for threshold in THRESHOLDS:
            sure, guessed = pseudo_labels(probabilities, threshold)
            kept[str(threshold)].append(len(sure))
            right[str(threshold)] += int((guessed.numpy() == labels[2000:4000][sure.numpy()]).sum())
    return {name: {"kept": many, "right": round(right[name] / sum(many), 4)} for name, many in kept.items()}


def shuffled(texts: list[str], seed: int) -> list[str]:
    """Return each text with its words in a random order."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.permutation(text.split())) for text in texts]


def out_of_order() -> dict[str, Any]:
    """Return the accuracies of a probe on MiniLM's embeddings of sentences whose words were shuffled."""
    train, labels, test, target = reviews()
    draws = [draw(labels, 100, seed) for seed in range(DRAWS)]
    needed = np.unique(np.concatenate(draws))
    model, tokenizer = pretrained.load_minilm()
    parts = shuffled([train[row] for row in needed], seed=0), shuffled(test, seed=1)
    x, tested = (pretrained.embed(model, tokenizer, part).double().numpy() for part in parts)
    right: Right = {}
    for rows in draws:
        head = LogisticRegression(solver="liblinear", intercept_scaling=10)
        probe = GridSearchCV(head, {"C": TEXT_C}, cv=folds(labels[rows]))
        probe.fit(x[np.searchsorted(needed, rows)], labels[rows])
        right.setdefault("shuffled", []).append(probe.predict(tested) == target)
    return compare(right, [])


def short() -> dict[str, float]:
    """Return an accuracy that a test measures again: gradients in cells of seven pixels, with 100 labels."""
    labels = images()["labels"].numpy()[:POOL]
    (x, tested), rows = spaces()["HOG 7"], draw(labels, 100, seed=0)
    return {"HOG 7": float(tuned_svm(x[rows], labels[rows]).score(tested, images()["target"].numpy()))}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": lambda: {name: round(v, 4) for name, v in short().items()}}
    rows |= {f"images {count}": lambda count=count: images_at(count) for count in IMAGE_DRAWS}  # type: ignore[misc]
    rows |= {
        "texts 100, shuffled": out_of_order,
        "pseudo 100": pseudo_kept,
        "active images 1": lambda: active_images(c=1),
    }
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
