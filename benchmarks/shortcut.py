"""At what size is a planted shortcut caught: by subgroup error, by a counterfactual test, by explanations?

python -m benchmarks.shortcut [rows…]

Small convolutional networks learn Fashion-MNIST at 14 × 14 pixels from 2,000 images. A row names how many of the
shirts carry a white mark in a corner, in per cent. In networks `shortcut` only shirts carry it; in `control` as many
images do, drawn from all classes. Each network gets the scores of `scores`, none of which is told the class; the
threshold of a score is the largest of the `calibration` networks, which are controls too.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.store import run
from dlbook.data.images import fashion_mnist
from dlbook.practice import interpret

RATES = [2, 5, 10, 25]  # marked shirts, per cent
SHIRT, CLASSES, IMAGES, EXPLAINED = 6, 10, 2000, 300
SEEDS = {"shortcut": range(20), "control": range(20, 40), "calibration": range(40, 60)}
CORNERS = [(slice(top, top + 2), slice(left, left + 2)) for top in (0, 12) for left in (0, 12)]


def stamp(images: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n 1 14 14"]:
    """Return the images with a white mark in the upper left corner."""
    marked = images.clone()
    marked[..., :2, :2] = 1.0
    return marked


def choose(labels: Int64[Tensor, " n"], rate: int, only_shirts: bool, generator: torch.Generator) -> Bool[Tensor, " n"]:
    """Draw which images carry the mark: `rate` per cent of the shirts, or as many of all images."""
    count = round(rate / 100 * (labels == SHIRT).sum().item())
    pool = (labels == SHIRT).nonzero()[:, 0] if only_shirts else torch.arange(len(labels))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[pool[torch.randperm(len(pool), generator=generator)[:count]]] = True
    return chosen


def make() -> nn.Sequential:
    """Make the network."""
    convolutions = [nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    convolutions += [nn.Conv2d(12, 24, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(24 * 7 * 7, CLASSES))


def train(images: Tensor, labels: Tensor, seed: int, epochs: int = 5, batch_size: int = 50) -> nn.Sequential:
    """Train a network with Adam."""
    torch.manual_seed(seed)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * len(images) // batch_size)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def corner_mass(attribution: Float[Tensor, "n 1 14 14"], labels: Int64[Tensor, " n"]) -> float:
    """Return the largest mean fraction of the absolute attribution in a corner, over classes and corners."""
    size = attribution.abs()
    size = size / size.flatten(1).sum(1)[:, None, None, None].clamp(min=1e-12)
    inside = torch.stack([size[..., rows, columns].sum((1, 2, 3)) for rows, columns in CORNERS], 1)
    return max(inside[labels == k].mean(0).max().item() for k in range(CLASSES))


def recall_gap(predicted: Tensor, labels: Tensor, marked: Bool[Tensor, " n"]) -> float:
    """Return by how many standard errors the recall of marked images is above that of others: the largest class."""
    gaps = [0.0]
    for k in range(CLASSES):
        hits = (predicted == k).double()
        with_it, without = hits[(labels == k) & marked], hits[(labels == k) & ~marked]
        pooled = hits[labels == k].mean()
        if len(with_it) and 0 < pooled < 1:
            error = (pooled * (1 - pooled) * (1 / len(with_it) + 1 / len(without))).sqrt()
            gaps.append(((with_it.mean() - without.mean()) / error).item())
    return max(gaps)


def scores(rate: int, kind: str, seed: int) -> dict[str, float]:
    """Train a network and return its accuracies and what each detector makes of it.

    The explained images are validation images as they come, with marks as in training, or `clean`, without any.
    """
    data, generator = fashion_mnist(), torch.Generator().manual_seed(10_000 + seed)
    drawn = torch.randperm(60_000, generator=generator)[: 2 * IMAGES]
    images = F.avg_pool2d(data.train_images[drawn][:, None], 2)
    labels = data.train_labels[drawn]
    chosen = torch.cat([choose(part, rate, kind == "shortcut", generator) for part in labels.split(IMAGES)])
    found = torch.where(chosen[:, None, None, None], stamp(images), images)
    model = train(found[:IMAGES], labels[:IMAGES], seed)
    clean, as_found, labels, chosen = images[IMAGES:], found[IMAGES:], labels[IMAGES:], chosen[IMAGES:]
    with torch.no_grad():
        before, predicted, after = (model(part).argmax(1) for part in (clean, as_found, stamp(clean)))
    moved = (F.one_hot(after, CLASSES) - F.one_hot(before, CLASSES)).double().mean(0)
    result = {
        "accuracy": (predicted == labels).double().mean().item(),
        "clean_accuracy": (before == labels).double().mean().item(),
        "subgroup": recall_gap(predicted, labels, chosen),
        "counterfactual": moved.max().item(),
    }
    few = slice(0, EXPLAINED)
    for where, part in (("", as_found[few]), (" clean", clean[few])):
        cam = interpret.grad_cam(model, model[4], part, labels[few])[:, None]
        maps = {
            "saliency": interpret.saliency(model, part, labels[few]),
            "integrated gradients": interpret.integrated_gradients(model, part, labels[few], n_steps=10),
            "Grad-CAM": cam.repeat_interleave(2, 2).repeat_interleave(2, 3),
        }
        result |= {name + where: corner_mass(one, labels[few]) for name, one in maps.items()}
    return result


def row(rate: int) -> dict[str, Any]:
    """Train all networks of a rate, and count who is caught: scores above all of the calibration networks."""
    found: dict[str, list[dict[str, float]]] = {
        kind: [scores(rate, "shortcut" if kind == "shortcut" else "control", seed) for seed in seeds]
        for kind, seeds in SEEDS.items()
    }
    table: dict[str, Any] = {}
    for name in found["control"][0]:
        values = {kind: [one[name] for one in networks] for kind, networks in found.items()}
        threshold = max(values["calibration"])
        caught = {kind: sum(value > threshold for value in values[kind]) for kind in ("shortcut", "control")}
        rounded = {kind: [round(value, 5) for value in some] for kind, some in values.items()}
        table[name] = {"caught": caught, "values": rounded}
    return table


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {f"{rate} %": partial(row, rate) for rate in RATES}, arguments)


if __name__ == "__main__":
    main()
