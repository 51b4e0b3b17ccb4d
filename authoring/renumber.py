"""Rewrite the marked numbers of a text that its run or the stored results contradict, and print each for the author.

    python -m authoring.renumber book/algorithms/forward.ipynb …

executes the notebooks, as `python -m authoring.build` does, and puts in the place of each number that is off the value
of its expression, with as many decimals as before; in the text and in the templates of alt texts. Words are replaced
if the new value has exact ones. Where it has none, or where a comparison no longer holds, the sentence is printed for
its author to mend. A sentence around a number may no longer hold with another one: read what is printed. A half-width
that is wider than book/spread.json allows is narrowed.
"""

import argparse
import json
import os
import re
from decimal import ROUND_FLOOR, Context, Decimal
from pathlib import Path
from typing import Any

from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat import NotebookNode

from authoring.book import ROOT, code_cells, read, results, tags, write
from authoring.build import digest, prepare
from authoring.execute import REFERENCE, normalise
from authoring.locks import alts, half_widths, numbers, outputs, words

# In the Markdown itself, as few characters as `, $, % or a unit may stand between a number and its comment.
PLACED = re.compile(
    rf"(?:(?P<number>{numbers.NUMBER})(?P<between>[`$]?(?:{numbers.UNIT}|\\?%)?[`$]?\s?)"
    rf"|(?P<words>(?i:{words.PHRASE}))\s?)"
    rf"<!--\s*(?P<kind>{numbers.KIND})\s*(?P<body>.*?)\s*-->",
    re.S,
)
DOWNWARD = Context(prec=2, rounding=ROUND_FLOOR)  # few digits, and never wider
MEND = "mend the sentence: "  # what only the author can
OF_THE_RUN, OF_THE_RESULTS = ("=", "is:"), ("bench:", "is: bench:")


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


def is_rounded(old: str, value: float, tolerance: float) -> bool:
    """Return whether a printed number is still a rounding of its value, within a ± that its own zeros leave open."""
    plain = old.replace(",", "").replace("−", "-")
    return tolerance <= half_widths.left_open(plain) and abs(value - float(plain)) <= tolerance


def renumber(text: str, values: dict[str, float]) -> tuple[str, list[str]]:
    """Return a text with its numbers as the values of their expressions are, and a line for each that was off."""
    lines = []

    def mend(found: re.Match[str]) -> str:
        expression, _, tolerance = (" ".join(part.split()) for part in found["body"].partition("±"))
        if expression not in values or found["kind"] in ("from:", "given:"):
            return found[0]
        value, old = values[expression], found["words"] or found["number"]
        around = numbers.COMMENT.sub("", text[max(0, found.start() - 80) : found.end() + 60])
        sentence = f"… {' '.join(around.split())} …"
        if found["kind"] in ("is:", "is: bench:"):
            if not value:
                lines.append(f"no longer so, {expression}: {MEND}{sentence}")
            return found[0]
        new = printed(value, old)
        if found["words"]:
            new = words.write(value, old, float(words.half_width(old, tolerance))) or ""
        if not new:
            lines.append(f"{old} -> no words for {value:.4g}: {MEND}{sentence}")
            return found[0]
        if not found["words"] and tolerance and is_rounded(old, value, float(tolerance)):
            return found[0]
        if new == old:  # of digits, within ± is not enough: after a change, the text would keep what is no longer so
            return found[0]
        lines.append(f"{old} -> {new}: {sentence}")
        return new + found[0][len(old) :]

    return PLACED.sub(mend, text), lines


def narrow(text: str, spreads: dict[str, float]) -> str:
    """Return a text in which no half-width is wider than what its expression differs by between machines allows."""

    def mend(found: re.Match[str]) -> str:
        expression, sign, tolerance = (" ".join(part.split()) for part in found["body"].partition("±"))
        if found["kind"] != "=" or found["words"] or not sign:
            return found[0]
        number = found["number"].replace(",", "").replace("−", "-")
        widest = half_widths.allowed(number, spreads.get(expression, 0.0))
        if float(tolerance) <= widest * (1 + 1e-9):
            return found[0]
        always = 0.5 * 10.0 ** int(Decimal(number).as_tuple().exponent)  # what holds without ±
        written = f" ± {DOWNWARD.create_decimal(f'{widest:.9g}'):f}" if widest > always * (1 + 1e-9) else ""
        return re.sub(r"\s*±.*?(?=\s*-->)", written, found[0], flags=re.S)

    return PLACED.sub(mend, text)


def expressions(text: str, kinds: tuple[str, ...]) -> list[str]:
    """List the expressions of some kinds of marks in a text."""
    bodies = [found["body"] for found in PLACED.finditer(text) if found["kind"] in kinds]
    return [" ".join(body.partition("±")[0].split()) for body in bodies]


def stored_values(text: str, root: Path = ROOT) -> dict[str, float]:
    """Evaluate the expressions over stored results."""
    found = results(root)
    return {one: float(eval(one, dict(found))) for one in expressions(text, OF_THE_RESULTS)}


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
    """Execute a notebook, rewrite its numbers, and store both; return a line for each number that was off.

    Raises: ValueError, and stores nothing, if its author must mend sentences first.
    """
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
                lines = mend_all(nb, lambda wanted: evaluate(client, wanted), root, spreads_of(path, root))
                if any(MEND in line for line in lines):
                    raise ValueError("\n    ".join(["nothing is stored before its author has mended:", *lines]))
                prepare(nb, root)
            if nb.cells[number].cell_type == "code":
                client.execute_cell(nb.cells[number], number)
        client.set_widgets_metadata()
    nb = normalise(nb)
    nb.metadata.setdefault("dlbook", {})["built_from"] = digest(nb, root)
    write(nb, path)
    return lines


def spreads_of(path: Path, root: Path = ROOT) -> dict[str, float] | None:
    """Return by how much the numbers of a notebook differ between machines, by expression, if that was measured."""
    file = root / outputs.RECORD
    records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return records.get(path.relative_to(root).as_posix(), {}).get("numbers")


def mend_all(nb: NotebookNode, ask: Any, root: Path = ROOT, spreads: dict[str, float] | None = None) -> list[str]:
    """Rewrite the numbers of all Markdown cells and alt texts; return a line for each that was off.

    Args:
        nb: the notebook, changed in place.
        ask: gives the values of expressions over the run.
        root: the folder of the book.
        spreads: what half-widths are narrowed to; None leaves them.
    """
    lines: list[str] = []

    def mend(text: str) -> str:
        wanted = expressions(text, OF_THE_RUN)
        new, found = renumber(text, stored_values(text, root) | (ask(wanted) if wanted else {}))
        lines.extend(found)
        return new if spreads is None else narrow(new, spreads)

    for cell in nb.cells:
        if cell.cell_type == "markdown" and "<!--" in cell.source:
            cell.source = mend(cell.source)
    for template, cell in alts.templates(nb):
        if "alt_from" in cell.metadata.mystnb:
            cell.metadata.mystnb.alt_from = mend(template)
    alts.rewrite(nb)
    return lines


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path, help="notebooks")
    failed = 0
    for path in parser.parse_args(arguments).paths:
        print(path, flush=True)
        try:
            lines = rewrite(path.resolve(), root)
        except ValueError as error:
            lines, failed = [str(error)], 1
        for line in lines:
            print(f"    {line}", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
