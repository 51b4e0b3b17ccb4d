"""What a tolerance may be: measured on several machines, recorded, and held to three times of that."""

import copy
import json

import numpy as np
import pytest
from nbformat.v4 import new_output

from authoring import book, execute, spread
from authoring.locks.outputs import unfounded
from tests.helpers.figures import WHITE, png
from tests.helpers.notebooks import code, notebook, printed, shown, write

LINE = np.where(np.arange(40)[:, None, None] // 2 == 5, 0, WHITE).astype(np.uint8)  # two pixels high
NONE = {"absolute": 0.0, "relative": 0.0, "pixels": 0.0, "moves": 0.0}


# --- planted faults ---------------------------------------------------------------------------------------------------


def cell(text, *tags):
    """A notebook of one executed cell that printed a text."""
    return execute.normalise(notebook(code("print(x)", printed(text), tags=tags)))


@pytest.mark.parametrize(
    "text, tag, recorded, bound",
    [
        # at the limit and above it: three times what was recorded
        ("0.12345", "tolerance-0.003", {"absolute": 0.001}, None),
        ("0.12345", "tolerance-0.0031", {"absolute": 0.001}, "0.003"),
        ("0.12345", "tolerance-3pct", {"relative": 0.01}, None),
        ("0.12345", "tolerance-4pct", {"relative": 0.01}, "0.03"),
        ("", "pixels-24", {"pixels": 8.0}, None),
        ("", "pixels-25", {"pixels": 8.0}, "24"),
        ("", "moves-3", {"moves": 1.0}, None),
        ("", "moves-4", {"moves": 1.0}, "3"),
        # nothing was recorded: one unit of the last digit, five of 255
        ("0.123", "tolerance-0.001", {}, None),
        ("0.123", "tolerance-0.002", {}, "0.001"),
        ("5 of 7", "tolerance-1", {}, "0"),
        ("0.50", "tolerance-2pct", {}, None),
        ("0.50", "tolerance-3pct", {}, "0.02"),
        ("0.5", "tolerance-20pct", {}, "0"),
        ("", "pixels-5", {}, None),
        ("", "pixels-6", {}, "5"),
        ("", "moves-1", {}, None),
        ("", "moves-2", {}, "1"),
    ],
)
def test_tolerances(text, tag, recorded, bound):
    nb = cell(text, tag)
    found = unfounded(nb, {nb.cells[0].id: {**NONE, **recorded}})
    assert [fault.split(": run")[0].split("may declare ")[1] for fault in found] == ([bound] if bound else [])
    assert all(
        "the cell 'print(x)' declares" in fault and "run `python -m authoring.spread`" in fault for fault in found
    )


@pytest.mark.parametrize(
    "text, tag, wrong",
    [
        ("0.8812", "accuracy-of-10000", []),
        ("88.12 % after 3 epochs", "accuracy-of-10000", []),
        ("0.988", "accuracy-of-597", []),  # 590 of 597
        ("0.989", "accuracy-of-597", ["0.989 is none"]),
        ("0.8812", "accuracy-of-10", ["0.8812 is none"]),
        ("88.123 %", "accuracy-of-10000", ["88.123 is none"]),
    ],
)
def test_accuracies_are_shares_of_the_examples(text, tag, wrong):
    nb = cell(text, tag)
    found = unfounded(nb, {nb.cells[0].id: NONE})
    assert [fault.split("examples: ")[1] for fault in found] == wrong


def test_missing_record():
    nb = cell("0.5", "tolerance-0.1")
    (fault,) = unfounded(nb, {"the source before it changed": NONE})
    assert (
        "'print(x)' declares ['tolerance-0.1'], but its spread was not recorded: run `python -m authoring.spread`"
        in fault
    )
    assert unfounded(cell("0.5"), {}) == []  # without a tag, nothing needs a record


# --- measuring --------------------------------------------------------------------------------------------------------


def runs(*outputs, tags=()):
    """One cell as several machines ran it."""
    return [execute.normalise(notebook("Words.", code("f(x)", output, tags=tags))) for output in outputs]


def test_equal_runs_leave_no_record(capsys):
    same = runs(printed("0.5"), printed("0.5"))
    assert spread.compare(same) == ({}, [])
    assert capsys.readouterr().out == ""


def test_declared_tolerances_are_recorded(capsys):
    same = runs(printed("0.50 of 2"), printed("0.50 of 2"), tags=["tolerance-0.01"])
    assert spread.compare(same) == ({same[0].cells[1].id: NONE}, [])
    assert capsys.readouterr().out == (
        f"the cell 'f(x)' declares ['tolerance-0.01']: {NONE}\n    0.50: 0 (0.00%)\n    2: 0 (0.00%)\n"
    )


def test_largest_spreads_are_recorded_rounded_up(capsys):
    texts = ["1 0.50 4.000", "1 0.51 4.000", "1 0.49 4.0301"]
    nb = runs(*map(printed, texts), tags=["tolerance-0.04"])
    record, wrong = spread.compare(nb)
    assert record == {nb[0].cells[1].id: {**NONE, "absolute": 0.031, "relative": 0.041}} and not wrong
    assert "0.50: 0.02 (4.08%)\n    4.000: 0.03 (0.75%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "first, other, tags, advice",
    [
        (
            printed("0.500"),
            printed("0.501"),
            [],
            "more than it declares: tag it tolerance-0.002, or print fewer digits",
        ),
        (printed("0.500"), printed("0.503"), ["tolerance-0.002"], "tag it tolerance-0.006, or"),
        (printed("1e-7"), printed("2e-7"), [], "tag it tolerance-0.0000002, or"),
        (shown(image_png=png(WHITE)), shown(image_png=png(WHITE - 6)), [], "tag it pixels-12, or"),
        (shown(image_png=png(LINE)), shown(image_png=png(np.roll(LINE, 2, 0))), [], "tag it moves-2, or"),
        (printed("a 0.5"), printed("b 0.5"), ["tolerance-1"], "differs in more than numbers: tag it sample"),
        (printed("1"), shown(text_plain="1"), [], "differs in more than numbers: tag it sample"),
    ],
)
def test_cells_that_differ_by_more_than_they_declare(first, other, tags, advice):
    (fault,) = spread.compare(runs(first, other, tags=tags))[1]
    assert fault.startswith("the cell 'f(x)' differs") and advice in fault


@pytest.mark.parametrize("tags", [["sample"], ["nbval-ignore-output"]])
def test_what_is_not_compared_is_not_measured(tags):
    assert spread.compare(runs(printed("0.5 s"), printed("0.9 ms"), tags=tags)) == ({}, [])


def test_what_is_suggested_is_allowed():
    nb = runs(printed("0.500"), printed("0.507"))
    record, (fault,) = spread.compare(nb)
    nb[0].cells[1].metadata.tags = [fault.split("tag it ")[1].split(",")[0]]
    assert unfounded(nb[0], record) == []
    assert spread.compare(nb) == (record, [])


def test_suggested_figures_are_allowed_too():
    nb = runs(shown(image_png=png(WHITE)), shown(image_png=png(WHITE - 6)))
    record, _ = spread.compare(nb)
    nb[0].cells[1].metadata.tags = ["pixels-12"]
    assert unfounded(nb[0], record) == [] and spread.compare(nb) == (record, [])


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book with one notebook, in which no kernel runs: each machine adds its number of threads to what is printed."""

    def pretend(nb, folder, machine):
        assert folder == tmp_path / "book"
        nb = copy.deepcopy(nb)
        nb.cells[1].outputs = [new_output("stream", name="stdout", text=f"0.50{machine['OMP_NUM_THREADS']}")]
        nb.cells[2].outputs = [new_output("stream", name="stdout", text=f"{len(machine)}")]
        return nb

    monkeypatch.setattr(execute, "execute", pretend)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    nb = execute.normalise(notebook("Words.", code("x", tags=["tolerance-0.002"]), code("y", tags=["tolerance-5"])))
    write(nb, tmp_path / "book" / "a.ipynb")
    return tmp_path


def test_the_command_records_each_notebook_again(root, capsys):
    path, file = root / "book" / "a.ipynb", root / "book" / "spread.json"
    assert spread.main([str(path)]) == 0
    text = file.read_text()
    first, second = (c.id for c in book.read(path).cells[1:])
    assert json.loads(text) == {
        "book/a.ipynb": {
            first: {**NONE, "absolute": 0.001, "relative": 0.002},
            second: {**NONE, "absolute": 3.0},
        }
    }
    write(book.read(path), root / "book" / "b.ipynb")
    assert spread.main([str(root / "book" / "b.ipynb")]) == 0
    assert list(json.loads(file.read_text())) == ["book/a.ipynb", "book/b.ipynb"]
    file.write_text(text.replace(first, "an-earlier-source"))
    assert spread.main([str(path)]) == 0
    assert file.read_text() == text
    assert capsys.readouterr().err == ""


def test_the_command_names_what_is_wrong(root, capsys):
    path = root / "book" / "a.ipynb"
    nb = book.read(path)
    nb.cells[1].metadata.tags = []
    write(nb, path)
    assert spread.main([str(path)]) == 1
    assert capsys.readouterr().err == (
        "book/a.ipynb: the cell 'x' differs by more than it declares: tag it tolerance-0.002, or print fewer digits\n"
    )


def test_kernels_get_the_machine(tmp_path):
    """The last machine is the imitated CPU with two threads, whatever the reference device has."""
    source = "import os, torch\nprint(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())\n"
    source += f"assert {spread.MACHINES[-1]}.items() <= os.environ.items()"
    nb = execute.execute(notebook(code(source)), tmp_path, spread.MACHINES[-1])
    assert nb.cells[0].outputs[0].text == "2 AVX2\n"
