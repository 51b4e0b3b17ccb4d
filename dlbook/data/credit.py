"""Credit: how scores and repayments are distributed by group, and a table of loans."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dlbook.data.store import fetch, read_text
from dlbook.data.tables import Table, tabulate

GROUPS = {  # what the files call them, and what we do
    "Non- Hispanic white": "white",
    "Black": "Black",
    "Hispanic": "Hispanic",
    "Asian": "Asian",
}
GERMAN_CREDIT = {  # by column, whether it holds numbers
    "checking account": False,
    "duration": True,
    "credit history": False,
    "purpose": False,
    "amount": True,
    "savings": False,
    "employed since": False,
    "instalment rate": True,
    "personal status": False,
    "other debtors": False,
    "resident since": True,
    "property": False,
    "age": True,
    "other instalments": False,
    "housing": False,
    "credits here": True,
    "job": False,
    "dependants": True,
    "telephone": False,
    "foreign worker": False,
}
RISKS = {"2": "bad", "1": "good"}


@dataclass(frozen=True)
class ScoresByGroup:
    """How a score is distributed in each group, and how often each score repays.

    Attributes:
        scores: the possible values, rising.
        groups: their names.
        counts: how many people each group has.
        share: the part of a group with each score; each row sums to 1.
        repaid: the part of these people who did not default.
    """

    scores: Float64[Tensor, " scores"]
    groups: list[str]
    counts: Int64[Tensor, " groups"]
    share: Float64[Tensor, "groups scores"]
    repaid: Float64[Tensor, "groups scores"]


def fico() -> ScoresByGroup:
    """Load the credit scores of 174,047 people in the US, by group: no rows of persons.

    The score is the TransRisk score of TransUnion, often called a FICO score, turned
    into a percentile of all people, from 0 to 100. Who was at least 90 days late with
    at least one account in the 18 to 24 months after has defaulted. The groups are
    those of the Social Security Administration's records. The percentages have two
    decimals; for a few scores nobody of a group is counted.

    Returns:
        The distributions of 198 scores in four groups.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Hardt, Price and Srebro 2016, from a report of the Federal Reserve System.
    """
    folder = fetch("fico")
    below = _read_percentages(folder / "transrisk_cdf_by_race_ssa.csv", "Score")
    late = _read_percentages(folder / "transrisk_performance_by_race_ssa.csv", "Score")
    totals = _read_percentages(folder / "totals.csv", "Kind", most=math.inf)
    start = below.new_zeros(1, len(GROUPS))
    return ScoresByGroup(
        below[:, 0],
        list(GROUPS.values()),
        totals[0, 1:].long(),
        torch.diff(below[:, 1:] / 100, dim=0, prepend=start).T.contiguous(),
        1 - late[:, 1:].T / 100,
    )


def _read_percentages(
    path: Path, first: str, most: float = 100
) -> Float64[Tensor, "rows columns"]:
    """Read a table with a column for each group, after one of scores (or of a word).

    Raises:
        ValueError: It has other columns, or a field is no number from 0 to `most`.
    """
    header, *rows = list(csv.reader(read_text(path).splitlines())) or [[]]
    if header != [first, *GROUPS]:
        raise ValueError(
            f"{path.name} must have the columns {first}, {', '.join(GROUPS)}: "
            f"got {', '.join(header)}"
        )
    if first == "Kind":
        rows = [["0", *row[1:]] for row in rows]
    for line, row in enumerate(rows, 2):
        try:
            right = len(row) == len(header)
            right = right and all(0 <= float(field) <= most for field in row)
        except ValueError:
            right = False
        if not right:
            raise ValueError(
                f"{path.name} must hold {len(header)} numbers from 0 to {most} in each "
                f"line: got {', '.join(row)} in line {line}"
            )
    return torch.tensor([[float(field) for field in row] for row in rows]).double()


def german_credit() -> Table:
    """Load German credit: 1,000 loans of a bank in the 1970s, good or bad.

    7 columns hold numbers, 13 categories, in the codes of the file (A11, A12, …).
    300 of the loans are bad, many more than the bank had: they were oversampled.
    Several codes mean something else than the file's description says. Above all,
    nobody can tell women from men: one code of the personal status stands for women
    who are not single as well as for single men.

    Returns:
        The table; label 1 is a loan that was paid back.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Hofmann 1994, doi:10.24432/C5NC77; on the codes Grömping 2019.
    """
    return _read_german_credit(fetch("german-credit") / "german.data")


def _read_german_credit(path: Path) -> Table:
    """Read the table: fields between blanks, the label last.

    Raises:
        ValueError: A line has too few or too many fields, or a field is not what its
            column holds.
    """
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    for line, row in enumerate(rows, 1):
        right = len(row) == len(GERMAN_CREDIT) + 1 and row[-1] in RISKS
        right = right and all(
            field.isdecimal() if numeric else field.startswith("A")
            for field, numeric in zip(row, GERMAN_CREDIT.values(), strict=False)
        )
        if not right:
            raise ValueError(
                f"{path.name} must hold {len(GERMAN_CREDIT)} numbers and codes, and 1 "
                f"or 2, in each line: got {' '.join(row)} in line {line}"
            )
    return tabulate(rows, GERMAN_CREDIT, RISKS)
