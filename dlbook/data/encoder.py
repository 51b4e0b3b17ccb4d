"""Tables for classification: people in a census, messages to a laboratory; and what turns a table into a matrix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from dlbook.data.tables import Table

__all__ = ["TableEncoder", "Table", "adult", "spambase"]

@dataclass(frozen=True)
class TableEncoder:
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
    def fit(cls, table: Table) -> "TableEncoder":
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

    def transform(self, table: Table) -> Float32[Tensor, "rows features"]:
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
