"""N-gram language models: what followed the same few symbols before, smoothed after Witten and Bell or Kneser and Ney.

Symbols are numbers from 0 on: characters, or words. Everything is counted and looked up for whole texts at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

Tokens = Sequence[int] | Tensor


@dataclass(frozen=True)
class Level:
    """The n-grams of one length: histories, and the symbols that came after them.

    Histories are the n-grams of the level below, by their numbers; an n-gram's own number is its place among the keys,
    which increase and are history · symbols + symbol.
    """

    keys: Int64[Tensor, " ngrams"]
    counts: Float64[Tensor, " ngrams"]  # c(h, w)
    totals: Float64[Tensor, " histories"]  # c(h): how many symbols came after a history
    kinds: Float64[Tensor, " histories"]  # t(h): how many different ones
    discount: float | None  # what Kneser and Ney take from each count; None: Witten and Bell

    def find(self, keys: Int64[Tensor, " positions"]) -> Int64[Tensor, " positions"]:
        """Give the number of the n-gram with each key, -1 if it was never seen."""
        places = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == keys, places, -1)

    def smooth(
        self,
        history: Int64[Tensor, " positions"],
        ngram: Int64[Tensor, " positions"],
        shorter: Float64[Tensor, " positions"],
    ) -> Float64[Tensor, " positions"]:
        """Mix what was counted after a history with what the shorter history says; -1 stands for what was never seen.

        Source: Witten and Bell 1991, method C, and Kneser and Ney 1995, both as recursions in the interpolated form of
        Chen and Goodman 1999; book equations (3.4.2d) and (3.4.2f).
        """
        _count = torch.where(ngram < 0, 0, self.counts[ngram])
        total, kinds = self.totals[history], self.kinds[history]
        if self.discount is None:
            mixed = (_count + kinds * shorter) / (total + kinds)
        else:
            mixed = ((_count - self.discount).clamp(min=0) + self.discount * kinds * shorter) / total
        return torch.where((history >= 0) & (total > 0), mixed, shorter)


def _count(
    text: Int64[Tensor, " text"], steps: Int64[Tensor, " text"], vocab_size: int, order: int, kneser_ney: bool = False
) -> list[Level]:
    """Count all n-grams of a text up to a length.

    Args:
        text: sequences, one after another.
        steps: how many symbols of its own sequence stand before each: as many belong to its history.
        kneser_ney: counts an n-gram that is not of the full length once for each different symbol before it, so that
            "Francisco", frequent after "San" alone, is not expected elsewhere.
    """
    levels: list[Level] = []
    histories, shorter = 1, torch.zeros_like(text)  # there is one history of no symbols
    for length in range(min(order, int(steps.max()) + 1)):
        has = steps >= length  # a history of this length
        history = shorter.roll(1)  # the shorter n-gram that ends at the position before
        keys, ngram, counts = torch.unique(history[has] * vocab_size + text[has], return_inverse=True, return_counts=True)
        if kneser_ney and levels:
            ending = torch.empty_like(keys).scatter_(0, ngram, shorter[has])  # the shorter n-gram in which each ends
            before = len(levels[-1].totals)
            levels[-1] = _sum_up(levels[-1].keys, ending.bincount(minlength=histories), vocab_size, before, kneser_ney)
        levels.append(_sum_up(keys, counts, vocab_size, histories, kneser_ney))
        histories, shorter = len(keys), torch.full_like(text, -1)
        shorter[has] = ngram
    return levels


def _sum_up(
    keys: Int64[Tensor, " ngrams"], counts: Int64[Tensor, " ngrams"], vocab_size: int, histories: int, kneser_ney: bool
) -> Level:
    """Sum up the counts of each history, and estimate the discount from how many n-grams occur once and twice.

    Half an n-gram more keeps the discount between 0 and 1 in the smallest text.

    Source: Ney, Essen and Kneser 1994, for the discount.
    """
    totals = (keys // vocab_size).bincount(counts.double(), minlength=histories)
    kinds = (keys // vocab_size).bincount((counts > 0).double(), minlength=histories)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return Level(keys, counts.double(), totals, kinds, (once + 0.5) / (once + 2 * twice + 1) if kneser_ney else None)


class NGrams:
    """A model that says how probable each symbol is after at most `order` - 1 others.

    The more often a history was seen, and the fewer different symbols came after it, the more the model trusts it
    rather than the shorter one, down to no history at all, and to all symbols being equally probable.
    """

    def __init__(self, sequences: Iterable[Tokens], vocab_size: int, order: int, kneser_ney: bool = False):
        """Count the n-grams of sequences, of which none reaches from one sequence into the next.

        Args:
            sequences: of numbers below `vocab_size`.
            vocab_size: how many there are, whether they occur or not.
            order: the length of the longest n-gram.
            kneser_ney: smooths after Kneser and Ney, mostly the better choice, and not after Witten and Bell.
        """
        if min(vocab_size, order) < 1:
            raise ValueError(f"vocab_size and order must be at least 1: got {vocab_size=}, {order=}")
        self.vocab_size, self.order = vocab_size, order
        self.levels = _count(*_concatenate(sequences, vocab_size), vocab_size, order, kneser_ney)

    def score(self, text: Int64[Tensor, " text"], steps: Int64[Tensor, " text"]) -> Float64[Tensor, " text"]:
        """Give the probability of each symbol after those before it; the arguments are those of `count`."""
        p = torch.full(text.shape, 1 / self.vocab_size, dtype=torch.float64)
        history = torch.zeros_like(text)
        for length, level in enumerate(self.levels):
            history = torch.where(steps >= length, history, -1)
            ngram = level.find(history * self.vocab_size + text)  # after -1, a negative key: never seen
            p = level.smooth(history, ngram, p)
            history = ngram.roll(1)
        return p

    def probabilities(self, sequences: Iterable[Tokens]) -> Float64[Tensor, " text"]:
        """Give the probability of each symbol of sequences, one sequence after another."""
        return self.score(*_concatenate(sequences, self.vocab_size))

    def bits_per_token(self, sequences: Iterable[Tokens]) -> float:
        """Measure how many bits a symbol takes on average; two to this power is the perplexity."""
        return -self.probabilities(sequences).log2().mean().item()

    def after(self, history: Tokens) -> Float64[Tensor, " symbols"]:
        """Give the probability of every symbol after a history."""
        tail = torch.as_tensor(history, dtype=torch.int64)[max(0, len(history) - self.order + 1) :]
        rows = torch.cat([tail.expand(self.vocab_size, -1), torch.arange(self.vocab_size)[:, None]], 1)
        steps = torch.arange(rows.shape[1]).expand_as(rows)
        return self.score(rows.flatten(), steps.flatten()).view_as(rows)[:, -1]


def _concatenate(sequences: Iterable[Tokens], vocab_size: int) -> tuple[Int64[Tensor, " text"], Int64[Tensor, " text"]]:
    """Join sequences; return their symbols, and how many of its own sequence stand before each."""
    parts = [torch.as_tensor(sequence, dtype=torch.int64) for sequence in sequences]
    text = torch.cat([torch.zeros(0, dtype=torch.int64), *parts])
    if not len(text):
        raise ValueError("sequences must hold at least one symbol: got none")
    if not 0 <= int(text.min()) <= int(text.max()) < vocab_size:
        raise ValueError(
            f"sequences must hold numbers between 0 and {vocab_size - 1}: got {int(text.min())} to {int(text.max())}"
        )
    return text, torch.cat([torch.arange(len(part)) for part in parts])


def sample_ngrams(
    model: NGrams, length: int, generator: torch.Generator, begin: Sequence[int] = (), end: int | None = None
) -> list[int]:
    """Go on after `begin`, drawing symbols with their probabilities: so many, or up to the symbol `end`, included."""
    text = list(begin)
    for _ in range(length):
        text.append(int(model.after(text).multinomial(1, generator=generator)))
        if text[-1] == end:
            break
    return text
