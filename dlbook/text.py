"""From text to tensors: tokens, a vocabulary that numbers them, and batches of sequences that differ in length."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

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
    def build(cls, texts: Iterable[Iterable[str]], min_count: int = 1, size: int | None = None) -> "Vocabulary":
        """Number the tokens that `most_frequent` finds in texts."""
        return cls(most_frequent(texts, min_count, size))

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


def most_frequent(texts: Iterable[Iterable[str]], min_count: int = 1, size: int | None = None) -> list[str]:
    """List the tokens of texts, the most frequent first; of equally frequent ones, that which sorts first.

    Args:
        texts: token by token, or strings, whose characters are then the tokens.
        min_count: how often a token must occur.
        size: how large the vocabulary may become, the four special tokens counted.
    """
    if min_count < 1 or (size is not None and size < len(SPECIAL)):
        raise ValueError(f"min_count must be at least 1 and size at least {len(SPECIAL)}: got {min_count=}, {size=}")
    counts = Counter(token for text in texts for token in text)
    kept = [token for token, count in counts.items() if count >= min_count and token not in SPECIAL]
    kept.sort(key=lambda token: (-counts[token], token))
    return kept[: None if size is None else size - len(SPECIAL)]


def pad(
    sequences: Sequence[Sequence[int]], steps: int | None = None, value: int = Vocabulary.pad
) -> tuple[Int64[Tensor, "batch steps"], Int64[Tensor, " batch"]]:
    """Fill sequences up to the length of the longest, and give their own lengths with them.

    Args:
        sequences: of one number or more each.
        steps: the most numbers to keep of a sequence; what comes after them is cut off.
        value: what to fill with.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1: got {steps}")
    lengths = torch.tensor([len(sequence[:steps]) for sequence in sequences], dtype=torch.int64)
    if not len(lengths) or not lengths.min():
        got = f"an empty one at {int(lengths.argmin())}" if len(lengths) else "none"
        raise ValueError(f"sequences must be one or more, of one number or more each: got {got}")
    padded = torch.full((len(lengths), int(lengths.max())), value)  # (batch, steps)
    padded[is_real(lengths, padded.shape[1])] = torch.tensor([n for sequence in sequences for n in sequence[:steps]])
    return padded, lengths


def is_real(lengths: Int64[Tensor, " batch"], steps: int) -> Bool[Tensor, "batch steps"]:
    """Give the mask of padded sequences: True for a step of the sequence itself, False for padding."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


Column = Sequence[Sequence[int]] | Tensor


class BatchesByLength:
    """Cut examples of different lengths into batches of similar ones, so that there is little padding.

        BatchesByLength(texts, labels, size=32, shuffle=True)  # goes through (numbers, lengths, labels)

    With `shuffle`, examples of one length change places, and so do the batches; the order depends on (seed, epoch)
    only, and `train.fit` calls `set_epoch` before each epoch. Each epoch has every example once. Processes that train
    together all see the same batches.
    """

    def __init__(
        self,
        *columns: Column,
        size: int | None = None,
        tokens: int | None = None,
        steps: int | None = None,
        arrange: Callable[..., tuple[Tensor, ...]] = lambda *parts: parts,
        shuffle: bool = False,
        seed: int = 0,
    ):
        """Cut the examples, sorted by length.

        Args:
            columns: lists of sequences, each of which becomes two tensors, padded numbers and lengths; or tensors,
                such as labels, of which each batch has its rows.
            size: how many examples a batch has, the last one perhaps fewer.
            tokens: in place of `size`, how many numbers a batch may have in a column, padding included.
            steps: the most numbers to keep of a sequence, as in `pad`; `truncated` counts the examples that lose some.
            arrange: makes of a batch's tensors what `train.fit` wants, (inputs..., target).
        """
        longest = torch.tensor(check_columns(columns, steps, seed))
        self.lengths = longest if steps is None else longest.clamp(max=steps)
        self.truncated = int((longest > self.lengths).sum())
        self.columns, self.steps, self.arrange = columns, steps, arrange
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        self.cuts = cut(self.lengths.sort().values.tolist(), size, tokens)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order in which the next pass will visit the examples."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.cuts)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Go through the batches."""
        order, batches = torch.arange(len(self.lengths)), torch.arange(len(self))
        if self.shuffle:
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
            order = torch.randperm(len(order), generator=generator)
            batches = torch.randperm(len(batches), generator=generator)
        order = order[self.lengths[order].argsort(stable=True)]
        for batch in batches.tolist():
            rows = order[slice(*self.cuts[batch])]
            yield self.arrange(*(part for column in self.columns for part in take(column, rows, self.steps)))


def take(column: Column, rows: Int64[Tensor, " batch"], steps: int | None) -> tuple[Tensor, ...]:
    """Give some rows of a tensor, or some sequences of a list, padded, with their lengths."""
    if isinstance(column, Tensor):
        return (column[rows.to(column.device)],)
    return pad([column[row] for row in rows.tolist()], steps)


def check_columns(columns: tuple[Column, ...], steps: int | None, seed: int) -> list[int]:
    """Refuse what cannot be cut into batches; return the length of each example, the longest of its sequences."""
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        raise ValueError(f"columns must be of one length, at least 1: got {[len(column) for column in columns]}")
    ragged = [column for column in columns if not isinstance(column, Tensor)]
    if not ragged:
        raise ValueError("columns must hold at least one list of sequences: got tensors only")
    for column in ragged:
        if empty := [row for row, sequence in enumerate(column) if not len(sequence)]:
            raise ValueError(f"columns must hold sequences of one number or more each: got an empty one at {empty[0]}")
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1: got {steps}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0: got {seed}")
    return [max(map(len, example)) for example in zip(*ragged, strict=True)]


def cut(lengths: list[int], size: int | None, tokens: int | None) -> list[tuple[int, int]]:
    """Cut increasing lengths into runs of `size`, or of at most `tokens` numbers when padded; give their ends."""
    if size is not None and tokens is None:
        most = [size] * len(lengths)
    elif tokens is not None and size is None:
        most = [tokens // length for length in lengths]
    else:
        raise ValueError(f"size or tokens must be given, and not both: got {size=}, {tokens=}")
    if most[-1] < 1:
        rule = f"size must be at least 1, or tokens at least {lengths[-1]}, the length of the longest example"
        raise ValueError(f"{rule}: got {size=}, {tokens=}")
    begins = [0]
    for row, limit in enumerate(most):
        if row - begins[-1] >= limit:
            begins.append(row)
    return list(zip(begins, [*begins[1:], len(lengths)], strict=True))
