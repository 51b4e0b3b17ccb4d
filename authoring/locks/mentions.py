"""What a test mentions of the package and of other libraries, itself or in what it uses of the other files of tests.

Names are followed through imports, `pytest.importorskip`, the constants, helpers and fixtures of the tests. What a name
is bound to at run time is not known: `getattr(torch, name)` mentions each name that stands as a string beside it.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from authoring.definitions import Definition
from authoring.locks.equations import literal

MARKERS = ("reference", "executed", "equation")


class Module:
    """A file of tests: what it defines and imports."""

    def __init__(self, path: Path, root: Path):
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.path, self.root = path, root
        folders = [folder for folder in path.parents if folder.is_relative_to(root)]
        self.conftests = [folder / "conftest.py" for folder in folders]
        self.defined: dict[str, ast.stmt] = {}
        self.imported: dict[str, str] = {}
        self.used: dict[int, Uses] = {}  # what each definition mentions, once it was asked for
        for statement in self.tree.body:
            self.defined |= dict.fromkeys(bound(statement), statement)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    self.imported[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                self.imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if called(node.value) == "importorskip" and isinstance(node.value, ast.Call):
                    self.imported[node.targets[0].id] = literal(node.value.args[0]) or ""
                elif isinstance(node.value, ast.Attribute) and (whole := self.resolve(node.value)):
                    self.imported[node.targets[0].id] = whole

    def find(self, name: str, fixture: bool) -> tuple["Module", ast.AST] | None:
        """Return a definition of this file, or one imported from other files of the tests, or a fixture of theirs."""
        if name in self.defined:
            return self, self.defined[name]
        if not fixture and name not in self.imported:
            return None
        where, _, inner = self.imported.get(name, "").rpartition(".")
        files = [self.root / (where.replace(".", "/") + ".py")] if where.startswith("tests.") else []
        if fixture:
            inner, files = name, self.conftests
        for file in files:
            if file.is_file() and inner in (there := open_module(file, self.root)).defined:
                return there, there.defined[inner]
        return None

    def mentions(self, definition: ast.AST) -> "Uses":
        """Return what one of the file's definitions mentions itself."""
        if id(definition) not in self.used:
            found = self.used[id(definition)] = Uses()
            for node in walk(definition):
                found.take(self, node)
        return self.used[id(definition)]

    def resolve(self, node: ast.Attribute) -> str:
        """Return the dotted name that an attribute stands for by the imports; nothing if it is no imported one."""
        first, _, rest = ast.unparse(node).partition(".")
        known = first in self.imported and all(part.isidentifier() for part in rest.split("."))
        return f"{self.imported[first]}.{rest}" if known else ""


def bound(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, Definition):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


@functools.cache
def module(path: Path, root: Path, stamp: int) -> Module:
    """Read a file of tests once for each state that it is in."""
    return Module(path, root)


def open_module(path: Path, root: Path) -> Module:
    """Read a file of tests."""
    return module(path, root, path.stat().st_mtime_ns)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a definition, without its markers."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Call) and called(child) in MARKERS):
            yield from walk(child)


def called(node: ast.AST) -> str:
    """Return the last name of what is called."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


class Uses:
    """What is mentioned: by a definition, or with `add` by several.

    Attributes:
        names: dotted names, by the imports.
        texts: strings that may name something, such as "relu".
        attributes: the last parts of attributes, and names.
        asserts: whether anything is asserted.
        more: names that may be those of definitions in the tests, and whether they may be fixtures.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.texts: set[str] = set()
        self.attributes: set[str] = set()
        self.asserts = False
        self.more: set[tuple[str, bool]] = set()

    def take(self, here: Module, node: ast.AST) -> None:
        """Take up what one node mentions."""
        name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
        if isinstance(node, ast.Attribute):
            self.attributes.add(node.attr)
            self.names |= {here.resolve(node)} - {""}
        elif isinstance(node, ast.Name):
            self.attributes.add(name)
            self.asserts |= name.startswith("assert")
            self.names |= {here.imported[name]} if name in here.imported else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.texts.add(node.value)
        self.asserts |= isinstance(node, ast.Assert)
        if name:
            self.more.add((name, isinstance(node, ast.arg)))

    def add(self, other: "Uses") -> None:
        """Take up what another definition mentions."""
        self.names |= other.names
        self.texts |= other.texts
        self.attributes |= other.attributes
        self.asserts |= other.asserts

    def mentions(self, name: str) -> bool:
        """Return whether the dotted name of something is mentioned: by itself, or by its module and a string."""
        owner, _, last = name.rpartition(".")
        if owner == "torch.Tensor":
            return last in self.attributes
        if name in self.names or owner not in self.names:
            return name in self.names
        return last in self.texts or any(last.removeprefix(text) in self.texts for text in self.texts if text)


def uses(owner: Module, start: ast.AST) -> Uses:
    """Return what a test mentions, with what it uses of the tests: constants, fixtures, helpers, and what these use."""
    found = Uses()
    waiting: list[tuple[Module, ast.AST]] = [(owner, start)]
    seen: set[int] = set()
    while waiting:
        here, node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            part = here.mentions(node)
            found.add(part)
            waiting += filter(None, (here.find(name, fixture) for name, fixture in part.more))
    return found
