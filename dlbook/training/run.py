"""A run of training, behind `train.fit`: where it stands, and the checkpoints that let it go on."""

import copy
import math
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from dlbook.training.devices import (
    all_reduce_sum,
    broadcast_buffers,
    device_of,
    gather,
    interactive,
    random_state,
    rank_and_world_size,
    set_random_state,
)

CHECK_EVERY = 50  # steps between two looks at the losses: each look makes the program wait for the device
AGAIN = "name another file, or delete this one to start again"


@dataclass
class History:
    """What `fit` saw: the loss of each batch, its mean over each epoch, each epoch's validation, and the time taken."""

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
    step: int = 0  # steps done in this epoch
    history: History = field(default_factory=History)
    sizes: list[float] = field(default_factory=list)  # examples in each step of this epoch
    pending: list[tuple[Tensor, int]] = field(default_factory=list)  # losses still on the device, and their sizes
    epoch_random: list[Tensor] = field(default_factory=list)  # the random numbers' state as this epoch began
    clock: float = field(default_factory=time.perf_counter)

    def remaining_batches(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Go through what is left of the epoch; what was done before an interruption is drawn again and skipped."""
        for owner in (self.batches, getattr(self.batches, "sampler", None)):
            if set_epoch := getattr(owner, "set_epoch", None):
                set_epoch(self.epoch)
        now = random_state(self.model, self.batches)
        if self.step == 0:
            self.epoch_random = now
        set_random_state(self.model, self.batches, self.epoch_random)
        rest = iter(self.batches)
        for done in range(self.step):
            if next(rest, None) is None:
                raise ValueError(f"batches must be those of {self.checkpoint}, more than {done}, to go on from there")
        if self.step > 0:
            set_random_state(self.model, self.batches, now)
        device, hidden = device_of(self.model), not interactive()
        title, total = f"epoch {self.epoch + 1}", _number_of_batches(self.batches)
        for batch in tqdm(rest, title, total, initial=self.step, leave=False, disable=hidden):
            yield _unpack(batch, device)
        if self.step == 0:
            raise ValueError(f"batches must hold at least one batch each time: got none in epoch {self.epoch + 1}")

    def record(self, value: Float[Tensor, ""], size: int) -> None:
        """Keep the loss of a step; now and then, look at those kept."""
        self.pending.append((value, size))
        self.step += 1
        if len(self.pending) == CHECK_EVERY:
            self.settle()

    def settle(self) -> None:
        """Move the losses kept so far into the history, and stop at one that is not finite."""
        if self.pending:
            values = torch.stack([value for value, _ in self.pending]).tolist()
            sums = [[value * size, size] for value, (_, size) in zip(values, self.pending, strict=True)]
            if rank_and_world_size()[1] > 1:
                sums = all_reduce_sum(torch.tensor(sums, dtype=torch.float64), self.pending[0][0].device).tolist()
                values = [total / size for total, size in sums]
            self.history.steps += values
            self.sizes += [size for _, size in sums]
            self.pending.clear()
            for step, value in enumerate(values, start=self.step - len(values) + 1):
                if not math.isfinite(value):
                    self.stop(f"loss must stay finite: got {value} in epoch {self.epoch + 1}, step {step}")
        self.history.seconds += (now := time.perf_counter()) - self.clock
        self.clock = now

    def check(self) -> None:
        """Stop unless the losses and the weights are finite: a finite loss may have had a gradient that is not."""
        self.settle()
        for name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                self.stop(f"weights must stay finite: {name} is not, after epoch {self.epoch + 1}, step {self.step}")

    def stop(self, what: str) -> None:
        """Give up, and say what to try."""
        rates = ", ".join(f"{float(group['lr']):g}" for group in self.optimizer.param_groups)
        raise FloatingPointError(f"{what}; try a learning rate below {rates}, or clip the gradient (clip=1.0)")

    def end_epoch(self, validate: Callable[[nn.Module], dict[str, float]] | None) -> None:
        """Complete the history of an epoch, and move on to the next."""
        self.check()
        broadcast_buffers(self.model)
        total = sum(value * size for value, size in zip(self.history.steps[-self.step :], self.sizes, strict=True))
        self.history.loss.append(total / sum(self.sizes))
        if validate is not None:
            self.history.validation.append({name: float(value) for name, value in validate(self.model).items()})
        self.epoch, self.step, self.sizes = self.epoch + 1, 0, []
        self.settle()

    def save(self) -> None:
        """Write a checkpoint, if one was asked for."""
        if self.checkpoint is None:
            return
        self.check()
        state = {
            "belongs": _describe(self.model, self.optimizer, self.schedule),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "random": gather([self.epoch_random, random_state(self.model, self.batches)]),  # of each process
            "position": [self.epoch, self.step, self.sizes],
            "history": asdict(self.history),
        }
        if rank_and_world_size()[0] == 0:
            _write_atomically(Path(self.checkpoint), state)

    def resume(self, epochs: int) -> None:
        """Go to where the checkpoint stands, if there is one; nothing is changed unless it fits."""
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return
        state = _read_checkpoint(Path(self.checkpoint))
        for part, described in _describe(self.model, self.optimizer, self.schedule).items():
            if state["belongs"][part] != described:
                raise ValueError(f"checkpoint must be of this {part}: {self.checkpoint} belongs to another; {AGAIN}")
        epoch, step, sizes = state["position"]
        if epochs < (begun := epoch + (step > 0)):
            raise ValueError(f"epochs must be at least {begun}, as many as {self.checkpoint} has begun: got {epochs}")
        self.epoch, self.step, self.sizes, self.history = epoch, step, sizes, History(**state["history"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.epoch_random, now = state["random"][rank_and_world_size()[0] % len(state["random"])]
        set_random_state(self.model, self.batches, now)


def _unpack(batch: object, device: torch.device) -> tuple[list[Tensor], Tensor]:
    """Part a batch into inputs and target, on the model's device."""
    if not isinstance(batch, tuple | list) or len(batch) < 2 or not all(isinstance(part, Tensor) for part in batch):
        parts = f" of {[type(part).__name__ for part in batch]}" if isinstance(batch, tuple | list) else ""
        raise ValueError(
            f"batches must yield tuples of tensors (inputs..., target): got a {type(batch).__name__}{parts}"
        )
    *inputs, target = [part.to(device) for part in batch]
    return inputs, target


def _number_of_batches(batches: object) -> int | None:
    """Count the batches, where that is known beforehand."""
    try:
        return len(batches) if isinstance(batches, Sized) else None
    except TypeError:  # a DataLoader over a stream has __len__ but no length
        return None


def _snapshot(model: nn.Module, optimizer: Optimizer, batches: object) -> Callable[[], None]:
    """Keep copies of all that training steps change, and return the function that puts them back."""
    values = {name: value.detach().clone() for name, value in _named_tensors(model)}
    gradients = [(weight, weight.grad) for weight in model.parameters()]  # zero_grad lets go of these, as they are
    modes = {module: module.training for module in model.modules()}
    settings = copy.deepcopy(optimizer.state_dict())
    random = random_state(model, batches)

    def restore() -> None:
        for name, value in _named_tensors(model):
            value.data.copy_(values[name])
        for weight, gradient in gradients:
            weight.grad = gradient
        for module, training in modes.items():
            module.training = training
        optimizer.load_state_dict(settings)
        set_random_state(model, batches, random)

    return restore


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Go through all parameters and buffers by name, with those buffers that a state_dict leaves out."""
    return chain(model.named_parameters(), model.named_buffers())


def _describe(model: nn.Module, optimizer: Optimizer, schedule: LRScheduler | None) -> dict[str, str]:
    """Say what a checkpoint must agree with: the kind and the shape of each part."""
    state = model.state_dict()
    weights = {name: (tuple(v.shape), v.dtype) for name, v in state.items() if isinstance(v, Tensor)}
    groups = [[tuple(weight.shape) for weight in group["params"]] for group in optimizer.param_groups]
    return {
        "model": str(weights),
        "optimizer": f"{type(optimizer).__name__} {groups}",
        "schedule": type(schedule).__name__,
    }


def _write_atomically(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves either the old file or the new one."""
    part = path.with_name(path.name + ".part")  # in the same folder: a rename is atomic within one file system only
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, or say that the file is not one."""
    with path.open("rb") as file:
        try:
            if (damaged := zipfile.ZipFile(file).testzip()) is not None:  # torch.load does not compare the checksums
                raise ValueError(f"{damaged} is damaged")
            state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or "belongs" not in state:
                raise ValueError("fit did not write it")
        except Exception as error:  # zip, pickle and torch raise a dozen kinds
            raise ValueError(f"checkpoint must be a whole file that fit wrote: {path} is not; {AGAIN}") from error
    return state
