"""A chapter has at least four exercises, each with a hint and a solution that asserts that it is right."""

from pathlib import Path

from nbformat import NotebookNode

from authoring.book import ROOT, chapters, tags
from authoring.locks import unseen
from authoring.locks.outputs import parse, states_property

FEWEST = 4
HINT = "<summary>Hint</summary>"


def solutions(nb: NotebookNode) -> list[NotebookNode]:
    """Return the cells of a notebook that hold solutions."""
    return [cell for cell in nb.cells if "hide-cell" in tags(cell) and cell.source.startswith("# @title Solution")]


def incomplete(nb: NotebookNode) -> list[str]:
    """Return what is missing in the exercises of a notebook."""
    start = next((n for n, cell in enumerate(nb.cells) if cell.source.startswith("## Exercises")), None)
    if start is None:  # the checks of the text's numbers stand right before it
        return ["a cell must begin with ## Exercises (two blank lines before it in the text view)"]
    found, solved, text, count = [], solutions(nb), "", 0
    for cell in nb.cells[start:]:
        if cell.cell_type == "markdown":
            text += cell.source + "\n"
        elif cell in solved:
            count += 1
            if not cell.source.startswith(f"# @title Solution {count}\n"):
                found.append(f"solutions must be numbered from 1 on: got {cell.source[:30]!r} as number {count}")
            if HINT not in text:
                found.append(f"exercise {count} must have a hint: <details>{HINT}…</details>")
            if not states_property(parse(cell.source), {}):  # `assert True` states none
                found.append(f"solution {count} must assert that it is right")
            text = ""
    if count < FEWEST:
        found.append(f"there must be at least four exercises with solutions: got {count}")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return what is missing in the exercises of each notebook."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        looked_at[page] = len(solutions(nb))
        found += [f"{page}: {problem}" for problem in incomplete(nb)]
    return found + unseen(looked_at, "solutions", root)
