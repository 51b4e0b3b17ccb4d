"""Where to compute: the device, and the processes that train together under torchrun.

This is all that a training loop needs to run as several processes, each on its part of
every batch: `fit` joins them (`distribute`), scales each loss (`scale_loss`), sums what
is reported (`all_reduce_sum`), and makes buffers equal (`broadcast_buffers`). In a
single process each of these leaves things as they are.
"""

import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def device() -> torch.device:
    """Choose where to compute: CUDA if there is one, else Apple's MPS, else the CPU.

    The environment variable DLBOOK_DEVICE overrides the choice.

    Returns:
        The device; under torchrun, that of this process.

    Raises:
        ValueError: DLBOOK_DEVICE names a device that this machine does not have.
    """
    present = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names = (
        (["cuda", *present] if present else [])
        + (["mps"] if torch.backends.mps.is_available() else [])
        + ["cpu"]
    )
    name = os.environ.get("DLBOOK_DEVICE") or names[0]
    if name not in names:
        raise ValueError(
            f"DLBOOK_DEVICE must name a device of this machine ({', '.join(names)}): "
            f"got {name!r}"
        )
    if name == "cuda":  # torchrun: a GPU for each process
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model; for one without weights or buffers, the CPU.

    Args:
        model: any module, all of it on one device.
    """
    return next(
        (tensor.device for tensor in chain(model.parameters(), model.buffers())),
        torch.device("cpu"),
    )


# --- processes that train together ---------------------------------------------------


def rank_and_world_size() -> tuple[int, int]:
    """Return this process's number (rank), and how many processes train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def distribute(model: nn.Module) -> nn.Module:
    """Under torchrun, join the other processes and wrap the model for them.

    Args:
        model: the model to train, on this process's device.

    Returns:
        A `DistributedDataParallel`, whose backward pass averages the gradients over the
        processes; or the model itself if there is one process only.
    """
    device = device_of(model)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    launched = (
        dist.is_available() and "RANK" in os.environ and "WORLD_SIZE" in os.environ
    )
    if launched and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(destroy)
    return DistributedDataParallel(model) if rank_and_world_size()[1] > 1 else model


def destroy() -> None:
    """Leave the group of processes, if there is one; a program's end does this, too."""
    if dist.is_initialized():
        dist.destroy_process_group()


def all_reduce_sum(values: Tensor, device: torch.device) -> Tensor:
    """Return the sum of the processes' tensors (all-reduce), the same for each process.

    Args:
        values: the summands, one tensor a process, all of one shape and type.
        device: where the processes communicate, that of the model.
    """
    if rank_and_world_size()[1] > 1:
        values = values.to(device)
        dist.all_reduce(values)
    return values


def all_gather(item: Any) -> list[Any]:
    """Return the items of all processes, by rank (all-gather).

    Args:
        item: what this process gives; anything that can be pickled.
    """
    _, world = rank_and_world_size()
    items = [item] * world
    if world > 1:
        dist.all_gather_object(items, item)
    return items


def scale_loss(loss: Float[Tensor, ""], batch_size: int) -> Float[Tensor, ""]:
    """Scale a process's loss so that averaged gradients are those of the whole batch.

    Args:
        loss: the mean over this process's examples.
        batch_size: the number of these examples; processes may have different ones.

    Returns:
        The loss times batch_size · processes / (examples of all processes); in a single
        process the loss itself.
    """
    _, world = rank_and_world_size()
    if world == 1:
        return loss
    total = all_reduce_sum(
        torch.tensor(float(batch_size), dtype=torch.float64), loss.device
    )
    return loss * (batch_size * world / total).to(loss.dtype)


def broadcast_buffers(model: nn.Module) -> None:
    """Copy the first process's buffers, such as running means, to all processes.

    Args:
        model: whose buffers have become different, each process's own, in an epoch.
    """
    if rank_and_world_size()[1] > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


# --- random numbers, and who is watching ---------------------------------------------


def _random_sources(
    model: nn.Module, batches: object
) -> list[tuple[Callable, Callable]]:
    """Return what training draws random numbers from, as functions (get, set)."""
    found: list[tuple[Callable, Callable]] = [
        (torch.get_rng_state, torch.set_rng_state)
    ]
    device = device_of(model)
    if device.type == "cuda":
        get, set_ = (
            partial(torch.cuda.get_rng_state, device),
            partial(torch.cuda.set_rng_state, device=device),
        )
        found.append((get, set_))
    if device.type == "mps":
        found.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    for owner in (
        batches,
        getattr(batches, "sampler", None),
    ):  # as a DataLoader may have
        if (generator := getattr(owner, "generator", None)) is not None:
            found.append((generator.get_state, generator.set_state))
    return found


def _random_state(model: nn.Module, batches: object) -> list[Tensor]:
    """Return the states from which the random numbers would go on."""
    return [get() for get, _ in _random_sources(model, batches)]


def _set_random_state(model: nn.Module, batches: object, states: list[Tensor]) -> None:
    """Let the random numbers go on from states that `_random_state` returned."""
    for (_, set_), state in zip(_random_sources(model, batches), states, strict=True):
        set_(state)


def _interactive() -> bool:
    """Whether somebody watches a terminal or a notebook; not if DLBOOK_DEVICE=cpu."""
    if (
        os.environ.get("DLBOOK_DEVICE") == "cpu"
        or os.environ.get("TQDM_DISABLE")
        or rank_and_world_size()[0] > 0
    ):
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
