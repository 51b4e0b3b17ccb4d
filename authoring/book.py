"""The book as its authors wrote it: the pages that _toc.yml names, their section numbers, their notebooks.

Notebooks are read as JupyterLab, VS Code and Colab save them (nbformat 4.0 to 4.5), and written in one form.
"""

import hashlib
import itertools
import json
import re
import subprocess
import warnings
from collections import Counter
from collections.abc import Iterator, MutableMapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import nbformat
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 88  # of the lines in notebooks


class Parser(MarkdownIt):
    """Parses each text once: several locks ask for the same one, and nobody changes its tokens."""

    @lru_cache(maxsize=4096)  # noqa: B019  (there is one parser)
    def parse(self, src: str, env: MutableMapping[str, Any] | None = None) -> list[Token]:
        """Return the tokens of a text."""
        return super().parse(src, env)


PARSER = Parser("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


# --- pages ------------------------------------------------------------------------------------------------------------


parsed = cache(yaml.safe_load)  # of a text; many ask for the pages


def pages(root: Path = ROOT) -> dict[str, tuple[Path, str]]:
    """Return the file and the section number of each page in _toc.yml, in its order ("" where it has no number)."""
    toc = parsed((root / "_toc.yml").read_text(encoding="utf-8"))
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


def chapters(root: Path = ROOT) -> Iterator[tuple[str, NotebookNode]]:
    """Yield each notebook that _toc.yml names: its page, such as book/algorithms/forward, and what it holds."""
    for page, (path, _) in pages(root).items():
        if path.suffix == ".ipynb":
            yield page, read(path)


def markdown(path: Path) -> str:
    """Return the text of a page; of a notebook, its Markdown cells one after the other."""
    text = path.read_text(encoding="utf-8")
    return markdown_of(text) if path.suffix == ".ipynb" else text


@lru_cache(maxsize=256)  # most locks ask for it
def markdown_of(text: str) -> str:
    """Return the Markdown cells of a notebook, one after the other."""
    return "\n\n".join(cell.source for cell in markdown_cells(parsed_notebook(text)))


def texts(root: Path = ROOT) -> dict[str, str]:
    """Return the Markdown text of each notebook that _toc.yml names, by its page."""
    return {page: markdown(path) for page, (path, _) in pages(root).items() if path.suffix == ".ipynb"}


def without_header(path: Path) -> str:
    """Return the text of a Markdown page without the settings between --- and --- at its head."""
    return re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)


# --- cells ------------------------------------------------------------------------------------------------------------


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def markdown_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the Markdown cells of a notebook."""
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def take(nb: NotebookNode, tag: str) -> NotebookNode:
    """Take the cell with a tag out of a notebook, or make one."""
    mine = [cell for cell in nb.cells if tag in tags(cell)]
    nb.cells = [cell for cell in nb.cells if tag not in tags(cell)]
    return mine[0] if mine else nbformat.v4.new_code_cell()


def identify(nb: NotebookNode) -> None:
    """Give each cell, in place, an id made from its source; a second cell of one source gets "-2" behind it."""
    seen: Counter[str] = Counter()
    for cell in nb.cells:
        key = hashlib.sha256((cell.cell_type + cell.source).encode()).hexdigest()[:10]
        seen[key] += 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"


@cache  # several locks ask for the same code, and the formatter is a process of its own
def formatted(code: str) -> str:
    """Return code of a notebook in the one form, in lines that fit on the page."""
    from ruff.__main__ import find_ruff_bin  # here: readers who only run the notebooks' tests need no formatter

    command = [find_ruff_bin(), "format", "--isolated", "--line-length", str(WIDTH), "-"]
    return subprocess.run(command, input=code, capture_output=True, check=True, encoding="utf-8").stdout.strip()


# --- results ----------------------------------------------------------------------------------------------------------


parsed_json = cache(json.loads)  # of a text; nobody changes what it holds


def texts_of_results(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each file in benchmarks/results, by the name that marks and claims use for it."""
    paths = sorted((root / "benchmarks" / "results").glob("*.json"))
    return {path.stem.replace("-", "_"): path.read_text(encoding="utf-8") for path in paths}


def results(root: Path = ROOT) -> dict[str, Any]:
    """Read benchmarks/results, by the names that marks and claims use."""
    return {name: parsed_json(text) for name, text in texts_of_results(root).items()}


# --- files ------------------------------------------------------------------------------------------------------------


def read(path: Path) -> NotebookNode:
    """Read a notebook; cells without an id, as Colab saves them, get one that belongs to no source."""
    return copied(parsed_notebook(path.read_text(encoding="utf-8")))


def copied(part: Any) -> Any:
    """Return a copy of a notebook, or of a part of it."""
    if isinstance(part, dict):
        node = NotebookNode()
        dict.update(node, {name: copied(value) for name, value in part.items()})  # each value is one already
        return node
    return [copied(value) for value in part] if isinstance(part, list) else part


@lru_cache(maxsize=256)
def parsed_notebook(text: str) -> NotebookNode:
    """Return the notebook that a text holds, to make copies from: to validate it takes ten times as long as to copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        warnings.simplefilter("ignore", DuplicateCellId)
        nb = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(nb.cells):
        cell.setdefault("id", f"none-{number}")
        cell.source = cell.source.replace("\r\n", "\n")
        if cell.cell_type == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)
    nb.nbformat_minor = 5  # the first version whose cells have ids
    return nb


def dumps(nb: NotebookNode) -> str:
    """Return a notebook as the text of its file."""
    nbformat.validate(nb)
    return nbformat.writes(nb).rstrip("\n") + "\n"


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(dumps(nb), encoding="utf-8", newline="\n")
    beside.replace(path)
