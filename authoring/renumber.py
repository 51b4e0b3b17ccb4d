"""Rewrite the marked numbers of a text that its run or the stored results contradict, and print each for the author.

    python -m authoring.renumber book/algorithms/forward.ipynb …

executes the notebooks, as `python -m authoring.build` does, and puts in the place of each number that is off the value
of its expression, with as many decimals as before. A sentence around a number may no longer hold with another one:
read what is printed.
"""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat import NotebookNode

from authoring.book import ROOT, code_cells, read, tags, write
from authoring.build import digest, prepare
from authoring.execute import REFERENCE, normalise
from authoring.locks import numbers

# In the Markdown itself, as few characters as `, $, % or a unit may stand between a number and its comment.
PLACED = re.compile(
    rf"(?P<number>{numbers.NUMBER})(?P<between>[`$]?(?:{numbers.UNIT}|\\?%)?[`$]?\s?)"
    r"<!--\s*(?P<kind>=|bench:)\s*(?P<body>.*?)\s*-->",
    re.S,
)


def printed(value: float, like: str) -> str:
    """Write a value as another number was written: its decimals, thousands and minus sign."""
    plain = like.replace(",", "").replace("−", "-")
    if "e" in plain.lower():
        decimals = len(plain.lower().partition("e")[0].partition(".")[2])
        text = f"{value:.{decimals}e}"
        return re.sub(r"e([-+])0*(\d)", lambda sign: "e" + sign[1].replace("+", "") + sign[2], text)
    decimals = len(plain.partition(".")[2])
    text = f"{value:,.{decimals}f}" if "," in like or abs(value) >= 10_000 else f"{value:.{decimals}f}"
    return text.replace("-", "−") if "−" in like else text


def renumber(text: str, values: dict[str, float]) -> tuple[str, list[str]]:
    """Return a text with its numbers as the values of their expressions are, and a line for each that was off."""
    lines = []

    def mend(found: re.Match[str]) -> str:
        expression = " ".join(found["body"].partition("±")[0].split())
        if expression not in values:
            return found[0]
        new = printed(values[expression], found["number"])
        if new == found["number"]:  # within ± is not enough: after a change, the text would keep what is no longer so
            return found[0]
        around = numbers.COMMENT.sub("", text[max(0, found.start() - 80) : found.end() + 60])
        lines.append(f"{found['number']} -> {new}: … {' '.join(around.split())} …")
        return new + found[0][len(found["number"]) :]

    return PLACED.sub(mend, text), lines


def expressions(text: str, kind: str) -> list[str]:
    """List the expressions of one kind of mark in a text."""
    bodies = [found["body"] for found in PLACED.finditer(text) if found["kind"] == kind]
    return [" ".join(body.partition("±")[0].split()) for body in bodies]


def results(root: Path = ROOT) -> dict[str, Any]:
    """Read benchmarks/results, by the names that marks use."""
    files = (root / "benchmarks" / "results").glob("*.json")
    return {path.stem.replace("-", "_"): json.loads(path.read_text(encoding="utf-8")) for path in files}


def stored_values(text: str, root: Path = ROOT) -> dict[str, float]:
    """Evaluate the expressions over stored results."""
    found = results(root)
    return {one: float(eval(one, dict(found))) for one in expressions(text, "bench:")}


def evaluate(client: NotebookClient, wanted: list[str]) -> dict[str, float]:
    """Evaluate expressions in the kernel of a client, as if they were not there."""
    said: list[str] = []
    code = f"import json as _json\nprint(_json.dumps([float(_part) for _part in [{', '.join(wanted)}]]))"
    kernel: Any = client.kc  # an asynchronous one
    run_sync(kernel.execute_interactive)(
        code, store_history=False, output_hook=lambda message: said.append(message["content"].get("text", ""))
    )
    return dict(zip(wanted, json.loads("".join(said)), strict=True))


def rewrite(path: Path, root: Path = ROOT) -> list[str]:
    """Execute a notebook, rewrite its numbers, and store both; return a line for each number that was off."""
    nb = read(path)
    prepare(nb, root)
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(nb, kernel_name="python3", timeout=600, record_timing=False, coalesce_streams=True)
    client.extra_arguments = ["--log-level=ERROR"]
    lines: list[str] = []
    with client.setup_kernel(cwd=str(path.parent), env={**os.environ, **REFERENCE}):
        for number in range(len(nb.cells)):
            if "prose-check" in tags(nb.cells[number]):
                lines = mend_all(nb, lambda wanted: evaluate(client, wanted), root)
                prepare(nb, root)
            if nb.cells[number].cell_type == "code":
                client.execute_cell(nb.cells[number], number)
        client.set_widgets_metadata()
    nb = normalise(nb)
    nb.metadata.setdefault("dlbook", {})["built_from"] = digest(nb, root)
    write(nb, path)
    return lines


def mend_all(nb: NotebookNode, ask: Any, root: Path = ROOT) -> list[str]:
    """Rewrite the numbers of all Markdown cells; `ask` gives the values of expressions over the run."""
    lines = []
    for cell in nb.cells:
        if cell.cell_type == "markdown" and "<!--" in cell.source:
            wanted = expressions(cell.source, "=")
            values = stored_values(cell.source, root) | (ask(wanted) if wanted else {})
            cell.source, found = renumber(cell.source, values)
            lines += found
    return lines


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path, help="notebooks")
    for path in parser.parse_args(arguments).paths:
        print(path, flush=True)
        for line in rewrite(path.resolve(), root):
            print(f"    {line}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
