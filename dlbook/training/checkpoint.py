"""Checkpoints: what a run is known by, and files that can always be read again."""

import copy
import io
import math
import os
import shutil
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Sized
from contextlib import suppress
from numbers import Integral, Number
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dlbook.training.devices import device_of

AGAIN = "name another file, or delete this one to start again"
FORMAT = 2  # of the files: one more whenever what they hold changes
CHECKED_BYTES = 2**26  # of a tensor: a larger one is known by evenly spaced rows
CHECKED_ITEMS = 2**12  # of a list, likewise

# What decides which examples come when, as attributes of batches, loaders and samplers:
SETTINGS = ("batch_size", "shuffle", "seed", "drop_last", "max_length", "cuts")
DATA = ("tensors", "columns", "indices", "weights", "data", "targets")
PARTS = ("batches", "dataset", "sampler", "batch_sampler", "generator")

PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device)
SEQUENCES = (list, tuple, set)
MAPPINGS = (dict, OrderedDict, Counter)


# --- what a run is known by ----------------------------------------------------------


def describe(
    model: nn.Module,
    batches: object,
    optimizer: Optimizer,
    schedule: LRScheduler | None,
) -> dict[str, str]:
    """Describe what must be the same for a run to go on from a checkpoint.

    Args:
        model: known by the kind of its device, and its weights' types and shapes.
        batches: known by class, length, settings, seeds and a checksum of the data, as
            far as they, or what they are made of (a loader's data set), have these.
        optimizer: known by its class, and the shapes of its groups of parameters.
        schedule: known by its class.

    Returns:
        Descriptions by name.
    """
    found = {"model's device": device_of(model).type}
    for name, weight in model.state_dict().items():
        if isinstance(weight, Tensor):
            found[f"model's {name}"] = f"{weight.dtype} {tuple(weight.shape)}"
    found["optimizer"] = type(optimizer).__name__
    for index, group in enumerate(optimizer.param_groups):
        shapes = ", ".join(str(tuple(weight.shape)) for weight in group["params"])
        found[f"optimizer.param_groups[{index}]"] = shapes
    if schedule is not None:
        found["schedule"] = type(schedule).__name__
    return found | _describe_batches(batches, "batches")


def _describe_batches(batches: Any, name: str) -> dict[str, str]:
    """Describe batches, or something that they are made of."""
    found = {name: type(batches).__name__}
    if isinstance(batches, list | tuple):
        return {name: f"{found[name]} {_describe_data(batches)}"}
    if isinstance(batches, torch.Generator):
        return {f"{name}.initial_seed()": str(batches.initial_seed())}
    for part in SETTINGS:
        if isinstance(value := getattr(batches, part, None), Number):
            found[f"{name}.{part}"] = str(value)
        elif isinstance(value, list):
            found[f"{name}.{part}"] = _describe_data(value)
    with suppress(TypeError):  # a stream has no length
        found[f"len({name})"] = str(len(batches))
    for part in DATA:
        value = getattr(batches, part, None)
        for index, column in enumerate(value if isinstance(value, tuple) else [value]):
            if column is not None:
                found[f"{name}.{part}[{index}]"] = _describe_data(column)
    for part in PARTS:
        if (value := getattr(batches, part, None)) is not None:
            found |= _describe_batches(value, f"{name}.{part}")
    return found


def _describe_data(data: Any) -> str:
    """Describe data by type, shape and checksum."""
    kind = f"of {len(data)}" if isinstance(data, Sized) else type(data).__name__
    if isinstance(data, Tensor):
        kind = f"{data.dtype} {tuple(data.shape)}"
    return f"{kind} with checksum {_checksum(data):08x}"


def _checksum(data: Any) -> int:
    """Return a number that is another when the data are (CRC-32); see CHECKED_BYTES."""
    if isinstance(data, Tensor):
        if data.layout != torch.strided or data.device.type == "meta":
            return 0  # not to be had cheaply
        rows = _some_rows(data.detach()).cpu().contiguous()
        return zlib.crc32(rows.flatten().view(torch.uint8).numpy().data)
    if hasattr(data, "__array_interface__") and not data.dtype.hasobject:  # NumPy's
        return zlib.crc32(_some_rows(data).tobytes())
    if isinstance(data, list | tuple) and data:
        parts = data[:: math.ceil(len(data) / CHECKED_ITEMS)]
        if not {type(part) for part in parts} <= {bool, int, float, str}:
            parts = [_checksum(part) for part in parts]
        return zlib.crc32(repr(parts).encode())
    return zlib.crc32(type(data).__name__.encode())


def _some_rows(array: Any) -> Any:
    """Return evenly spaced rows of a tensor or an array, CHECKED_BYTES at most."""
    every = math.ceil(array.nbytes / CHECKED_BYTES) or 1
    return array[::every] if array.ndim else array


def check_same_run(path: Path, saved: dict[str, str], now: dict[str, str]) -> None:
    """Refuse a checkpoint of another run, and name the first thing that differs.

    Args:
        path: the file.
        saved: what `describe` returned when it was written.
        now: what it returns here.

    Raises:
        ValueError: They are not the same.
    """
    for name in [*saved, *now]:
        before, here = saved.get(name, "nothing"), now.get(name, "nothing")
        if before != here:
            raise ValueError(
                f"checkpoint must be of this run, but {name} was {before} in {path}, "
                f"and here is {here}; {AGAIN}"
            )


# --- files ---------------------------------------------------------------------------


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one.

    A link stays, and the file that it points to is replaced; the file keeps its mode.

    Args:
        path: the file.
        state: what `plain` can make plain, by name.

    Raises:
        TypeError: Something in it is not plain; the old file is as it was.
        OSError: There is no room, or no permission; the old file is as it was.
    """
    content = io.BytesIO()
    torch.save(plain(state), content)
    file_path = path.resolve()
    # In the same folder: renaming is atomic within one file system only.
    part = file_path.with_name(file_path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError, PermissionError):  # new; no modes on this disk
            shutil.copymode(file_path, part)
        os.replace(part, file_path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"checkpoint cannot be written: {error.strerror}: {file_path.name} needs "
            f"{len(content.getbuffer()):,} bytes in the folder {file_path.parent}; "
            "a checkpoint that was there before is untouched",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Args:
        path: a file that `write` wrote.

    Raises:
        ValueError: It is damaged, of another version, or not a checkpoint of `fit`.
    """
    with path.open("rb") as file:
        try:
            # torch.load does not compare the checksums.
            if (damaged := zipfile.ZipFile(file).testzip()) is not None:
                raise ValueError(f"{damaged} is damaged")
            state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or "belongs" not in state:
                raise ValueError("fit did not write it")
        except MemoryError:
            raise
        except Exception as error:  # zip, pickle and torch raise a dozen kinds
            raise ValueError(
                "checkpoint must be a whole file that fit wrote: "
                f"{path} is not; {AGAIN}"
            ) from error
    if state.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint must be of format {FORMAT}: {path} was written by another "
            f"version of fit, in format {state.get('format', 1)}; {AGAIN}"
        )
    return state


def plain(value: Any, name: str = "") -> Any:
    """Return a value with Python's own numbers for all others, such as NumPy's.

    Args:
        value: numbers, text and tensors, and lists, tuples, sets and dicts of these.
        name: what to call it in an error; by default, its keys are names.

    Raises:
        TypeError: Something in it is of another kind, or a number not exactly a float.
    """
    if type(value) in PLAIN:
        return value
    if type(value) in (Tensor, nn.Parameter):
        return value.detach()
    if type(value) in SEQUENCES:
        parts = [plain(part, f"{name}[{index}]") for index, part in enumerate(value)]
        return type(value)(parts)
    if type(value) in MAPPINGS:
        copied = copy.copy(value)  # with the attributes that a state_dict has
        copied.clear()
        for key, part in value.items():
            inside = f"{name}[{key!r}]" if name else str(key)
            copied[plain(key, f"a key of {name}")] = plain(part, inside)
        return copied
    # NumPy's numbers, and its arrays without axes, have an empty shape:
    number: Any = value.item() if getattr(value, "shape", None) == () else value
    if type(number) in PLAIN:
        return number
    kind: Any = int if isinstance(number, Integral) else float
    with suppress(TypeError, ValueError, ArithmeticError):
        if isinstance(number, Number) and kind(number) == number:
            return kind(number)
    raise TypeError(
        "checkpoint must hold numbers, text and tensors only, to be read again: "
        f"{name} is {value!r}, a {type(value).__name__}"
    )


def make_settings_plain(optimizer: Optimizer, schedule: LRScheduler | None) -> None:
    """Make the settings as they will be when read again, for the same rounding as then.

    Args:
        optimizer: whose groups may have, for instance, a learning rate from NumPy.
        schedule: whose state may have the like.

    Raises:
        TypeError: One of them could not be written, see `plain`.
    """
    for index, group in enumerate(optimizer.param_groups):
        for key in group.keys() - {"params"}:
            group[key] = plain(group[key], f"optimizer.param_groups[{index}][{key!r}]")
    if schedule is not None:
        schedule.load_state_dict(plain(schedule.state_dict(), "schedule"))
