"""The book as its authors wrote it: the pages that _toc.yml names, their section numbers, their notebooks."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]


def pages(root: Path = ROOT) -> dict[str, tuple[Path, str]]:
    """Return the file and the section number of each page in _toc.yml, in its order ("" where it has no number)."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found: dict[str, tuple[Path, str]] = {}

    def visit(entries: list[dict[str, Any]], prefix: str, count: Iterator[int] | None) -> None:
        for entry in entries:
            files = [path for ending in (".ipynb", ".md") if (path := root / (entry["file"] + ending)).is_file()]
            if not files:
                raise ValueError(f"_toc.yml must name files that exist: got {entry['file']}, found no .ipynb or .md")
            number = f"{prefix}{next(count)}" if count else ""
            found[entry["file"]] = (files[0], number)
            visit(entry.get("sections", []), f"{number}.", itertools.count(1) if count else None)

    visit([{"file": toc["root"]}], "", None)
    chapters = itertools.count(1)  # Jupyter Book counts on from one numbered part to the next
    for part in toc["parts"]:
        visit(part["chapters"], "", chapters if part.get("numbered") else None)
    return found


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return every notebook that _toc.yml names, in its order."""
    return [path for path, _ in pages(root).values() if path.suffix == ".ipynb"]


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def take(nb: NotebookNode, tag: str) -> NotebookNode:
    """Take the cell with a tag out of a notebook, or make one."""
    mine = [cell for cell in nb.cells if tag in tags(cell)]
    nb.cells = [cell for cell in nb.cells if tag not in tags(cell)]
    return mine[0] if mine else nbformat.v4.new_code_cell()


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def markdown(path: Path) -> str:
    """Return the text of a page; of a notebook, its Markdown cells one after the other."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def dumps(nb: NotebookNode) -> str:
    """Return a notebook as the text of its file."""
    nbformat.validate(nb)
    return nbformat.writes(nb).rstrip("\n") + "\n"


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(dumps(nb), encoding="utf-8", newline="\n")
    beside.replace(path)
