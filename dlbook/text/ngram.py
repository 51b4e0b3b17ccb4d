"""N-gram language models, smoothed by Witten-Bell or Kneser-Ney interpolation.

Tokens are numbers from 0 on: characters, or words. Everything is counted and looked up
for whole texts at once, on the CPU.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dlbook._check import check_integer, check_whole

Tokens = Sequence[int] | Tensor


@dataclass(frozen=True)
class Level:
    """The n-grams of one length: histories, and the tokens that came after them.

    Histories are the n-grams of the level below, by their numbers; an n-gram's own
    number is its index among the keys, which increase and are history · vocab_size +
    token.
    """

    keys: Int64[Tensor, " ngrams"]
    counts: Float64[Tensor, " ngrams"]  # c(h, w)
    totals: Float64[Tensor, " histories"]  # c(h): how many tokens came after a history
    distinct: Float64[Tensor, " histories"]  # t(h): how many different ones
    discount: float | None  # what Kneser-Ney takes from each count; None: Witten-Bell

    def find(self, keys: Int64[Tensor, " positions"]) -> Int64[Tensor, " positions"]:
        """Return the number of the n-gram with each key, -1 if it was never seen.

        Args:
            keys: history · vocab_size + token.
        """
        found = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[found] == keys, found, -1)

    def smooth(
        self,
        history: Int64[Tensor, " positions"],
        ngram: Int64[Tensor, " positions"],
        shorter: Float64[Tensor, " positions"],
    ) -> Float64[Tensor, " positions"]:
        """Interpolate the counts after a history with the shorter one's estimate.

        Args:
            history: the number of each history, -1 if it was never seen.
            ngram: the number of each n-gram, -1 if it was never seen.
            shorter: the probabilities after the histories without their first token.

        Source: Witten and Bell 1991, method C, and Kneser and Ney 1995, both as
        recursions in the interpolated form of Chen and Goodman 1999; book equations
        (3.4.2d) and (3.4.2f).
        """
        count = torch.where(ngram < 0, 0, self.counts[ngram])
        total, distinct = self.totals[history], self.distinct[history]
        if self.discount is None:
            mixed = (count + distinct * shorter) / (total + distinct)
        else:
            kept = (count - self.discount).clamp(min=0)
            mixed = (kept + self.discount * distinct * shorter) / total
        return torch.where((history >= 0) & (total > 0), mixed, shorter)


def _count(
    text: Int64[Tensor, " text"],
    before: Int64[Tensor, " text"],
    vocab_size: int,
    order: int,
    kneser_ney: bool,
) -> list[Level]:
    """Count all n-grams of a text up to a length.

    With `kneser_ney`, an n-gram that is not of the full length counts once for each
    different token before it, so that "Francisco", frequent after "San" alone, is not
    expected elsewhere.

    Args:
        text: sequences, one after another.
        before: how many tokens of its own sequence stand before each.
        vocab_size: how many different tokens there are.
        order: the length of the longest n-gram.
        kneser_ney: smooths by Kneser-Ney, not by Witten-Bell.
    """
    levels: list[Level] = []
    histories, shorter = 1, torch.zeros_like(text)  # there is one history of no tokens
    for length in range(min(order, int(before.max()) + 1)):
        has = before >= length  # a history of this length
        history = shorter.roll(1)  # the shorter n-gram that ends at the token before
        keys, ngram, counts = torch.unique(
            history[has] * vocab_size + text[has],
            return_inverse=True,
            return_counts=True,
        )
        if kneser_ney and levels:  # the shorter n-gram in which each of these ends
            ending = torch.empty_like(keys).scatter_(0, ngram, shorter[has])
            continued = ending.bincount(minlength=histories)
            last = levels[-1]
            levels[-1] = _sum_up(
                last.keys, continued, vocab_size, len(last.totals), kneser_ney
            )
        levels.append(_sum_up(keys, counts, vocab_size, histories, kneser_ney))
        histories, shorter = len(keys), torch.full_like(text, -1)
        shorter[has] = ngram
    return levels


def _sum_up(
    keys: Int64[Tensor, " ngrams"],
    counts: Int64[Tensor, " ngrams"],
    vocab_size: int,
    histories: int,
    kneser_ney: bool,
) -> Level:
    """Sum up the counts of each history, and estimate the discount.

    The discount follows from how many n-grams occur once and twice. Half an n-gram more
    keeps it between 0 and 1 in the smallest text.

    Source: Ney, Essen and Kneser 1994, for the discount.
    """
    history = keys // vocab_size
    totals = history.bincount(counts.double(), minlength=histories)
    distinct = history.bincount((counts > 0).double(), minlength=histories)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    discount = (once + 0.5) / (once + 2 * twice + 1) if kneser_ney else None
    return Level(keys, counts.double(), totals, distinct, discount)


class NGrams:
    """An n-gram model: the probability of each token after at most `order` - 1 others.

    The more often a history was seen, and the fewer different tokens came after it, the
    more the model trusts it rather than the shorter one, down to no history at all, and
    to all tokens being equally probable.
    """

    def __init__(
        self,
        sequences: Iterable[Tokens],
        vocab_size: int,
        order: int,
        kneser_ney: bool = False,
    ):
        """Count the n-grams of sequences; none reaches from one into the next.

        Args:
            sequences: of tokens below `vocab_size`.
            vocab_size: how many different tokens there are, whether they occur or not.
            order: the length of the longest n-gram.
            kneser_ney: smooths by Kneser-Ney, mostly the better choice, and not by
                Witten-Bell.

        Raises:
            TypeError: sequences do not hold integers.
            ValueError: A number is less than 1, or sequences hold no token, or one that
                is out of range.
        """
        check_whole(1, vocab_size=vocab_size, order=order)
        self.vocab_size, self.order = vocab_size, order
        text, before = _concatenate(sequences, vocab_size)
        self.levels = _count(text, before, vocab_size, order, kneser_ney)

    def probabilities(self, sequences: Iterable[Tokens]) -> Float64[Tensor, " text"]:
        """Return the probability of each token of sequences, one after another.

        Args:
            sequences: of tokens; each token is predicted from those before it.

        Raises:
            TypeError: sequences do not hold integers.
            ValueError: sequences hold no token, or one that is out of range.
        """
        return self._probabilities(*_concatenate(sequences, self.vocab_size))

    def _probabilities(
        self, text: Int64[Tensor, " text"], before: Int64[Tensor, " text"]
    ) -> Float64[Tensor, " text"]:
        """Return the probability of each token; the arguments are those of `_count`."""
        p = torch.full(text.shape, 1 / self.vocab_size, dtype=torch.float64)
        history = torch.zeros_like(text)
        for length, level in enumerate(self.levels):
            history = torch.where(before >= length, history, -1)
            ngram = level.find(history * self.vocab_size + text)  # negative: never seen
            p = level.smooth(history, ngram, p)
            history = ngram.roll(1)
        return p

    def bits_per_token(self, sequences: Iterable[Tokens]) -> float:
        """Return the cross-entropy in bits per token; 2 to its power is the perplexity.

        Args:
            sequences: of tokens, as for `probabilities`.
        """
        return -self.probabilities(sequences).log2().mean().item()

    def next_token_probabilities(self, history: Tokens) -> Float64[Tensor, " vocab"]:
        """Return the probability of every token after a history.

        Args:
            history: tokens; only the last `order` - 1 of them count.
        """
        tokens = _as_tokens("history", history)
        _check_tokens("history", tokens, self.vocab_size)
        tail = tokens[max(0, len(tokens) - self.order + 1) :]
        every = torch.arange(self.vocab_size)[:, None]
        rows = torch.cat([tail.expand(self.vocab_size, -1), every], 1)
        before = torch.arange(rows.shape[1]).expand_as(rows)
        p = self._probabilities(rows.flatten(), before.flatten())
        return p.view_as(rows)[:, -1]

    def sample(
        self,
        length: int,
        generator: torch.Generator,
        prefix: Tokens = (),
        stop: int | None = None,
    ) -> list[int]:
        """Return a prefix and a continuation of it that is drawn from the model.

        Args:
            length: how many tokens to draw at most.
            generator: decides what is drawn.
            prefix: the tokens to begin with.
            stop: the token that ends the sequence, included.
        """
        tokens = _as_tokens("prefix", prefix)
        _check_tokens("prefix", tokens, self.vocab_size)
        text = tokens.tolist()
        for _ in range(length):
            p = self.next_token_probabilities(text[max(0, len(text) - self.order) :])
            text.append(int(p.multinomial(1, generator=generator)))
            if text[-1] == stop:
                break
        return text


def _concatenate(
    sequences: Iterable[Tokens], vocab_size: int
) -> tuple[Int64[Tensor, " text"], Int64[Tensor, " text"]]:
    """Return the joined tokens, and how many of its own sequence precede each."""
    parts = [_as_tokens("sequences", sequence) for sequence in sequences]
    text = torch.cat([torch.zeros(0, dtype=torch.int64), *parts])
    if not len(text):
        raise ValueError("sequences must hold at least one token: got none")
    _check_tokens("sequences", text, vocab_size)
    return text, torch.cat([torch.arange(len(part)) for part in parts])


def _as_tokens(name: str, sequence: Tokens) -> Int64[Tensor, " tokens"]:
    """Refuse what is not a row of integers; return it in int64, on the CPU."""
    try:
        tokens = torch.as_tensor(sequence, device="cpu")
    except (TypeError, ValueError):
        kind = type(sequence).__name__
        raise TypeError(f"{name} must hold integers: got {kind}") from None
    if tokens.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, or hold such: got {tuple(tokens.shape)}"
        )
    if len(tokens):  # an empty list makes a tensor of float32
        check_integer(**{name: tokens})
    return tokens.long()


def _check_tokens(name: str, tokens: Tensor, vocab_size: int) -> None:
    """Refuse tokens that are out of range."""
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocab_size:
        raise ValueError(
            f"{name} must hold tokens between 0 and {vocab_size - 1}: "
            f"got {int(tokens.min())} to {int(tokens.max())}"
        )
