"""Generated inputs: for each a function must give the right answer, or an error that names the argument."""

import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def public_names(*modules: ModuleType) -> set[str]:
    """Return the names of the public functions and classes that modules define."""
    return {
        name
        for module in modules
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
    }


def tensors_in(result: Any) -> Iterator[Tensor]:
    """Yield the tensors in a result: itself, or those in tuples and lists; a number as a tensor."""
    if isinstance(result, tuple | list):
        for part in result:
            yield from tensors_in(part)
    elif result is not None:
        yield torch.as_tensor(result)


def other_shapes(value: Tensor) -> Iterator[Tensor]:
    """Yield the value with an axis more at its end, a row more, a row less, without rows, and as one row of a batch."""
    yield value[..., None]
    yield torch.cat([value, value[:1]])
    yield value[:-1]
    yield value[:0]
    yield value[None]


def other_types(value: Tensor) -> Iterator[Tensor]:
    """Yield the value in the other types of its kind, as far as they hold it exactly; and not contiguous."""
    for dtype in FLOATS if value.is_floating_point() else INTEGERS:
        if dtype != value.dtype and torch.equal(value.to(dtype).to(value.dtype), value):
            yield value.to(dtype)
    yield torch.stack([value, value], -1)[..., 0]


def poisoned(value: Tensor) -> Iterator[Tensor]:
    """Yield the value with NaN, and with each infinity, in the place of its first number."""
    for bad in (math.nan, math.inf, -math.inf):
        other = value.clone()
        other.view(-1)[0] = bad
        yield other


def assert_refused(function: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any) -> None:
    """Assert that a function refuses a value with an error that names the argument and what came."""
    with pytest.raises((ValueError, TypeError)) as error:
        function(**{**arguments, name: value})
    assert name in str(error.value), f"the error must name {name}: {error.value}"


def assert_misfit_refused(function: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any) -> None:
    """Assert that an error names one of the arguments: of two that do not fit, it may be either."""
    with pytest.raises((ValueError, TypeError)) as error:
        function(**{**arguments, name: value})
    assert any(known in str(error.value) for known in arguments), f"{name}: {error.value}"


def assert_right_or_refused(
    function: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any, tolerance: float = 1e-2
) -> None:
    """Assert that a function gives for a value in another type what it gives for the original one, or refuses it."""
    try:
        found = function(**{**arguments, name: value})
    except (ValueError, TypeError) as error:
        assert name in str(error), f"the error must name {name}: {error}"
        return
    assert_close(found, function(**arguments), atol=tolerance, rtol=tolerance, check_dtype=False)


def assert_nan_or_refused(function: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any) -> None:
    """Assert that NaN goes through as NaN, or is refused with an error that names the argument."""
    try:
        found = function(**{**arguments, name: value})
    except (ValueError, TypeError) as error:
        assert name in str(error), f"the error must name {name}: {error}"
        return
    assert any(part.isnan().any() for part in tensors_in(found)), f"{name} held NaN, the result does not"
