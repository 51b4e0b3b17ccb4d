"""The map of prerequisites in book/intro.md shows the chapters, and what comes before each, as its "You need" says."""

import re
from pathlib import Path

from authoring.book import ROOT, markdown, notebooks, pages
from authoring.locks import unseen

PAGE = "book/intro.md"
NEEDS = re.compile(r"\*\*You need\*\*.*?(?=\n\n|\Z)", re.S)
Edges = set[tuple[str, str]]  # (what comes first, what needs it)


def needed(path: Path) -> set[str]:
    """Return the chapters that a chapter's "You need" names."""
    paragraph = NEEDS.search(markdown(path))
    links = re.findall(r"\]\(([^)]+\.ipynb)\)", paragraph[0]) if paragraph else []
    return {(path.parent / link).resolve().stem for link in links}


def before(edges: Edges, chapter: str) -> set[str]:
    """Return all that comes before a chapter, directly or not."""
    found: set[str] = set()
    waiting = [chapter]
    while waiting:
        last = waiting.pop()
        new = {first for first, then in edges if then == last} - found
        found |= new
        waiting += new
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return where the map and the chapters differ."""
    page = (root / PAGE).read_text(encoding="utf-8")
    drawn = set(re.findall(r'data-from="([\w-]+)" data-to="([\w-]+)"', page))
    linked = {f"book/{link}" for link in re.findall(r'<a href="([\w/-]+)\.html"><rect', page)}
    chapters = {name: path for name, (path, _) in pages(root).items() if path.suffix == ".ipynb"}
    found = [f"{PAGE}: the map must link to {name}: draw it" for name in chapters.keys() - linked]
    found += [f"{PAGE}: the map links to {name}, which is no chapter: delete it" for name in linked - chapters.keys()]
    said = {(first, path.stem) for path in notebooks(root) for first in needed(path)}
    for name, path in chapters.items():
        if not NEEDS.search(markdown(path)):
            found.append(f"{name}: must say **You need** and link to the chapters that come first")
        in_map, in_text = before(drawn, path.stem), before(said, path.stem)
        for other in sorted(in_map ^ in_text):
            where = "in the map of book/intro.md" if other in in_map else "by its **You need**"
            found.append(f"{name}: {other} comes before it only {where}: say it in both or in neither")
    return sorted(found) + unseen({name: len(needed(path)) for name, path in chapters.items()}, "prerequisites", root)
