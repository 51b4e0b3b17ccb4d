r"""Tree and names to values: `evaluate` computes what a formula defines.

Names are looked up in this order: what a sum or a function binds; what the test
supplies; what the formula's other statements define; e and π. A name with scripts is
first looked up as a whole (`h_{t-1}`, `W^O`), then its scripts are indices into the
array that stands under the bare name, or under `h_` where h itself means something
else. Upper scripts are indices into the array under `h^`, else powers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from authoring.formulas.calls import Evaluation
from authoring.formulas.errors import EvaluationError
from authoring.formulas.tree import Node, plain
from authoring.formulas.values import Value


class Values(dict[str, Value]):
    """What a formula defines, by plain names; it must define what is asked for."""

    def __getitem__(self, name: str) -> Value:
        if plain(name) not in self:
            defined = ", ".join(self)
            raise EvaluationError(f"the formula defines {defined}, but no {name}")
        return super().__getitem__(plain(name))


def evaluate(
    formula: Node,
    names: Mapping[str, Value] | None = None,
    ranges: Mapping[str, Any] | None = None,
    starts: Mapping[str, int | tuple[int, ...]] | None = None,
    padded: Iterable[str] = (),
    samples: Mapping[str, Any] | None = None,
    sides: bool = False,
    source: str = "",
) -> "Values":
    """Return what a formula defines, over all indices that have a range.

    Args:
        formula: its tree.
        names: the quantities: numbers, arrays, sets, functions. A set is a set or a
            range of Python. A function with scripts takes them first: `p_k(x)` is
            p(k, x).
        ranges: what an index without bounds runs over: 4 means 1 to 4; a range or
            other values; or a function that gets a look-up and returns one of these.
        starts: the first index of an array that does not count from 1; a tuple for an
            array whose axes differ.
        padded: the arrays that are zero outside.
        samples: what E and Var are taken over: name to draws, or (draws, weights).
        sides: whether to return, for each statement, all its sides with the left one.
        source: the LaTeX, for errors.

    Returns:
        What is defined, by plain names; "value" for a statement without a left side.
        Two right sides are a tuple. What `f(x) = …` defines is an array if x has a
        range, a value if x is supplied, else a function.

    Raises:
        EvaluationError: It has no value: a name is missing, an index is outside.
    """
    try:
        run = Evaluation(names, ranges, starts, padded, samples, source)
        with np.errstate(all="ignore"):
            made = run.read(formula)
            found = {each.title: run.result(each, sides) for each in made}
    except RecursionError:
        raise EvaluationError("it is defined by itself", source, 0) from None
    return Values(found)
