"""Tables of numbers and categories: reading, duplicate rows, stratified splits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dlbook._check import check_rows, check_shape, check_tensor
from dlbook.data.splits import Parts, stratify
from dlbook.data.store import read_text

MISSING = "?"


@dataclass(frozen=True)
class Table:
    """Rows of numbers and categories, each with a label.

    Args:
        numbers: in float64, NaN where one is missing.
        categories: codes of levels, -1 where one is missing.
        labels: the class of each row.
        columns: the names of the columns of numbers.
        levels: by the names of the columns of categories, what the codes 0, 1, … mean.
        classes: what the labels 0, 1, … mean.

    Raises:
        TypeError: A tensor has another type.
        ValueError: Sizes do not fit, a number is infinite, or a code or a label stands
            for nothing.
    """

    numbers: Float64[Tensor, "rows numeric"]
    categories: Int64[Tensor, "rows categorical"]
    labels: Int64[Tensor, " rows"]
    columns: list[str]
    levels: dict[str, list[str]]
    classes: list[str]

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        _check_types(self)
        sizes = [
            (len(self.labels), len(self.columns)),
            (len(self.labels), len(self.levels)),
        ]
        if (
            found := [tuple(self.numbers.shape), tuple(self.categories.shape)]
        ) != sizes:
            raise ValueError(
                "numbers and categories must have a row for each label and a column "
                f"for each name: got shapes {found}, not {sizes}"
            )
        tops = {"labels": (self.labels, 0, len(self.classes))}
        for column, (name, levels) in enumerate(self.levels.items()):
            tops[name] = (self.categories[:, column], -1, len(levels))
        for name, (codes, low, top) in tops.items():
            for code in codes[(codes < low) | (codes >= top)][:1].tolist():
                raise ValueError(
                    f"{name} must be at least {low} and less than {top}: got {code}"
                )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    def choose(self, rows: Sequence[int]) -> "Table":
        """Return some of the rows.

        Args:
            rows: their numbers, in the order wanted.

        Raises:
            TypeError: They are no integers.
            ValueError: One is negative or too large.
        """
        check_rows(rows, len(self))
        n = torch.tensor(rows).long()
        return Table(
            self.numbers[n],
            self.categories[n],
            self.labels[n],
            self.columns,
            self.levels,
            self.classes,
        )


def _check_types(table: Table) -> None:
    """Refuse tensors of other types than the annotated ones, and infinite numbers."""
    check_shape("labels", table.labels, "rows")
    types = {"numbers": torch.float64, "categories": torch.int64, "labels": torch.int64}
    for name, expected in types.items():
        tensor = getattr(table, name)
        check_tensor(name, tensor)
        if tensor.dtype != expected:
            raise TypeError(f"{name} must be of type {expected}: got {tensor.dtype}")
    if table.numbers.isinf().any():
        raise ValueError("numbers must be finite, or NaN where missing: got inf")


def split_table(table: Table, test_fraction: float, seed: int = 0) -> Parts[Table]:
    """Draw a split stratified by label, without duplicates and conflicting labels.

    Args:
        table: what to split; see `drop_conflicting_rows` for the rows that are dropped.
        test_fraction: of each label, how much goes to the validation set, and as much
            to the test set; at most a third.
        seed: of the shuffle.

    Returns:
        The three tables.
    """
    table = table.choose(drop_conflicting_rows(table))
    parts = stratify(table.labels.tolist(), test_fraction, seed)
    return Parts(
        table.choose(parts.train),
        table.choose(parts.validation),
        table.choose(parts.test),
    )


def drop_conflicting_rows(table: Table, apart_from: Table | None = None) -> list[int]:
    """Return the rows to keep: one of each set of duplicates, none if labels differ.

    Duplicates are rows with equal features; the first of them is kept. To be done
    before splitting: a duplicate in two parts is a leak, which rewards memorising.

    Args:
        table: what to look for duplicates in.
        apart_from: a table with the same columns, such as a test set; rows whose
            features are in it are dropped too.

    Returns:
        The numbers of the rows that remain.

    Raises:
        ValueError: `apart_from` has other columns or levels.
    """
    if apart_from is not None:
        _check_columns(apart_from, table)
    elsewhere = set(_features_of(apart_from)) if apart_from else set()
    found: dict[bytes, list[int]] = {}
    for row, features in enumerate(_features_of(table)):
        found.setdefault(features, []).append(row)
    labels = table.labels.tolist()
    return [
        rows[0]
        for features, rows in found.items()
        if features not in elsewhere and len({labels[row] for row in rows}) == 1
    ]


def _check_columns(apart_from: Table, table: Table) -> None:
    """Refuse a table whose numbers and codes mean something else."""
    wanted = (table.columns, [*table.levels.items()])
    if (apart_from.columns, [*apart_from.levels.items()]) != wanted:
        found = ", ".join([*apart_from.columns, *apart_from.levels])
        raise ValueError(
            f"apart_from must have the columns and levels of table: got {found}"
        )


def _features_of(table: Table) -> list[bytes]:
    """Return what rows with equal features have in common, gaps included."""
    numbers = (table.numbers + 0.0).numpy()  # -0.0 becomes 0.0, which has other bytes
    return [
        a.tobytes() + b.tobytes()
        for a, b in zip(numbers, table.categories.numpy(), strict=True)
    ]


def read_table(
    path: Path, columns: Mapping[str, bool], classes: Mapping[str, str]
) -> Table:
    """Read a table of comma-separated values: a row in each line, the label last.

    Args:
        path: of the file; see `read_rows` for what it may hold.
        columns: by name, whether a column holds numbers (or else categories), in the
            order of the file.
        classes: by the labels in the file, what the table shall call them.

    Returns:
        The table, with its duplicates.
    """
    return tabulate(read_rows(path, columns, classes), columns, classes)


def read_rows(
    path: Path, columns: Mapping[str, bool], classes: Mapping[str, str]
) -> list[list[str]]:
    """Read the fields of comma-separated values, and check each of them.

    Empty lines and comments (|) are skipped; a label may end in a full stop.

    Args:
        path: of the file, in UTF-8.
        columns: as for `read_table`.
        classes: as for `read_table`.

    Returns:
        The fields of each row, the label last.

    Raises:
        ValueError: A line has too few or too many fields, or a field is not what its
            column holds: a number (or "?" where it is missing), a label. The message
            names file, line and column.
    """
    rows = []
    for line, text in enumerate(read_text(path).split("\n"), 1):
        row = [field.strip() for field in text.split(",")]
        if row == [""] or text.startswith("|"):
            continue
        if len(row) != len(columns) + 1:
            raise ValueError(
                f"{path.name} must have {len(columns) + 1} fields in each line, "
                f"{', '.join(columns)} and the label: got {len(row)} in line {line}"
            )
        row[-1] = row[-1].removesuffix(".")
        if row[-1] not in classes:
            raise ValueError(
                f"label in {path.name} must be one of {', '.join(classes)}: "
                f"got {row[-1]!r} in line {line}"
            )
        for (name, numeric), field in zip(columns.items(), row, strict=False):
            try:
                right = (
                    math.isfinite(float(field))
                    if numeric and field != MISSING
                    else bool(field)
                )
            except ValueError:
                right = False
            if not right:
                what = (
                    f'a number, or "{MISSING}" for a missing one'
                    if numeric
                    else "a word"
                )
                raise ValueError(
                    f"{name} in {path.name} must be {what}: "
                    f"got {field!r} in line {line}"
                )
        rows.append(row)
    if not rows:
        raise ValueError(f"{path.name} must hold rows: got none")
    return rows


def tabulate(
    rows: Sequence[Sequence[str]],
    columns: Mapping[str, bool],
    classes: Mapping[str, str],
) -> Table:
    """Make a table of fields; the levels of a category are those that occur, sorted.

    Args:
        rows: fields that `read_rows` accepted, the label last.
        columns: as for `read_table`.
        classes: as for `read_table`.

    Raises:
        ValueError: There are no rows, one has too few or too many fields, or a label is
            unknown.
    """
    _check_fields(rows, columns, classes)
    *features, labels = zip(*rows, strict=True)
    by_name = dict(zip(columns, features, strict=True))
    numbers = [np.array(by_name[name]) for name, numeric in columns.items() if numeric]
    numbers = [
        np.where(field == MISSING, "nan", field).astype(float) for field in numbers
    ]
    levels = {
        name: sorted(set(by_name[name]) - {MISSING})
        for name, numeric in columns.items()
        if not numeric
    }
    codes = {
        name: {MISSING: -1} | {level: n for n, level in enumerate(levels[name])}
        for name in levels
    }
    categories = [[codes[name][level] for level in by_name[name]] for name in levels]
    return Table(
        torch.tensor(np.array(numbers)).double().reshape(-1, len(rows)).T,
        torch.tensor(categories).long().reshape(-1, len(rows)).T,
        torch.tensor([list(classes).index(label) for label in labels]),
        [name for name, numeric in columns.items() if numeric],
        levels,
        list(classes.values()),
    )


def _check_fields(
    rows: Sequence[Sequence[str]],
    columns: Mapping[str, bool],
    classes: Mapping[str, str],
) -> None:
    """Refuse no rows, other fields than those of the columns, and unknown labels."""
    if not rows:
        raise ValueError("rows must hold at least one: got none")
    for row in rows:
        if len(row) != len(columns) + 1 or row[-1] not in classes:
            raise ValueError(
                f"rows must hold {len(columns)} fields and a label, one of "
                f"{', '.join(classes)}: got {', '.join(map(str, row))}"
            )
