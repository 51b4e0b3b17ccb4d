"""Keep results whose code was moved or renamed, not changed: prove that it is the same, and write the new fingerprint.

    python -m benchmarks.restamp REVISION            every file of results/ that the code at that revision of git made
    python -m benchmarks.restamp REVISION program    this one

Two definitions are the same when their terms are (`authoring.definitions`), and so are all that they use; but names of
ours may differ, one for one: locals within a function; parameters, and with them keywords of its calls; attributes and
methods within a class and those that inherit from it; definitions over all modules. Where it is not known whose an
attribute is, all classes of ours that have it must have renamed it alike; the keywords of what is not known stay. A
method may come or go if nothing names it. Not to be changed are names of Python and of libraries, among them those
that a library calls; fields of dataclasses, which show them; names that stand in the code as texts given to `getattr`
and the like, and names in any text if such texts are computed or a call has `**options`; and no name at all if the
code looks at names (LOOKING). Data, and what modules do when they are imported, must be the same as text.

How a script chooses its rows (`main`, and functions that `main` alone calls) is not measured but read, and so are
decorators that were added, and new names of dataclasses: the command lists these, and wants `--read` from who has read
them.
"""

import argparse
import builtins
import importlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from authoring.book import ROOT
from authoring.definitions import (
    LOOKERS,
    Package,
    Reader,
    Term,
    bound_in,
    checksums,
    describe,
    fingerprint,
    follow,
    last,
    measured,
    names_of,
    written,
)
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
GETTERS = {"getattr", "setattr", "hasattr", "delattr"}
NAMERS = {  # take the name of an attribute as a text, too, but as their first argument
    *("attrgetter", "methodcaller", "register_buffer", "register_parameter", "register_module", "add_module"),
    *("get_buffer", "get_parameter", "get_submodule", "import_module", "__getattribute__"),
}
LOOKING = (
    LOOKERS
    | {"__name__", "__qualname__", "__dict__", "__annotations__", "globals", "asdict", "astuple"}
    | {*("fields", "signature", "getmembers", "get_type_hints", "getsource")}
)


class Different(Exception):
    """Two pieces of code differ by more than names."""


class OneForOne:
    """Names and the names that stand for them, one for one."""

    def __init__(self, kind: str):
        self.kind, self.forth, self.back = kind, {}, {}  # type: tuple[str, dict[str, str], dict[str, str]]

    def pair(self, old: str, new: str) -> None:
        """Pair two names, or refuse."""
        if not self.allows(old, new):
            known = f"{old} is {self.forth.get(old, 'nothing')}, {new} was {self.back.get(new, 'nothing')}"
            raise Different(f"the {self.kind} {old} is now {new}, but elsewhere {known}")
        self.forth[old], self.back[new] = new, old

    def allows(self, old: str, new: str) -> bool:
        """Whether two names may be the same one, as far as is known."""
        return self.forth.get(old, new) == new and self.back.get(new, old) == old

    def renamed(self) -> list[tuple[str, str]]:
        """Return the pairs that differ."""
        return [pair for pair in self.forth.items() if pair[0] != pair[1]]


class Comparison:
    """Compare definitions of an old package with those of a new one, and all that they use."""

    def __init__(self, old: Package, new: Package):
        self.old, self.new = old, new
        self.definitions = OneForOne("definition")
        self.attributes: dict[str, OneForOne] = {}  # by the old topmost class
        self.parameters: dict[str, OneForOne] = {}  # by the old function or method
        self.locals: dict[int, OneForOne] = {}  # of one function, by scope
        self.unknown: set[tuple[str, str]] = set()  # attributes of objects that are not known
        self.mentioned: set[str] = set()  # all attributes
        self.alone: set[tuple[str, str]] = set()  # methods, with their classes, that are there only before or only now
        self.libraries: set[str] = set()  # names in these
        self.keywords: set[tuple[str, str, str]] = set()  # functions, old and new keywords
        self.hooks: dict[str, set[str]] = {}  # attributes that a library knows, by the old topmost class
        self.done: set[str] = set()
        self.waiting: list[tuple[str, str]] = []
        self.added: list[str] = []  # decorators
        self.texts_given: set[str] = set()  # to GETTERS and NAMERS
        self.shown: set[Any] = set()  # dataclasses and their fields: (class, name)
        self.texts: set[str] = set()  # all of them, any of which may be a name if `computed`
        self.computed = False
        self.looked = ""  # what looks at names
        self.any_local = False

    def start(self, old: str, new: str) -> None:
        """Note that one definition stands for another; it will be compared."""
        self.definitions.pair(old, new)
        self.waiting.insert(0 if self.old.family(old) else len(self.waiting), (old, new))  # classes wait for functions

    def finish(self) -> None:
        """Compare all that waits, and what comes to light by that."""
        while self.waiting:
            old, new = self.waiting.pop()
            if old in self.done:
                continue
            self.done.add(old)
            if self.old.is_left_out(old) and self.new.is_left_out(new):
                continue
            if not self.old.statements(old) or not self.new.statements(new):
                raise Different(f"{old} or {new} is not defined by itself")
            self.units(old, new)
        for pair in self.unknown:
            self.check_attribute(*pair)
        for keyword in self.keywords:
            self.check_keyword(*keyword)
        self.check_names()

    def units(self, old: str, new: str) -> None:
        """Compare two definitions; classes method by method."""
        first, second = dict(self.old.read(old)), dict(self.new.read(new))
        family, other = self.old.family(old), self.new.family(new)
        if family and other:
            self.members(family, other)
            self.hooks.setdefault(family, set()).update(hooks_of(first[""]), hooks_of(second[""]))
            if len(self.old.bases(old)) > 1 or len(self.new.bases(new)) > 1:
                raise Different(f"{old} inherits from two classes of ours")
        self.unit(old, first.pop(""), second.pop(""))
        pairs = self.methods(family, [*first], [*second])
        for name, partner in pairs:
            self.members(family, other).pair(name, partner)
            self.unit(f"{old}.{name}", first[name], second[partner])
        paired = {name for pair in pairs for name in pair}
        self.alone |= {(family, name) for name in {*first, *second} - paired}

    def methods(self, family: str, old: list[str], new: list[str]) -> list[tuple[str, str]]:
        """Pair methods: those that were found to be the same, those of one name, and the rest in their order."""
        known = dict(self.unknown) | (self.attributes[family].forth if family else {})
        forth = {name: known.get(name, name) for name in old if known.get(name, name) in new}
        left = [name for name in old if name not in forth], [name for name in new if name not in forth.values()]
        return [*forth.items(), *(zip(*left, strict=True) if len(left[0]) == len(left[1]) else ())]

    def unit(self, name: str, old: list[Term], new: list[Term]) -> None:
        """Compare the statements of one function, or of one class without its methods."""
        if len(old) != len(new):
            raise Different(f"{name} is defined {len(old)} times, and now {len(new)} times")
        for first, second in zip(old, new, strict=True):
            self.locals, self.name = {}, name
            if first[0] == second[0] == "FunctionDef" and first[3] == ("list",) != second[3]:
                self.added += [f"@{show(part)} of {name}" for part in second[3][1:]]
                second = (*second[:3], first[3], *second[4:])
            try:
                self.same(first, second)
            except Different as error:
                raise Different(f"{name}: {error}") from None
            self.any_local |= any(pairs.renamed() for pairs in self.locals.values())
            if first[0] == "ClassDef" and "dataclass" in {last(part[1]) for part in names_of(first[3], "library")}:
                self.shown |= {part[1:] for part in names_of(first[4], "attribute")}
                if last(name) != last(self.definitions.forth.get(name, name)):
                    self.added.append(f"that the dataclass {name}, which shows its name, was renamed")

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
        if kind == "local" and old[1] == new[1]:
            self.locals.setdefault(old[1], OneForOne("local")).pair(old[2], new[2])
        elif kind == "package":
            self.start(old[1], new[1])
        elif kind == "attribute" and old[1] and new[1]:
            self.members(old[1], new[1]).pair(old[2], new[2])
        elif kind == "keyword":
            if old[1] != new[1] and "library" in old[1] + new[1]:
                raise Different(f"{show(old)} is a keyword of {old[1]}, and now of {new[1]}")
            self.keywords.add((old[1], old[2], new[2]))
        elif kind == "attribute" and old[1] == new[1]:
            self.unknown.add((old[2], new[2]))
        elif kind in ("local", "library", "value", "attribute"):
            if old != new:
                raise Different(f"{show(old)} is now {show(new)}")
        elif kind == "module":
            if describe(self.old, [old]) != describe(self.new, [new]):
                raise Different(f"the module {show(old)} is used as a whole, and differs")
        else:
            for first, second in zip(old, new, strict=True):
                self.same(first, second)
            if kind in ("FunctionDef", "AsyncFunctionDef", "Lambda"):
                inner = f" {len(self.parameters)}" if old[1] or kind == "Lambda" else ""
                pairs = self.parameters[self.name + inner] = OneForOne("parameter")
                for parameter, partner in zip(old[6][1:], new[6][1:], strict=True):
                    pairs.pair(parameter[-1], partner[-1])
        self.note(old)
        self.note(new)
        self.mentioned |= {term[2] for term in (old, new) if kind == "attribute"}

    def note(self, term: Term) -> None:
        """Note what forbids that names are changed: texts that may be names, and what looks at names."""
        match term:
            case ("value", text):
                self.texts.add(text.strip("'\""))
            case ("=", None, _):
                self.computed = True  # **options, whose names are texts
            case ("Call", (*_, called), (_, *given), _) if (
                last(str(called[-1] if isinstance(called, tuple) else called)) in GETTERS | NAMERS
            ):
                name = given[1:2] if isinstance(called, str) and last(called) in GETTERS else given[:1]
                self.texts_given |= {part[1].strip("'\"") for part in name if part[0] == "value"}
                self.computed |= [part[0] for part in name] != ["value"]
            case ("library", name):
                self.libraries.add(name)
                self.looked = last(name) if last(name) in LOOKING else self.looked
            case ("attribute", _, name) if name in LOOKING and name[0] == "_":
                self.looked = name

    def members(self, family: str, other: str) -> OneForOne:
        """Return the pairs of attributes of a class."""
        self.definitions.pair(family, other)
        return self.attributes.setdefault(family, OneForOne(f"attribute of {family}:"))

    def check_attribute(self, old: str, new: str) -> None:
        """Refuse an attribute of something unknown unless all classes of ours that have it have changed it so."""
        known = self.attributes.values()
        if any(pairs.back.get(new, old) != old for pairs in known):
            raise Different(f"the attribute {old} is now {new}, but another of ours is called so now")
        sure = all(pairs.allows(old, new) for pairs in known) and any(old in pairs.forth for pairs in known)
        if old != new and (not sure or library_has({old, new}, self.libraries)):
            raise Different(f"the attribute {old} is now {new}, which may not be one of ours")

    def check_keyword(self, owner: str, old: str, new: str) -> None:
        """Refuse a keyword that is not what its parameter became; of an unknown function, any that may not be."""
        if owner.startswith("library"):
            known, sure = [], True
        elif owner.startswith(".") or not owner:
            known, sure = [pairs for name, pairs in self.parameters.items() if name.endswith(owner)], bool(owner)
        else:
            known, sure = [self.parameters_of(owner)], True
        for pairs in known:
            if pairs.back.get(new, old) != old or (sure and pairs.forth.get(old, old) != new):
                raise Different(
                    f"the keyword {old} of {owner or 'a function'} is now {new}: not what its parameter became"
                )
        if old != new and not (known and sure and all(old in pairs.forth for pairs in known)):
            raise Different(f"the keyword {old} of {owner or 'a function'} is now {new}")

    def parameters_of(self, name: str) -> OneForOne:
        """Return the pairs of parameters of a function or a class of ours."""
        if not (family := self.old.family(name)):
            return self.parameters.get(name, OneForOne("parameter"))
        waiting = [name]
        for owner in waiting:
            if f"{owner}.__init__" in self.parameters:
                return self.parameters[f"{owner}.__init__"]
            waiting += self.old.bases(owner)
        return self.attributes[family]  # of a dataclass

    def check_names(self) -> None:
        """Refuse changed names that a text, a dataclass, Python or a library knows, or code that looks at names."""
        texts = self.texts if self.computed else set()
        parameters = {pair for pairs in self.parameters.values() for pair in pairs.renamed()}
        others = {(last(old), last(new)) for old, new in self.definitions.renamed() if last(old) != last(new)}
        for family, pairs in self.attributes.items():
            hooks = self.hooks[family] | {field for owner, field in self.shown if owner == family}
            others |= {*pairs.renamed()}
            for old, new in pairs.renamed():
                if {old, new} & hooks or "__getattr__" in pairs.forth:
                    raise Different(f"{family}.{old} is now {new}, but a library or a dataclass knows it by its name")
        for old, new in parameters | others:
            fixed = texts if (old, new) not in others else texts | self.texts_given
            if {old, new} & fixed or old.startswith("__") or new.startswith("__"):
                raise Different(f"{old} is now {new}, but stands in the code as a text, or Python knows it by its name")
        for family, name in self.alone:
            if name in self.mentioned | self.texts | self.hooks[family] or name.startswith("__"):
                raise Different(f"{family}.{name} is there only before or only now, and may be called")
        if self.looked and (parameters or others or self.any_local):
            raise Different(f"names changed, and {self.looked} looks at names")


def hooks_of(head: list[Term]) -> set[str]:
    """Return the attributes of the library classes from which a class inherits."""
    found: set[str] = set()
    for term in head:
        for _, dotted in names_of(term[1] if term[0] == "ClassDef" else (), "library"):
            module, _, name = dotted.rpartition(".")
            base = getattr(importlib.import_module(module), name, None) if module else getattr(builtins, name, None)
            found |= {*dir(base)}
    return found


def library_has(both: set[str], dotted: set[str]) -> bool:
    """Whether something in the modules of some names, or one of Python's own types, has both of two attributes."""
    modules = {builtins}
    for front in {name.rpartition(".")[0] for name in dotted} - {""}:
        try:
            modules.add(importlib.import_module(front))
        except ImportError:
            continue  # a class, whose module another name brings in
    return any(both <= {*dir(thing)} for module in modules for thing in vars(module).values())


def show(term: Any) -> str:
    """Return a term as text, cut to what fits a line."""
    text = written(term, {}) or "nothing"
    return text if len(text) <= 90 else text[:87] + "…"


# --- results ----------------------------------------------------------------------------------------------------------


def acts(package: Package, names: Iterable[str]) -> list[Term]:
    """Return what a script does at its top, in order, as far as that binds such names only."""
    nodes = [node for node in package.acts("script") if bound_in([node]) <= {*names}]
    return [Reader(package, "script").statement(node) for node in nodes]


def compare(name: str, before: Path, root: Path = ROOT) -> list[str]:
    """Compare a script in two trees, and all that it uses; return what of the new one must be read."""
    files = [(folder / "benchmarks" / f"{name}.py", folder) for folder in (before, root)]
    found = [measured(*file) for file in files]
    if found[0][0].guards != found[1][0].guards:  # one of them may catch the error of a guard
        found = [measured(*file, guards=True) for file in files]
    (old, texts), (new, now_texts) = found
    if checksums(texts, before) != checksums(now_texts, root):
        raise Different("data that it fetches differ")
    if imported_acts(old) != imported_acts(new):
        raise Different("what modules do when they are imported differs")
    then, now = old.module("script").defined, new.module("script").defined
    comparison = Comparison(old, new)
    both = [name for name in then if name in now and name != "main"]
    for name in both:
        comparison.start(f"script.{name}", f"script.{name}")
    comparison.unit("the top of the script", acts(old, both), acts(new, both))
    comparison.finish()
    unread = [name for name in now if f"script.{name}" not in comparison.definitions.back and name != "main"]
    try:
        comparison.start("script.main", "script.main")
        comparison.finish()
    except Different:
        unread.append("main")
    return unread + comparison.added


def imported_acts(package: Package) -> list[str]:
    """Return what the modules that a script uses do when they are imported."""
    names = [name for name in follow(package, [("module", "script")]) if name.endswith(".") and name != "script."]
    return sorted(written(term, {}) for name in names for term in package.read(name)[""])


def restamp(name: str, before: Path, revision: str, then: str, have_read: bool, root: Path = ROOT) -> str:
    """Write the new fingerprint into results if the code is proven to be the same; return what was found.

    Args:
        name: of the script.
        before: the tree at a revision.
        revision: its number.
        then: the fingerprint of the script there, as it was written there.
        have_read: whether what is not proven but read was read.
        root: the tree now.
    """
    path = root / "benchmarks" / "results" / f"{name}.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    made, script = results["made"], root / "benchmarks" / f"{name}.py"
    now = fingerprint(script, root)
    if made["made_from"] == now:
        return "fresh already"
    if made["made_from"] != then:
        return f"left stale: it was not made by the code at {revision}"
    try:
        unread = compare(name, before, root)
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


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Restamp results."""
    every = sorted(path.stem for path in RESULTS.glob("*.json"))
    parser = argparse.ArgumentParser(description="Keep results whose code was moved or renamed, not changed.")
    parser.add_argument("revision", help="a revision of git at which they were fresh")
    parser.add_argument("scripts", nargs="*", choices=["all", *every], default="all", metavar="script")
    parser.add_argument("--read", action="store_true", help="what the command listed was read, and measures the same")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        before = Path(place)
        revision = unpack(options.revision, before)
        there = [
            name
            for name in (every if "all" in options.scripts else options.scripts)
            if (before / "benchmarks" / f"{name}.py").is_file()
        ]
        command = [sys.executable, "-c", ASK, *there]
        done = subprocess.run(command, cwd=before, check=True, capture_output=True, text=True)
        for name, old in json.loads(done.stdout).items():
            print(f"{name}: {restamp(name, before, revision, old, options.read)}", flush=True)


if __name__ == "__main__":
    main()
