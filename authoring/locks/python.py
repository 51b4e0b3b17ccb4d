"""The code of a notebook is plain Python: no magics, and no import of all names."""

import ast
from pathlib import Path

from authoring.book import ROOT, chapters, code_cells, tags
from authoring.locks import unseen


def impure(source: str) -> list[str]:
    """Return what is not plain Python in a code cell."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:  # a magic is one
        return [f"must be plain Python, without magics: {error.msg}, line {error.lineno}"]
    found = []
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        found.append("must name what it imports, not *")
    if "get_ipython" in source:
        found.append("must not use magics: got get_ipython")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return the code cells that are not plain Python; the generated set-up cell may be none."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        cells = [cell for cell in code_cells(nb) if "setup" not in tags(cell)]
        looked_at[page] = len(cells)
        found += [f"{page}, the cell {cell.source[:40]!r}: {what}" for cell in cells for what in impure(cell.source)]
    return found + unseen(looked_at, "code cells", root)
