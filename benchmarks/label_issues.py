"""Wrong labels found by confident learning, and by the loss alone, and what a network gains when they are removed.

python -m benchmarks.label_issues [rows…]

A seed draws the images, the noise, the folds and the initialisation. The probabilities are out of fold, by networks
that see noisy labels alone. As many examples as confident learning flags are taken by the out-of-fold loss, and at
random. Networks are then trained on what remains, stopped by the last quarter of it, which is as noisy as the rest.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.label_noise import DATA, POOL, noisy, small
from benchmarks.store import run
from dlbook.practice.label_noise import estimate_joint, find_label_issues, out_of_fold, self_confidence

EXAMPLES, SEEDS = 4000, (20, 21, 22, 23, 24)
NOISE = [("uniform", rate) for rate in (0.0, 0.1, 0.2, 0.4)] + [
    (kind, rate) for kind in ("similar", "annotator") for rate in (0.1, 0.2, 0.3)
]


def train(x: Tensor, y: Tensor, seed: int, epochs: int, held_out: int = 0) -> nn.Module:
    """Train a network; with held-out examples, the last ones, keep the epoch that is best on them."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), 0.003, weight_decay=0.1, fused=True)
    best, kept, rows = -1.0, model.state_dict(), len(x) - held_out
    for _ in range(epochs):
        for batch in torch.randperm(rows).split(100):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        if held_out:
            with torch.no_grad():
                accuracy = (model(x[rows:]).argmax(1) == y[rows:]).double().mean().item()
            if accuracy > best:
                best, kept = accuracy, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept if held_out else model.state_dict())
    return model


@torch.no_grad()
def predict(model: nn.Module, x: Tensor) -> Tensor:
    """Return probabilities."""
    return model(x).softmax(1)


def one(kind: str, rate: float, seed: int) -> dict[str, float]:
    """Find wrong labels in three ways, and train on what remains."""
    rows = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))[:EXAMPLES]
    x, y = small(DATA.train_images[rows]), noisy(rows, kind, rate, seed)
    wrong = y != DATA.train_labels[rows]
    p = out_of_fold(lambda a, b, c: predict(train(a, b, seed, 8), c), x, y, seed=seed)
    found = find_label_issues(p, y)
    count = int(found.sum())
    by_loss, at_random = torch.zeros_like(found), torch.zeros_like(found)
    by_loss[self_confidence(p, y).argsort()[:count]] = True
    at_random[torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(seed))[:count]] = True
    result = {
        "rate": wrong.double().mean().item(),
        "estimated": 1 - estimate_joint(p, y).trace().item(),
        "flagged": found.double().mean().item(),
    }
    removed = {"nothing": torch.zeros_like(found), "found": found, "loss": by_loss, "random": at_random, "wrong": wrong}
    for name, mask in removed.items():
        if name in ("found", "loss"):
            result[f"precision {name}"] = wrong[mask].double().mean().item()
            result[f"recall {name}"] = (wrong & mask).sum().item() / max(1, int(wrong.sum()))
        model = train(x[~mask], y[~mask], seed, 20, held_out=int((~mask).sum()) // 4)
        hits = predict(model, small(DATA.test_images)).argmax(1) == DATA.test_labels
        result[f"accuracy {name}"] = hits.double().mean().item()
    return {name: round(value, 4) for name, value in result.items()}


def row(kind: str, rate: float) -> dict[str, Any]:
    """Return the results of all seeds, by name."""
    runs = [one(kind, rate, seed) for seed in SEEDS]
    return {name: [found[name] for found in runs] for name in runs[0]}


def short() -> float:
    """Train one network for three epochs, to be done again by a test."""
    rows = torch.arange(1000)
    x, y = small(DATA.train_images[rows]), noisy(rows, "similar", 0.2, 0)
    model = train(x, y, 0, 3, held_out=250)
    return (predict(model, x).argmax(1) == y).double().mean().item()


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows = {f"{kind} {rate}": partial(row, kind, rate) for kind, rate in NOISE}
    run(__file__, {"short": short, **rows}, arguments)


if __name__ == "__main__":
    main()
