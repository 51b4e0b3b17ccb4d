"""What test_devices.py runs twice: under torchrun in two processes, and alone."""

import sys
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ExponentialLR

from dlbook.training import checkpoint as files
from dlbook.training.batches import Batches
from dlbook.training.devices import rank_and_world_size
from dlbook.training.fit import evaluate, fit


def data(count):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, 4, generator=draw, dtype=torch.float64), torch.randint(0, 3, (count,), generator=draw)


def train() -> dict[str, Any]:
    """Train in float64 on batches of 8, of which the last, of 5 examples, cannot be shared evenly."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    optimizer = Adam(model.parameters(), lr=0.01)
    batches = Batches(*data(101), batch_size=8, shuffle=True)
    history = fit(
        model,
        batches,
        cross_entropy,
        optimizer,
        epochs=3,
        schedule=ExponentialLR(optimizer, 0.99),
        clip=0.5,
        validate=lambda model: evaluate(model, Batches(*data(101), batch_size=9), loss=cross_entropy),
    )
    # A list is not shared: all processes go through the whole of it, to the same end.
    listed = fit(model, [data(7)], cross_entropy, optimizer, epochs=2)
    return {
        "weights": dict(model.state_dict()),
        "steps": history.steps + listed.steps,
        "loss": history.loss + listed.loss,
        "validation": [row["loss"] for row in history.validation],
    }


def train_with_interruption(checkpoint: Path | None, stop_at: int) -> dict[str, torch.Tensor]:
    """Train with dropout that differs between the processes; stop after some steps, and begin anew."""
    rank, _ = rank_and_world_size()
    for attempt in range(2):
        torch.manual_seed(10 * attempt)  # for the weights
        model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3)).double()
        torch.manual_seed(rank + 100 * attempt)  # for the dropout
        calls = count(1)

        def loss(scores, target, calls=calls, attempt=attempt):
            if checkpoint is not None and attempt == 0 and next(calls) == stop_at:
                raise InterruptedError
            return cross_entropy(scores, target)

        batches = Batches(*data(40), batch_size=8, shuffle=True)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        try:
            every = None if checkpoint is None else 2
            fit(model, batches, loss, optimizer, epochs=3, checkpoint=checkpoint, checkpoint_every=every)
            break
        except InterruptedError:
            pass
    return dict(model.state_dict())


def main(folder: Path) -> None:
    """Leave each process's results in a file."""
    results = train()
    rank, results["world"] = rank_and_world_size()
    written = []
    write = files.write
    files.write = lambda path, state: written.append(write(path, state))
    results["straight"] = train_with_interruption(None, 0)
    results["resumed"] = train_with_interruption(folder / "checkpoint.pt", 10)  # begins again after step 8
    results["written"] = len(written)
    try:
        model = nn.Linear(4, 3).double()
        fit(model, Batches(*data(9), batch_size=4), cross_entropy, SGD(model.parameters()), epochs=1)
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
