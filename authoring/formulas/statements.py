"""The statements of a formula: the values that they define, over their free indices."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from authoring.formulas import values
from authoring.formulas.definitions import Definition, apart, definition, key, names_in
from authoring.formulas.scope import Scope
from authoring.formulas.tree import Node
from authoring.formulas.values import Value, is_array, is_number, value_of

DEEPEST = 200


class Statements(Scope):
    """The statements of a formula; each may use what the others define."""

    def read(self, formula: Node) -> list[Definition]:
        """Read the statements, and return those that define something."""
        self.memory: dict[Any, Value] = {}
        made = []
        for place, statement in enumerate(formula.parts):
            if statement.kind == "relation" and statement.text == r"\sim":
                left, right = statement.parts
                self.samples.setdefault(key(left), self.value(right))
                continue
            for one in apart(statement):
                made.append(definition(one, place, {*self.ranges}))
        for each in made:
            for name in {each.key, each.whole} - {""}:
                self.by_name.setdefault(name, []).append(each)
            each.symbols = {name for side in each.rights for name in names_in(side)}
        for _ in made:  # what a statement depends on, through others
            for each in made:
                used = [d for name in each.symbols for d in self.by_name.get(name, [])]
                each.symbols = each.symbols.union(*(other.symbols for other in used))
        return made

    def result(self, made: Definition, sides: bool) -> Value:
        """Return the value of a statement over its free indices."""
        known = {*self.names, *made.free}
        if made.arguments and not {*map(key, self.parameters(made))} <= known:
            found = [self.function(made, n) for n in range(len(made.rights))]
        else:
            wanted = [*([made.left] if sides and made.left else []), *made.rights]
            found = [self.table(made, side) for side in wanted]
        if made.squared:
            found = [values.power(value, 0.5) for value in found]
        return found[0] if len(found) == 1 else tuple(found)

    def table(self, made: Definition, side: Node) -> Value:
        """Evaluate a side for each value of the free indices: an array with their axes.

        Where the indices are expressions, such as 2i, each value is put at its place,
        with those of the other statements about the same name.
        """
        if made.computed:
            rest = [d for d in self.by_name[made.key] if d is not made and d.free]
            placed = dict(self.each(made, side))
            for other in rest:
                placed |= dict(self.each(other, other.rights[0]))
            return self.placed(made, placed, side)
        found = [value for _, value in self.each(made, side)]
        if not made.free:
            return found[0]
        if any(isinstance(value, tuple) or callable(value) for value in found):
            return found
        zeros = next((np.zeros_like(v) for v in found if is_array(v)), None)
        if zeros is not None:
            found = [zeros if is_number(v) and v == 0 else v for v in found]  # no terms
        if len({np.shape(value) for value in found}) != 1:
            raise self.fail("it has values of different shapes, or none", side)
        shape = [len(self.range(name, side)) for name in made.free]
        return np.array(found).reshape(*shape, *np.shape(found[0]))

    def each(self, made: Definition, side: Node) -> Iterator[tuple[Any, Value]]:
        """Yield the indices and the value of a side, for all that its names take."""
        before = self.scope
        for combination in product(*(self.range(name, side) for name in made.free)):
            self.scope = {**before, **dict(zip(made.free, combination, strict=True))}
            value = self.side(made, side)
            yield tuple(map(self.whole, made.items if made.computed else [])), value
        self.scope = before

    def placed(self, made: Definition, found: dict, side: Node) -> Value:
        """Return the array of values at computed places, none of them left out."""
        starts = [self.first(made.key, axis) for axis in range(len(made.items))]
        ends = map(max, zip(*found, strict=True))
        size = [end - start + 1 for end, start in zip(ends, starts, strict=True)]
        array = np.full((*size, *np.shape(next(iter(found.values())))), np.nan)
        for indices, value in found.items():
            place = tuple(i - start for i, start in zip(indices, starts, strict=True))
            if min(place) < 0:
                raise self.fail("it has an index before the first", side)
            array[place] = value
        if np.isnan(array).any():
            raise self.fail("it leaves places of the array out", side)
        return array

    def side(self, made: Definition, side: Node) -> Value:
        """Evaluate a side of a statement, with the statement noted as open."""
        self.open.append(made)
        if len(self.open) > DEEPEST:
            raise self.fail("it is defined by itself", side)
        try:
            return self.value(side)
        finally:
            self.open.pop()

    def defined(self, made: Definition, bound: dict[str, Value], n: int = 0) -> Value:
        """Return the value of a statement's n-th right side with some names bound."""
        scope = {**self.scope, **bound}
        memory_key: Any = None
        relevant = [(n, v) for n, v in scope.items() if n in made.symbols or n in bound]
        if all(is_number(value) for _, value in relevant):
            memory_key = (id(made), n, tuple(sorted(relevant)))
            if memory_key in self.memory:
                return self.memory[memory_key]
        before, self.scope = self.scope, scope
        try:
            found = self.side(made, made.rights[n])
        finally:
            self.scope = before
        found = values.power(found, 0.5) if made.squared else found
        if memory_key is not None:
            self.memory[memory_key] = found
        return found

    def parameters(self, made: Definition) -> list[Node]:
        """Return what a function depends on: its scripts, then its arguments.

        Scripts that the test supplies are none.
        """
        scripts = [item for item in made.items if key(item) not in self.names]
        return [*scripts, *made.arguments]

    def function(self, made: Definition, n: int = 0) -> Callable[..., Value]:
        """Return the function that the n-th right side of a statement defines."""
        parameters = [*map(key, self.parameters(made))]

        def call(*given: Value) -> Value:
            if len(given) != len(parameters):
                raise self.fail("it has another number of arguments", made.rights[n])
            bound = dict(zip(parameters, map(value_of, given), strict=True))
            return self.defined(made, bound, n)

        return call
