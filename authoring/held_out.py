"""Compare the stored outputs with runs on six machines, two of which no tolerance was measured with, before a release.

    python -m authoring.held_out --jobs 2              all notebooks, two runs of one thread at a time
    python -m authoring.held_out book/…                these alone

The machines are this CPU with one and two threads, both imitations of older ones, and two ways of rounding that were
held out when `authoring.spread` measured. Its runs are used, and kept: another tag or word needs no new one. The table
of how much fails, with what it is, is written to _build/held_out.md.
"""

import argparse
import copy
from pathlib import Path

from nbformat import NotebookNode

from authoring import book, spread
from authoring.locks import claims, numbers
from authoring.machines import TESTED

TABLE = "_build/held_out.md"


def stored(nb: NotebookNode, run: NotebookNode) -> NotebookNode:
    """Return those cells of a notebook that a run has, with their stored outputs."""
    found, names = copy.deepcopy(nb), {cell.id for cell in run.cells}
    found.cells = [cell for cell in book.code_cells(found) if cell.id in names]
    return found


def failures(nb: NotebookNode, name: str) -> dict[str, list[str]]:
    """Return what the output lock and the locks on numbers find wrong with each run that is kept."""
    values, found = spread.values_kept(nb, name, TESTED), {}
    for machine, run in spread.runs_kept(nb, name, TESTED).items():
        before = stored(nb, run)
        is_newer = len(before.cells) < len(book.code_cells(nb)) and claims.edition(nb) > 1
        _, wrong = spread.compare({"stored": before, machine: run}, show=lambda *_, **__: None)
        _, off = spread.compare_numbers(numbers.of_the_run(nb), {machine: values[machine]})
        found[machine] = wrong + off + ["its check of claims is newer than this run"] * is_newer
    return found


def table(found: dict[str, dict[str, list[str]]]) -> str:
    """Return how many faults each notebook has on each machine, as Markdown, and what they are; a dash: no run."""
    rows, details = [["Notebook", *TESTED], ["---"] * (1 + len(TESTED))], []
    for name, by_machine in found.items():
        wrong = {machine: by_machine.get(machine) for machine in TESTED}
        rows.append([name.removeprefix("book/"), *("–" if w is None else str(len(w) or "") for w in wrong.values())])
        details += [f"- {name}, {machine}: {fault}" for machine, faults in wrong.items() for fault in faults or ()]
    failed = [sum(bool(by_machine.get(machine)) for by_machine in found.values()) for machine in TESTED]
    rows.append([f"**{len(found)} notebooks, failed**", *map(str, failed)])
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), *([""] if details else []), *details]) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks; default: all")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="how many of one thread run at a time")
    options = parser.parse_args(arguments)
    found, unfinished = {}, []
    for path in options.paths or book.notebooks(book.ROOT):
        name = path.resolve().relative_to(book.ROOT).as_posix()
        print(name, flush=True)
        nb = book.read(path)
        book.identify(nb)
        unfinished += spread.run_missing(nb, name, TESTED, options.jobs)
        found[name] = failures(nb, name)
    file = book.ROOT / TABLE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(table(found), encoding="utf-8", newline="\n")
    print(table(found), *unfinished, sep="\n")
    return int(bool(unfinished) or any(faults for by_machine in found.values() for faults in by_machine.values()))


if __name__ == "__main__":
    raise SystemExit(main())
