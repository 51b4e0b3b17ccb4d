"""How the loss of a network falls with its size, on Shakespeare's characters: a law of four sizes, a fifth to test it.

python -m benchmarks.scaling [rows…]

The network predicts a character from the eight before it, by an embedding and an MLP of two hidden layers (Bengio et
al. 2003). All sizes take the same number of updates, with a learning rate that is chosen for each size by one rule:
among rates a factor of two apart, widened until the best is inside, by the mean loss of two seeds on the validation
plays. The losses that count are of five other seeds, on the test plays. The row "prediction" was measured, and
committed, before the rows of the fifth size. What is summed up behind the rows was computed after all of them: the
same laws with the noise of each width instead of a pooled one, and two rivals.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from scipy.optimize import curve_fit  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.store import fresh, run
from dlbook.data.corpora import shakespeare
from dlbook.network import MLP
from dlbook.practice.scaling import PowerLaw, fit_power_law, fit_saturating_law
from dlbook.training.optim import warmup_cosine

WIDTHS, LARGE = (8, 24, 64, 160), 384  # of the hidden layers: the four sizes, and the one to predict
CONTEXT, DIM, BATCH, UPDATES = 8, 16, 128, 1500
SEEDS, TUNING, WINDOWS, DRAWS = 5, 2, 50_000, 2000
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


def make(width: int, seed: int) -> nn.Module:
    """Make a network of two hidden layers of some width."""
    torch.manual_seed(seed)
    vocab_size = texts()[0]
    embedding = nn.Embedding(vocab_size, DIM)
    return nn.Sequential(embedding, nn.Flatten(), MLP([CONTEXT * DIM, width, width, vocab_size]))


def weights(width: int) -> int:
    """Return how many weights a network has without its embedding."""
    return sum(weight.numel() for weight in make(width, 0)[2].parameters())  # type: ignore[index]


def windows(text: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
    """Return the characters from each beginning on, and the one that follows them."""
    found = text[begins[:, None] + torch.arange(CONTEXT + 1)]
    return found[:, :-1], found[:, -1]


@torch.no_grad()
def measure(model: nn.Module, part: str, count: int) -> float:
    """Return the cross-entropy in nats per character, on windows that are spread evenly over a part."""
    text = texts()[1][part]
    begins = torch.linspace(0, len(text) - CONTEXT - 1, count).long()
    losses = []
    for some in begins.split(5000):
        tokens, target = windows(text, some)
        losses.append(F.cross_entropy(model(tokens), target).item() * len(some))
    return round(sum(losses) / count, 5)


def train(width: int, lr: float, seed: int, part: str, updates: int = UPDATES, count: int = WINDOWS) -> float:
    """Train a network, and return its loss on a part of the plays."""
    model, text = make(width, seed), texts()[1]["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr, fused=True)
    schedule = LambdaLR(optimizer, warmup_cosine(updates, warmup=updates // 20))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        tokens, target = windows(text, torch.randint(len(text) - CONTEXT, (BATCH,), generator=generator))
        optimizer.zero_grad()
        F.cross_entropy(model(tokens), target).backward()
        optimizer.step()
        schedule.step()
    return measure(model, part, count)


def validate(width: int, lr: float, **short: int) -> float:
    """Return the mean validation loss of the seeds for tuning."""
    losses = [train(width, lr, 100 + seed, "validation", **short) for seed in range(TUNING)]
    return round(sum(losses) / TUNING, 5)


def tune(width: int, **short: int) -> dict[str, float]:
    """Return validation losses by learning rate, of which the best is inside."""
    found = {lr: validate(width, lr, **short) for lr in RATES}
    while (best := min(found, key=lambda lr: found[lr])) in (min(found), max(found)):
        lr = best / 2 if best == min(found) else best * 2
        found[lr] = validate(width, lr, **short)
    return {f"{lr:g}": found[lr] for lr in sorted(found)}


def train_tuned(width: int, seeds: int = SEEDS, **short: int) -> dict[str, Any]:
    """Return the test losses of some seeds with the best learning rate."""
    tuned = fresh(__file__)[f"tune {width}"]
    lr = float(min(tuned, key=lambda lr: tuned[lr]))
    losses = [train(width, lr, seed, "test", **short) for seed in range(seeds)]
    return {"weights": weights(width), "lr": lr, "losses": losses}


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
    rows = [fresh(__file__)[f"train {width}"] for width in WIDTHS]
    sizes = torch.tensor([row["weights"] for row in rows]).double()
    return extrapolate(sizes, torch.tensor([row["losses"] for row in rows]).double(), weights(LARGE))


def fit_weighted(sizes: Tensor, losses: Tensor, errors: Tensor) -> PowerLaw:
    """Fit a falling power law with a floor of at least zero: least squares, each divided by its standard error."""
    scale = sizes.log().mean().exp()  # powers of numbers near 1 are precise

    def law(x: Any, floor: float, factor: float, exponent: float) -> Any:
        return floor + factor * x**exponent

    floor, factor, exponent = curve_fit(
        law,
        (sizes / scale).numpy(),
        losses.numpy(),
        (losses.min().item() - 0.05, 0.2, -0.5),
        sigma=errors.numpy(),
        bounds=([0, 0, -3], [torch.inf, torch.inf, -0.01]),
        max_nfev=10_000,
    )[0].tolist()
    return PowerLaw(floor, factor * scale.item() ** -exponent, exponent)


RIVALS: dict[str, Callable[[Tensor, Tensor, Tensor], PowerLaw]] = {
    "line": lambda sizes, losses, errors: fit_power_law(sizes, losses),
    "floor": lambda sizes, losses, errors: fit_saturating_law(sizes, losses),
    "weighted floor": fit_weighted,
    "line through two": lambda sizes, losses, errors: fit_power_law(sizes[-2:], losses[-2:]),
}


def judge(rows: dict[str, Any], draws: int = DRAWS) -> dict[str, Any]:
    """Predict the fifth size from the four by each law, with the noise of each width; say by how much it missed.

    Args:
        rows: stored ones; nothing is returned before all sizes are trained.
        draws: how often the four means, and the fifth, are drawn anew around the law.
    """
    if not all(f"train {width}" in rows for width in (*WIDTHS, LARGE)):
        return {}
    four = [rows[f"train {width}"] for width in WIDTHS]
    sizes = torch.tensor([row["weights"] for row in four]).double()
    losses = torch.tensor([row["losses"] for row in four]).double()
    large = torch.tensor([rows[f"train {LARGE}"]["weights"]]).double()
    found = torch.tensor(rows[f"train {LARGE}"]["losses"]).double()
    errors = losses.std(1) / losses.shape[1] ** 0.5
    last = found.std() / len(found) ** 0.5
    judged = {}
    for name, fit in RIVALS.items():
        law, drawn = fit(sizes, losses.mean(1), errors), []
        generator = torch.Generator().manual_seed(0)
        for _ in range(draws):
            noise = torch.randn(len(sizes) + 1, generator=generator, dtype=torch.float64)
            again = fit(sizes, law(sizes) + errors * noise[1:], errors)
            drawn.append(again(large) + last * noise[0])
        ends = torch.cat(drawn).quantile(torch.tensor([0.025, 0.975]).double())
        predicted = law(large).item()
        judged[name] = {
            "law": [law.floor, law.factor, law.exponent],
            "predicted": predicted,
            "interval": ends.tolist(),
            "error": found.mean().item() - predicted,
        }
    return {"judged": judged | {"errors": errors.tolist()}}


def short() -> dict[str, float]:
    """Train two small networks for a few updates, to be done again by a test."""
    return {str(width): round(train(width, 0.008, 0, "test", updates=30, count=1000), 3) for width in WIDTHS[:2]}


ROWS: dict[str, Callable[[], Any]] = {"short": short}
for width in WIDTHS:
    ROWS |= {f"tune {width}": partial(tune, width), f"train {width}": partial(train_tuned, width)}
ROWS |= {"prediction": predict}
ROWS |= {f"tune {LARGE}": partial(tune, LARGE), f"train {LARGE}": partial(train_tuned, LARGE)}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, and judge the laws."""
    run(__file__, ROWS, arguments, sum_up=judge)


if __name__ == "__main__":
    main()
