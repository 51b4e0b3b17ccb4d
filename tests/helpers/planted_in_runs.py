"""Faults that only a run can find: in formulas, in sentences on what a run computed, in stored outputs.

A formula is changed on its page, and the test that executes it must fail. A sentence is changed in a small chapter, and
the check that is written from it must fail. Stored outputs are those of the book, changed, and the output lock must
see the difference when the cell shows the outputs that it had.
"""

import base64
import io
import re
from collections.abc import Callable, Sequence

from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image, ImageDraw

from authoring.book import ROOT, chapters, code_cells, markdown_cells, tags
from authoring.locks.outputs import DECLARATION
from tests.helpers.notebooks import code, notebook
from tests.helpers.planted import MEND, Book, Fault, plants

FORMULAS: list[Fault] = []  # their functions harm a copy of the book, and return the tag
SENTENCES: list[Fault] = []  # their functions harm a copy of CHAPTER, and return words of the failure
OUTPUTS: list[Fault] = []  # their functions find a cell of the book, harm its outputs, and say whether they did


# --- formulas ---------------------------------------------------------------------------------------------------------


def formula(tag: str, old: str, new: str) -> Callable[[Book], str]:
    """Return what replaces a part of the LaTeX of an equation."""
    display = re.compile(rf"\$\$((?:(?!\$\$).)*?)\\tag\{{{re.escape(tag)}\}}", re.S)

    def plant(book: Book) -> str:
        def harm(nb: NotebookNode) -> bool:
            for cell in markdown_cells(nb):
                if (found := display.search(cell.source)) and old in found[1]:
                    changed = found[1].replace(old, new, 1)
                    cell.source = cell.source[: found.start(1)] + changed + cell.source[found.end(1) :]
                    return True
            return False

        book.chapter(harm)
        return tag

    return plant


plants("equations", "another sign", FORMULAS)(formula("3.1.1a", "+ b_i", "- b_i"))
plants("equations", "a sign before a sum that is gone", FORMULAS)(formula("3.4.2a", r"-\frac", r"\frac"))
plants("equations", "a transpose that is gone", FORMULAS)(formula("3.1.2e", r"^{\top}", ""))
plants("equations", "a shifted index", FORMULAS)(formula("3.1.2c", "a_{l-1}", "a_l"))
plants("equations", "two indices swapped", FORMULAS)(formula("3.1.1a", "w_{ij}", "w_{ji}"))
plants("equations", "a sum over the other index", FORMULAS)(formula("6.5a", r"\sum_i M_{ik}", r"\sum_i M_{ki}"))
plants("equations", "a factor that is gone", FORMULAS)(formula("3.4.3a", r"\frac{1}{\sqrt{d}}", ""))
plants("equations", "a root that is gone", FORMULAS)(formula("3.4.3a", r"\sqrt{d}", "d"))
plants("equations", "another exponent", FORMULAS)(formula("3.4.1f", "3/4", "1/2"))
plants("equations", "another function", FORMULAS)(formula("3.3.3d", r"\tanh", r"\sin"))
plants("equations", "another bound of a sum", FORMULAS)(formula("3.2.1a", "p=1", "p=2"))
plants("equations", "a relation turned over", FORMULAS)(formula("3.4.3c", r"j \le i", r"j \ge i"))
plants("equations", "another letter", FORMULAS)(formula("3.3.1a", "x_t", "h_t"))
plants("equations", "another order of operations", FORMULAS)(formula("3.4.4f", r"(x + ", "(x) + ("))


# --- sentences --------------------------------------------------------------------------------------------------------

COMPUTED = """\
from torch import tensor

from dlbook.metrics.paired import difference_over_seeds

accuracy, baseline, small, change, count = map(float, (0.8812, 0.7004, 2.5e-7, -3.2, 12_000))
share, found, ratio, orders = 0.51, 0.902, 3.1, 2.2
ours, theirs = tensor([0.90, 0.91, 0.92, 0.93]), tensor([0.80, 0.80, 0.81, 0.83])
lead = difference_over_seeds(ours.double(), theirs.double())"""
WRITTEN = """\
# A chapter

It reaches 88.1 %<!-- = 100 * accuracy --> on 12,000<!-- = count --> images, with `2.5e-7`<!-- = small --> to spare,
and the rest changes by −3.2<!-- = change --> points.

Half<!-- = share ± 0.05 --> of the errors are gone: nine in ten<!-- = found ± 0.02 --> of those, in
three times<!-- = ratio --> the time, and two orders of magnitude<!-- = orders --> apart.
More than 50 %<!-- is: 100 * share > 50 --> of them are easy.

## What to remember

- Ours was ahead. <!-- claim: lead.above(0) -->
- Little is left. <!-- claim: small < 1e-6 -->"""
ALT = "Accuracy against the size: near 82<!-- = 100 * accuracy ± 7 --> per cent."


def chapter() -> NotebookNode:
    """Return a small chapter with marks and claims, whose figure has a template of its alt text."""
    drawn = code("accuracy", mystnb={"alt_from": ALT, "image": {"alt": ""}})
    made = notebook(WRITTEN, code(COMPUTED), drawn)
    made.metadata["dlbook"] = {"edition": 2}
    return made


def sentence(old: str, new: str, *says: str) -> Callable[[NotebookNode], Sequence[str]]:
    """Return what replaces a passage of the small chapter; several are separated by `|`."""

    def plant(nb: NotebookNode) -> Sequence[str]:
        for before, after in zip(old.split("|"), new.split("|"), strict=True):
            settings = nb.cells[2].metadata.mystnb
            assert before in nb.cells[0].source + settings.alt_from, MEND
            nb.cells[0].source = nb.cells[0].source.replace(before, after, 1)
            settings.alt_from = settings.alt_from.replace(before, after, 1)
        return says

    return plant


plants("numbers", "another digit in the text", SENTENCES)(sentence("88.1", "78.1", "text 78.1 ± 0.05", "run 88.12"))
plants("numbers", "another last digit", SENTENCES)(sentence("88.1", "88.3", "text 88.3 ± 0.05", "run 88.12"))
plants("numbers", "a minus that is gone", SENTENCES)(sentence("−3.2", "3.2", "text 3.2 ± 0.05", "run -3.2"))
plants("numbers", "another group of digits", SENTENCES)(sentence("12,000", "21,000", "text 21000 ± 0.5", "run 12000"))
plants("numbers", "another exponent in code", SENTENCES)(sentence("2.5e-7", "2.5e-6", "text 2.5e-06", "run 2.5e-07"))
plants("numbers", "an expression for something else", SENTENCES)(
    sentence("100 * accuracy -->", "100 * baseline -->", "text 88.1 ± 0.05", "run 70.04")
)
plants("numbers", "another fraction in words", SENTENCES)(sentence("Half", "A third", "text 0.333333", "run 0.51"))
plants("numbers", "another count out of others in words", SENTENCES)(
    sentence("nine in ten", "two in ten", "text 0.2 ± 0.02", "run 0.902")
)
plants("numbers", "another multiple in words", SENTENCES)(sentence("three times", "five times", "text 5 ", "run 3.1"))
plants("numbers", "another number with a unit in words", SENTENCES)(
    sentence("two orders", "four orders", "text 4 ± 0.5", "run 2.2")
)
plants("numbers", "a comparison turned over with its mark", SENTENCES)(
    sentence(
        "More than 50|share > 50", "Less than 50|share < 50", "Less than 50 %: 1 if so”: in the text 1 ± 0", "run 0"
    )
)
plants("numbers", "another number in an alt text", SENTENCES)(
    sentence("near 82", "near 42", "near 42”: in the text 42 ± 7", "run 88.12")
)
plants("claims", "a claim turned over with its sentence", SENTENCES)(
    sentence("ahead|above", "behind|below", "“Ours was behind.”: must be True, in this run False")
)
plants("claims", "not separated, where the interval is", SENTENCES)(
    sentence("was ahead|above", "was not separated|contains", "“Ours was not separated.”", "in this run False")
)
plants("claims", "as good as, where the interval is wider", SENTENCES)(
    sentence("was ahead|above(0)", "was as good as theirs|within(0.01)", "“Ours was as good", "in this run False")
)
plants("claims", "more than the interval shows", SENTENCES)(
    sentence("above(0)", "above(0.5)", "“Ours was ahead.”", "False")
)
plants("claims", "a statement that the run contradicts", SENTENCES)(
    sentence("small < 1e-6", "small > 1e-6", "“Little is left.”: must be True, in this run False")
)
plants("claims", "a number in place of a statement", SENTENCES)(
    sentence("small < 1e-6", "baseline * 1e-6", "“Little is left.”: must be True, in this run 7.004e-07")
)


# --- outputs ----------------------------------------------------------------------------------------------------------

Harm = Callable[[NotebookNode], object]


def first(harm: Harm) -> tuple[NotebookNode, NotebookNode]:
    """Return the first cell of the book whose outputs can be harmed so: as it is, and harmed."""
    for _, nb in chapters(ROOT):
        for cell in code_cells(nb):
            if not {"sample", "nbval-ignore-output", "raises-exception", "prose-check"} & set(tags(cell)):
                harmed = NotebookNode(cell | {"outputs": [copied(output) for output in cell.outputs]})
                if harm(harmed):
                    return cell, harmed
    raise LookupError(MEND)


def copied(output: NotebookNode) -> NotebookNode:
    """Return a copy of an output that shares nothing with it that can be changed."""
    return NotebookNode(output | ({"data": NotebookNode(output.data)} if "data" in output else {}))


def declares(cell: NotebookNode) -> list[str]:
    """Return the tags by which a cell declares a tolerance."""
    return [tag for tag in tags(cell) if DECLARATION.fullmatch(tag)]


def printed(pattern: str, new: Callable[[re.Match[str]], str], tag: str = "") -> Harm:
    """Return what replaces a pattern in the text that a cell prints; the cell declares nothing, or one tag."""

    def harm(cell: NotebookNode) -> bool:
        for output in cell.outputs:
            right = declares(cell)[:1] == [tag] if tag else not declares(cell)
            if right and output.get("name") == "stdout" and (found := re.search(pattern, output.text, re.M)):
                output.text = output.text[: found.start()] + new(found) + output.text[found.end() :]
                return True
        return False

    return harm


def shown(mime: str, change: Callable[[str], str]) -> Harm:
    """Return what changes what a cell shows of a kind; the cell declares nothing."""

    def harm(cell: NotebookNode) -> bool:
        for output in cell.outputs:
            if mime in output.get("data", {}) and not declares(cell):
                before = output.data[mime]
                output.data[mime] = change(before)
                return output.data[mime] != before
        return False

    return harm


def painted(picture: str) -> str:
    """Return a figure with another label below its first axis."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
    ImageDraw.Draw(image).text((image.width // 3, image.height - 14), "epochs", fill=(0, 0, 0, 255))
    return encoded(image)


def turned(picture: str) -> str:
    """Return a figure whose curves go the other way."""
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    return encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def encoded(image: Image.Image) -> str:
    """Return a picture as notebooks store it."""
    held = io.BytesIO()
    image.save(held, "png")
    return base64.b64encode(held.getvalue()).decode()


def other(digit: str) -> str:
    """Return another digit."""
    return str((int(digit) + 5) % 10)


plants("outputs", "another last digit of a printed number", OUTPUTS)(
    printed(r"(\d\.\d*)(\d)\b", lambda found: found[1] + other(found[2]))
)
plants("outputs", "another count", OUTPUTS)(printed(r"\b(\d)(\d\d)\b(?!\.)", lambda found: other(found[1]) + found[2]))
plants("outputs", "another word", OUTPUTS)(printed(r"[a-z]{4,}", lambda found: found[0][::-1] + "x"))
plants("outputs", "a line that is gone", OUTPUTS)(printed(r"^.+\n(?=.)", lambda found: ""))
plants("outputs", "a number farther off than the cell declares", OUTPUTS)(
    printed(r"\b0\.\d\d+", lambda found: f"{float(found[0]) + 0.03:.{len(found[0]) - 2}f}", "tolerance-0.01")
)
plants("outputs", "an accuracy three examples off", OUTPUTS)(
    printed(r"\b0\.\d{3}\b", lambda found: f"{float(found[0]) - 0.003:.3f}", "accuracy-of-1000")
)
plants("outputs", "a figure with another label", OUTPUTS)(shown("image/png", painted))
plants("outputs", "a figure whose curves go the other way", OUTPUTS)(shown("image/png", turned))


@plants("outputs", into=OUTPUTS)
def an_output_that_is_gone(cell):
    gone, cell.outputs = cell.outputs, []
    return gone


@plants("outputs", into=OUTPUTS)
def an_output_too_many(cell):
    cell.outputs = [*cell.outputs, new_output("display_data", data={"text/plain": "2"})]
    return len(cell.outputs) > 1
