"""What stands after ± beside a number of the text is three times what another processor changes at most, or rounding.

`python -m authoring.spread` records in book/spread.json by how much the expression behind each marked number differs
between machines. A half-width may be three times that, or what the printed number leaves open: half a unit of its last
digit, where zeros at the end of a whole number are no digits as far as they are within a tenth of it (1,200 ± 50).
Words have rules of their own: words.py.
"""

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from authoring.book import ROOT, chapters
from authoring.locks import numbers, outputs, unseen

IN_DIGITS = re.compile(rf"{numbers.NUMBER}(?:{numbers.UNIT})?$")


def left_open(number: str) -> float:
    """Return how far a value may lie from a number that it is printed as."""
    printed = Decimal(number)
    unit = 10.0 ** int(printed.as_tuple().exponent)
    if unit < 1:
        return unit / 2
    rounded = 10.0 ** int(printed.normalize().as_tuple().exponent)  # 1200 is 1.2e3
    return max(unit / 2, min(rounded / 2, abs(float(printed)) / 10))


def allowed(number: str, spread: float) -> float:
    """Return the widest ± of a number whose value differs by so much between machines."""
    return max(3 * spread, left_open(number))


def unfounded(marks: Iterable[numbers.Mark], spreads: dict[str, float]) -> list[str]:
    """Return the half-widths that are wider than what was measured."""
    found = []
    for context, number, expression, tolerance in marks:
        widest = allowed(number, spreads.get(expression, 0.0))
        if IN_DIGITS.search(context) and float(tolerance) > widest * (1 + 1e-9):
            found.append(f"“{context} ± {tolerance}” may be at most ± {widest:.3g}: run `python -m authoring.spread`")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return the half-widths that nothing bears out, and the chapters whose numbers were not measured."""
    found, looked_at = [], {}
    records = json.loads((root / outputs.RECORD).read_text(encoding="utf-8"))
    for page, nb in chapters(root):
        spreads = records.get(f"{page}.ipynb", {}).get("numbers")
        marks = numbers.of_the_run(nb, root)
        looked_at[page] = len(marks)
        if spreads is not None:
            found += [f"{page}: {fault}" for fault in unfounded(marks, spreads)]
        else:
            found.append(f"{page}: the spread of its numbers was not recorded: run `python -m authoring.spread`")
    return found + unseen(looked_at, "half-widths", root)
