"""How the loss of a GPT falls with its size, on Shakespeare's characters: a law of four sizes, and a fifth to test it.

python -m benchmarks.scaling [rows…]

All sizes see the same number of characters once, with a learning rate that is chosen for each size by one rule: among
rates a factor of two apart, widened until the best is inside, by the loss on the validation plays with a seed of its
own. The losses that count are of five other seeds, on the test plays. The row "prediction" was measured, and committed,
before the rows of the fifth size.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.store import fresh, run
from dlbook.data.corpora import shakespeare
from dlbook.practice.scaling import PowerLaw, fit_power_law, fit_saturating_law
from dlbook.training.optim import warmup_cosine
from dlbook.transformer import GPT, glorot_init_

DIMS, LARGE = (8, 16, 32, 64), 128  # the four sizes, and the one to predict
LAYERS, HEADS, LENGTH, BATCH, UPDATES = 2, 2, 64, 16, 400
SEEDS, WINDOWS, DRAWS = 5, 2048, 2000
RATES = (0.008, 0.016, 0.032)  # the first three, for all sizes


@cache
def texts() -> tuple[int, dict[str, Tensor]]:
    """Return how many characters there are, and each part as one text of numbers."""
    parts = shakespeare()
    number = {character: n for n, character in enumerate(sorted(set("".join(parts.train.values()))))}
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return len(number), {
        name: torch.tensor([number[character] for character in "".join(works.values())])
        for name, works in named.items()
    }


def make(dim: int, seed: int) -> GPT:
    """Make a network of two blocks of some width."""
    torch.manual_seed(seed)
    model = GPT(texts()[0], dim, HEADS, LAYERS, LENGTH, positions="rotary", fused=True)
    glorot_init_(model)
    return model


def weights(dim: int) -> int:
    """Return how many weights a network has without its embedding, which is also its output layer."""
    return sum(w.numel() for w in make(dim, 0).parameters()) - texts()[0] * dim


def windows(text: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
    """Return so many characters from each beginning on, and those that follow each."""
    found = text[begins[:, None] + torch.arange(LENGTH + 1)]
    return found[:, :-1], found[:, 1:]


def loss_of(model: GPT, tokens: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy in nats per character."""
    return F.cross_entropy(model(tokens).flatten(0, 1), target.flatten())


@torch.no_grad()
def measure(model: GPT, part: str, count: int) -> float:
    """Return the loss on windows that are spread evenly over a part."""
    text = texts()[1][part]
    begins = torch.linspace(0, len(text) - LENGTH - 1, count).long()
    losses = [loss_of(model, *windows(text, some)).item() * len(some) for some in begins.split(64)]
    return round(sum(losses) / count, 5)


def train(dim: int, lr: float, seed: int, part: str, updates: int = UPDATES, count: int = WINDOWS) -> float:
    """Train a network, and return its loss on a part of the plays."""
    model, text = make(dim, seed), texts()[1]["train"]
    optimizer = torch.optim.AdamW(model.parameters(), lr, fused=True)
    schedule = LambdaLR(optimizer, warmup_cosine(updates, warmup=updates // 20))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        begins = torch.randint(len(text) - LENGTH, (BATCH,), generator=generator)
        optimizer.zero_grad()
        loss_of(model, *windows(text, begins)).backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return measure(model, part, count)


def tune(dim: int, **short: int) -> dict[str, float]:
    """Return validation losses by learning rate, of which the best is inside."""
    found = {lr: train(dim, lr, 100, "validation", **short) for lr in RATES}
    while (best := min(found, key=lambda lr: found[lr])) in (min(found), max(found)):
        lr = best / 2 if best == min(found) else best * 2
        found[lr] = train(dim, lr, 100, "validation", **short)
    return {f"{lr:g}": found[lr] for lr in sorted(found)}


def train_tuned(dim: int, seeds: int = SEEDS, **short: int) -> dict[str, Any]:
    """Return the test losses of some seeds with the best learning rate."""
    tuned = fresh(__file__)[f"tune {dim}"]
    lr = float(min(tuned, key=lambda lr: tuned[lr]))
    losses = [train(dim, lr, seed, "test", **short) for seed in range(seeds)]
    return {"weights": weights(dim), "lr": lr, "losses": losses}


LAWS: dict[str, Callable[[Tensor, Tensor], PowerLaw]] = {"line": fit_power_law, "floor": fit_saturating_law}


def extrapolate(sizes: Tensor, losses: Tensor, size: int, draws: int = DRAWS) -> dict[str, Any]:
    """Fit both laws to the mean losses, and predict that of a larger size, with an interval of the seeds' noise alone.

    Args:
        sizes: of the networks that were trained.
        losses: (sizes, seeds).
        size: of the larger network.
        draws: how often the means, and that to be measured, are drawn anew around the laws.
    """
    noise = losses.std(1).square().mean().sqrt() / losses.shape[1] ** 0.5  # of a mean over the seeds
    generator, found = torch.Generator().manual_seed(0), {}
    for name, fit in LAWS.items():
        law = fit(sizes, losses.mean(1))
        fitted = law(sizes)
        drawn = []
        for _ in range(draws):
            error = noise * torch.randn(len(sizes) + 1, generator=generator, dtype=torch.float64)
            again = fit(sizes, fitted + error[1:])
            drawn.append(again(torch.tensor([size]).double()) + error[0])
        low, high = torch.cat(drawn).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
        found[name] = {
            "law": [law.floor, law.factor, law.exponent],
            "predicted": law(torch.tensor([size]).double()).item(),
            "interval": [low, high],
            "worst residual": (losses.mean(1) - fitted).abs().max().item(),
        }
    return found | {"noise": noise.item()}


def predict() -> dict[str, Any]:
    """Predict the loss of the fifth size from the four."""
    rows = [fresh(__file__)[f"train {dim}"] for dim in DIMS]
    sizes = torch.tensor([row["weights"] for row in rows]).double()
    return extrapolate(sizes, torch.tensor([row["losses"] for row in rows]).double(), weights(LARGE))


def short() -> dict[str, float]:
    """Train two small networks for a few updates, to be done again by a test."""
    return {str(dim): round(train(dim, 0.004, 0, "test", updates=30, count=64), 3) for dim in DIMS[:2]}


ROWS: dict[str, Callable[[], Any]] = {"short": short}
for dim in DIMS:
    ROWS |= {f"tune {dim}": partial(tune, dim), f"train {dim}": partial(train_tuned, dim)}
ROWS |= {"prediction": predict}
ROWS |= {f"tune {LARGE}": partial(tune, LARGE), f"train {LARGE}": partial(train_tuned, LARGE)}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
