"""Batches of examples: slices of tensors, and sequences of similar lengths, padded."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from dlbook.text.tokenize import pad
from dlbook.training.devices import rank_and_world_size

Column = Sequence[Sequence[int]] | Tensor


class Batches:
    """Cut tensors into batches of `batch_size` examples; the last batch of an epoch may be smaller.

    Nothing is moved or collated: batches are slices of the tensors, on the device where these already live. With
    `shuffle`, the order depends on (seed, epoch) only; `fit` calls `set_epoch` before each epoch. When several
    rank_and_world_size train together, each gets its share of every batch.

    Args:
        tensors: inputs and target, (examples, ...) each, on one device.
        batch_size: examples in a batch, summed over all rank_and_world_size.
    """

    def __init__(self, *tensors: Shaped[Tensor, "..."], batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1 or shapes[0][0] == 0:
            raise ValueError(f"tensors must have the same number of examples, at least 1: got shapes {shapes}")
        if len(devices := {str(tensor.device) for tensor in tensors}) != 1:
            raise ValueError(f"tensors must be on one device: got {', '.join(sorted(devices))}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1: got {batch_size}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0: got {seed}")
        self.tensors, self.batch_size, self.shuffle, self.seed, self.epoch = tensors, batch_size, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order in which the next pass will visit the examples."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.tensors[0]) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        examples = len(self.tensors[0])
        rank, world = rank_and_world_size()
        smallest = examples % self.batch_size or min(self.batch_size, examples)
        if smallest < world:
            raise ValueError(f"every batch must hold an example for each of {world} rank_and_world_size: got one of {smallest}")
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng((self.seed, self.epoch)).permutation(examples))
            order = order.to(self.tensors[0].device)
        for first in range(0, examples, self.batch_size):
            own = slice(first + rank, min(first + self.batch_size, examples), world)
            if self.shuffle:
                chosen = order[own]
                yield tuple(tensor.index_select(0, chosen) for tensor in self.tensors)  # faster than tensor[chosen]
            else:
                yield tuple(tensor[own] for tensor in self.tensors)


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
        batch_size: int | None = None,
        max_tokens: int | None = None,
        max_length: int | None = None,
        arrange: Callable[..., tuple[Tensor, ...]] = lambda *parts: parts,
        shuffle: bool = False,
        seed: int = 0,
    ):
        """Cut the examples, sorted by length.

        Args:
            columns: lists of sequences, each of which becomes two tensors, padded numbers and lengths; or tensors,
                such as labels, of which each batch has its rows.
            batch_size: how many examples a batch has, the last one perhaps fewer.
            max_tokens: in place of `batch_size`, how many numbers a batch may have in a column, padding included.
            max_length: the most numbers to keep of a sequence, as in `pad`; `truncated` counts the examples that lose some.
            arrange: makes of a batch's tensors what `train.fit` wants, (inputs..., target).
        """
        longest = torch.tensor(_check_columns(columns, max_length, seed))
        self.lengths = longest if max_length is None else longest.clamp(max=max_length)
        self.truncated = int((longest > self.lengths).sum())
        self.columns, self.max_length, self.arrange = columns, max_length, arrange
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        self.cuts = _cut(self.lengths.sort().values.tolist(), batch_size, max_tokens)

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
            yield self.arrange(*(part for column in self.columns for part in _take(column, rows, self.max_length)))


def _take(column: Column, rows: Int64[Tensor, " batch"], max_length: int | None) -> tuple[Tensor, ...]:
    """Give some rows of a tensor, or some sequences of a list, padded, with their lengths."""
    if isinstance(column, Tensor):
        return (column[rows.to(column.device)],)
    return pad([column[row] for row in rows.tolist()], max_length)


def _check_columns(columns: tuple[Column, ...], max_length: int | None, seed: int) -> list[int]:
    """Refuse what cannot be cut into batches; return the length of each example, the longest of its sequences."""
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        raise ValueError(f"columns must be of one length, at least 1: got {[len(column) for column in columns]}")
    ragged = [column for column in columns if not isinstance(column, Tensor)]
    if not ragged:
        raise ValueError("columns must hold at least one list of sequences: got tensors only")
    for column in ragged:
        if empty := [row for row, sequence in enumerate(column) if not len(sequence)]:
            raise ValueError(f"columns must hold sequences of one number or more each: got an empty one at {empty[0]}")
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be at least 1: got {max_length}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0: got {seed}")
    return [max(map(len, example)) for example in zip(*ragged, strict=True)]


def _cut(lengths: list[int], batch_size: int | None, max_tokens: int | None) -> list[tuple[int, int]]:
    """Cut increasing lengths into runs of `batch_size`, or of at most `max_tokens` numbers when padded; give their ends."""
    if batch_size is not None and max_tokens is None:
        most = [batch_size] * len(lengths)
    elif max_tokens is not None and batch_size is None:
        most = [max_tokens // length for length in lengths]
    else:
        raise ValueError(f"size or max_tokens must be given, and not both: got {batch_size=}, {max_tokens=}")
    if most[-1] < 1:
        rule = f"batch_size must be at least 1, or tokens at least {lengths[-1]}, the length of the longest example"
        raise ValueError(f"{rule}: got {batch_size=}, {max_tokens=}")
    begins = [0]
    for row, limit in enumerate(most):
        if row - begins[-1] >= limit:
            begins.append(row)
    return list(zip(begins, [*begins[1:], len(lengths)], strict=True))
