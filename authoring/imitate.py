"""Run notebooks as an imitated CPU without AVX-512, and record in book/imitated.json which have passed.

    python -m authoring.imitate          those that changed since they last passed
    python -m authoring.imitate --all    all, as every week and before a release

A notebook has changed if its code cells have, or what they use of the package.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from authoring.book import ROOT, notebooks, read
from authoring.build import digest
from authoring.spread import AVX2

RECORD = "book/imitated.json"
PYTEST = [sys.executable, "-m", "pytest", "--nbval", "-n", "2", "--dist", "loadfile"]


def fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return a fingerprint of what the outputs of each notebook are made from."""
    return {path.relative_to(root).as_posix(): digest(read(path), root) for path in notebooks(root)}


def passed(root: Path = ROOT) -> dict[str, str]:
    """Return the fingerprint that each notebook had when it last passed."""
    record = root / RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--all", action="store_true", help="run also those that have not changed")
    options = parser.parse_args(arguments)
    now, before = fingerprints(root), passed(root)
    waiting = [name for name, fingerprint in now.items() if options.all or before.get(name) != fingerprint]
    print(f"{len(waiting)} of {len(now)} notebooks run as an imitated CPU", flush=True)
    if waiting and (status := subprocess.run([*PYTEST, *waiting], cwd=root, env=os.environ | AVX2).returncode):
        return status
    (root / RECORD).write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
