"""The listing lock: code cells that begin with `# Listing: dlbook.attention.attend` hold the package's own source.

The source is shown as it stands, comments and decorators included; docstrings are cut to their first line.
`python -m tools.build` writes these cells. What is longer than a page is split in the package, not in the listing.
"""

import ast
import textwrap
from pathlib import Path

from nbformat import NotebookNode

from tools.book import ROOT

MARK = "# Listing: "
LONGEST = 40
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def locate(name: str, root: Path = ROOT) -> tuple[Path, Definition]:
    """Find the file and the definition that a dotted name means, without importing anything."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        path = root.joinpath(*parts[:cut]).with_suffix(".py")
        if not path.is_file():
            continue
        body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
        for part in parts[cut:]:
            node = next((node for node in body if isinstance(node, Definition) and node.name == part), None)
            if node is None:
                raise ValueError(f"a name must mean something that exists: no {part!r} in {path.name} for {name!r}")
            body = node.body
        return path, node  # type: ignore[return-value]
    raise ValueError(f"a name must mean something that exists: no module found for {name!r}")


def listing(name: str, root: Path = ROOT) -> str:
    """Return the source of an object as the book prints it."""
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
    shown = [line for line in lines[start - 1 : node.end_lineno] if line is not None]
    if len(shown) > LONGEST:
        raise ValueError(f"a listing must have at most {LONGEST} lines: {name} has {len(shown)}")
    return textwrap.dedent("\n".join(shown))


def rewrite(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Write the package's source into the listing cells of a notebook; return what stands in the way."""
    faults = []
    for cell in nb.cells:
        first = cell.source.partition("\n")[0]
        if cell.cell_type == "code" and first.startswith(MARK):
            try:
                cell.source = first + "\n" + listing(first.removeprefix(MARK).strip(), root)
            except ValueError as error:
                faults.append(str(error))
    return faults
