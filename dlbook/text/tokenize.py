"""From text to tensors: tokens, a vocabulary that numbers them, and batches of sequences that differ in length."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from dlbook.masks import length_mask

SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese characters, and Japanese syllables
LETTER = rf"[^\W_{IDEOGRAPH}]|[\u0300-\u036f]"  # or a digit, or a mark over the letter before it
TOKEN = re.compile(rf"[{IDEOGRAPH}]|(?:{LETTER})+(?:['’](?:{LETTER})+)*|[^\w\s\x00-\x1f\x7f-\x9f]|_")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")  # soft hyphens, joiners, marks of byte order


def tokenize(text: str) -> list[str]:
    """Cut a text into words, numbers and punctuation marks, in small letters; Chinese characters stand alone.

        tokenize("Don't panic!")  # ["don't", "panic", "!"]

    Different codings of the same character become one (NFKC). Blanks and control characters separate and are dropped;
    half a surrogate pair, which is no character, becomes U+FFFD. An empty text has no tokens.
    """
    text = INVISIBLE.sub("", re.sub("[\ud800-\udfff]", "\ufffd", text))
    return TOKEN.findall(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()))


class Vocabulary:
    """Numbers for tokens, from 0 on: first the special ones, then the others in the order given.

    <pad> fills short sequences, <unk> stands for every token that is not known, <bos> and <eos> are where a text
    begins and ends. A special token that occurs in a text is no other than that.
    """

    pad, unk, bos, eos = range(4)

    def __init__(self, tokens: Iterable[str]):
        """Number the tokens, of which each must be there once."""
        self.tokens = [*SPECIAL, *tokens]
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self.numbers) < len(self.tokens):
            twice, _ = Counter(self.tokens).most_common(1)[0]
            raise ValueError(f"tokens must be there once each, and none be special: got {twice!r} again")

    @classmethod
    def build(cls, texts: Iterable[Iterable[str]], min_count: int = 1, vocab_size: int | None = None) -> "Vocabulary":
        """Number the tokens that `most_frequent` finds in texts."""
        return cls(most_frequent(texts, min_count, vocab_size))

    def __len__(self) -> int:
        """Count the tokens, special ones included."""
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        """Say whether a token has a number of its own."""
        return token in self.numbers

    def encode(self, tokens: Iterable[str], ends: bool = False) -> list[int]:
        """Give the number of each token, that of <unk> if it is not known; with `ends`, between <bos> and <eos>.

        No tokens at all are one unknown token, unless the ends are there: a model reads at least one step.
        """
        numbers = [self.numbers.get(token, self.unk) for token in tokens]
        return [self.bos, *numbers, self.eos] if ends else numbers or [self.unk]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Give the tokens with these numbers, without <pad>, <bos> and <eos>."""
        shown = [number for number in numbers if number not in (self.pad, self.bos, self.eos)]
        if wrong := [number for number in shown if not 0 <= number < len(self)]:
            raise ValueError(f"numbers must be between 0 and {len(self) - 1}: got {wrong[0]}")
        return [self.tokens[number] for number in shown]


def most_frequent(texts: Iterable[Iterable[str]], min_count: int = 1, vocab_size: int | None = None) -> list[str]:
    """List the tokens of texts, the most frequent first; of equally frequent ones, that which sorts first.

    Args:
        texts: token by token, or strings, whose characters are then the tokens.
        min_count: how often a token must occur.
        vocab_size: how large the vocabulary may become, the four special tokens counted.
    """
    if min_count < 1 or (vocab_size is not None and vocab_size < len(SPECIAL)):
        raise ValueError(f"min_count must be at least 1 and size at least {len(SPECIAL)}: got {min_count=}, {vocab_size=}")
    counts = Counter(token for text in texts for token in text)
    kept = [token for token, count in counts.items() if count >= min_count and token not in SPECIAL]
    kept.sort(key=lambda token: (-counts[token], token))
    return kept[: None if vocab_size is None else vocab_size - len(SPECIAL)]


def pad(
    sequences: Sequence[Sequence[int]], max_length: int | None = None, value: int = Vocabulary.pad
) -> tuple[Int64[Tensor, "batch steps"], Int64[Tensor, " batch"]]:
    """Fill sequences up to the length of the longest, and give their own lengths with them.

    Args:
        sequences: of one number or more each.
        max_length: the most numbers to keep of a sequence; what comes after them is cut off.
        value: what to fill with.
    """
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be at least 1: got {max_length}")
    lengths = torch.tensor([len(sequence[:max_length]) for sequence in sequences], dtype=torch.int64)
    if not len(lengths) or not lengths.min():
        got = f"an empty one at {int(lengths.argmin())}" if len(lengths) else "none"
        raise ValueError(f"sequences must be one or more, of one number or more each: got {got}")
    padded = torch.full((len(lengths), int(lengths.max())), value)  # (batch, steps)
    padded[length_mask(lengths, padded.shape[1])] = torch.tensor([n for sequence in sequences for n in sequence[:max_length]])
    return padded, lengths
