"""Checks of tensor arguments: by shape and type alone, so that no device waits."""

import operator
from collections.abc import Iterable
from numbers import Integral

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
    fits = len(shape) == len(sizes)
    for size, found in zip(sizes, shape, strict=False):
        if size != found and not isinstance(size, str):
            fits = False
    if not fits:
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


def check_whole(least: int, /, **numbers: object) -> None:
    """Refuse what is no whole number, or less than `least`, by the arguments' names.

    NumPy's integers are whole numbers; True, 1.0 and tensors are not.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            kind = type(value).__name__
            raise TypeError(f"{name} must be a whole number: got {value!r} ({kind})")
        if int(value) < least:
            raise ValueError(f"{name} must be at least {least}: got {value}")


def check_seed(seed: object) -> None:
    """Refuse a seed that torch.Generator does not take: all but Python's own int."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        kind = type(seed).__name__
        raise TypeError(f"seed must be an int of Python: got {seed!r} ({kind})")


def check_rows(rows: object, count: int) -> None:
    """Refuse row numbers that are no integers, negative, or not less than `count`."""
    try:
        numbers = torch.as_tensor(rows)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(rows).__name__
        raise TypeError(f"rows must be a sequence of integers: got {kind}") from error
    check_shape("rows", numbers, "chosen")
    if len(numbers):
        check_integer(rows=numbers)
    for row in numbers[(numbers < 0) | (numbers >= count)][:1].tolist():
        raise ValueError(f"rows must be at least 0 and less than {count}: got {row}")


def check_last_axes(name: str, tensor: Tensor, *sizes: int | str) -> None:
    """Refuse a tensor whose last axes have other sizes; any axes may stand before them.

    Args:
        name: of the argument, for the message.
        tensor: its value.
        sizes: one for each of the last axes: a number, or a name where any will do.

    Raises:
        TypeError: It is no tensor.
        ValueError: It has fewer axes, or another size along one of the last.
    """
    check_tensor(name, tensor)
    last = tensor.shape[-len(sizes) :]
    if len(last) < len(sizes) or any(
        isinstance(size, int) and size != found
        for size, found in zip(sizes, last, strict=True)
    ):
        rule = ", ".join(map(str, sizes))
        got = tuple(tensor.shape)
        raise ValueError(f"{name} must have the shape (..., {rule}): got {got}")


def check_mask(name: str, mask: Tensor | None, *shape: int) -> None:
    """Refuse a mask that is not bool, or that cannot be broadcast to a shape.

    Args:
        name: of the argument, for the message.
        mask: True where something may be seen; None hides nothing and is accepted.
        shape: of what is masked; each axis of the mask has the same size or 1.

    Raises:
        TypeError: It is no tensor of bool.
        ValueError: It has more axes, or another size along one.
    """
    if mask is None:
        return
    check_tensor(name, mask)
    if mask.dtype != torch.bool:
        rule = f"{name} must be bool, True where something may be seen"
        raise TypeError(f"{rule}: got {mask.dtype}")
    axes = zip(reversed(mask.shape), reversed(shape), strict=False)
    if mask.ndim > len(shape) or any(size not in (1, wanted) for size, wanted in axes):
        got = tuple(mask.shape)
        raise ValueError(f"{name} must be broadcastable to {shape}: got {got}")


def check_dtype(name: str, tensor: Tensor, weight: Tensor) -> None:
    """Refuse a tensor of another type than a module's weights, except under autocast.

    Args:
        name: of the argument, for the message.
        tensor: its value.
        weight: one of the module's.

    Raises:
        TypeError: It is no tensor, or of another type.
    """
    check_tensor(name, tensor)
    if tensor.dtype != weight.dtype and not torch.is_autocast_enabled(
        weight.device.type
    ):
        raise TypeError(
            f"{name} must have the type of the weights, {weight.dtype}: "
            f"got {tensor.dtype}"
        )


def check_features(name: str, tensor: Tensor, weight: Tensor, first: int = -1) -> None:
    """Refuse what cannot be multiplied with a matrix of weights.

    Args:
        name: of the argument, for the message.
        tensor: its value.
        weight: of a dense layer, (outputs, inputs).
        first: the axis from which on all are features, -1 for the last alone, or 1.

    Raises:
        TypeError: It is no tensor, or not of the weights' type.
        ValueError: It has another number of features than the layer has inputs.
    """
    usual = (  # all that most calls pay for: they stand in every step of training
        isinstance(tensor, Tensor)
        and tensor.dtype == weight.dtype
        and tensor.ndim >= 1
        and (first == -1 or tensor.ndim == 2)
        and tensor.shape[-1] == weight.shape[1]
    )
    if not usual:
        check_dtype(name, tensor, weight)
        _check_inputs(name, tensor, weight.shape[1], first)


def _check_inputs(name: str, tensor: Tensor, inputs: int, first: int) -> None:
    """Refuse another number of features, from the axis `first` on, than inputs."""
    features = tensor.shape[first:]
    if not features or features.numel() != inputs:
        rule = "(batch, ...)" if first == 1 else "(..., inputs)"
        raise ValueError(
            f"{name} must have the shape {rule} with {inputs} inputs: "
            f"got {tuple(tensor.shape)}"
        )


def check_bool(**tensors: Tensor) -> None:
    """Refuse tensors that are not bool, by the arguments' names."""
    for name, tensor in tensors.items():
        check_tensor(name, tensor)
        if tensor.dtype != torch.bool:
            raise TypeError(f"{name} must be bool: got {tensor.dtype}")


def check_text(text: object) -> None:
    """Refuse a text that is no string."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a string: got {type(text).__name__}")


def check_texts(name: str, texts: object) -> None:
    """Refuse a single text where several are meant: its characters would be texts."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{name} must be texts, not one: got {type(texts).__name__}")


def check_numbers(numbers: Iterable[object], count: int) -> list[int]:
    """Return the numbers of tokens as integers of Python.

    Args:
        numbers: integers of any kind, tensors included.
        count: of tokens.

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is not between 0 and `count` - 1.
    """
    checked = []
    for number in numbers:
        try:
            checked.append(operator.index(number))  # type: ignore[arg-type]
        except TypeError:
            kind = type(number).__name__
            raise TypeError(f"numbers must be integers: got {kind}") from None
        if not 0 <= checked[-1] < count:
            rule = f"numbers must be between 0 and {count - 1}"
            raise ValueError(f"{rule}: got {checked[-1]}")
    return checked
