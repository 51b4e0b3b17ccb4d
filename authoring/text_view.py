"""A text view of a notebook, for editing.

    python -m authoring.text_view out book/algorithms/forward.ipynb       writes _build/text/algorithms/forward.md
    python -m authoring.text_view in _build/text/algorithms/forward.md    writes book/algorithms/forward.ipynb

Cells whose source has not changed keep their outputs. The set-up cell and the prose check are not in the text: they are
written anew on the way back. Tags and alt texts stand in the first line of a code cell.

Neither overwrites a newer edit unless told to by --force: beside the text, forward.json records which cells and which
text agreed last.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import jupytext
from nbformat import NotebookNode, from_dict

from authoring.book import ROOT, code_cells, read, tags, write
from authoring.build import prepare
from authoring.execute import normalise

FILTERS = {"notebook_metadata_filter": "dlbook,-all", "cell_metadata_filter": "tags,mystnb,-all"}


def to_text(nb: NotebookNode) -> str:
    """Return the text view of a notebook."""
    nb = from_dict({**nb, "cells": [cell for cell in nb.cells if not {"setup", "prose-check"} & set(tags(cell))]})
    for cell in nb.cells:  # each program that saves notebooks has its own order
        cell.metadata = from_dict(dict(sorted(cell.metadata.items())))
    nb.metadata = from_dict({"jupytext": FILTERS} | settings(nb))
    return jupytext.writes(nb, fmt="md")


def settings(nb: NotebookNode) -> dict[str, dict[str, Any]]:
    """Return what an author sets for a whole notebook."""
    stored = nb.metadata.get("dlbook", {})
    found = {name: stored[name] for name in ("edition", "extras") if stored.get(name)}
    return {"dlbook": found} if found else {}


def from_text(text: str, stored: NotebookNode, root: Path = ROOT) -> tuple[NotebookNode, list[str]]:
    """Return the notebook that a text view means, with the outputs that it had, and what its author must mend."""
    nb = jupytext.reads(text, fmt="md")
    nb.metadata = from_dict({"dlbook": stored.metadata.get("dlbook", {}) | nb.metadata.get("dlbook", {})})
    faults = prepare(nb, root)
    had = code_cells(stored)
    for cell in code_cells(nb):
        same = next((old for old in had if old.source == cell.source), None)
        if same is not None:
            had.remove(same)
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
    return normalise(nb), faults


# --- which is newer ---------------------------------------------------------------------------------------------------


def fingerprint(text: str) -> str:
    """Return a fingerprint of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def agreed(text_path: Path) -> dict[str, str]:
    """Return the fingerprints of the notebook and of the text when they agreed last; none if that is not known."""
    record = text_path.with_suffix(".json")
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def agree(nb: NotebookNode, text: str, text_path: Path) -> None:
    """Record that a notebook and its text agree."""
    record = {"notebook": fingerprint(to_text(nb)), "text": fingerprint(text)}
    text_path.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8", newline="\n")


def take_out(path: Path, text_path: Path, force: bool) -> None:
    """Write the text view of a notebook.

    Raises:
        FileExistsError: the text was edited and not taken back.
    """
    nb = read(path)
    text = to_text(nb)
    if text_path.is_file() and not force:
        there = text_path.read_text(encoding="utf-8")
        if there != text and fingerprint(there) != agreed(text_path).get("text"):
            raise FileExistsError("was edited and not taken back: take it back, or overwrite it with --force")
    text_path.parent.mkdir(parents=True, exist_ok=True)
    text_path.write_text(text, encoding="utf-8", newline="\n")
    agree(nb, text, text_path)


def take_in(text_path: Path, path: Path, force: bool, root: Path = ROOT) -> list[str]:
    """Write the notebook that a text view means; return what its author must mend.

    Raises:
        FileExistsError: the notebook was edited after the text was made from it.
    """
    stored = from_dict({"cells": [], "metadata": {}})
    if path.is_file():
        stored = read(path)
        if not force and fingerprint(to_text(stored)) != agreed(text_path).get("notebook"):
            raise FileExistsError("is not what the text was made from: copy its edits, or overwrite them with --force")
    text = text_path.read_text(encoding="utf-8")
    nb, faults = from_text(text, stored, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(nb, path)
    agree(nb, text, text_path)
    return faults


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("direction", choices=["out", "in"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--force", action="store_true", help="overwrite even what was edited")
    options = parser.parse_args(arguments)
    book, texts, failed = root / "book", root / "_build" / "text", 0
    for path in map(Path.resolve, options.paths):
        faults: list[str] = []
        out = options.direction == "out"
        target = texts / path.relative_to(book) if out else book / path.relative_to(texts)
        target = target.with_suffix(".md" if out else ".ipynb")
        shown = target.relative_to(root).as_posix()
        try:
            if out:
                take_out(path, target, options.force)
            else:
                faults = take_in(path, target, options.force, root)
        except FileExistsError as error:
            print(f"{shown} {error}")
            failed = 1
            continue
        for fault in faults:
            print(fault)
        print(f"wrote {shown}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
