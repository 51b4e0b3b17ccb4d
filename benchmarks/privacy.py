"""Privacy on Adult: attacks on membership against six ways of training, and what DP-SGD costs in accuracy.

python -m benchmarks.privacy [rows…]

Many models are trained at once, as stacks of matrices; `tests/benchmarks/test_privacy.py` compares their clipped
gradients with those of the package. Settings are chosen on validation rows and seeds that no comparison uses. The
choice itself costs privacy, which is not counted.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.store import fresh, run
from dlbook.data.adult import adult
from dlbook.data.tables import Table
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.metrics.ranking import roc_auc
from dlbook.practice.privacy import likelihood_ratio, noise_for_epsilon, tpr_at_fpr

ABOUT = {"age": (40, 15), "education-num": (10, 3), "hours-per-week": (40, 12)}  # round numbers, not from the rows
POOL, MEMBERS, TARGETS, SHADOWS, WIDTH = 5_000, 1_000, 20, 64, 64
EPOCHS, OVERFITTED = (1, 2, 3, 4, 6, 8, 12, 20, 40, 60), 60
EPSILONS: tuple[float | None, ...] = (0.25, 0.5, 1, 2, 4, 8, None)  # None: clipped, without noise
RATES, NORMS = (0.003, 0.01, 0.03, 0.1), (0.3, 1, 3, 10, 30)
DELTA = 1e-5
SIZES = {1_000: (100, 150), 5_000: (250, 200), 25_000: (250, 200)}  # rows: expected batch size, updates
TUNING, SEEDS = 3, 10
FPRS = [10 ** (-3.25 + step / 4) for step in range(13)]  # false positive rates


def features(table: Table) -> Tensor:
    """Return a row's numbers, scaled by constants, and its categories as zeros and ones."""
    columns = []
    for name, values in zip(table.columns, table.numbers.T, strict=True):
        if name in ABOUT:
            columns.append((values - ABOUT[name][0]) / ABOUT[name][1])
        elif name.startswith("capital"):
            columns.append(values.log1p() / 5)
    for (name, levels), codes in zip(table.levels.items(), table.categories.T, strict=True):
        if name != "education":
            columns.extend((codes == level).double() for level in range(len(levels)))
    return torch.stack(columns, 1)


@cache
def rows() -> dict[str, tuple[Tensor, Tensor]]:
    """Return features and labels: a pool of distinct rows to attack, validation rows, rows to learn from, test rows."""
    parts = adult()
    x = torch.cat([features(parts.train), features(parts.validation)])
    y = torch.cat([parts.train.labels, parts.validation.labels])
    first: dict[bytes, int] = {}
    for row, values in enumerate(x.numpy()):
        first.setdefault(values.tobytes(), row)
    distinct = torch.tensor(list(first.values()))
    order = distinct[torch.randperm(len(distinct), generator=torch.Generator().manual_seed(0))]
    pool, held = order[:POOL], order[POOL : POOL + 4_000]
    found = {"pool": (x[pool], y[pool]), "held": (x[held], y[held]), "test": (features(parts.test), parts.test.labels)}
    found |= {"train": (features(parts.train), parts.train.labels)}
    found |= {"validation": (features(parts.validation), parts.validation.labels)}
    return {name: (x.float(), y.float()) for name, (x, y) in found.items()}


# --- many models at once ----------------------------------------------------------------------------------------------


class Stack:
    """Logistic regressions, or networks of one hidden layer, trained side by side with Adam."""

    def __init__(self, models: int, inputs: int, width: int, generator: torch.Generator):
        def drawn(*shape: int) -> Tensor:  # as PyTorch initialises a linear layer
            return (2 * torch.rand(models, *shape, generator=generator) - 1) / math.sqrt(inputs_of)

        self.width, inputs_of = width, inputs
        if width:
            self.weights = [drawn(inputs, width), drawn(1, width)]
            inputs_of = width
            self.weights += [drawn(width, 1), drawn(1, 1)]
        else:
            self.weights = [torch.zeros(models, inputs, 1), torch.zeros(models, 1, 1)]
        self.moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.weights]
        self.updates = 0

    def logits(self, x: Tensor) -> Tensor:
        """Return a logit for each model and row."""
        for weight, bias in (self.weights[:2], self.weights[2:]):
            x = x @ weight + bias
            if not self.width or weight.shape[2] == 1:
                return x[..., 0]
            x = x.relu()
        raise AssertionError("two layers at most")

    def gradients(self, x: Tensor, y: Tensor, real: Tensor, max_norm: Tensor | None = None) -> list[Tensor]:
        """Return sums over the batches of (models, batch, inputs), of which only some rows are real.

        A layer's gradient for one example is an outer product, so its norm needs no such matrix.
        """
        hidden = (x @ self.weights[0] + self.weights[1]).relu() if self.width else x
        error = (hidden @ self.weights[-2] + self.weights[-1])[..., 0].sigmoid().sub(y) * real
        below = error[..., None] * self.weights[-2].transpose(1, 2) * (hidden > 0) if self.width else None
        if max_norm is not None:
            squares = error.square() * (1 + hidden.square().sum(2))
            if below is not None:
                squares = squares + below.square().sum(2) * (1 + x.square().sum(2))
            factors = (max_norm[:, None] / squares.sqrt().clamp(min=1e-12)).clamp(max=1)
            error = error * factors
            below = None if below is None else below * factors[..., None]
        last = [hidden.transpose(1, 2) @ error[..., None], error.sum(1)[:, None, None]]
        return last if below is None else [x.transpose(1, 2) @ below, below.sum(1, keepdim=True), *last]

    def step(self, gradients: list[Tensor], lr: Tensor, decay: float = 0.0) -> None:
        """Update all models by Adam, each with its learning rate."""
        self.updates += 1
        for weight, gradient, (first, second) in zip(self.weights, gradients, self.moments, strict=True):
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient.square(), 0.001)
            scale = (second / (1 - 0.999**self.updates)).sqrt() + 1e-8
            weight -= lr[:, None, None] * (first / (1 - 0.9**self.updates) / scale + decay * weight)


def sample(count: int, rate: float, models: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a Poisson sample for each model, by the gaps between its rows: row numbers, and which of them are real."""
    width = int(count * rate + 6 * math.sqrt(count * rate) + 6)
    drawn = torch.rand(models, width, generator=generator, dtype=torch.float64)
    at = (drawn.log() / math.log1p(-rate)).floor().long().add(1).cumsum(1) - 1
    return at.clamp(max=count - 1), (at < count).float()


def train_epochs(
    stack: Stack, x: Tensor, y: Tensor, chosen: Tensor, epochs: int, lr: float, seed: int, decay: float = 0.0
) -> None:
    """Train each model on its chosen rows by Adam with batches of 100."""
    generator, models = torch.Generator().manual_seed(seed), len(chosen)
    rates = torch.full((models,), lr)
    for _ in range(epochs):
        order = torch.stack([torch.randperm(chosen.shape[1], generator=generator) for _ in range(models)])
        for batch in chosen.gather(1, order).split(100, 1):
            gradients = stack.gradients(x[batch], y[batch], torch.ones(batch.shape))
            stack.step([gradient / batch.shape[1] for gradient in gradients], rates, decay)


def train_private(
    stack: Stack,
    x: Tensor,
    y: Tensor,
    chosen: Tensor,
    batch_size: int,
    updates: int,
    lr: Tensor,
    max_norm: Tensor | None,
    noise: Tensor,
    seed: int,
) -> None:
    """Train each model by DP-SGD on its chosen rows, or with `max_norm` None without clipping."""
    generator, count = torch.Generator().manual_seed(seed), chosen.shape[1]
    for _ in range(updates):
        found, real = sample(count, batch_size / count, len(chosen), generator)
        batch = chosen.gather(1, found)
        gradients = stack.gradients(x[batch], y[batch], real, max_norm)
        if max_norm is not None:
            scale = (noise * max_norm)[:, None, None]
            gradients = [g + scale * torch.randn(g.shape, generator=generator) for g in gradients]
        stack.step([gradient / batch_size for gradient in gradients], lr)


def measure(stack: Stack, part: str) -> tuple[list[float], list[float]]:
    """Return each model's accuracy and log loss on a part of the rows."""
    x, y = rows()[part]
    logits = stack.logits(x)
    loss = F.binary_cross_entropy_with_logits(logits, y.expand_as(logits), reduction="none").mean(1)
    return ((logits > 0) == (y > 0)).float().mean(1).tolist(), loss.tolist()


def mean(values: list[float]) -> float:
    """Return the mean, to five digits."""
    return round(sum(values) / len(values), 5)


def draws(models: int, count: int, of: int, seed: int) -> Tensor:
    """Draw so many rows for each model, without replacement."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(of, generator=generator)[:count] for _ in range(models)])


# --- settings ---------------------------------------------------------------------------------------------------------


def tune_plain() -> dict[str, Any]:
    """Return validation log losses by epoch of the network, and by weight decay of logistic regression."""
    x, y = rows()["pool"]
    chosen, generator = draws(10, MEMBERS, POOL, seed=100), torch.Generator().manual_seed(100)
    network, found, before = Stack(10, x.shape[1], WIDTH, generator), {}, 0
    for epoch in EPOCHS:
        train_epochs(network, x, y, chosen, epoch - before, 0.01, seed=100 + epoch)
        found[str(epoch)], before = mean(measure(network, "held")[1]), epoch
    linear = {}
    for decay in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        model = Stack(10, x.shape[1], 0, generator)
        train_epochs(model, x, y, chosen, 40, 0.01, seed=100, decay=decay)
        linear[str(decay)] = mean(measure(model, "held")[1])
    return {"epochs": found, "decay": linear}


def tune_private(count: int, width: int = 0) -> dict[str, Any]:
    """Return mean validation log losses for each epsilon, learning rate and clipping norm."""
    x, y = rows()["train"]
    batch_size, updates = SIZES[count]
    grid = [(lr, norm) for lr in RATES for norm in NORMS for _ in range(TUNING)]
    lr, norm = (torch.tensor(values) for values in zip(*grid, strict=True))
    found = {}
    for number, epsilon in enumerate((1, 8) if width else EPSILONS):
        noise = noise_for_epsilon(epsilon, batch_size / count, updates, DELTA) if epsilon else 0.0
        chosen = draws(TUNING, count, len(x), seed=200).repeat(len(grid) // TUNING, 1)
        generator = torch.Generator().manual_seed(200)
        stack = Stack(len(grid), x.shape[1], width, generator)
        noises = torch.full((len(grid),), noise)
        train_private(stack, x, y, chosen, batch_size, updates, lr, norm, noises, seed=200 + number)
        losses: dict[str, list[float]] = {}
        for (rate, bound), loss in zip(grid, measure(stack, "validation")[1], strict=True):
            losses.setdefault(f"{rate} {bound}", []).append(loss)
        found[str(epsilon)] = {setting: mean(values) for setting, values in losses.items()}
    return found


def best(table: dict[str, float]) -> tuple[float, float]:
    """Return the learning rate and clipping norm of the lowest loss."""
    rate, norm = min(table, key=lambda setting: table[setting]).split()
    return float(rate), float(norm)


# --- measurements -----------------------------------------------------------------------------------------------------


def accuracy(count: int) -> dict[str, Any]:
    """Return test accuracies of private logistic regressions by epsilon, over draws of rows."""
    x, y = rows()["train"]
    batch_size, updates = SIZES[count]
    tuned, chosen = fresh(__file__)[f"tune {count}"], draws(SEEDS, count, len(x), seed=300)
    right, found = {}, {}
    for number, epsilon in enumerate(EPSILONS):
        rate, norm = best(tuned[str(epsilon)])
        noise = noise_for_epsilon(epsilon, batch_size / count, updates, DELTA) if epsilon else 0.0
        stack = Stack(SEEDS, x.shape[1], 0, torch.Generator().manual_seed(300))
        lr, norms, noises = (torch.full((SEEDS,), value) for value in (rate, norm, noise))
        train_private(stack, x, y, chosen, batch_size, updates, lr, norms, noises, seed=300 + number)
        x_test, y_test = rows()["test"]
        right[str(epsilon)] = (stack.logits(x_test) > 0) == (y_test > 0)
        found[str(epsilon)] = [round(value, 4) for value in right[str(epsilon)].double().mean(1).tolist()]
    cost = {}
    for name in list(found)[:-1]:
        ours = difference_over_examples_and_seeds(right["None"], right[name], resamples=500)
        cost[name] = [round(value, 4) for value in (ours.low, ours.high, ours.estimate)]
    return {"accuracy": found, "cost": cost}


def attack(way: str) -> dict[str, Any]:
    """Attack models that were trained in one way: by their loss, and by likelihood ratios with shadow models."""
    x, y = rows()["pool"]
    models = TARGETS + SHADOWS
    chosen = draws(models, MEMBERS, POOL, seed=400)
    inside = torch.zeros(models, POOL, dtype=torch.bool).scatter(1, chosen, True)
    generator = torch.Generator().manual_seed(400)
    stack = Stack(models, x.shape[1], 0 if way == "logistic regression" else WIDTH, generator)
    stored = fresh(__file__)
    plain = stored["tune plain"]
    if way == "overfitted":
        train_epochs(stack, x, y, chosen, OVERFITTED, 0.01, seed=400)
    elif way == "stopped early":
        epochs = int(min(plain["epochs"], key=plain["epochs"].get))
        train_epochs(stack, x, y, chosen, epochs, 0.01, seed=400)
    elif way == "logistic regression":
        decay = float(min(plain["decay"], key=plain["decay"].get))
        train_epochs(stack, x, y, chosen, 40, 0.01, seed=400, decay=decay)
    else:  # the ladder: the updates of DP-SGD with epsilon 8, without clipping, without noise, and whole
        batch_size, updates = SIZES[MEMBERS]
        epsilon = 1 if way == "epsilon 1" else 8
        rate, norm = best(stored["tune network"][str(epsilon)])
        noise = noise_for_epsilon(epsilon, batch_size / MEMBERS, updates, DELTA) if way.startswith("epsilon") else 0.0
        lr, norms, noises = (torch.full((models,), value) for value in (rate, norm, noise))
        clip = None if way == "not clipped" else norms
        train_private(stack, x, y, chosen, batch_size, updates, lr, clip, noises, seed=400)
    logit = stack.logits(x).double()
    logit = torch.where(y > 0, logit, -logit)
    shadows, within = logit[TARGETS:], inside[TARGETS:]
    attacks = {
        "loss": logit[:TARGETS],
        "ratio": torch.stack([likelihood_ratio(one, shadows, within) for one in logit[:TARGETS]]),
    }
    unseen = (shadows * ~within).sum(0) / (~within).sum(0)  # how a row fares with models that have not seen it
    found: dict[str, Any] = {
        "train": [round(v, 4) for v in ((logit > 0) & inside).sum(1)[:TARGETS].div(MEMBERS).tolist()],
        "test": [round(v, 4) for v in measure(stack, "test")[0][:TARGETS]],
    }
    for name, scores in attacks.items():
        pairs = list(zip(scores, inside[:TARGETS], strict=True))
        found[name] = {
            "tpr": [tpr_at_fpr(score, member, 0.001) for score, member in pairs],
            "tpr at 1 %": [round(tpr_at_fpr(score, member, 0.01), 4) for score, member in pairs],
            "auc": [round(roc_auc(score, member).item(), 4) for score, member in pairs],
            "curve": [mean([tpr_at_fpr(score, member, fpr) for score, member in pairs]) for fpr in FPRS],
        }
    odd = unseen < 0
    found["odd"] = round(odd.double().mean().item(), 4)
    for name, group in (("odd rows", odd), ("other rows", ~odd)):
        found[name] = []
        for score, member in zip(attacks["ratio"], inside[:TARGETS], strict=True):
            threshold = score[~member].sort(descending=True).values[(POOL - MEMBERS) // 1000]
            found[name].append(round((score[member & group] > threshold).double().mean().item(), 5))
    return found


def short() -> list[float]:
    """Return accuracies that a test measures again."""
    x, y = rows()["pool"]
    stack = Stack(2, x.shape[1], WIDTH, torch.Generator().manual_seed(0))
    train_epochs(stack, x, y, draws(2, MEMBERS, POOL, seed=0), 2, 0.01, seed=0)
    return [round(value, 3) for value in measure(stack, "test")[0]]


WAYS = ["overfitted", "stopped early", "logistic regression", "not clipped", "clipped", "epsilon 8", "epsilon 1"]
ROWS: dict[str, Callable[[], Any]] = {"short": short, "tune plain": tune_plain}
ROWS |= {f"tune {count}": partial(tune_private, count) for count in SIZES}
ROWS |= {"tune network": partial(tune_private, MEMBERS, WIDTH)}
ROWS |= {f"accuracy {count}": partial(accuracy, count) for count in SIZES}
ROWS |= {way: partial(attack, way) for way in WAYS}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
