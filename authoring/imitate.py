"""Run notebooks as an imitated CPU without AVX-512, and record in book/imitated.json which have passed.

    python -m authoring.imitate                        those that changed since they last passed
    python -m authoring.imitate --all                  all, as every week and before a release
    python -m authoring.imitate --machine sse41 …      as another machine: these notebooks, or all; nothing is recorded
    python -m authoring.imitate --table --jobs 2 …     on six machines, as before a release: a table of what fails

A notebook has changed if its code cells have, or what they use of the package. The table counts this CPU with one and
two threads, both imitations, and two ways of rounding that no tolerance was measured with: _build/imitate/table.md.
Each of its runs is kept until the notebook changes, and what was interrupted goes on where it stopped.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from authoring.book import ROOT, notebooks, read
from authoring.build import digest
from authoring.locks import outputs as lock
from authoring.machines import AVX2, TESTED

RECORD = "book/imitated.json"
KEPT = "_build/imitate/runs.json"
TABLE = "_build/imitate/table.md"
PYTEST = [sys.executable, "-m", "pytest", "--nbval"]
TWO = ["-n", "2", "--dist", "loadfile"]
OTHERS = [name for name in TESTED if not name.startswith("native")]
FAILED = re.compile(r"^(FAILED|ERROR) \S+\.ipynb(?:::Cell (\d+))?", re.M)


def fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return a fingerprint of what the outputs of each notebook are made from."""
    return {path.relative_to(root).as_posix(): digest(read(path), root) for path in notebooks(root)}


def passed(root: Path = ROOT, record: str = RECORD) -> dict[str, str]:
    """Return the fingerprint that each notebook had when it last passed."""
    file = root / record
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def remember(now: dict[str, str], root: Path = ROOT) -> None:
    """Record the fingerprints of notebooks that passed; those of others stay as long as there is a notebook."""
    known = {name: found for name, found in (passed(root) | now).items() if (root / name).is_file()}
    (root / RECORD).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8", newline="\n")


# --- the table --------------------------------------------------------------------------------------------------------


def state(name: str, root: Path) -> str:
    """Return a fingerprint of all that a comparison depends on: code, outputs, tags, and what is imitated."""
    parts = [(root / name).read_bytes(), digest(read(root / name), root).encode(), json.dumps(TESTED).encode()]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("jitter*.py"))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def failures(name: str, machine: str, root: Path) -> str:
    """Compare a notebook on a machine; return the numbers of the cells that fail, or "all" if none could run."""
    command = [*PYTEST, "-rfE", "--tb=no", "--color=no", name]
    run = subprocess.run(command, cwd=root, env=os.environ | TESTED[machine], capture_output=True, text=True)
    found = sorted({int(number) for _, number in FAILED.findall(run.stdout) if number})
    return " ".join(map(str, found)) or ("all" if run.returncode else "")


def table(found: dict[str, dict[str, str]], states: dict[str, str]) -> str:
    """Return what fails by notebook and machine, as Markdown: a dash where a run is missing."""
    rows = [["Notebook", *TESTED], ["---"] * (1 + len(TESTED))]
    counts = dict.fromkeys(TESTED, 0)
    for name, now in states.items():
        cells = [found.get(f"{name} {machine}", {}) for machine in TESTED]
        texts = [cell["failed"] if cell.get("state") == now else "–" for cell in cells]
        for machine, text in zip(TESTED, texts, strict=True):
            counts[machine] += text not in ("", "–")
        rows.append([name.removeprefix("book/"), *texts])
    rows.append([f"**{len(states)} notebooks, failed**", *map(str, counts.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def tabulate(names: list[str], root: Path, jobs: int) -> int:
    """Compare notebooks on all six machines, those that a run is missing for; write the table; return what failed."""
    states = {name: state(name, root) for name in names}
    file = root / KEPT
    file.parent.mkdir(parents=True, exist_ok=True)
    found, writing = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}, threading.Lock()

    def attempt(pair: tuple[str, str]) -> None:
        name, machine = pair
        failed = failures(name, machine, root)
        with writing:
            found[f"{name} {machine}"] = {"state": states[name], "failed": failed}
            file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{name} on {machine}: {'cells ' + failed if failed else 'passed'}", flush=True)

    pairs = [(name, machine) for name in names for machine in TESTED]
    pairs = [pair for pair in pairs if found.get(" ".join(pair), {}).get("state") != states[pair[0]]]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(attempt, [pair for pair in pairs if pair[1] != "native-2"]))
    for pair in pairs:
        if pair[1] == "native-2":  # two threads run alone
            attempt(pair)
    text = table(found, states)
    (root / TABLE).write_text(text, encoding="utf-8")
    print(text)
    return int(any(found[f"{name} {machine}"]["failed"] for name in names for machine in TESTED))


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks, for --machine and --table")
    parser.add_argument("--all", action="store_true", help="run also those that have not changed")
    parser.add_argument("--machine", choices=OTHERS, help="default: avx2, as far as all tolerances were measured on it")
    parser.add_argument("--table", action="store_true", help="run on six machines, and print which cells fail")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="how many runs of one thread at a time")
    options = parser.parse_args(arguments)
    if options.paths and not (options.machine or options.table):
        parser.error("notebooks are named with --machine or --table")
    now = fingerprints(root)
    named = [path.resolve().relative_to(root.resolve()).as_posix() for path in options.paths] or list(now)
    if options.table:
        return tabulate(named, root, options.jobs)
    before, environment = passed(root), AVX2
    if options.machine:
        before, environment = {}, TESTED[options.machine]
    elif lock.ALL_MACHINES:
        environment = TESTED["avx2"]
    waiting = [name for name in named if options.all or before.get(name) != now.get(name)]
    print(f"{len(waiting)} of {len(now)} notebooks run as an imitated CPU", flush=True)
    if waiting and (
        status := subprocess.run([*PYTEST, *TWO, *waiting], cwd=root, env=os.environ | environment).returncode
    ):
        return status
    if not options.machine:
        remember(now, root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
