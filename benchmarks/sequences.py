"""How fast: the LSTM by hand beside PyTorch's, and the article's forecaster beside Keras on the same windows.

python -m benchmarks.sequences [rows…]

Everything is timed in pairs that take turns, since a machine's speed drifts. Run it on a machine that does nothing
else.
"""

import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.pairs import Keras, medians, pairs
from benchmarks.store import run, summary
from dlbook.data.beijing import beijing_pm25
from dlbook.data.series import Scaler, split_by_time, with_calendar
from dlbook.data.windows import windows
from dlbook.forecast import Forecaster
from dlbook.fused import as_torch
from dlbook.losses import mean_squared_error
from dlbook.recurrent import LSTMCell, Recurrent
from dlbook.training.batches import Batches
from dlbook.training.fit import evaluate, fit

SEEDS, EPOCHS, STEPS, HIDDEN = 5, 5, 24, 50
ARTICLE = f"""
model = tf.keras.Sequential([
    layers.Input(x.shape[1:]),
    layers.LSTM({HIDDEN}, activation="tanh"),
    layers.Dense(1),
])
model.compile(optimizer="adam", loss="mean_squared_error")
"""


def by_hand(threads: int, inputs: int = 5, count: int = 51) -> dict[str, float]:
    """Compare the LSTM by hand with PyTorch's under the same weights: a batch of 32 windows, forward and backward."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ours = Recurrent(partial(LSTMCell, biases=2), inputs, HIDDEN)
    theirs, x = as_torch(ours), torch.randn(32, STEPS, inputs)

    def run(model: nn.Module) -> None:
        model.zero_grad()
        model(x)[0].sum().backward()

    return pairs(lambda: run(ours), lambda: run(theirs), count)


def hourly() -> tuple[list[Tensor], list[Tensor]]:
    """Return windows of a day and the hour after it, scaled, for training (to 2012) and for validation (2013)."""
    training, validation, _ = split_by_time(with_calendar(beijing_pm25()), "2013-01-01", "2014-01-01")
    scaler = Scaler.fit(training)
    parts = [windows(scaler.transform(part), "PM2.5", STEPS) for part in (training, validation)]
    return [parts[0].inputs, parts[0].targets], [parts[1].inputs, parts[1].targets]


def programs(threads: int) -> dict[str, Any]:  # pragma: no cover  (needs TensorFlow, 2 GB)
    """Train the article's program in both, epoch by epoch in turns; return times of an epoch and validation errors."""
    torch.set_num_threads(threads)
    training, validation = hourly()
    arrays = {"x": training[0], "y": training[1], "x_test": validation[0], "y_test": validation[1]}
    keras = Keras(ARTICLE, threads, **{name: tensor.numpy() for name, tensor in arrays.items()})
    times: list[tuple[float, float]] = []
    errors: dict[str, list[float]] = {"ours": [], "keras": []}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = Forecaster(training[0].shape[2], HIDDEN, fused=True)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, eps=1e-7, fused=True)
        started = keras.tell(seed=seed)
        assert started["parameters"] == sum(parameter.numel() for parameter in trained)
        for epoch in range(EPOCHS):
            batches = Batches(*training, batch_size=32, shuffle=True, seed=EPOCHS * seed + epoch)
            start = time.perf_counter()
            fit(model, batches, mean_squared_error, optimizer, epochs=1)
            times.append((time.perf_counter() - start, keras.tell(epoch=epoch)["seconds"]))
            print(f"seed {seed}, epoch {epoch + 1}: ours {times[-1][0]:.1f} s, Keras {times[-1][1]:.1f} s", flush=True)
        tests = Batches(*validation, batch_size=1000)
        errors["ours"].append(round(evaluate(model, tests, error=mean_squared_error)["error"], 5))
        errors["keras"].append(round(keras.tell(evaluate=True)["results"], 5))
    return {
        **medians(times),
        "threads": threads,
        "windows": len(training[0]),
        "tensorflow": started["version"],
        "error": {name: summary(values) for name, values in errors.items()},
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Any] = {f"by_hand_{threads}": partial(by_hand, threads) for threads in (1, 2)}
    rows["program"] = partial(programs, threads=2)
    run(__file__, rows, arguments, "one and two threads; the programs on two")


if __name__ == "__main__":
    main()
