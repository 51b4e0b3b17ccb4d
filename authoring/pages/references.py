"""The page of references: each source by its first author, what leads to it, and what cites it."""

import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

from authoring.bibliography import RESOLVERS, Entry, entries
from authoring.book import ROOT
from authoring.locks.references import citations
from authoring.pages.writing import link, page_links, prose
from authoring.public import public

LABELS = {"doi": "doi:", "eprint": "arXiv:", "isbn": "ISBN "}


def listed(authors: list[str]) -> str:
    """Return names as a sentence has them: Han Xiao, Kashif Rasul and Roland Vollgraf."""
    return " and ".join(filter(None, [", ".join(authors[:-1]), authors[-1]]))


def address(entry: Entry) -> str:
    """Return a link to a source: by the most durable of its names, or, where it has none, by its host."""
    kind = next(kind for kind in RESOLVERS if kind in entry.fields)
    target = re.sub("[<>]", lambda sign: f"%{ord(sign[0]):02X}", entry.addresses[0])
    host = urlsplit(target).netloc.removeprefix("www.")
    label = host if kind == "url" else LABELS[kind] + entry.fields[kind]
    return f"[{prose(label)}](<{target}>)"


def order(entry: Entry) -> tuple[str, str, str]:
    """Return what the list is sorted by: the first author's family name without accents, the year, the key."""
    return unicodedata.normalize("NFKD", entry.families[0]).casefold(), entry.fields["year"], entry.key


def references(root: Path = ROOT) -> str:
    """Return the list of all sources."""
    links, names, cited = page_links(root), public(root), citations(root)
    rows = []
    for entry in sorted(entries(root), key=order):
        title = entry.fields["title"]
        ended = title if title.endswith("?") else f"{title}."
        where = "" if entry.place == "arXiv" else f" {prose(entry.place)}."
        by = ", ".join(links.get(name) or link(name, names) for name in cited[entry.key])
        rows.append(
            f"- {prose(listed(entry.authors))} ({entry.fields['year']}). *{prose(ended)}*{where} "
            f"{address(entry)}. Cited in {by}."
        )
    return "\n".join(rows)
