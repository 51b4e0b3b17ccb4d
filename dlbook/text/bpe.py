"""Byte-pair encoding: text in frequent pieces, learnt by merging frequent pairs.

Text is bytes here (UTF-8), so that nothing is unknown. Pieces are numbered: first the
256 bytes, in GPT-2's order, then what each merge made.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from dlbook._check import check_numbers, check_text, check_texts, check_whole

Pair = tuple[int, int]

BYTES = [  # visible ones first
    *range(33, 127),
    *range(161, 173),
    *range(174, 256),
    *range(33),
    *range(127, 161),
    173,
]
NUMBERS = {byte: number for number, byte in enumerate(BYTES)}
CHUNK = re.compile(
    r"'(?:[stmd]|re|ve|ll)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
)


def _split(text: str) -> list[str]:
    """Cut a text into chunks that no piece reaches across.

    They are words, numbers and signs, each with the blank before it; joined, they are
    the text again. Half a surrogate pair, which is no character, becomes U+FFFD. GPT-2
    differs in numerals that are no decimal digits, such as ½, here letters, and in four
    old control characters, here blanks.

    Source: the program of GPT-2, Radford et al. 2019.
    """
    return CHUNK.findall(re.sub("[\ud800-\udfff]", "\ufffd", text))


def _to_bytes(chunk: str) -> list[int]:
    """Return the numbers of a chunk's bytes."""
    return [NUMBERS[byte] for byte in chunk.encode()]


def _join(numbers: list[int], pair: Pair, new: int) -> list[int]:
    """Replace each occurrence of a pair, from left to right, by `new`."""
    joined: list[int] = []
    for number in numbers:
        if joined and (joined[-1], number) == pair:
            joined[-1] = new
        else:
            joined.append(number)
    return joined


def _join_all(numbers: list[int], merges: dict[Pair, tuple[int, int]]) -> list[int]:
    """Merge pairs as long as there are merges for them, the one learnt first first."""
    while found := [pair for pair in pairwise(numbers) if pair in merges]:
        first = min(found, key=merges.__getitem__)
        numbers = _join(numbers, first, merges[first][1])
    return numbers


def _look_up(pieces: list[bytes], numbers: Iterable[int]) -> bytes:
    """Return the bytes that numbers stand for."""
    return b"".join(pieces[number] for number in check_numbers(numbers, len(pieces)))


class BytePairEncoding:
    """Pieces and merges, by which text becomes numbers and comes back without loss."""

    def __init__(self, merges: Iterable[Pair] = ()):
        """Create the pieces.

        Args:
            merges: the pairs in the order in which they were learnt; without any, each
                byte is a piece of its own.
        """
        self.pieces = [bytes([byte]) for byte in BYTES]
        self.numbers = {piece: number for number, piece in enumerate(self.pieces)}
        # of each pair, how early it is merged, and the number of what it makes
        self.merges: dict[Pair, tuple[int, int]] = {}
        self.known: dict[str, list[int]] = {}  # chunks that were encoded before
        for pair in merges:
            self.add(pair)

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.pieces)

    def add(self, pair: Pair) -> int:
        """Add a merge, and return the number of what it makes.

        Args:
            pair: numbers of two pieces. What another pair makes too has one number.

        Raises:
            ValueError: `pair` holds other than two numbers, or one of no piece.
        """
        if len(pair) != 2:
            raise ValueError(f"pair must hold two numbers: got {len(pair)}")
        piece = _look_up(self.pieces, pair)
        number = self.numbers.setdefault(piece, len(self))
        if number == len(self):
            self.pieces.append(piece)
        self.merges.setdefault(pair, (len(self.merges), number))
        self.known.clear()
        return number

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's pieces.

        Args:
            text: any string.

        Raises:
            TypeError: `text` is no string.
        """
        check_text(text)
        numbers = []
        for chunk in _split(text):
            if chunk not in self.known:
                self.known[chunk] = _join_all(_to_bytes(chunk), self.merges)
            numbers += self.known[chunk]
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of numbers.

        Args:
            numbers: of pieces; bytes that are no UTF-8, as a model may put together,
                become U+FFFD.

        Raises:
            TypeError: A number is no integer.
            ValueError: A number is negative or too large.
        """
        return _look_up(self.pieces, numbers).decode(errors="replace")


def train_bpe(texts: Iterable[str], vocab_size: int) -> BytePairEncoding:
    """Learn merges: again and again, merge the most frequent pair of pieces.

    Of equally frequent pairs, the one with the smaller numbers is merged. A count is
    brought up to date only where a merge changes it; the queue offers the largest
    first, and an offer is good if its count is still the true one.

    Args:
        texts: from which the counts are taken.
        vocab_size: number of pieces to stop at, the 256 bytes included; there are fewer
            if no pair is left.

    Raises:
        TypeError: `texts` is a single string.
        ValueError: `vocab_size` is less than 256.

    Source: Sennrich, Haddow and Birch 2016, algorithm 1; ties as in Hugging Face's
    tokenizers.
    """
    check_texts("texts", texts)
    check_whole(len(BYTES), vocab_size=vocab_size)
    chunks = Counter(chunk for text in texts for chunk in _split(text))
    words, times = [_to_bytes(chunk) for chunk in chunks], list(chunks.values())
    counts: Counter[Pair] = Counter()
    # the words in which a pair is, or was
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for n, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += times[n]
            where[pair].add(n)
    queue = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(queue)
    learnt = BytePairEncoding()
    while queue and len(learnt) < vocab_size:
        count, pair = heapq.heappop(queue)
        if -count != counts[pair] or count == 0:
            continue
        new, changes = learnt.add(pair), Counter[Pair]()
        for n in where.pop(pair):
            for old in pairwise(words[n]):
                changes[old] -= times[n]
            words[n] = _join(words[n], pair, new)
            for made in pairwise(words[n]):
                changes[made] += times[n]
                where[made].add(n)
        for changed, change in changes.items():
            if change:
                counts[changed] += change
                heapq.heappush(queue, (-counts[changed], changed))
    return learnt
