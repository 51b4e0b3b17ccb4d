"""Small notebooks and small books for the tests of the tools."""

import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

TOC = """\
format: jb-book
root: book/intro
parts:
  - caption: Part
    numbered: true
    chapters:
      - file: book/a
        sections:
          - file: book/b
      - file: book/c
  - caption: Appendix
    chapters:
      - file: book/z
"""


def notebook(*cells: str | NotebookNode) -> NotebookNode:
    """Make a notebook; strings are Markdown, cells stay as they are; code counts as executed in order."""
    made = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for count, cell in enumerate((cell for cell in made if cell.cell_type == "code"), 1):
        cell.execution_count = count
    return new_notebook(cells=made)


def code(source: str, *outputs: NotebookNode, tags: tuple[str, ...] = (), **metadata: object) -> NotebookNode:
    """Make a code cell."""
    return new_code_cell(source, outputs=list(outputs), metadata={**({"tags": list(tags)} if tags else {}), **metadata})


def printed(text: str, name: str = "stdout") -> NotebookNode:
    """Make the output of a print."""
    return new_output("stream", name=name, text=text)


def shown(**data: str) -> NotebookNode:
    """Make a displayed output: shown(text_html="<p>")."""
    return new_output("display_data", data={kind.replace("_", "/", 1): value for kind, value in data.items()})


def write(nb: NotebookNode, path: Path) -> Path:
    """Write a notebook as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


def small_book(root: Path, version: str = "0.1.0.dev0", **notebooks: NotebookNode) -> Path:
    """Make a book in a folder: pages intro, a (1), b (1.1), c (2), z (no number), of which some are notebooks."""
    for folder in ("book/appendix", "dlbook", "tests", "benchmarks/results"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text("repository: {url: 'https://example.org/o/r'}\n")
    (root / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (root / "book" / "references.bib").write_text("@article{vaswani2017,\n  title = {Attention},\n}\n")
    (root / "benchmarks" / "results" / "fit-cpu.json").write_text(
        json.dumps({"mlp": {"seconds": 12.34}, "name": "mlp"})
    )
    (root / "dlbook" / "__init__.py").write_text('"""A package."""\n')
    (root / "book" / "spread.json").write_text("{}\n")
    for page in ("notation", "corrections", "glossary"):
        (root / "book" / "appendix" / f"{page}.md").write_text(f"# {page}\n")
    for page in ("intro", "a", "b", "c", "z"):
        if page not in notebooks:
            (root / "book" / f"{page}.md").write_text(f"# {page}\n")
    for page, nb in notebooks.items():
        write(nb, root / "book" / f"{page}.ipynb")
    return root
