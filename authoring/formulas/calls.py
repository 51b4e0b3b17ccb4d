"""Calls of functions: what the test supplies, what the formula defines, known ones."""

import numpy as np

from authoring.formulas import values
from authoring.formulas.definitions import key, scripts
from authoring.formulas.errors import FormulaError
from authoring.formulas.lists import Lists
from authoring.formulas.scope import MISSING
from authoring.formulas.tree import Node
from authoring.formulas.values import Value, value_of


class Evaluation(Lists):
    """One evaluation of a formula."""

    def called(
        self, function: Value, given: list[Value], node: Node, **bound: Value
    ) -> Value:
        """Call a function that the test supplied, or a known one."""
        if not callable(function):
            raise self.fail("a function must stand here", node)
        try:
            return value_of(function(*given, **bound))
        except FormulaError:
            raise
        except Exception as error:
            message = f"the function fails: {type(error).__name__}: {error}"
            raise self.fail(message, node) from error

    def _call(self, node: Node) -> Value:
        head, argument = node.parts
        name, lower, upper = scripts(head)
        if name in ("E", "Var") and name not in self.names and not lower:
            return self.moment(name, argument)
        given = self.listed(argument)
        whole = self.find(key(head))
        if callable(whole):
            return self.called(whole, given, node)
        indices = [*upper, *lower]
        base = self.find(name)
        if callable(base) and indices:
            return self.called(base, [*map(self.value, indices), *given], node)
        if name == "log" and len(lower) == 1 and len(given) == 1:
            base = values.FUNCTIONS["log"](self.value(lower[0]))
            return values.divide(values.FUNCTIONS["log"](given[0]), base)
        if not indices and whole is MISSING and name in values.FUNCTIONS:
            return self.called(values.FUNCTIONS[name], given, node)
        raise self.fail(f"the function {name} is not supplied", node)

    def moment(self, name: str, argument: Node) -> Value:
        """Return the mean or the variance of an expression over the samples in it."""
        inside = {key(p) for p in argument.walk() if p.kind in ("name", "word", "sub")}
        drawn = {k: v for k, v in self.samples.items() if k in inside}
        if not drawn:
            raise self.fail("no sample is supplied for what is in it", argument)
        pairs = {k: v if isinstance(v, tuple) else (v, None) for k, v in drawn.items()}
        draws = {k: value_of(v) for k, (v, _) in pairs.items()}
        weights = next((w for _, w in pairs.values() if w is not None), None)
        if len({len(each) for each in draws.values()}) > 1:
            raise self.fail("all samples in it must have as many draws", argument)
        found, before = [], self.scope
        for several in zip(*draws.values(), strict=True):
            entries = [v.item() if np.ndim(v) == 0 else v for v in several]
            self.scope = {**before, **dict(zip(draws, entries, strict=True))}
            found.append(self.value(argument))
        self.scope = before
        mean = np.average(found, axis=0, weights=weights)
        if name == "Var":
            mean = np.average((np.array(found) - mean) ** 2, axis=0, weights=weights)
        return value_of(mean)
