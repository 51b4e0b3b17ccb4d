"""What test_run.py kills: training that begins, or goes on from its checkpoint, in a process of its own."""

import os
import signal
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from dlbook.training import checkpoint as files
from dlbook.training.batches import Batches
from dlbook.training.devices import device
from dlbook.training.fit import fit
from dlbook.training.run import History

EPOCHS = 4
STEPS = 7  # in an epoch


def prepare(kind="Batches", seed=0, epochs=EPOCHS):
    """Make a model with dropout and running means, its batches, optimizer and schedule."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).to(device())
    draw = torch.Generator().manual_seed(1)
    data = torch.randn(50, 4, generator=draw), torch.randint(0, 3, (50,), generator=draw)
    own = torch.Generator().manual_seed(5) if kind == "DataLoader with a generator" else None
    batches: Any = DataLoader(TensorDataset(*data), 8, shuffle=True, generator=own)
    if kind == "Batches":
        batches = Batches(*(tensor.to(device()) for tensor in data), batch_size=8, shuffle=True)
    optimizer = Adam(model.parameters(), lr=0.01)
    return model, batches, optimizer, OneCycleLR(optimizer, 0.05, total_steps=STEPS * epochs)


def train(checkpoint=None, every=None, kind="Batches", seed=0, loss=cross_entropy, epochs=EPOCHS):
    """Train, and return everything that must not depend on interruptions."""
    model, batches, optimizer, schedule = prepare(kind, seed)
    options = {"schedule": schedule, "checkpoint": checkpoint, "checkpoint_every": every}
    history: History = fit(model, batches, loss, optimizer, epochs=epochs, validate=validate, **options)
    return {
        "model": dict(model.state_dict()),
        "optimizer": [tensor for state in optimizer.state.values() for tensor in state.values()],
        "rate": schedule.get_last_lr(),
        "history": [history.steps, history.loss, history.validation],
        "random": [torch.rand(3), torch.rand(3, device=device())],  # as the numbers would go on
    }


def validate(model):
    """Draw a random number, as sampling from a model would."""
    return {"drawn": torch.rand(()).item()}


def kill():
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(checkpoint, result, moment, count):
    """Train until a moment has come for the `count`-th time; leave the result in a file if it does not come."""
    torch.set_num_threads(1)
    come = 0

    def now(name):
        nonlocal come
        come += name == moment
        return name == moment and come == count

    def loss(scores, target):
        if now("computing"):
            kill()
        return cross_entropy(scores, target)

    fsync, replace = os.fsync, os.replace

    def fsync_or_die(number):
        if now("half written"):
            os.truncate(number, os.fstat(number).st_size // 2)
            kill()
        fsync(number)
        if now("written"):
            kill()

    def replace_and_die(*paths):
        replace(*paths)
        if now("replaced"):
            kill()

    files.os.fsync, files.os.replace = fsync_or_die, replace_and_die
    torch.save(train(checkpoint, every=1 if moment == "any" else 3, seed=count, loss=loss), result)
