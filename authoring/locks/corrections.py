"""Each correction of the article is listed in the appendix, and shown in the chapter that the list names."""

import re
from pathlib import Path

from authoring.book import ROOT, texts
from authoring.locks import unseen

PAGE = "book/appendix/corrections.md"
ENTRY = re.compile(r"^(\d+)\. \*\*.+?(?=^\d+\. \*\*|^## |\Z)", re.M | re.S)
SHOWN = re.compile(r"\]\(([^()\s]+\.ipynb)\)(?:<!-- (.+?) -->)?")
BOX = re.compile(r"^> \*\*(?:A correction to the article|What the article leaves out)\.\*\*.*(?:\n>.*)*", re.M)


def passages(text: str) -> list[tuple[int, str, str]]:
    """Return what the list says is shown where: (number, notebook, its words) for each link of an entry."""
    return [
        (int(entry[1]), address, words) for entry in ENTRY.finditer(text) for address, words in SHOWN.findall(entry[0])
    ]


def boxes(text: str) -> list[str]:
    """Return the corrections in a notebook's text."""
    return BOX.findall(text)


def examine(text: str, chapters: dict[str, str]) -> list[str]:
    """Return all in which the list and the chapters, given by their addresses, differ."""
    shown = passages(text)
    numbers = [int(entry[1]) for entry in ENTRY.finditer(text)]
    found = [] if numbers == list(range(1, len(numbers) + 1)) else [f"numbers must run from 1: got {numbers}"]
    found += [
        f"{number}: must link to the chapter that shows it" for number in set(numbers) - {row[0] for row in shown}
    ]
    for number, address, words in shown:
        if not words:
            found.append(f"{number}: the link to {address} must be followed by <!-- words of that chapter -->")
        elif address not in chapters:
            found.append(f"{number}: must link to a chapter: got {address}")
        elif words not in chapters[address]:
            found.append(f"{number}: {address} must say {words!r}")
    for address, chapter in chapters.items():
        for box in boxes(chapter):
            if not any(address == where and words in box for _, where, words in shown if words):
                found.append(f"{address}: must be listed: {box[:80]}")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return all in which the list of corrections and the chapters differ."""
    chapters = texts(root)
    addresses = {f"../{page.removeprefix('book/')}.ipynb": text for page, text in chapters.items()}
    listed = (root / PAGE).read_text(encoding="utf-8")
    found = [f"{PAGE}: {fault}" for fault in examine(listed, addresses)]
    return found + unseen({page: len(boxes(text)) for page, text in chapters.items()}, "corrections", root)
