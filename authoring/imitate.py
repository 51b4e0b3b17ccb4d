"""Run notebooks as an imitated CPU without AVX-512, and record in book/imitated.json which have passed.

    python -m authoring.imitate                        those that changed since they last passed
    python -m authoring.imitate --all                  all, as every week and before a release
    python -m authoring.imitate --machine sse41 …      as another machine: these notebooks, or all; nothing is recorded

A notebook has changed if its code cells have, their tags, or what they use of the package.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode

from authoring.book import ROOT, code_cells, notebooks, read, tags
from authoring.build import digest
from authoring.machines import TESTED

RECORD = "book/imitated.json"
PYTEST = [sys.executable, "-m", "pytest", "--nbval"]
TWO = ["-n", "2", "--dist", "loadfile"]
OTHERS = [name for name in TESTED if not name.startswith("native")]


def fingerprint(nb: NotebookNode, root: Path = ROOT) -> str:
    """Return a fingerprint of what the outputs of a notebook are made from, and of how they are compared."""
    whole = json.dumps([digest(nb, root), [sorted(tags(cell)) for cell in code_cells(nb)]])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return the fingerprint of each notebook, by its name."""
    return {path.relative_to(root).as_posix(): fingerprint(read(path), root) for path in notebooks(root)}


def passed(root: Path = ROOT, record: str = RECORD) -> dict[str, str]:
    """Return the fingerprint that each notebook had when it last passed."""
    file = root / record
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def remember(now: dict[str, str], root: Path = ROOT) -> None:
    """Record the fingerprints of notebooks that passed; those of others stay as long as there is a notebook."""
    known = {name: found for name, found in (passed(root) | now).items() if (root / name).is_file()}
    (root / RECORD).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8", newline="\n")


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks, for --machine")
    parser.add_argument("--all", action="store_true", help="run also those that have not changed")
    parser.add_argument("--machine", choices=OTHERS, help="default: avx2")
    options = parser.parse_args(arguments)
    if options.paths and not options.machine:
        parser.error("notebooks are named with --machine")
    now = fingerprints(root)
    named = [path.resolve().relative_to(root.resolve()).as_posix() for path in options.paths] or list(now)
    before, environment = passed(root), TESTED["avx2"]
    if options.machine:
        before, environment = {}, TESTED[options.machine]
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
