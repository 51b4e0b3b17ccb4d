"""A comparison in a text, "more than half" or "at most 3 points", against the expression that its mark gives.

more than half<!-- is: share > 0.5 --> of the errors      true in the run, with the number and the side of the text
below 90 %<!-- is: 100 * accuracy < 90 -->                digits as well
at least twice<!-- is: bench: fit["a"] >= 2 * fit["b"] --> as fast    true of the stored results
"""

import ast
import math
import re
from collections.abc import Iterator

MORE = re.compile(
    r"\b(?:more|above|over|beyond|exceed(?:s|ed)?|least|longer|larger|greater|higher|better|past)\b", re.I
)
LESS = re.compile(
    r"\b(?:less|fewer|below|under|most|within|up to|lower|shorter|smaller|worse|hardly|nearly|almost"
    r"|not (?:even|quite))\b",
    re.I,
)
TURNED = re.compile(r"\b(?:no|not|never|nor|hardly)\s(?:\w+\s)?$|n[’']t\s(?:\w+\s)?$", re.I)
SIDES = {ast.Gt: 1, ast.GtE: 1, ast.Lt: -1, ast.LtE: -1}


def side(before: str, after: str) -> int:
    """Return on which side of its number a text says that the value lies: 1 above, -1 below, 0 if it does not say.

    Args:
        before: the words before the number.
        after: the words behind it, such as "or more".
    """
    if behind := re.match(r"\W*(?:or|and)\s(more|above|less|fewer|below)\b", after):
        return 1 if behind[1] in ("more", "above") else -1
    nearby = " ".join(before.split()[-5:]) + " "
    found = [(match, sign) for words, sign in ((MORE, 1), (LESS, -1)) for match in words.finditer(nearby)]
    if not found:
        return 0
    last, sign = max(found, key=lambda one: one[0].start())
    return -sign if TURNED.search(nearby[: last.start()]) else sign


def constant(node: ast.expr) -> float | None:
    """Return the value of an expression without names, None of any other."""
    if any(isinstance(part, ast.Name | ast.Call) for part in ast.walk(node)):
        return None
    return float(eval(compile(ast.Expression(node), "", "eval")))


def bounds(tree: ast.AST) -> Iterator[tuple[float, int]]:
    """Yield each number that an expression compares a value with, and on which side of it the value must lie.

    That is a side of the comparison, as in `share > 0.5`; or, if none is a number, a factor, as in `a >= 2 * b`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            for left, operator, right in zip(parts, node.ops, parts[1:], strict=False):
                sides = [(right, 1), (left, -1)]
                if constant(left) is None and constant(right) is None:
                    products = [(part, turn) for part, turn in sides if isinstance(part, ast.BinOp)]
                    sides = [(factor, turn) for part, turn in products for factor in (part.left, part.right)]
                for part, turn in sides:
                    value = constant(part)
                    if value is not None and type(operator) in SIDES:
                        yield value, turn * SIDES[type(operator)]


def fault(number: float, before: str, after: str, expression: str) -> str | None:
    """Return what is wrong with a comparison as it is written, whether or not it holds."""
    said = side(before, after)
    if not said:
        return "is: belongs to a comparison: more than, less than, at least, at most, …"
    found = list(bounds(ast.parse(expression, mode="eval")))
    same = [sign for value, sign in found if any(math.isclose(value, number * by) for by in (1, 100, 0.01))]
    if not same:
        return f"the expression must compare with the number of the text, {number:.6g}"
    if said not in same:
        return f"the text says {'more' if said > 0 else 'less'} than {number:.6g}, the expression the opposite"
    return None
