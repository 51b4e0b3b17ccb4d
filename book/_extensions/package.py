"""What the package's sources say of its public names, as Markdown: the page of the appendix that lists them all.

Nothing is imported: the sources are parsed, so that the page costs a second and says what stands in the files.
"""

import ast
import functools
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.append(str(Path(__file__).resolve().parents[2]))  # Sphinx does not start at the root of the repository

from tools.book import ROOT, markdown, notebooks, pages, read
from tools.definitions import imports
from tools.listings import MARK, Definition

LONGEST = 100  # characters of a constant
LISTS = {"Args:": "Arguments", "Attributes:": "Attributes", "Raises:": "Errors"}


@dataclass(frozen=True)
class Public:
    """A public name of the package: its dotted name, its file, and the statement that defines it."""

    name: str
    path: Path
    node: ast.stmt

    @property
    def anchor(self) -> str:
        """The label of its place on the page. Labels do not tell capitals, by which a class differs."""
        return self.name.lower() + ("-class" if isinstance(self.node, ast.ClassDef) else "")


def modules(root: Path = ROOT) -> Iterator[tuple[str, Path, ast.Module]]:
    """Go through the modules of the package: dotted name, file, syntax tree."""
    for path in sorted((root / "dlbook").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        yield name, path, ast.parse(path.read_text(encoding="utf-8"))


def public(root: Path = ROOT) -> list[Public]:
    """Return the public names of the package in the order of the files, those that a module only imports left out."""
    found = []
    for module, path, tree in modules(root):
        for node in tree.body:
            if isinstance(node, Definition):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                parts = [part for target in targets for part in ast.walk(target)]
                names = [part.id for part in parts if isinstance(part, ast.Name)]
            else:
                names = []
            found += [Public(f"{module}.{name}", path, node) for name in names if not name.startswith("_")]
    return found


# --- links ------------------------------------------------------------------------------------------------------------


@functools.cache
def repository(root: Path) -> str:
    """Return the address at which the repository shows its files."""
    told = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return f"{told['url']}/blob/{told.get('branch', 'main')}"


def source(path: Path, node: ast.AST, root: Path = ROOT) -> str:
    """Return the address of a definition, with its lines."""
    first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
    lines = f"L{first}-L{last}" if last > first else f"L{first}"
    return f"{repository(root)}/{path.relative_to(root).as_posix()}#{lines}"


def chapters(root: Path = ROOT) -> dict[str, str]:
    """Return a link from the appendix to each page of the book: its number, its title."""
    found = {}
    for page, (path, number) in pages(root).items():
        title = re.search(r"^# (.+)$", markdown(path), re.M)
        if title is None:
            raise ValueError(f"a page must begin with its title: got none in {page}")
        found[page] = f"[{f'{number} {title[1]}'.strip()}]({os.path.relpath(path, root / 'book' / 'appendix')})"
    return found


def link(name: str, names: list[Public]) -> str:
    """Return a dotted name as code, with a link to where the page of the package has it, or its class."""
    anchors = {thing.name: thing.anchor for thing in names if isinstance(thing.node, Definition)}
    anchor = anchors.get(name) or anchors.get(name.rpartition(".")[0])
    return f"[`{name}`](#{anchor})" if anchor else f"`{name}`"


def homes(root: Path = ROOT) -> dict[str, str]:
    """Return the page that lists each object."""
    found = {}
    for path in notebooks(root):
        for cell in read(path).cells:
            first = cell.source.partition("\n")[0]
            if cell.cell_type == "code" and first.startswith(MARK):
                found[first.removeprefix(MARK)] = path.relative_to(root).with_suffix("").as_posix()
    return found


# --- docstrings -------------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """Join lines of plain text into one of Markdown, which shows what stands there; code in `…` stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if n % 2 else re.sub(r"([\\*_$<>\[\]{}|#~^])", r"\\\1", part) for n, part in enumerate(parts))


def render(docstring: str) -> str:
    """Return a docstring as Markdown: its paragraphs, its examples, what it says of arguments and errors."""
    found = []
    for block in re.split(r"\n\s*\n", docstring):
        head, _, rest = block.partition("\n")
        if head in LISTS:
            items = [item.partition(":") for item in re.split(r"\n(?=\S)", textwrap.dedent(rest))]
            found.append(f"**{LISTS[head]}**")
            found.append("\n".join(f"- `{name}`: {prose(text)}" for name, _, text in items))
        elif head == "Returns:":
            found.append(f"**Returns** {prose(rest)}")
        elif block.startswith("    "):
            found.append(f"```python\n{textwrap.dedent(block)}\n```")
        else:
            found.append(re.sub("^(Errors|Source):", r"**\1**", prose(block)))
    return "\n\n".join(found)


def documented(node: ast.AST) -> str:
    """Return the docstring of a module, a class or a function as Markdown, "" where there is none."""
    assert isinstance(node, ast.Module | Definition)
    return render(ast.get_docstring(node) or "")


# --- the page ---------------------------------------------------------------------------------------------------------


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """Return the methods that a reader may call, by their names or by what Python has for them."""
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return [part for part in functions if not part.name.startswith("_") or part.name.endswith("__")]


def signature(node: ast.stmt, lines: list[str]) -> str:
    """Return how a function or a class begins, as it stands in the file; a class with its fields and methods."""
    assert isinstance(node, Definition)
    first, body = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]), node.body[0]
    last = lines[body.lineno - 1][: body.col_offset] if body.lineno == node.lineno else ""
    parts = ["\n".join([*lines[first - 1 : body.lineno - 1], last]).rstrip().removesuffix(":")]
    if isinstance(node, ast.ClassDef):
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        parts += ["\n".join(lines[field.lineno - 1 : field.end_lineno]) for field in fields]
        parts += [signature(method, lines) for method in methods(node)]
    return "\n".join(parts)


def entry(thing: Public, home: str | None, root: Path) -> str:
    """Return the part of the page on a function or a class; `home` is a link to the chapter that lists it."""
    name, lines = thing.name.rpartition(".")[2], thing.path.read_text(encoding="utf-8").splitlines()
    parts = [f"({thing.anchor})=\n### `{name}`", f"```python\n{signature(thing.node, lines)}\n```"]
    parts.append(documented(thing.node))
    if isinstance(thing.node, ast.ClassDef):
        described = [method for method in methods(thing.node) if ast.get_docstring(method)]
        parts += [f"**`{method.name}`** {documented(method)}" for method in described]
    parts.append(f"[Code]({source(thing.path, thing.node, root)})" + (f" · listed in {home}" if home else ""))
    return "\n\n".join(filter(None, parts))


def constants(things: list[Public], root: Path) -> str:
    """Return the part of the page on the constants and types of a module, "" if it has none."""
    rows = {}
    for thing in things:
        text = " ".join(ast.unparse(thing.node).split())
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
        rows[thing.node] = f"- `` {short} `` ([code]({source(thing.path, thing.node, root)}))"
    return "\n".join(["Constants and types:", "", *rows.values()]) if rows else ""


def passed_on(tree: ast.Module) -> str:
    """Return the part of the page on what a module names in __all__ and imports from another, "" if nothing."""
    lists = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    imported = dict(imports(tree))
    names = [imported[name] for name in (ast.literal_eval(lists[0]) if lists else []) if name in imported]
    return f"Also here: {', '.join(f'`{name}`' for name in names)}." if names else ""


def api(root: Path = ROOT) -> str:
    """Return the reference of the package: every public name, by module."""
    found, home, links = public(root), homes(root), chapters(root)
    parts = []
    for module, path, tree in modules(root):
        mine = [thing for thing in found if thing.path == path]
        defined = [thing for thing in mine if isinstance(thing.node, Definition)]
        if mine:
            parts += [f"## `{module}`", documented(tree).partition("\n")[0], passed_on(tree)]
            parts.append(constants([thing for thing in mine if thing not in defined], root))
            parts += [entry(thing, links.get(home.get(thing.name, "")), root) for thing in defined]
    return re.sub(r"`(dlbook\.[\w.]+)`", lambda name: link(name[1], found), "\n\n".join(filter(None, parts)))
