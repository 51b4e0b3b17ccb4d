"""Pairs: sentences with translations, words with their similarity, and analogies."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from dlbook._check import check_seed, check_whole
from dlbook.data.splits import Parts, dedup_key
from dlbook.data.store import fetch, read_text


@dataclass(frozen=True)
class Pairs:
    """Parallel sentences; one with several translations is there as often.

    Args:
        english: the source sentences.
        french: the translation of each.

    Raises:
        ValueError: There are more or fewer translations than sentences.
    """

    english: list[str]
    french: list[str]

    def __post_init__(self) -> None:
        """Refuse lists of different lengths."""
        if len(self.english) != len(self.french):
            raise ValueError(
                f"french must have a sentence for each of the {len(self.english)} in "
                f"english: got {len(self.french)}"
            )

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.english)

    @property
    def references(self) -> dict[str, list[str]]:
        """Return all reference translations of each English sentence."""
        found: dict[str, list[str]] = {}
        for english, french in zip(self.english, self.french, strict=True):
            found.setdefault(english, []).append(french)
        return found


def english_french(test_size: int = 1_000, seed: int = 0) -> Parts[Pairs]:
    """Load 135,000 short English sentences with their French translations.

    They have six words on average. Sentences that are the same but for capitals and
    punctuation, and all that translate one another, are in one part: no English or
    French sentence of the test set is in the training set.

    Args:
        test_size: how many such groups go to the validation set, and as many to the
            test set; a group holds at least one English sentence.
        seed: of the split.

    Returns:
        Training, validation and test set.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Tatoeba, in the selection of PyTorch's tutorial on translation.
    """
    path = fetch("english-french") / "eng-fra.txt"
    return split_pairs(read_pairs(path), test_size, seed)


def split_pairs(pairs: Pairs, test_size: int, seed: int = 0) -> Parts[Pairs]:
    """Draw connected components of pairs for validation and test set.

    Pairs are connected that share an English or a French sentence, by its `dedup_key`.

    Args:
        pairs: what to split.
        test_size: how many components go to the validation set, and as many to the test
            set.
        seed: of the shuffle.

    Raises:
        TypeError: `test_size` or `seed` is no integer.
        ValueError: `test_size` leaves nothing for training.
    """
    check_whole(1, test_size=test_size)
    check_seed(seed)
    groups = _connected_components(pairs)
    distinct = list(dict.fromkeys(groups))
    if not 0 < test_size < len(distinct) / 2:
        raise ValueError(
            "test_size must be at least 1 and less than half of "
            f"{len(distinct)} groups: got {test_size}"
        )
    order = torch.randperm(
        len(distinct), generator=torch.Generator().manual_seed(seed)
    ).tolist()
    test = {distinct[n] for n in order[:test_size]}
    validation = {distinct[n] for n in order[test_size : 2 * test_size]}

    def collect(chosen: set[int]) -> Pairs:
        rows = [row for row, group in enumerate(groups) if group in chosen]
        return Pairs(
            [pairs.english[row] for row in rows], [pairs.french[row] for row in rows]
        )

    train = set(distinct) - test - validation
    return Parts(collect(train), collect(validation), collect(test))


def _connected_components(pairs: Pairs) -> list[int]:
    """Number the connected components of pairs by union-find.

    Returns:
        For each pair, the row of the first pair of its component.
    """
    parent = list(range(len(pairs)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]  # path halving
            row = parent[row]
        return row

    for sentences in (pairs.english, pairs.french):
        seen: dict[str, int] = {}
        for row, sentence in enumerate(sentences):
            one, other = root(row), root(seen.setdefault(dedup_key(sentence), row))
            parent[max(one, other)] = min(one, other)
    return [root(row) for row in range(len(pairs))]


def read_pairs(path: Path) -> Pairs:
    """Read pairs of sentences with a tab between them, each pair once.

    All blanks become plain ones, and letters are composed (Unicode NFC).

    Args:
        path: of the file, in UTF-8, with a pair in each line.

    Raises:
        ValueError: The file is not in UTF-8, or a line is not two sentences.
    """
    found: dict[tuple[str, str], None] = {}
    for number, line in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        sentences = line.split("\t")
        if len(sentences) != 2 or not all(map(str.strip, sentences)):
            raise ValueError(
                f"{path.name} must hold two sentences with a tab between: "
                f"got {line[:50]!r} in line {number}"
            )
        plain = [
            " ".join(unicodedata.normalize("NFC", sentence).split())
            for sentence in sentences
        ]
        found[plain[0], plain[1]] = None
    return Pairs([english for english, _ in found], [french for _, french in found])


@dataclass(frozen=True)
class Similarities:
    """Pairs of words with their similarity as people judged it, from 0 to 10.

    Args:
        first: the first word of each pair.
        second: the second one.
        scores: the mean of the judgements.
    """

    first: list[str]
    second: list[str]
    scores: Float64[Tensor, " pairs"]


def wordsim353() -> Similarities:
    """Load WordSim-353: 353 pairs of English words, each judged by 13 or 16 people.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Finkelstein et al. 2002.
    """
    return _read_similarities(fetch("wordsim353") / "wordsim353.tsv")


def _read_similarities(path: Path) -> Similarities:
    """Read lines of two words and a number, with tabs between; # begins a comment.

    Raises:
        ValueError: A line is something else, or its number is not between 0 and 10.
    """
    first, second, scores = [], [], []
    for number, line in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        if line.startswith("#"):
            continue
        try:
            one, other, score = line.split("\t")
            if not 0 <= float(score) <= 10:
                raise ValueError
        except ValueError as error:
            rule = (
                f"{path.name} must hold two words and a number from 0 to 10 "
                "in each line"
            )
            raise ValueError(f"{rule}: got {line[:50]!r} in line {number}") from error
        first.append(one)
        second.append(other)
        scores.append(float(score))
    return Similarities(first, second, torch.tensor(scores, dtype=torch.float64))


def analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """Load 19,544 analogies in 14 categories.

    The first word is to the second as the third is to the fourth.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Mikolov, Chen, Corrado and Dean 2013, arXiv:1301.3781.
    """
    return _read_analogies(fetch("analogies") / "questions-words.txt")


def _read_analogies(path: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Read lines of four words; a line that begins with a colon names a new category.

    Raises:
        ValueError: A line has more or fewer words, or stands before the first category.
    """
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for number, line in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        words = line.split()
        if words[:1] == [":"]:
            found[" ".join(words[1:])] = questions = []
        elif len(words) == 4 and found:
            questions.append((words[0], words[1], words[2], words[3]))
        else:
            rule = (
                f"{path.name} must hold four words in each line, "
                "after a line with a category"
            )
            raise ValueError(f"{rule}: got {line[:50]!r} in line {number}")
    return found
