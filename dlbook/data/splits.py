"""Splits into training, validation and test set, and duplicates, which leak across."""

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Generic, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from dlbook._check import (
    check_integer,
    check_seed,
    check_shape,
    check_tensor,
    check_whole,
)

Data = TypeVar("Data")
DROPPED = str.maketrans(
    "", "", string.punctuation + string.whitespace + "。、《》“”‘’…—～·￥"
)


@dataclass(frozen=True)
class Parts(Generic[Data]):
    """A data set in three parts: training, validation and test set.

    Args:
        train: what a model is fitted to.
        validation: what hyperparameters are chosen by.
        test: what the chosen model is evaluated on, once.
    """

    train: Data
    validation: Data
    test: Data


def dedup_key(text: str) -> str:
    """Return what duplicates have in common: Unicode NFKC, lower case, letters alone.

    Blanks and punctuation are dropped: "Bien !" and "bien." have one key, "bien" and
    "rien" have two. The key of a text of punctuation alone is "".

    Args:
        text: in any language.

    Raises:
        TypeError: It is no string.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string: got {type(text).__name__}")
    return unicodedata.normalize("NFKC", text).lower().translate(DROPPED)


def drop_conflicting_duplicates(
    texts: Sequence[str], labels: Sequence[int]
) -> list[int]:
    """Return the rows to keep: one of each set of duplicates, none if labels differ.

    Duplicates are texts with one `dedup_key`; the first of them is kept. Texts whose
    key is empty are dropped. To be done before splitting: a duplicate in two parts is a
    leak, which rewards memorising, and a text with two labels has no right answer.

    Args:
        texts: the examples.
        labels: the label of each, an integer or a string.

    Raises:
        TypeError: A text is no string, or a label no integer or string.
        ValueError: There are more or fewer labels than texts.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of strings: got one string")
    if len(texts) != len(labels):
        raise ValueError(
            f"labels must be one for each text: got {len(labels)} for {len(texts)}"
        )
    _check_categories("labels", labels)
    found: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        found.setdefault(dedup_key(text), []).append(row)
    found.pop("", None)
    return [
        rows[0] for rows in found.values() if len({labels[row] for row in rows}) == 1
    ]


def stratify(
    strata: Sequence[str | int], test_fraction: float, seed: int = 0
) -> Parts[list[int]]:
    """Draw a stratified split: the proportion of each stratum is alike in all parts.

    Args:
        strata: the stratum of each example: its label, for instance.
        test_fraction: of each stratum, how much goes to the validation set and as much
            to the test set, rounded, at least one example each; at most a third.
        seed: of the shuffle; the same seed and strata give the same parts.

    Returns:
        The row numbers of the examples in each part, in ascending order.

    Raises:
        TypeError: An argument, or a stratum, is of another type.
        ValueError: `test_fraction` is out of range, or a stratum has fewer than 3
            examples, one for each part.
    """
    _check_categories("strata", strata)
    _check_fraction(test_fraction)
    check_seed(seed)
    if len(strata) == 0:
        raise ValueError("strata must hold at least 3 examples: got none")
    counts = Counter(strata)
    if rare := [str(stratum) for stratum, count in counts.items() if count < 3]:
        raise ValueError(
            "strata must hold at least 3 examples each, one for each part: "
            f"got fewer in {rare[0]}"
        )
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = [], [], []
    rows_of: dict[str | int, list[int]] = {
        stratum: [] for stratum in sorted(counts, key=str)
    }
    for row, stratum in enumerate(strata):
        rows_of[stratum].append(row)
    for rows in rows_of.values():
        shuffled = [
            rows[n] for n in torch.randperm(len(rows), generator=generator).tolist()
        ]
        held_out = max(1, round(test_fraction * len(rows)))
        test += shuffled[:held_out]
        validation += shuffled[held_out : 2 * held_out]
        train += shuffled[2 * held_out :]
    return Parts(sorted(train), sorted(validation), sorted(test))


def _check_categories(name: str, values: Sequence[str | int]) -> None:
    """Refuse what is neither an integer nor a string: NaN does not equal itself."""
    if isinstance(values, str | Tensor):
        kind = type(values).__name__
        raise TypeError(f"{name} must be a sequence of ints or strings: got {kind}")
    if wrong := [value for value in values if not isinstance(value, str | Integral)]:
        kind = type(wrong[0]).__name__
        raise TypeError(f"{name} must be ints or strings: got {wrong[0]!r} ({kind})")


def _check_fraction(test_fraction: object) -> None:
    """Refuse what is no fraction, or leaves too few examples for training."""
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, Real):
        kind = type(test_fraction).__name__
        raise TypeError(
            f"test_fraction must be a number: got {test_fraction!r} ({kind})"
        )
    if not 0 < float(test_fraction) <= 1 / 3:
        raise ValueError(
            f"test_fraction must be above 0 and at most a third: got {test_fraction}"
        )


def split_evenly(
    labels: Int[Tensor, " examples"], sizes: Sequence[int], seed: int = 0
) -> list[Tensor]:
    """Draw parts with a fixed number of examples of each class.

    Args:
        labels: the classes 0, 1, … of the examples.
        sizes: how many examples of each class go to each part after the first.
        seed: of the shuffle; the same seed and labels give the same parts.

    Returns:
        The row numbers of the examples in each part, in ascending order: first what
        remains, for training, then one part for each size.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A label is negative, or the rarest class has too few examples.
    """
    check_shape("labels", labels, "examples")
    check_integer(labels=labels)
    check_seed(seed)
    for size in sizes:
        check_whole(1, sizes=size)
    if (labels < 0).any():
        raise ValueError(f"labels must be at least 0: got {int(labels.min())}")
    least = int(labels.bincount().min()) if len(labels) else 0
    if not sizes or sum(sizes) >= least:
        raise ValueError(
            "sizes must be one or more, and less in sum than the "
            f"{least} examples of the rarest class: got {sizes}"
        )
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(1 + len(sizes))]
    for label in range(int(labels.max()) + 1):
        rows = (labels == label).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        counts = [len(rows) - sum(sizes), *sizes]
        for part, chosen in zip(parts, rows.split(counts), strict=True):
            part.append(chosen)
    return [torch.cat(part).sort().values for part in parts]


def random_split(
    *tensors: Tensor, test_size: int, seed: int = 0
) -> tuple[list[Tensor], list[Tensor]]:
    """Split examples at random into those to train with and a held-out set.

        images, labels = data.train_images, data.train_labels
        train, validation = random_split(images, labels, test_size=10_000)

    Args:
        tensors: of one length, whose rows belong together.
        test_size: how many examples to hold out, drawn without regard to labels.
        seed: of the shuffle; the same seed and length hold out the same rows.

    Returns:
        The tensors without the held-out rows, and with those alone, each in the order
        of the arguments.

    Raises:
        TypeError: An argument is of another type.
        ValueError: The tensors differ in length, or a part would be empty.
    """
    _check_have_rows(tensors)
    check_whole(1, test_size=test_size)
    check_seed(seed)
    lengths = [len(tensor) for tensor in tensors]
    if len(set(lengths)) != 1:
        raise ValueError(
            f"tensors must be one or more of the same length: got lengths {lengths}"
        )
    if not 0 < test_size < lengths[0]:
        raise ValueError(
            f"test_size must be between 1 and {lengths[0] - 1}: got {test_size}"
        )
    order = torch.randperm(lengths[0], generator=torch.Generator().manual_seed(seed))
    return (
        [tensor[order[test_size:]] for tensor in tensors],
        [tensor[order[:test_size]] for tensor in tensors],
    )


def _check_have_rows(tensors: Sequence[Tensor]) -> None:
    """Refuse what is no tensor, or a tensor without axes."""
    for tensor in tensors:
        check_tensor("tensors", tensor)
        if tensor.ndim == 0:
            raise ValueError("tensors must have rows: got one without axes")
