r"""What a sum runs over: the condition below `\sum`, `\max` or in a set."""

from collections.abc import Callable, Iterator

from authoring.formulas import values
from authoring.formulas.definitions import is_leaf, key, split
from authoring.formulas.scope import Scope
from authoring.formulas.tree import Node
from authoring.formulas.values import Value, is_number

LONGEST = 100_000
Span = tuple[Node, Callable[[], list[Value]]]  # a name, and the values that it takes


def each(run: Scope, condition: Node, upper: Node | None = None) -> Iterator[None]:
    """Bind the names of a condition to each of their values in turn.

    Args:
        run: the evaluation, whose scope is changed.
        condition: what stands below: `j`, `i,j`, `k=1`, `m<l`, `n \\in A`, `n : …`.
        upper: what stands above, if anything.
    """
    spans, filters = read(run, condition, upper)
    before = run.scope
    try:
        yield from _each(run, spans, filters)
    finally:
        run.scope = before


def _each(run: Scope, spans: list[Span], filters: list[Node]) -> Iterator[None]:
    if not spans:
        if all(run.value(node) for node in filters):
            yield
        return
    (variable, members), *rest = spans
    outside = run.scope
    for value in members():
        several = value if isinstance(value, dict) else {key(variable): value}
        bound = {name: values.value_of(each) for name, each in several.items()}
        run.scope = {**outside, **bound}
        yield from _each(run, rest, filters)
    run.scope = outside


def read(
    run: Scope, condition: Node, upper: Node | None
) -> tuple[list[Span], list[Node]]:
    """Return the names that a condition binds, with their values, and what filters."""
    if upper is not None:
        given = condition.kind == "relation" and condition.text == "="
        if not given or len(condition.parts) != 2 or not is_leaf(condition.parts[0]):
            raise run.fail("a lower bound such as i=1 must stand below", condition)
        name, low = condition.parts
        return [(name, between(run, low, upper))], []
    if condition.kind == "list" and condition.text.split()[0] == ":":
        spans, filters = read(run, condition.parts[0], None)
        return spans, [*filters, *condition.parts[1:]]
    if condition.kind == "list" and any(p.kind == "relation" for p in condition.parts):
        return chain(run, condition)
    if condition.kind == "relation":
        return related(run, condition)
    names = split(condition)
    for name in names:
        if not is_leaf(name):
            raise run.fail("what is summed over must be a name", name)
    return [(name, ranged(run, name)) for name in names], []


def ranged(run: Scope, name: Node) -> Callable[[], list[Value]]:
    """Return the values of a name that has no bounds on the page."""
    return lambda: run.range(key(name), name)


def between(
    run: Scope, low: Node | None, high: Node, strict: bool = False
) -> Callable[[], list[Value]]:
    """Return the whole numbers from one bound, or 1, to the other."""

    def values() -> list[Value]:
        first = 1 if low is None else run.whole(low)
        last = run.whole(high) - strict
        if last - first > LONGEST:
            raise run.fail("the range is too long", high)
        return list(range(first, last + 1))

    return values


def related(run: Scope, node: Node) -> tuple[list[Span], list[Node]]:
    r"""Read `n \in A`, `d \notin A`, `m < l`, `1 \le p \le k`."""
    signs = node.text.split()
    first = node.parts[0]
    if len(signs) == len(node.parts):
        raise run.fail("there must be something on both sides", node)
    if signs == [r"\in"] and is_leaf(first):

        def members() -> list[Value]:
            found = run.value(node.parts[1])
            if not isinstance(found, tuple):
                raise run.fail("a set must stand here", node.parts[1])
            return list(found)

        return [(first, members)], []
    if signs == [r"\notin"]:
        return [(first, ranged(run, first))], [node]
    if signs in (["<"], [r"\le"]) and is_leaf(first):
        return [(first, between(run, None, node.parts[1], signs == ["<"]))], []
    if signs in ([r"\le", r"\le"], [r"\le", "<"]) and is_leaf(node.parts[1]):
        strict = signs[1] == "<"
        span = between(run, first, node.parts[2], strict)
        return [(node.parts[1], span)], []
    raise run.fail("the bounds are not understood", node)


def chain(run: Scope, node: Node) -> tuple[list[Span], list[Node]]:
    r"""Read `1 \le p, q \le k`: all names between run over the same."""
    first, *middle, last = node.parts
    pairs = all(p.kind == "relation" and len(p.parts) == 2 for p in (first, last))
    if not pairs or set(node.text.split()) != {","} or not all(map(is_leaf, middle)):
        raise run.fail("the bounds are not understood", node)
    if first.text != r"\le" or last.text not in (r"\le", "<"):
        raise run.fail("the bounds are not understood", node)
    names = [first.parts[1], *middle, last.parts[0]]
    span = between(run, first.parts[0], last.parts[1], last.text == "<")
    return [(name, span) for name in names], []


def best(run: Scope, node: Node) -> Value:
    r"""Compute a node "big": sum, product, max, arg max and their like."""
    condition, body, *upper = node.parts
    found, places = [], []
    for _ in each(run, condition, upper[0] if upper else None):
        found.append(run.value(body))
        if node.text.startswith(r"\arg"):
            variable = condition.parts[0] if condition.kind == "relation" else condition
            places.append(run.scope[key(variable)])
    if node.text == r"\sum":
        total = found[0] if found else 0
        for value in found[1:]:
            total = values.add(total, value)
        return total
    if node.text == r"\prod":
        result = found[0] if found else 1
        for value in found[1:]:
            result = values.multiply(result, value)
        return result
    if not found or not all(map(is_number, found)):
        raise run.fail("it must run over numbers, one at least", node)
    choose = max if "max" in node.text else min
    best_one = choose(found)
    return places[found.index(best_one)] if places else best_one
