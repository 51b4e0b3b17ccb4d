"""Measure by how much a notebook's numbers and figures differ between machines, for the tolerances that it declares.

    python -m tools.spread book/algorithms/forward.ipynb …

runs it with one and two threads, as this CPU and as an imitated AVX2 CPU; prints the spread of every number of every
cell that declares a tolerance or needs one; and records the largest by cell id in book/spread.json: a cell may declare
three times of it. A cell that differs by more than it declares is an error, with a tag suggested.
"""

import argparse
import copy
import itertools
import json
import sys
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal
from pathlib import Path

from nbformat import NotebookNode

from tools import book, execute
from tools import compare as lock

# Matrix products go through MKL and convolutions through oneDNN: any one of the three alone changes next to nothing.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
UPWARD = Context(prec=2, rounding=ROUND_CEILING)  # few digits, so that measuring again changes little
MACHINES = [{"OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n, **cpu} for cpu in ({}, AVX2) for n in ("1", "2")]


def cut(cell: NotebookNode) -> tuple[list[list[str]], list[tuple[str, bool]]]:
    """Return what a cell shows besides its numbers, and its numbers, each with whether it is a percentage."""
    parts = [lock.split(text, mime in lock.MARKUP) for output in cell.outputs for mime, text in lock.texts(output)]
    numbers = [pair for pieces, found in parts for pair in zip(found, lock.percentages(pieces), strict=True)]
    return [lock.kinds(cell.outputs), *(lock.words(pieces) for pieces, _ in parts)], numbers


def measure(runs: Sequence[NotebookNode]) -> tuple[dict[str, float], list[str]]:
    """Return the largest spreads between runs of one cell, rounded up, and a line for each number."""
    found, lines = {"absolute": 0.0, "relative": 0.0, "pixels": 0.0}, []
    for column in zip(*(cut(run)[1] for run in runs), strict=True):
        text, values = column[0][0], [lock.value(number) for number, _ in column]
        spread, size = max(values) - min(values), min(map(abs, values)) * bool(lock.last_digit(text))
        share = spread / size if size else 0.0
        found |= {"absolute": max(found["absolute"], spread), "relative": max(found["relative"], share)}
        lines.append(f"{text}: {spread:.2g} ({share:.2%})")
    for column in zip(*(lock.figures(run.outputs) for run in runs), strict=True):
        for pair in itertools.combinations(column, 2):
            found["pixels"] = max(found["pixels"], lock.figure_difference(*pair))
    return {name: float(UPWARD.create_decimal(f"{spread:.9g}")) for name, spread in found.items()}, lines


def accepts(first: NotebookNode, other: NotebookNode) -> bool:
    """Say whether the output lock would accept one run's outputs where the other's are stored."""
    fresh = copy.deepcopy(other.outputs)
    lock.settle(first.outputs, fresh, lock.limits(book.tags(first)))
    return fresh == first.outputs


def compare(runs: Sequence[NotebookNode]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return the record of a notebook that ran on several machines, and what is wrong; print what was measured."""
    record, wrong = {}, []
    for cells in zip(*(run.cells for run in runs), strict=True):
        first, name = cells[0], f"the cell {cells[0].source[:50]!r}"
        if not {"exact", "toleranced"} & set(map(lock.kind, cells)):
            continue
        if any(cut(cell)[0] != cut(first)[0] for cell in cells):
            wrong.append(f"{name} differs in more than numbers: tag it sample, and assert a property in the next cell")
            continue
        spread, lines = measure(cells)
        if lock.kind(first) == "toleranced" or any(spread.values()):
            record[first.id] = spread
            print(f"{name} declares {book.tags(first)}: {spread}", *lines, sep="\n    ")
        if not all(accepts(first, cell) for cell in cells):
            twice = {name: Decimal(f"{2 * size:.2g}") for name, size in spread.items()}
            tags = [f"tolerance-{twice['absolute']:f}"] * bool(twice["absolute"])
            tags += [f"pixels-{twice['pixels']:f}"] * (spread["pixels"] > lock.PIXELS)
            wrong.append(f"{name} differs by more than it declares: tag it {' '.join(tags)}, or print fewer digits")
    return record, wrong


def faults(nb: NotebookNode, record: dict[str, dict[str, float]]) -> list[str]:
    """List the tolerances above three times the recorded spread (and a unit of the last digit: rounding may flip)."""
    found, how = [], "run `python -m tools.spread` with this notebook"
    for cell in nb.cells:
        name = f"the cell {cell.source[:50]!r}"
        if lock.kind(cell) == "toleranced" and cell.id not in record:
            found.append(f"{name} declares {book.tags(cell)}, but its spread was not recorded: {how}")
        elif lock.kind(cell) == "toleranced":
            allowed, spread, numbers = lock.limits(book.tags(cell)), record[cell.id], cut(cell)[1]
            units = [(lock.last_digit(text), abs(lock.value(text))) for text, _ in numbers]
            shares = [unit / size for unit, size in units if 0 < 10 * unit <= size]  # a lone digit would allow anything
            always = {"absolute": [unit for unit, _ in units], "relative": shares, "pixels": [lock.PIXELS]}
            for what, bounds in always.items():
                bound = max([3 * spread[what], *bounds])
                if allowed[what] > bound * (1 + 1e-9):
                    found.append(f"{name} declares {what} {allowed[what]:g}, may declare {bound:.3g}: {how}")
            if n := allowed["examples"]:
                others = [text for text, percent in numbers if not lock.is_accuracy(text, percent, n)]
                found += [f"{name} declares accuracies over {n:g} examples: {text} is none" for text in others]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the spread of notebooks between machines, and record it.")
    parser.add_argument("paths", nargs="+", type=Path)
    wrong, file = [], book.ROOT / "book" / "spread.json"
    for path in parser.parse_args(arguments).paths:
        name = path.resolve().relative_to(book.ROOT).as_posix()
        print(name, flush=True)
        runs = [execute.normalise(execute.execute(book.read(path), path.parent, machine)) for machine in MACHINES]
        records = json.loads(file.read_text()) if file.exists() else {}
        records[name], faulty = compare(runs)
        file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
        wrong += [f"{name}: {fault}" for fault in faulty]
    print(*wrong, sep="\n", end="\n" * bool(wrong), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
