"""Where to compute: the device, its random numbers, and the processes that share the work under torchrun."""

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

    The environment variable DLBOOK_DEVICE overrides the choice; a name that this machine does not have is a ValueError.
    """
    present = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names = (["cuda", *present] if present else []) + (["mps"] if torch.backends.mps.is_available() else []) + ["cpu"]
    name = os.environ.get("DLBOOK_DEVICE") or names[0]
    if name not in names:
        raise ValueError(f"DLBOOK_DEVICE must name a device of this machine ({', '.join(names)}): got {name!r}")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # torchrun: a GPU for each process
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """Say where a model is; one without weights, such as a baseline that guesses, is on the CPU."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def _random_sources(model: nn.Module, batches: object) -> list[tuple[Callable, Callable]]:
    """Find what training draws random numbers from, as pairs of functions (get state, set state)."""
    found: list[tuple[Callable, Callable]] = [(torch.get_rng_state, torch.set_rng_state)]
    device = device_of(model)
    if device.type == "cuda":
        get, set_ = partial(torch.cuda.get_rng_state, device), partial(torch.cuda.set_rng_state, device=device)
        found.append((get, set_))
    if device.type == "mps":
        found.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    for owner in (batches, getattr(batches, "sampler", None)):  # a DataLoader may have generators of its own
        if (generator := getattr(owner, "generator", None)) is not None:
            found.append((generator.get_state, generator.set_state))
    return found


def random_state(model: nn.Module, batches: object) -> list[Tensor]:
    """Note how the random numbers would go on."""
    return [get() for get, _ in _random_sources(model, batches)]


def set_random_state(model: nn.Module, batches: object, states: list[Tensor]) -> None:
    """Let the random numbers go on from a state that was noted."""
    for (_, set_), state in zip(_random_sources(model, batches), states, strict=True):
        set_(state)


def interactive() -> bool:
    """Whether somebody is watching: a terminal or a notebook, but never on the reference device (DLBOOK_DEVICE=cpu)."""
    if os.environ.get("DLBOOK_DEVICE") == "cpu" or os.environ.get("TQDM_DISABLE") or rank_and_world_size()[0] > 0:
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


def rank_and_world_size() -> tuple[int, int]:
    """Return this process's number, and how many train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def distribute(model: nn.Module) -> nn.Module:
    """Under torchrun, join the other processes and wrap the model so that gradients are averaged over them."""
    device = device_of(model)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    launched = dist.is_available() and "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if launched and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(destroy)
    return DistributedDataParallel(model) if rank_and_world_size()[1] > 1 else model


def destroy() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def all_reduce_sum(values: Tensor, device: torch.device) -> Tensor:
    """Add tensors over all processes."""
    if rank_and_world_size()[1] > 1:
        values = values.to(device)
        dist.all_reduce(values)
    return values


def gather(item: Any) -> list[Any]:
    """Collect an item of each process."""
    _, world = rank_and_world_size()
    items = [item] * world
    if world > 1:
        dist.all_gather_object(items, item)
    return items


def scale_loss(loss: Float[Tensor, ""], size: int) -> Float[Tensor, ""]:
    """Weigh a process's loss by its share of the batch: gradients, averaged over processes, are then the batch's."""
    _, world = rank_and_world_size()
    if world == 1:
        return loss
    total = all_reduce_sum(torch.tensor(float(size), dtype=torch.float64), loss.device)
    return loss * (size * world / total).to(loss.dtype)


def broadcast_buffers(model: nn.Module) -> None:
    """Give all processes the first one's buffers: running means are each process's own while an epoch lasts."""
    if rank_and_world_size()[1] > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
