"""Weight sharing and locality, one at a time: small networks on Fashion-MNIST, and what shifts do to their accuracy.

python -m benchmarks.convolution [rows…]

An image is reduced to 14 × 14 pixels and lies on a canvas of 24 × 24: in the centre, shifted by up to five pixels once
for all, or shifted with all pixels then shuffled in one fixed order. Convolutional and locally connected networks have
three layers of 3 × 3 with stride 2, and a flattened head or global average pooling. All have the same number of updates
with Adam. Each learning rate of RATES is tried with three seeds on validation images; the best is trained with ten
other seeds, and the test images, the first 5,000 of the official ones, are looked at once. A wide convolutional network
has about as many parameters as the locally connected one. Rows `longer …` do it again with three times as many updates.
A row holds the validation accuracies, the test accuracies by seed and the parameters, and under `paired` the 95 %
intervals of differences over seeds and test images.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.store import run
from dlbook.cnn import LocallyConnected2d
from dlbook.data.images import fashion_mnist
from dlbook.metrics.paired import Interval, difference_over_examples_and_seeds
from dlbook.network import MLP, he_normal_
from dlbook.training.augment import random_shift, shift
from dlbook.training.optim import warmup_cosine

EXAMPLES, TESTS, BATCH, EPOCHS, REACH = 1_600, 5_000, 100, 10, 5
RATES = (0.004, 0.01, 0.025, 0.06, 0.15)
SLOW_RATES = (0.0016, 0.004, 0.01, 0.025, 0.06)  # of dense networks
TUNING, SEEDS = range(3), range(10, 20)
WORLDS = ("centred", "shifted", "shuffled")
HEADS = ("flattened", "pooled")
Part = tuple[Float[Tensor, "n 1 24 24"], Int64[Tensor, " n"]]


@cache
def worlds() -> dict[str, dict[str, Part]]:
    """Return for each world the images and labels for training, validation and test."""
    data = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))[: 2 * EXAMPLES]
    images = torch.cat([data.train_images[order], data.test_images[:TESTS]])[:, None]
    labels = torch.cat([data.train_labels[order], data.test_labels[:TESTS]])
    centred = F.pad(F.avg_pool2d(images, 2), [REACH] * 4)
    torch.manual_seed(0)
    shifted = random_shift(centred, REACH)
    shuffled = shifted.flatten(1)[:, torch.randperm(24 * 24)].reshape(shifted.shape)
    sizes = [EXAMPLES, EXAMPLES, TESTS]
    return {
        world: dict(
            zip(("train", "validation", "test"), zip(found.split(sizes), labels.split(sizes), strict=True), strict=True)
        )
        for world, found in zip(WORLDS, (centred, shifted, shuffled), strict=True)
    }


# --- networks ---------------------------------------------------------------------------------------------------------


def shared(channels: int, outputs: int, size: int, stride: int = 2, dilation: int = 1) -> nn.Conv2d:
    """Make a convolutional layer with the initialisation of the locally connected one."""
    layer = nn.Conv2d(channels, outputs, 3, stride, dilation, dilation)
    he_normal_(layer.weight)
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def local(channels: int, outputs: int, size: int) -> LocallyConnected2d:
    """Make a locally connected layer of the same connections."""
    return LocallyConnected2d(channels, outputs, size, 3, stride=2, padding=1)


def network(layer: Callable[..., nn.Module], head: str, width: int = 8) -> nn.Sequential:
    """Make three layers with ReLU and a dense layer on all numbers, or on each channel's mean."""
    one, two, three = width, 2 * width, 4 * width
    layers = [layer(1, one, 24), layer(one, two, 12), layer(two, three, 6)]
    return finished(layers, head, three, 9)


def without_strides() -> nn.Sequential:
    """Make the convolutional network with pooling, of dilations 1, 2 and 4 instead of strides 2, 2 and 2."""
    layers: list[nn.Module] = [shared(c, o, 24, 1, d) for c, o, d in [(1, 8, 1), (8, 16, 2), (16, 32, 4)]]
    return finished(layers, "pooled", 32, 1)


def finished(layers: list[nn.Module], head: str, channels: int, positions: int) -> nn.Sequential:
    """Put ReLU behind each layer, and a head behind all."""
    body = [module for layer in layers for module in (layer, nn.ReLU())]
    pool = [nn.AdaptiveAvgPool2d(1)] if head == "pooled" else []
    last = nn.Linear(channels if head == "pooled" else channels * positions, 10)
    he_normal_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*body, *pool, nn.Flatten(), last)


MAKES: dict[str, Callable[[], nn.Module]] = {
    "shared flattened": lambda: network(shared, "flattened"),
    "shared pooled": lambda: network(shared, "pooled"),
    "local flattened": lambda: network(local, "flattened"),
    "local pooled": lambda: network(local, "pooled"),
    "wide flattened": lambda: network(shared, "flattened", width=32),
    "dense": lambda: MLP([576, 64, 64, 10]),
    "without strides": without_strides,
}


# --- training ---------------------------------------------------------------------------------------------------------


def train(
    make: Callable[[], nn.Module], part: Part, lr: float, seed: int, epochs: int = EPOCHS, fresh_shifts: bool = False
) -> nn.Module:
    """Train a new network with Adam, warm-up and a cosine schedule; fresh shifts are drawn in each epoch."""
    torch.manual_seed(seed)
    model, (images, labels) = make(), part
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = LambdaLR(optimizer, warmup_cosine(epochs * len(images) // BATCH, warmup=20))
    for _ in range(epochs):
        seen = random_shift(images, REACH) if fresh_shifts else images
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(seen[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def right(model: nn.Module, part: Part) -> Bool[Tensor, " n"]:
    """Return which images a network classifies correctly."""
    return torch.cat([model(x).argmax(1) for x in part[0].split(500)]) == part[1]


def accuracy(hits: Tensor) -> float:
    """Return the part that is right."""
    return round(hits.double().mean().item(), 5)


@cache
def tuned(name: str, world: str, epochs: int = EPOCHS, fresh_shifts: bool = False) -> dict[str, list[float]]:
    """Return validation accuracies of three seeds for each learning rate."""
    parts = worlds()[world]
    found = {}
    for lr in SLOW_RATES if name == "dense" else RATES:
        models = [train(MAKES[name], parts["train"], lr, seed, epochs, fresh_shifts) for seed in TUNING]
        found[str(lr)] = [accuracy(right(model, parts["validation"])) for model in models]
    return found


def best(table: dict[str, list[float]]) -> float:
    """Return the learning rate, or other setting, of the highest mean."""
    return float(max(table, key=lambda setting: sum(table[setting])))


@cache
def trained(name: str, world: str, epochs: int = EPOCHS, fresh_shifts: bool = False) -> tuple[nn.Module, ...]:
    """Return networks of the ten seeds with the chosen learning rate."""
    lr = best(tuned(name, world, epochs, fresh_shifts))
    part = worlds()[world]["train"]
    return tuple(train(MAKES[name], part, lr, seed, epochs, fresh_shifts) for seed in SEEDS)


@cache
def hits(name: str, world: str, epochs: int = EPOCHS) -> Bool[Tensor, "seeds n"]:
    """Return which test images each seed's network classifies correctly."""
    return torch.stack([right(model, worlds()[world]["test"]) for model in trained(name, world, epochs)])


def ends(interval: Interval) -> list[float]:
    """Return low end, high end and estimate."""
    return [round(value, 5) for value in (interval.low, interval.high, interval.estimate)]


def difference(first: Tensor, second: Tensor) -> list[float]:
    """Return the interval of first minus second over seeds and images."""
    return ends(difference_over_examples_and_seeds(first, second, resamples=500))


# --- rows -------------------------------------------------------------------------------------------------------------


def compare(world: str, epochs: int, names: list[str], pairs: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Tune and measure some networks in a world, and return paired differences."""
    found: dict[str, Any] = {}
    for name in names:
        found[name] = {
            "validation": tuned(name, world, epochs),
            "test": [accuracy(one) for one in hits(name, world, epochs)],
            "parameters": sum(parameter.numel() for parameter in MAKES[name]().parameters()),
        }
        print(world, epochs, name, best(found[name]["validation"]), found[name]["test"], flush=True)
    found["paired"] = {name: difference(*(hits(one, world, epochs) for one in pair)) for name, pair in pairs.items()}
    return found


FOUR = [f"{kind} {head}" for kind in ("shared", "local") for head in HEADS]
SHARING = {head: (f"shared {head}", f"local {head}") for head in HEADS}
WIDE = {"equal parameters": ("wide flattened", "local flattened"), "width": ("wide flattened", "shared flattened")}
DENSE = {f"{head} - dense": (f"shared {head}", "dense") for head in HEADS}
HEAD = {f"{kind}: pooled - flattened": (f"{kind} pooled", f"{kind} flattened") for kind in ("shared", "local")}


def rivals(world: str) -> dict[str, Any]:
    """Tune and measure logistic regression and an RBF support vector machine."""
    parts = {name: (x.flatten(1).double().numpy(), y.numpy()) for name, (x, y) in worlds()[world].items()}
    found: dict[str, Any] = {}
    for name, make in {
        "logistic regression": lambda c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)),
        "SVM": lambda c: SVC(C=c),
    }.items():
        settings = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03) if name != "SVM" else (0.5, 1, 2, 5, 10, 25)
        models = {c: make(c).fit(*parts["train"]) for c in settings}
        scores = {str(c): [round(model.score(*parts["validation"]), 5)] for c, model in models.items()}
        predicted = torch.from_numpy(models[best(scores)].predict(parts["test"][0]))
        ours = predicted == worlds()[world]["test"][1]
        found[name] = {"validation": scores, "test": accuracy(ours)}
        for head in HEADS:
            other = hits(f"shared {head}", world)
            found[name][f"shared {head}"] = difference(other, ours.expand(len(other), -1))
    return found


def moved() -> dict[str, Any]:
    """Return accuracies of networks trained on centred images on test images moved right by 0 to 5 pixels."""
    x, y = worlds()["centred"]["test"]
    none = torch.zeros(len(x), dtype=torch.long)
    parts = [(shift(x, none, none + pixels), y) for pixels in range(REACH + 1)]
    ways = {
        "dense": ("dense", False),
        "flattened": ("shared flattened", False),
        "pooled": ("shared pooled", False),
        "pooled, without strides": ("without strides", False),
        "pooled, random shifts": ("shared pooled", True),
    }
    found: dict[str, Any] = {}
    curves = {}
    for way, (name, fresh_shifts) in ways.items():
        models = trained(name, "centred", EPOCHS, fresh_shifts)
        curves[way] = torch.stack([torch.stack([right(model, part) for part in parts]) for model in models])
        found[way] = {"validation": tuned(name, "centred", EPOCHS, fresh_shifts)}
        found[way]["test"] = [[accuracy(one) for one in curve] for curve in curves[way]]
        print(way, [round(a, 3) for a in curves[way].double().mean((0, 2)).tolist()], flush=True)
    lost = {way: curve[:, 0].double() - curve[:, 3].double() for way, curve in curves.items()}
    found["paired"] = {
        "pooled - dense, three pixels": difference(curves["pooled"][:, 3], curves["dense"][:, 3]),
        "loss of three pixels, pooled": difference(curves["pooled"][:, 0], curves["pooled"][:, 3]),
        "loss of three pixels, without strides": difference(
            curves["pooled, without strides"][:, 0], curves["pooled, without strides"][:, 3]
        ),
        "loss, pooled - without strides": difference(lost["pooled"], lost["pooled, without strides"]),
        "in place, without strides - pooled": difference(
            curves["pooled, without strides"][:, 0], curves["pooled"][:, 0]
        ),
        "in place, random shifts - pooled": difference(curves["pooled, random shifts"][:, 0], curves["pooled"][:, 0]),
    }
    return found


ROWS: dict[str, Callable[[], Any]] = {
    "shifted": partial(compare, "shifted", EPOCHS, [*FOUR, "wide flattened", "dense"], SHARING | WIDE | DENSE | HEAD),
    "centred": partial(compare, "centred", EPOCHS, [*FOUR, "wide flattened", "dense"], SHARING | WIDE | DENSE | HEAD),
    "shuffled": partial(compare, "shuffled", EPOCHS, [*FOUR, "dense"], SHARING | DENSE | HEAD),
    "rivals shifted": partial(rivals, "shifted"),
    "rivals centred": partial(rivals, "centred"),
    "moved": moved,
    "longer shifted": partial(compare, "shifted", 3 * EPOCHS, FOUR, SHARING),
    "longer centred": partial(compare, "centred", 3 * EPOCHS, FOUR, SHARING),
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    later = ("shuffled", "moved", "longer shifted", "longer centred")  # the chapter claims nothing that needs them
    run(__file__, {name: row for name, row in ROWS.items() if name not in later}, arguments)


if __name__ == "__main__":
    main()
