"""Pooling, head and augmentation: accuracy of small networks on images that are shifted.

python -m benchmarks.pooling [rows…]

Fashion-MNIST at 14 × 14 pixels lies on a canvas of 16 × 24 that is joined at its edges, and is shifted to the right. A
row `tune …` names validation accuracies by learning rate; the images are shifted as in training. A row of a network has
for each seed the accuracy at shifts of 0 to 5 pixels, and how often the answer is that at shift 0. A seed draws its own
training images, its own initialisation and its own test images, so that an interval over seeds speaks of all three.
Seeds and images that chose a learning rate are in no such row.
"""

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.store import fresh, run
from dlbook.data.images import fashion_mnist

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
TRAIN, VALIDATION, TEST, EPOCHS, BATCH, LARGEST = 1000, 1000, 1600, 12, 50, 5
SHIFTS = range(LARGEST + 1)
SEEDS, TUNING = range(6), (100, 101)
KINDS = {
    "max, flattened": ("max", "flattened", False),
    "max, global": ("max", "global", False),
    "max, flattened, augmented": ("max", "flattened", True),
    "max, global, augmented": ("max", "global", True),
    "strided, flattened": ("strided", "flattened", False),
    "strided, global": ("strided", "global", False),
    "blurred max, global": ("blurred max", "global", False),
}


@cache
def images() -> dict[str, tuple[Tensor, Tensor]]:
    """Return the images on their canvas, with labels: to train, to choose rates, to test."""
    data = fashion_mnist()
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    parts = {
        "train": (data.train_images[order[:50_000]], data.train_labels[order[:50_000]]),
        "validation": (data.train_images[order[50_000:]], data.train_labels[order[50_000:]]),
        "test": (data.test_images, data.test_labels),
    }
    return {name: (F.pad(F.avg_pool2d(x[:, None], 2), (5, 5, 1, 1)), y) for name, (x, y) in parts.items()}


class Blur(nn.Module):
    """The maximum of 2 × 2 values with stride 1, then a weighted mean with weights 1, 2, 1 and stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of half the height and width."""
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), mode="circular"), 2, 1)
        x = F.pad(x, (1, 1, 1, 1), mode="circular")
        x = (x[..., :-2:2] + 2 * x[..., 1:-1:2] + x[..., 2::2]) / 4
        return (x[..., :-2:2, :] + 2 * x[..., 1:-1:2, :] + x[..., 2::2, :]) / 4


def make(way: str, head: str, width: int = 64) -> nn.Sequential:
    """Make a network: two convolutions, each with a way to halve height and width, and a linear head."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        stride = 2 if way == "strided" else 1
        conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="circular")
        reduce = {"max": nn.MaxPool2d(2), "blurred max": Blur()}
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(), reduce.get(way, nn.Identity())]

    pooled = [nn.AdaptiveAvgPool2d(1)] if head == "global" else []
    positions = 1 if head == "global" else 4 * 6
    return nn.Sequential(*block(1, 8), *block(8, width), *pooled, nn.Flatten(), nn.Linear(positions * width, 10))


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by a random number of pixels, to the left or to the right."""
    shifts = torch.randint(-LARGEST, LARGEST + 1, (len(x), 1), generator=generator)
    columns = (torch.arange(x.shape[-1]) - shifts) % x.shape[-1]
    return x.gather(-1, columns[:, None, None].expand_as(x))


def train(kind: str, seed: int, lr: float, epochs: int = EPOCHS, examples: int = TRAIN) -> nn.Sequential:
    """Train a network with Adam on images that its seed draws."""
    way, head, augmented = KINDS[kind]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = images()["train"]
    rows = torch.randperm(len(x), generator=generator)[:examples]
    x, y = x[rows], y[rows]
    model = make(way, head).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * (examples // BATCH), pct_start=0.2)
    for _ in range(epochs):
        for batch in torch.randperm(examples, generator=generator).split(BATCH):
            given = shifted(x[batch], generator) if augmented else x[batch]
            optimizer.zero_grad()
            F.cross_entropy(model(given), y[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def answers(model: nn.Sequential, x: Tensor) -> Tensor:
    """Return the class that the network names for each image."""
    return torch.cat([model(part).argmax(1) for part in x.split(250)])


def tune(kind: str) -> dict[str, float]:
    """Return the validation accuracy of each learning rate, a mean over the tuning seeds."""
    found = {}
    for lr in RATES:
        accuracies = []
        for seed in TUNING:
            x, y = (part[(seed - 100) * VALIDATION :][:VALIDATION] for part in images()["validation"])
            x = shifted(x, torch.Generator().manual_seed(seed)) if KINDS[kind][2] else x
            accuracies.append((answers(train(kind, seed, lr), x) == y).double().mean().item())
        found[str(lr)] = round(sum(accuracies) / len(accuracies), 5)
    return found


def best(table: dict[str, float]) -> float:
    """Return the learning rate with the best validation accuracy."""
    return float(max(table, key=table.__getitem__))


def measure(kind: str) -> dict[str, Any]:
    """Return accuracy and consistency of a network for each seed and shift."""
    lr = best(fresh(__file__)[f"tune {kind}"])
    accuracy, same = [], []
    for seed in SEEDS:
        x, y = (part[seed * TEST :][:TEST] for part in images()["test"])
        model = train(kind, seed, lr)
        found = [answers(model, x.roll(shift, -1)) for shift in SHIFTS]
        accuracy.append([round((one == y).double().mean().item(), 5) for one in found])
        same.append([round((one == found[0]).double().mean().item(), 5) for one in found])
    parameters = sum(p.numel() for p in make(*KINDS[kind][:2]).parameters())
    return {"lr": lr, "parameters": parameters, "accuracy": accuracy, "same": same}


def short() -> list[float]:
    """Return the accuracy of a network after a short training, at shifts of 0 and 2, for the test of this script."""
    x, y = (part[:500] for part in images()["test"])
    model = train("max, global", 0, 0.01, epochs=2, examples=500)
    return [(answers(model, x.roll(shift, -1)) == y).double().mean().item() for shift in (0, 2)]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, or the rows that are named."""
    rows: dict[str, Any] = {"short": short}
    for kind in KINDS:
        rows |= {f"tune {kind}": partial(tune, kind), kind: partial(measure, kind)}
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
