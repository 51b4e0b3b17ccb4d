"""The value of lists, sets and what stands in brackets."""

import numpy as np

from authoring.formulas import bounds
from authoring.formulas.definitions import is_leaf, key, names_in
from authoring.formulas.nodes import Nodes
from authoring.formulas.tree import Node, number
from authoring.formulas.values import Value


class Lists(Nodes):
    """The value of a node that holds several things."""

    def _brackets(self, node: Node) -> Value:
        (inner,) = node.parts
        if inner.kind == "list":
            parts = [np.atleast_1d(value) for value in self.listed(inner)]
            if not parts:
                raise self.fail("there must be something to join", node)
            return np.concatenate(parts)
        found = self.value(inner)
        return int(found) if isinstance(found, bool) else found

    def _phrase(self, node: Node) -> Value:
        """Ask the test whether a condition in words holds for what is bound."""
        if key(node) not in self.names:
            raise self.fail("the test must say whether this holds", node)
        bound = {n: self.scope[n] for n in names_in(node) if n in self.scope}
        return bool(self.called(self.names[key(node)], [], node, **bound))

    def _set(self, node: Node) -> Value:
        (inner,) = node.parts
        if inner.kind == "list" and inner.text.split()[0] == ":":
            variable = inner.parts[0]
            variable = variable if is_leaf(variable) else variable.parts[0]
            found = [self.scope[key(variable)] for _ in bounds.each(self, inner)]
        else:
            found = self.listed(inner)
        return tuple(dict.fromkeys(found))

    def listed(self, node: Node) -> list[Value]:
        r"""Return the values of a list; `a_1, \dots, a_n` stands for all between."""
        if node.kind != "list":
            return [self.value(node)]
        found: list[Value] = []
        parts = [*node.parts]
        while parts:
            part = parts.pop(0)
            if len(parts) > 1 and parts[0].kind == "dots":
                last = parts[1]
                del parts[:2]
                low, high = differing(part, last)
                for n in range(self.whole(low), self.whole(high) + 1):
                    found.append(self.value(replaced(part, low, number(n))))
            else:
                found.append(self.value(part))
        return found


def differing(a: Node, b: Node) -> tuple[Node, Node]:
    """Return the one place where two nodes differ, in each of them."""
    alike = a.kind == b.kind and a.text == b.text and len(a.parts) == len(b.parts)
    pairs = [(p, q) for p, q in zip(a.parts, b.parts, strict=False) if p != q]
    return differing(*pairs[0]) if alike and len(pairs) == 1 else (a, b)


def replaced(node: Node, old: Node, new: Node) -> Node:
    """Return a node with one of those below it, the very same, replaced."""
    if node is old:
        return new
    return node.changed(parts=tuple(replaced(part, old, new) for part in node.parts))
