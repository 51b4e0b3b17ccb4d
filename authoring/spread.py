"""Measure by how much a notebook's numbers and figures differ between machines, for the tolerances that it declares.

    python -m authoring.spread book/algorithms/forward.ipynb …          on all seven machines of authoring/machines.py
    python -m authoring.spread --machines native-1 avx2 -- book/…       on these alone
    python -m authoring.spread --jobs 2 book/…                          two of one thread at a time

Each run is kept in _build/spread/ until the notebook's code changes, or what it uses of the package: what was
interrupted goes on where it stopped, and other tags or words need no new run. Then the command compares all runs of
the present code; prints the spread of every number of every cell that declares a tolerance or needs one; and records
the largest by cell id in book/spread.json, with the machines, for the bounds of the output lock, and the spread of the
numbers in the text, by their expressions, for those of the lock on half-widths. A cell that differs by more than it
declares, or that fails, and a number that is off, are errors; a tag or a half-width is suggested. Without errors the
notebook has passed as AVX2, too, and `python -m authoring.imitate` need not run it again.
"""

import argparse
import ast
import copy
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_CEILING, Context, Decimal
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell

from authoring import book, execute, imitate, machines
from authoring.definitions import uses
from authoring.locks import claims, half_widths, numbers
from authoring.locks import outputs as lock

MOVES_TRIED = 9  # what lies further away has not moved, but changed
UPWARD = Context(prec=2, rounding=ROUND_CEILING)  # few digits, so that measuring again changes little
VALUES = "marked-values"  # the tag of a cell that only runs here have: it prints the values of the marked numbers
MADE = {"setup", "prose-check"}  # generated cells, which change with the version and the words: they need no new run


# --- runs -------------------------------------------------------------------------------------------------------------


def digest(nb: NotebookNode, machine: str, root: Path) -> str:
    """Return a fingerprint of all that a run on a machine is made from; tags that tolerate change nothing in it."""
    cells = [cell for cell in book.code_cells(nb) if not MADE & set(book.tags(cell))]
    codes = [cell.source for cell in cells if "raises-exception" not in book.tags(cell)]
    variables = {name: text for name, text in machines.ALL[machine].items() if name != "PYTHONSTARTUP"}
    program = Path(__file__).with_name("jitter.py").read_text(encoding="utf-8")
    rounding = ast.dump(ast.parse(program)) if machines.SEED in variables else ""
    whole = json.dumps([[cell.source for cell in cells], uses(codes, root), sorted(variables.items()), rounding])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def kept(nb: NotebookNode, name: str, machine: str) -> Path:
    """Return the file of a run, which exists once it is complete."""
    return book.ROOT / "_build" / "spread" / name / f"{machine}-{digest(nb, machine, book.ROOT)}.json"


def ask_values(nb: NotebookNode) -> None:
    """Add a cell, where the numbers of the text are compared with the run, that prints their values."""
    wanted = list(dict.fromkeys(expression for _, _, expression, _ in numbers.of_the_run(nb)))
    places = [number for number, cell in enumerate(nb.cells) if "prose-check" in book.tags(cell)]
    if wanted and places:
        listed = "".join(f"    {expression!r}: lambda: float({expression}),\n" for expression in wanted)
        asked = new_code_cell(f"""\
def _value(ask):
    try:
        return ask()
    except Exception:  # where a cell failed, its names are missing
        return None


print(__import__("json").dumps({{name: _value(ask) for name, ask in {{
{listed}}}.items()}}))""")
        asked.metadata["tags"] = [VALUES]
        nb.cells.insert(places[0] + 1, asked)


def run(nb: NotebookNode, name: str, machine: str, file: Path) -> float:
    """Run a notebook on a machine to its end, whatever fails, and keep its outputs; return the seconds that it took."""
    start, fresh = time.perf_counter(), copy.deepcopy(nb)
    ask_values(fresh)
    for cell in book.code_cells(fresh):
        cell.metadata.tags = [*book.tags(cell), "raises-exception"]  # where it fails is a result, too
    folder = (book.ROOT / name).parent
    fresh = execute.normalise(execute.execute(fresh, folder, machines.ALL[machine]))
    seconds = round(time.perf_counter() - start, 1)
    asked = book.take(fresh, VALUES)
    values = json.loads(asked.outputs[0].text) if asked.outputs else {}
    outputs = {cell.id: cell.outputs for cell in book.code_cells(fresh)}
    whole = {"seconds": seconds, "values": values, "outputs": outputs}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".part").write_text(json.dumps(whole), encoding="utf-8")
    file.with_suffix(".part").replace(file)
    return seconds


def run_missing(nb: NotebookNode, name: str, names: Iterable[str], jobs: int = 1) -> list[str]:
    """Run a notebook on those machines for which no run is kept; return what went wrong."""

    def attempt(machine: str) -> str:
        try:
            print(f"  {machine}: {run(nb, name, machine, files[machine]):.1f} s", flush=True)
        except (ValueError, RuntimeError, CellTimeoutError) as error:  # refused outputs, a dead kernel, too slow
            return f"it did not run to its end on {machine}: {error}"
        return ""

    # Here, not in the threads: two that parse at a time can break each other's parser in Python 3.11.
    files = {machine: kept(nb, name, machine) for machine in names}
    waiting = [machine for machine, file in files.items() if not file.is_file()]
    alone = [machine for machine in waiting if machines.ALL[machine]["OMP_NUM_THREADS"] != "1"]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(attempt, [machine for machine in waiting if machine not in alone]))
    return [fault for fault in found + [attempt(machine) for machine in alone] if fault]


def values_kept(nb: NotebookNode, name: str, names: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """Return the values of a notebook's marked numbers, by expression, on each of these machines that ran it."""
    files = {machine: kept(nb, name, machine) for machine in names}
    texts = {machine: file.read_text(encoding="utf-8") for machine, file in files.items() if file.is_file()}
    return {machine: json.loads(text)["values"] for machine, text in texts.items()}


def runs_kept(nb: NotebookNode, name: str, names: Iterable[str]) -> dict[str, NotebookNode]:
    """Return the code cells of a notebook, with its present tags, as each of these machines ran them.

    A generated cell that is newer than one of the runs is left out.
    """
    files = {machine: kept(nb, name, machine) for machine in names}
    texts = {machine: file.read_text(encoding="utf-8") for machine, file in files.items() if file.is_file()}
    outputs = {machine: json.loads(text)["outputs"] for machine, text in texts.items()}
    found = {}
    for machine in outputs:
        found[machine] = copy.deepcopy(nb)
        cells = book.code_cells(found[machine])
        found[machine].cells = [cell for cell in cells if all(cell.id in run for run in outputs.values())]
        for cell in found[machine].cells:
            cell.outputs = [from_dict(output) for output in outputs[machine][cell.id]]
        for cell in cells if machine == next(iter(outputs)) else []:
            if cell not in found[machine].cells:
                print(f"  newer than the runs, so only `authoring.imitate` tests it: {cell.source[:50]!r}")
    return found


# --- what differs -----------------------------------------------------------------------------------------------------


def moves(stored: str, fresh: str, least: int = 0) -> int:
    """Return how many pixels what a figure shows has moved at most, from `least` up to MOVES_TRIED."""
    tried = range(least, MOVES_TRIED)
    return next((n for n in tried if lock.figure_difference(stored, fresh, n) <= lock.PIXELS), MOVES_TRIED)


def measure(runs: Iterable[NotebookNode]) -> tuple[dict[str, float], list[str]]:
    """Return the largest spreads between runs of one cell, rounded up, and a line for each number."""
    runs = list(runs)
    found, lines = {"absolute": 0.0, "relative": 0.0, "pixels": 0.0, "moves": 0.0}, []
    for column in zip(*(lock.cut(run)[1] for run in runs), strict=True):
        text, values = column[0][0], [lock.value(number) for number, _ in column]
        spread, size = max(values) - min(values), min(map(abs, values))
        relative = spread / size if size and lock.last_digit(text) else 0.0  # whole numbers count
        found["absolute"] = max(found["absolute"], spread)
        found["relative"] = max(found["relative"], relative)
        lines.append(f"{text}: {spread:.2g} ({relative:.2%})")
    for column in zip(*(lock.figures(run.outputs) for run in runs), strict=True):
        for pair in itertools.combinations(dict.fromkeys(column), 2):  # of those that differ at all
            found["pixels"] = max(found["pixels"], lock.figure_difference(*pair))
            found["moves"] = moves(*pair, int(found["moves"]))
    return {name: float(UPWARD.create_decimal(f"{spread:.9g}")) for name, spread in found.items()}, lines


def failures(cells: dict[str, NotebookNode]) -> list[str]:
    """Return on which machines a cell raised an error that it does not show on purpose."""
    return [
        f"on {machine}: {output.ename}: {output.evalue}"[:300]
        for machine, cell in cells.items()
        for output in cell.get("outputs", [])
        if output.output_type == "error" and "raises-exception" not in book.tags(cell)
    ]


def compare(runs: dict[str, NotebookNode], show: Callable[..., None] = print) -> tuple[dict[str, Any], list[str]]:
    """Return the record of a notebook that ran on several machines, and what is wrong; show what was measured."""
    record, wrong = {}, []
    for column in zip(*(run.cells for run in runs.values()), strict=True):
        cells, first = dict(zip(runs, column, strict=True)), column[0]
        tags, name = book.tags(first), f"the cell {first.source[:50]!r}"
        if failed := failures(cells):
            wrong.append(f"{name} fails {'; '.join(failed)}")
        if failed or not {"exact", "toleranced"} & set(map(lock.kind, column)):
            continue
        if others := [machine for machine, cell in cells.items() if lock.cut(cell)[0] != lock.cut(first)[0]]:
            wrong.append(
                f"{name} differs in more than numbers ({', '.join(others)}): "
                "tag it sample, and assert a property in the next cell"
            )
            continue
        spread, lines = measure(column)
        if lock.kind(first) == "toleranced" or any(spread.values()):
            record[first.id] = spread
            show(f"{name} declares {tags}: {spread}", *lines, sep="\n    ")
        for cell in column:  # as the lock does where the first are stored; what remains is too far off
            lock.settle(first.outputs, cell.outputs, lock.limits(tags))
        if others := [machine for machine, cell in cells.items() if cell.outputs != first.outputs]:
            advice = " ".join(suggested(spread))
            wrong.append(
                f"{name} differs by more than it declares ({', '.join(others)}): tag it {advice}, or print fewer digits"
            )
    return record, wrong


def compare_numbers(
    marks: Iterable[numbers.Mark], values: dict[str, dict[str, float | None]]
) -> tuple[dict[str, float], list[str]]:
    """Return by how much the marked numbers of a text differ between machines, where they do, and which are off."""
    record, wrong = {}, []
    for context, number, expression, tolerance in marks:
        found = {machine: asked.get(expression) for machine, asked in values.items()}
        known = {machine: value for machine, value in found.items() if value is not None}
        if len(known) < len(found):
            missing = ", ".join(found.keys() - known.keys())
            wrong.append(f"“{context}” is newer than the run, or failed, on {missing}: delete _build/spread of it")
            continue
        if spread := max(known.values()) - min(known.values()):
            record[expression] = float(UPWARD.create_decimal(f"{spread:.9g}"))
        off = {machine: abs(value - float(number)) for machine, value in known.items()}
        if others := [machine for machine, by in off.items() if not by <= float(tolerance) * (1 + 1e-9)]:
            least, most = max(off.values()), half_widths.allowed(number, record.get(expression, 0.0))
            advice = f"write ± {least:.2g} up to {most:.2g}" if least <= most else "write the value of this machine"
            shown = ", ".join(f"{machine} {known[machine]:.6g}" for machine in others)
            wrong.append(f"“{context} ± {tolerance}” is off ({shown}): {advice}")
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


# --- the command ------------------------------------------------------------------------------------------------------


def is_from_here(nb: NotebookNode, runs: dict[str, NotebookNode]) -> bool:
    """Return whether the stored outputs are what this machine gives, to the letter."""
    stored = {cell.id: cell.outputs for cell in book.code_cells(nb)}
    native = runs["native-1"].cells if "native-1" in runs else []
    compared = [cell for cell in native if lock.kind(cell) in ("exact", "toleranced")]
    return bool(compared) and all(cell.outputs == stored[cell.id] for cell in compared)


def passes_on_avx2(nb: NotebookNode, runs: dict[str, NotebookNode]) -> bool:
    """Return whether runs that agree are a comparison of the stored outputs with AVX2: `imitate` need not make it.

    A newer check of the text's numbers is made here, by `compare_numbers`; one of claims is not.
    """
    if "avx2" not in runs or not is_from_here(nb, runs):
        return False
    newer = [cell for cell in book.code_cells(nb) if cell.id not in {run.id for run in runs["avx2"].cells}]
    return all(MADE & set(book.tags(cell)) for cell in newer) and not (newer and claims.edition(nb) > 1)


def knows_more(before: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """Return the machines of the present record that a new one lacks, as long as the present one has all its cells."""
    missing = set(before.get("machines", [])) - set(record["machines"])
    return sorted(missing) if record.keys() <= before.keys() | {"machines", "on", "numbers"} else []


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Measure the spread of notebooks between machines, and record it.")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--machines", nargs="+", choices=machines.MACHINES, default=list(machines.MACHINES))
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="how many of one thread run at a time")
    options = parser.parse_args(arguments)
    wrong, file = [], book.ROOT / lock.RECORD
    for path in options.paths:
        name = path.resolve().relative_to(book.ROOT).as_posix()
        print(name, flush=True)
        nb = book.read(path)
        book.identify(nb)
        faulty = run_missing(nb, name, options.machines, options.jobs)
        runs = runs_kept(nb, name, machines.MACHINES)
        records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        before = records.get(name, {})
        on = machines.kind() if is_from_here(nb, runs) else before.get("on", machines.STORED_ON)
        about = {"machines": list(runs), "on": on}
        record, others = compare(runs) if runs else ({}, [])  # which changes the runs
        if runs:
            record["numbers"], off = compare_numbers(numbers.of_the_run(nb), values_kept(nb, name, machines.MACHINES))
            others += off
        record |= about
        if lost := knows_more(before, record):
            faulty.append(f"not recorded, since the present record knows also {', '.join(lost)}: run it there, too")
        elif runs:
            records[name] = record
            file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
        if passes_on_avx2(nb, runs) and not faulty + others:
            imitate.remember({name: imitate.fingerprint(nb, book.ROOT)}, book.ROOT)
        print(f"measured on {', '.join(runs) or 'no machine'}", flush=True)
        wrong += [f"{name}: {fault}" for fault in faulty + others]
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
