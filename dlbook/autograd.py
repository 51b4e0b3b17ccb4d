"""Reverse-mode automatic differentiation of scalars, on the graph of computation."""

import math
from typing import Any


class Arithmetic:
    """Derive minus and division from +, * and powers."""

    def __neg__(self: Any) -> "Value":
        return self * -1

    def __sub__(self: Any, other: "Value | float | int") -> "Value":
        return self + -as_value(other)

    def __rsub__(self: Any, other: float | int) -> "Value":
        return -self + other

    def __truediv__(self: Any, other: "Value | float | int") -> "Value":
        return self * as_value(other) ** -1

    def __rtruediv__(self: Any, other: float | int) -> "Value":
        return other * self**-1


class Value(Arithmetic):
    """Hold a number, the numbers it was computed from, and its local derivatives.

    Attributes:
        data: the number.
        parents: the numbers it was computed from.
        slopes: its derivative with respect to each of them.
        grad: what `backward` adds up.

    Source: reverse accumulation, Linnainmaa 1970; book equation (3.1.2g).
    """

    def __init__(
        self,
        data: float | int,
        parents: tuple["Value", ...] = (),
        slopes: tuple[float, ...] = (),
    ):
        self.data, self.parents, self.slopes = float(data), parents, slopes
        self.grad = 0.0

    def __add__(self, other: "Value | float | int") -> "Value":
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: "Value | float | int") -> "Value":
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, power: float | int) -> "Value":
        slope = power * self.data ** (power - 1)
        return Value(self.data**power, (self,), (slope,))

    def exp(self) -> "Value":
        return Value(math.exp(self.data), (self,), (math.exp(self.data),))

    def log(self) -> "Value":
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def relu(self) -> "Value":
        return Value(max(self.data, 0.0), (self,), (float(self.data > 0),))

    __radd__, __rmul__ = __add__, __mul__


def as_value(number: "Value | float | int") -> Value:
    """Return a plain number as a constant, a Value as it is.

    Args:
        number: either of them.
    """
    return number if isinstance(number, Value) else Value(number)


def backward(result: Value) -> None:
    """Add the derivative of a result to the `grad` of each number it was computed from.

    Gradients accumulate over calls, as PyTorch's do: begin with fresh values, or set
    `grad` to zero.

    Args:
        result: the number that is differentiated.

    Raises:
        TypeError: result is not a Value.
    """
    _check_value(result)
    adjoints = {node: 0.0 for node in topological_order(result)}
    adjoints[result] = 1.0
    for node in reversed(adjoints):  # each node after all that were computed from it
        node.grad += adjoints[node]
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            adjoints[parent] += slope * adjoints[node]


def topological_order(result: Value) -> list[Value]:
    """Return all numbers that a result was computed from, each after its parents.

    Without recursion, so that the graph may be deep.

    Args:
        result: the last in that order.

    Raises:
        TypeError: result is not a Value.
    """
    _check_value(result)
    order, visited, stack = [], set(), [(result, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in visited:
            visited.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


def _check_value(result: Value) -> None:
    """Refuse what has no graph."""
    if not isinstance(result, Value):
        raise TypeError(f"result must be a Value: got {type(result).__name__}")
