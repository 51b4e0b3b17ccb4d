"""Each source that a page or a docstring names has an entry in references.bib, and each entry is complete and cited.

A page cites an entry by a link to one of its addresses, or by a number that comes `<!-- from: KEY -->`; a docstring by
`Source: Author Year`. Under Sources, the words of the link are the title, or a part of it.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from pybtex.exceptions import PybtexError

from authoring.bibliography import Entry, entries, meant
from authoring.book import PARSER, ROOT, markdown, pages
from authoring.locks import unseen
from authoring.public import methods, public

FORMS = {
    "doi": r"10\.\d{4,9}/\S+",
    "eprint": r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}",
    "isbn": r"97[89]\d{10}",
    "url": r"https?://[\w.-]+\.[a-z]+(?:/\S*)?",
}
LICENCES = "https://creativecommons.org/licenses/"  # to name a licence is not to cite it
FAMILY = r"[^\W\d_a-z][\w’'-]+(?: [^\W\d_a-z][\w’'-]+)*"
LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\((https?://[^)\s]+(?:\([^)\s]*\)[^)\s]*)?)\)")
CITED = re.compile(rf"(?<![\w-])({FAMILY}(?:(?:, {FAMILY})*,? and {FAMILY}| et al\.)?) ((?:1[89]|20)\d\d[a-z]?)\b")
ASK = (
    "add it at the end of book/references.bib, with author, title, year, "
    "journal, booktitle, publisher or howpublished, and doi, eprint, isbn or url"
)


def texts(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each page."""
    return {page: markdown(path) for page, (path, _) in pages(root).items()}


@cache
def plain(address: str) -> str:
    """Return an address in the form in which two that lead to the same are equal."""
    address = re.sub(r"^https?://(?:www\.|dx\.)?", "", unquote(address).lower()).rstrip("/")
    address = address.replace("doi.org/10.48550/arxiv.", "arxiv.org/abs/").replace("arxiv.org/pdf/", "arxiv.org/abs/")
    return re.sub(r"^(arxiv.*?)(?:v\d)?(?:\.pdf)?$", r"\1", address)


def leading(entry: Entry) -> set[str]:
    """Return the plain addresses that lead to an entry."""
    return {plain(address) for address in entry.addresses}


def misdated(text: str, known: list[Entry]) -> list[str]:
    """Return the links to a source whose words give another year than its entry."""
    years = {plain(address): entry.fields.get("year") for entry in known for address in entry.addresses}
    wrong = []
    for words, address in LINK.findall(text):
        said, year = re.findall(r"\b(?:1[89]|20)\d\d\b", words), years.get(plain(address))
        if said and year and year not in said:
            wrong.append(f"“{words}” must say {year}, the year of its entry in book/references.bib")
    return wrong


def words_of(title: str) -> str:
    """Return a title as its words: no marks of LaTeX or Markdown, no capitals, no punctuation."""
    text = re.sub(r"\\mathrm|[{}$`_]", "", title).lower().replace(r"\times", " x ").replace("×", " x ")
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=\d)x(?=\d)", " x ", text))
    return f" {' '.join(words)} "


def misnamed(section: str, known: list[Entry]) -> list[str]:
    """Return the links under Sources whose words are no part of the title of what they lead to."""
    wrong, ways = [], [(entry, leading(entry)) for entry in known]
    for words, address in LINK.findall(section):
        cited = [entry for entry, leads in ways if plain(address) in leads]
        titles = [entry.fields.get("title", "") for entry in cited]
        if titles and not any(words_of(words) in words_of(title) for title in titles):
            wrong.append(f"“{words}” must be the title in book/references.bib, or a part of it: {titles[0]}")
    return wrong


def led_to(text: str) -> list[str]:
    """Return the addresses of the links in a text that lead out of the book."""
    children = [child for token in PARSER.parse(text) for child in token.children or []]
    found = [str(child.attrs["href"]) for child in children if "href" in child.attrs]
    return [address for address in found if re.match("https?://", address) and not address.startswith(LICENCES)]


def named(root: Path = ROOT) -> list[tuple[str, str, str]]:
    """Return what docstrings name as their sources: (name, authors, year)."""
    found = []
    for thing in public(root):
        for documented in [thing, *methods(thing)]:
            docstring = documented.docstring.value if documented.docstring else ""
            for part in re.findall(r"^Source: (.*?)(?:\n\n|\Z)", docstring, re.M | re.S):
                found += [(thing.path, *cited) for cited in CITED.findall(" ".join(part.split()))]
    return found


def citations(root: Path = ROOT) -> dict[str, list[str]]:
    """Return what cites each entry, by its key: pages, and then names of the package."""
    known = entries(root)
    found: dict[str, list[str]] = {entry.key: [] for entry in known}
    ways = [(entry.key, leading(entry)) for entry in known]
    for page, text in texts(root).items():
        addresses = {plain(address) for address in led_to(text)}
        marks = re.findall(r"<!--\s*from:\s*(\S+?)\s*-->", text)
        for key, leads in ways:
            if key in marks or addresses & leads:
                found[key].append(page)
    for name, families, year in named(root):
        for entry in meant(families, year, known):
            if name not in found[entry.key]:
                found[entry.key].append(name)
    return found


def incomplete(entry: Entry) -> list[str]:
    """Return what an entry lacks, and which of its addresses cannot be right."""
    needed = {"author": entry.families, "title": entry.fields.get("title"), "year": entry.fields.get("year")}
    needed |= {"where it appeared": entry.place, "a doi, eprint, isbn or url": entry.addresses}
    wrong = [f"{entry.key}: must have {name}" for name, value in needed.items() if not value]
    for kind, form in FORMS.items():
        if kind in entry.fields and not re.fullmatch(form, entry.fields[kind]):
            wrong.append(f"{entry.key}: {kind} must look like {form}: got {entry.fields[kind]}")
    return wrong


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong: entries that lead nowhere or are cited nowhere, and sources that have no entry."""
    try:
        known = entries(root)
    except PybtexError as error:
        return [f"book/references.bib: must be BibTeX, each key once: {error}"]
    wrong = [fault for entry in known for fault in incomplete(entry)]
    addresses = Counter(address for entry in known for address in leading(entry))
    wrong += [f"{name}: must be the address of one entry: got {n}" for name, n in addresses.items() if n > 1]
    uncited = [key for key, by in citations(root).items() if not by]
    wrong += [f"{key}: must be cited, but no page links to it and no docstring names it" for key in uncited]
    looked_at = {}
    for page, text in texts(root).items():
        sections = re.findall(r"^## Sources\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        listed = [address for section in sections for address in led_to(section)]
        looked_at[page] = len(listed)
        unknown = [address for address in listed if plain(address) not in addresses]
        wrong += [f"{page}: names {address} under Sources: {ASK}" for address in unknown]
        wrong += [f"{page}: {fault}" for fault in misdated(text, known)]
        wrong += [f"{page}: {fault}" for section in sections for fault in misnamed(section, known)]
    for name, families, year in named(root):
        if (count := len(meant(families, year, known))) != 1:
            wrong.append(f"{name}: names {families} {year}, which is {count} entries: {ASK}")
    return wrong + unseen(looked_at, "sources", root)
