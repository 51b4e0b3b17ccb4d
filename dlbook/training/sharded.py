"""Shard a model that outgrows a device over processes (FSDP), and train it as `fit`.

In data parallel training each process holds all weights, all gradients and the whole
state of the optimiser. Fully sharded, each holds its part of them only: a layer's
weights are gathered just before they are used, and let go of afterwards, and each
process receives its part of the averaged gradient.
"""

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook._check import check_whole
from dlbook.training.devices import (
    destroy,
    device_of,
    rank_and_world_size,
    scale_loss,
)
from dlbook.training.fit import _check_arguments
from dlbook.training.run import History, Run, _keeps_modes


def shard(model: nn.Module, layers: Iterable[nn.Module] = ()) -> nn.Module:
    """Shard a model's weights over the processes that torchrun started (FSDP).

    It comes before the optimizer, which must be given the sharded weights. All
    processes begin with the weights and buffers of the first one.

    Args:
        model: on this process's device; it is changed in place.
        layers: modules of the model, each used through its call alone, which are
            gathered one after another, such as a transformer's blocks; what is in none
            of them is gathered for the whole of forward and backward pass.

    Returns:
        The model, whose weights are now of type DTensor; as it was, if there is one
        process only.

    Raises:
        ValueError: The model is on a device whose processes cannot communicate, has
            weights that are sharded already, or does not have these layers.

    Source: Zhao et al. 2023, section 3; Rajbhandari et al. 2020, section 5.
    """
    device, layers = device_of(model), list(layers)
    _check_model(model, layers)
    if (world := _join(device)) == 1:
        return model
    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(device.type, (world,))
    for module in (*layers, model):
        fully_shard(module, mesh=mesh)
    return model


def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """Gather a sharded model's state: whole tensors, on the CPU of the first process.

    Args:
        model: all processes must call this, also for a model that is not sharded.

    Returns:
        What `state_dict` of the model in one process returns; nothing in the others.
    """
    whole = _whole(model.state_dict())
    return whole if rank_and_world_size()[0] == 0 else {}


def held_bytes(model: nn.Module, optimizer: Optimizer) -> dict[str, int]:
    """Count the bytes that this process holds between two steps.

    Args:
        model: sharded or not.
        optimizer: of its parameters.

    Returns:
        The bytes of weights, gradients and optimizer state, by these names.
    """
    weights = list(model.parameters())
    return {
        "weights": _bytes(weights),
        "gradients": _bytes(weight.grad for weight in weights),
        "optimizer state": _bytes(
            value for row in optimizer.state.values() for value in row.values()
        ),
    }


def sent_bytes(model: nn.Module, world_size: int, sharded: bool = False) -> float:
    """Return how many bytes each process sends in a step, when they form a ring.

    A ring's all-reduce is a reduce-scatter and an all-gather, in each of which a
    process sends (P - 1)/P of the model. Data parallel training all-reduces the
    gradients; sharded training gathers the weights twice, for the forward and the
    backward pass, and scatters the gradients once. (On CPUs, gloo scatters by a whole
    all-reduce, and so sends a third more.)

    Args:
        model: not sharded yet; to be sharded, all its weights are in layers that are
            gathered one after another. Frozen weights have no gradients.
        world_size: how many processes there are.
        sharded: whether they shard the model.

    Raises:
        TypeError: world_size is not whole.
        ValueError: It is less than 1.

    Source: Rajbhandari et al. 2020, section 7.
    """
    check_whole(1, world_size=world_size)
    weights = list(model.parameters())
    gradients = _bytes(weight for weight in weights if weight.requires_grad)
    passed = 2 * _bytes(weights) + gradients if sharded else 2 * gradients
    return (world_size - 1) / world_size * passed


@_keeps_modes
def fit_sharded(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[..., Tensor],
    optimizer: Optimizer,
    *,
    epochs: int,
    schedule: LRScheduler | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    clip: float | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
) -> History:
    """Train a sharded model by gradient descent, and return how the loss went.

    It is the loop of `fit`, for a model of which each process holds a part. Checkpoints
    hold whole weights: `fit` in one process, or any number of processes here, goes on
    from them.

    Args:
        model: as `shard` returned it.
        batches: as for `fit`.
        loss: as for `fit`.
        optimizer: of the sharded weights; it must treat each weight for itself.
        epochs: as for `fit`.
        schedule: as for `fit`.
        validate: as for `fit`.
        clip: as for `fit`.
        checkpoint: as for `fit`.
        checkpoint_every: as for `fit`.

    Returns:
        As `fit` does.

    Raises:
        FloatingPointError: As for `fit`.
        OSError: As for `fit`.
        TypeError: As for `fit`.
        ValueError: As for `fit`; or there are several processes, but the model is not
            sharded.
    """
    _check_arguments(
        model, batches, optimizer, epochs, schedule, clip, checkpoint, checkpoint_every
    )
    _check_sharded(model)
    run = Run(model, batches, optimizer, schedule, checkpoint)
    with _whole_states(model, optimizer):
        run.resume(epochs)
        while run.epoch < epochs:
            model.train()
            for inputs, target in run.remaining_batches():
                optimizer.zero_grad()
                value = loss(model(*inputs), target)
                scale_loss(value, len(target)).backward()
                if clip is not None:
                    clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                run.record(value.detach(), len(target))
                if checkpoint_every is not None and run.step % checkpoint_every == 0:
                    run.save()
            run.end_epoch(validate)
            run.save()
    return run.history


@contextmanager
def _whole_states(model: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Let the states that are written down, and read again, have whole tensors."""
    sharded = [weight for group in optimizer.param_groups for weight in group["params"]]

    def gather_weights(_: nn.Module, state: dict[str, Any], *__: Any) -> None:
        state.update(_whole(state))

    def part_weights(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        for name, weight in module.named_parameters(remove_duplicate=False):
            if name in state:
                state[name] = _part(state[name], weight)

    def gather_moments(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return _whole(state)

    def part_moments(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        rows = {
            index: {name: _part(value, sharded[index]) for name, value in row.items()}
            for index, row in state["state"].items()
        }
        return {**state, "state": rows}

    hooks = [
        model.register_state_dict_post_hook(gather_weights),
        model.register_load_state_dict_pre_hook(part_weights),
        optimizer.register_state_dict_post_hook(gather_moments),
        optimizer.register_load_state_dict_pre_hook(part_moments),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _whole(value: Any) -> Any:
    """Gather a state's sharded tensors on the first CPU; the others get shapes only."""
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    if not isinstance(value, DTensor):
        return value
    gathered = value.full_tensor()  # by all processes, one tensor after another
    return gathered.to("cpu" if rank_and_world_size()[0] == 0 else "meta")


def _part(value: Any, weight: Tensor) -> Any:
    """Return this process's part of a whole tensor that goes with a sharded weight."""
    if not isinstance(weight, DTensor) or getattr(value, "shape", None) != weight.shape:
        return value  # such as Adam's number of steps
    return distribute_tensor(
        value.to(weight.device), weight.device_mesh, weight.placements
    )


def _bytes(tensors: Iterable[Any]) -> int:
    """Count the bytes of tensors; of those that are sharded, of this process's part."""
    parts = [
        tensor.to_local() if isinstance(tensor, DTensor) else tensor
        for tensor in tensors
        if isinstance(tensor, Tensor)
    ]
    return sum(part.numel() * part.itemsize for part in parts)


def _join(device: torch.device) -> int:
    """Under torchrun, join the other processes; return how many there are."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if (
        "RANK" in os.environ
        and "WORLD_SIZE" in os.environ
        and not dist.is_initialized()
    ):
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(destroy)
    return rank_and_world_size()[1]


def _check_model(model: nn.Module, layers: list[nn.Module]) -> None:
    """Refuse what cannot be sharded, or not in these layers."""
    if (kind := device_of(model).type) not in ("cpu", "cuda"):
        raise ValueError(
            f"model must be on CPU or CUDA, whose processes communicate: got {kind}"
        )
    if any(isinstance(weight, DTensor) for weight in model.parameters()):
        raise ValueError("model must not be sharded yet: got one that is")
    own = {id(module) for module in model.modules() if module is not model}
    if foreign := [layer for layer in layers if id(layer) not in own]:
        raise ValueError(
            "layers must be modules within the model: "
            f"got a {type(foreign[0]).__name__} that is not"
        )


def _check_sharded(model: nn.Module) -> None:
    """Refuse to train a whole model in several processes, which would drift apart."""
    sharded = all(isinstance(weight, DTensor) for weight in model.parameters())
    if "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1 and not sharded:
        raise ValueError(
            "model must be sharded before it is trained by several processes: "
            "call shard, and then make the optimizer"
        )
