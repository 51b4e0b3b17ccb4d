"""What may stand instead of one node of a formula."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from authoring.formulas.definitions import is_leaf, key, split
from authoring.formulas.tree import Node, name, number

OTHER_FUNCTION = {r"\exp": r"\tanh", r"\tanh": r"\sigma", r"\sigma": r"\tanh"}
OTHER_FUNCTION |= {r"\log": r"\exp", r"\sin": r"\cos", r"\cos": r"\sin"}
OTHER_FUNCTION |= {r"\max": r"\min", r"\min": r"\max", r"\Phi": r"\sigma"}
OTHER_BIG = {r"\sum": r"\prod", r"\prod": r"\sum", r"\max": r"\min", r"\min": r"\max"}
OTHER_BIG |= {r"\arg\max": r"\arg\min", r"\arg\min": r"\arg\max"}
OTHER_RELATION = {
    "=": [r"\ne"],
    r"\ne": ["="],
    r"\le": ["<", r"\ge"],
    r"\ge": [">", r"\le"],
    "<": [r"\le", ">"],
    ">": [r"\ge", "<"],
    r"\in": [r"\notin"],
    r"\notin": [r"\in"],
}
NAMES = ("name", "word", "sub", "sup")
COMMUTATIVE = (r"\cos", r"\max", r"\min")  # of two vectors, of several numbers


@dataclass(frozen=True)
class Around:
    """What is known where a node stands.

    Attributes:
        shapes: names of the formula that the test supplies, each with its shape.
        nodes: the node of each name in the formula.
        bound: the names that sums and the left side bind here.
    """

    shapes: Mapping[str, object]
    nodes: Mapping[str, Node]
    bound: list[str]

    def alike(self, own: str) -> Iterator[Node]:
        """Yield the other names that have the same shape."""
        for other, shape in self.shapes.items():
            if own in self.shapes and other != own and shape == self.shapes[own]:
                yield self.nodes[other]

    def is_matrix(self, node: Node) -> bool:
        """Whether a node is a name under which the test supplies a matrix."""
        shape = self.shapes.get(key(node)) if node.kind in NAMES else None
        return isinstance(shape, tuple) and len(shape) == 2


def here(node: Node, around: Around, above: str) -> Iterator[Node]:
    """Yield what may stand instead of a node, which stands in one of the kind above."""
    parts, text = node.parts, node.text
    match node.kind:
        case "product" if above == "script" and parts[0].kind != "number":
            pass  # indices side by side
        case "neg" if above == "sum":
            pass  # the sum turns it
        case "sum" | "product":
            for n, part in enumerate(parts):
                rest = (*parts[:n], *parts[n + 1 :])
                yield rest[0] if len(rest) == 1 else node.changed(parts=rest)
                if node.kind == "sum":
                    turned = part.parts[0] if part.kind == "neg" else negative(part)
                    yield node.changed(parts=(*parts[:n], turned, *parts[n + 1 :]))
            for n in range(len(parts) - 1 if node.kind == "product" else 0):
                first, second = parts[n : n + 2]
                if around.is_matrix(first) or around.is_matrix(second):
                    rest = (*parts[:n], second, first, *parts[n + 2 :])
                    yield node.changed(parts=rest)
        case "neg" | "sqrt" | "transpose" | "norm" | "floor":
            yield parts[0]
        case "abs" if parts[0].kind != "set":
            yield parts[0]
        case "dot" | "odot" | "cup" | "pm" | "binom":
            yield from parts
        case "frac" | "over":
            yield parts[0]
            yield Node("frac", parts[::-1], "", node.at)
        case "number":
            yield number(int(float(text)) + 1, node.at)
        case "relation" if (above, text) == ("big", "="):
            pass  # the lower bound
        case "relation":
            yield from turned_relations(node)
        case "big":
            yield node.changed(text=OTHER_BIG[text])
            if len(parts) == 3:
                lower = Node("sum", (parts[2], Node("neg", (number(1),))), "", node.at)
                yield node.changed(parts=(parts[0], parts[1], lower))
        case "sup":
            yield parts[0]
        case "sub":
            yield from other_indices(node)
        case "call":
            yield from other_calls(node, around)
        case "cases":
            values = [row.parts[0] for row in parts]
            for n in range(len(values) - 1):
                first, second = parts[n], parts[n + 1]
                rows = (
                    first.changed(parts=(second.parts[0], *first.parts[1:])),
                    second.changed(parts=(first.parts[0], *second.parts[1:])),
                )
                yield node.changed(parts=(*parts[:n], *rows, *parts[n + 2 :]))
    yield from other_names(node, around)
    if above not in ("transpose", "sub", "sup") and around.is_matrix(node):
        yield Node("transpose", (node,), "", node.at)


def negative(node: Node) -> Node:
    """Return a node behind a minus."""
    return Node("neg", (node,), "", node.at)


def turned_relations(node: Node) -> Iterator[Node]:
    """Yield a condition with each of its signs turned, one at a time."""
    signs = node.text.split()
    for n, sign in enumerate(signs):
        for other in OTHER_RELATION.get(sign, []):
            yield node.changed(text=" ".join((*signs[:n], other, *signs[n + 1 :])))


def other_indices(node: Node) -> Iterator[Node]:
    """Yield a name with two indices swapped, or one shifted by one."""
    base, script = node.parts
    items = split(script)

    def with_items(changed: list[Node]) -> Node:
        several = Node("list", tuple(changed), " ".join("," * (len(changed) - 1)))
        return node.changed(parts=(base, several if len(changed) > 1 else changed[0]))

    for n in range(len(items) - 1):
        if items[n] != items[n + 1]:
            yield with_items([*items[:n], items[n + 1], items[n], *items[n + 2 :]])
    for n, item in enumerate(items):
        if item.kind in ("name", "sub", "product", "call"):
            for step in (number(1), negative(number(1))):
                shifted = Node("sum", (item, step), "", item.at)
                yield with_items([*items[:n], shifted, *items[n + 1 :]])


def other_calls(node: Node, around: Around) -> Iterator[Node]:
    """Yield a call of another function, of the arguments alone, or in another order."""
    head, argument = node.parts
    if head.text in OTHER_FUNCTION:
        yield node.changed(
            parts=(head.changed(text=OTHER_FUNCTION[head.text]), argument)
        )
    if is_leaf(head):
        for other in around.alike(key(head)):
            yield node.changed(parts=(other, argument))
    if argument.kind != "list" and node.text == "(":
        yield argument
    if argument.kind == "list" and not any(p.kind == "dots" for p in argument.parts):
        if head.text not in COMMUTATIVE:
            swapped = argument.changed(parts=argument.parts[::-1])
            yield node.changed(parts=(head, swapped))
        for part in argument.parts:
            if node.text == "(" and head.text in (r"\max", r"\min"):
                yield part


def other_names(node: Node, around: Around) -> Iterator[Node]:
    """Yield names of the same shape instead of a name, or the next bound one."""
    own = key(node)
    if is_leaf(node) and own in around.bound:
        others = list(dict.fromkeys(around.bound))
        other = others[(others.index(own) + 1) % len(others)]
        yield around.nodes.get(other, name(other))
    elif node.kind in ("name", "word", "sub", "sup"):
        yield from around.alike(own)


def variables(condition: Node) -> list[str]:
    """Return the names that the condition of a sum or a set binds."""
    if is_leaf(condition):
        return [key(condition)]
    if condition.kind == "relation":
        first = is_leaf(condition.parts[0])
        parts = condition.parts[:1] if first else condition.parts[1:2]
    elif condition.kind == "list" and ":" in condition.text:
        return variables(condition.parts[0])
    else:
        parts = condition.parts
    return [name for part in parts for name in variables(part)] if parts else []
