"""The glossary is sorted, in English and Chinese, and each term stands in the chapter that it names."""

import re
from pathlib import Path

from authoring.book import ROOT, texts
from authoring.locks import unseen

PAGE = "book/appendix/glossary.md"
ENTRY = re.compile(
    r"^\*\*(.+?)\*\* <span lang=\"zh\">(.*)</span>\n: (.+?) \[[^\]]+\]\((.+?)\)(?:<!-- there: (.+?) -->)?$", re.M
)
CHINESE = re.compile("[\u4e00-\u9fff]")


def plain(text: str) -> str:
    """Return a text in small letters, with single blanks."""
    return " ".join(text.casefold().split())


def examine(text: str, chapters: dict[str, str]) -> list[str]:
    """Return what is wrong with a glossary, for chapters given by their addresses."""
    entries = ENTRY.findall(text)
    terms = [plain(entry[0]) for entry in entries]
    found = [] if text.count("\n: ") == len(entries) else ["each entry must have a term, a meaning and a link"]
    found += [
        f"{term}: must stand before {other}" for other, term in zip(terms, terms[1:], strict=False) if term <= other
    ]
    meanings = [entry[2] for entry in entries]
    found += [f"{meaning!r} must mean one term" for meaning in set(meanings) if meanings.count(meaning) > 1]
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        found += [
            f"{entry[0]}: must not stand under {part[0]}"
            for entry in ENTRY.findall(part)
            if entry[0][0].upper() != part[0]
        ]
    for term, chinese, _, address, form in entries:
        if not CHINESE.search(chinese):
            found.append(f"{term}: must have a Chinese term: got {chinese}")
        if address not in chapters:
            found.append(f"{term}: must link to a chapter: got {address}")
        elif not re.search(rf"(?<!\w){re.escape(plain(form or term))}", plain(chapters[address])):
            found.append(f"{term}: {address} must say {form or term!r}")
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the glossary."""
    chapters = texts(root)
    addresses = {f"../{page.removeprefix('book/')}.ipynb": text for page, text in chapters.items()}
    listed = (root / PAGE).read_text(encoding="utf-8")
    found = [f"{PAGE}: {fault}" for fault in examine(listed, addresses)]
    explained = [entry[3] for entry in ENTRY.findall(listed)]
    looked_at = {page: explained.count(address) for page, address in zip(chapters, addresses, strict=True)}
    return found + unseen(looked_at, "terms of the glossary", root)
