"""Reverse-mode differentiation on scalars: a number that remembers how it was made, and can pass blame back."""

import math
from typing import Any


class Arithmetic:
    """Minus and division, which follow from +, * and powers."""

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
    """A number that knows which numbers it was made from, and how strongly each moved it.

    Args:
        parents: the numbers it was made from.
        slopes: its derivative with respect to each of them.

    Source: reverse accumulation, Linnainmaa 1970; book equation (3.1.2g).
    """

    def __init__(self, data: float | int, parents: tuple["Value", ...] = (), slopes: tuple[float, ...] = ()):
        self.data, self.parents, self.slopes, self.grad = float(data), parents, slopes, 0.0

    def __add__(self, other: "Value | float | int") -> "Value":
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: "Value | float | int") -> "Value":
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, power: float | int) -> "Value":
        return Value(self.data**power, (self,), (power * self.data ** (power - 1),))

    def exp(self) -> "Value":
        return Value(math.exp(self.data), (self,), (math.exp(self.data),))

    def log(self) -> "Value":
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def relu(self) -> "Value":
        return Value(max(self.data, 0.0), (self,), (float(self.data > 0),))

    __radd__, __rmul__ = __add__, __mul__


def as_value(number: "Value | float | int") -> Value:
    """Wrap a plain number as a constant; leave a Value as it is."""
    return number if isinstance(number, Value) else Value(number)


def backward(result: Value) -> None:
    """Add to the `grad` of every number that `result` was made from how strongly `result` depends on it.

    Gradients add up over calls, as PyTorch's do: start from fresh values, or set `grad` to zero.
    """
    flowing = {node: 0.0 for node in topological_order(result)}
    flowing[result] = 1.0
    for node in reversed(flowing):  # each node after everything that was made from it
        node.grad += flowing[node]
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            flowing[parent] += slope * flowing[node]


def topological_order(result: Value) -> list[Value]:
    """List everything that `result` was made from, each after its parents, without recursion, however deep."""
    order, seen, stack = [], set(), [(result, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order
