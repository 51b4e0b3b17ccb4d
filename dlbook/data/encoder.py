"""A table as a matrix: standardisation, missing-value indicators, one-hot columns."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from dlbook._check import check_shape
from dlbook.data.tables import Table


@dataclass(frozen=True)
class TableEncoder:
    """Turns tables into matrices by the statistics of one of them, the training set.

    Args:
        columns: the names of the columns of numbers.
        levels: by the names of the columns of categories, what their codes stand for.
        mean: of each column of numbers, over the values that are not missing.
        std: its standard deviation, with n in the denominator; 1 for a constant.
        gaps: the columns of numbers with missing values.
        seen: the levels that occur, as pairs of a column of categories and a code.
    """

    columns: list[str]
    levels: dict[str, list[str]]
    mean: Float64[Tensor, " numeric"]
    std: Float64[Tensor, " numeric"]
    gaps: list[int]
    seen: list[tuple[int, int]]

    @classmethod
    def fit(cls, table: Table) -> "TableEncoder":
        """Compute means and standard deviations, and list gaps and the levels seen.

        Args:
            table: the training set.

        Returns:
            The encoder for tables with the same columns.

        Raises:
            ValueError: A column of numbers holds none.
        """
        counts = table.numbers.isfinite().sum(0)
        for column in (counts == 0).nonzero()[:1, 0].tolist():
            raise ValueError(
                "each column of numbers must hold at least one: "
                f"got none in {table.columns[column]}"
            )
        mean = table.numbers.nanmean(0)
        std = (table.numbers - mean).square().nanmean(0).sqrt()
        std = torch.where(std <= 1e-12 * mean.abs(), 1.0, std)  # a constant becomes 0
        gaps = (counts < len(table)).nonzero()[:, 0].tolist()
        seen = [
            (n, c)
            for n, codes in enumerate(table.categories.T)
            for c in codes.unique().tolist()
            if c >= 0
        ]
        return cls(table.columns, table.levels, mean, std, gaps, seen)

    def transform(self, table: Table) -> Float32[Tensor, "rows features"]:
        """Return standardised numbers, missing-value indicators and one-hot levels.

        A number that is missing becomes 0, the mean. A category that is missing, or has
        a level that the training set lacks, is 0 in all of its columns.

        Args:
            table: with the columns and levels of the table that was fitted.

        Returns:
            A row for each row of the table; `feature_names` returns the columns.

        Raises:
            ValueError: The table has other columns or levels, or another order of them.
        """
        _check_fits(self, table)
        standard = ((table.numbers - self.mean) / self.std).nan_to_num(nan=0.0)
        missing = table.numbers[:, self.gaps].isnan()
        hot = [table.categories[:, n : n + 1] == code for n, code in self.seen]
        return torch.cat([standard, missing, *hot], 1).float()


def _check_fits(encoder: TableEncoder, table: Table) -> None:
    """Refuse other columns or levels than the encoder's, and another order of them."""
    check_shape("mean", encoder.mean, len(encoder.columns))
    check_shape("std", encoder.std, len(encoder.columns))
    expected = (encoder.columns, [*encoder.levels.items()])
    if (table.columns, [*table.levels.items()]) != expected:
        found = ", ".join([*table.columns, *table.levels])
        raise ValueError(
            "table must have the columns and levels of the one that was fitted, "
            f"in their order: got {found}"
        )


def feature_names(encoder: TableEncoder) -> list[str]:
    """Return the names of the columns of the matrix that an encoder makes.

    Args:
        encoder: fitted to a table.
    """
    missing = [f"{encoder.columns[n]} is missing" for n in encoder.gaps]
    names = list(encoder.levels)
    hot = [f"{names[n]} = {encoder.levels[names[n]][code]}" for n, code in encoder.seen]
    return [*encoder.columns, *missing, *hot]
