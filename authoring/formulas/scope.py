"""The names of a formula while it is evaluated, and the entries of arrays."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from authoring.formulas.definitions import Definition, key
from authoring.formulas.errors import EvaluationError
from authoring.formulas.tree import Node, plain
from authoring.formulas.values import Value, is_array, is_number, value_of

MISSING = object()


class Scope:
    """What the names of a formula mean.

    Attributes:
        names: what the test supplies, by plain names.
        scope: what sums and functions bind at the moment.
        open: the statements that are being evaluated.
        by_name: the statements that define a name.
    """

    def __init__(
        self,
        names: Mapping[str, Value] | None,
        ranges: Mapping[str, Any] | None,
        starts: Mapping[str, Any] | None,
        padded: Iterable[str],
        samples: Mapping[str, Any] | None,
        source: str,
    ):
        """Keep what the test supplies; the arguments are those of `evaluate`."""
        self.source = source
        self.names = {plain(k): value_of(v) for k, v in (names or {}).items()}
        self.ranges = {plain(k): v for k, v in (ranges or {}).items()}
        self.starts = {plain(k): v for k, v in (starts or {}).items()}
        self.padded = {plain(k) for k in padded}
        self.samples = {plain(k): v for k, v in (samples or {}).items()}
        self.scope: dict[str, Value] = {}
        self.open: list[Definition] = []
        self.by_name: dict[str, list[Definition]] = {}

    def fail(self, message: str, node: Node) -> EvaluationError:
        """Return the error at a node."""
        return EvaluationError(message, self.source, node.at)

    def value(self, node: Node) -> Value:
        """Return the value of a node."""
        raise NotImplementedError

    def defined(self, made: Definition, bound: dict[str, Value], n: int = 0) -> Value:
        """Return the value of a statement's n-th right side with some names bound."""
        raise NotImplementedError

    def table(self, made: Definition, side: Node) -> Value:
        """Return the values of a side of a statement, over its free indices."""
        raise NotImplementedError

    def function(self, made: Definition, n: int = 0) -> Callable[..., Value]:
        """Return the function that the n-th right side of a statement defines."""
        raise NotImplementedError

    def find(self, name: str) -> Value:
        """Return what a plain name means, or MISSING."""
        if name in self.scope:
            return self.scope[name]
        if self.open and self.open[-1].assigns:
            for made in self.by_name.get(name, []):
                if made.assigns and made.place < self.open[-1].place:
                    return self.defined(made, {})
        if name in self.names:
            return self.names[name]
        for made in self.by_name.get(name, []):
            if made.arguments:
                return self.function(made)
            if not made.free and (name == made.whole or not made.items):
                return self.defined(made, {})
            if name == made.key:
                return self.table(made, made.rights[0])
        return MISSING

    def element(self, name: str, indices: list[Value], node: Node) -> Value:
        """Return one entry of an array that statements define, or MISSING."""
        about = [
            made
            for made in self.by_name.get(name, [])
            if name == made.key and len(made.items) == len(indices)
        ]
        for made in about:
            if not made.free and [self.whole(item) for item in made.items] == indices:
                return self.find(made.whole)
        for made in about:
            if not made.free or made.arguments:
                continue
            if made.computed:
                return self.at(self.table(made, made.rights[0]), indices, name, node)
            bound = dict(zip(map(key, made.items), indices, strict=True))
            for index, value in bound.items():
                if index in made.free and value not in self.range(index, node):
                    raise self.fail(f"the index {index} is outside: {value}", node)
            return self.defined(made, bound)
        return MISSING

    def at(self, array: Value, indices: list[Value], name: str, node: Node) -> Value:
        """Return an entry of an array, or a part of it if there are fewer indices."""
        if not is_array(array):
            raise self.fail(f"{name} has no indices: it is no array", node)
        if len(indices) > array.ndim:
            raise self.fail(
                f"{name} has {array.ndim} indices, not {len(indices)}", node
            )
        place: list[Any] = []
        for axis, index in enumerate(indices):
            if isinstance(index, slice):
                place.append(index)
                continue
            first, length = self.first(name, axis), array.shape[axis]
            if not 0 <= index - first < length:
                if name in self.padded:
                    rest = array.shape[len(indices) :]
                    return np.zeros(rest) if rest else 0.0
                there = f"{name} has indices from {first} to {first + length - 1}"
                raise self.fail(f"{there}: got {index}", node)
            place.append(index - first)
        entry = array[tuple(place)]
        return entry if entry.ndim else entry.item()

    def first(self, name: str, axis: int = 0) -> int:
        """Return the first index of an axis of an array."""
        start = self.starts.get(name, 1)
        return start if isinstance(start, int) else start[axis]

    def range(self, name: str, node: Node) -> list[Value]:
        """Return the values that an index without bounds takes."""
        if name not in self.ranges:
            raise self.fail(f"the index {name} has no range", node)
        given = self.ranges[name]
        if callable(given):
            given = given(lambda wanted: self.find(plain(wanted)))
        return list(range(1, given + 1)) if isinstance(given, int) else list(given)

    def whole(self, node: Node) -> int:
        """Return a value that must be a whole number."""
        found = self.value(node)
        if not is_number(found) or not np.isfinite(found) or found != int(found):
            raise self.fail(f"an index must be a whole number: got {found}", node)
        return int(found)
