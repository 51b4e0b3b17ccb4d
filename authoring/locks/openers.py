"""A page that opens a section leads to each of its chapters, and has one heading: others would take their numbers."""

import re
from pathlib import Path

from authoring.book import PARSER, ROOT, pages, without_header


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the openers, which are the numbered pages without code.

    Where they have a map, it must lead to each chapter; where they have none, the text.
    """
    known = pages(root)
    openers = {page: path for page, (path, number) in known.items() if path.suffix == ".md" and number}
    found = [] if openers else ["_toc.yml: the lock found no numbered page in .md: mend the lock or the book"]
    for page, path in openers.items():
        text = path.read_text(encoding="utf-8")
        where = "".join(re.findall(r"<svg.*?</svg>", text, re.S)) or text
        below = [one for one, (_, number) in known.items() if re.fullmatch(rf"{known[page][1]}\.\d+", number)]
        found += [
            f"{page}: must lead to {chapter}, {'on its map' if where != text else 'in its text'}"
            for chapter in below
            if not re.search(rf"\b{Path(chapter).name}\.(?:html|ipynb|md)\b", where)
        ]
        headings = [token.tag for token in PARSER.parse(without_header(path)) if token.type == "heading_open"]
        if headings != ["h1"]:
            found.append(f"{page}: must have one heading, its title: got {', '.join(headings) or 'none'}")
    return found
