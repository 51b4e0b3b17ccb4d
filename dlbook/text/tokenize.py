"""From text to tensors: tokens, a vocabulary of their numbers, padded sequences."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
from jaxtyping import Int64
from torch import Tensor

from dlbook._check import (
    check_integer,
    check_numbers,
    check_text,
    check_texts,
    check_whole,
)
from dlbook.masks import length_mask

SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")


def _marks() -> str:
    """Return the combining marks, such as accents and vowel signs, as ranges.

    Those that stand with kana and emoji are left out.
    """
    codes = [
        code
        for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
        if unicodedata.category(chr(code)) in ("Mn", "Mc")
        and code not in (0x3099, 0x309A, 0xFE0E, 0xFE0F)
    ]
    begins = sorted({*codes} - {code + 1 for code in codes})
    ends = sorted({*codes} - {code - 1 for code in codes})
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(begins, ends, strict=True))


IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # also kana
MARK = rf"(?![\x00-\u02ff])[{_marks()}]"  # the first condition is for speed
LETTER = rf"(?:[^\W_{IDEOGRAPH}]|{MARK})"  # or a digit
JOINER = "[\u200c\u200d]"  # shapes the letters of Persian, Hindi and others
WORD = rf"{LETTER}+(?:{JOINER}{LETTER}+)*"
SIGN = r"[^\w\s\x00-\x1f\x7f-\x9f\u200c\u200d]|_"
TOKEN = re.compile(rf"[{IDEOGRAPH}]|{WORD}(?:['’]{WORD})*|{SIGN}")
SHAPED = rf"(?:[^\W\x00-\u02ff{IDEOGRAPH}]|{MARK})"  # a letter beside a joiner
INVISIBLE = (
    re.compile(  # soft hyphens, marks of direction and byte order, other joiners
        rf"[\u00ad\u200b\u200e\u200f\u2060-\u2064\ufeff]"
        rf"|(?<!{SHAPED}){JOINER}|{JOINER}(?!{SHAPED})"
    )
)


def tokenize(text: str) -> list[str]:
    """Cut a text into words, numbers and signs, in lower case.

    Chinese characters and Japanese kana are tokens of their own. Combining marks stay
    with their letters, so that words of all scripts stay whole.

        tokenize("Don't panic!")  # ["don't", "panic", "!"]

    Args:
        text: is normalised first (NFKC); blanks and control characters separate tokens
            and are dropped; half a surrogate pair becomes U+FFFD.

    Returns:
        The tokens, none for an empty text.

    Raises:
        TypeError: `text` is no string.
    """
    check_text(text)
    text = unicodedata.normalize("NFKC", re.sub("[\ud800-\udfff]", "\ufffd", text))
    lower = INVISIBLE.sub("", text).lower()
    return TOKEN.findall(unicodedata.normalize("NFKC", lower))


class Vocabulary:
    """Numbers for tokens, from 0 on: the special ones, then others in the given order.

    <pad> fills short sequences, <unk> stands for each unknown token, <bos> and <eos>
    are the beginning and the end of a text. A special token that occurs in a text is no
    other than that.
    """

    pad, unk, bos, eos = range(4)

    def __init__(self, tokens: Iterable[str]):
        """Number the tokens.

        Args:
            tokens: each of them once, none of them special.

        Raises:
            ValueError: A token is there twice, or special.
        """
        self.tokens = [*SPECIAL, *tokens]
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self.numbers) < len(self.tokens):
            twice, _ = Counter(self.tokens).most_common(1)[0]
            rule = "tokens must be there once each, and none be special"
            raise ValueError(f"{rule}: got {twice!r} again")

    @classmethod
    def build(
        cls,
        texts: Iterable[Iterable[str]],
        min_count: int = 1,
        vocab_size: int | None = None,
    ) -> "Vocabulary":
        """Return the vocabulary of the most frequent tokens of texts.

        Args:
            texts, min_count, vocab_size: as in `most_frequent`.
        """
        return cls(most_frequent(texts, min_count, vocab_size))

    def __len__(self) -> int:
        """Return the number of tokens, special ones included."""
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        """Return whether a token has a number of its own."""
        return token in self.numbers

    def encode(self, tokens: Iterable[str], ends: bool = False) -> list[int]:
        """Return the number of each token, that of <unk> if it is unknown.

        Args:
            tokens: of a text; a string is taken character by character. No tokens at
                all count as one unknown token, unless the ends are there: a model needs
                at least one.
            ends: whether the numbers stand between <bos> and <eos>.
        """
        numbers = [self.numbers.get(token, self.unk) for token in tokens]
        return [self.bos, *numbers, self.eos] if ends else numbers or [self.unk]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Return the tokens with these numbers, without <pad>, <bos> and <eos>.

        Args:
            numbers: integers of any kind, tensors included.

        Raises:
            TypeError: A number is no integer.
            ValueError: A number is negative or too large.
        """
        checked = check_numbers(numbers, len(self))
        hidden = self.pad, self.bos, self.eos
        return [self.tokens[number] for number in checked if number not in hidden]


def most_frequent(
    texts: Iterable[Iterable[str]], min_count: int = 1, vocab_size: int | None = None
) -> list[str]:
    """Return the tokens of texts by decreasing frequency; of equals, the first by sort.

    Args:
        texts: token by token, or strings, whose characters are then the tokens.
        min_count: how often a token must occur.
        vocab_size: size of the vocabulary, the four special tokens counted.

    Raises:
        TypeError: `texts` is a single string.
        ValueError: `min_count` is less than 1, or `vocab_size` less than 4.
    """
    check_texts("texts", texts)
    _check_counts(min_count, vocab_size)
    counts = Counter(token for text in texts for token in text)
    kept = [
        token
        for token, count in counts.items()
        if count >= min_count and token not in SPECIAL
    ]
    kept.sort(key=lambda token: (-counts[token], token))
    return kept[: None if vocab_size is None else vocab_size - len(SPECIAL)]


def pad(
    sequences: Sequence[Sequence[int]],
    max_length: int | None = None,
    value: int = Vocabulary.pad,
) -> tuple[Int64[Tensor, "batch length"], Int64[Tensor, " batch"]]:
    """Return sequences in one tensor, filled to the length of the longest.

    Args:
        sequences: at least one, of at least one integer each.
        max_length: how many integers of a sequence are kept; the others are cut off.
        value: fills short sequences.

    Returns:
        The padded sequences, and their lengths without padding.

    Raises:
        TypeError: `sequences` or `value` are no integers.
        ValueError: There is no sequence, or an empty one, or `max_length` is below 1.
    """
    _check_padding(max_length, value)
    check_texts("sequences", sequences)
    kept = [sequence[:max_length] for sequence in sequences]
    lengths = torch.tensor([len(sequence) for sequence in kept], dtype=torch.int64)
    _check_lengths(lengths)
    flat = torch.tensor([number for sequence in kept for number in sequence])
    check_integer(sequences=flat)
    padded = torch.full((len(kept), int(lengths.max())), value)  # (batch, length)
    padded[length_mask(lengths, padded.shape[1])] = flat.long()
    return padded, lengths


def _check_counts(min_count: int, vocab_size: int | None) -> None:
    """Refuse a vocabulary without room for the special tokens, and counts below 1."""
    check_whole(1, min_count=min_count)
    if vocab_size is not None:
        check_whole(len(SPECIAL), vocab_size=vocab_size)


def _check_padding(max_length: int | None, value: object) -> None:
    """Refuse to keep nothing, and to fill with what is no integer."""
    if max_length is not None:
        check_whole(1, max_length=max_length)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"value must be a whole number: got {value!r}")


def _check_lengths(lengths: Int64[Tensor, " batch"]) -> None:
    """Refuse to pad nothing, and sequences without a number."""
    if not len(lengths) or not lengths.min():
        got = f"an empty one at {int(lengths.argmin())}" if len(lengths) else "none"
        rule = "sequences must be one or more, of one number or more each"
        raise ValueError(f"{rule}: got {got}")
