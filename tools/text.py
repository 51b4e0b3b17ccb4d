"""A text view of a notebook, for editing.

    python -m tools.text out book/algorithms/forward.ipynb       writes _build/text/algorithms/forward.md
    python -m tools.text in _build/text/algorithms/forward.md    writes book/algorithms/forward.ipynb

Cells whose source has not changed keep their outputs. The set-up cell and the prose check are not in the text: they are
written anew on the way back. Tags and alt texts stand in the first line of a code cell.
"""

import argparse
from pathlib import Path

import jupytext
from nbformat import NotebookNode, from_dict

from tools.book import ROOT, read, tags, write
from tools.build import prepare
from tools.execute import normalise

FILTERS = {"notebook_metadata_filter": "dlbook,-all", "cell_metadata_filter": "tags,mystnb,-all"}


def to_text(nb: NotebookNode) -> str:
    """Return the text view of a notebook."""
    nb = from_dict({**nb, "cells": [cell for cell in nb.cells if not {"setup", "prose-check"} & set(tags(cell))]})
    extras = nb.metadata.get("dlbook", {}).get("extras")
    nb.metadata = from_dict({"jupytext": FILTERS} | ({"dlbook": {"extras": extras}} if extras else {}))
    return jupytext.writes(nb, fmt="md")


def from_text(text: str, stored: NotebookNode, root: Path = ROOT) -> tuple[NotebookNode, list[str]]:
    """Return the notebook that a text view means, with the outputs that it had, and what its author must mend."""
    nb = jupytext.reads(text, fmt="md")
    nb.metadata = from_dict({"dlbook": stored.metadata.get("dlbook", {}) | nb.metadata.get("dlbook", {})})
    faults = prepare(nb, root)
    had = [cell for cell in stored.cells if cell.cell_type == "code"]
    for cell in nb.cells:
        same = next((old for old in had if cell.cell_type == "code" and old.source == cell.source), None)
        if same is not None:
            had.remove(same)
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
    return normalise(nb), faults


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("direction", choices=["out", "in"])
    parser.add_argument("paths", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    book, texts = root / "book", root / "_build" / "text"
    for path in map(Path.resolve, options.paths):
        out = options.direction == "out"
        target = texts / path.relative_to(book) if out else book / path.relative_to(texts)
        target = target.with_suffix(".md" if out else ".ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        if out:
            target.write_text(to_text(read(path)), encoding="utf-8", newline="\n")
        else:
            stored = read(target) if target.is_file() else from_dict({"cells": [], "metadata": {}})
            nb, faults = from_text(path.read_text(encoding="utf-8"), stored, root)
            write(nb, target)
            print(*faults, sep="\n", end="\n" * bool(faults))
        print(f"wrote {target.relative_to(root)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
