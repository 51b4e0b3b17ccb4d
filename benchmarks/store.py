"""Measure what is missing of a script's results, and keep it with the command, the versions and a fingerprint.

A file holds a checksum of its rows, so that a number that was changed by hand is noticed.
A row is kept as long as the code that made it is the same (`authoring.definitions.fingerprint`); rows made by other
code are dropped, and never passed off as new. Rows of one file are of one machine and one version of Python and torch:
where these differ, nothing is measured until the file is removed.
"""

import argparse
import ast
import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import torch

from authoring.book import ROOT
from authoring.definitions import fingerprint

RESULTS = ROOT / "benchmarks" / "results"


def run(
    script: str,
    rows: Mapping[str, Callable[[], Any]],
    arguments: Sequence[str] | None = None,
    threads: str = "one thread",
    sum_up: Callable[[dict[str, Any]], dict[str, Any]] = lambda rows: {},
) -> None:
    """Measure the rows that are asked for, by default those that are missing, and store each in results/NAME.json.

    Args:
        script: the path of the script, its `__file__`.
        rows: how to measure each, on one thread unless it sets another number; what a row returns must suit JSON.
        arguments: of the command line, by default those of this process: names of rows, which are measured (again).
        threads: on how many threads the rows run, as stored and shown to readers.
        sum_up: called with all rows there are; what it returns is stored behind them.
    """
    path = Path(script)
    made = {
        "command": f"python -m benchmarks.{path.stem}",
        "python": platform.python_version(),
        "torch": version("torch").split("+")[0],
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {threads}",
        "made_from": fingerprint(path),  # of the code as it was read, should it change while it runs
    }
    about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=made["command"], description=about)
    names = ", ".join(rows).replace("%", "%%")  # argparse fills in what stands behind a %
    listed = f"measure these (again), of {names}; default: all that are missing"
    parser.add_argument("rows", nargs="*", choices=["missing", *rows], default="missing", metavar="row", help=listed)
    asked = parser.parse_args(arguments).rows
    torch.set_num_threads(1)
    kept = _kept(path.stem, made)
    for name in asked if "missing" not in asked else [name for name in rows if name not in kept]:
        start = time.perf_counter()
        found = rows[name]()
        print(f"{name} ({time.perf_counter() - start:.0f} s): {json.dumps(found)}", flush=True)
        RESULTS.mkdir(exist_ok=True)
        with filelock.FileLock(RESULTS / f"{path.stem}.lock"):  # another process may measure and store other rows
            kept = _kept(path.stem, made) | {name: found}
            ordered = {name: kept[name] for name in rows if name in kept}
            whole = RESULTS / f"{path.stem}.json.part"  # moved when it is complete, so that no row is lost
            all_rows = ordered | sum_up(ordered)
            stored = {"made": made | {"rows": checksum(all_rows)}, **all_rows}
            whole.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
            whole.replace(RESULTS / f"{path.stem}.json")


def checksum(rows: Mapping[str, Any]) -> str:
    """Return a checksum of results, by which a change by hand shows."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def _kept(name: str, made: dict[str, str]) -> dict[str, Any]:
    """Return the stored results of a script if the very code made them that would measure now, else none.

    Raises:
        ValueError: That code made them, but on another machine, or with another Python or torch.
    """
    stored = load(name) if (RESULTS / f"{name}.json").is_file() else {"made": {}}
    before = stored.pop("made")
    if before.get("made_from") != made["made_from"]:
        return {}
    for part in ("python", "torch", "processor"):
        if part in made and before[part] != made[part]:
            path = f"benchmarks/results/{name}.json"
            raise ValueError(f"{path} must be removed to measure here: its {part} is {before[part]}, not {made[part]}")
    made |= {part: before[part] for part in ("restamped",) if part in before}
    return stored


def load(name: str) -> dict[str, Any]:
    """Read the results of one script."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def fresh(script: str) -> dict[str, Any]:
    """Return the rows of a script that its code as it stands has measured, for rows that depend on others."""
    return _kept(Path(script).stem, {"made_from": fingerprint(Path(script))})


def summary(values: list[float]) -> dict[str, Any]:
    """Return values with their mean and their ends."""
    return {"values": values, "mean": sum(values) / len(values), "min": min(values), "max": max(values)}
