"""N-gram language models: what followed the same few symbols before, smoothed after Witten and Bell or Kneser and Ney.

Symbols are numbers from 0 on: characters, or words. Everything is counted and looked up for whole texts at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

Symbols = Sequence[int] | Tensor


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
        count = torch.where(ngram < 0, 0, self.counts[ngram])
        total, kinds = self.totals[history], self.kinds[history]
        if self.discount is None:
            mixed = (count + kinds * shorter) / (total + kinds)
        else:
            mixed = ((count - self.discount).clamp(min=0) + self.discount * kinds * shorter) / total
        return torch.where((history >= 0) & (total > 0), mixed, shorter)


def count(
    text: Int64[Tensor, " text"], steps: Int64[Tensor, " text"], symbols: int, order: int, kneser_ney: bool = False
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
        keys, ngram, counts = torch.unique(history[has] * symbols + text[has], return_inverse=True, return_counts=True)
        if kneser_ney and levels:
            ending = torch.empty_like(keys).scatter_(0, ngram, shorter[has])  # the shorter n-gram in which each ends
            before = len(levels[-1].totals)
            levels[-1] = sum_up(levels[-1].keys, ending.bincount(minlength=histories), symbols, before, kneser_ney)
        levels.append(sum_up(keys, counts, symbols, histories, kneser_ney))
        histories, shorter = len(keys), torch.full_like(text, -1)
        shorter[has] = ngram
    return levels


def sum_up(
    keys: Int64[Tensor, " ngrams"], counts: Int64[Tensor, " ngrams"], symbols: int, histories: int, kneser_ney: bool
) -> Level:
    """Sum up the counts of each history, and estimate the discount from how many n-grams occur once and twice.

    Half an n-gram more keeps the discount between 0 and 1 in the smallest text.

    Source: Ney, Essen and Kneser 1994, for the discount.
    """
    totals = (keys // symbols).bincount(counts.double(), minlength=histories)
    kinds = (keys // symbols).bincount((counts > 0).double(), minlength=histories)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return Level(keys, counts.double(), totals, kinds, (once + 0.5) / (once + 2 * twice + 1) if kneser_ney else None)


class NGrams:
    """A model that says how probable each symbol is after at most `order` - 1 others.

    The more often a history was seen, and the fewer different symbols came after it, the more the model trusts it
    rather than the shorter one, down to no history at all, and to all symbols being equally probable.
    """

    def __init__(self, sequences: Iterable[Symbols], symbols: int, order: int, kneser_ney: bool = False):
        """Count the n-grams of sequences, of which none reaches from one sequence into the next.

        Args:
            sequences: of numbers below `symbols`.
            symbols: how many there are, whether they occur or not.
            order: the length of the longest n-gram.
            kneser_ney: smooths after Kneser and Ney, mostly the better choice, and not after Witten and Bell.
        """
        if min(symbols, order) < 1:
            raise ValueError(f"symbols and order must be at least 1: got {symbols=}, {order=}")
        self.symbols, self.order = symbols, order
        self.levels = count(*concatenate(sequences, symbols), symbols, order, kneser_ney)

    def score(self, text: Int64[Tensor, " text"], steps: Int64[Tensor, " text"]) -> Float64[Tensor, " text"]:
        """Give the probability of each symbol after those before it; the arguments are those of `count`."""
        p = torch.full(text.shape, 1 / self.symbols, dtype=torch.float64)
        history = torch.zeros_like(text)
        for length, level in enumerate(self.levels):
            history = torch.where(steps >= length, history, -1)
            ngram = level.find(history * self.symbols + text)  # after -1, a negative key: never seen
            p = level.smooth(history, ngram, p)
            history = ngram.roll(1)
        return p

    def probabilities(self, sequences: Iterable[Symbols]) -> Float64[Tensor, " text"]:
        """Give the probability of each symbol of sequences, one sequence after another."""
        return self.score(*concatenate(sequences, self.symbols))

    def bits(self, sequences: Iterable[Symbols]) -> float:
        """Measure how many bits a symbol takes on average; two to this power is the perplexity."""
        return -self.probabilities(sequences).log2().mean().item()

    def after(self, history: Symbols) -> Float64[Tensor, " symbols"]:
        """Give the probability of every symbol after a history."""
        tail = torch.as_tensor(history, dtype=torch.int64)[max(0, len(history) - self.order + 1) :]
        rows = torch.cat([tail.expand(self.symbols, -1), torch.arange(self.symbols)[:, None]], 1)
        steps = torch.arange(rows.shape[1]).expand_as(rows)
        return self.score(rows.flatten(), steps.flatten()).view_as(rows)[:, -1]


def concatenate(sequences: Iterable[Symbols], symbols: int) -> tuple[Int64[Tensor, " text"], Int64[Tensor, " text"]]:
    """Join sequences; return their symbols, and how many of its own sequence stand before each."""
    parts = [torch.as_tensor(sequence, dtype=torch.int64) for sequence in sequences]
    text = torch.cat([torch.zeros(0, dtype=torch.int64), *parts])
    if not len(text):
        raise ValueError("sequences must hold at least one symbol: got none")
    if not 0 <= int(text.min()) <= int(text.max()) < symbols:
        raise ValueError(
            f"sequences must hold numbers between 0 and {symbols - 1}: got {int(text.min())} to {int(text.max())}"
        )
    return text, torch.cat([torch.arange(len(part)) for part in parts])


def sample(
    model: NGrams, steps: int, generator: torch.Generator, begin: Sequence[int] = (), end: int | None = None
) -> list[int]:
    """Go on after `begin`, drawing symbols with their probabilities: so many, or up to the symbol `end`, included."""
    text = list(begin)
    for _ in range(steps):
        text.append(int(model.after(text).multinomial(1, generator=generator)))
        if text[-1] == end:
            break
    return text
