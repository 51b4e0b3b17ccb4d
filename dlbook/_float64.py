"""Devices without float64, such as Apple's MPS."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn


def float64_on_cpu(function: Callable) -> Callable:
    """Let a function that computes in float64 take tensors of a device without it.

    The function then gets copies on the CPU, and a tensor or a module that it returns
    goes back to the device, in float32 at most. On other devices nothing changes.

    Args:
        function: it takes its tensors as arguments, not within lists or the like.
    """

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = [value for value in (*args, *kwargs.values()) if _lacks_float64(value)]
        if not given:
            return function(*args, **kwargs)
        named = {name: _on_cpu(value) for name, value in kwargs.items()}
        return _back(function(*map(_on_cpu, args), **named), given[0])

    return wrapped


def _lacks_float64(value: Any) -> bool:
    """Whether a value is a tensor of a device without float64."""
    return isinstance(value, Tensor) and value.device.type == "mps"


def _on_cpu(value: Any) -> Any:
    """Return a value, copied to the CPU if its device lacks float64."""
    return value.cpu() if _lacks_float64(value) else value


def _back(found: Any, given: Tensor) -> Any:
    """Return a tensor or a module on the device of an argument, anything else as is."""
    if isinstance(found, nn.Module):
        return found.to(given.device)
    if isinstance(found, Tensor):
        narrow = torch.float32 if found.dtype == torch.float64 else found.dtype
        return found.to(narrow).to(given.device)
    return found
