"""Each number in the text and in alt texts, in digits or words, says where it comes from, and is compared with it.

    reaches 88.1 %<!-- = 100 * test_accuracy ± 1 -->    the run: an expression over the chapter's variables
    `2.6e-7`<!-- = ratio["sigmoid"] -->                 without ±, the value rounded to the printed digits
    28.4<!-- from: vaswani2017 --> BLEU                 the literature: a key of book/references.bib
    14 s<!-- bench: fit["cpu"]["seconds"] ± 1 -->       an expression over benchmarks/results/fit.json
    half<!-- = share ± 0.05 --> of the errors           words, as words.py reads them: three times is 3, a third 0.33
    more than half<!-- is: share > 0.5 --> of them      true of the run; `is: bench: …` of the results
    half<!-- given: the archive is balanced --> of them a quantity in words that nobody measured, and why

`python -m authoring.build` collects those of the run into a cell before the exercises, which compares them with it.
Those of the results are compared at once (a `-` in a file's name is `_` in the expression). Constants are code or
mathematics. Years, versions, names such as ResNet-18, and the numbers of sections, equations, figures, tables and pages
are free, and plain numbers in words, such as three layers. Every other digit, and every quantity in words, is an error.
Alt texts: alts.py.
"""

import ast
import functools
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from markdown_it.token import Token
from nbformat import NotebookNode

from authoring.bibliography import keys
from authoring.book import (
    PARSER,
    ROOT,
    chapters,
    code_cells,
    formatted,
    markdown_cells,
    pages,
    results,
    tags,
    take,
    without_header,
)
from authoring.locks import alts, claims, comparisons, unseen, words

NUMBER = r"(?:(?<![\w.])[-+−])?(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+−]?\d+)?"
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.S)
UNIT = r"\s?(?:%|×|(?:percent|per cent|m?s|min|[kMG]B)\b)"
KIND = r"=|from:|bench:|is: bench:|is:|given:"
MARK = re.compile(
    rf"(?:(?P<number>{NUMBER})(?P<unit>{UNIT})?|(?P<words>(?i:{words.PHRASE})))\s?<!--\s*(?P<kind>{KIND})\s*(?P<body>.*?)\s*-->",
    re.S,
)
REASON = 3  # words at least that say why a quantity needs no check
UNFINISHED: set[str] = set()  # pages whose words and alt texts still wait for their marks; those that are there count
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
DIRECTIVE = re.compile(r"^:{3,}.*$|^:(?!alt:)[\w-]+:.*$", re.M)  # what pages have around text, and its options
OPENING = re.compile(r"^\d+(?:\.\d+)*\.?\s+(?=[^\W\da-z])")  # the number at the start of a heading or of a link's text
Mark = tuple[str, str, str, str]  # a number that the run must yield: its context, itself, the expression, the tolerance


def without_tags(html: str) -> str:
    """Return HTML without its tags, but with what they say of an image to those who do not see it."""
    described = re.sub(r'<[^>]*\s(?:alt|aria-label)="([^"]*)"[^>]*>', r" \1 ", html)
    return re.sub(r"<(?!!--)/?\w[^>]*>", " ", described)


def inline(children: list[Token], opening: bool = False) -> str:
    """Return a line of text without code, mathematics, tags and addresses, but with its comments."""
    text = ""
    for child, after in zip(children, [*children[1:], None], strict=False):
        marked = after is not None and after.type == "html_inline" and after.content.startswith("<!--")
        if child.type in ("text", "image"):
            text += OPENING.sub("", child.content) if opening else child.content
        elif child.type == "code_inline" or child.type.startswith("math_inline"):  # may be marked, but need not be
            plain = re.sub(r"\\(?:times|cdot)10\^(-?\d+)", r"e\1", re.sub(r"[\s{}]|\\[,;]|\\?%", "", child.content))
            text += (re.findall(NUMBER + "$", plain) or ["`"])[0] if marked else "`"
        elif child.type in ("html_inline", "softbreak", "hardbreak"):
            text += child.content if child.content.startswith("<!--") else without_tags(child.content) + " "
        opening = child.type == "link_open"
    return text


@functools.cache  # several locks ask for the same texts
def blocks(markdown: str) -> list[str]:
    """Return the text of a page, block by block."""
    found, heading = [], False
    for token in PARSER.parse(DIRECTIVE.sub("", markdown)):
        if token.type == "html_block":
            found += [inline(part.children or []) for part in PARSER.parseInline(without_tags(token.content))]
        elif token.type == "fence" and re.match(r"\{(?!code|math|auto|raw|eval)", token.info):
            found += blocks(token.content)
        elif token.type == "inline":
            found.append(inline(token.children or [], opening=heading))
        heading = token.type == "heading_open"
    return found


def marked(block: str, match: re.Match[str], stored: dict[str, Any], root: Path) -> Mark | None:
    """Check a mark and what stands before it; return what the run must yield, if it is a mark of the run.

    Raises: ValueError, or whatever the author's expression raises.
    """
    expression, _, tolerance = (" ".join(part.split()) for part in match["body"].partition("±"))
    before = COMMENT.sub("", block[: match.start()]).replace("`", "")
    context = " ".join([*before.split()[-5:], match["words"] or match["number"] + (match["unit"] or "")])
    kind, compared = match["kind"], match["kind"] in ("=", "bench:")
    number, within = (match["number"] or "").replace(",", "").replace("−", "-"), tolerance
    if match["words"]:
        number = f"{float(words.read(match['words'])):.6g}"
        if compared:
            within = words.half_width(match["words"], tolerance)
    elif not tolerance:
        within = f"{Decimal('0.5').scaleb(int(Decimal(number).as_tuple().exponent)):g}"
    if kind == "from:" and expression not in keys(root):
        raise ValueError("the source must be a key of book/references.bib")
    if kind == "given:" and not match["words"]:
        raise ValueError("given: is for words; constants in digits are code or mathematics")
    if kind == "given:" and len(re.findall(r"\w{2,}", expression)) < REASON:
        raise ValueError(f"given: must say in {REASON} words or more why nothing is to be compared")
    if kind in ("is:", "is: bench:"):
        wrong = comparisons.fault(float(number), before, COMMENT.sub("", block[match.end() :]), expression)
        if wrong:
            raise ValueError(wrong)
        if kind == "is:":
            return f"{context}: 1 if so", "1", expression, "0"
        if not eval(expression, dict(stored)):
            raise ValueError("the comparison must hold in benchmarks/results")
    if kind == "=":
        ast.parse(expression, mode="eval")
        float(within)
        return context, number, expression, within
    if kind == "bench:":
        value = float(eval(expression, dict(stored)))
        if not abs(value - float(number)) <= float(within) * (1 + 1e-9):
            raise ValueError(f"the number must be that of benchmarks/results, {value:.8g}")
    return None


def examine(
    markdown: str, root: Path = ROOT, finished: bool = True, stored: dict[str, Any] | None = None
) -> tuple[list[Mark], list[str]]:
    """Return the numbers in a text that a run must yield, and what is wrong with the text.

    Args:
        markdown: the text.
        root: the folder of the book.
        finished: whether quantities in words must be marked.
        stored: the results of benchmarks, for a caller with many texts; default: read them.
    """
    marks, found = [], []
    stored = results(root) if stored is None else stored
    for block in blocks(markdown):
        for match in MARK.finditer(block) if "<!--" in block else ():
            try:
                if (mark := marked(block, match, stored, root)) is not None:
                    marks.append(mark)
            except Exception as error:  # whatever the author's expression may raise
                near = COMMENT.sub("", block[: match.start()]).replace("`", "").split()[-5:]
                shown = " ".join([*near, match[0]])
                found.append(f"{error or type(error).__name__}: got “{shown}”")
        found += unmarked(block, finished)
    return marks, found


@functools.cache  # several locks ask for the same texts
def unmarked(block: str, finished: bool) -> list[str]:
    """Return the digits of a block of text, and its quantities in words if it is finished, that have no mark."""
    rest = MARK.sub(" ` ", block) if "<!--" in block else block
    stray = [comment for comment in COMMENT.findall(rest) if re.match("=|from|bench|is:|given", comment)]
    found = [f"a mark must follow a number directly: got <!-- {comment} -->" for comment in stray]
    rest = COMMENT.sub(" ", rest)
    for match in words.QUANTITY.finditer(rest) if finished else ():
        nearby = rest[max(0, match.start() - 40) : match.end() + 30].strip()
        found.append(f"a quantity in words must be marked, or be digits: got {match[0]!r} in “{nearby}”")
    for free in FREE:
        rest = free.sub(lambda match: re.sub(r"\d", "`", match[0]), rest)
    for match in re.finditer(r"\S*\d\S*", rest):
        nearby = rest[max(0, match.start() - 40) : match.end() + 20].strip()
        found.append(f"a number must be marked, or be code, mathematics or words: got {match[0]!r} in “{nearby}”")
    return found


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
    return formatted(source)


def examine_all(nb: NotebookNode, root: Path = ROOT) -> tuple[list[Mark], list[str]]:
    """Examine the text of a notebook and its alt texts; quantities in words are left to the lock, which knows the page.

    Returns: the numbers that its run must yield, and what is wrong.
    """
    described = [template for template, _ in alts.templates(nb) if COMMENT.search(template)]
    texts = [cell.source for cell in markdown_cells(nb)] + described
    stored = results(root)
    examined = [examine(text, root, False, stored) for text in texts]
    return [mark for marks, _ in examined for mark in marks], [fault for _, wrong in examined for fault in wrong]


def of_the_run(nb: NotebookNode, root: Path = ROOT) -> list[Mark]:
    """Return the numbers in the text of a notebook, and in its alt texts, that its run must yield."""
    return examine_all(nb, root)[0]


def rewrite(nb: NotebookNode, root: Path = ROOT) -> list[str]:
    """Write the cell that checks the numbers of a notebook, before its exercises; return what is wrong in its text."""
    cell = take(nb, "prose-check")
    alts.rewrite(nb)
    marks, wrong = examine_all(nb, root)
    if marks:
        headings = [n for n, other in enumerate(nb.cells) if other.cell_type == "markdown"]
        exercises = [n for n in headings if re.search("^## Exercises", nb.cells[n].source, re.M)]
        cell.source, cell.metadata = cell_source(marks), {"tags": ["hide-input", "prose-check"]}
        nb.cells.insert([*exercises, len(nb.cells)][0], cell)
    return wrong + claims.rewrite(nb, root)


def faults(root: Path = ROOT) -> list[str]:
    """Return the numbers that are not accounted for, and the notebooks that do not compare theirs with the run."""
    found, looked_at, stored = [], {}, results(root)
    for page, nb in chapters(root):
        finished = page not in UNFINISHED
        examined = [examine(cell.source, root, finished, stored) for cell in markdown_cells(nb)]
        looked_at[page] = sum(len(marks) for marks, _ in examined)
        found += [f"{page}: {fault}" for _, wrong in examined for fault in wrong]
        found += [f"{page}: {fault}" for fault in alts.faults(nb)]
        for template, _ in alts.templates(nb):
            if finished or COMMENT.search(template):
                wrong = examine(template, root, finished, stored)[1]
                found += [f"{page}: the alt text “{template[:40]} …”: {fault}" for fault in wrong]
        if not looked_at[page]:
            found.append(f"{page}: must quote at least one number of its run, marked <!-- = expression -->")
        checks = [cell for cell in code_cells(nb) if "prose-check" in tags(cell)]
        printed = "".join(output.get("text", "") for cell in checks for output in cell.outputs)
        if len(checks) != 1 or "agree" not in printed:
            found.append(f"{page}: must have one cell that compared its numbers with the run: run `make notebooks`")
    for page, (path, _) in pages(root).items():
        if path.suffix == ".md":
            marks, wrong = examine(without_header(path), root, page not in UNFINISHED, stored)
            wrong += [f"a page without code computes nothing: use from: or bench: for {mark[0]!r}" for mark in marks]
            found += [f"{page}: {fault}" for fault in wrong]
    return found + unseen(looked_at, "marked numbers", root)
