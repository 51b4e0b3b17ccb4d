"""The bibliography, book/references.bib, as pybtex reads it."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from pybtex.database import Entry as Parsed
from pybtex.database import Person, parse_string
from pybtex.richtext import Text

from authoring.book import ROOT

RESOLVERS = {  # the most durable first
    "doi": "https://doi.org/",
    "eprint": "https://arxiv.org/abs/",
    "isbn": "https://openlibrary.org/isbn/",
    "url": "",
}
PLACES = ("journal", "booktitle", "publisher", "school", "institution", "howpublished")


@dataclass(frozen=True)
class Entry:
    """An entry of the bibliography.

    Attributes:
        key: its name in the file.
        fields: what it says, by the name of the field, without the marks of LaTeX.
        authors: their names in the order of speech, such as "Xavier Glorot".
        families: their family names without "van" and the like; of an organisation, its name.
    """

    key: str
    fields: dict[str, str]
    authors: list[str]
    families: list[str]

    @property
    def place(self) -> str:
        """Where it appeared."""
        found = [self.fields[name] for name in PLACES if name in self.fields]
        return [*found, "arXiv" if "eprint" in self.fields else ""][0]

    @property
    def addresses(self) -> list[str]:
        """What leads to it, the most durable first."""
        return [resolver + self.fields[kind] for kind, resolver in RESOLVERS.items() if kind in self.fields]


@functools.cache
def plain(latex: str) -> str:
    """Return LaTeX as plain text: no braces, accents in place."""
    return str(Text.from_latex(latex))


def made(key: str, parsed: Parsed) -> Entry:
    """Return an entry as the book uses it."""
    people: list[Person] = parsed.persons.get("author", [])
    names = [[*one.first_names, *one.middle_names, *one.prelast_names, *one.last_names] for one in people]
    return Entry(
        key,
        # An address is no LaTeX: an underscore or a tilde in it stands for itself.
        {name: value if name in RESOLVERS else plain(value) for name, value in parsed.fields.items()},
        [plain(" ".join(words)) for words in names],
        [plain(" ".join(one.last_names)) for one in people],
    )


@functools.lru_cache(maxsize=1)
def parse(text: str) -> list[Entry]:
    """Return the entries of a file that pybtex can read.

    Raises:
        PybtexError: the file is no BibTeX, or has a key twice.
    """
    return [made(key, entry) for key, entry in parse_string(text, "bibtex").entries.items()]


def entries(root: Path = ROOT) -> list[Entry]:
    """Return the entries of the book's bibliography."""
    return parse((root / "book" / "references.bib").read_text(encoding="utf-8"))


def keys(root: Path = ROOT) -> set[str]:
    """Return the keys of the book's bibliography."""
    return {entry.key for entry in entries(root)}


def meant(families: str, year: str, known: list[Entry]) -> list[Entry]:
    """Return the entries that "He et al." and "2015" mean, or "Mikolov et al." and "2013b"; there should be one."""
    if families.endswith(" et al."):
        found = [entry for entry in known if entry.families[:1] == [families.removesuffix(" et al.")]]
    else:
        found = [entry for entry in known if entry.families == re.split(r",? and |, ", families)]
    found = [entry for entry in found if entry.fields.get("year") == year[:4]]
    return [entry for entry in found if entry.key.endswith(year)] or (found if year.isdigit() else [])
