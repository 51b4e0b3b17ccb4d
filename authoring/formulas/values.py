"""The arithmetic of formulas: what has no one meaning is refused.

Numbers are Python's, arrays NumPy's in float64 (or whole numbers), sets are tuples. A
vector is a column: its transpose is a matrix of one row.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from authoring.formulas.errors import EvaluationError

Value = Any  # a number, an array, a tuple, or a function


def value_of(given: Value) -> Value:
    """Return what a test supplies as a number, an array, a set or a function.

    Args:
        given: numbers, lists, arrays, tensors; sets and ranges; anything callable.
    """
    if isinstance(given, bool | np.bool_):
        return int(given)
    if isinstance(given, int | float):
        return given
    if isinstance(given, set | frozenset | range):
        return tuple(sorted(given))
    if isinstance(given, tuple) or callable(given) and not hasattr(given, "shape"):
        return given
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise EvaluationError(f"a value must be a number or an array: got {given!r}")
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return array if array.ndim else array.item()


def is_array(value: Value) -> bool:
    """Whether a value is an array."""
    return isinstance(value, np.ndarray)


def is_number(value: Value) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float)


def check(*values: Value) -> None:
    """Refuse what cannot be calculated with."""
    for value in values:
        if not is_number(value) and not is_array(value):
            kind = "a function" if callable(value) else f"a {type(value).__name__}"
            raise EvaluationError(f"a number or an array must stand here: got {kind}")


def same_shape(a: Value, b: Value, what: str) -> None:
    """Refuse two arrays of different shapes."""
    check(a, b)
    if is_array(a) and is_array(b) and a.shape != b.shape:
        message = f"{what} must have the same shape: got {a.shape} and {b.shape}"
        raise EvaluationError(message)


def add(a: Value, b: Value) -> Value:
    """Add numbers, arrays of one shape, or a number to each entry of an array."""
    same_shape(a, b, "what is added")
    return a + b


def multiply(a: Value, b: Value) -> Value:
    """Multiply what stands side by side: matrices, and numbers with anything."""
    check(a, b)
    if not is_array(a) or not is_array(b):
        return a * b
    if a.ndim == 1 and b.ndim == 2 and len(b) == 1:
        return a[:, None] @ b
    if a.ndim != 2 or b.ndim > 2:
        message = "it is ambiguous how these arrays are multiplied: got the shapes"
        raise EvaluationError(f"{message} {a.shape} and {b.shape}")
    if a.shape[1] != len(b):
        message = "matrices must fit to be multiplied: got the shapes"
        raise EvaluationError(f"{message} {a.shape} and {b.shape}")
    product = a @ b
    return product.item() if product.size == 1 and b.ndim == 1 else product


def dot(a: Value, b: Value) -> Value:
    r"""Compute `a \cdot b`, of two vectors or of two numbers."""
    same_shape(a, b, r"the vectors of \cdot")
    if is_array(a) != is_array(b) or (is_array(a) and a.ndim != 1):
        raise EvaluationError(r"two vectors or two numbers must stand around \cdot")
    return float(a @ b) if is_array(a) else a * b


def elementwise(a: Value, b: Value) -> Value:
    r"""Compute `a \odot b`."""
    same_shape(a, b, r"the arrays of \odot")
    if is_array(a) != is_array(b):
        raise EvaluationError(r"two arrays or two numbers must stand around \odot")
    return a * b


def divide(a: Value, b: Value) -> Value:
    """Divide, arrays entry by entry."""
    same_shape(a, b, "what is divided")
    if np.any(np.equal(b, 0)):
        raise EvaluationError("it divides by zero")
    return a / b


def power(base: Value, exponent: Value) -> Value:
    """Raise to a power, vectors entry by entry."""
    check(base, exponent)
    if is_array(exponent) and is_array(base):
        raise EvaluationError("an array cannot be raised to an array")
    if is_array(base) and base.ndim == 2 and base.shape[0] == base.shape[1]:
        raise EvaluationError("the power of a square matrix is ambiguous")
    if np.any(np.less(base, 0)) and np.any(np.not_equal(exponent, np.round(exponent))):
        raise EvaluationError("a negative number has no such power")
    if np.any(np.equal(base, 0)) and np.any(np.less(exponent, 0)):
        raise EvaluationError("it divides by zero")
    if is_array(base) or is_array(exponent):
        return np.power(np.asarray(base, float), np.asarray(exponent, float))
    return base**exponent


def transpose(a: Value) -> Value:
    """Transpose a matrix, or make a row of a vector."""
    if not is_array(a) or a.ndim > 2:
        raise EvaluationError("a matrix or a vector must stand here")
    return a[None, :] if a.ndim == 1 else a.T


def size(a: Value) -> Value:
    """Compute `|a|`: of a number without its sign, of a set how many it has."""
    if isinstance(a, tuple):
        return len(a)
    if not is_number(a):
        raise EvaluationError("a number or a set must stand between bars")
    return abs(a)


def entrywise(function: Callable[[float], float]) -> Callable[[Value], Value]:
    """Return a function of numbers that takes arrays too."""

    def apply(x: Value) -> Value:
        check(x)
        if is_array(x):
            return np.array([function(float(v)) for v in x.ravel()]).reshape(x.shape)
        return function(float(x))

    return apply


def logarithm(x: float) -> float:
    """Compute the natural logarithm."""
    if x <= 0:
        raise EvaluationError("the logarithm must be that of a positive number")
    return math.log(x)


def softmax(z: Value) -> Value:
    """Compute the softmax of a vector."""
    if not is_array(z) or z.ndim != 1:
        raise EvaluationError("softmax must be that of a vector")
    powers = np.exp(z - z.max())
    return powers / powers.sum()


def cosine(*x: Value) -> Value:
    """Compute the cosine of an angle, or that of the angle between two vectors."""
    if len(x) == 1:
        return entrywise(math.cos)(x[0])
    return divide(dot(*x), math.sqrt(dot(x[0], x[0]) * dot(x[1], x[1])))


def extreme(choose: Callable[..., Value], entries: Callable) -> Callable[..., Value]:
    """Return max or min: of a set, of numbers, or of arrays entry by entry."""

    def apply(*values: Value) -> Value:
        if len(values) == 1 and isinstance(values[0], tuple) and values[0]:
            return choose(values[0])
        check(*values)
        if len(values) < 2:
            raise EvaluationError("two numbers or more, or a set, must stand here")
        if not any(map(is_array, values)):
            return choose(values)
        result = values[0]
        for other in values[1:]:
            same_shape(result, other, "what is compared")
            result = entries(result, other)
        return result

    return apply


def diagonal(v: Value) -> Value:
    """Return the matrix with a vector on its diagonal."""
    if not is_array(v) or v.ndim != 1:
        raise EvaluationError("diag must be that of a vector")
    return np.diag(v)


CONSTANTS = {"e": math.e, "pi": math.pi}
FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": entrywise(math.exp),
    "log": entrywise(logarithm),
    "tanh": entrywise(math.tanh),
    "sin": entrywise(math.sin),
    "cos": cosine,
    "sigma": entrywise(lambda x: 1 / (1 + math.exp(-x))),
    "Phi": entrywise(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2),
    "erf": entrywise(math.erf),
    "ReLU": entrywise(lambda x: max(x, 0.0)),
    "sign": entrywise(lambda x: (x > 0) - (x < 0)),
    "softmax": softmax,
    "diag": diagonal,
    "max": extreme(max, np.maximum),
    "min": extreme(min, np.minimum),
}
