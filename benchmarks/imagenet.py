"""A linear probe on ImageNet features of clothes and digits, against networks that see the labels alone.

python -m benchmarks.imagenet [rows…]

The draws of labels, the validation and the test images are those of `benchmarks.transfer`, and so are the rivals. The
images are enlarged to 96 × 96 pixels. The control is the same network with random weights, whose normalisation was
fitted to images of the pool.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.little_data import draw
from benchmarks.store import fresh, load, run
from benchmarks.transfer import TUNING, accuracy, anew, on_pixels, task
from dlbook import pretrained
from dlbook.data.images import fashion_mnist, mnist_subset
from dlbook.efficientnet import EfficientNetLite, scale_image
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.transfer import linear_probe

DRAWS = {20: 5, 100: 5, 1000: 3}
SIDE, STRENGTHS = 96, [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]
KINDS = {"clothes": ["ImageNet", "random"], "digits": ["ImageNet"]}
COUNTS = {"clothes": [20, 100, 1000], "digits": [20, 100]}


def seeds(count: int) -> list[int]:
    """Return the seeds of all draws with so many labels."""
    return [*range(DRAWS[count]), *TUNING[: 1 if count == 1000 else 2]]


def rows(target: str, count: int, seed: int) -> Tensor:
    """Return which images of the pool a draw has labelled."""
    return torch.from_numpy(draw(task(target)["pool labels"].numpy(), count, seed))


def images(target: str) -> dict[str, Tensor]:
    """Return the images of a task, as large as they are."""
    data, pool = (fashion_mnist(), 10_000) if target == "clothes" else (mnist_subset(), 3000)
    validation = data.train_images[pool : pool + 1000]
    return {"pool": data.train_images[:pool], "validation": validation, "test": data.test_images[:1000]}


def network(kind: str, target: str) -> EfficientNetLite:
    """Return the network with ImageNet's weights, or with random ones whose normalisation fits the images."""
    if kind == "ImageNet":
        return pretrained.load_efficientnet()
    torch.manual_seed(0)
    model = EfficientNetLite()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain average over batches  # type: ignore[assignment]
    with torch.no_grad():
        for batch in images(target)["pool"][:256, None].split(64):
            model.train().features(scale_image(batch, SIDE))
    return model.eval()


@cache
def features(kind: str, target: str, many: bool) -> dict[str, Tensor]:
    """Return the features of the validation and test images, and of those of the pool that a draw has labelled."""
    model, parts = network(kind, target), images(target)
    counts = [count for count in COUNTS[target] if many or count < 1000]
    used = torch.cat([rows(target, count, seed) for count in counts for seed in seeds(count)])
    found = {}
    with torch.no_grad():
        for part, chosen in {
            "pool": used.unique(),
            "validation": torch.arange(1000),
            "test": torch.arange(1000),
        }.items():
            batches = parts[part][chosen, None].split(50)
            computed = torch.cat([model.features(scale_image(batch, SIDE)) for batch in batches])
            found[part] = computed.new_full((len(parts[part]), computed.shape[1]), torch.nan)
            found[part][chosen] = computed
    return found


def probed(kind: str, target: str, count: int, seed: int, part: str, strength: float) -> Tensor:
    """Fit a probe to the features of the labelled images, and return which images of a part it classifies correctly."""
    known, data = features(kind, target, many=kind == "ImageNet"), task(target)
    chosen = rows(target, count, seed)
    probe = linear_probe(known["pool"][chosen], data["pool labels"][chosen], strength, classes=10)
    with torch.no_grad():
        return probe(known[part]).argmax(1) == data[f"{part} labels"]


def kinds(target: str, count: int) -> list[str]:
    """Return the features that are compared."""
    return KINDS[target] if count < 1000 else ["ImageNet"]


def tune(target: str, count: int) -> dict[str, dict[str, float]]:
    """Return the accuracy of the probes on the validation set by strength."""
    tuning = seeds(count)[DRAWS[count] :]
    return {
        kind: {
            f"{s:g}": accuracy(torch.stack([probed(kind, target, count, seed, "validation", s) for seed in tuning]))
            for s in STRENGTHS
        }
        for kind in kinds(target, count)
    }


def compare(target: str, count: int) -> dict[str, Any]:
    """Return test accuracies of the probes and their rivals, and paired intervals (low, high, estimate)."""
    tuned, theirs = fresh(__file__)[f"tune {target} {count}"], load("transfer")[f"tune {target} {count}"]
    best = {name: float(max(by_value, key=by_value.get)) for name, by_value in (theirs | tuned).items()}
    found = {
        kind: torch.stack([probed(kind, target, count, seed, "test", best[kind]) for seed in range(DRAWS[count])])
        for kind in tuned
    }
    for name, method in (("anew", anew), ("pixels", on_pixels)):
        draws = [method(target, count, seed, "test", best[name]) for seed in range(DRAWS[count])]
        found[name] = torch.stack(draws)
    result: dict[str, Any] = {name: [accuracy(one) for one in draws] for name, draws in found.items()}
    result["differences"] = {}
    for other in [name for name in found if name != "ImageNet"]:
        interval = difference_over_examples_and_seeds(found["ImageNet"], found[other], resamples=500)
        ends = (interval.low, interval.high, interval.estimate)
        result["differences"][f"ImageNet - {other}"] = [round(value, 4) for value in ends]
    return result


def short() -> float:
    """Return an accuracy that a test measures again: a probe with a hundred digits, tested on three hundred."""
    model, parts, data = network("ImageNet", "digits"), images("digits"), task("digits")
    chosen = rows("digits", 100, 0)
    with torch.no_grad():
        x, tested = (
            torch.cat([model.features(scale_image(batch, SIDE)) for batch in part[:, None].split(50)])
            for part in (parts["pool"][chosen], parts["test"][:300])
        )
        probe = linear_probe(x, data["pool labels"][chosen], 10.0, classes=10)
        return accuracy(probe(tested).argmax(1) == data["test labels"][:300])


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": short}
    for target, counts in COUNTS.items():
        for count in counts:
            rows[f"tune {target} {count}"] = lambda target=target, count=count: tune(target, count)  # type: ignore[misc]
            rows[f"{target} {count}"] = lambda target=target, count=count: compare(target, count)  # type: ignore[misc]
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
