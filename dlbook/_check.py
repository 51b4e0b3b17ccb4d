"""Checks of tensor arguments: by shape and type alone, so that no device waits."""

import torch
from torch import Tensor


def check_shape(name: str, tensor: Tensor, *sizes: int | str) -> None:
    """Refuse a tensor whose shape is another than the one that an argument must have.

    Args:
        name: of the argument, for the message.
        tensor: its value.
        sizes: one for each axis: a number, or a name where any number will do.

    Raises:
        TypeError: It is no tensor.
        ValueError: It has another number of axes, or another size along one.
    """
    check_tensor(name, tensor)
    shape = tensor.shape
    if len(shape) != len(sizes) or any(
        isinstance(size, int) and size != found
        for size, found in zip(sizes, shape, strict=True)
    ):
        rule = ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "")
        raise ValueError(f"{name} must have the shape ({rule}): got {tuple(shape)}")


def check_same_shape(**tensors: Tensor) -> None:
    """Refuse tensors of different shapes: they would be broadcast into a table.

    Args:
        tensors: by the names of the arguments; all must have the shape of the first.

    Raises:
        TypeError: One is no tensor.
        ValueError: One has another shape than the first.
    """
    (first, expected), *others = tensors.items()
    check_tensor(first, expected)
    for name, tensor in others:
        check_tensor(name, tensor)
        if tensor.shape != expected.shape:
            raise ValueError(
                f"{name} must have the shape of {first}, {tuple(expected.shape)}: "
                f"got {tuple(tensor.shape)}"
            )


def check_floating(**tensors: Tensor) -> None:
    """Refuse tensors that hold no floating-point numbers, by the arguments' names."""
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating point: got {tensor.dtype}")


def check_integer(**tensors: Tensor) -> None:
    """Refuse tensors that hold no integers, by the arguments' names; bool is none."""
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
        kind = tensor.dtype
        if kind.is_floating_point or kind.is_complex or kind == torch.bool:
            raise TypeError(f"{name} must hold integers: got {kind}")


def check_no_nan(**tensors: Tensor) -> None:
    """Refuse tensors that hold NaN; this looks at the values, so not for hot paths."""
    for name, tensor in tensors.items():
        if (found := tensor.isnan()).any():
            place = tuple(found.nonzero()[0].tolist())
            raise ValueError(f"{name} must not hold NaN: got one at {place}")


def check_tensor(name: str, value: object) -> None:
    """Refuse what is no tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor: got {type(value).__name__}")
