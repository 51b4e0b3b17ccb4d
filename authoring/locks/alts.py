"""Alt texts of figures: a template with marks, as the text has them, and the alt text that is written from it.

    "mystnb": {"image": {"alt": "…: near 82 per cent."}, "alt_from": "…: near 82<!-- = 100 * right ± 1 --> per cent."}

The site shows `alt` as it is. `python -m authoring.build` writes it from `alt_from`, without comments and the `…` of
constants. An alt text without numbers of a run needs no template.
"""

import re
from collections.abc import Iterator

from nbformat import NotebookNode

COMMENT = re.compile(r"<!--.*?-->", re.S)


def plain(template: str) -> str:
    """Return the alt text that a template stands for."""
    return COMMENT.sub("", template).replace("`", "")


def templates(nb: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Yield what each alt text of a notebook is written from, which is itself if it has no template, and its cell."""
    for cell in nb.cells:
        settings = cell.metadata.get("mystnb", {})
        if template := settings.get("alt_from") or settings.get("image", {}).get("alt"):
            yield template, cell


def rewrite(nb: NotebookNode) -> None:
    """Write the alt texts of a notebook, in place, from their templates."""
    for template, cell in templates(nb):
        if "alt_from" in cell.metadata.mystnb:
            cell.metadata.mystnb.setdefault("image", NotebookNode())["alt"] = plain(template)


def faults(nb: NotebookNode) -> list[str]:
    """Return which alt texts are not what their template stands for."""
    found = []
    for template, cell in templates(nb):
        alt = cell.metadata.mystnb.get("image", {}).get("alt", "")
        if COMMENT.search(alt):
            found.append(f"the alt text “{alt[:40]} …” would show its marks: put it into mystnb.alt_from")
        elif "alt_from" in cell.metadata.mystnb and alt != plain(template):
            found.append(f"the alt text “{alt[:40]} …” must be that of its template alt_from: run `make notebooks`")
    return found
