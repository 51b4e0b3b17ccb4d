"""Measure by how much a notebook's numbers and figures differ between machines, for the tolerances that it declares.

    python -m authoring.spread book/algorithms/forward.ipynb …

runs it with one and two threads, as this CPU and as an imitated AVX2 CPU; prints the spread of every number of every
cell that declares a tolerance or needs one; and records the largest by cell id in book/spread.json, for the bounds of
the output lock. A cell that differs by more than it declares is an error, with a tag suggested.
"""

import argparse
import itertools
import json
import sys
from decimal import ROUND_CEILING, Context, Decimal
from pathlib import Path

from nbformat import NotebookNode

from authoring import book, execute
from authoring.locks import outputs as lock

# Matrix products go through MKL and convolutions through oneDNN: any one of the three alone changes next to nothing.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
MOVES_TRIED = 9  # what lies further away has not moved, but changed
UPWARD = Context(prec=2, rounding=ROUND_CEILING)  # few digits, so that measuring again changes little
MACHINES = [{"OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n, **cpu} for cpu in ({}, AVX2) for n in ("1", "2")]


def moves(stored: str, fresh: str) -> int:
    """Return how many pixels what a figure shows has moved at most, up to MOVES_TRIED."""
    near_enough = (n for n in range(MOVES_TRIED) if lock.figure_difference(stored, fresh, n) <= lock.PIXELS)
    return next(near_enough, MOVES_TRIED)


def measure(runs: tuple[NotebookNode, ...]) -> tuple[dict[str, float], list[str]]:
    """Return the largest spreads between runs of one cell, rounded up, and a line for each number."""
    found, lines = {"absolute": [0.0], "relative": [0.0], "pixels": [0.0], "moves": [0.0]}, []
    for column in zip(*(lock.cut(run)[1] for run in runs), strict=True):
        text, values = column[0][0], [lock.value(number) for number, _ in column]
        spread, size = max(values) - min(values), min(map(abs, values))
        relative = spread / size if size and lock.last_digit(text) else 0.0  # whole numbers count
        found["absolute"].append(spread)
        found["relative"].append(relative)
        lines.append(f"{text}: {spread:.2g} ({relative:.2%})")
    for column in zip(*(lock.figures(run.outputs) for run in runs), strict=True):
        for pair in itertools.combinations(column, 2):
            found["pixels"].append(lock.figure_difference(*pair))
            found["moves"].append(moves(*pair))
    return {name: float(UPWARD.create_decimal(f"{max(spreads):.9g}")) for name, spreads in found.items()}, lines


def compare(runs: list[NotebookNode]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return the record of a notebook that ran on several machines, and what is wrong; print what was measured."""
    record, wrong = {}, []
    for cells in zip(*(run.cells for run in runs), strict=True):
        first, tags, name = cells[0], book.tags(cells[0]), f"the cell {cells[0].source[:50]!r}"
        if not {"exact", "toleranced"} & set(map(lock.kind, cells)):
            continue
        if any(lock.cut(cell)[0] != lock.cut(first)[0] for cell in cells):
            wrong.append(f"{name} differs in more than numbers: tag it sample, and assert a property in the next cell")
            continue
        spread, lines = measure(cells)
        if lock.kind(first) == "toleranced" or any(spread.values()):
            record[first.id] = spread
            print(f"{name} declares {tags}: {spread}", *lines, sep="\n    ")
        for cell in cells:  # as the lock does where the first are stored; what remains is too far off
            lock.settle(first.outputs, cell.outputs, lock.limits(tags))
        if any(cell.outputs != first.outputs for cell in cells):
            advice = " ".join(suggested(spread))
            wrong.append(f"{name} differs by more than it declares: tag it {advice}, or print fewer digits")
    return record, wrong


def doubled(size: float) -> str:
    """Return twice a number, with two digits, as a tag writes it."""
    return f"{Decimal(f'{2 * size:.2g}'):f}"


def suggested(spread: dict[str, float]) -> list[str]:
    """Return the tags that would allow twice a spread."""
    found = []
    if spread["absolute"]:
        found.append("tolerance-" + doubled(spread["absolute"]))
    if spread["moves"] == MOVES_TRIED:
        found.append("pixels-" + doubled(spread["pixels"]))
    elif spread["moves"]:
        found.append(f"moves-{spread['moves']:.0f}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Measure the spread of notebooks between machines, and record it.")
    parser.add_argument("paths", nargs="+", type=Path)
    wrong, file = [], book.ROOT / lock.RECORD
    for path in parser.parse_args(arguments).paths:
        name = path.resolve().relative_to(book.ROOT).as_posix()
        print(name, flush=True)
        runs = [execute.normalise(execute.execute(book.read(path), path.parent, machine)) for machine in MACHINES]
        records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        records[name], faulty = compare(runs)
        file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
        wrong += [f"{name}: {fault}" for fault in faulty]
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
