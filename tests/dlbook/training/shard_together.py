"""What test_sharded.py runs under torchrun in two processes, and, as far as it can, alone."""

import os
import socket
import struct
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ExponentialLR

from dlbook.training.batches import Batches
from dlbook.training.devices import distribute, rank_and_world_size
from dlbook.training.fit import evaluate
from dlbook.training.sharded import fit_sharded, full_weights, held_bytes, sent_bytes, shard

STEPS = 3  # whose bytes are counted


def data(examples):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(examples, 4, generator=draw, dtype=torch.float64)
    return x, torch.randint(0, 4, (examples,), generator=draw)


def settings(seed: int) -> dict[str, Any]:
    """Return a model, and what trains it on batches of 8, of which the last has 5 examples."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    shard(model, [model[0], model[2]])
    optimizer = Adam(model.parameters(), lr=0.01)
    return {
        "model": model,
        "batches": Batches(*data(101), batch_size=8, shuffle=True),
        "loss": cross_entropy,
        "optimizer": optimizer,
        "schedule": ExponentialLR(optimizer, 0.99),
        "clip": 0.5,
        "validate": lambda model: evaluate(model, Batches(*data(101), batch_size=9), loss=cross_entropy),
    }


def train(seed: int, fit=fit_sharded, **more: Any) -> dict[str, Any]:
    """Train for three epochs, and return all that can be compared."""
    used = settings(seed)
    history = fit(**used, epochs=3, **more)
    return {
        "weights": full_weights(used["model"]),
        "steps": history.steps,
        "loss": history.loss,
        "validation": [row["loss"] for row in history.validation],
        "held": held_bytes(used["model"], used["optimizer"]),
    }


def train_with_interruption(checkpoint: Path) -> dict[str, Any]:
    """Stop within the second epoch, and begin anew, from the checkpoint."""
    calls = count(1)

    def loss(scores, target):
        if next(calls) == 21:
            raise InterruptedError
        return cross_entropy(scores, target)

    try:
        fit_sharded(**(settings(0) | {"loss": loss}), epochs=3, checkpoint=checkpoint, checkpoint_every=4)
    except InterruptedError:
        return train(1, checkpoint=checkpoint, checkpoint_every=4)
    raise AssertionError("it was not interrupted")


def bytes_sent() -> int:
    """Return how many bytes this process has sent through its TCP connections, as Linux counts them."""
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_symlink() or not os.readlink(entry).startswith("socket:"):
            continue
        with closing(socket.socket(fileno=os.dup(int(entry.name)))) as connection:
            if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                total += struct.unpack_from("Q", info, 200)[0]  # tcpi_bytes_sent
    return total


def measure_bytes() -> dict[str, float]:
    """Return how many times the bytes of the model each process sends in a step; and in one reduce-scatter."""
    rank, world = rank_and_world_size()
    x, y = torch.randn(16, 256), torch.randint(0, 256, (16,))
    found = {}
    for way in ("data parallel", "sharded"):
        model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256))
        whole = 4 * sum(weight.numel() for weight in model.parameters())
        expected = sent_bytes(model, world, sharded=way == "sharded")
        replica = shard(model, [model[0], model[2]]) if way == "sharded" else distribute(model)
        optimizer = SGD(model.parameters(), lr=0.1)
        for step in range(2 + STEPS):
            if step == 2:  # the first steps arrange buckets
                dist.barrier()
                before = bytes_sent()
            optimizer.zero_grad()
            cross_entropy(replica(x[rank::world]), y[rank::world]).backward()
            optimizer.step()
        dist.barrier()
        found[way], found[f"{way}, expected"] = (bytes_sent() - before) / STEPS / whole, expected / whole
    before, values = bytes_sent(), torch.ones(world * 100_000)
    dist.reduce_scatter_tensor(torch.empty(100_000), values)
    dist.barrier()
    found["reduce-scatter"] = (bytes_sent() - before) / (4 * len(values))
    return found


def errors() -> list[str]:
    """Return the messages of what must be refused in several processes."""
    model = nn.Linear(4, 4).double()
    found = []
    for refused in (
        lambda: fit_sharded(
            model, Batches(*data(8), batch_size=8), cross_entropy, SGD(model.parameters(), lr=1), epochs=1
        ),
        lambda: shard(shard(model)),
    ):
        try:
            refused()
        except ValueError as error:
            found.append(str(error))
    return found


def main(folder: Path) -> None:
    """Leave each process's results in a file."""
    results = train(seed=int(os.environ["RANK"]), checkpoint=folder / "straight.pt")
    results["resumed"] = train_with_interruption(folder / "resumed.pt")["weights"]
    results["rank"], results["world"] = rank_and_world_size()
    results["errors"] = errors()
    if sys.platform == "linux":
        results["bytes"] = measure_bytes()
    torch.save(results, folder / f"{results['rank']}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
