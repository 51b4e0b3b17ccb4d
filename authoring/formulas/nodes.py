"""The value of each kind of node, but for calls."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from authoring.formulas import bounds, values
from authoring.formulas.definitions import key, scripts, split
from authoring.formulas.errors import FormulaError
from authoring.formulas.scope import MISSING
from authoring.formulas.statements import Statements
from authoring.formulas.tree import Node, stem
from authoring.formulas.values import Value, is_array

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    r"\ne": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    r"\le": lambda a, b: a <= b,
    r"\ge": lambda a, b: a >= b,
    r"\in": lambda a, b: a in b,
    r"\notin": lambda a, b: a not in b,
}


class Nodes(Statements):
    """The value of a node; the method `_sum` is that of the kind "sum"."""

    def listed(self, node: Node) -> list[Value]:
        """Return the values of a list."""
        raise NotImplementedError

    def called(
        self, function: Value, given: list[Value], node: Node, **bound: Value
    ) -> Value:
        """Call a function that the test supplied, or a known one."""
        raise NotImplementedError

    def value(self, node: Node) -> Value:
        """Return the value of a node."""
        rule = getattr(self, "_" + node.kind, None)
        if rule is None:
            raise self.fail(f"a {node.kind} has no value here", node)
        try:
            return rule(node)
        except FormulaError as error:
            if error.source or not self.source:
                raise
            raise self.fail(error.message, node) from None
        except (ZeroDivisionError, OverflowError) as error:
            raise self.fail(str(error), node) from None

    def _number(self, node: Node) -> Value:
        return float(node.text) if "." in node.text else int(node.text)

    def _name(self, node: Node) -> Value:
        found = self.find(key(node))
        if found is MISSING and key(node) in values.CONSTANTS:
            return values.CONSTANTS[key(node)]
        if found is MISSING and key(node) in values.FUNCTIONS:
            return values.FUNCTIONS[key(node)]
        if found is MISSING:
            raise self.fail(f"{key(node)} is not supplied", node)
        return found

    def _word(self, node: Node) -> Value:
        return self._name(node)

    def _derivative(self, node: Node) -> Value:
        return self._sub(node)

    def _sub(self, node: Node) -> Value:
        whole = self.find(key(node))
        if whole is not MISSING:
            return whole
        if stem(node).kind not in ("name", "word", "derivative"):
            base, items = self.value(node.parts[0]), split(node.parts[1])
            return self.at(base, [self.whole(i) for i in items], "this array", node)
        name, lower, upper = scripts(node)
        return self.indexed(name, [*upper, *lower], node)

    def indexed(self, name: str, items: list[Node], node: Node) -> Value:
        """Return an entry of the array, or of the function's values, with a name."""
        for stored in (name + "_", name):
            array = self.scope.get(stored, self.names.get(stored, MISSING))
            if array is MISSING:
                continue
            if callable(array):
                return self.called(array, [self.value(item) for item in items], node)
            shape = np.ndim(array) if is_array(array) else 1
            return self.at(array, self.indices(items, shape, stored), stored, node)
        if items and name in self.by_name:
            indices = self.indices(items, len(self.by_name[name][0].items), name)
            found = self.element(name, indices, node)
            if found is not MISSING:
                return found
        if not items:
            raise self.fail(f"{key(node)} is not supplied", node)
        raise self.fail(f"{key(node)} is not supplied, nor is the array {name}", node)

    def indices(self, items: list[Node], axes: int, name: str) -> list[Value]:
        """Return the values of indices; `1c` are two if the array has as many axes."""
        if len(items) != axes:
            apart = [
                p for i in items for p in (i.parts if i.kind == "product" else (i,))
            ]
            items = apart if len(apart) == axes else items
        found: list[Value] = []
        for item in items:
            if item.kind == "relation" and item.text == "<" and len(item.parts) == 1:
                stop = self.whole(item.parts[0]) - self.first(name)
                found.append(slice(0, max(stop, 0)))
            else:
                found.append(self.whole(item))
        return found

    def _sup(self, node: Node) -> Value:
        whole = self.find(key(node))
        if whole is not MISSING:
            return whole
        base, exponent = node.parts
        if stem(node).kind in ("name", "word", "derivative"):
            name, lower, _ = scripts(node)
            label = f"{name}^{key(exponent)}"
            if lower and (label in self.names or label in self.by_name):
                return self.indexed(label, lower, node)
            if name + "^" in self.names or name + "^" in self.by_name:
                return self.indexed(name + "^", [*split(exponent), *lower], node)
        if exponent.kind == "group" or key(exponent) == "*":
            raise self.fail(f"{key(node)} is not supplied", node)
        return values.power(self.value(base), self.value(exponent))

    def _sum(self, node: Node) -> Value:
        total = self.value(node.parts[0])
        for part in node.parts[1:]:
            total = values.add(total, self.value(part))
        return total

    def _neg(self, node: Node) -> Value:
        found = self.value(node.parts[0])
        values.check(found)
        return -found

    def _pm(self, node: Node) -> Value:
        middle, half = map(self.value, node.parts)
        return np.array([values.add(middle, -half), values.add(middle, half)])

    def _product(self, node: Node) -> Value:
        result = self.value(node.parts[0])
        for part in node.parts[1:]:
            result = values.multiply(result, self.value(part))
        return result

    def _dot(self, node: Node) -> Value:
        return values.dot(*map(self.value, node.parts))

    def _odot(self, node: Node) -> Value:
        return values.elementwise(*map(self.value, node.parts))

    def _over(self, node: Node) -> Value:
        return values.divide(*map(self.value, node.parts))

    _frac = _over

    def _binom(self, node: Node) -> Value:
        above, below = map(self.value, node.parts)
        if any(value < 0 or value != int(value) for value in (above, below)):
            raise self.fail("there must be whole numbers from zero", node)
        return math.comb(int(above), int(below))

    def _cup(self, node: Node) -> Value:
        return tuple(sorted({v for part in node.parts for v in self.value(part)}))

    def _big(self, node: Node) -> Value:
        return bounds.best(self, node)

    def _transpose(self, node: Node) -> Value:
        return values.transpose(self.value(node.parts[0]))

    def _sqrt(self, node: Node) -> Value:
        return values.power(self.value(node.parts[0]), 0.5)

    def _abs(self, node: Node) -> Value:
        return values.size(self.value(node.parts[0]))

    def _norm(self, node: Node) -> Value:
        found = self.value(node.parts[0])
        if not is_array(found) or found.ndim != 1:
            raise self.fail("the norm must be that of a vector", node)
        return float(np.sqrt(found @ found))

    def _floor(self, node: Node) -> Value:
        found = self.value(node.parts[0])
        values.check(found)
        return int(np.floor(found))

    def _relation(self, node: Node) -> Value:
        signs = node.text.split()
        if signs == [r"\to"]:
            sides = [self.value(part) for part in node.parts]
            return self.called(self.names.get("to"), sides, node)
        if len(signs) == len(node.parts):
            raise self.fail("there must be something on both sides", node)
        found = [self.value(part) for part in node.parts]
        for sign, a, b in zip(signs, found, found[1:], strict=False):
            if sign not in COMPARE:
                raise self.fail(f"it is unknown whether {sign} holds", node)
            if is_array(a) or is_array(b):
                raise self.fail("numbers must be compared, not arrays", node)
            if not COMPARE[sign](a, b):
                return False
        return True

    def _cases(self, node: Node) -> Value:
        holding: list[Any] = []
        otherwise = None
        for row in node.parts:
            if len(row.parts) != 2:
                raise self.fail("a case must have a value and a condition", row)
            if key(row.parts[1]) == "otherwise":
                otherwise = row
            elif self.value(row.parts[1]):
                holding.append(row)
        if len(holding) > 1:
            raise self.fail("two of the cases hold", holding[1])
        if not holding and otherwise is None:
            raise self.fail("none of the cases holds", node)
        return self.value((holding or [otherwise])[0].parts[0])

    def _pmatrix(self, node: Node) -> Value:
        rows = [[self.value(part) for part in row.parts] for row in node.parts]
        array = np.array(rows, dtype=float)
        return array[:, 0] if array.shape[1] == 1 else array
