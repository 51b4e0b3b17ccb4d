"""Train a model, and evaluate it: one readable loop. What it stands on is in `run`."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook.devices import add_up, device, device_of, distribute, processes, weigh
from dlbook.run import History, Run, length, remember, unpack

__all__ = ["Batches", "History", "device", "evaluate", "fit", "range_test"]


class Batches:
    """Cut tensors into batches of `size` examples; the last batch of an epoch may be smaller.

    Nothing is moved or collated: batches are slices of the tensors, on the device where these already live. With
    `shuffle`, the order depends on (seed, epoch) only; `fit` calls `set_epoch` before each epoch. When several
    processes train together, each gets its share of every batch.

    Args:
        tensors: inputs and target, (examples, ...) each, on one device.
        size: examples in a batch, summed over all processes.
    """

    def __init__(self, *tensors: Shaped[Tensor, "..."], size: int, shuffle: bool = False, seed: int = 0) -> None:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1 or shapes[0][0] == 0:
            raise ValueError(f"tensors must have the same number of examples, at least 1: got shapes {shapes}")
        if len(devices := {str(tensor.device) for tensor in tensors}) != 1:
            raise ValueError(f"tensors must be on one device: got {', '.join(sorted(devices))}")
        if size < 1:
            raise ValueError(f"size must be at least 1: got {size}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0: got {seed}")
        self.tensors, self.size, self.shuffle, self.seed, self.epoch = tensors, size, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order in which the next pass will visit the examples."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.tensors[0]) / self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        examples = len(self.tensors[0])
        rank, world = processes()
        smallest = examples % self.size or min(self.size, examples)
        if smallest < world:
            raise ValueError(f"every batch must hold an example for each of {world} processes: got one of {smallest}")
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng((self.seed, self.epoch)).permutation(examples))
            order = order.to(self.tensors[0].device)
        for start in range(0, examples, self.size):
            share = slice(start + rank, min(start + self.size, examples), world)
            if self.shuffle:
                chosen = order[share]
                yield tuple(tensor.index_select(0, chosen) for tensor in self.tensors)  # faster than tensor[chosen]
            else:
                yield tuple(tensor[share] for tensor in self.tensors)


def fit(
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
    """Train a model by gradient descent, and return how the loss went.

    Args:
        batches: what each epoch goes through: tuples (inputs..., target), moved to the model's device where needed.
        loss: called as loss(model(*inputs), target); the mean over the batch.
        epochs: how often to go through the batches, those before an interruption included.
        schedule: steps after each batch.
        validate: called with the model after each epoch, for instance to `evaluate` it; its numbers are kept.
        clip: the largest norm that the gradient may have; longer ones are shortened to it.
        checkpoint: a file to write after each epoch, and every `checkpoint_every` steps. If it exists, training goes on
            from there, with the optimizer's and the schedule's saved settings, to bitwise the result of a run without
            interruption. On several machines it must lie in a folder that all of them see.

    Raises:
        FloatingPointError: the loss or a weight is no longer finite. No checkpoint ever holds such weights.
        ValueError: an argument breaks a rule, or the checkpoint is damaged or not of this model and optimizer.

    Started by torchrun, the processes train one model together, each on its share of every batch. The model is left in
    training mode.
    """
    check_arguments(model, batches, optimizer, epochs, clip, checkpoint, checkpoint_every)
    replica = distribute(model)
    run = Run(model, batches, optimizer, schedule, checkpoint)
    run.resume(epochs)
    while run.epoch < epochs:
        model.train()
        for inputs, target in run.remaining_batches():
            optimizer.zero_grad()
            value = loss(replica(*inputs), target)
            weigh(value, len(target)).backward()  # as it is, unless processes share the batch
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


def evaluate(model: nn.Module, batches: Iterable[Any], **measures: Callable[..., Any]) -> dict[str, float]:
    """Average measures of a model over all examples, without gradients and with dropout and the like switched off.

    Args:
        measures: by name, functions (scores, target) -> the mean over a batch, as a number or a tensor of one element.

    When several processes train together, all of them must call it, and all get the same averages.
    """
    if not measures:
        raise ValueError("measures must be given, for instance accuracy=accuracy: got none")
    modes = {module: module.training for module in model.modules()}
    values: dict[str, list[Any]] = {name: [] for name in measures}
    sizes: list[int] = []
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                inputs, target = unpack(batch, device_of(model))
                scores = model(*inputs)
                sizes.append(len(target))
                for name, measure in measures.items():
                    values[name].append(measure(scores, target))
    finally:
        for module, training in modes.items():
            module.training = training
    if not sizes:
        raise ValueError("batches must hold at least one batch: got none")
    sums = [sum(float(value) * size for value, size in zip(values[name], sizes, strict=True)) for name in measures]
    *sums, examples = add_up(torch.tensor([*sums, sum(sizes)], dtype=torch.float64), device_of(model)).tolist()
    return {name: total / examples for name, total in zip(measures, sums, strict=True)}


def range_test(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[..., Tensor],
    optimizer: Optimizer,
    low: float,
    high: float,
    steps: int,
) -> tuple[list[float], list[float]]:
    """Try learning rates that grow geometrically from `low` to `high`, one a batch; return them with their losses.

    It stops early when the loss is no longer finite, or above four times its best. Model, optimizer and random numbers
    are afterwards as they were.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
    """
    check_arguments(model, batches, optimizer, epochs=1)
    if not 0 < low < high:
        raise ValueError(f"low and high must be 0 < low < high: got low={low}, high={high}")
    if steps < 2:
        raise ValueError(f"steps must be at least 2: got {steps}")
    restore = remember(model, optimizer, batches)
    rates: list[float] = []
    losses: list[float] = []
    model.train()
    try:
        rising = np.geomspace(low, high, steps).tolist()
        for rate, (inputs, target) in zip(rising, cycle(batches, device_of(model)), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            value = loss(model(*inputs), target)
            value.backward()
            optimizer.step()
            if not math.isfinite(value.item()):
                break
            rates.append(rate)
            losses.append(value.item())
            if losses[-1] > 4 * abs(min(losses)):
                break
    finally:
        restore()
    return rates, losses


def cycle(batches: Iterable[Any], device: torch.device) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Go through the batches again and again."""
    while True:
        empty = True
        for batch in batches:
            yield unpack(batch, device)
            empty = False
        if empty:
            raise ValueError("batches must hold at least one batch each time: got none")


def check_arguments(
    model: nn.Module,
    batches: Iterable[Any],
    optimizer: Optimizer,
    epochs: int,
    clip: float | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
) -> None:
    """Refuse what could only fail later."""
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a whole number, at least 1: got {epochs!r}")
    if length(batches) == 0:
        raise ValueError("batches must hold at least one batch: got none")
    own = {id(weight) for weight in model.parameters()}
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not all(id(weight) in own for weight in trained) or not any(weight.requires_grad for weight in trained):
        raise ValueError("optimizer must have parameters of this model and no others, and at least one not frozen")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be above 0: got {clip}")
    if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
        raise ValueError(f"checkpoint_every must be at least 1, with checkpoint given: got {checkpoint_every}")
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise ValueError(f"checkpoint must be in a folder that exists: got {checkpoint}")
