"""A notebook is stored executed in order, without warnings, with three figures that have alt texts, below 800 KB."""

from pathlib import Path

from nbformat import NotebookNode

from authoring.book import ROOT, code_cells, pages, read
from authoring.locks import unseen

FIGURES = 3
LARGEST = 800_000  # bytes
SHORTEST = 20  # letters of an alt text


def unexecuted(cells: list[NotebookNode]) -> list[str]:
    """Return which code cells do not hold what a run from top to bottom leaves."""
    found, count = [], 0
    for number, cell in enumerate(cells):
        where = f"cell {number}, {cell.source[:50]!r}"
        if cell.source.strip():
            count += 1
            if cell.execution_count is None:
                found.append(f"{where}: it was never executed: run `make notebooks`")
            elif cell.execution_count != count:
                found.append(
                    f"{where}: execution counts must run 1, 2, 3, …: got {cell.execution_count} instead of {count}: "
                    "run `make notebooks`"
                )
        if any(output.get("name") == "stderr" for output in cell.outputs):
            found.append(f"{where}: its stored output holds stderr: silence the cause and run `make notebooks`")
    return found


def undescribed(cells: list[NotebookNode]) -> list[str]:
    """Return what is wrong with the figures that code cells show: there are too few, or one has no alt text."""
    found, figures = [], 0
    for cell in cells:
        shown = sum("image/png" in output.get("data", {}) for output in cell.outputs)
        figures += shown
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if shown and len(alt) < SHORTEST:
            found.append(f"the cell {cell.source[:50]!r} must say what its figure shows: metadata mystnb.image.alt")
    if figures < FIGURES:
        found.append(f"a chapter must have at least {FIGURES} figures: got {figures}")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the notebooks as they are stored."""
    found, looked_at = [], {}
    for page, (path, _) in pages(root).items():
        if path.suffix != ".ipynb":
            continue
        cells = code_cells(read(path))
        looked_at[page] = len(cells)
        problems = unexecuted(cells) + undescribed(cells)
        if path.stat().st_size >= LARGEST:
            problems.append(f"must be smaller than {LARGEST // 1000} KB: got {path.stat().st_size // 1000}; draw less")
        found += [f"{page}: {problem}" for problem in problems]
    return found + unseen(looked_at, "code cells", root)
