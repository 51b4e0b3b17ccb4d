"""The part of the catalogue that only a run can find: formulas, sentences on what was computed, stored outputs.

One notebook holds a cell for each sentence and each output, and pytest compares all of them in one kernel; before each
harmed one stands the same cell unharmed, which must pass.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from authoring.book import ROOT, code_cells, tags, write
from authoring.execute import normalise
from authoring.formulas import FormulaError
from authoring.locks import equations, numbers
from tests.helpers.equations import EXECUTED, Formula, page_formulas
from tests.helpers.notebooks import code, notebook, printed
from tests.helpers.planted import Book, copy
from tests.helpers.planted_in_runs import COMPUTED, FORMULAS, OUTPUTS, SENTENCES, chapter, declares, first

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval"]
# Ours first: what authoring/__init__.py does saves two seconds, if it comes before nbformat.
PLUGINS = ["-p", "authoring.pytest_plugin", "-p", "nbval.plugin", "-rA", "--color=no"]
REPLAY = """
import json
from pathlib import Path

from IPython.display import display


def replay(number):
    for output in json.loads(Path("outputs.json").read_text(encoding="utf-8"))[number]:
        if "text" in output:
            print(output["text"], end="")
        else:
            display(output["data"], raw=True)"""


def by_kind(fault):
    return f"{fault.lock}: {fault.kind}"


# --- formulas ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A copy of the book, from which each fault takes its own."""
    return copy(ROOT, tmp_path_factory.mktemp("whole") / "book", shutil.copy)


@pytest.fixture(scope="session")
def tests_of():
    """Return the tests that execute an equation and need nothing else."""
    proofs = equations.proofs()[0]

    def find(tag):
        found = []
        for proof in (proof for proof in proofs if proof.tag == tag):
            path, _, name = proof.test.partition("::")
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            found.append(EXECUTED[tag, f"{module.__name__.rpartition('.')[2]}.{name}"])
        return found

    return find


def passes(test, source):
    try:
        test.run(Formula(source), {})
    except (AssertionError, FormulaError, TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("fault", FORMULAS, ids=by_kind)
def test_the_equations_test_rejects_what_was_planted(fault, whole, tests_of, tmp_path):
    root = copy(whole, tmp_path / "book")
    tag = fault.plant(Book(root))
    changed = equations.formulas(root)
    shutil.rmtree(root)
    assert [other for other, formula in changed.items() if formula != page_formulas()[other]] == [tag]
    tests = tests_of(tag)
    assert tests and all(passes(test, page_formulas()[tag]) for test in tests)
    assert not all(passes(test, changed[tag]) for test in tests)


# --- sentences and outputs --------------------------------------------------------------------------------------------


def check(nb):
    """Return the cell that is written from the marks and claims of a chapter."""
    assert numbers.rewrite(nb) == []
    (cell,) = [cell for cell in code_cells(nb) if "prose-check" in tags(cell)]
    return cell.source


@pytest.fixture(scope="session")
def outcome(tmp_path_factory):
    """What pytest says of a notebook with all of them, by the kind and whether it was harmed: verdict and words."""
    folder, cells, stored, names = tmp_path_factory.mktemp("runs"), [], [], []
    agree = printed("10 numbers in the text agree with this run.\n2 claims hold in this run.\n")
    says = {}
    for fault in SENTENCES:
        harmed = chapter()
        says[fault] = fault.plant(harmed)
        cells += [code(check(chapter()), agree), code(check(harmed), agree)]
        names += [(fault, False), (fault, True)]
    for fault in OUTPUTS:
        right, wrong = first(fault.plant)
        cells += [code(f"replay({len(stored)})", *cell.outputs, tags=declares(right)) for cell in (right, wrong)]
        stored.append(right.outputs)
        names += [(fault, False), (fault, True)]
    (folder / "outputs.json").write_text(json.dumps(stored), encoding="utf-8")
    write(normalise(notebook(code(COMPUTED + REPLAY), *cells)), folder / "planted.ipynb")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(
        [*PYTEST, *PLUGINS], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    found = {}
    for number, name in enumerate(names, 1):
        verdict = re.search(rf"^(PASSED|FAILED) planted\.ipynb::Cell {number}\b", run.stdout, re.M)
        words = re.search(rf"^_+ \S*planted\.ipynb::Cell {number} _+$(.*?)^(?:_+ |=+ )", run.stdout, re.M | re.S)
        found[name] = (verdict and verdict[1], words[1] if words else run.stdout[-3000:])
    return found, says


@pytest.mark.parametrize("fault", SENTENCES, ids=by_kind)
def test_the_check_of_the_text_fails(fault, outcome):
    found, says = outcome
    assert found[fault, False][0] == "PASSED", found[fault, False][1]
    verdict, words = found[fault, True]
    assert verdict == "FAILED" and all(part in words for part in says[fault]), words


@pytest.mark.parametrize("fault", OUTPUTS, ids=by_kind)
def test_the_output_lock_sees_the_difference(fault, outcome):
    found, _ = outcome
    assert found[fault, False][0] == "PASSED", found[fault, False][1]
    verdict, words = found[fault, True]
    assert verdict == "FAILED" and "run `make notebooks`" in words, words
