r"""Wrong variants of a formula, made from its tree: each differs in one place.

A sign is turned, a term or a factor dropped, numerator and denominator exchanged, a
transpose dropped or added, two matrices exchanged, a function or a power dropped or
changed, a bound moved, two indices swapped, an index shifted, a relation turned, a
number changed, a name replaced by another of the same shape.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from authoring.formulas.changes import NAMES, Around, here, variables
from authoring.formulas.definitions import DEFINING, is_leaf, key
from authoring.formulas.tree import Node, latex, stem

BINDERS = ("big", "set")
LEAVES = ("name", "word", "number")


@dataclass(frozen=True)
class Mutant:
    """A wrong variant.

    Attributes:
        tree: the whole formula, changed in one place.
        description: what stands instead of what, in LaTeX.
    """

    tree: Node
    description: str

    def __str__(self) -> str:
        return f"{self.description}, in {latex(self.tree)}"


def mutants(formula: Node, shapes: Mapping[str, object] | None = None) -> list[Mutant]:
    """Return the wrong variants of a formula.

    Only right sides are changed. Two that have the same description are told apart by
    "place 2" behind it.

    Args:
        formula: its tree.
        shapes: what a name of the test may be replaced by: plain name to a shape (or
            anything that is equal where two may be exchanged).
    """
    nodes = {key(node): node for node in formula.walk() if node.kind in NAMES}
    known = {name.rstrip("_^"): shape for name, shape in (shapes or {}).items()}
    around = Around({k: v for k, v in known.items() if k in nodes}, nodes, [])
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for place, statement in enumerate(formula.parts):
        for tree, new, old in sides(statement, around):
            parts = (*formula.parts[:place], tree, *formula.parts[place + 1 :])
            description = f"{latex(new)} instead of {latex(old)}"
            seen[description] += 1
            if seen[description] > 1:
                description += f", place {seen[description]}"
            found.append(Mutant(formula.changed(parts=parts), description))
    return found


Change = tuple[Node, Node, Node]  # the whole, the new part, the old part


def sides(statement: Node, around: Around) -> Iterator[Change]:
    """Yield the variants of a statement: of its right sides."""
    signs = statement.text.split()
    if statement.kind != "relation" or signs[0] not in (*DEFINING, r"\sim"):
        yield from [*inside(statement, around), *negated(statement)]
        return
    left = statement.parts[0]
    head = stem(left)
    head = stem(head.parts[0]) if head.kind == "call" else head
    bound = [key(p) for p in left.walk() if is_leaf(p) and p is not head]
    around = replace(around, bound=bound)
    for n, side in enumerate(statement.parts):
        if n == 0:
            continue
        for whole, new, old in [*inside(side, around), *negated(side)]:
            parts = (*statement.parts[:n], whole, *statement.parts[n + 1 :])
            yield statement.changed(parts=parts), new, old


def negated(side: Node) -> Iterator[Change]:
    """Yield a side with the other sign, if it is no sum, whose terms are changed."""
    if side.kind not in ("sum", "neg", "set", "cases", "pm", "relation", "list"):
        new = Node("neg", (side,), "", side.at)
        yield new, new, side


def inside(node: Node, around: Around, above: str = "") -> Iterator[Change]:
    """Yield the variants of a node: of itself, and of each part of it.

    Args:
        node: the node.
        around: what is known there.
        above: the kind of the node above.
    """
    for new in here(node, around, above):
        if new != node:
            yield new, new, node
    if node.kind in BINDERS:
        around = replace(around, bound=[*around.bound, *variables(node.parts[0])])
    for n, part in enumerate(node.parts):
        if fixed(node, n):
            continue
        script = node.kind == "sub" and n == 1
        for whole, new, old in inside(part, around, "script" if script else node.kind):
            parts = (*node.parts[:n], whole, *node.parts[n + 1 :])
            changed = node.changed(parts=parts)
            wider = script or old.kind in LEAVES  # alone, it would say too little
            yield changed, changed if wider else new, node if wider else old


def fixed(node: Node, n: int) -> bool:
    """Whether a part is no quantity: a bound name, a label, parts of a derivative."""
    part = node.parts[n]
    if node.kind == "call" and n == 0:
        return is_leaf(part)
    if node.kind == "big" and n == 0:
        return is_leaf(part) or part.kind == "product"
    if (
        node.kind == "relation"
        and n == 0
        and node.text in ("=", r"\in", "<", r"\notin")
    ):
        return is_leaf(part)
    if node.kind == "sup" and n == 1:
        return part.kind == "group" or key(part) == "*"
    return node.kind in ("derivative", "phrase")
