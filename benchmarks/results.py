"""Keep results with the command, the versions and the package sources that they were made with."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tools.book import ROOT
from tools.definitions import essence, uses

RESULTS = ROOT / "benchmarks" / "results"


def fingerprint(script: Path) -> str:
    """Return a fingerprint of a script and of all of the package that it uses, comments and docstrings left out."""
    text = script.read_text(encoding="utf-8")
    parts = [line for line in essence(text) if line] + uses([text])
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def store(script: str, threads: str = "one thread", **results: Any) -> None:
    """Write results to results/NAME.json, for the script at `script` (its `__file__`); say on how many threads."""
    path = Path(script)
    made = {
        "command": f"python -m benchmarks.{path.stem}",
        "python": platform.python_version(),
        "torch": version("torch").split("+")[0],
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {threads}",
        "made_from": fingerprint(path),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{path.stem}.json").write_text(json.dumps({"made": made, **results}, indent=1) + "\n", encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """Read the results of one script."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def summary(values: list[float]) -> dict[str, Any]:
    """Return values with their mean and their ends."""
    return {"values": values, "mean": sum(values) / len(values), "min": min(values), "max": max(values)}
