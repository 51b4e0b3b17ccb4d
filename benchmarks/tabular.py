"""Six learners on three tables, tuned with equal budgets: accuracy, log loss, calibration, time, over five splits.

python -m benchmarks.tabular [rows…]

Each learner gets the same matrix, the same rows and the same number of trials, of which the first is its default; the
trial with the lowest log loss on the validation part is fitted again, to the whole training part, and judged once on
the test part. Adult is pooled and split anew, so that all tables are treated alike.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import optuna
import torch
from scipy.stats import t  # type: ignore[import-untyped]
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from benchmarks.store import run, summary
from dlbook.data.adult import ADULT, INCOMES
from dlbook.data.encoder import TableEncoder
from dlbook.data.satellite import satellite
from dlbook.data.spambase import spambase
from dlbook.data.store import fetch
from dlbook.data.tables import read_rows, split_table, tabulate
from dlbook.losses import cross_entropy
from dlbook.metrics.calibration import expected_calibration_error
from dlbook.network import MLP
from dlbook.training.batches import Batches
from dlbook.training.fit import fit

TABLES = ("spambase", "satellite", "adult")
SPLITS = 5
TRIALS = 12
TUNING = 4_000  # rows, at most, to learn from and to choose by in a trial
MACHINE = 10_000  # rows, at most, that the support vector machine learns from: its time grows with their square
SIZES = (250, 1_000, 4_000, 16_000)
MEASURES = ("accuracy", "log_loss", "calibration", "area")


def logarithm(x: np.ndarray) -> np.ndarray:
    """Pull long tails in, on both sides of zero."""
    return np.sign(x) * np.log1p(np.abs(x))


def straight(x: np.ndarray) -> np.ndarray:
    """Leave the columns as they are."""
    return x


class Network:
    """The book's multilayer perceptron: trained with AdamW, and kept as after its best epoch on rows held out."""

    def __init__(
        self,
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.1,
        decay: float = 1e-2,
        rate: float = 2e-3,
        tails: Callable[[np.ndarray], np.ndarray] = straight,
        epochs: int = 20,
        seed: int = 0,
    ):
        self.width, self.depth, self.dropout, self.decay, self.rate = width, depth, dropout, decay, rate
        self.tails, self.epochs, self.seed = tails, epochs, seed

    def fit(self, x: np.ndarray, y: np.ndarray, held: tuple[np.ndarray, np.ndarray] | None = None) -> "Network":
        torch.manual_seed(self.seed)
        self.model = MLP([x.shape[1], *[self.width] * self.depth, int(y.max()) + 1], dropout=self.dropout)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.rate, weight_decay=self.decay, fused=True)
        batches = Batches(self.tensor(x), torch.from_numpy(y), batch_size=128, shuffle=True, seed=self.seed)
        best: dict[str, Any] = {"loss": np.inf}

        def remember(model: nn.Module) -> dict[str, float]:
            loss = log_loss(held[1], self.predict_proba(held[0]), labels=range(int(y.max()) + 1)) if held else 0.0
            if loss < best["loss"]:
                best.update(loss=loss, state=deepcopy(model.state_dict()))
            return {"loss": loss}

        fit(self.model, batches, cross_entropy, optimizer, epochs=self.epochs, validate=remember if held else None)
        if held:
            self.model.load_state_dict(best["state"])
        return self

    def tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.tails(x).astype(np.float32))

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        with torch.inference_mode():
            return self.model(self.tensor(x)).double().softmax(1).numpy()


def logistic(trial: Any) -> Any:
    """Regularisation, and whether tails are pulled in."""
    tails = straight if trial.suggest_categorical("tails", ["straight", "log"]) == "straight" else logarithm
    c = trial.suggest_float("C", 1e-3, 1e2, log=True)
    return make_pipeline(FunctionTransformer(tails), LogisticRegression(C=c, max_iter=300))


def tree(trial: Any) -> Any:
    """How small its leaves may be, and how deep they lie."""
    leaf = trial.suggest_int("leaf", 1, 100, log=True)
    return DecisionTreeClassifier(max_depth=trial.suggest_int("depth", 2, 30), min_samples_leaf=leaf, random_state=0)


def forest(trial: Any) -> Any:
    """How small the leaves may be, and how many of the columns a split may choose from."""
    leaf = trial.suggest_int("leaf", 1, 20, log=True)
    share = trial.suggest_float("share", 0.02, 1.0, log=True)
    return RandomForestClassifier(100, min_samples_leaf=leaf, max_features=share, random_state=0)


def boosting(trial: Any) -> Any:
    """Rate, size and number of the trees, and how they are held back."""
    return HistGradientBoostingClassifier(
        learning_rate=trial.suggest_float("rate", 0.02, 0.3, log=True),
        max_iter=trial.suggest_int("trees", 30, 200, log=True),
        max_leaf_nodes=trial.suggest_int("leaves", 4, 63, log=True),
        min_samples_leaf=trial.suggest_int("leaf", 2, 50, log=True),
        l2_regularization=trial.suggest_float("l2", 1e-4, 10.0, log=True),
        early_stopping=False,
        random_state=0,
    )


def machine(trial: Any) -> Any:
    """Width of the kernel, price of an error, tails; probabilities from three folds (Platt's way)."""
    tails = straight if trial.suggest_categorical("tails", ["straight", "log"]) == "straight" else logarithm
    c, gamma = trial.suggest_float("C", 1e-2, 1e2, log=True), trial.suggest_float("gamma", 1e-4, 1.0, log=True)
    return make_pipeline(
        FunctionTransformer(tails), CalibratedClassifierCV(SVC(C=c, gamma=gamma), cv=3, ensemble=False)
    )


def network(trial: Any) -> Any:
    """Shape, dropout, weight decay, rate, tails."""
    return Network(
        width=trial.suggest_int("width", 32, 256, log=True),
        depth=trial.suggest_int("depth", 1, 3),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        decay=trial.suggest_float("decay", 1e-4, 1.0, log=True),
        rate=trial.suggest_float("rate", 3e-4, 1e-2, log=True),
        tails=straight if trial.suggest_categorical("tails", ["straight", "log"]) == "straight" else logarithm,
    )


LEARNERS: dict[str, Callable[[Any], Any]] = {
    "logistic": logistic,
    "tree": tree,
    "forest": forest,
    "boosting": boosting,
    "machine": machine,
    "network": network,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "logistic": {"tails": "straight", "C": 1.0},
    "tree": {"leaf": 1, "depth": 30},
    "forest": {"leaf": 1, "share": 0.13},  # about the square root of 57 columns
    "boosting": {"rate": 0.1, "trees": 100, "leaves": 31, "leaf": 20, "l2": 1e-4},
    "machine": {"tails": "straight", "C": 1.0, "gamma": 0.02},
    "network": {"width": 128, "depth": 2, "dropout": 0.1, "decay": 1e-2, "rate": 2e-3, "tails": "straight"},
}


@cache
def parts_of(table: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split a table; return training, validation and test as matrix and labels, encoded by the training part alone."""
    if table == "adult":
        folder = fetch("adult")
        rows = [row for file in ("adult.data", "adult.test") for row in read_rows(folder / file, ADULT, INCOMES)]
        parts = split_table(tabulate(rows, ADULT, INCOMES), 0.2, seed)
    else:
        parts = {"spambase": spambase, "satellite": satellite}[table](seed=seed)
    encoder = TableEncoder.fit(parts.train)
    return [
        (encoder.transform(part).numpy(), part.labels.numpy()) for part in (parts.train, parts.validation, parts.test)
    ]


def some(part: tuple[np.ndarray, np.ndarray], rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows, at most so many."""
    chosen = np.random.default_rng(seed).permutation(len(part[1]))[:rows]
    return part[0][chosen], part[1][chosen]


def learn(made: Any, train: tuple[np.ndarray, np.ndarray], held: tuple[np.ndarray, np.ndarray]) -> Any:
    """Fit a learner; only the network looks at the rows held out, to choose its epoch."""
    return made.fit(*train, held) if isinstance(made, Network) else made.fit(*train)


def judge(probability: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Measure probabilities; the area under the curve for two classes only."""
    probability = probability.clip(1e-6, 1)
    probability = probability / probability.sum(1, keepdims=True)
    chosen = probability.argmax(1)
    certain = torch.from_numpy(probability.max(1))
    found = {
        "accuracy": float((chosen == y).mean()),
        "log_loss": float(log_loss(y, probability, labels=range(probability.shape[1]))),
        "calibration": expected_calibration_error(certain, torch.from_numpy(chosen == y), n_bins=15).item(),
    }
    return found | ({"area": float(roc_auc_score(y, probability[:, 1]))} if probability.shape[1] == 2 else {})


def compete(
    learner: str, table: str, seed: int, trials: int = TRIALS, rows: int = TUNING, again: bool = True
) -> dict[str, Any]:
    """Tune one learner on one split, fit it again to all rows for training (if `again`), and judge it on the test."""
    train, validation, test = parts_of(table, seed)
    small, choosing = some(train, rows, seed), some(validation, rows, seed)

    def trial_loss(trial: Any) -> float:
        made = learn(LEARNERS[learner](trial), small, choosing)
        return judge(made.predict_proba(choosing[0]), choosing[1])["log_loss"]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(DEFAULTS[learner])
    begun = time.process_time()
    study.optimize(trial_loss, n_trials=trials)
    tuned = time.process_time()
    most = MACHINE if learner == "machine" else len(train[1])
    made = learn(LEARNERS[learner](study.best_trial), some(train, most, seed) if again else small, validation)
    trained = time.process_time()
    found = judge(made.predict_proba(test[0]), test[1])
    return {
        **{name: round(value, 4) for name, value in found.items()},
        "trials": np.minimum.accumulate([round(trial.value, 4) for trial in study.trials]).tolist(),  # type: ignore
        "settings": {key: round(x, 4) if isinstance(x, float) else x for key, x in study.best_params.items()},
        "tuning_seconds": round(tuned - begun, 2),
        "training_seconds": round(trained - tuned, 2),
        "prediction_seconds": round(time.process_time() - trained, 3),
    }


def prior(table: str, seed: int) -> dict[str, float]:
    """Judge who knows only how frequent the classes are."""
    train, _, test = parts_of(table, seed)
    frequency = np.bincount(train[1]) / len(train[1])
    return {name: round(x, 4) for name, x in judge(np.tile(frequency, (len(test[1]), 1)), test[1]).items()}


def interval(differences: list[float], ratio: float = 1 / 3) -> dict[str, float]:
    """Give the mean of paired differences over splits with its 95 % interval, wider for the rows that splits share.

    Source: Nadeau and Bengio 2003, the corrected resampled t-test; `ratio` is test rows to training rows.
    """
    n = len(differences)
    half = float(t.ppf(0.975, n - 1)) * (1 / n + ratio) ** 0.5 * stdev(differences)
    mean = fmean(differences)
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def sum_up(table: str, runs: dict[str, Any]) -> dict[str, Any]:
    """Sum up the splits of one table, and compare the network with each other learner, split by split."""
    splits = [
        runs[key] for key in (f"{table}_{seed}" for seed in range(SPLITS)) if len(runs.get(key, {})) > len(LEARNERS)
    ]
    found: dict[str, Any] = {"splits": len(splits)}
    for learner in ("prior", *LEARNERS):
        measures = [name for name in MEASURES if name in splits[0][learner]]
        found[learner] = {name: summary([split[learner][name] for split in splits]) for name in measures}
        for key in ("tuning_seconds", "training_seconds", "prediction_seconds"):
            if key in splits[0][learner]:
                found[learner][key] = round(median(split[learner][key] for split in splits), 2)
        if "trials" in splits[0][learner]:
            steps = zip(*(split[learner]["trials"] for split in splits), strict=True)
            found[learner]["trials"] = [round(fmean(step), 4) for step in steps]
        if learner not in ("prior", "network"):
            found[learner]["network_minus_it"] = {
                name: interval([split["network"][name] - split[learner][name] for split in splits]) for name in measures
            }
    return found


def curve(rows: int) -> dict[str, Any]:
    """Learn from so many rows of Adult with default settings, three times; the network holds a fifth back."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("logistic", "boosting", "network")}
    for seed in range(3):
        train, _, test = parts_of("adult", seed)
        x, y = some(train, rows, seed)
        fifth = rows // 5
        made = {
            "logistic": LogisticRegression(max_iter=300).fit(x, y),
            "boosting": HistGradientBoostingClassifier(early_stopping=False, random_state=0).fit(x, y),
            "network": Network(epochs=max(10, 100_000 // rows)).fit(x[fifth:], y[fifth:], (x[:fifth], y[:fifth])),
        }
        for name, learner in made.items():
            for measure, value in judge(learner.predict_proba(test[0]), test[1]).items():
                found[name].setdefault(measure, []).append(round(value, 4))
    return {name: {measure: summary(values) for measure, values in x.items()} for name, x in found.items()}


def short() -> dict[str, float]:
    """Run three learners with two trials on few rows."""
    names = ("logistic", "boosting", "network")
    return {name: compete(name, "spambase", 0, trials=2, rows=400, again=False)["log_loss"] for name in names}


def tournament(table: str, seed: int) -> dict[str, Any]:
    """Let all learners compete on one split of a table."""
    return {"prior": prior(table, seed), **{learner: compete(learner, table, seed) for learner in LEARNERS}}


def curves() -> dict[str, Any]:
    """Draw the curve of all sizes."""
    return {str(size): curve(size) for size in SIZES}


def sum_up_all(runs: dict[str, Any]) -> dict[str, Any]:
    """Sum up each table of which two splits or more were run."""
    return {table: sum_up(table, runs) for table in TABLES if f"{table}_1" in runs}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    splits = {f"{table}_{seed}": partial(tournament, table, seed) for seed in range(SPLITS) for table in TABLES}
    run(__file__, {"short": short, **splits, "curve": curves}, arguments, sum_up=sum_up_all)


if __name__ == "__main__":
    main()
