r"""Each symbol of each formula is in the tables of book/appendix/notation, for the section that uses it.

A symbol is a letter (x), a letter with its accent or font (\bar v, \mathrm{softmax}) or a command (\delta, \odot). A
row of the tables lists what the formulas in its first cell hold, for the sections that its last cell names, or
"everywhere". What these formulas begin with has its meaning from that row; what follows, as in W_{hh}, is only used.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from authoring.book import ROOT, markdown, pages
from authoring.locks import unseen
from authoring.locks.equations import CODE

PAGE = "book/appendix/notation.md"
DOUBLE = "## Letters with two meanings in one chapter"
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$(?!\s)([^$]+?)(?<!\s)\$(?!\d)", re.S)
WORDS = re.compile(r"\\(?:text|tag|begin|end)\s*\{[^{}]*\}")
SYMBOL = re.compile(
    r"\\(?:mathrm|operatorname\*?)\s*\{(?P<name>[^{}]*)\}"
    r"|\\(?P<accent>bar|hat|tilde|vec|mathbf|mathbb|mathcal)\s*\{?\s*(?P<letter>\\[A-Za-z]+|[A-Za-z])"
    r"|\\[A-Za-z]+|[A-Za-z]"
)
# What arranges a formula, and the arithmetic that everybody reads alike.
PLAIN = re.compile(
    r"\\(left|right|[bB]ig[lr]?|q?quad|[dt]?frac|sqrt|times|pm|[lg][et]|ne|approx|(not)?in|to|infty|[cl]?dots"
    r"|r(Vert|floor|vert|ceil))"
)


class Row(NamedTuple):
    """A row of the tables: its symbols, those it gives a meaning, and its sections (none: everywhere)."""

    symbols: list[str]
    heads: list[str]
    sections: list[str]


def symbols(formula: str) -> list[str]:
    """Return the symbols of a formula, each once, in their order."""
    found = []
    for match in SYMBOL.finditer(WORDS.sub(" ", formula)):
        if match["name"] is not None:
            found.append(rf"\mathrm{{{re.sub(r'[^A-Za-z]', '', match['name'])}}}")
        elif match["accent"]:
            found.append(rf"\{match['accent']}{{{match['letter']}}}")
        elif not PLAIN.fullmatch(match[0]):
            found.append(match[0])
    return list(dict.fromkeys(found))


def formulas(text: str) -> list[str]:
    """Return the formulas of a Markdown text, displayed or in a line."""
    plain = re.sub(r"<!--.*?-->", "", CODE.sub("`", text), flags=re.S)
    return [display or inline for display, inline in FORMULA.findall(plain)]


def used(root: Path = ROOT) -> dict[str, set[str]]:
    """Return the symbols in the formulas of each notebook, by its section."""
    found = {}
    for path, number in pages(root).values():
        if path.suffix == ".ipynb":
            found[number] = {symbol for formula in formulas(markdown(path)) for symbol in symbols(formula)}
    return found


def rows(text: str) -> list[Row]:
    """Return the rows of the tables in a text."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and (listed := [symbols(formula) for formula in formulas(cells[0])]):
            every = list(dict.fromkeys(symbol for formula in listed for symbol in formula))
            heads = list(dict.fromkeys(formula[0] for formula in listed))
            found.append(Row(every, heads, re.findall(r"\[§([\d.]+)\]", cells[-1])))
    return found


def faults(root: Path = ROOT) -> list[str]:
    """Return all in which the chapters' formulas and the tables differ."""
    text = (root / PAGE).read_text(encoding="utf-8")
    tables, _, doubles = text.partition(DOUBLE)
    chapters, listed = used(root), rows(tables)
    looked_at = {page: len(chapters[number]) for page, (_, number) in pages(root).items() if number in chapters}
    everywhere = {symbol for row in listed if not row.sections for symbol in row.symbols}
    found = [
        f"{PAGE}: {symbol} is used in no formula: delete it" for symbol in everywhere - set().union(*chapters.values())
    ]
    for number, symbols_there in chapters.items():
        here = [row for row in listed if number in row.sections]
        known = everywhere.union(*(row.symbols for row in here))
        found += [f"{PAGE} must list {symbol}, used in section {number}" for symbol in symbols_there - known]
        idle = [(row.heads[0], symbol) for row in here for symbol in row.symbols if symbol not in symbols_there]
        found += [
            f"{PAGE}: the row of {head}: section {number} does not use {symbol}: delete the section or the symbol"
            for head, symbol in idle
        ]
    linked = dict(re.findall(r"^\[§([\d.]+)\]: (\S+)$", text, re.M))
    for number in dict.fromkeys(number for row in rows(text) for number in row.sections):
        target = (root / PAGE).parent / linked.get(number, "")
        if [number] != [section for path, section in pages(root).values() if path.resolve() == target.resolve()]:
            found.append(f"{PAGE}: [§{number}]: must be defined as the address of section {number}")
    several = Counter((head, number) for row in listed for head in row.heads for number in row.sections)
    twice = {pair for pair, count in several.items() if count > 1}
    confessed = {(head, number) for row in rows(doubles) for head in row.heads for number in row.sections}
    found += [f"{PAGE}: {head} has two meanings in section {number}: say so" for head, number in twice - confessed]
    found += [f"{PAGE}: {head} has one meaning in section {number}: delete it" for head, number in confessed - twice]
    return sorted(found) + unseen(looked_at, "formulas", root)
