"""The catalogue of planted faults: a copy of the book, what harms it, and the lock that must notice.

    plants("markdown", "a role of MyST")(text(r"\\. ", r" (see {ref}`here`). ", "{ref}`here`"))

    @plants("listings")
    def the_package_changes_under_a_listing(book): ...

Each kind has a name, a function that harms a copy in one place, and words that the fault's line must hold, which name
the place. The kinds are in the modules `planted_in_…` beside this; `python -m authoring.locks --list` counts them by
the lines that begin with `plants(` or `@plants(`.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from nbformat import NotebookNode

from authoring.book import code_cells, markdown_cells, notebooks, parsed, read, tags, write
from authoring.locks.claims import edition

FOLDERS = ("book", "dlbook", "benchmarks", "tests")
LEFT_OUT = ("__pycache__", ".ipynb_checkpoints", "_static", "authoring", "site")  # of these, what no lock reads
FILES = ("_toc.yml", "_config.yml", "pyproject.toml", "CHANGELOG.md", "README.md")
MEND = "mend the catalogue: found no place to plant this in"


# --- the copy ---------------------------------------------------------------------------------------------------------


def copy(source: Path, root: Path, copy_file: Callable[..., Any] = os.link) -> Path:
    """Copy what the locks read of a book; with hard links, which cost little, since `Book` never writes into a file."""
    for name in FOLDERS:
        shutil.copytree(
            source / name,
            root / name,
            copy_function=copy_file,
            ignore=shutil.ignore_patterns(*LEFT_OUT),
        )
    for name in FILES:
        copy_file(source / name, root / name)
    return root


def restore(source: Path, root: Path) -> None:
    """Undo what was done to a copy of hard links: what is new goes; what is gone, or another file, is linked again."""
    right, found = dict(inventory(source)), dict(inventory(root))
    for name in sorted(found.keys() - right.keys(), reverse=True):  # what is in a folder before the folder
        path = root / name
        path.rmdir() if path.is_dir() else path.unlink()
    for name, number in sorted(right.items()):
        if number is None:
            (root / name).mkdir(exist_ok=True)
        elif found.get(name) != number:
            (root / name).unlink(missing_ok=True)
            os.link(source / name, root / name)


def inventory(root: Path, below: str = "") -> Iterator[tuple[str, int | None]]:
    """Yield the relative path of each file and folder, and the file's number on the disk, which hard links share."""
    for entry in os.scandir(root / below):
        name = f"{below}{entry.name}"
        yield name, None if entry.is_dir() else entry.inode()
        if entry.is_dir():
            yield from inventory(root, f"{name}/")


def shorten(root: Path, pages: Sequence[str]) -> None:
    """Leave only some pages in _toc.yml, for the locks that take one page after the other."""
    path = root / "_toc.yml"
    first = parsed(path.read_text(encoding="utf-8"))["root"]
    chapters = [{"file": page} for page in pages if page != first]
    toc = {"format": "jb-book", "root": first, "parts": [{"numbered": True, "chapters": chapters}]}
    put(path, yaml.safe_dump(toc))


def put(path: Path, content: str) -> None:
    """Write a file anew; the one that it was linked to stays as it is."""
    path.unlink(missing_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


class Book:
    """A copy of the book, with ways to harm it. Each raises LookupError if there is no such place.

    Attributes:
        root: its folder.
        pages: the pages that were harmed.
    """

    def __init__(self, root: Path):
        self.root = root
        self.pages: list[str] = []

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.root / name).read_text(encoding="utf-8")

    def file(self, name: str, pattern: str, new: str) -> re.Match[str]:
        """Replace the first match of a pattern in a file; return the match."""
        text = self.read(name)
        if not (found := re.search(pattern, text, re.M)):
            raise LookupError(f"{MEND}: {pattern!r} in {name}")
        put(self.root / name, text[: found.start()] + found.expand(new) + text[found.end() :])
        self.pages += [name.removesuffix(".md")] if name.endswith(".md") else []
        return found

    def first(self, folder: str, pattern: str) -> str:
        """Return the first Python file in a folder that holds a pattern."""
        for path in sorted((self.root / folder).rglob("*.py")):
            if re.search(pattern, path.read_text(encoding="utf-8"), re.M):
                return path.relative_to(self.root).as_posix()
        raise LookupError(f"{MEND}: {pattern!r} in {folder}")

    def chapter(self, harm: Callable[[NotebookNode], object], least: int = 1) -> str:
        """Change the first chapter in which something can be harmed; return its page.

        Args:
            harm: changes a notebook in place; false if it found nothing to change.
            least: the edition that the chapter must have.
        """
        for path in notebooks(self.root):
            nb = read(path)
            if edition(nb) >= least and harm(nb):
                write(nb, path)
                self.pages.append(path.relative_to(self.root).with_suffix("").as_posix())
                return self.pages[-1]
        raise LookupError(MEND)

    def text(self, pattern: str, new: str, least: int = 1) -> str:
        """Replace the first match of a pattern in the text of a chapter; return its page."""

        def harm(nb: NotebookNode) -> bool:
            for cell in markdown_cells(nb):
                if found := re.search(pattern, cell.source, re.M):
                    cell.source = cell.source[: found.start()] + found.expand(new) + cell.source[found.end() :]
                    return True
            return False

        return self.chapter(harm, least)

    def code(self, harm: Callable[[NotebookNode], object]) -> str:
        """Change the first code cell of a chapter in which something can be harmed; return its page."""
        return self.chapter(lambda nb: any(harm(cell) for cell in code_cells(nb)))


def is_own(cell: NotebookNode) -> bool:
    """Whether an author wrote a code cell: it is no listing, and not generated."""
    return not {"setup", "prose-check"} & set(tags(cell)) and not cell.source.startswith(("# Listing", "# @title"))


# --- the catalogue ----------------------------------------------------------------------------------------------------

Plant = Callable[..., Any]  # harms a book, and returns the words that the lock's line must hold


class Fault(NamedTuple):
    """A kind of fault: the lock that must find it, its name, and how it is planted."""

    lock: str
    kind: str
    plant: Plant


FAULTS: list[Fault] = []  # that the files show; those that only a run can find are in planted_in_runs.py


def plants(lock: str, kind: str = "", into: list[Fault] = FAULTS) -> Callable[[Plant], Plant]:
    """Take a function into the catalogue.

    Args:
        lock: the name of the lock that must find the fault.
        kind: the name of the kind; that of the function, if it says nothing.
        into: the list that takes it.
    """

    def take(plant: Plant) -> Plant:
        into.append(Fault(lock, kind or plant.__name__.replace("_", " "), plant))
        return plant

    return take


def text(pattern: str, new: str, *says: str, least: int = 1) -> Plant:
    """Return what replaces a pattern in the text of the first chapter that has it."""
    return lambda book: (book.text(pattern, new, least), *says)


def file(name: str, pattern: str, new: str, *says: str) -> Plant:
    """Return what replaces a pattern in a file."""

    def plant(book: Book) -> Sequence[str]:
        book.file(name, pattern, new)
        return says

    return plant


def code(harm: Callable[[NotebookNode], object], *says: str) -> Plant:
    """Return what harms the first code cell of a chapter that it finds something to change in."""
    return lambda book: (book.code(harm), *says)
