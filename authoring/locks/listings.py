"""A cell that begins with `# Listing: dlbook.network.Dense` holds the package's source of it; each has one home.

The source is shown as it stands, comments and decorators included; docstrings are cut to their first line. A cell that
begins with `# Listing, shortened: …` also leaves out the checks of arguments (`definitions.is_guard`), and decorators
for devices without float64.
`python -m authoring.build` writes these cells. What is longer than a page is split in the package, not in the listing.
"""

import ast
import functools
import re
import textwrap
from collections import defaultdict
from pathlib import Path

from nbformat import NotebookNode

from authoring.book import ROOT, chapters, code_cells, formatted
from authoring.definitions import Definition, is_guard, reads
from authoring.locks import unseen

MARK = re.compile(r"# Listing(?P<short>, shortened)?: (?P<name>\S+)")
LONGEST = 45
FOR_DEVICES = "float64_on_cpu"  # a decorator, of which nobody needs to think who reads the function
WITHOUT = {"book/background/deep-learning-today"}  # the chapter that comes before all code


parsed = functools.cache(ast.parse)  # of a text; nobody changes its tree


def locate(name: str, root: Path = ROOT) -> tuple[Path, Definition]:
    """Find the file and the definition that a dotted name means, without importing anything."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        path = root.joinpath(*parts[:cut]).with_suffix(".py")
        if not path.is_file():
            continue
        body: list[ast.stmt] = parsed(path.read_text(encoding="utf-8")).body
        for part in parts[cut:]:
            node = next((node for node in body if isinstance(node, Definition) and node.name == part), None)
            if node is None:
                raise ValueError(f"a name must mean something that exists: no {part!r} in {path.name} for {name!r}")
            body = node.body
        return path, node  # type: ignore[return-value]
    raise ValueError(f"a name must mean something that exists: no module found for {name!r}")


def listing(name: str, root: Path = ROOT, short: bool = False) -> str:
    """Return the source of an object as the book prints it, or the shortened source."""
    path, node = locate(name, root)
    lines: list[str | None] = list(path.read_text(encoding="utf-8").splitlines())
    for inner in ast.walk(node):
        if isinstance(inner, Definition) and ast.get_docstring(inner) is not None:
            first, last = inner.body[0].lineno - 1, inner.body[0].end_lineno or 0
            opening, ending = str(lines[first]).rstrip(), str(lines[last - 1]).rstrip()
            if opening.endswith(('"""', "'''")) and last - first > 1:
                raise ValueError(f"a docstring must begin on its first line: got {path.name}, line {first + 1}")
            if last - first > 1:
                lines[first:last] = [opening + ending[-3:], *[None] * (last - first - 1)]
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    while start > 1 and str(lines[start - 2]).startswith(" " * node.col_offset + "#"):
        start -= 1  # a comment that stands right above belongs to the definition
    text = textwrap.dedent("\n".join(line for line in lines[start - 1 : node.end_lineno] if line is not None))
    text = shorten(text) if short else text
    if (count := text.count("\n") + 1) > LONGEST:
        advice = "split it in the package" if short else "split it in the package, or list it shortened"
        raise ValueError(f"a listing must have at most {LONGEST} lines: {name} has {count}: {advice}")
    return text


@functools.cache  # several locks ask for each listing
def shorten(text: str) -> str:
    """Take the checks of arguments, what is only made for these, and FOR_DEVICES out of a source."""
    tree = ast.parse(text)
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and is_guard(node)]
    inner = {part for guard in guards for part in ast.walk(guard) if part is not guard}
    guards = [guard for guard in guards if guard not in inner]
    read, by_guards = reads(tree), reads(ast.Module(guards, []))
    gone = [guard for guard in guards if all(read[name] == by_guards[name] for name in names_set(guard))]
    only_checked = {name for name, times in by_guards.items() if read[name] == times}
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and names_set(node)]
    gone += [node for node in made if only_checked.issuperset(names_set(node))]
    gone += [loop for loop in ast.walk(tree) if isinstance(loop, ast.For | ast.If) and set(loop.body) <= {*gone}]
    dropped = {number for node in gone for number in range(node.lineno - 1, node.end_lineno or 0)}
    decorators = [part for node in ast.walk(tree) if isinstance(node, Definition) for part in node.decorator_list]
    dropped |= {part.lineno - 1 for part in decorators if isinstance(part, ast.Name) and part.id == FOR_DEVICES}
    kept = "\n".join(line for number, line in enumerate(text.splitlines()) if number not in dropped)
    return formatted(kept)


def names_set(node: ast.AST) -> set[str]:
    """Return the names that an assignment sets, or that a statement sets in passing, by :=."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets += [part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def listed(nb: NotebookNode) -> list[tuple[NotebookNode, str, bool]]:
    """Return the listing cells of a notebook, each with the dotted name of what it shows, and whether shortened."""
    found = [(cell, MARK.match(cell.source)) for cell in code_cells(nb)]
    return [(cell, mark["name"], bool(mark["short"])) for cell, mark in found if mark]


def rewrite(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Write the package's source into the listing cells of a notebook; return what stands in the way."""
    found = []
    for cell, name, short in listed(nb):
        try:
            cell.source = cell.source.partition("\n")[0] + "\n" + listing(name, root, short)
        except ValueError as error:
            found.append(str(error))
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return the listings that differ from the package, those with two homes, and the chapters that list nothing."""
    found, looked_at, homes = [], {}, defaultdict(list)
    for page, nb in chapters(root):
        cells = listed(nb)
        looked_at[page] = len(cells)
        if not cells and page not in WITHOUT:
            found.append(f"{page}: must list something of the package, in a cell that begins with # Listing: …")
        for cell, name, short in cells:
            homes[name].append(page)
            try:
                if cell.source.partition("\n")[2] != listing(name, root, short):
                    found.append(f"{page}: the listing of {name} differs from the package: run `make notebooks`")
            except ValueError as error:
                found.append(f"{page}: {error}")
    for name, places in homes.items():
        if len(places) > 1:
            found.append(f"{', '.join(places)}: {name} must be listed once: import it elsewhere")
    return found + unseen(looked_at, "listings", root)
