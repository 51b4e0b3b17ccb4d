"""The tree of a formula: its nodes, how they print as LaTeX, and their plain names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

# How tightly a kind binds: a part that binds less than its place asks for is put into
# parentheses when it is printed.
LEVELS = {"relation": 0, "list": 0, "sum": 1, "neg": 1, "pm": 1}
LEVELS |= {"dot": 2, "odot": 2, "over": 2, "cup": 2, "big": 2, "product": 3}
OPERATORS = {"dot": r"\cdot", "odot": r"\odot", "over": "/", "cup": r"\cup"}
WORDS = re.compile(r"\\(?:mathrm|text|operatorname|mathcal)\s*\{\s*([^{}]*?)\s*\}")
DERIVATIVE = re.compile(r"\\[td]?frac\s*\{\\partial\s*(.*)\}\s*\{\\partial\s*(.*)\}$")


@dataclass(frozen=True)
class Node:
    r"""A part of a formula.

    Attributes:
        kind: what it is, such as "sum", "name" or "frac".
        parts: the nodes below it, in the order of the page.
        text: what a leaf says, or the sign of a relation, a list or an operator.
        at: where it begins in the LaTeX; equality does not ask for it.
    """

    kind: str
    parts: tuple["Node", ...] = ()
    text: str = ""
    at: int = field(default=-1, compare=False, repr=False)

    def walk(self) -> Iterator["Node"]:
        """Yield the node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def changed(self, **fields: object) -> "Node":
        """Return a copy with other fields."""
        return replace(self, **fields)  # type: ignore[arg-type]


def name(text: str, at: int = -1) -> Node:
    """Return the leaf of a name."""
    return Node("name", (), text, at)


def number(value: int, at: int = -1) -> Node:
    """Return the leaf of a whole number, negative ones with their sign in front."""
    leaf = Node("number", (), str(abs(value)), at)
    return leaf if value >= 0 else Node("neg", (leaf,), "", at)


def stem(node: Node) -> Node:
    """Return what carries the scripts."""
    while node.kind in ("sub", "sup", "transpose"):
        node = node.parts[0]
    return node


def plain(text: str) -> str:
    r"""Return a name as a test may write it: `\delta_{t+1}` is `delta_t+1`.

    Args:
        text: LaTeX, or a name that is plain already.
    """
    if found := DERIVATIVE.match(text.strip()):
        return f"d{plain(found[1])}/d{plain(found[2])}"
    text = WORDS.sub(r"\1", text)
    text = re.sub(r"\\(bar|hat|tilde)\s*\{?\s*(\\?[A-Za-z]+)\s*\}?", r"\1_\2", text)
    return re.sub(r"\\[,;:!> ]|[\\{}\s]", "", text)


def latex(node: Node, level: int = 0) -> str:
    """Print a node as LaTeX.

    Args:
        node: the node.
        level: how tightly it must bind where it stands.
    """
    if LEVELS.get(node.kind, 9) < level:
        return f"({latex(node)})"
    parts, text = node.parts, node.text
    match node.kind:
        case "number" | "name" | "dots" | "word":
            return text
        case "formula":
            return r" \qquad ".join(map(latex, parts))
        case "relation" | "list":
            signs = text.split()
            pieces = [latex(part, 1) for part in parts]
            if len(signs) == len(pieces) and node.kind == "relation":  # `<t`
                return " ".join(f"{a} {b}" for a, b in zip(signs, pieces, strict=True))
            signs.append("")
            text = " ".join(f"{a} {b}" for a, b in zip(pieces, signs, strict=True))
            return text.replace(" ,", ",").replace(" ;", ";").strip()
        case "sum":
            return signed(parts)
        case "neg":
            return "-" + latex(parts[0], 2)
        case "pm":
            return rf"{latex(parts[0], 1)} \pm {latex(parts[1], 2)}"
        case "product":
            return product(parts)
        case "dot" | "odot" | "over" | "cup":
            right = 4 if node.kind == "over" else 3
            left = latex(parts[0], 3 if parts[0].kind == "big" else 2)
            return f"{left} {OPERATORS[node.kind]} {latex(parts[1], right)}"
        case "big":
            bounds = "_{" + latex(parts[0]) + "}"
            if len(parts) == 3:
                bounds += "^{" + latex(parts[2]) + "}"
            return rf"{text}{bounds} {latex(parts[1], 2)}"
        case "sub" | "sup":
            sign = "_" if node.kind == "sub" else "^"
            inner = 9 if parts[0].kind not in ("sub", "sup") else 0
            base = latex(parts[0], inner)
            if node.kind == "sup" and parts[0].kind in ("sup", "transpose"):
                base = f"({base})"
            return base + sign + "{" + latex(parts[1]) + "}"
        case "transpose":
            base = latex(parts[0], 9)
            return (f"({base})" if parts[0].kind in ("sup", "transpose") else base) + (
                r"^{\top}"
            )
        case "call":
            opening, closing = {"(": "()", "[": "[]", r"\{": ("", "")}[text]
            return f"{latex(parts[0])}{opening}{latex(parts[1])}{closing}"
        case "frac" | "derivative":
            return rf"\frac{{{latex(parts[0])}}}{{{latex(parts[1])}}}"
        case "binom":
            return rf"\binom{{{latex(parts[0])}}}{{{latex(parts[1])}}}"
        case "row":
            return " & ".join(map(latex, parts))
        case "cases" | "pmatrix":
            rows = r" \\ ".join(map(latex, parts))
            return rf"\begin{{{node.kind}}} {rows} \end{{{node.kind}}}"
        case "partial":
            return rf"\partial {latex(parts[0], 4)}"
    left, right_sign = AROUND[node.kind]
    return f"{left} {' '.join(map(latex, parts))} {right_sign}"


AROUND = {
    "brackets": ("[", "]"),
    "group": ("(", ")"),
    "abs": ("|", "|"),
    "norm": (r"\lVert", r"\rVert"),
    "floor": (r"\lfloor", r"\rfloor"),
    "set": (r"\{", r"\}"),
    "sqrt": (r"\sqrt{", "}"),
    "phrase": ("", ""),
}


def signed(terms: tuple[Node, ...]) -> str:
    """Print the terms of a sum, each behind its sign."""
    text = latex(terms[0], 1 if terms[0].kind == "neg" else 2)
    for term in terms[1:]:
        minus = term.kind == "neg"
        text += f" {'-' if minus else '+'} {latex(term.parts[0] if minus else term, 2)}"
    return text


def product(factors: tuple[Node, ...]) -> str:
    """Print factors side by side: a sum over something reaches to the end."""
    last = len(factors) - 1
    pieces = [
        latex(factor, 2 if n == last and factor.kind == "big" else 4)
        for n, factor in enumerate(factors)
    ]
    text = pieces[0]
    for before, piece in zip(pieces, pieces[1:], strict=False):
        digits = before[-1].isdigit() and piece[0].isdigit()
        text += (r" \, " if digits else " ") + piece
    return text
