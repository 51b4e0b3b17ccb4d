"""The text of a notebook is portable Markdown, which JupyterLab and Colab show as the site does: no MyST."""

import re
from pathlib import Path

from authoring.book import ROOT, chapters, markdown_cells
from authoring.locks import unseen

MYST = {
    "role": r"(?<!`)\{[\w:+-]+\}`",
    "directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "label": r"^\([\w-]+\)=\s*$",
    "footnote": r"\[\^[^\]]+\]",
    "substitution": r"\{\{.+?\}\}",
    "comment": r"^%\s",
    "attributes": r"^\{[.#][^}]*\}\s*$|\]\{[.#\w]|\)\{[.#]|`\{[.#][^}]*\}",
    "block break": r"^\+\+\+",
}


def unportable(text: str) -> list[str]:
    """Return what only the published site would understand in a Markdown cell."""
    plain = re.sub(r"^(```|~~~)(?!\s*\{).*?^\1", "", text, flags=re.M | re.S)  # code shown as code
    plain = re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$", "$", plain, flags=re.S)
    return [
        f"write portable Markdown, not a MyST {name}: got {match[0].strip()!r}"
        for name, pattern in MYST.items()
        if (match := re.search(pattern, plain, re.M))
    ]


def faults(root: Path = ROOT) -> list[str]:
    """Return the passages of notebooks that only the site would understand."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        cells = markdown_cells(nb)
        looked_at[page] = len(cells)
        found += [f"{page}: {fault}" for cell in cells for fault in unportable(cell.source)]
    return found + unseen(looked_at, "Markdown cells", root)
