"""The ledger of the book's equations: which tag is on which page, describes what of the package and is tested where.

`python -m tools.equations` prints it, and what equation_lock.py finds wrong.
"""

from pathlib import Path

from equation_lock import ledger
from tools.book import ROOT


def main(root: Path = ROOT) -> int:
    """Print the ledger and its faults; return the exit status."""
    rows, faults = ledger(root)
    print(*(f"{tag:8} {page:32} {of:40} {test}" for tag, page, of, test in rows), *faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
