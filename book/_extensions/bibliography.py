"""The sources of the book: what book/references.bib holds, where each is cited, and what is wrong with them."""

import ast
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from package import chapters, link, prose, public

from tools.book import ROOT, markdown, pages
from tools.listings import Definition
from tools.prose import PARSER

RESOLVERS = {
    "doi": "https://doi.org/",
    "eprint": "https://arxiv.org/abs/",
    "isbn": "https://openlibrary.org/isbn/",
    "url": "",
}
FORMS = {
    "doi": r"10\.\d{4,9}/\S+",
    "eprint": r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}",
    "isbn": r"97[89]\d{10}",
    "url": r"https?://[\w.-]+\.[a-z]+(?:/\S*)?",
}
PLACES = ("journal", "booktitle", "publisher", "school", "institution", "howpublished")
LICENCES = "https://creativecommons.org/licenses/"  # to name a licence is not to cite it
FAMILY = r"[^\W\d_a-z][\w’'-]+(?: [^\W\d_a-z][\w’'-]+)*"
CITED = re.compile(rf"(?<![\w-])({FAMILY}(?:(?:, {FAMILY})*,? and {FAMILY}| et al\.)?) ((?:1[89]|20)\d\d[a-z]?)\b")


@dataclass(frozen=True)
class Entry:
    """An entry of the bibliography: its key, and its fields by name."""

    key: str
    fields: dict[str, str]

    @property
    def families(self) -> list[str]:
        """The family names of the authors without "van" and the like; of an organisation, its name."""
        return [re.sub("^(?:[a-z]+ )+(?=[A-Z])", "", name.partition(",")[0]) for name in self.authors]

    @property
    def authors(self) -> list[str]:
        """The authors, as "Glorot, Xavier"."""
        return self.fields.get("author", "").split(" and ")

    @property
    def place(self) -> str:
        """Where it appeared."""
        return next((self.fields[name] for name in PLACES if name in self.fields), "arXiv" * ("eprint" in self.fields))

    @property
    def addresses(self) -> list[str]:
        """What leads to it, the most durable first."""
        return [resolver + self.fields[kind] for kind, resolver in RESOLVERS.items() if kind in self.fields]


def entries(root: Path = ROOT) -> list[Entry]:
    """Read book/references.bib, in which each field is a line, and each entry ends in a line with a brace."""
    text = (root / "book" / "references.bib").read_text(encoding="utf-8")
    blocks = re.findall(r"^@\w+\{\s*([^,\s]+),\n(.*?)^\}", text, re.M | re.S)
    pairs = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", re.M)
    return [
        Entry(key, {name: re.sub("[{}]", "", value) for name, value in pairs.findall(body)}) for key, body in blocks
    ]


# --- where they are cited ---------------------------------------------------------------------------------------------


def texts(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each page."""
    return {page: markdown(path) for page, (path, _) in pages(root).items()}


def plain(address: str) -> str:
    """Return an address in the form in which two that lead to the same are equal."""
    address = re.sub(r"^https?://(?:www\.|dx\.)?", "", unquote(address).lower()).rstrip("/")
    address = address.replace("doi.org/10.48550/arxiv.", "arxiv.org/abs/").replace("arxiv.org/pdf/", "arxiv.org/abs/")
    return re.sub(r"^(arxiv.*?)(?:v\d)?(?:\.pdf)?$", r"\1", address)


def led_to(text: str) -> list[str]:
    """Return the addresses of the links in a text that lead out of the book."""
    children = [child for token in PARSER.parse(text) for child in token.children or []]
    found = [str(child.attrs["href"]) for child in children if "href" in child.attrs]
    return [address for address in found if re.match("https?://", address) and not address.startswith(LICENCES)]


def named(root: Path = ROOT) -> list[tuple[str, str, str]]:
    """Return what docstrings name as their sources: (name, authors, year)."""
    found = []
    for thing in public(root):
        for node in ast.walk(thing.node):
            docstring = ast.get_docstring(node) if isinstance(node, Definition) else None
            for part in re.findall(r"^Source: (.*?)(?:\n\n|\Z)", docstring or "", re.M | re.S):
                found += [(thing.name, *cited) for cited in CITED.findall(" ".join(part.split()))]
    return found


def meant(families: str, year: str, known: list[Entry]) -> list[Entry]:
    """Return the entries that "He et al." and "2015" mean, or "Mikolov et al." and "2013b"; there should be one."""
    if families.endswith(" et al."):
        found = [entry for entry in known if entry.families[0] == families.removesuffix(" et al.")]
    else:
        found = [entry for entry in known if entry.families == re.split(r",? and |, ", families)]
    found = [entry for entry in found if entry.fields.get("year") == year[:4]]
    return [entry for entry in found if entry.key.endswith(year)] or (found if year.isdigit() else [])


def citations(root: Path = ROOT) -> dict[str, list[str]]:
    """Return what cites each entry, by its key: pages, and then names of the package."""
    known = entries(root)
    found: dict[str, list[str]] = {entry.key: [] for entry in known}
    for page, text in texts(root).items():
        addresses, marks = (
            {plain(address) for address in led_to(text)},
            re.findall(r"<!--\s*from:\s*(\S+?)\s*-->", text),
        )
        for entry in known:
            if entry.key in marks or addresses & {plain(address) for address in entry.addresses}:
                found[entry.key].append(page)
    for name, families, year in named(root):
        for entry in meant(families, year, known):
            if name not in found[entry.key]:
                found[entry.key].append(name)
    return found


ASK = (
    "add it at the end of book/references.bib, with author, title, year, "
    "journal, booktitle, publisher or howpublished, and doi, eprint, isbn or url"
)


def faults(root: Path = ROOT) -> list[str]:
    """Say what is wrong: entries that lead nowhere or are cited nowhere, and sources that have no entry."""
    known, wrong = entries(root), []
    for entry in known:
        needed = {name: entry.fields.get(name) for name in ("author", "title", "year")}
        needed |= {"where it appeared": entry.place, "a doi, eprint, isbn or url": "".join(entry.addresses)}
        wrong += [f"{entry.key} must have {name}" for name, value in needed.items() if not value]
        for kind, form in FORMS.items():
            if not re.fullmatch(form, entry.fields.get(kind, "")) and kind in entry.fields:
                wrong.append(f"{entry.key}: {kind} must look like {form}: got {entry.fields[kind]}")
    twice = Counter(name for entry in known for name in {entry.key, *map(plain, entry.addresses)})
    wrong += [
        f"an entry must be there once: {name} is there {count} times" for name, count in twice.items() if count > 1
    ]
    uncited = [key for key, by in citations(root).items() if not by]
    wrong += [f"{key} must be cited: no page links to it, and no docstring names it" for key in uncited]
    for page, text in texts(root).items():
        for section in re.findall(r"^## Sources\n(.*?)(?=^## |\Z)", text, re.M | re.S):
            unknown = [address for address in led_to(section) if plain(address) not in twice]
            wrong += [f"{page} names {address} under Sources: {ASK}" for address in unknown]
    for name, families, year in named(root):
        if (count := len(meant(families, year, known))) != 1:
            wrong.append(f"{name} names {families} {year}, which is {count} entries: {ASK}")
    return wrong


# --- the page ---------------------------------------------------------------------------------------------------------


def people(authors: list[str]) -> str:
    """Put "Bengio, Yoshua" and "Glorot, Xavier" the right way round: Yoshua Bengio and Xavier Glorot."""
    people = [" ".join(reversed(name.split(", ", 1))) for name in authors]
    return " and ".join(filter(None, [", ".join(people[:-1]), people[-1]]))


def references(root: Path = ROOT) -> str:
    """Return the list of all sources, by the first author, with links to them and to what cites them."""
    links, names, cited = chapters(root), public(root), citations(root)
    rows = {}
    for entry in entries(root):
        kind = next(kind for kind in RESOLVERS if kind in entry.fields)
        address = re.sub("[<>]", lambda sign: f"%{ord(sign[0]):02X}", entry.addresses[0])
        label = {"doi": "doi:", "eprint": "arXiv:", "isbn": "ISBN "}.get(kind, "") + entry.fields[kind]
        label = urlsplit(address).netloc.removeprefix("www.") if kind == "url" else label
        title = entry.fields["title"] + "." * (not entry.fields["title"].endswith("?"))
        where = "" if entry.place == "arXiv" else f" {prose(entry.place)}."
        by = ", ".join(links.get(name) or link(name, names) for name in cited[entry.key])
        rows[unicodedata.normalize("NFKD", entry.families[0]).casefold(), entry.fields["year"], entry.key] = (
            f"- {prose(people(entry.authors))} ({entry.fields['year']}). *{prose(title)}*"
            f"{where} [{prose(label)}](<{address}>). Cited in {by}."
        )
    return "\n".join(rows[place] for place in sorted(rows))
