"""The COMPAS table: defendants in Broward County, their risk scores, later arrests."""

import csv
import io
from pathlib import Path

from dlbook.data.store import fetch, read_text
from dlbook.data.tables import Table, tabulate

COMPAS = {  # by column, whether it holds numbers: all that is kept of the file
    "age": True,
    "juv_fel_count": True,
    "juv_misd_count": True,
    "juv_other_count": True,
    "priors_count": True,
    "decile_score": True,
    "sex": False,
    "race": False,
    "c_charge_degree": False,
}
OUTCOMES = {"0": "no new charge in two years", "1": "a new charge in two years"}
FILTERS = (
    "days_b_screening_arrest",
    "is_recid",
    "score_text",
    "compas_screening_date",
)


def compas(corrected: bool = False) -> Table:
    """Load ProPublica's COMPAS table: 6,172 defendants in Florida, 2013 and 2014.

    They are real persons. Names, dates of birth, case numbers, charges and all dates
    are dropped while the file is read. What remains: age, sex, race as the sheriff's
    office wrote it, four counts of earlier offences, the degree of the charge (F, a
    felony; M, a misdemeanour), and the decile, 1 to 10, of the risk score that the
    court saw.

    The rows are those that ProPublica kept for its regressions: the arrest within 30
    days of the score, no ordinary traffic offence. The rates that it published are of
    all 7,214 rows. The label says whether a new charge followed in two
    years, as far as the county's records show: who is watched more is charged more.
    Only those without a new charge had to be observed for two years, so that new
    charges are too frequent: 45.5 % (Barenstein 2019).

    Args:
        corrected: leave out the people who were scored after 1 April 2014, as
            Barenstein does: all others could be observed for two years.

    Returns:
        The table; label 1 is a new charge.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Larson, Mattu, Kirchner and Angwin 2016.
    """
    last = "2014-04-01" if corrected else "9999"
    return _read_compas(fetch("compas") / "compas-scores-two-years.csv", last)


def _read_compas(path: Path, last: str) -> Table:
    """Read the columns that are kept, of the rows that are kept, up to a date.

    Raises:
        ValueError: A column is missing, or a number is none.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""))) or [[]]
    wanted = (*COMPAS, "two_year_recid", *FILTERS)
    if lacking := [name for name in wanted if name not in header]:
        raise ValueError(
            f"{path.name} must have the columns {', '.join(wanted)}: "
            f"got none named {lacking[0]}"
        )
    at = {name: header.index(name) for name in wanted}  # the first of that name
    kept = []
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(
                f"{path.name} must have {len(header)} fields in each line: "
                f"got {len(row)} in line {line}"
            )
        fields = {name: row[column] for name, column in at.items()}
        days = fields["days_b_screening_arrest"]
        if (
            days
            and abs(int(days)) <= 30
            and fields["is_recid"] != "-1"
            and fields["c_charge_degree"] != "O"
            and fields["score_text"] != "N/A"
            and fields["compas_screening_date"] <= last
        ):
            kept.append([fields[name] for name in (*COMPAS, "two_year_recid")])
    return tabulate(kept, COMPAS, OUTCOMES)
