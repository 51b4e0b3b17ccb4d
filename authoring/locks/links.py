"""Each link in a notebook to another file of the book leads to a file, and to the whole of it.

The site, JupyterLab and Colab make different addresses of a heading, so that no link to one works in all three.
"""

import re
from pathlib import Path

from authoring.book import PARSER, ROOT, chapters, markdown_cells
from authoring.locks import unseen


def links(text: str) -> list[str]:
    """Return the addresses of the links and images in a Markdown text."""
    parts = [child for token in PARSER.parse(text) for child in token.children or []]
    return [str(part.attrs[name]) for part in parts for name in ("href", "src") if name in part.attrs]


def faults(root: Path = ROOT) -> list[str]:
    """Return the links that lead nowhere."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        addresses = [link for cell in markdown_cells(nb) for link in links(cell.source)]
        looked_at[page] = len(addresses)
        inward = [link for link in addresses if not re.match(r"\w+:", link)]
        local = [link.partition("#")[0] for link in inward if not link.startswith("#")]
        folder = (root / page).parent
        found += [
            f"{page}: links to a file that is not there: correct {link}"
            for link in local
            if not (folder / link).is_file()
        ]
        found += [
            f"{page}: a link to a heading works in one of site, JupyterLab and Colab: lead to the page: {link}"
            for link in inward
            if "#" in link
        ]
    return found + unseen(looked_at, "links", root)
