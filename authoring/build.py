"""Bring notebooks up to date: set-up cell, listings, prose checks, outputs. The same bytes on every run.

    python -m authoring.build                                  every notebook in _toc.yml that has changed
    python -m authoring.build book/algorithms/forward.ipynb    this one, if it has changed
    python -m authoring.build --force …                        execute it even if it has not
    python -m authoring.build --check                          execute nothing; print what any lock finds wrong

A notebook is executed when its code cells have changed since the last time, or what they use of the package.
Cells tagged nbval-ignore-output keep what they have stored until their source changes: times differ on every run.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from authoring import locks, setup_cell
from authoring.book import ROOT, code_cells, dumps, notebooks, read, tags, write
from authoring.definitions import uses
from authoring.execute import execute, is_executed, normalise
from authoring.locks import listings, numbers


def digest(nb: NotebookNode, root: Path = ROOT) -> str:
    """Return a fingerprint of all that the outputs of a notebook were made from.

    Of the tags, one alone changes how a cell is executed; what others say is how its output is shown or compared.
    """
    cells = [cell for cell in code_cells(nb) if "setup" not in tags(cell)]
    fails = ["raises-exception" in tags(cell) for cell in cells]
    codes = [cell.source for cell, is_wrong in zip(cells, fails, strict=True) if not is_wrong]
    whole = json.dumps([[cell.source for cell in cells], fails, uses(codes, root)])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def prepare(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Write the generated cells and fold the solutions of a notebook; return what only its author can mend."""
    setup_cell.rewrite(nb, root)
    found = listings.rewrite(nb, root)
    for cell in nb.cells:
        if "hide-cell" in tags(cell) and cell.source.startswith("# @title"):
            cell.metadata["jupyter"], cell.metadata["cellView"] = {"source_hidden": True}, "form"
            cell.metadata.setdefault("mystnb", {}).setdefault("code_prompt_show", "Show the solution")
    return found + numbers.rewrite(nb, root)


def build(path: Path, root: Path = ROOT, force: bool = False, check: bool = False) -> str:
    """Bring one notebook up to date, or only look.

    Args:
        path: the notebook.
        root: the folder of the book.
        force: execute the notebook even if nothing changed.
        check: execute and write nothing.

    Returns:
        What there was to do: "up to date", "rewritten", "executed" or "executed, the same".

    Raises:
        ValueError: its author must mend it; or, with check, it is out of date.
        CellExecutionError: a cell failed.
    """
    nb = read(path)
    if found := prepare(nb, root):
        raise ValueError("\n  ".join(["its author must mend:", *found]))
    built_from = digest(nb, root)
    stale = not is_executed(nb) or nb.metadata.get("dlbook", {}).get("built_from") != built_from
    if check and stale:
        raise ValueError("its outputs are older than its code or what that uses of the package: run `make notebooks`")
    if stale or force:
        stored, nb = nb.cells, normalise(execute(nb, path.parent))
        for old, cell in zip(stored, nb.cells, strict=True):
            unchanged = old.id == cell.id  # an id is made from the source, and what edits cells leaves it alone
            if "nbval-ignore-output" in tags(cell) and unchanged and old.get("outputs"):
                cell.outputs = old.outputs
    nb.metadata.setdefault("dlbook", {})["built_from"] = built_from
    if dumps(normalise(nb)) == path.read_text(encoding="utf-8"):
        return "executed, the same" if stale or force else "up to date"
    if check:
        raise ValueError("its generated cells or its layout are out of date: run `make notebooks`")
    write(nb, path)
    return "executed" if stale or force else "rewritten"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks; default: all in _toc.yml")
    parser.add_argument("--check", action="store_true", help="execute nothing; fail if something is wrong")
    parser.add_argument("--force", action="store_true", help="execute even what has not changed")
    options = parser.parse_args(arguments)
    if options.check and not options.paths:
        return locks.main([], root)
    failed = 0
    for path in options.paths or notebooks(root):
        start = time.perf_counter()
        try:
            outcome = build(path.resolve(), root, options.force, options.check)
        except (SyntaxError, ValueError, RuntimeError, TimeoutError, CellExecutionError) as error:
            outcome, failed = str(error), 1
        print(f"{path}: {outcome} ({time.perf_counter() - start:.1f} s)", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
