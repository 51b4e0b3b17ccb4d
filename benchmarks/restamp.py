"""Keep results whose code was moved or renamed, not changed: prove that it is the same, and write the new fingerprint.

    python -m benchmarks.restamp REVISION            every file of results/ that was fresh at that revision of git
    python -m benchmarks.restamp REVISION program    this one
    python -m benchmarks.restamp REVISION --spread   the records of cells in book/spread.json

Two definitions are the same when their syntax trees are, without what cannot change a result, and so are all that they
use; but names may differ, one for one: locals and parameters within a function (and so keywords of its calls),
attributes and methods within a class and those that inherit from it, and definitions of ours over all modules. Names of
Python and of libraries, and literals, may not. How a script chooses its rows (`main`, and functions that `main` alone
calls) is not measured but read: where it differs, the command lists it, and wants `--read` from who has read it.
"""

import argparse
import ast
import builtins
import importlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nbformat import NotebookNode
from torch import nn

from authoring.book import ROOT, notebooks, read, tags
from authoring.definitions import Package, Plain, Reader, Term, describe, fingerprint, names_of, written
from authoring.execute import normalise
from benchmarks.store import RESULTS

ASK = """
import importlib, json, sys
from pathlib import Path
for module in ("benchmarks.store", "benchmarks.results"):
    try:
        fingerprint = importlib.import_module(module).fingerprint
        break
    except ModuleNotFoundError:
        pass
print(json.dumps({name: fingerprint(Path("benchmarks").resolve() / f"{name}.py") for name in sys.argv[1:]}))
"""
LIBRARIES: set[str] = set().union(
    *map(dir, (builtins, torch, torch.Tensor, torch.Generator, nn, nn.Module, nn.functional, nn.init, torch.optim)),
    *map(dir, (torch.optim.Optimizer, np, np.ndarray, np.random.Generator, Path, str, list, dict, set, int, float)),
)  # names of attributes that may be those of a library, where the object is not known


class Different(Exception):
    """Two pieces of code differ by more than names."""


class OneForOne:
    """Names and the names that stand for them, one for one."""

    def __init__(self, kind: str):
        self.kind, self.forth, self.back = kind, {}, {}  # type: tuple[str, dict[str, str], dict[str, str]]

    def pair(self, old: str, new: str) -> None:
        """Pair two names, or refuse."""
        if self.forth.get(old, new) != new:
            raise Different(f"the {self.kind} {old} is {self.forth[old]} in one place and {new} in another")
        if self.back.get(new, old) != old:
            raise Different(f"the {self.kind}s {self.back[new]} and {old} are both {new} now")
        self.forth[old], self.back[new] = new, old


class Comparison:
    """Compare definitions of an old package with those of a new one, and all that they use."""

    def __init__(self, old: Package, new: Package):
        self.old, self.new = old, new
        self.definitions = OneForOne("definition")
        self.attributes: dict[str, OneForOne] = {}  # by the old class
        self.parameters: dict[str, OneForOne] = {}  # by the old function
        self.later: list[Callable[[], None]] = []  # what can only be looked at when all else was
        self.locals: dict[int, OneForOne] = {}
        self.done: set[str] = set()
        self.waiting: list[tuple[str, str]] = []

    def start(self, old: str, new: str) -> None:
        """Note that one definition stands for another; it will be compared."""
        self.definitions.pair(old, new)
        self.waiting.append((old, new))

    def finish(self) -> None:
        """Compare all that waits, and what comes to light by that."""
        while self.waiting:
            old, new = self.waiting.pop()
            if old in self.done:
                continue
            self.done.add(old)
            if self.old.is_left_out(old) or self.new.is_left_out(new):
                continue
            if bool(self.old.statements(old)) != bool(self.new.statements(new)):
                raise Different(f"{old} or {new} is not defined")
            self.units(old, new)
        for look in self.later:
            look()

    def units(self, old: str, new: str) -> None:
        """Compare two definitions; classes method by method."""
        first, second = dict(self.old.read(old)), dict(self.new.read(new))
        family, other = self.old.family(old), self.new.family(new)
        if family and other:
            self.members(family, other)
            hooks = hooks_of(first[""]) | hooks_of(second[""])
            self.later.append(lambda: self.check_members(family, other, hooks))
        self.unit(old, first.pop(""), second.pop(""))
        pairs = self.methods(first, second, self.attributes.get(family))
        for name, partner in pairs:
            self.attributes[family].pair(name, partner)
            self.unit(f"{old}.{name}", first[name], second[partner])
        alone = {*first} - {name for name, _ in pairs} | {*second} - {partner for _, partner in pairs}
        self.later.append(lambda: self.check_rest(old, alone))

    def methods(self, old: dict[str, Any], new: dict[str, Any], known: OneForOne | None) -> list[tuple[str, str]]:
        """Pair methods: those that were found to be the same, those of one name, and the rest in their order."""
        forth = {name: known.forth[name] for name in old if known and known.forth.get(name) in new}
        back = {*forth.values()}
        forth |= {name: name for name in old if name in new and name not in forth and name not in back}
        back = {*forth.values()}
        left = [name for name in old if name not in forth], [name for name in new if name not in back]
        return [*forth.items(), *zip(*left, strict=False)]

    def unit(self, name: str, old: list[Term], new: list[Term]) -> None:
        """Compare the statements of one function, or of one class without its methods."""
        if len(old) != len(new):
            raise Different(f"{name} is defined {len(old)} times, and now {len(new)} times")
        for first, second in zip(old, new, strict=True):
            self.locals = {}
            try:
                self.same(first, second)
            except Different as error:
                raise Different(f"{name}: {error}") from None
            if first and first[0] == "FunctionDef":
                self.parameters[name] = self.locals.get(0, OneForOne("parameter"))

    def same(self, old: Any, new: Any) -> None:
        """Compare two terms."""
        if not isinstance(old, tuple) or not isinstance(new, tuple) or old[:1] != new[:1]:
            if old != new:
                raise Different(f"{show(old)} is now {show(new)}")
            return
        if len(old) != len(new):
            for first, second in zip(old, new, strict=False):
                self.same(first, second)
            n = min(len(old), len(new))
            raise Different(f"{show(('list', *old[n:]))} is now {show(('list', *new[n:]))}")
        kind = old[0] if old else ""
        if kind == "local":
            if old[1] != new[1]:
                raise Different(f"{show(old)} and {show(new)} belong to different scopes")
            self.locals.setdefault(old[1], OneForOne("local")).pair(old[2], new[2])
        elif kind == "package":
            self.start(old[1], new[1])
        elif kind == "attribute":
            self.attribute(old, new)
        elif kind == "keyword":
            self.keyword(old, new)
        elif kind in ("library", "module", "value"):
            if old != new:
                raise Different(f"{show(old)} is now {show(new)}")
        else:
            for first, second in zip(old, new, strict=True):
                self.same(first, second)

    def members(self, family: str, other: str) -> OneForOne:
        """Return the pairs of attributes of a class."""
        self.definitions.pair(family, other)
        return self.attributes.setdefault(family, OneForOne(f"attribute of {family}:"))

    def attribute(self, old: Term, new: Term) -> None:
        """Compare two attributes, of a class or of an object that is not known."""
        (_, family, name), (_, other, partner) = old, new
        if bool(family) != bool(other):
            raise Different(f"{family or 'an object'}.{name} is now {other or 'an object'}.{partner}")
        if family:
            self.members(family, other).pair(name, partner)
        else:
            self.later.append(lambda: self.check_unknown(name, partner, "attribute", [*self.attributes.values()]))

    def keyword(self, old: Term, new: Term) -> None:
        """Compare two keywords: those of a library must be equal, ours those of the parameters."""
        (_, function, name), (_, other, partner) = old, new
        if function.startswith("library") or other.startswith("library"):
            if old != new:
                raise Different(f"the keyword {name} of {function} is now {partner} of {other}")
        elif not function:
            every = lambda: [*self.attributes.values(), *self.parameters.values()]  # noqa: E731
            self.later.append(lambda: self.check_unknown(name, partner, "keyword", every()))
        else:
            self.later.append(lambda: self.check_keyword(function, name, partner))

    def check_unknown(self, old: str, new: str, kind: str, known: list[OneForOne]) -> None:
        """Refuse a renamed attribute or keyword of something unknown unless one of ours was renamed so."""
        if old == new:
            taken = any(pairs.back.get(new, old) != old for pairs in known) and not any(
                pairs.forth.get(old) == new for pairs in known
            )
            if taken and kind == "attribute":
                raise Different(f"the attribute {old} kept its name, but another is called so now")
        elif {old, new} <= LIBRARIES or not any(pairs.forth.get(old) == new for pairs in known):
            raise Different(f"the {kind} {old} is now {new}, which is no renamed name of ours")

    def check_keyword(self, function: str, old: str, new: str) -> None:
        """Refuse a keyword whose parameter was not renamed in the same way."""
        family = self.old.family(function)
        pairs: OneForOne | None
        if family:
            owner = next((name for name in self.bases(function) if f"{name}.__init__" in self.parameters), None)
            pairs = self.parameters[f"{owner}.__init__"] if owner else self.attributes[family]
        else:
            pairs = self.parameters.get(function)
        if old != new and (pairs is None or pairs.forth.get(old) != new):
            raise Different(f"the keyword {old} of {function} is now {new}, which is not what its parameter became")
        if old == new and pairs is not None and pairs.forth.get(old, old) != new:
            raise Different(f"the keyword {old} of {function} kept its name, but its parameter is {pairs.forth[old]}")

    def bases(self, name: str) -> Iterator[str]:
        """Yield a class of ours and those from which it inherits."""
        yield name
        for term in self.old.read(name)[""]:
            if term[0] == "ClassDef":
                for _, base in names_of(term[1], "package"):
                    yield from self.bases(base)

    def check_members(self, family: str, other: str, hooks: set[str]) -> None:
        """Refuse renamed attributes that Python or a library calls by their name."""
        for old, new in self.attributes[family].forth.items():
            if old != new and ({old, new} & hooks or old.startswith("__") or new.startswith("__")):
                raise Different(f"{family}.{old} is now {new}, but a library knows it by its name")

    def check_rest(self, name: str, alone: set[str]) -> None:
        """Refuse methods without a partner unless nothing that was compared can call them."""
        pairs = self.attributes.get(self.old.family(name))
        for method in sorted(alone):
            known = pairs and (method in pairs.forth or method in pairs.back)
            if known or method.startswith("__") or method in LIBRARIES:
                raise Different(f"{name}.{method} is there only before or only now")


def hooks_of(head: list[Term]) -> set[str]:
    """Return the attributes of the library classes from which a class inherits."""
    found: set[str] = set()
    for term in head:
        for _, dotted in names_of(term[1] if term[0] == "ClassDef" else (), "library"):
            module, _, name = dotted.rpartition(".")
            base = getattr(importlib.import_module(module), name, None) if module else getattr(builtins, name, None)
            found |= {*dir(base)}
    return found


def show(term: Any) -> str:
    """Return a term as text, cut to what fits a line."""
    text = written(term, {}) or "nothing"
    return text if len(text) <= 90 else text[:87] + "…"


# --- results ----------------------------------------------------------------------------------------------------------


def compare(old: Package, new: Package) -> list[str]:
    """Compare the scripts of two packages, and all that they use; return what of the new one was not compared."""
    before, now = old.module("script").defined, new.module("script").defined
    comparison = Comparison(old, new)
    for name in before:
        if name in now and name not in ("main", ""):
            comparison.start(f"script.{name}", f"script.{name}")
    comparison.finish()
    compared = {*comparison.definitions.back}
    unread = [name for name in now if f"script.{name}" not in compared and name not in ("main", "")]
    try:
        comparison.start("script.main", "script.main")
        comparison.finish()
    except Different:
        unread.append("main")
    loose = [
        sorted(text for text in describe(package, [("module", "script")]) if text.startswith(" ="))
        for package in (old, new)
    ]
    if loose[0] != loose[1]:
        raise Different("statements that define nothing differ")
    return sorted(unread)


def restamp(name: str, before: Path, revision: str, fresh: str, have_read: bool, root: Path = ROOT) -> str:
    """Write the new fingerprint into the results of a script if it is proven to be the same; return what was found."""
    path = root / "benchmarks" / "results" / f"{name}.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    made, script = results["made"], root / "benchmarks" / f"{name}.py"
    now = fingerprint(script, root)
    if made["made_from"] == now:
        return "fresh already"
    if made["made_from"] != fresh:
        return f"left stale: it was not fresh at {revision}"
    packages = [
        Package(folder, script=(folder / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
        for folder in (before, root)
    ]
    try:
        unread = compare(*packages)
    except Different as error:
        return f"left stale: {error}"
    if unread and not have_read:
        return f"left stale: the same but for {', '.join(unread)}: read whether these measure the same, and say --read"
    made |= {"command": f"python -m benchmarks.{name}", "made_from": now}
    made["restamped"] = f"the same code as at {revision}" + (f", but for {', '.join(unread)}, read" if unread else "")
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return made["restamped"]


def unpack(revision: str, folder: Path) -> str:
    """Write the tree of a revision into a folder; return the revision's number."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    command = ["git", "rev-parse", "--short", revision]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


# --- cells ------------------------------------------------------------------------------------------------------------


class Cells(Comparison):
    """Compare the cells of two notebooks; what they use of the package is taken to be the same, whatever its names."""

    def __init__(self, before: tuple[Path, NotebookNode], now: tuple[Path, NotebookNode]):
        packages, self.cells = [], []
        for root, nb in (before, now):
            codes = [code_of(cell) for cell in nb.cells if cell.cell_type == "code" and "setup" not in tags(cell)]
            packages.append(Package(root, whole=True, script="\n".join(codes)))
            self.cells.append([cell_terms(packages[-1], code_of(cell)) for cell in own_cells(nb)])
        super().__init__(*packages)
        self.variables = OneForOne("variable")

    def start(self, old: str, new: str) -> None:
        """Note that one definition stands for another."""
        self.definitions.pair(old, new)

    def attribute(self, old: Term, new: Term) -> None:
        """Take a renamed attribute for one of ours, unless both names are those of a library."""
        if old[2] != new[2] and {old[2], new[2]} <= LIBRARIES:
            raise Different(f"the attribute {old[2]} is now {new[2]}")

    def keyword(self, old: Term, new: Term) -> None:
        """Take a renamed keyword for one of ours, unless the function is that of a library."""
        if old[2] != new[2] and (old[1].startswith("library") or new[1].startswith("library")):
            raise Different(f"the keyword {old[2]} of {old[1]} is now {new[2]}")

    def cell(self, number: int) -> bool:
        """Whether a cell is the same in both notebooks; if not, what it paired is forgotten."""
        pairs = [self.variables, self.definitions]
        kept = [(dict(pair.forth), dict(pair.back)) for pair in pairs]
        self.locals = {0: self.variables}
        try:
            self.same(*(terms[number] for terms in self.cells))
        except Different:
            for pair, (forth, back) in zip(pairs, kept, strict=True):
                pair.forth, pair.back = forth, back
            return False
        return True


def own_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that an author wrote."""
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and "setup" not in tags(cell)]
    return [cell for cell in cells if not cell.source.startswith("# Listing")]


def code_of(cell: NotebookNode) -> str:
    """Return the code of a cell without its magics."""
    return "\n".join(line for line in cell.source.split("\n") if not line.startswith(("%", "!")))


def cell_terms(package: Package, code: str) -> Term:
    """Write the code of a cell as a term, in which variables of the notebook are local names."""
    reader = Reader(package, "script")
    reader.scopes, reader.count = [(0, {*package.module("script").defined} - {""})], 1
    return reader.term(Plain(whole=True).visit(ast.parse(code)).body)


def ids(nb: NotebookNode) -> list[str]:
    """Return the ids that a build gives to an author's code cells."""
    for cell in nb.cells:
        cell.pop("outputs", None)
    return [cell.id for cell in own_cells(normalise(nb))]


def move(records: dict[str, Any], old: tuple[Path, NotebookNode], new: tuple[Path, NotebookNode]) -> dict[str, Any]:
    """Return the records of a notebook's cells by their new ids; those of cells that are not the same are dropped."""
    cells, names = [own_cells(nb) for _, nb in (old, new)], [cell.id for cell in own_cells(old[1])]
    comparison, moved = Cells(old, new), {}
    for number, (first, second, name) in enumerate(zip(*cells, ids(new[1]), strict=False)):
        same = comparison.cell(number) and sorted(tags(first)) == sorted(tags(second))
        if same and names[number] in records:
            moved[name] = records[names[number]]
        elif name in records:  # moved before, or measured since
            moved[name] = records[name]
    return moved


def move_spread(before: Path, root: Path = ROOT) -> list[str]:
    """Move the records in book/spread.json to the ids that cells have now; return a line for each notebook."""
    path = root / "book" / "spread.json"
    records, lines = json.loads(path.read_text(encoding="utf-8")), []
    for file in notebooks(root):
        name = file.relative_to(root).as_posix()
        if name in records and (before / name).is_file():
            had = len(records[name])
            records[name] = move(records[name], (before, read(before / name)), (root, read(file)))
            lines.append(f"{name}: {len(records[name])} of {had} records")
    path.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return lines


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Restamp results, or move the records of cells."""
    every = sorted(path.stem for path in RESULTS.glob("*.json"))
    parser = argparse.ArgumentParser(description="Keep results whose code was moved or renamed, not changed.")
    parser.add_argument("revision", help="a revision of git at which they were fresh")
    parser.add_argument("scripts", nargs="*", choices=["all", *every], default="all", metavar="script")
    parser.add_argument("--read", action="store_true", help="what the command listed was read, and measures the same")
    parser.add_argument("--spread", action="store_true", help="move the records in book/spread.json instead")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        before = Path(place)
        revision = unpack(options.revision, before)
        if options.spread:
            print(*move_spread(before), sep="\n")
            return
        there = [
            name
            for name in (every if "all" in options.scripts else options.scripts)
            if (before / "benchmarks" / f"{name}.py").is_file()
        ]
        command = [sys.executable, "-c", ASK, *there]
        done = subprocess.run(command, cwd=before, check=True, capture_output=True, text=True)
        for name, old in json.loads(done.stdout).items():
            stored = json.loads((before / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
            fresh = old if stored["made"]["made_from"] == old else ""
            print(f"{name}: {restamp(name, before, revision, fresh, options.read)}", flush=True)


if __name__ == "__main__":
    main()
