"""Each number in the text says where it comes from, in a comment that no reader sees, and is compared with it.

    reaches 88.1 %<!-- = 100 * test_accuracy ± 1 -->    the run: an expression over the chapter's variables
    `2.6e-7`<!-- = ratio["sigmoid"] -->                 without ±, the value rounded to the printed digits
    28.4<!-- from: vaswani2017 --> BLEU                 the literature: a key of book/references.bib
    14 s<!-- bench: fit["cpu"]["seconds"] ± 1 -->       an expression over benchmarks/results/fit.json

`python -m authoring.build` collects the first two into a cell before the exercises, which compares them with the run.
The last is compared at once (a `-` in the file's name is `_` in the expression). Constants are code, mathematics or
words. Years, versions, names such as ResNet-18, and the numbers of sections, equations, figures, tables and pages are
free. Every other digit is an error.
"""

import ast
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from markdown_it.token import Token
from nbformat import NotebookNode

from authoring.bibliography import keys
from authoring.book import PARSER, ROOT, chapters, code_cells, markdown_cells, pages, tags, take, without_header
from authoring.locks import unseen

WIDTH = 88  # of the lines in notebooks
NUMBER = r"(?:(?<![\w.])[-+−])?(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+−]?\d+)?"
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.S)
UNIT = r"\s?(?:%|×|(?:percent|per cent|m?s|min|[kMG]B)\b)"
MARK = re.compile(rf"({NUMBER})({UNIT})?\s?<!--\s*(=|from:|bench:)\s*(.*?)\s*-->", re.S)
NUMBERED = "sections?|chapters?|equations?|figures?|tables?|algorithms?|appendix|exercises?|solutions?|pp?\\.|vol\\."
VERSIONED = "version|python|pytorch|torch|numpy|keras|tensorflow|cuda|scikit-learn|matplotlib|jupyter book|cc by"
ITEM = r"(?>\(?\d+(?:\.\d+)*[a-z]?\)?)(?!\s?%)"
MORE = rf"(?:,\s{ITEM})*,?\s(?:and|or|to)\s{ITEM}|–{ITEM}"
FREE = [  # what may hold digits unmarked, in the order in which it is taken out of the text
    re.compile(r"https?://\S+|\b(?:arXiv|doi):\s?\S+"),
    re.compile(rf"(?i)(?:§§?|\b(?:{NUMBERED}|{VERSIONED}))\s*{ITEM}(?:{MORE})?"),
    re.compile(r"\(\d+(?:\.\d+)+[a-z]\)|(?<![\w.])\d+(?:\.\d+){2,}[a-z]?(?![\w.]*\d)"),  # (3.1a), 3.4.3
    re.compile(r"(?<![\w.,])(?:\d{4}-\d\d-\d\d|(?:19|20)\d\ds?|2100)(?!\w|\s?%|[.,]\d)"),  # days and years
    re.compile(r"(?<!\w)[^\W\d]\w*(?:-\w+(?:\.\d+)?)*"),  # words, F1 and GPT-3.5 among them
]
DIRECTIVE = re.compile(r"^:{3,}.*$|^:[\w-]+:.*$", re.M)  # what pages have around text, and its options
OPENING = re.compile(r"^\d+(?:\.\d+)*\.?\s+(?=[^\W\da-z])")  # the number at the start of a heading or of a link's text
Mark = tuple[str, str, str, str]  # a number that the run must yield: its context, itself, the expression, the tolerance


def inline(children: list[Token], opening: bool = False) -> str:
    """Return a line of text without code, mathematics, tags and addresses, but with its comments."""
    text = ""
    for child, after in zip(children, [*children[1:], None], strict=False):
        marked = after is not None and after.type == "html_inline" and after.content.startswith("<!--")
        if child.type == "text":
            text += OPENING.sub("", child.content) if opening else child.content
        elif child.type == "code_inline" or child.type.startswith("math_inline"):  # may be marked, but need not be
            plain = re.sub(r"\\(?:times|cdot)10\^(-?\d+)", r"e\1", re.sub(r"[\s{}]|\\[,;]|\\?%", "", child.content))
            text += (re.findall(NUMBER + "$", plain) or ["`"])[0] if marked else "`"
        elif child.type in ("html_inline", "softbreak", "hardbreak"):
            text += child.content if child.content.startswith("<!--") else " "
        opening = child.type == "link_open"
    return text


def blocks(markdown: str) -> list[str]:
    """Return the text of a page, block by block."""
    found, heading = [], False
    for token in PARSER.parse(DIRECTIVE.sub("", markdown)):
        if token.type == "html_block":
            tagless = re.sub(r"<(?!!--)/?\w[^>]*>", " ", token.content)
            found += [inline(part.children or []) for part in PARSER.parseInline(tagless)]
        elif token.type == "fence" and re.match(r"\{(?!code|math|auto|raw|eval)", token.info):
            found += blocks(token.content)
        elif token.type == "inline":
            found.append(inline(token.children or [], opening=heading))
        heading = token.type == "heading_open"
    return found


def examine(markdown: str, root: Path = ROOT) -> tuple[list[Mark], list[str]]:
    """Return the numbers in a text that a run must yield, and what is wrong with the text."""
    marks, found = [], []
    files = (root / "benchmarks" / "results").glob("*.json")
    results = {path.stem.replace("-", "_"): json.loads(path.read_text(encoding="utf-8")) for path in files}
    for block in blocks(markdown):
        for match in MARK.finditer(block):
            printed, unit, kind, body = match.groups()
            expression, _, tolerance = (" ".join(part.split()) for part in body.partition("±"))
            number = printed.replace(",", "").replace("−", "-")
            half = Decimal("0.5").scaleb(int(Decimal(number).as_tuple().exponent))
            words = COMMENT.sub("", block[: match.start()]).replace("`", "").split()[-5:]
            context, within = " ".join([*words, printed + (unit or "")]), tolerance or f"{half:g}"
            try:
                if kind == "from:" and expression not in keys(root):
                    raise ValueError("the source must be a key of book/references.bib")
                if kind == "=":
                    ast.parse(expression, mode="eval")
                    float(within)
                    marks.append((context, number, expression, within))
                if kind == "bench:":
                    value = float(eval(expression, dict(results)))
                    if not abs(value - float(number)) <= float(within) * (1 + 1e-9):
                        raise ValueError(f"the number must be that of benchmarks/results, {value:.8g}")
            except Exception as error:  # whatever the author's expression may raise
                found.append(f"{error or type(error).__name__}: got “{context}<!-- {kind} {body} -->”")
        rest = MARK.sub(" ", block)
        stray = [comment for comment in COMMENT.findall(rest) if re.match("=|from|bench", comment)]
        found += [f"a mark must follow a number directly: got <!-- {comment} -->" for comment in stray]
        rest = COMMENT.sub(" ", rest)
        for free in FREE:
            rest = free.sub(lambda match: re.sub(r"\d", "`", match[0]), rest)
        for match in re.finditer(r"\S*\d\S*", rest):
            nearby = rest[max(0, match.start() - 40) : match.end() + 20].strip()
            found.append(f"a number must be marked, or be code, mathematics or words: got {match[0]!r} in “{nearby}”")
    return marks, found


def cell_source(marks: list[Mark]) -> str:
    """Write the code that compares the numbers in the text with those of the run, as the formatter would."""
    rows = [
        f"({json.dumps(context, ensure_ascii=False)}, {number}, float({expression}), {tolerance})"
        for context, number, expression, tolerance in marks
    ]
    source = f"""\
# The numbers in this chapter, checked. Written by authoring/locks/numbers.py.
from dlbook._reference import compare

compare({", ".join(rows)},)
"""
    formatter = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(WIDTH), "-"]
    return subprocess.run(formatter, input=source, capture_output=True, check=True, encoding="utf-8").stdout.strip()


def rewrite(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Write the cell that checks the numbers of a notebook, before its exercises; return what is wrong in its text."""
    cell = take(nb, "prose-check")
    texts = [(position, other.source) for position, other in enumerate(nb.cells) if other.cell_type == "markdown"]
    examined = [examine(text, root) for _, text in texts]
    if marks := [mark for marked, _ in examined for mark in marked]:
        exercises = [position for position, text in texts if re.search("^## Exercises", text, re.M)]
        cell.source, cell.metadata = cell_source(marks), {"tags": ["hide-input", "prose-check"]}
        nb.cells.insert([*exercises, len(nb.cells)][0], cell)
    return [fault for _, wrong in examined for fault in wrong]


def faults(root: Path = ROOT) -> list[str]:
    """Return the numbers that are not accounted for, and the notebooks that do not compare theirs with the run."""
    found, looked_at = [], {}
    for page, nb in chapters(root):
        examined = [examine(cell.source, root) for cell in markdown_cells(nb)]
        looked_at[page] = sum(len(marks) for marks, _ in examined)
        found += [f"{page}: {fault}" for _, wrong in examined for fault in wrong]
        if not looked_at[page]:
            found.append(f"{page}: must quote at least one number of its run, marked <!-- = expression -->")
        checks = [cell for cell in code_cells(nb) if "prose-check" in tags(cell)]
        printed = "".join(output.get("text", "") for cell in checks for output in cell.outputs)
        if len(checks) != 1 or "agree" not in printed:
            found.append(f"{page}: must have one cell that compared its numbers with the run: run `make notebooks`")
    for page, (path, _) in pages(root).items():
        if path.suffix == ".md":
            marks, wrong = examine(without_header(path), root)
            wrong += [f"a page without code computes nothing: use from: or bench: for {mark[0]!r}" for mark in marks]
            found += [f"{page}: {fault}" for fault in wrong]
    return found + unseen(looked_at, "marked numbers", root)
