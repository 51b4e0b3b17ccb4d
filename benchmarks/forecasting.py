"""Forecasts of the fine dust over Beijing: errors on the validation and the test year, over five seeds.

python -m benchmarks.forecasting [rows…]

Parts, windows, features and settings are those of the chapter on the article's recurrent program. Rows with another
form (the level instead of the change, or the other way round) and with scikit-learn's default trees show what the
chapter chose between, on the validation year.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.processes import in_processes
from benchmarks.store import run, summary
from dlbook.data.beijing import beijing_pm25
from dlbook.data.series import Scaler, split_by_time, with_calendar
from dlbook.data.windows import Windows, windows
from dlbook.forecast import Forecaster
from dlbook.losses import mean_squared_error, quantile_loss
from dlbook.training.batches import Batches
from dlbook.training.fit import fit
from dlbook.training.optim import Adam, warmup_cosine

SEEDS = 5
STEPS = 24  # hours that a window shows
LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Row:
    """How a network is trained; `change` adds what it says to the last value."""

    horizon: int
    change: bool
    epochs: int
    outputs: int = 1


ROWS = {
    "one_hour": Row(1, change=True, epochs=3),
    "one_hour_level": Row(1, change=False, epochs=3),
    "one_hour_longer": Row(1, change=True, epochs=5),
    "one_day": Row(24, change=False, epochs=2),
    "one_day_change": Row(24, change=True, epochs=2),
    "one_day_longer": Row(24, change=False, epochs=4),
    "one_hour_quantiles": Row(1, change=True, epochs=3, outputs=3),
    "one_day_quantiles": Row(24, change=False, epochs=2, outputs=3),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "ridge": lambda: Ridge(100),
    "trees": lambda: HistGradientBoostingRegressor(
        max_iter=50, learning_rate=0.05, max_leaf_nodes=15, early_stopping=False, random_state=0
    ),
    "default_trees": lambda: HistGradientBoostingRegressor(early_stopping=False, random_state=0),
}


@cache
def data(horizon: int) -> tuple[dict[str, Windows], float]:
    """Cut the three parts into windows; return them with the deviation of the dust in µg/m³."""
    names = ("train", "validation", "test")
    parts = dict(zip(names, split_by_time(with_calendar(beijing_pm25()), "2013-01-01", "2014-01-01"), strict=True))
    scaler = Scaler.fit(parts["train"])
    cut = {name: windows(scaler.transform(part), "PM2.5", STEPS, (horizon,), fill=6) for name, part in parts.items()}
    return cut, scaler.std[0].item()


def start_of(part: Windows, change: bool) -> Tensor:
    """Return what the learners' outputs are added to."""
    return part.inputs[:, -1, :1] if change else torch.zeros(len(part.inputs), 1)


def forecast_of(model: Forecaster, inputs: Tensor) -> Tensor:
    """Forecast for many windows."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch) for batch in inputs.split(1000)])


def errors(horizon: int, forecast: Callable[[Windows], Tensor]) -> dict[str, float]:
    """Return the root mean squared and the mean absolute error on two years, in µg/m³."""
    cut, unit = data(horizon)
    found: dict[str, float] = {}
    for name in ("validation", "test"):
        missed = unit * (forecast(cut[name]) - cut[name].targets).double()
        found |= {f"{name}_rmse": missed.square().mean().sqrt().item(), f"{name}_mae": missed.abs().mean().item()}
    return found


def pinball(prediction: Tensor, target: Tensor) -> Tensor:
    """Average the quantile loss of the three levels."""
    return quantile_loss(prediction, target[:, 0], LEVELS)


def judged(row: Row, model: Forecaster) -> dict[str, float]:
    """Return the errors of a network, or of three outputs how often the truth lies between the outer two."""
    if row.outputs == 1:
        return errors(row.horizon, lambda part: start_of(part, row.change) + forecast_of(model, part.inputs))
    test = data(row.horizon)[0]["test"]
    return judged_band(row.horizon, start_of(test, row.change) + forecast_of(model, test.inputs))


def judged_band(horizon: int, band: Tensor) -> dict[str, float]:
    """Return how often the test year lies inside a band, how wide it is and what it costs."""
    cut, unit = data(horizon)
    truth = cut["test"].targets
    inside = (band[:, :1] <= truth) & (truth <= band[:, 2:])
    return {
        "coverage": inside.double().mean().item(),
        "width": unit * (band[:, 2] - band[:, 0]).double().mean().item(),
        "quantile_loss": unit * pinball(band.double(), truth.double()).item(),
    }


def train(row: Row, seed: int, examples: int | None = None) -> dict[str, float]:
    """Train one network as the chapter does; return how it does, and the CPU seconds of `fit`."""
    torch.set_num_threads(1)
    part = data(row.horizon)[0]["train"]
    torch.manual_seed(seed)
    model = Forecaster(part.inputs.shape[2], outputs=row.outputs, fused=True)
    target = part.targets - start_of(part, row.change)
    batches = Batches(part.inputs[:examples], target[:examples], batch_size=128, shuffle=True, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, eps=1e-7, fused=True)
    steps = row.epochs * len(batches)
    schedule = LambdaLR(optimizer, warmup_cosine(steps, warmup=steps // 10))
    begun = time.process_time()
    fit(
        model,
        batches,
        mean_squared_error if row.outputs == 1 else pinball,
        optimizer,
        epochs=row.epochs,
        schedule=schedule,
    )
    seconds = time.process_time() - begun
    return judged(row, model) | {"cpu_seconds": seconds}


def train_article(seed: int, epochs: int = 100, patience: int = 3, examples: int | None = None) -> dict[str, float]:
    """Train the article's program on the dust alone, until the validation year no longer improves."""
    torch.set_num_threads(1)
    cut, _ = data(1)
    inputs, targets = cut["train"].inputs[:examples, :, :1].contiguous(), cut["train"].targets[:examples]
    torch.manual_seed(seed)
    model = Forecaster(fused=True)
    optimizer = Adam(model.parameters(), eps=1e-7, eps_hat=True)
    found: list[dict[str, float]] = []
    begun = time.process_time()
    for epoch in range(epochs):
        order = Batches(inputs, targets, batch_size=32, shuffle=True, seed=100 * seed + epoch)
        fit(model, order, mean_squared_error, optimizer, epochs=1)
        found.append(errors(1, lambda part: forecast_of(model, part.inputs[:, :, :1])))
        best = min(range(len(found)), key=lambda n: found[n]["validation_rmse"])
        if epoch - best >= patience:
            break
    return found[best] | {"epochs": len(found), "cpu_seconds": time.process_time() - begun}


def fit_regressor(name: str, horizon: int, change: bool) -> dict[str, float]:
    """Fit a regressor of scikit-learn to the windows laid flat."""
    part = data(horizon)[0]["train"]
    regressor = REGRESSORS[name]()
    target = (part.targets - start_of(part, change))[:, 0]
    regressor.fit(part.inputs.flatten(1).double().numpy(), target.double().numpy())

    def forecast(part: Windows) -> Tensor:
        found = torch.from_numpy(regressor.predict(part.inputs.flatten(1).double().numpy()))
        return start_of(part, change).double() + found[:, None]

    return errors(horizon, forecast)


def fit_quantile_trees(horizon: int, change: bool) -> dict[str, float]:
    """Fit boosted trees with the quantile loss, one set for each level."""
    cut, _ = data(horizon)
    inputs = {name: cut[name].inputs.flatten(1).double().numpy() for name in ("train", "test")}
    target = (cut["train"].targets - start_of(cut["train"], change))[:, 0].double().numpy()
    options = {"max_iter": 50, "learning_rate": 0.05, "max_leaf_nodes": 15, "early_stopping": False, "random_state": 0}
    levels = [HistGradientBoostingRegressor(loss="quantile", quantile=level, **options) for level in LEVELS]
    found = [torch.from_numpy(trees.fit(inputs["train"], target).predict(inputs["test"])) for trees in levels]
    return judged_band(horizon, start_of(cut["test"], change).double() + torch.stack(found, 1))


def rounded(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Sum up runs of several seeds: each measure with its mean and ends, and the median of the seconds."""
    measures = {name: [round(run[name], 4) for run in runs] for name in runs[0] if name != "cpu_seconds"}
    seconds = {"cpu_seconds": round(median(run["cpu_seconds"] for run in runs), 1)}
    return {name: summary(values) for name, values in measures.items()} | seconds


def short() -> dict[str, float]:
    """Train a network on a few windows for one epoch, to be done again by a test."""
    found = train(Row(1, change=True, epochs=1), seed=0, examples=3200)
    return {"validation_rmse": round(found["validation_rmse"], 3)}


def baselines() -> dict[str, Any]:
    """Measure persistence, and scikit-learn's regressors, each on the level and on the change."""
    forms = {
        "one_hour": (1, True),
        "one_hour_level": (1, False),
        "one_day": (24, False),
        "one_day_change": (24, True),
    }
    rows: dict[str, Any] = {
        f"persistence_{form}": errors(forms[form][0], lambda part: start_of(part, True))
        for form in ("one_hour", "one_day")
    }
    for regressor in REGRESSORS:
        rows |= {f"{regressor}_{form}": fit_regressor(regressor, *forms[form]) for form in forms}
    rows |= {f"quantile_trees_{form}": fit_quantile_trees(*forms[form]) for form in ("one_hour", "one_day")}
    return {row: {key: round(value, 3) for key, value in found.items()} for row, found in rows.items()}


def article() -> dict[str, Any]:
    """Train the article's program with every seed."""
    return rounded(in_processes(train_article, range(SEEDS)))


def networks(name: str) -> dict[str, Any]:
    """Train the networks of one row, with every seed."""
    return rounded(in_processes(train, [ROWS[name]] * SEEDS, range(SEEDS)))


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows = {"short": short, "rivals": baselines, "article": article}
    run(__file__, rows | {name: partial(networks, name) for name in ROWS}, arguments)


if __name__ == "__main__":
    main()
