"""A table of numbers, categories and labels: reading one, what counts as the same row, splitting without repeats."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dlbook.data.splits import Parts, stratify
from dlbook.data.store import fetch, read_text

MISSING = "?"
ADULT = {  # whether a column holds numbers
    "age": True,
    "workclass": False,
    "fnlwgt": True,
    "education": False,
    "education-num": True,
    "marital-status": False,
    "occupation": False,
    "relationship": False,
    "race": False,
    "sex": False,
    "capital-gain": True,
    "capital-loss": True,
    "hours-per-week": True,
    "native-country": False,
}
INCOMES = {"<=50K": "at most $50,000", ">50K": "more than $50,000"}
WORDS = (
    "make address all 3d our over remove internet order mail receive will people report addresses free business email "
    "you credit your font 000 money hp hpl george 650 lab labs telnet 857 data 415 85 technology 1999 parts pm direct "
    "cs meeting original project re edu table conference"
)
RUNS = ("average run of capitals", "longest run of capitals", "capitals in all")
SPAMBASE = dict.fromkeys((*WORDS.split(), *";([!$#", *RUNS), True)
MAIL = {"0": "wanted", "1": "spam"}


@dataclass(frozen=True)
class Table:
    """Rows of numbers and categories, each row with a label: NaN is a missing number, -1 a missing category.

    Args:
        columns: the names of the columns of numbers.
        levels: by the names of the columns of categories, what their codes 0, 1, ... stand for.
        classes: what the labels 0, 1, ... stand for.

    Raises:
        ValueError: Sizes do not fit, or a code or a label stands for nothing.
    """

    numbers: Float64[Tensor, "rows numeric"]
    categories: Int64[Tensor, "rows categorical"]
    labels: Int64[Tensor, " rows"]
    columns: list[str]
    levels: dict[str, list[str]]
    classes: list[str]

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        sizes = [(len(self.labels), len(self.columns)), (len(self.labels), len(self.levels))]
        if (found := [tuple(self.numbers.shape), tuple(self.categories.shape)]) != sizes:
            raise ValueError(
                f"numbers and categories must have a row for each label and a column for each name: {found}"
            )
        tops = {"labels": (self.labels, 0, len(self.classes))}
        for column, (name, levels) in enumerate(self.levels.items()):
            tops[name] = (self.categories[:, column], -1, len(levels))
        for name, (codes, low, top) in tops.items():
            for code in codes[(codes < low) | (codes >= top)][:1].tolist():
                raise ValueError(f"{name} must be at least {low} and less than {top}: got {code}")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.labels)

    def choose(self, rows: Sequence[int]) -> "Table":
        """Give some of the rows, in the order of their numbers."""
        n = torch.tensor(rows).long()
        return Table(self.numbers[n], self.categories[n], self.labels[n], self.columns, self.levels, self.classes)


def split_table(table: Table, test_fraction: float, seed: int = 0) -> Parts[Table]:
    """Split a table with each label alike in all parts, as `stratify` does; `unequivocal_rows` says what is dropped."""
    table = table.choose(drop_conflicting_rows(table))
    parts = stratify(table.labels.tolist(), test_fraction, seed)
    return Parts(table.choose(parts.train), table.choose(parts.validation), table.choose(parts.test))


def drop_conflicting_rows(table: Table, apart_from: Table | None = None) -> list[int]:
    """Find the rows to keep: the first of those with the same features, and none if their labels differ.

    Nor are those kept whose features are in another table, `apart_from`. To be done before splitting: what is in two
    parts makes a model that learns by heart look as if it understood.
    """
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


def _features_of(table: Table) -> list[bytes]:
    """Give for each row what is equal for rows with equal features, gaps included."""
    numbers = (table.numbers + 0.0).numpy()  # there are two zeros, and their sum is the one
    return [a.tobytes() + b.tobytes() for a, b in zip(numbers, table.categories.numpy(), strict=True)]


def read_table(path: Path, columns: Mapping[str, bool], classes: Mapping[str, str]) -> Table:
    """Read a table with commas between the fields, a row a line, the label last; see `read_rows` for what it refuses.

    Args:
        columns: by name, whether a column holds numbers (or else categories), in their order in the file.
        classes: what the file calls the labels, and what the table shall call them.
    """
    return tabulate(read_rows(path, columns, classes), columns, classes)


def read_rows(path: Path, columns: Mapping[str, bool], classes: Mapping[str, str]) -> list[list[str]]:
    """Read the fields of each line that is neither empty nor a remark (|); a label may end in a full stop.

    Raises:
        ValueError: A line has too few or too many fields, or a field is not what its column holds: a number (or "?"
            where it is missing), a label. The message names file, line and column.
    """
    rows = []
    for line, text in enumerate(read_text(path).split("\n"), 1):
        row = [field.strip() for field in text.split(",")]
        if row == [""] or text.startswith("|"):
            continue
        if len(row) != len(columns) + 1:
            raise ValueError(
                f"{path.name} must have {len(columns) + 1} fields in each line, {', '.join(columns)} and the label: "
                f"got {len(row)} in line {line}"
            )
        row[-1] = row[-1].removesuffix(".")
        if row[-1] not in classes:
            raise ValueError(
                f"label in {path.name} must be one of {', '.join(classes)}: got {row[-1]!r} in line {line}"
            )
        for (name, numeric), field in zip(columns.items(), row, strict=False):
            try:
                right = math.isfinite(float(field)) if numeric and field != MISSING else bool(field)
            except ValueError:
                right = False
            if not right:
                what = f'a number, or "{MISSING}" for a missing one' if numeric else "a word"
                raise ValueError(f"{name} in {path.name} must be {what}: got {field!r} in line {line}")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path.name} must hold rows: got none")
    return rows


def tabulate(rows: Sequence[Sequence[str]], columns: Mapping[str, bool], classes: Mapping[str, str]) -> Table:
    """Make a table of fields that `read_rows` accepted; the levels of a category are those that occur, in order."""
    *features, labels = zip(*rows, strict=True)
    by_name = dict(zip(columns, features, strict=True))
    numbers = [np.array(by_name[name]) for name, numeric in columns.items() if numeric]
    numbers = [np.where(field == MISSING, "nan", field).astype(float) for field in numbers]
    levels = {name: sorted(set(by_name[name]) - {MISSING}) for name, numeric in columns.items() if not numeric}
    codes = {name: {MISSING: -1} | {level: n for n, level in enumerate(levels[name])} for name in levels}
    categories = [[codes[name][level] for level in by_name[name]] for name in levels]
    return Table(
        torch.tensor(np.array(numbers)).double().reshape(-1, len(rows)).T,
        torch.tensor(categories).long().reshape(-1, len(rows)).T,
        torch.tensor([list(classes).index(label) for label in labels]),
        [name for name, numeric in columns.items() if numeric],
        levels,
        list(classes.values()),
    )


def adult(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load the Adult table: who earned more than $50,000 a year, by the US census of 1994; 6 numbers, 8 categories.

    The test part is the official one, whole: 16,281 rows, 23.6 % of them above. Of the 32,561 rows for training, 52
    are left out: 24 that repeat another, two with the same features and different labels, and 26 whose features are in
    the test part too. Missing are workclass, occupation or native-country, in 7.4 % of the rows. education-num is
    education as a number; fnlwgt says how many people a row stands for, not what a person is like; a capital gain of
    99,999 stands for all above.

    Args:
        test_fraction: how much of the rest goes to validation, of either label alike; at most a third.
        seed: decides which.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Becker and Kohavi 1996, doi:10.24432/C5XW20.
    """
    folder = fetch("adult")
    first, last = (read_rows(folder / file, ADULT, INCOMES) for file in ("adult.data", "adult.test"))
    table = tabulate(first + last, ADULT, INCOMES)
    test = table.choose(range(len(first), len(table)))
    train = table.choose(range(len(first)))
    train = train.choose(drop_conflicting_rows(train, apart_from=test))
    drawn = stratify(train.labels.tolist(), test_fraction, seed)
    return Parts(train.choose(sorted(drawn.train + drawn.test)), train.choose(drawn.validation), test)


def spambase(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load Spambase: which of 4,200 messages to a laboratory are spam; 57 numbers: how often words and signs occur.

    These are percentages of all words, or signs, of a message; three columns measure capitals. Of the 4,597 rows in the
    file, 391 repeat another, and six have the features of one with the other label. They are left out: else one row in
    eleven of a random test would be in training too. 40 % are spam. The words george and 650, name and area code of a
    man in that laboratory, mark wanted mail there, and nowhere else.

    Args:
        test_fraction: how much of either label goes to validation, and as much to the test; at most a third.
        seed: decides which.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Hopkins, Reeber, Forman and Suermondt 1999, doi:10.24432/C53G6X.
    """
    return split_table(read_table(fetch("spambase") / "spambase.dat", SPAMBASE, MAIL), test_fraction, seed)
