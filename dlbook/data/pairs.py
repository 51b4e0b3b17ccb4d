"""Pairs: English sentences with French translations, words with their similarity, and analogies between words."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from dlbook.data.splits import Parts, dedup_key
from dlbook.data.store import fetch, read_text


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations; one that has several stands there as often."""

    english: list[str]
    french: list[str]

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.english)

    @property
    def references(self) -> dict[str, list[str]]:
        """All translations of each English sentence: what a translator may say and be right."""
        found: dict[str, list[str]] = {}
        for english, french in zip(self.english, self.french, strict=True):
            found.setdefault(english, []).append(french)
        return found


def english_french(test_size: int = 1_000, seed: int = 0) -> Parts[Pairs]:
    """Load 135,000 short English sentences with their French translations, six words each on average.

    Sentences that are the same but for capitals and punctuation, and all that translate one another, are in the same
    part: neither an English nor a French sentence of the test was seen in training.

    Args:
        test_size: how many such groups go to validation, and as many to the test: at least as many English sentences.
        seed: decides which.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Tatoeba, in the selection of PyTorch's tutorial on translation.
    """
    return split_pairs(read_pairs(fetch("english-french") / "eng-fra.txt"), test_size, seed)


def split_pairs(pairs: Pairs, test_size: int, seed: int = 0) -> Parts[Pairs]:
    """Draw groups of pairs that hang together for validation and for the test; the rest is to learn from."""
    groups = connect(pairs)
    distinct = list(dict.fromkeys(groups))
    if not 0 < test_size < len(distinct) / 2:
        raise ValueError(f"test_size must be at least 1 and less than half of {len(distinct)} groups: got {test_size}")
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).tolist()
    test = {distinct[n] for n in order[:test_size]}
    validation = {distinct[n] for n in order[test_size : 2 * test_size]}

    def collect(chosen: set[int]) -> Pairs:
        rows = [row for row, group in enumerate(groups) if group in chosen]
        return Pairs([pairs.english[row] for row in rows], [pairs.french[row] for row in rows])

    return Parts(collect(set(distinct) - test - validation), collect(validation), collect(test))


def connect(pairs: Pairs) -> list[int]:
    """Number the groups of pairs that hang together: by the same English or the same French, directly or by others.

    Each pair points to an earlier one of its group, and one that begins a group to itself.
    """
    parent = list(range(len(pairs)))

    def first(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]  # a short cut for the next time
            row = parent[row]
        return row

    for sentences in (pairs.english, pairs.french):
        seen: dict[str, int] = {}
        for row, sentence in enumerate(sentences):
            one, other = first(row), first(seen.setdefault(dedup_key(sentence), row))
            parent[max(one, other)] = min(one, other)
    return [first(row) for row in range(len(pairs))]


def read_pairs(path: Path) -> Pairs:
    """Read pairs of sentences with a tab between them, each pair once, with plain blanks and composed letters.

    Raises:
        ValueError: The file is not in UTF-8, or a line is not two sentences.
    """
    found: dict[tuple[str, str], None] = {}
    for number, line in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        sentences = line.split("\t")
        if len(sentences) != 2 or not all(map(str.strip, sentences)):
            raise ValueError(
                f"{path.name} must hold two sentences with a tab between: got {line[:50]!r} in line {number}"
            )
        plain = [" ".join(unicodedata.normalize("NFC", sentence).split()) for sentence in sentences]
        found[plain[0], plain[1]] = None
    return Pairs([english for english, _ in found], [french for _, french in found])


@dataclass(frozen=True)
class Similarities:
    """Pairs of words, and how similar people found them, from 0 to 10."""

    first: list[str]
    second: list[str]
    scores: Float64[Tensor, " pairs"]


def wordsim353() -> Similarities:
    """Load WordSim-353: 353 pairs of English words, each judged by 13 or 16 people; the score is their mean.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Finkelstein et al. 2002.
    """
    return read_similarities(fetch("wordsim353") / "wordsim353.tsv")


def read_similarities(path: Path) -> Similarities:
    """Read lines of two words and a number, with tabs between; a line that begins with # is a remark.

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
            rule = f"{path.name} must hold two words and a number from 0 to 10 in each line"
            raise ValueError(f"{rule}: got {line[:50]!r} in line {number}") from error
        first.append(one)
        second.append(other)
        scores.append(float(score))
    return Similarities(first, second, torch.tensor(scores, dtype=torch.float64))


def analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """Load 19,544 analogies in 14 categories: the first word is to the second as the third is to the fourth.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Mikolov, Chen, Corrado and Dean 2013, arXiv:1301.3781.
    """
    return read_analogies(fetch("analogies") / "questions-words.txt")


def read_analogies(path: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Read lines of four words; a line that begins with a colon names the category of those that follow.

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
            rule = f"{path.name} must hold four words in each line, after a line with a category"
            raise ValueError(f"{rule}: got {line[:50]!r} in line {number}")
    return found
