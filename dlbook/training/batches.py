"""Batches of examples: slices of tensors, and sequences of similar lengths, padded."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from dlbook._check import check_whole
from dlbook.text.tokenize import pad
from dlbook.training.devices import rank_and_world_size

Column = Sequence[Sequence[int]] | Tensor


class Batches:
    """Cut tensors into batches of `batch_size` examples; the last one may be smaller.

    Nothing is moved or collated: batches are slices of the tensors, on the device where
    these already live. With `shuffle`, the order depends on (seed, epoch) only; `fit`
    calls `set_epoch` before each epoch. When several processes train together, each
    gets its part of every batch.

    Args:
        tensors: inputs and target, (examples, ...) each, on one device.
        batch_size: examples in a batch, summed over all processes.
        shuffle: whether the examples come in another, random order in each epoch.
        seed: of that order.

    Raises:
        TypeError: One of the tensors is none, or a number is not whole.
        ValueError: The tensors do not go together, or a number breaks its rule.
    """

    def __init__(
        self, *tensors: Tensor, batch_size: int, shuffle: bool = False, seed: int = 0
    ) -> None:
        _check_tensors(tensors)
        check_whole(1, batch_size=batch_size)
        check_whole(0, seed=seed)
        self.tensors, self.batch_size, self.shuffle, self.seed, self.epoch = (
            tensors,
            batch_size,
            shuffle,
            seed,
            0,
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the examples in the next epoch.

        Args:
            epoch: its number, counted from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.tensors[0]) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        examples = len(self.tensors[0])
        rank, world = rank_and_world_size()
        _check_world(world, examples, self.batch_size)
        if self.shuffle:
            order = torch.from_numpy(
                np.random.default_rng((self.seed, self.epoch)).permutation(examples)
            )
            order = order.to(self.tensors[0].device)
        for first in range(0, examples, self.batch_size):
            own = slice(first + rank, min(first + self.batch_size, examples), world)
            if self.shuffle:
                chosen = order[own]  # index_select is faster than tensor[chosen]
                yield tuple(tensor.index_select(0, chosen) for tensor in self.tensors)
            else:
                yield tuple(tensor[own] for tensor in self.tensors)


class BatchesByLength:
    """Cut examples of different lengths into batches of similar ones: little padding.

        BatchesByLength(texts, labels, batch_size=32)  # numbers, lengths, labels

    With `shuffle`, examples of one length change their order in each epoch, and so do
    the batches; the order depends on (seed, epoch) only, and `fit` calls `set_epoch`
    before each epoch. Each epoch has every example once. Processes that train together
    all see the same batches.

    Attributes:
        lengths: of each example, the longest of its sequences, as far as it is kept.
        truncated: how many examples lose some numbers to `max_length`.
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
            columns: lists of sequences, each of which becomes two tensors, padded
                numbers and lengths; or tensors, such as labels, of which each batch has
                its rows.
            batch_size: how many examples a batch has, the last one perhaps fewer.
            max_tokens: in place of `batch_size`, how many numbers a batch may have in a
                column, padding included.
            max_length: the most numbers to keep of a sequence, as in `pad`.
            arrange: makes of a batch's tensors what `fit` wants, (inputs..., target).
            shuffle: whether the order is another, random one in each epoch.
            seed: of that order.

        Raises:
            TypeError: A number is not whole.
            ValueError: The columns do not go together, one has an empty sequence, or a
                number breaks its rule.
        """
        longest = torch.tensor(_check_columns(columns, max_length, seed))
        self.lengths = longest if max_length is None else longest.clamp(max=max_length)
        self.truncated = int((longest > self.lengths).sum())
        self.columns, self.max_length, self.arrange = columns, max_length, arrange
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        self.cuts = _cut(self.lengths.sort().values.tolist(), batch_size, max_tokens)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the batches in the next epoch.

        Args:
            epoch: its number, counted from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.cuts)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of an epoch."""
        order, batches = torch.arange(len(self.lengths)), torch.arange(len(self))
        if self.shuffle:
            generator = torch.Generator()
            generator.manual_seed(1_000_003 * int(self.seed) + int(self.epoch))
            order = torch.randperm(len(order), generator=generator)
            batches = torch.randperm(len(batches), generator=generator)
        order = order[self.lengths[order].argsort(stable=True)]
        for batch in batches.tolist():
            rows = order[slice(*self.cuts[batch])]
            parts = [_take(column, rows, self.max_length) for column in self.columns]
            yield self.arrange(*(tensor for part in parts for tensor in part))


def _check_tensors(tensors: tuple[Tensor, ...]) -> None:
    """Refuse what does not hold the same examples, at least one, on one device."""
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        kinds = [type(tensor).__name__ for tensor in tensors]
        raise TypeError(f"tensors must be tensors: got {kinds}")
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if (
        not shapes
        or () in shapes
        or len({shape[0] for shape in shapes}) != 1
        or shapes[0][0] == 0
    ):
        raise ValueError(
            "tensors must have the same number of examples, at least 1: "
            f"got shapes {shapes}"
        )
    if len(devices := {str(tensor.device) for tensor in tensors}) != 1:
        raise ValueError(
            f"tensors must be on one device: got {', '.join(sorted(devices))}"
        )


def _check_world(world: int, examples: int, batch_size: int) -> None:
    """Refuse more processes than the smallest batch has examples."""
    smallest = examples % batch_size or min(batch_size, examples)
    if smallest < world:
        raise ValueError(
            f"every batch must hold an example for each of {world} processes: "
            f"got one of {smallest}"
        )


def _take(
    column: Column, rows: Int64[Tensor, " batch"], max_length: int | None
) -> tuple[Tensor, ...]:
    """Return rows of a tensor, or sequences of a list, padded, with their lengths."""
    if isinstance(column, Tensor):
        return (column[rows.to(column.device)],)
    return pad([column[row] for row in rows.tolist()], max_length)


def _check_columns(
    columns: tuple[Column, ...], max_length: int | None, seed: int
) -> list[int]:
    """Refuse what cannot be cut into batches; return the length of each example."""
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        raise ValueError(
            "columns must be of one length, at least 1: "
            f"got {[len(column) for column in columns]}"
        )
    ragged = [column for column in columns if not isinstance(column, Tensor)]
    if not ragged:
        raise ValueError(
            "columns must hold at least one list of sequences: got tensors only"
        )
    for column in ragged:
        if empty := [row for row, sequence in enumerate(column) if not len(sequence)]:
            raise ValueError(
                "columns must hold sequences of one number or more each: "
                f"got an empty one at {empty[0]}"
            )
    if max_length is not None:
        check_whole(1, max_length=max_length)
    check_whole(0, seed=seed)
    return [max(map(len, example)) for example in zip(*ragged, strict=True)]


def _cut(
    lengths: list[int], batch_size: int | None, max_tokens: int | None
) -> list[tuple[int, int]]:
    """Cut increasing lengths into runs of `batch_size`, or of at most `max_tokens`.

    Args:
        lengths: of the examples.
        batch_size: how many examples a run has.
        max_tokens: how many numbers it may have when all are as long as its last one.

    Returns:
        The two ends of each run.
    """
    if (batch_size is None) == (max_tokens is None):
        raise ValueError(
            "batch_size or max_tokens must be given, and not both: "
            f"got {batch_size=}, {max_tokens=}"
        )
    if batch_size is not None:
        check_whole(1, batch_size=batch_size)
        most = [batch_size] * len(lengths)
    if max_tokens is not None:
        check_whole(1, max_tokens=max_tokens)
        if max_tokens < lengths[-1]:
            raise ValueError(
                f"max_tokens must be at least {lengths[-1]}, the length of the longest "
                f"example: got {max_tokens}"
            )
        most = [max_tokens // length for length in lengths]
    begins = [0]
    for row, limit in enumerate(most):
        if row - begins[-1] >= limit:
            begins.append(row)
    return list(zip(begins, [*begins[1:], len(lengths)], strict=True))
