"""The locks: what must hold in the book. Each is a module with one function, `faults(root) -> list[str]`.

    python -m authoring.locks                   all of them
    python -m authoring.locks links numbers     these
    python -m authoring.locks --list            the list for README.md

A fault is a line that says what is wrong, where, and what to do. A lock also reports itself: if it did not look at
every notebook that _toc.yml names, or found nothing there. A new lock is a module here, and its name in LOCKS: the test
of the locks, `python -m authoring.build --check` and the list in README.md follow that.
"""

import argparse
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from authoring.book import ROOT, pages

LOCKS = [
    "contents",
    "openers",
    "markdown",
    "python",
    "links",
    "stored",
    "exercises",
    "listings",
    "generated",
    "outputs",
    "numbers",
    "half_widths",
    "claims",
    "equations",
    "notation",
    "prerequisites",
    "corrections",
    "glossary",
    "terms",
    "references",
    "api",
    "names",
    "reference_tests",
]


def load(name: str) -> ModuleType:
    """Return the module of a lock; only now, since what writes the cells of notebooks takes its rules from some."""
    return importlib.import_module(f"authoring.locks.{name}")


def described(root: Path = ROOT) -> str:
    """Return what README says of the locks: each with the first line of its docstring, and how they are proven."""
    first_lines = [(load(name).__doc__ or "").partition("\n")[0] for name in LOCKS]
    listed = "\n".join(
        f"{n}. `{name}`: {line}" for n, (name, line) in enumerate(zip(LOCKS, first_lines, strict=True), 1)
    )
    proven = (
        f"A catalogue plants {planted(root)} kinds of faults in copies of the book; each must be found by its lock."
    )
    return f"{listed}\n\n{proven}"


def planted(root: Path = ROOT) -> int:
    """Count the kinds of faults in the catalogue of the tests: each begins on a line with `plants(` or `@plants(`."""
    files = (root / "tests" / "helpers").glob("planted_in_*.py")
    return sum(len(re.findall(r"^@?plants\(", path.read_text(encoding="utf-8"), re.M)) for path in files)


def unseen(looked_at: Mapping[str, int], what: str, root: Path = ROOT) -> list[str]:
    """Return the faults of a lock itself.

    Args:
        looked_at: how many things the lock looked at, by the page of each notebook.
        what: what these things are, such as "links".
        root: the folder of the book.
    """
    named = [page for page, (path, _) in pages(root).items() if path.suffix == ".ipynb"]
    faults = [f"{page}: the lock did not look at it: mend the lock" for page in named if page not in looked_at]
    if not any(looked_at.values()):
        faults.append(f"_toc.yml: the lock found no {what} in its {len(named)} notebooks: mend the lock or the book")
    return faults


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Print all faults that the locks find.")
    parser.add_argument("names", nargs="*", metavar="lock", help=f"some of {', '.join(LOCKS)}; default: all")
    parser.add_argument("--list", action="store_true", help="print the list for README.md instead")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(LOCKS):
        parser.error(f"a lock must be one of {', '.join(LOCKS)}: got {', '.join(sorted(unknown))}")
    if options.list:
        print(described())
        return 0
    found = [f"{name}: {fault}" for name in options.names or LOCKS for fault in load(name).faults(root)]
    for line in found:
        print(line)
    return 1 if found else 0
