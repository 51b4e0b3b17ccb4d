r"""What stands side by side in a formula: a call, the reach of a sum, or a product.

`f(x)` is a call if f is a function, a product if not; `\sum_j` and a function without
parentheses reach to the end of the product; what else stands side by side is
multiplied.
"""

import re

from lark import Token, Tree

from authoring.formulas.errors import ParseError
from authoring.formulas.tree import Node, latex, name, plain, stem

BIG = {r"\sum", r"\prod", r"\max", r"\min", r"\arg\max", r"\arg\min"}
BARE = {r"\exp", r"\log", r"\tanh", r"\sin", r"\cos", r"\mathrm{erf}"}  # need no ( )
ARGUMENTS = ("group", "brackets", "set")
OPERATORS = {r"\cdot": "dot", r"\odot": "odot", "/": "over", r"\cup": "cup"}


class Reader:
    """Build the nodes of a formula from lark's tree."""

    def __init__(self, source: str, functions: set[str]):
        """Read one formula.

        Args:
            source: its LaTeX, for errors.
            functions: the plain names of functions.
        """
        self.source, self.functions = source, functions

    def fail(self, message: str, node: Node) -> ParseError:
        """Return the error at a node."""
        return ParseError(message, self.source, node.at)

    def defined(self, statement: Tree) -> set[str]:
        """Return the plain name of the function that a statement defines, if any."""
        left = statement.children[0]
        if len(statement.children) < 3 or isinstance(left, Token):
            return set()
        factors = [] if len(left.children) > 1 else left.children[0].children
        if len(factors) != 2 or not all(isinstance(part, Tree) for part in factors):
            return set()
        if factors[1].children[0].data != "parentheses":
            return set()
        head = self.factor(factors[0])
        if stem(head).kind not in ("name", "word"):
            return set()
        return {plain(latex(head)), plain(latex(stem(head)))}

    def relation(self, tree: Tree) -> Node:
        """Read `a`, `a < b` or `a < b < c`."""
        signs = [str(part) for part in tree.children if isinstance(part, Token)]
        parts = [self.sum(part) for part in tree.children if isinstance(part, Tree)]
        if not signs:
            return parts[0]
        return Node("relation", tuple(parts), " ".join(signs), tree.meta.start_pos)

    def listed(self, tree: Tree) -> Node:
        """Read `a`, or `a, b; c`."""
        signs = [str(part) for part in tree.children if isinstance(part, Token)]
        parts = [self.relation(p) for p in tree.children if isinstance(p, Tree)]
        if not signs:
            return parts[0]
        return Node("list", tuple(parts), " ".join(signs), tree.meta.start_pos)

    def sum(self, tree: Tree) -> Node:
        """Read `a + b - c`; a term with a minus is a node "neg"."""
        terms: list[Node] = []
        sign = "+"
        for part in tree.children:
            if isinstance(part, Token):
                sign = str(part)
                if sign == "+" and not terms:
                    raise ParseError(
                        "a sum must not begin with +", self.source, at(part)
                    )
                continue
            term = self.term(part)
            if sign == r"\pm":
                if not terms:
                    raise self.fail(r"there must be something before \pm", term)
                left = terms[0] if len(terms) == 1 else Node("sum", tuple(terms))
                terms = [Node("pm", (left, term), "", tree.meta.start_pos)]
            else:
                minus = sign == "-"
                terms.append(Node("neg", (term,), "", term.at) if minus else term)
            sign = "+"
        if len(terms) == 1:
            return terms[0]
        return Node("sum", tuple(terms), "", tree.meta.start_pos)

    # --- what stands side by side --------------------------------------------------

    def term(self, tree: Tree) -> Node:
        """Read factors and the operators between them."""
        items = [
            str(part) if isinstance(part, Token) else self.factor(part)
            for part in tree.children
        ]
        return self.operated(items)

    def operated(self, items: list[Node | str]) -> Node:
        """Take all items: products, joined by operators from left to right."""
        left = self.juxtaposed(items)
        while items:
            operator = str(items.pop(0))
            right = self.juxtaposed(items)
            if operator == "/" and right.kind in ("product", "big"):
                raise self.fail("it is ambiguous what / divides by: use \\frac", right)
            left = Node(OPERATORS[operator], (left, right), "", left.at)
        return left

    def juxtaposed(self, items: list[Node | str]) -> Node:
        """Take the items up to the next operator: calls, and what is multiplied."""
        factors: list[Node] = []
        while items and isinstance(items[0], Node):
            node = items.pop(0)
            assert isinstance(node, Node)
            if bounds := big(node):
                if not items:
                    raise self.fail("there must be something behind this", node)
                body = self.operated(items)
                factors.append(bounds.changed(parts=(insert(bounds.parts, body))))
            elif items and self.is_called(node, items[0]):
                factors.append(call(node, items.pop(0)))  # type: ignore[arg-type]
            elif node.kind in ("name", "word", "sub") and latex(stem(node)) in BARE:
                factors.append(self.applied(node, items))
            else:
                factors.append(node)
        if any(factor.kind == "word" and " " in factor.text for factor in factors):
            return Node("phrase", tuple(factors), "", factors[0].at)
        factors = [opened(factor) for factor in factors]
        for factor in factors:
            if factor.kind == "list" and len(factors) > 1:
                raise self.fail("a list must stand behind a function", factor)
        if len(factors) == 1:
            return factors[0]
        return Node("product", tuple(factors), "", factors[0].at)

    def applied(self, function: Node, items: list[Node | str]) -> Node:
        r"""Read a function without parentheses: `\sin t\theta_i` takes the product."""
        if not items or isinstance(items[0], str):
            raise self.fail("this function must have an argument", function)
        nested = any(isinstance(i, Node) and latex(stem(i)) in BARE for i in items[1:])
        argument = self.juxtaposed(items)
        if items or nested:
            message = "it is ambiguous how far this function reaches: use parentheses"
            raise self.fail(message, function)
        return Node("call", (function, argument), "(", function.at)

    def is_called(self, node: Node, behind: Node | str) -> bool:
        """Whether a name is called with what stands behind it.

        That is so if it is the name of a function, or if a list stands there, which
        nothing can be multiplied with.
        """
        if not isinstance(behind, Node) or stem(behind).kind not in ARGUMENTS:
            return False
        if stem(node).kind not in ("name", "word"):
            return False
        if behind.kind == "group" and behind.parts[0].kind == "list":
            return " " not in stem(node).text
        whole, base = plain(latex(node)), plain(latex(stem(node)))
        return bool({whole, base} & self.functions)

    # --- one factor ----------------------------------------------------------------

    def factor(self, tree: Tree) -> Node:
        """Read an atom with its scripts: the lower one inside, the upper one outside.

        A prime belongs to the name.
        """
        node = self.atom(tree.children[0])
        scripts = [(str(s.data), s) for s in tree.children[1:]]
        if primes := "'" * sum(kind == "prime" for kind, _ in scripts):
            if node.kind not in ("name", "word"):
                raise self.fail("a prime must stand behind a name", node)
            node = node.changed(text=node.text + primes)
        for wanted, kind in (("below", "sub"), ("above", "sup")):
            found = [script for data, script in scripts if data == wanted]
            if len(found) > 1:
                raise self.fail("it has two scripts at the same place", node)
            for script in found:
                inner = self.argument(script.children[0])
                if kind == "sup" and inner == name(r"\top"):
                    node = Node("transpose", (node,), "", node.at)
                else:
                    node = Node(kind, (node, inner), "", node.at)
        return node

    def argument(self, tree: Tree) -> Node:
        """Read what stands in braces, or the one sign without."""
        (part,) = tree.children
        if isinstance(part, Token):
            kind = "number" if part.type == "NUMBER" else "name"
            kind = "word" if part.type == "WORD" else kind
            return Node(kind, (), str(part), at(part))
        inner = self.listed(part)
        # In `w^{(t)}`, what is in parentheses is a label.
        alone = self.source[part.meta.start_pos : part.meta.end_pos].strip()
        if inner.kind == "name" and alone.startswith("("):
            return Node("group", (inner,), "", inner.at)
        return inner

    def atom(self, tree: Tree) -> Node:
        """Read what has no scripts."""
        kind, start = str(tree.data), tree.meta.start_pos
        children = tree.children
        match kind:
            case "number" | "name" | "word" | "dots":
                text = re.sub(r"\s+", "" if kind == "name" else " ", str(children[0]))
                return Node(kind, (), text, start)
            case "parentheses":
                return Node("group", (self.listed(children[0]),), "", start)
            case "brackets" | "norm" | "floor" | "set":
                return Node(kind, (self.listed(children[0]),), "", start)
            case "bars":
                return Node("abs", (self.listed(children[1]),), "", start)
            case "sqrt":
                return Node("sqrt", (self.argument(children[0]),), "", start)
            case "binom":
                return Node("binom", tuple(map(self.argument, children)), "", start)
            case "accent":
                inner = self.argument(children[1])
                return name(f"{children[0]}{{{latex(inner)}}}", start)
            case "frac":
                return fraction([self.argument(part) for part in children[1:]], start)
        rows = [part for part in children if isinstance(part, Tree)]
        environment = "cases" if "cases" in str(children[0]) else "pmatrix"
        return Node(environment, tuple(map(self.row, rows)), "", start)

    def row(self, tree: Tree) -> Node:
        """Read a row of a matrix, or a case and its condition."""
        return Node(
            "row", tuple(map(self.listed, tree.children)), "", tree.meta.start_pos
        )


def at(token: Token) -> int:
    """Return where a token begins."""
    return token.start_pos or 0


def big(node: Node) -> Node | None:
    r"""Return a sum, product, max or arg max without its body, if it has bounds."""
    upper = node.parts[1] if node.kind == "sup" else None
    lower = node.parts[0] if node.kind == "sup" else node
    text = re.sub(r"\s+", "", stem(node).text)
    if text not in BIG or lower.kind != "sub":
        return None
    parts = (lower.parts[1],) if upper is None else (lower.parts[1], upper)
    return Node("big", parts, text, node.at)


def insert(parts: tuple[Node, ...], body: Node) -> tuple[Node, ...]:
    """Return the parts of a big operator: condition, body, upper bound."""
    return (parts[0], body, *parts[1:])


def opened(node: Node) -> Node:
    """Take parentheses away, which the tree says without them."""
    if node.kind == "group":
        return node.parts[0]
    if node.kind in ("sub", "sup", "transpose"):
        return node.changed(parts=(opened(node.parts[0]), *node.parts[1:]))
    return node


def call(function: Node, item: Node) -> Node:
    """Return a call; scripts of the parentheses are scripts of the call."""
    if item.kind in ("sub", "sup", "transpose"):
        inner = call(function, item.parts[0])
        return item.changed(parts=(inner, *item.parts[1:]), at=function.at)
    if item.kind == "set":
        return Node("call", (function, item), r"\{", function.at)
    opening = "(" if item.kind == "group" else "["
    return Node("call", (function, item.parts[0]), opening, function.at)


def fraction(parts: list[Node], at: int) -> Node:
    r"""Return a fraction, or a derivative if both sides begin with \partial."""
    if all(p.kind == "product" and p.parts[0] == name(r"\partial") for p in parts):
        inner = [
            p.parts[1] if len(p.parts) == 2 else p.changed(parts=p.parts[1:])
            for p in parts
        ]
        return Node(
            "derivative", tuple(Node("partial", (i,), "", i.at) for i in inner), "", at
        )
    return Node("frac", tuple(parts), "", at)
