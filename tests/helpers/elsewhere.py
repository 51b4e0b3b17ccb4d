"""A pretended device without float64, as Apple's MPS is: what makes a float64 tensor there fails, as it would."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

MPS = torch.device("mps")


class Elsewhere(Tensor):
    """A tensor that is taken to be on MPS; it must be used `with PretendedMPS()`."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class PretendedMPS(TorchFunctionMode):
    """Refuses float64 on MPS, and operations on tensors of both devices."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        mine = [isinstance(part, Elsewhere) for part in tensors((args, kwargs))]
        if func == Tensor.device.__get__:
            return MPS if mine[0] else torch.device("cpu")
        named = [part for part in (*args, *kwargs.values()) if isinstance(part, torch.device | str)]
        devices = [torch.device(part) for part in named if str(part) in ("cpu", "mps")]
        on_mps = devices == [MPS] if devices or func is Tensor.cpu else any(mine)
        if not (devices or func is Tensor.cpu or func is Tensor.copy_):
            refuse_mixture((args, kwargs))
        given = [part for part in args if not is_mps(part)]
        found = func(*tree_map(plain, given), **{k: tree_map(plain, v) for k, v in kwargs.items() if not is_mps(v)})
        return tree_map(elsewhere, found) if on_mps else found


def is_mps(value: Any) -> bool:
    """Whether a value is the pretended device."""
    return isinstance(value, torch.device) and value == MPS


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors in a value."""
    return [part for part in tree_flatten(value)[0] if isinstance(part, Tensor)]


def plain(value: Any) -> Any:
    """Return a tensor as one of the CPU, anything else as it is."""
    return value.as_subclass(Tensor) if isinstance(value, Elsewhere) else value


def elsewhere(value: Any) -> Any:
    """Return a tensor as one of the pretended device; refuse one in float64."""
    if not isinstance(value, Tensor):
        return value
    if value.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
    return value.as_subclass(Elsewhere)


def refuse_mixture(value: Any) -> None:
    """Refuse tensors of both devices in one operation, but for single numbers of the CPU, as PyTorch does."""
    found = tensors(value)
    there, here = (
        [part for part in found if isinstance(part, Elsewhere)],
        [part for part in found if not isinstance(part, Elsewhere) and part.dim()],
    )
    if there and here:
        raise RuntimeError("Expected all tensors to be on the same device, but found two devices, mps and cpu!")
