"""Whoever changes a formula on a page is caught: random edits of the LaTeX of all formulas that are executed."""

import importlib
import inspect
import random
import re
from collections import Counter

import numpy as np
import pytest
import torch

from authoring.book import ROOT
from authoring.formulas import FormulaError, ParseError, parse
from authoring.formulas.parse import bare
from tests.helpers.equations import EXECUTED, Formula, page_formulas

EDITS = 200
TOKEN = re.compile(
    r"\\(?:mathrm|text|operatorname|mathcal)\{[^{}]*\}|\\(?:begin|end)\{\w+\}|\\[A-Za-z]+|\\.|\d+|[A-Za-z]|\S"
)
LAYOUT = re.compile(r"\\(?:[,;:!>]|q?quad|left|right|[bB]igg?[lr]?|[td]?frac|begin.*|end.*)|[{}&]")


class Recorded(Formula):
    """A formula that keeps what it was worth."""

    def __init__(self, source):
        super().__init__(source)
        self.values = []

    def __call__(self, *arguments, **options):
        found = super().__call__(*arguments, **options)
        self.values.append(found)
        return found


def other(rng, choices, than):
    return rng.choice([choice for choice in choices if choice != than])


def swapped_scripts(rng, text):
    found = [m for m in re.finditer(r"_\{?(\w)[\s\\,]*(\w)", text) if m[1] != m[2]]
    m = rng.choice(found)
    return text[: m.start(1)] + m[2] + text[m.end(1) : m.start(2)] + m[1] + text[m.end(2) :]


def without(rng, text, pattern):
    m = rng.choice([*re.finditer(pattern, text)])
    return text[: m.start()] + text[m.end() :]


def changed(rng, text, pattern, new):
    m = rng.choice([*re.finditer(pattern, text)])
    return text[: m.start()] + new(m[0]) + text[m.end() :]


def factor(rng, text):
    """Drop a letter with its scripts."""
    return without(rng, text, r"(?<![\\A-Za-z])[A-Za-z](?:_\{[^{}]*\}|_\w)?")


LETTERS = "abcdhijklmnpqstuvwxyzWKLNTB"
KINDS = {
    "drop a token": lambda rng, text: without(rng, text, TOKEN.pattern),
    "another sign": lambda rng, text: changed(rng, text, r"[+-]", lambda sign: "+-"[sign == "+"]),
    "swap two subscripts": swapped_scripts,
    "another digit": lambda rng, text: changed(rng, text, r"\d", lambda digit: other(rng, "0123456789", digit)),
    "another letter": lambda rng, text: changed(
        rng, text, r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", lambda letter: other(rng, LETTERS, letter)
    ),
    "drop a transpose": lambda rng, text: without(rng, text, r"\^\{?\\top\}?"),
    "drop a factor": factor,
    "another function": lambda rng, text: changed(
        rng, text, r"\\(exp|log|sin|cos|tanh|max|min|sum|sqrt|sigma)\b",
        lambda name: other(rng, [r"\exp", r"\tanh", r"\sin", r"\cos", r"\prod", r"\min"], name),
    ),
    "turn a relation": lambda rng, text: changed(
        rng, text, r"\\le(?![a-z])|\\ge|<|>|(?<=[a-z] )=(?= [a-z])",
        lambda sign: other(rng, [r"\le", r"\ge", "<"], sign),
    ),
    "add one": lambda rng, text: changed(rng, text, r"(?<=[a-z}\d])(?=[\s}]|\\[,;])", lambda _: " + 1"),
}  # fmt: skip


def edited(rng, text):
    """Return a kind of edit, and the text after it; try others where it finds nothing."""
    while True:
        kind = rng.choice([*KINDS])
        try:
            return kind, KINDS[kind](rng, text)
        except IndexError:
            continue


def bodies():
    """Import all tests that execute a formula, and return them."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if re.search(r"^@executed\(", path.read_text(encoding="utf-8"), re.M):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    pages = page_formulas()
    return [this for (_, where), this in sorted(EXECUTED.items()) if this.tag in pages and where]


def same(a, b):
    """Whether two results are equal, in names, shapes and numbers."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(dict.get(a, k), dict.get(b, k)) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if callable(a) or callable(b):
        return callable(a) and callable(b)
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def fate(this, source, before, fixtures):
    """Say what becomes of a test when its page says something else."""
    formula = Recorded(source)
    try:
        torch.manual_seed(0)
        this.test(formula=formula, **fixtures)
    except ParseError:
        return "parse error"
    except FormulaError:
        return "evaluation error"
    except AssertionError:
        return "assertion"
    except (TypeError, ValueError):  # the left side defines something else, such as a function
        return "the test breaks"
    functions = before.functions
    if parse(before.source, functions) == parse(source, functions):
        return "same tree"
    return "same values" if same(before.values, formula.values) else "not caught"


@pytest.fixture
def run(request):
    """Return each test that executes a formula, with its fixtures and what the page's formula is worth in it."""
    found = []
    for this in bodies():
        needed = [name for name in inspect.signature(this.test).parameters if name != "formula"]
        fixtures = {name: request.getfixturevalue(name) for name in needed}
        before = Recorded(page_formulas()[this.tag])
        this.run(before, fixtures)
        found.append((this, before, fixtures))
    return found


def test_random_edits_are_caught(run):
    rng, fates, missed = random.Random(0), Counter(), []
    for _ in range(EDITS):
        this, before, fixtures = rng.choice(run)
        text = bare(before.source)
        kind, after = edited(rng, text)
        if after == text:
            fates["same tree"] += 1
            continue
        outcome = fate(this, after, before, fixtures)
        fates[outcome] += 1
        if outcome in ("not caught", "same values"):
            missed.append(f"{outcome}: {this.tag}, {kind}: {' '.join(after.split())}")
    assert not fates["not caught"], "\n".join(missed)
    assert fates["same values"] <= 0.05 * EDITS, "\n".join(missed)
    assert fates["assertion"] > 0.2 * EDITS


def test_each_kind_of_edit_does_something():
    text = r"y_{ij} = \sum_{p \le k} \exp(x_{pi}^{\top} + 2 w)\, b"
    rng = random.Random(0)
    for kind, edit in KINDS.items():
        assert edit(rng, text) != text, kind
