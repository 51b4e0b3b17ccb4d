"""Stored and fresh outputs are equal within what a cell declares, and it declares no more than was measured.

Tags on a code cell:
    tolerance-0.01       numbers may differ by 0.01 from the stored ones
    tolerance-5pct       decimals may differ by 5 % of the stored ones; whole numbers stay exact
    accuracy-of-10000    decimals are accuracies over 10,000 examples and may differ by two of them
    pixels-15            figures may differ by 15 (of 255) in their worst patch, instead of 5
    moves-2              what figures show may lie 2 pixels elsewhere
    sample               not compared; the next code cell asserts a property of what came out, or, of a figure, its
                         alternative text says a number that is compared with the run
    nbval-ignore-output  not compared: times and memory
A number needs to meet one of the tolerances declared. Without any, numbers must be equal.

`pytest --nbval book` executes and compares: outputs_plugin.py asks `settle` of each cell. The lock's own `faults` holds
the declarations against book/spread.json, in which `python -m authoring.spread` records what differs between machines.
"""

import ast
import base64
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from nbformat import NotebookNode
from nbval.plugin import find_comment_markers
from PIL import Image

from authoring.book import ROOT, chapters, code_cells, identify, tags
from authoring.locks import unseen
from authoring.machines import MACHINES

RECORD = "book/spread.json"
# What the source of a cell that is not compared must hold:
MEASURES = re.compile(r"seconds|time|memory|rss|peak_bytes", re.I)
PIXELS = 5.0  # what a figure may differ without a tag, of 255
MOST_PIXELS = 30.0  # what a tag may allow: a changed label differs by 40; what moves must declare moves instead
PATCH = 16  # a mean over the whole figure would hide a changed label behind the background
FIGURES = ("image/png", "image/jpeg")
MARKUP = ("text/html", "image/svg+xml")
DECLARATION = re.compile(
    r"tolerance-(?P<absolute>\d+(?:\.\d+)?)|tolerance-(?P<relative>\d+(?:\.\d+)?)pct"
    r"|pixels-(?P<pixels>\d+(?:\.\d+)?)|moves-(?P<moves>\d)|accuracy-of-(?P<examples>\d+)"
)
NUMBER = r"(?<![\w.])([-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?(?![\d,])|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
IN_TEXT = re.compile(NUMBER)
# Numbers in tags, style sheets and character references are markup, not results.
IN_MARKUP = re.compile(rf"(?s:<style.*?</style>|<script.*?</script>)|<[^>]*>|&#?\w+;|{NUMBER}")


def limits(declared: Iterable[str]) -> dict[str, float]:
    """Read what a cell's tags allow: absolute and relative tolerance, pixels, moves, examples (0: no accuracies).

    Raises: ValueError for a tag that begins like a declaration but is none.
    """
    found = {"absolute": 0.0, "relative": 0.0, "pixels": PIXELS, "moves": 0.0, "examples": 0.0}
    for tag in declared:
        match = DECLARATION.fullmatch(tag)
        if match and match.lastgroup and float(match[match.lastgroup]) > 0:
            found[match.lastgroup] = float(match[match.lastgroup]) / (100 if match.lastgroup == "relative" else 1)
        elif re.match("tol|pix|mov|acc|samp|nbval", tag) and tag not in ("sample", "nbval-ignore-output"):
            known = (
                "tolerance-0.01, tolerance-5pct, pixels-15, moves-2, accuracy-of-10000, sample or nbval-ignore-output"
            )
            raise ValueError(f"tag must read like {known}: got {tag!r}")
    return found


def kind(cell: NotebookNode) -> str:
    """Return the class of a cell, as the summary counts them; Markdown has no output."""
    if not cell.get("outputs"):
        return "without output"
    if "sample" in tags(cell):
        return "sample"
    if "nbval-ignore-output" in tags(cell):
        return "ignored"
    return "toleranced" if any(DECLARATION.fullmatch(tag) for tag in tags(cell)) else "exact"


def split(text: str, markup: bool = False) -> tuple[list[str], list[str]]:
    """Cut text into the pieces around its numbers, and the numbers: one more piece than numbers."""
    pieces, numbers, end = [], [], 0
    for match in (IN_MARKUP if markup else IN_TEXT).finditer(text):
        if match[1]:
            pieces.append(text[end : match.start()])
            numbers.append(match[1])
            end = match.end()
    return [*pieces, text[end:]], numbers


def words(pieces: list[str]) -> list[str]:
    """Make pieces comparable: a minus sign or one more digit moves the columns of an array or a table."""
    return [" ".join(piece.split()) for piece in pieces]


def value(number: str) -> float:
    return float(number.replace(",", ""))


def last_digit(number: str) -> float:
    """Return what one unit of a number's last printed digit is worth; nothing for whole numbers, which count."""
    exponent = Decimal(number.replace(",", "")).as_tuple().exponent
    return 0.0 if re.fullmatch(r"[-+]?[\d,]+", number) else 10.0 ** int(exponent)


def percentages(pieces: list[str]) -> list[bool]:
    """Return for each number between pieces whether it is a percentage: by its own sign, or all by one in a heading."""
    own = [piece.lstrip().startswith("%") for piece in pieces[1:]]
    heading = not any(own) and any("%" in re.sub("<[^>]*>", "", piece) for piece in pieces)
    return [heading or sign for sign in own]


def one_example(number: str, percent: bool, examples: float) -> tuple[float, float]:
    """Return what one of the test examples is worth in an accuracy, and one unit of its last digit (0: a count)."""
    return (100 if percent else 1) / examples, last_digit(number) or float(percent)


def is_accuracy(number: str, percent: bool, examples: float) -> bool:
    """Return whether a number of examples, divided by all examples, would be printed as this number; counts may be."""
    share, unit = one_example(number, percent, examples)
    return not unit or abs(math.remainder(value(number), share)) <= unit / 2 + 1e-9


def allowance(number: str, percent: bool, allowed: dict[str, float]) -> float:
    """Return how far a number of another run may lie from the stored one."""
    widths = [allowed["absolute"]]
    if last_digit(number):
        widths.append(allowed["relative"] * abs(value(number)))
    if allowed["examples"]:
        share, unit = one_example(number, percent, allowed["examples"])
        widths.append(math.ceil(2 * share / unit - 1e-9) * unit if unit else 0.0)  # rounded as it is printed
    return max(widths) * (1 + 1e-9)  # 0.12 - 0.11 is a little more than 0.01 in binary


def snap(stored: str, fresh: str, allowed: dict[str, float], markup: bool = False) -> str:
    """Return fresh with every number that lies within its allowance replaced by the stored one."""
    (pieces, numbers), (fresh_pieces, fresh_numbers) = split(stored, markup), split(fresh, markup)
    if words(pieces) != words(fresh_pieces) or not any(allowed[name] for name in ("absolute", "relative", "examples")):
        return fresh
    triples = zip(numbers, fresh_numbers, percentages(pieces), strict=True)
    chosen = [s if abs(value(f) - value(s)) <= allowance(s, percent, allowed) else f for s, f, percent in triples]
    return "".join(piece + number for piece, number in zip(pieces, [*chosen, ""], strict=True))


def reach(picture: np.ndarray, moves: int, choose: Callable[..., np.ndarray]) -> np.ndarray:
    """Return for each pixel the least or the greatest value (`choose`) among those at most `moves` pixels away."""
    for axis in (0, 1):
        width = [(moves, moves) if side == axis else (0, 0) for side in range(3)]
        padded = np.pad(picture, width, mode="edge")
        picture = choose(np.lib.stride_tricks.sliding_window_view(padded, 2 * moves + 1, axis), -1)
    return picture


def figure_difference(stored: str, fresh: str, moves: int = 0) -> float:
    """Return by how much two base64 pictures differ: the mean (0 to 255, worst channel) over the worst patch.

    What is drawn may lie `moves` pixels elsewhere: a pixel differs only as far as it is darker, or lighter, than all of
    the other picture around it. A curve that another machine shifts a little passes, a changed label does not.
    """
    arrays = []
    for picture in (stored, fresh):
        rgba = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA"), dtype=float)
        alpha = rgba[..., 3:]
        arrays.append(np.concatenate([rgba[..., :3] * alpha / 255, alpha], axis=-1))  # what is clear has no colour
    if arrays[0].shape != arrays[1].shape:
        return math.inf
    excess = [np.maximum(a - reach(b, moves, np.max), reach(b, moves, np.min) - a) for a, b in (arrays, arrays[::-1])]
    difference = np.maximum(excess[0], excess[1]).max(-1)
    sums = np.pad(difference, [(1, max(0, PATCH - size)) for size in difference.shape]).cumsum(0).cumsum(1)
    boxes = sums[PATCH:, PATCH:] - sums[:-PATCH, PATCH:] - sums[PATCH:, :-PATCH] + sums[:-PATCH, :-PATCH]
    return float(boxes.max()) / PATCH**2


def texts(output: NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield each text of an output with its kind: that of a stream, or those of what is displayed."""
    if output.output_type == "stream":
        yield output.name, output.text
    for mime, content in output.get("data", {}).items():
        if mime not in FIGURES and isinstance(content, str):
            yield mime, content


def figures(outputs: list[NotebookNode]) -> list[str]:
    """Return the pictures in outputs, one after the other."""
    return [output.data[mime] for output in outputs for mime in FIGURES if mime in output.get("data", {})]


def kinds(outputs: list[NotebookNode]) -> list[str]:
    """Describe outputs by their kinds alone: stdout, image/png + text/plain, error, …"""
    return [o.get("name") or " + ".join(sorted(o.get("data", {}))) or o.output_type for o in outputs]


def cut(cell: NotebookNode) -> tuple[list[list[str]], list[tuple[str, bool]]]:
    """Return what a cell shows besides its numbers, and its numbers, each with whether it is a percentage."""
    parts = [split(text, mime in MARKUP) for output in cell.outputs for mime, text in texts(output)]
    numbers = [pair for pieces, found in parts for pair in zip(found, percentages(pieces), strict=True)]
    return [kinds(cell.outputs), *(words(pieces) for pieces, _ in parts)], numbers


def settle(stored: list[NotebookNode], fresh: list[NotebookNode], allowed: dict[str, float]) -> None:
    """Replace in fresh outputs of the same kinds, in place, whatever is close enough to the stored ones."""
    for old, new in zip(stored, fresh, strict=True):
        for mime, text in texts(old):
            content, key = (new, "text") if old.output_type == "stream" else (new.data, mime)
            content[key] = snap(text, content[key], allowed, mime in MARKUP)
        for mime in set(FIGURES) & set(old.get("data", {})):
            if figure_difference(old.data[mime], new.data[mime], int(allowed["moves"])) <= allowed["pixels"]:
                new.data[mime] = old.data[mime]


# --- what a cell may declare ------------------------------------------------------------------------------------------


def parse(source: str) -> ast.Module:
    """Parse a cell without its magics; what is no Python holds nothing."""
    try:
        return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M))
    except SyntaxError:
        return ast.Module([], [])


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that are executed with this one: not the bodies of functions that it only defines."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from executed(child)


def states_property(tree: ast.AST, functions: dict[str, ast.FunctionDef], seen: Collection[str] = frozenset()) -> bool:
    """Return whether code asserts something about its names, itself or in a function of the notebook that it calls."""
    for node in executed(tree):
        if isinstance(node, ast.Assert) and any(isinstance(part, ast.Name) for part in ast.walk(node.test)):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.startswith("assert_"):  # torch.testing.assert_close
                return True
            if name in functions.keys() - seen and states_property(functions[name], functions, {*seen, name}):
                return True
    return False


OF_THE_RUN = re.compile(r"<!--\s*(=|is:(?!\s*bench:))")  # a mark that `numbers` compares


def sample_is_tested(cells: list[NotebookNode], number: int) -> bool:
    """Return whether the code cell after a sample states a property of it, or its alternative text one of the run."""
    if OF_THE_RUN.search(cells[number].metadata.get("mystnb", {}).get("alt_from", "")):
        return True
    trees = [parse(cell.source) for cell in cells[: number + 2]]
    functions = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return len(trees) == number + 2 and states_property(trees[-1], functions)


def unclear(cells: list[NotebookNode]) -> list[str]:
    """Return what is wrong with the declarations of a notebook's code cells."""
    found = []
    for number, cell in enumerate(cells):
        where = f"cell {number}, {cell.source[:50]!r}"
        try:
            limits(tags(cell))
        except ValueError as error:
            found.append(f"{where}: {error}")
        if dict(find_comment_markers(cell.source)):
            found.append(f"{where}: say what nbval shall do by a tag, not by a comment")
        if "sample" in tags(cell) and not sample_is_tested(cells, number):
            found.append(
                f"{where}: it is tagged `sample`, so its output is not compared: assert a property of it "
                "(a length, an alphabet, a score above the baseline) in the next code cell, or in a figure's alt_from"
            )
    return found


def unfounded(nb: NotebookNode, record: dict[str, Any]) -> list[str]:
    """Return the tolerances above three times the recorded spread."""
    found, how = [], "run `python -m authoring.spread` with this notebook"
    for cell in nb.cells:
        name = f"the cell {cell.source[:50]!r}"
        if kind(cell) == "ignored" and not MEASURES.search(cell.source):
            found.append(f"{name} is tagged nbval-ignore-output, which is for times and memory: declare a tolerance")
        if kind(cell) == "toleranced" and cell.id not in record:
            found.append(f"{name} declares {tags(cell)}, but its spread was not recorded: {how}")
        elif kind(cell) == "toleranced":
            allowed, spread, numbers = limits(tags(cell)), record[cell.id], cut(cell)[1]
            for what in ("absolute", "relative", "pixels", "moves"):
                bound = 3 * spread[what]
                if what == "pixels":  # five of 255 need no tag, and no tag may hide a label
                    bound = min(max(bound, PIXELS), MOST_PIXELS)
                if allowed[what] > bound * (1 + 1e-9):
                    found.append(f"{name} declares {what} {allowed[what]:g}, may declare {bound:.3g}: {how}")
            if n := allowed["examples"]:
                others = [text for text, percent in numbers if not is_accuracy(text, percent, n)]
                found += [f"{name} declares accuracies over {n:g} examples: {text} is none" for text in others]
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return the declarations that are unclear or wider than what was measured; most cells must need none."""
    found, looked_at, of_all = [], {}, Counter[str]()
    records = json.loads((root / RECORD).read_text(encoding="utf-8"))
    for page, nb in chapters(root):
        identify(nb)  # whoever saved it, the record goes by the sources
        cells = code_cells(nb)
        looked_at[page] = sum(bool(cell.outputs) for cell in cells)
        problems = unclear(cells)
        if not problems:
            problems = unfounded(nb, records.get(f"{page}.ipynb", {}))
        if f"{page}.ipynb" not in records:
            problems.append(f"its spread was not recorded in {RECORD}: run `python -m authoring.spread` with it")
        elif missing := sorted(MACHINES.keys() - set(records[f"{page}.ipynb"].get("machines", []))):
            problems.append(f"its spread was not measured on {', '.join(missing)}: run `python -m authoring.spread`")
        compared = Counter(kind(cell) for cell in cells)
        of_all += compared
        if 3 * compared["exact"] < max(1, 2 * compared["toleranced"]):
            problems.append("at least two fifths of its compared cells must be exact: print fewer digits")
        found += [f"{page}: {problem}" for problem in problems]
    if of_all["exact"] < of_all["toleranced"]:
        found.append("book: at least half of all compared cells must be exact: print fewer digits")
    gone = records.keys() - {f"{page}.ipynb" for page in looked_at}
    found += [f"{RECORD}: {name} is no chapter: delete its record" for name in sorted(gone)]
    return found + unseen(looked_at, "outputs", root)
