"""Tables for classification: people in a census, messages to a laboratory; and what turns a table into a matrix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from dlbook.data.store import fetch
from dlbook.data.table import Table, read_rows, read_table, split_table, tabulate, unequivocal_rows
from dlbook.data.text import Parts, stratify

__all__ = ["Encoder", "Table", "adult", "spambase"]

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
class Encoder:
    """What turns a table into a matrix for a network, learnt from the training part alone; see `encode`.

    Args:
        gaps: which columns of numbers had some missing.
        seen: which levels occurred, as pairs of a column of categories and a code.
    """

    columns: list[str]
    levels: dict[str, list[str]]
    mean: Float64[Tensor, " numeric"]
    std: Float64[Tensor, " numeric"]
    gaps: list[int]
    seen: list[tuple[int, int]]

    @classmethod
    def fit(cls, table: Table) -> "Encoder":
        """Learn the mean and the deviation of each number, which of them have gaps, and which levels occur.

        Raises:
            ValueError: A column of numbers holds none.
        """
        counts = table.numbers.isfinite().sum(0)
        for column in (counts == 0).nonzero()[:1, 0].tolist():
            raise ValueError(f"each column of numbers must hold at least one: got none in {table.columns[column]}")
        mean = table.numbers.nanmean(0)
        std = (table.numbers - mean).square().nanmean(0).sqrt()
        std = torch.where(std <= 1e-12 * mean.abs(), 1.0, std)  # a constant stays where it is
        gaps = (counts < len(table)).nonzero()[:, 0].tolist()
        seen = [(n, c) for n, codes in enumerate(table.categories.T) for c in codes.unique().tolist() if c >= 0]
        return cls(table.columns, table.levels, mean, std, gaps, seen)

    @property
    def names(self) -> list[str]:
        """Name the columns of the matrix."""
        categories = list(self.levels)
        hot = [f"{categories[n]} = {self.levels[categories[n]][code]}" for n, code in self.seen]
        return [*self.columns, *(f"{self.columns[column]} is missing" for column in self.gaps), *hot]

    def encode(self, table: Table) -> Float32[Tensor, "rows features"]:
        """Give standardised numbers (0 where missing), marks of what is missing, and a 0 or 1 for each level seen.

        A category that is missing, or has a level that the training part lacks, is 0 in all of its columns.

        Raises:
            ValueError: The table has other columns or levels than the one that was fitted.
        """
        if (table.columns, table.levels) != (self.columns, self.levels):
            found = ", ".join([*table.columns, *table.levels])
            raise ValueError(f"table must have the columns and levels of the one that was fitted: got {found}")
        standard = ((table.numbers - self.mean) / self.std).nan_to_num(nan=0.0)
        missing = table.numbers[:, self.gaps].isnan()
        hot = [table.categories[:, n : n + 1] == code for n, code in self.seen]
        return torch.cat([standard, missing, *hot], 1).float()


def adult(share: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load the Adult table: who earned more than $50,000 a year, by the US census of 1994; 6 numbers, 8 categories.

    The test part is the official one, whole: 16,281 rows, 23.6 % of them above. Of the 32,561 rows for training, 52
    are left out: 24 that repeat another, two with the same features and different labels, and 26 whose features are in
    the test part too. Missing are workclass, occupation or native-country, in 7.4 % of the rows. education-num is
    education as a number; fnlwgt says how many people a row stands for, not what a person is like; a capital gain of
    99,999 stands for all above.

    Args:
        share: how much of the rest goes to validation, of either label alike; at most a third.
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
    train = train.choose(unequivocal_rows(train, apart_from=test))
    drawn = stratify(train.labels.tolist(), share, seed)
    return Parts(train.choose(sorted(drawn.train + drawn.test)), train.choose(drawn.validation), test)


def spambase(share: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load Spambase: which of 4,200 messages to a laboratory are spam; 57 numbers: how often words and signs occur.

    These are percentages of all words, or signs, of a message; three columns measure capitals. Of the 4,597 rows in the
    file, 391 repeat another, and six have the features of one with the other label. They are left out: else one row in
    eleven of a random test would be in training too. 40 % are spam. The words george and 650, name and area code of a
    man in that laboratory, mark wanted mail there, and nowhere else.

    Args:
        share: how much of either label goes to validation, and as much to the test; at most a third.
        seed: decides which.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Hopkins, Reeber, Forman and Suermondt 1999, doi:10.24432/C53G6X.
    """
    return split_table(read_table(fetch("spambase") / "spambase.dat", SPAMBASE, MAIL), share, seed)
