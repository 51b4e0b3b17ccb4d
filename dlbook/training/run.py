"""A run of training, behind `fit`: where it stands, and how it is taken up again."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import asdict, dataclass, field
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from dlbook.training import checkpoint
from dlbook.training.devices import (
    _interactive,
    _random_state,
    _set_random_state,
    all_gather,
    all_reduce_sum,
    broadcast_buffers,
    device_of,
    rank_and_world_size,
)

CHECK_EVERY = 50  # steps between looks at the losses, which make it wait for the device


@dataclass
class History:
    """What `fit` saw of a run.

    Attributes:
        steps: the loss of each training step.
        loss: its mean over each epoch, by examples.
        validation: what `validate` returned after each epoch.
        seconds: the time taken, interruptions left out; it does not count in `==`.
    """

    steps: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    seconds: float = field(default=0.0, compare=False)


@dataclass
class Run:
    """Where a run of `fit` stands, and how it is written down and taken up again."""

    model: nn.Module
    batches: Iterable[Any]
    optimizer: Optimizer
    schedule: LRScheduler | None
    checkpoint: str | Path | None
    epoch: int = 0
    # Steps done in this epoch, and the examples in each:
    step: int = 0
    history: History = field(default_factory=History)
    sizes: list[float] = field(default_factory=list)
    # Losses that are still on the device, with their sizes:
    pending: list[tuple[Tensor, int]] = field(default_factory=list)
    # The random numbers' state as this epoch began:
    epoch_random: list[Tensor] = field(default_factory=list)
    clock: float = field(default_factory=time.perf_counter)

    def remaining_batches(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield the rest of the epoch; what was done before is drawn, and skipped."""
        for owner in (self.batches, getattr(self.batches, "sampler", None)):
            if set_epoch := getattr(owner, "set_epoch", None):
                set_epoch(self.epoch)
        now = _random_state(self.model, self.batches)
        if self.step == 0:
            self.epoch_random = now
        _set_random_state(self.model, self.batches, self.epoch_random)
        rest = iter(self.batches)
        for done in range(self.step):
            if next(rest, None) is None:
                raise ValueError(
                    f"batches must be those of {self.checkpoint}, more than {done}, "
                    "to go on from there"
                )
        if self.step > 0:
            _set_random_state(self.model, self.batches, now)
        device, hidden = device_of(self.model), not _interactive()
        title, total = f"epoch {self.epoch + 1}", _number_of_batches(self.batches)
        for batch in tqdm(
            rest, title, total, initial=self.step, leave=False, disable=hidden
        ):
            yield _unpack(batch, device)
        if self.step == 0:
            raise ValueError(
                "batches must hold at least one batch each time: "
                f"got none in epoch {self.epoch + 1}"
            )

    def record(self, value: Float[Tensor, ""], batch_size: int) -> None:
        """Keep the loss of a step; look at those kept every CHECK_EVERY steps.

        Args:
            value: the loss, still on its device.
            batch_size: the number of examples that it is a mean of.
        """
        self.pending.append((value, batch_size))
        self.step += 1
        if len(self.pending) == CHECK_EVERY:
            self.settle()

    def settle(self) -> None:
        """Move the losses kept into the history; stop at one that is not finite."""
        if self.pending:
            values = torch.stack([value for value, _ in self.pending]).tolist()
            sums = [
                [value * size, size]
                for value, (_, size) in zip(values, self.pending, strict=True)
            ]
            if rank_and_world_size()[1] > 1:
                sums = all_reduce_sum(
                    torch.tensor(sums, dtype=torch.float64), self.pending[0][0].device
                ).tolist()
                values = [total / size for total, size in sums]
            self.history.steps += values
            self.sizes += [size for _, size in sums]
            self.pending.clear()
            for step, value in enumerate(values, start=self.step - len(values) + 1):
                if not math.isfinite(value):
                    self.stop(
                        f"loss must stay finite: got {value} "
                        f"in epoch {self.epoch + 1}, step {step}"
                    )
        self.history.seconds += (now := time.perf_counter()) - self.clock
        self.clock = now

    def check(self) -> None:
        """Stop unless losses and weights are finite: a gradient may not have been."""
        self.settle()
        for name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                self.stop(
                    f"weights must stay finite: {name} is not, "
                    f"after epoch {self.epoch + 1}, step {self.step}"
                )

    def stop(self, what: str) -> None:
        """Raise a FloatingPointError that suggests what to try.

        Args:
            what: the rule that was broken, and what came.
        """
        lrs = ", ".join(
            f"{float(group['lr']):g}" for group in self.optimizer.param_groups
        )
        raise FloatingPointError(
            f"{what}; try a learning rate below {lrs}, or clip the gradient (clip=1.0)"
        )

    def end_epoch(
        self, validate: Callable[[nn.Module], dict[str, float]] | None
    ) -> None:
        """Complete the history of an epoch, and move on to the next.

        Args:
            validate: as for `fit`.
        """
        self.check()
        broadcast_buffers(self.model)
        total = sum(
            value * size
            for value, size in zip(
                self.history.steps[-self.step :], self.sizes, strict=True
            )
        )
        self.history.loss.append(total / sum(self.sizes))
        if validate is not None:
            self.history.validation.append(
                {name: float(value) for name, value in validate(self.model).items()}
            )
        self.epoch, self.step, self.sizes = self.epoch + 1, 0, []
        self.settle()

    def save(self) -> None:
        """Write a checkpoint, if one was asked for."""
        if self.checkpoint is None:
            return
        self.check()
        random = [self.epoch_random, _random_state(self.model, self.batches)]
        state = {
            "format": checkpoint.FORMAT,
            "belongs": all_gather(self.belongs),  # of each process, as the next one
            "random": all_gather(random),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "position": [self.epoch, self.step, self.sizes],
            "history": asdict(self.history),
        }
        if rank_and_world_size()[0] == 0:
            checkpoint.write(Path(self.checkpoint), state)

    def resume(self, epochs: int) -> None:
        """Go to where the checkpoint stands, if there is one, and if it fits.

        Args:
            epochs: how many epochs the whole run is to have.
        """
        if self.checkpoint is None:
            return
        path, rank = Path(self.checkpoint), rank_and_world_size()[0]
        checkpoint.make_settings_plain(self.optimizer, self.schedule)
        self.belongs = checkpoint.describe(
            self.model, self.batches, self.optimizer, self.schedule
        )
        if not path.exists():
            return
        state = checkpoint.read(path)
        saved = state["belongs"][rank % len(state["belongs"])]
        checkpoint.check_same_run(path, saved, self.belongs)
        epoch, step, sizes = state["position"]
        if epochs < (begun := epoch + (step > 0)):
            raise ValueError(
                f"epochs must be at least {begun}, as many as {path} has begun: "
                f"got {epochs}"
            )
        self.epoch, self.step, self.sizes = epoch, step, sizes
        self.history = History(**state["history"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.epoch_random, now = state["random"][rank % len(state["random"])]
        _set_random_state(self.model, self.batches, now)


def _unpack(batch: object, device: torch.device) -> tuple[list[Tensor], Tensor]:
    """Part a batch into inputs and target, on the model's device."""
    if (
        not isinstance(batch, tuple | list)
        or len(batch) < 2
        or not all(isinstance(part, Tensor) for part in batch)
    ):
        parts = ""
        if isinstance(batch, tuple | list):
            parts = f" of {[type(part).__name__ for part in batch]}"
        raise ValueError(
            "batches must yield tuples of tensors (inputs..., target): "
            f"got a {type(batch).__name__}{parts}"
        )
    if batch[-1].ndim == 0:
        raise ValueError(
            "batches must have targets of one row for each example: got ()"
        )
    *inputs, target = [part.to(device) for part in batch]
    return inputs, target


def _number_of_batches(batches: object) -> int | None:
    """Return the number of batches, or None where it is not known beforehand."""
    try:
        return len(batches) if isinstance(batches, Sized) else None
    except TypeError:  # a DataLoader over a stream has __len__ but no length
        return None


def _keeps_modes(function: Callable) -> Callable:
    """Make a function put the modes (training or not) of a model's modules back.

    Args:
        function: takes the model as its first argument, `model`.
    """

    @wraps(function)
    def kept(model: nn.Module, *arguments: Any, **options: Any) -> Any:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be an nn.Module: got {type(model).__name__}")
        modes = {module: module.training for module in model.modules()}
        try:
            return function(model, *arguments, **options)
        finally:
            for module, training in modes.items():
                module.training = training

    return kept


def _snapshot(
    model: nn.Module, optimizer: Optimizer, batches: object
) -> Callable[[], None]:
    """Keep copies of what steps change, and return a function to put it back."""
    values = {name: value.detach().clone() for name, value in _named_tensors(model)}
    # zero_grad lets go of the gradients, which stay as they are.
    gradients = [(weight, weight.grad) for weight in model.parameters()]
    settings = copy.deepcopy(optimizer.state_dict())
    random = _random_state(model, batches)

    def restore() -> None:
        for name, value in _named_tensors(model):
            value.data.copy_(values[name])
        for weight, gradient in gradients:
            weight.grad = gradient
        optimizer.load_state_dict(settings)
        _set_random_state(model, batches, random)

    return restore


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers by name, also buffers that are not persistent."""
    return chain(model.named_parameters(), model.named_buffers())
