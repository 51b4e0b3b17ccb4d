"""The output lock, proven by faults: each cell of one notebook is right or wrong, and pytest must say which, and why.

The cells are executed as they should be, get other sources, and are compared by nbval and the plugin, in a folder of
their own, by two of xdist's workers, as `make test` compares the book; a part of them is compared in this process.
"""

import base64
import json
import os
import re
import subprocess
import sys

import pytest

from authoring import machines
from authoring.book import ROOT, code_cells, notebooks, read, write
from authoring.execute import execute, normalise
from authoring.locks.outputs import unclear
from authoring.locks.outputs_plugin import devices
from authoring.locks.stored import unexecuted
from tests.helpers.notebooks import code, notebook, printed

pytest_plugins = ["pytester"]

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval"]
# Ours first: what authoring/__init__.py does saves two seconds, if it comes before nbformat.
PLUGINS = ["-p", "authoring.pytest_plugin", "-p", "nbval.plugin", "-p", "xdist.plugin"]
WORKERS = ["-n", "2", "--dist", "loadfile"]
SETUP = """\
%config InlineBackend.print_figure_kwargs = {"bbox_inches": None}
import sys
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, SVG, display

epochs = np.arange(40)
losses = 2.3 * np.exp(-epochs / 9) + 0.2

def draw(first, second=losses / 2, label="epoch"):
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.plot(epochs, first)
    axes.plot(epochs, second)
    axes.set(xlabel=label, ylabel="loss", ylim=(0, 2.6))
    plt.show()"""
TABLE = "pd.DataFrame({'accuracy': [%s, 0.5], 'name': ['a', '%s']})"
VECTOR = 'SVG(\'<svg xmlns="http://www.w3.org/2000/svg"><text x="%s">%s</text></svg>\')'
PAGE = "HTML('<p style=\"width: %spx\">accuracy %s</p>')"
JITTER = "draw(losses * (1 + 2e-4 * np.random.default_rng(0).standard_normal(40)))"
FIGURE = "in its worst patch, limit 5: compare _build/failed-figures/faults-cell-"
KINDS = "the stored output is {}; the fresh output is {}"
RIGHT = None
# name, source that made the stored output, source that runs now, tags, what the failure says
CELLS = [
    ("same digits", "print('x', 0.5)", "print('x', 0.5)", [], RIGHT),
    ("changed digit", "print('x', 0.5)", "print('x', 0.5000001)", [], "x 0.5000001"),
    ("just less", "print('x', 0.5)", "print('x', 0.5099)", ["tolerance-0.01"], RIGHT),
    ("just more", "print('x', 0.5)", "print('x', 0.5101)", ["tolerance-0.01"], "Declared: tolerance-0.01"),
    ("just less, relative", "print(20.0)", "print(20.99)", ["tolerance-5pct"], RIGHT),
    ("just more, relative", "print(20.0)", "print(21.01)", ["tolerance-5pct"], "Declared: tolerance-5pct"),
    ("two examples", "print('88.12 %')", "print('88.14 %')", ["accuracy-of-10000"], RIGHT),
    ("three examples", "print('88.12 %')", "print('88.15 %')", ["accuracy-of-10000"], "Declared: accuracy-of-10000"),
    ("changed word", "print('x', 0.5)", "print('y', 0.5)", ["tolerance-0.01"], "y 0.5"),
    ("result", "[0.5, 'a']", "[0.5001, 'a']", ["tolerance-0.01"], RIGHT),
    ("table", TABLE % (0.91, "b"), TABLE % (0.9134, "b"), ["tolerance-0.01"], RIGHT),
    ("digit in a table", TABLE % (0.91, "b"), TABLE % (0.92, "b"), [], "text/html"),
    ("table, too far", TABLE % (0.91, "b"), TABLE % (0.93, "b"), ["tolerance-0.01"], "text/html"),
    ("word in a table", TABLE % (0.91, "b"), TABLE % (0.91, "c"), ["tolerance-0.01"], "text/html"),
    ("svg", VECTOR % (1, 0.5), VECTOR % (1, 0.505), ["tolerance-0.01"], RIGHT),
    ("digit in an svg", VECTOR % (1, 0.5), VECTOR % (1, 0.505), [], "image/svg"),
    ("place in an svg", VECTOR % (1, 0.5), VECTOR % (2, 0.5), ["tolerance-9"], "image/svg"),
    ("html", PAGE % (3, 0.5), PAGE % (3, 0.505), ["tolerance-0.01"], RIGHT),
    ("digit in html", PAGE % (3, 0.5), PAGE % (3, 0.505), [], "text/html"),
    ("width in html", PAGE % (3, 0.5), PAGE % (4, 0.5), ["tolerance-9"], "text/html"),
    ("figure", "draw(losses)", "draw(losses)", [], RIGHT),
    ("jitter of threads", "draw(losses)", JITTER, [], RIGHT),
    ("changed label", "draw(losses)", "draw(losses, label='epochs')", [], FIGURE),
    ("curve 1 % higher", "draw(losses)", "draw(losses * 1.01)", [], FIGURE),
    ("swapped curves", "draw(losses)", "draw(losses / 2, losses)", [], FIGURE),
    ("curve moved", "draw(losses)", "draw(losses + 0.012)", ["moves-2"], RIGHT),
    ("curve moved too far", "draw(losses)", "draw(losses + 0.1)", ["moves-2"], FIGURE),
    ("changed label, moves", "draw(losses)", "draw(losses, label='epochs')", ["moves-2"], FIGURE),
    ("swapped curves, moves", "draw(losses)", "draw(losses / 2, losses)", ["moves-2"], FIGURE),
    ("wide limit", "draw(losses)", "draw(losses * 1.01)", ["pixels-200"], RIGHT),
    ("figure gone", "draw(losses)", "pass", [], KINDS.format("image/png + text/plain", "nothing")),
    ("extra output", "print(1)", "print(1); display(2)", [], KINDS.format("stdout", "stdout, text/plain")),
    ("other order", "print(1); display(2)", "display(2); print(1)", [], "the fresh output is text/plain, stdout"),
    ("stderr", "print(1)", "print(1); print(2, file=sys.stderr)", [], KINDS.format("stdout", "stdout, stderr")),
    ("deleted output", "print(1)", "print(1)", [], KINDS.format("nothing", "stdout")),
    ("error", "print(1)", "1 / 0", [], "Correct the cell; or, .* tag it `raises-exception`"),
    ("expected error", "1 / 0", "1 / 0", ["raises-exception"], RIGHT),
    ("other error", "1 / 0", "[][0]", ["raises-exception"], "IndexError"),
    ("no error any more", "1 / 0", "1", ["raises-exception"], KINDS.format("error", "text/plain")),
    ("ignored", "print(1)", "print(2)", ["nbval-ignore-output"], RIGHT),
    ("ignored, stderr", "print(1)", "print(1, file=sys.stderr)", ["nbval-ignore-output"], "the fresh output is stderr"),
    ("sample", "text = 'so it'; print(text)", "text = 'as it'; print(text)", ["sample"], RIGHT),
    ("its property", "assert len(text) == 5", "assert len(text) == 5", [], RIGHT),
    ("sample gone", "print(text)", "pass", ["sample"], KINDS.format("stdout", "nothing")),
    ("property that fails", "assert text", "assert text == 'so it'", [], "AssertionError"),
    ("silent", "a = 1", "a = 1", [], RIGHT),
]  # fmt: skip


# What a reader's shell may hold, and what the cells must see instead.
OTHER = {"DLBOOK_DEVICE": "cuda", "KERAS_BACKEND": "jax", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "2"}
SEEN = """\
import os
for name in ("DLBOOK_DEVICE", "KERAS_BACKEND", "PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    print(os.environ[name])"""


def start(folder, *options):
    """Start pytest in a folder, with the output lock."""
    command = [*PYTEST, *PLUGINS, "-rA", "--color=no", *options]
    environment = {**os.environ, **OTHER, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # is faster
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def finish(process):
    return process.communicate(timeout=180)[0]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder with the notebook whose outputs are stored for one set of cells, and whose sources are another."""
    folder = tmp_path_factory.mktemp("book")
    nb = notebook(code(SETUP), *(code(stored, tags=tags) for _, stored, _, tags, _ in CELLS))
    for cell in nb.cells:
        if "1 / 0" in cell.source:
            cell.metadata.tags = ["raises-exception"]
    nb = normalise(execute(nb, folder))
    for cell, (name, _, fresh, tags, _) in zip(nb.cells[1:], CELLS, strict=True):
        cell.source, cell.metadata = fresh, {"tags": tags}
        if name == "deleted output":
            cell.outputs = []
    write(nb, folder / "faults.ipynb")
    fine = notebook(code(SEEN, printed("cpu\ntorch\n0\n2\n2\n")))
    fine.metadata.kernelspec = {"display_name": "Course", "language": "python", "name": "conda-env-course-py"}
    write(fine, folder / "fine.ipynb")
    colab = json.loads((folder / "fine.ipynb").read_text())
    colab["nbformat_minor"] = 0
    del colab["cells"][0]["id"]
    (folder / "colab.ipynb").write_text(json.dumps(colab))
    return folder


@pytest.fixture(scope="module")
def outcome(book):
    """What pytest prints."""
    return finish(start(book, *WORKERS))


def passage(text, number):
    """Return what a run of pytest says about one cell that failed."""
    found = re.search(rf"^_+ \S*faults.ipynb::Cell {number} _+$(.*?)^(?:_+ |=+ )", text, re.M | re.S)
    return found[1] if found else ""


@pytest.mark.parametrize("number, message", [pytest.param(n, row[4], id=row[0]) for n, row in enumerate(CELLS, 1)])
def test_cell(outcome, number, message):
    verdict = "FAILED" if message else "PASSED"
    assert re.search(rf"^{verdict} faults.ipynb::Cell {number}\b", outcome, re.M), outcome[-3000:]
    if message:
        assert re.search(message.replace("+", r"\+"), passage(outcome, number)), passage(outcome, number)
        assert "run `make notebooks`" in passage(outcome, number)


def test_failed_figure_is_saved_beside_the_stored_one(book, outcome):
    number = 1 + [row[0] for row in CELLS].index("curve 1 % higher")
    names = re.search(r"compare _build/failed-figures/(\S+) with (\S+)\.\n", passage(outcome, number)).groups()
    assert names == (f"faults-cell-{number}.png", f"faults-cell-{number}-stored.png")
    fresh, stored = ((book / "_build" / "failed-figures" / name).read_bytes() for name in names)
    assert stored == base64.b64decode(read(book / "faults.ipynb").cells[number].outputs[0].data["image/png"])
    assert fresh != stored


def test_kernels_get_the_reference_device(outcome):
    """Whatever the kernel is called where a notebook was saved, and whichever program saved it."""
    assert "PASSED fine.ipynb::Cell 0" in outcome and "PASSED colab.ipynb::Cell 0" in outcome


def test_summary_counts_cells(outcome):
    text = "49 cells of 3 notebooks: 20 exact, 20 toleranced, 2 sample, 2 ignored, 5 without output"
    assert text in outcome, re.findall(".* cells of .*", outcome)


def test_summary_names_the_machines(outcome):
    assert f"Stored outputs are from {machines.STORED_ON}, one thread; this is {machines.kind()}" in outcome


def test_where_outputs_are_from(tmp_path, monkeypatch):
    """Other kinds of processor are compared as well, and told what they are compared with."""
    (tmp_path / "book").mkdir()
    record = {"book/a.ipynb": {"on": "x86_64 AVX2"}, "book/b.ipynb": {}}
    (tmp_path / "book" / "spread.json").write_text(json.dumps(record))
    monkeypatch.delenv(machines.SEED, raising=False)
    monkeypatch.setattr(machines, "kind", lambda: "x86_64 AVX2")
    both = "Stored outputs are from x86_64 AVX2 and x86_64 AVX512, one thread; this is x86_64 AVX2"
    assert devices(tmp_path, {"book/a.ipynb", "book/b.ipynb", "book/c.ipynb"}) == f"{both}."
    monkeypatch.setenv(machines.SEED, "3")
    assert devices(tmp_path, {"book/a.ipynb", "book/b.ipynb"}) == f"{both}, each sum rounded otherwise (seed 3)."
    monkeypatch.delenv(machines.SEED)
    monkeypatch.setattr(machines, "kind", lambda: "arm64 DEFAULT")
    assert devices(tmp_path, {"book/a.ipynb"}) == (
        "Stored outputs are from x86_64 AVX2, one thread; this is arm64 DEFAULT: tolerances were not measured on this "
        "kind of processor, so cells may fail that are right."
    )


# --- what is refused before anything runs -----------------------------------------------------------------------------


def counted(counts, *cells):
    nb = notebook(*cells)
    for cell, count in zip(nb.cells, counts, strict=True):
        cell.execution_count = count
    return nb


def sampled(following, earlier="pass", tags=("sample",)):
    return notebook(code(earlier), code("print(text)", printed("so it"), tags=tags), "Some words.", *following)


DEFINED = """\
def check(text):
    assert text

def report(text):
    check(text)

def silent(text):
    print(text)

def loop(text):
    loop(text)"""
UNTESTED = "cell 1, 'print(text)': it is tagged `sample`, so its output is not compared: assert a property of it"
REFUSED = {
    "misspelt": (notebook(code("1", tags=["tolerance-1e-3"])), "cell 0, '1': tag must read like tolerance-0.01, "),
    "comment": (notebook(code("# NBVAL_IGNORE_OUTPUT\n1")), "say what nbval shall do by a tag, not by a comment"),
    "skipped": (notebook(code("1", tags=["nbval-skip"])), "got 'nbval-skip'"),
    "stripped": (counted([None], code("1")), "cell 0, '1': it was never executed: run `make notebooks`"),
    "twice": (counted([2], code("1")), "must run 1, 2, 3, …: got 2 instead of 1: run `make notebooks`"),
    "gap": (counted([1, None, 3], code("1"), code(" "), code("2")), "cell 2, '2': execution counts must run 1, 2, 3"),
    "warned": (notebook(code("1", printed("w", "stderr"))), "holds stderr: silence the cause and run `make notebooks`"),
    "sample_last": (sampled([]), UNTESTED),
    "sample_then_words": (sampled([code("print(len(text))")]), UNTESTED),
    "sample_then_constant": (sampled([code("assert True")]), UNTESTED),
    "sample_then_silent": (sampled([code("silent(text)")], DEFINED), UNTESTED),
    "sample_then_loop": (sampled([code("loop(text)")], DEFINED), UNTESTED),
    "sample_then_definition": (sampled([code("def later(text):\n    assert text")]), UNTESTED),
    "sample_then_nonsense": (sampled([code("assert text,,")]), UNTESTED),
    "sample_then_later": (sampled([code("1"), code("assert text")]), UNTESTED),
}
ACCEPTED = {
    "empty": counted([1, None, 2], code("1"), code("  "), code("2")),
    "tested": sampled([code("assert len(text) == 5")]),
    "tested_in_a_loop": sampled([code("%time 1\nfor letter in text:\n    assert letter in 'soit '")]),
    "tested_in_a_function": sampled([code("report(text)")], DEFINED),
    "tested_by_torch": sampled([code("torch.testing.assert_close(text, text)")]),
    "other_tags": notebook(code("1", tags=["hide-cell", "remove-cell", "setup", "raises-exception"])),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    for name, (nb, _) in REFUSED.items():
        write(nb, folder / f"{name}.ipynb")
    return finish(start(folder, "-n", "1"))  # a worker is asked, as above


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_runs(refusals, name):
    found = re.search(rf"^_+ ERROR collecting {name}.ipynb _+$(.*?)^(?:_+ |=+ )", refusals, re.M | re.S)
    assert found and REFUSED[name][1] in found[1], refusals


def test_nothing_runs_of_what_is_refused(refusals):
    assert not re.search("^(PASSED|FAILED)", refusals, re.M)


def test_nothing_else_is_refused(tmp_path):
    for name, nb in ACCEPTED.items():
        write(nb, tmp_path / f"{name}.ipynb")
    text = finish(start(tmp_path, "--collect-only", "-q"))
    assert set(re.findall(r"^(\w+)\.ipynb::Cell 0", text, re.M)) == set(ACCEPTED), text
    assert "ERROR" not in text


def test_outputs_are_not_compared_in_lax_mode(book):
    """On machines for which the stored outputs are not promised, cells still must run."""
    text = finish(start(book, "--nbval-lax", "fine.ipynb"))
    assert "1 cells of 1 notebooks: 1 only executed" in text, text


def test_it_accepts_each_notebook_of_the_book():
    paths = notebooks()
    assert paths
    run = subprocess.run(
        [*PYTEST, "--collect-only", "-q", *map(str, paths)], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stdout
    for path in paths:
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        assert cells and run.stdout.count(f"{path.relative_to(ROOT).as_posix()}::Cell ") == len(cells)


# --- in this process, where coverage sees it --------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    nb, message = REFUSED[name]
    cells = code_cells(nb)
    assert any(message in fault for fault in unclear(cells) + unexecuted(cells))


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted(name):
    cells = code_cells(ACCEPTED[name])
    assert unclear(cells) + unexecuted(cells) == []


def test_one_run(pytester, book):
    nb = read(book / "faults.ipynb")
    wanted = {"same digits", "changed digit", "just more", "curve 1 % higher", "figure gone", "sample", "its property"}
    nb.cells = [nb.cells[0], *(cell for cell, row in zip(nb.cells[1:], CELLS, strict=True) if row[0] in wanted)]
    for count, cell in enumerate(nb.cells, 1):
        cell.execution_count = count
    write(nb, pytester.path / "faults.ipynb")
    write(REFUSED["misspelt"][0], pytester.path / "refused.ipynb")
    result = pytester.runpytest_inprocess("-p", "authoring.pytest_plugin", "--nbval", "--continue-on-collection-errors")
    result.assert_outcomes(passed=4, failed=4, errors=1)
    result.stdout.fnmatch_lines(["*refused.ipynb: not fit to be compared.*", "*8 cells of 1 notebooks: 4 exact*"])
