"""Text that is split into parts: reading it, what counts as the same text, and names by language."""

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

Data = TypeVar("Data")
DROPPED = str.maketrans("", "", string.punctuation + string.whitespace + "。、《》“”‘’…—～·￥")


@dataclass(frozen=True)
class Parts(Generic[Data]):
    """A data set in three parts: to learn from, to choose by, and to test with once, at the end."""

    train: Data
    validation: Data
    test: Data


def dedup_key(text: str) -> str:
    """Reduce a text to what makes it the same as another: no blanks, no punctuation, small letters of one form.

    "Bien !" and "bien." are the same, "bien" and "rien" are not. A text of punctuation alone gives "".
    """
    return unicodedata.normalize("NFKC", text).lower().translate(DROPPED)


def drop_conflicting_duplicates(texts: Sequence[str], labels: Sequence[int]) -> list[int]:
    """Find the texts to keep: the first of those that are the same, and none if their labels differ, or if it is empty.

    To be done before splitting: what is in two parts makes a model that learns by heart look as if it understood, and
    about a text with two labels no answer is right.
    """
    found: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        found.setdefault(dedup_key(text), []).append(row)
    found.pop("", None)
    return [rows[0] for rows in found.values() if len({labels[row] for row in rows}) == 1]


def stratify(strata: Sequence[str | int], test_fraction: float, seed: int = 0) -> Parts[list[int]]:
    """Draw two parts, each with the same share of every stratum: of each label, for example.

    Args:
        strata: what is alike in all parts, of each example.
        test_fraction: how much of each stratum goes to validation, and as much to the test, rounded, at least one each.
        seed: decides which; the same seed and strata give the same parts.

    Returns:
        The numbers of the examples in each part, in their order.
    """
    if not 0 < test_fraction <= 1 / 3:
        raise ValueError(f"test_fraction must be above 0 and at most a third: got {test_fraction}")
    counts = Counter(strata)
    if rare := [str(stratum) for stratum, count in counts.items() if count < 3]:
        raise ValueError(f"strata must hold at least 3 examples each, one for each part: got fewer in {rare[0]}")
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = [], [], []
    rows_of: dict[str | int, list[int]] = {stratum: [] for stratum in sorted(counts, key=str)}
    for row, stratum in enumerate(strata):
        rows_of[stratum].append(row)
    for rows in rows_of.values():
        shuffled = [rows[n] for n in torch.randperm(len(rows), generator=generator).tolist()]
        held = max(1, round(test_fraction * len(rows)))
        test += shuffled[:held]
        validation += shuffled[held : 2 * held]
        train += shuffled[2 * held :]
    return Parts(sorted(train), sorted(validation), sorted(test))


def split_evenly(labels: Int64[Tensor, " examples"], sizes: list[int], seed: int = 0) -> list[Tensor]:
    """Draw parts with a fixed number of examples of each class.

    Args:
        sizes: how many of each class go to each part after the first.
        seed: decides which.

    Returns:
        The numbers of the examples in each part: first what remains, then the parts held out. In each part they stand
        in the order of the data.
    """
    least = int(labels.bincount().min()) if len(labels) else 0
    if min(sizes) < 1 or sum(sizes) >= least:
        raise ValueError(
            f"sizes must be at least 1 each, and less in sum than the {least} examples of the rarest class: "
            f"got {sizes}"
        )
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(1 + len(sizes))]
    for label in range(int(labels.max()) + 1):
        rows = (labels == label).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        for part, chosen in zip(parts, rows.split([len(rows) - sum(sizes), *sizes]), strict=True):
            part.append(chosen)
    return [torch.cat(part).sort().values for part in parts]


def random_split(*tensors: Tensor, test_size: int, seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """Split examples at random into those to train with and those held out for validation.

        train, validation = split(data.train_images, data.train_labels, held_out=10_000)

    Args:
        tensors: Tensors of the same length, whose rows belong together.
        test_size: How many examples to hold out, drawn without regard to their labels.
        seed: Decides which; the same seed and length hold out the same examples.

    Returns:
        The tensors without the held-out rows, and with those alone, each in the order of the arguments.
    """
    lengths = [len(tensor) for tensor in tensors]
    if len(set(lengths)) != 1:
        raise ValueError(f"tensors must be one or more of the same length: got lengths {lengths}")
    if not 0 < test_size < lengths[0]:
        raise ValueError(f"test_size must be between 1 and {lengths[0] - 1}: got {test_size}")
    order = torch.randperm(lengths[0], generator=torch.Generator().manual_seed(seed))
    return [tensor[order[test_size:]] for tensor in tensors], [tensor[order[:test_size]] for tensor in tensors]
