"""Train a model, and evaluate it: one readable loop. What it stands on is in `run`."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook.training.devices import all_reduce_sum, device, device_of, distribute, scale_loss
from dlbook.training.run import History, Run, _number_of_batches, _snapshot, _unpack

__all__ = ["Batches", "History", "device", "evaluate", "fit", "range_test"]


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
    _check_arguments(model, batches, optimizer, epochs, clip, checkpoint, checkpoint_every)
    replica = distribute(model)
    run = Run(model, batches, optimizer, schedule, checkpoint)
    run.resume(epochs)
    while run.epoch < epochs:
        model.train()
        for inputs, target in run.remaining_batches():
            optimizer.zero_grad()
            value = loss(replica(*inputs), target)
            scale_loss(value, len(target)).backward()  # as it is, unless processes share the batch
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
                inputs, target = _unpack(batch, device_of(model))
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
    *sums, examples = all_reduce_sum(torch.tensor([*sums, sum(sizes)], dtype=torch.float64), device_of(model)).tolist()
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
    _check_arguments(model, batches, optimizer, epochs=1)
    if not 0 < low < high:
        raise ValueError(f"low and high must be 0 < low < high: got low={low}, high={high}")
    if steps < 2:
        raise ValueError(f"steps must be at least 2: got {steps}")
    restore = _snapshot(model, optimizer, batches)
    rates: list[float] = []
    losses: list[float] = []
    model.train()
    try:
        rising = np.geomspace(low, high, steps).tolist()
        for rate, (inputs, target) in zip(rising, _cycle(batches, device_of(model)), strict=False):
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


def _cycle(batches: Iterable[Any], device: torch.device) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Go through the batches again and again."""
    while True:
        empty = True
        for batch in batches:
            yield _unpack(batch, device)
            empty = False
        if empty:
            raise ValueError("batches must hold at least one batch each time: got none")


def _check_arguments(
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
    if _number_of_batches(batches) == 0:
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
