"""Train a model, and evaluate it: one readable loop. What it stands on is in `run`."""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook._check import check_whole
from dlbook.training.devices import all_reduce_sum, device_of, distribute, scale_loss
from dlbook.training.run import (
    History,
    Run,
    _keeps_modes,
    _number_of_batches,
    _snapshot,
    _unpack,
)


@_keeps_modes
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

    Started by torchrun, the processes train one model together, each on its part of
    every batch.

    Args:
        model: trained in training mode; at the end, also after an error, each of its
            modules is in the mode that it was in before.
        batches: what each epoch goes through: tuples (inputs..., target), moved to the
            model's device where needed.
        loss: called as loss(model(*inputs), target); the mean over the batch.
        optimizer: of the model's parameters; its `step` must not need a closure.
        epochs: how often to go through the batches, those before an interruption
            included.
        schedule: of this optimizer; its `step`, which must not need a metric, is called
            after each batch.
        validate: called with the model after each epoch, for instance to `evaluate` it;
            its numbers are kept.
        clip: the largest norm that the gradient may have; longer ones are shortened to
            it.
        checkpoint: a file to write after each epoch, and every `checkpoint_every`
            steps. If it exists, training goes on from there, with the saved settings of
            optimizer and schedule, to bitwise the result of a run without interruption.
            On several machines it must lie in a folder that all of them see.
        checkpoint_every: how many steps there are between two checkpoints in an epoch.

    Returns:
        The loss of each step and epoch, the results of `validate`, and the time taken.

    Raises:
        FloatingPointError: The loss or a weight is no longer finite. No checkpoint ever
            holds such weights.
        OSError: The checkpoint cannot be written, for instance to a full disk; one
            that was there before is kept.
        TypeError: An argument, or a setting to be written to the checkpoint, is of a
            kind that it cannot be.
        ValueError: An argument breaks a rule; or the checkpoint is damaged, or of
            another run: other weights, optimizer, schedule, or batches (settings, seeds
            or data). The message says what differs, and nothing has changed.
    """
    _check_arguments(
        model, batches, optimizer, epochs, schedule, clip, checkpoint, checkpoint_every
    )
    replica = distribute(model)
    run = Run(model, batches, optimizer, schedule, checkpoint)
    run.resume(epochs)
    while run.epoch < epochs:
        model.train()
        for inputs, target in run.remaining_batches():
            optimizer.zero_grad()
            value = loss(replica(*inputs), target)
            # As it is, unless processes share the batch:
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


def evaluate(
    model: nn.Module, batches: Iterable[Any], **measures: Callable[..., Any]
) -> dict[str, float]:
    """Average measures of a model over all examples, in evaluation mode.

    Args:
        model: whose modules are afterwards in the modes that they were in before, also
            after an error.
        batches: tuples (inputs..., target), moved to the model's device where needed.
        measures: by name, functions (model(*inputs), target) -> the mean over a batch,
            as a number or a tensor of one element.

    Returns:
        The mean of each measure, by name, each example counted once. When several
        processes train together, all must call this, and all get the same means.

    Raises:
        TypeError: The model is not an nn.Module.
        ValueError: There is no measure, no batch, or one that is no tuple of tensors.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module: got {type(model).__name__}")
    if not measures:
        raise ValueError(
            "measures must be given, for instance accuracy=accuracy: got none"
        )
    modes = {module: module.training for module in model.modules()}
    values: dict[str, list[Any]] = {name: [] for name in measures}
    sizes: list[int] = []
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                inputs, target = _unpack(batch, device_of(model))
                logits = model(*inputs)
                sizes.append(len(target))
                for name, measure in measures.items():
                    values[name].append(measure(logits, target))
    finally:
        for module, training in modes.items():
            module.training = training
    if not sizes:
        raise ValueError("batches must hold at least one batch: got none")
    sums = [
        sum(
            float(value) * size for value, size in zip(values[name], sizes, strict=True)
        )
        for name in measures
    ]
    *sums, examples = all_reduce_sum(
        torch.tensor([*sums, sum(sizes)], dtype=torch.float64), device_of(model)
    ).tolist()
    return {name: total / examples for name, total in zip(measures, sums, strict=True)}


@_keeps_modes
def range_test(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Callable[..., Tensor],
    optimizer: Optimizer,
    low: float,
    high: float,
    steps: int,
) -> tuple[list[float], list[float]]:
    """Try learning rates that grow geometrically, one a batch (range test).

    It stops early when the loss is no longer finite, or above four times its best.
    Model, optimizer and random numbers are afterwards as they were.

    Args:
        model: to be trained.
        batches: as for `fit`; gone through again where they are fewer than the steps.
        loss: as for `fit`.
        optimizer: as for `fit`; its learning rates are set.
        low: the first learning rate.
        high: the last one.
        steps: how many there are.

    Returns:
        The learning rates that were tried, and the loss before each step.

    Raises:
        ValueError: An argument breaks a rule, or the batches are used up.

    Source: Smith 2017, "Cyclical learning rates for training neural networks",
    section 3.3.
    """
    _check_arguments(model, batches, optimizer, epochs=1)
    if not 0 < low < high < math.inf:
        raise ValueError(
            "low and high must be 0 < low < high, and finite: "
            f"got low={low}, high={high}"
        )
    check_whole(2, steps=steps)
    restore = _snapshot(model, optimizer, batches)
    lrs: list[float] = []
    losses: list[float] = []
    model.train()
    try:
        rising = np.geomspace(low, high, steps).tolist()
        repeated = _cycle(batches, device_of(model))
        for lr, (inputs, target) in zip(rising, repeated, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad()
            value = loss(model(*inputs), target)
            value.backward()
            optimizer.step()
            if not math.isfinite(value.item()):
                break
            lrs.append(lr)
            losses.append(value.item())
            if losses[-1] > 4 * abs(min(losses)):
                break
    finally:
        restore()
    return lrs, losses


def _cycle(
    batches: Iterable[Any], device: torch.device
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Yield the batches, again and again."""
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
    schedule: LRScheduler | None = None,
    clip: Any = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
) -> None:
    """Refuse what could only fail later."""
    check_whole(1, epochs=epochs)
    if _number_of_batches(batches) == 0:
        raise ValueError("batches must hold at least one batch: got none")
    own = {id(weight) for weight in model.parameters()}
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not all(id(weight) in own for weight in trained) or not any(
        weight.requires_grad for weight in trained
    ):
        raise ValueError(
            "optimizer must have parameters of this model and no others, "
            "and at least one not frozen"
        )
    if needed := _needed_by_step(optimizer):
        raise ValueError(
            "optimizer must take its steps without arguments: "
            f"got {type(optimizer).__name__}, whose step needs {needed}"
        )
    if schedule is not None:
        _check_schedule(schedule, optimizer)
    if clip is not None and not (isinstance(clip, Real) and float(clip) > 0):
        raise ValueError(f"clip must be above 0: got {clip!r}")
    if checkpoint_every is not None:
        check_whole(1, checkpoint_every=checkpoint_every)
        if checkpoint is None:
            raise ValueError("checkpoint_every must come with checkpoint: got none")
    if checkpoint is not None:
        _check_checkpoint(Path(checkpoint))


def _check_schedule(schedule: LRScheduler, optimizer: Optimizer) -> None:
    """Refuse a schedule that cannot step after each batch, or steps for another."""
    if not hasattr(type(schedule), "step"):
        raise TypeError(
            "schedule must be one of torch.optim.lr_scheduler, such as "
            f"LambdaLR(optimizer, factor): got a {type(schedule).__name__}"
        )
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError("schedule must be of this optimizer: got that of another")
    for part in (schedule, *getattr(schedule, "_schedulers", ())):
        if needed := _needed_by_step(part):
            raise ValueError(
                "schedule must step after each batch without arguments: "
                f"got {type(part).__name__}, whose step needs {needed}"
            )


def _check_checkpoint(path: Path) -> None:
    """Refuse what cannot be the file of a checkpoint."""
    if path.is_dir():
        raise ValueError(f"checkpoint must be a file: got the folder {path}")
    folder = path.resolve().parent  # of the file that a link points to
    if not folder.is_dir():
        raise ValueError(f"checkpoint must be in a folder that exists: got {path}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"checkpoint must be in a folder that can be written to: got {path}"
        )


def _needed_by_step(owner: Any) -> str:
    """Return the names of what the `step` of an optimizer or schedule must be given."""
    _, *parameters = inspect.signature(type(owner).step).parameters.values()  # not self
    return ", ".join(
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )
