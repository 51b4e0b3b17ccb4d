"""What a piece of code uses of the package: the definitions that it imports, those that these name, and so on.

An output made from a function stays valid when a function is added beside it, or when the text about it changes.
"""

import ast
import io
import itertools
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.book import ROOT
from tools.listings import Definition


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield all that Python code imports, anywhere in it, by absolute imports: its name there, its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.asname or name.name, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((name.asname or name.name, f"{node.module}.{name.name}") for name in node.names)


def imported(code: str) -> list[str]:
    """Return the dotted name of all that Python code imports, anywhere in it."""
    return [dotted for _, dotted in imports(ast.parse(code))]


def essence(text: str) -> list[str]:
    """Return the lines of a module without comments and docstrings: the same in every version of Python."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | Definition) and ast.get_docstring(node) is not None:
            doc = node.body[0]
            lines[doc.lineno - 1 : doc.end_lineno] = [""] * ((doc.end_lineno or doc.lineno) - doc.lineno + 1)
    return [line.rstrip() for line in lines]


class Source:
    """A module of the package: what it imports, and the statements at its top by the names that they define."""

    def __init__(self, text: str):
        tree, lines = ast.parse(text), essence(text)
        self.imports = dict(imports(tree))
        self.defined: dict[str, list[tuple[str, set[str]]]] = {}  # of each statement, its source and the names in it
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            start = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
            source = "\n".join(line for line in lines[start - 1 : node.end_lineno] if line)
            named = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            bound = {part.id for part in named if isinstance(part.ctx, ast.Store)} or {""}
            for name in [node.name] if isinstance(node, Definition) else bound:
                self.defined.setdefault(name, []).append((source, {part.id for part in named}))


def uses(codes: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the source of each definition of the package that some pieces of code use, without comments, sorted.

    A module that is imported as such counts as a whole; a statement that defines nothing, with any of its module.
    A name from another library has no source here; what it means is said instead.
    """
    files = {".".join(path.relative_to(root).with_suffix("").parts): path for path in (root / "dlbook").rglob("*.py")}
    files = {module.removesuffix(".__init__"): path for module, path in files.items()}
    sources: dict[str, Source] = {}
    found, seen, waiting = set(), set(), [name for code in codes for name in imported(code)]
    while waiting:
        name = waiting.pop()
        prefixes = itertools.accumulate(name.split("."), "{}.{}".format)  # a, a.b, a.b.c
        *packages, module = [prefix for prefix in prefixes if prefix in files] or [""]
        if name in seen or not module:
            continue
        seen.add(name)
        if module not in sources:
            sources[module] = Source(files[module].read_text(encoding="utf-8"))
        source = sources[module]
        wanted = name[len(module) + 1 :].partition(".")[0]
        if name == module or wanted == "*":
            statements, meant = list(itertools.chain(*source.defined.values())), source.imports
        else:
            statements = source.defined.get(wanted, []) + source.defined.get("", [])
            meant = {wanted: source.imports[wanted]} if wanted in source.imports else {}
        waiting += meant.values()
        found |= {f"{short} is {dotted}" for short, dotted in meant.items() if not dotted.startswith("dlbook")}
        found |= {text for text, _ in statements}
        waiting += [f"{module}.{part}" for _, parts in statements for part in parts]
        waiting += [f"{package}." for package in packages]
    return sorted(found - {""})
