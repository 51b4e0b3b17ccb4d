"""How well is a planted shortcut detected: by subgroup error, by a counterfactual test, by explanations?

python -m benchmarks.shortcut [rows…]

Small convolutional networks learn Fashion-MNIST at 14 × 14 pixels from 2,000 images. A row names how many of the shirts
carry a white mark in a corner, in per cent. In networks `shortcut` only shirts carry it; in `control` as many images
do, drawn from all classes. Each network gets the scores of `scores`, all on the same 2,000 validation images. There the
shirts are marked for both kinds, so that only the networks differ. None is told the class. `subgroup` is told which
images are marked; `counterfactual` the mark and its corner, and marks all images, or in `counterfactual, marked images`
those alone that carry the mark anyway; `counterfactual, any corner` and the explanations only that it is in some
corner. The explanations are summed up in two ways, fixed in advance: by the mean over a class, and by the mean over the
five maps of a class that are largest in a corner. What is stored of a score, beside its values, is the AUC: the
probability that a network with the shortcut scores above a control. Seeds and images differ from row to row.
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

RATES = [2, 5, 10]  # marked shirts, per cent
SHIRT, CLASSES, IMAGES, BATCH, LARGEST = 6, 10, 2000, 250, 5
SEEDS = {"shortcut": range(20), "control": range(20, 60)}
CORNERS = [(slice(top, top + 2), slice(left, left + 2)) for top in (0, 12) for left in (0, 12)]


def stamp(images: Float[Tensor, "n 1 14 14"], corner: tuple[slice, slice] = CORNERS[0]) -> Float[Tensor, "n 1 14 14"]:
    """Return the images with a white mark in a corner, by default the upper left one."""
    marked = images.clone()
    marked[..., corner[0], corner[1]] = 1.0
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


def in_corners(attribution: Float[Tensor, "n 1 size size"]) -> Float[Tensor, "n 4"]:
    """Return which fraction of a map's absolute attribution is in each corner: zero where the map is blank."""
    size = attribution.abs()
    size = size / size.flatten(1).sum(1)[:, None, None, None].clamp(min=1e-12)
    return torch.stack([size[..., rows, columns].sum((1, 2, 3)) for rows, columns in CORNERS], 1)


def class_mean(inside: Float[Tensor, "n 4"], labels: Int64[Tensor, " n"]) -> float:
    """Return the largest mean fraction in a corner over the maps of a class."""
    return max(inside[labels == k].mean(0).max().item() for k in range(CLASSES))


def five_largest(inside: Float[Tensor, "n 4"], labels: Int64[Tensor, " n"]) -> float:
    """Return the same for the five maps of the class that have most in that corner."""
    return max(inside[labels == k].topk(LARGEST, 0).values.mean(0).max().item() for k in range(CLASSES))


def explain(
    model: nn.Sequential, images: Float[Tensor, "n 1 14 14"], labels: Int64[Tensor, " n"]
) -> dict[str, Float[Tensor, "n 4"]]:
    """Return what each explanation of the true class's logit puts into the corners of each image."""
    found: dict[str, list[Tensor]] = {}
    for x, target in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        features = model[:5](x).detach()
        gradient = interpret.saliency(model[5:], features, target)
        maps = {
            "gradient": interpret.saliency(model, x, target),
            "integrated gradients": interpret.integrated_gradients(model, x, target, n_steps=8),
            "Grad-CAM": enlarge((gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()),
            "HiResCAM": enlarge((gradient * features).sum(1).relu()),
        }
        for name, one in maps.items():
            found.setdefault(name, []).append(in_corners(one))
    return {name: torch.cat(some) for name, some in found.items()}


def enlarge(maps: Float[Tensor, "n 7 7"]) -> Float[Tensor, "n 1 14 14"]:
    """Repeat each value of a map in two rows and columns."""
    return maps[:, None].repeat_interleave(2, 2).repeat_interleave(2, 3)


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

    The explained images are the validation images as they come, with some shirts marked, or `clean`, without any mark.
    """
    seed += 100_000 + 1000 * rate
    data, generator = fashion_mnist(), torch.Generator().manual_seed(seed)
    drawn = torch.randperm(60_000, generator=generator)[: 2 * IMAGES]
    images = F.avg_pool2d(data.train_images[drawn][:, None], 2)
    labels = data.train_labels[drawn]
    only_shirts = (kind == "shortcut", True)  # in training, in validation
    parts = zip(labels.split(IMAGES), only_shirts, strict=True)
    chosen = torch.cat([choose(part, rate, only, generator) for part, only in parts])
    found = torch.where(chosen[:, None, None, None], stamp(images), images)
    model = train(found[:IMAGES], labels[:IMAGES], seed)
    clean, as_found, labels, chosen = images[IMAGES:], found[IMAGES:], labels[IMAGES:], chosen[IMAGES:]
    with torch.no_grad():
        before, predicted = (model(part).argmax(1) for part in (clean, as_found))
        after = torch.stack([model(stamp(clean, corner)).argmax(1) for corner in CORNERS])
    change = (F.one_hot(after, CLASSES) - F.one_hot(before, CLASSES)).double()  # (corners, images, classes)
    moved = change.mean(1)
    result = {
        "accuracy": (predicted == labels).double().mean().item(),
        "clean_accuracy": (before == labels).double().mean().item(),
        "subgroup": recall_gap(predicted, labels, chosen),
        "counterfactual": moved[0].max().item(),
        "counterfactual, any corner": moved.max().item(),
        "counterfactual, marked images": change[0, chosen].mean(0).max().item(),
    }
    unmarked = explain(model, clean[chosen], labels[chosen])
    for name, inside in explain(model, as_found, labels).items():
        without = inside.clone()
        without[chosen] = unmarked[name]
        for summary in (class_mean, five_largest):
            score = f"{name}, {summary.__name__}"
            result |= {score: summary(inside, labels), f"{score}, clean": summary(without, labels)}
    return result


def row(rate: int) -> dict[str, Any]:
    """Train all networks of a rate, and return for each score its values and its AUC."""
    found = {kind: [scores(rate, kind, seed) for seed in seeds] for kind, seeds in SEEDS.items()}
    table: dict[str, Any] = {}
    for name in found["control"][0]:
        values = {kind: [round(one[name], 5) for one in networks] for kind, networks in found.items()}
        table[name] = {"auc": wins(values).mean().item(), "values": values}
    return table


def wins(values: dict[str, list[float]]) -> Float[Tensor, "shortcuts controls"]:
    """Return for each pair whether the network with the shortcut scores above the control; ties are one half."""
    shortcut, control = (torch.tensor(values[kind], dtype=torch.float64) for kind in ("shortcut", "control"))
    return ((shortcut[:, None] - control).sign() + 1) / 2


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {f"{rate} %": partial(row, rate) for rate in RATES}, arguments)


if __name__ == "__main__":
    main()
