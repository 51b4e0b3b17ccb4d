"""Two tests of drift on the outputs of a CNN: how often each raises an alarm, by the shift and the number of requests.

python -m benchmarks.drift

Each window compares some requests with as many validation images that were not trained on. A classifier two-sample test
sees the logits; a Kolmogorov-Smirnov test sees one softmax output after another, corrected for their number
(Bonferroni). Both see the same windows, of several networks.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.store import run
from dlbook.cnn import CNN
from dlbook.data.images import fashion_mnist
from dlbook.metrics.paired import difference_over_examples
from dlbook.practice.data_checks import classifier_two_sample_test, kolmogorov_smirnov
from dlbook.training.batches import Batches
from dlbook.training.fit import fit

NETWORKS, WINDOWS, LEVEL = 3, 60, 0.01  # windows for each network
REQUESTS = (50, 100, 200, 400)
TRAINED, KNOWN, EPOCHS = 5_000, 5_000, 5
BAG = 8


@cache
def images() -> dict[str, tuple[Tensor, Tensor]]:
    """Return images and labels: to train on, to compare with, and those that become requests."""
    data = fashion_mnist()
    x, y = data.train_images[:, None], data.train_labels
    ends = {"train": slice(TRAINED), "known": slice(TRAINED, TRAINED + KNOWN)}
    return {name: (x[rows], y[rows]) for name, rows in ends.items()} | {
        "new": (data.test_images[:, None], data.test_labels)
    }


@cache
def network(seed: int) -> nn.Module:
    """Train a CNN."""
    torch.manual_seed(seed)
    model = CNN()
    batches = Batches(*images()["train"], batch_size=50, shuffle=True)
    fit(model, batches, F.cross_entropy, torch.optim.Adam(model.parameters(), lr=0.003), epochs=EPOCHS)
    return model.eval()


@torch.no_grad()
def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Return a model's logits."""
    return torch.cat([model(batch) for batch in x.split(500)])


def with_more_bags(y: Tensor) -> Tensor:
    """Return row numbers by which each bag occurs four times."""
    return torch.cat([torch.arange(len(y)), (y == BAG).nonzero()[:, 0].repeat(3)])


SHIFTS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "none": lambda x, y: (x, y),
    "a fifth darker": lambda x, y: (0.8 * x, y),
    "half as bright": lambda x, y: (0.5 * x, y),
    "more bags": lambda x, y: (x[with_more_bags(y)], y[with_more_bags(y)]),
}


# --- both tests -------------------------------------------------------------------------------------------------------


def fit_predict(x: Tensor, y: Tensor, others: Tensor) -> Tensor:
    """Classify by logistic regression on standardised features."""
    mean, scale = x.mean(0), x.std(0) + 1e-6
    model = LogisticRegression(max_iter=300).fit(((x - mean) / scale).numpy(), y.numpy())
    return torch.from_numpy(model.predict(((others - mean) / scale).numpy()))


def by_classifier(known: Tensor, recent: Tensor, seed: int) -> float:
    """Return the p-value of the classifier two-sample test on logits."""
    return classifier_two_sample_test(known, recent, fit_predict, seed=seed).p_value


def by_output(known: Tensor, recent: Tensor) -> float:
    """Return the smallest p-value of the softmax outputs, times their number."""
    columns = zip(known.softmax(1).T, recent.softmax(1).T, strict=True)
    return known.shape[1] * min(kolmogorov_smirnov(*column)[1] for column in columns)


def alarms(known: Tensor, recent: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return for each window whether the classifier, and whether the outputs, raise an alarm."""
    generator = torch.Generator().manual_seed(seed)
    raised: list[list[bool]] = []
    for window in range(WINDOWS):
        pair = [all_[torch.randperm(len(all_), generator=generator)[:count]] for all_ in (known, recent)]
        raised.append(
            [by_classifier(*pair, seed=window) < LEVEL, by_output(*pair) < LEVEL]  # type: ignore[misc, arg-type]
        )
    both = torch.tensor(raised)
    return both[:, 0], both[:, 1]


# --- rows -------------------------------------------------------------------------------------------------------------


def measure(name: str) -> dict[str, Any]:
    """Return alarms of both tests, the difference of their shares with its interval, and accuracies, for one shift."""
    x, y = SHIFTS[name](*images()["new"])
    known = [logits(network(seed), images()["known"][0]) for seed in range(NETWORKS)]
    recent = [logits(network(seed), x) for seed in range(NETWORKS)]
    right = [100 * (found.argmax(1) == y).double().mean().item() for found in recent]
    found: dict[str, Any] = {"accuracy": [round(value, 2) for value in right]}
    found |= {"classifier": [], "outputs": [], "outputs - classifier": []}
    for count in REQUESTS:
        windows = [alarms(*pair, count, seed) for seed, pair in enumerate(zip(known, recent, strict=True))]
        classifier, outputs = (torch.cat(parts) for parts in zip(*windows, strict=True))
        found["classifier"].append(int(classifier.sum()))
        found["outputs"].append(int(outputs.sum()))
        gap = difference_over_examples(outputs, classifier)
        found["outputs - classifier"].append([round(100 * end, 2) for end in (gap.low, gap.high, gap.estimate)])
    return found


def plan() -> dict[str, Any]:
    """Return the numbers of requests and windows, and the level."""
    return {"requests": list(REQUESTS), "windows": NETWORKS * WINDOWS, "level": LEVEL}


ROWS: dict[str, Callable[[], Any]] = {"plan": plan}
ROWS |= {name: lambda name=name: measure(name) for name in SHIFTS}  # type: ignore[misc]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
