"""Running notebooks: on the reference device, the same bytes each time, nothing stored that may not be published."""

import os

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_output

from authoring.book import dumps
from authoring.execute import execute, is_executed, normalise
from tests.helpers.notebooks import code, notebook, printed, shown

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
NAMES = ["DLBOOK_DEVICE", "TQDM_DISABLE", "PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MINE"]
SHOW = f"import os\nprint(*(os.environ.get(name) for name in {NAMES}), os.path.basename(os.getcwd()))"


def test_same_bytes(tmp_path):
    cells = [
        code("print(1)\nprint(2)"),
        code(PLOT),
        code("{'b', 'a', 'c'}"),
        code("1 / 0", tags=("raises-exception",)),
        code("1"),
        code("1"),
    ]
    nb = notebook("# A", *cells)
    first, second = (normalise(execute(nb, tmp_path)) for _ in range(2))
    assert dumps(first) == dumps(second)
    assert is_executed(first) and [cell.get("execution_count") for cell in first.cells] == [None, 1, 2, 3, 4, 5, 6]
    assert "image/png" in first.cells[2].outputs[0].data
    assert first.cells[4].outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert first.cells[6].id == first.cells[5].id + "-2"
    assert not nb.cells[1].outputs  # a copy was run


def test_environment_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MPLBACKEND", "agg")
    before = dict(os.environ)
    nb = execute(notebook(code(SHOW), code(PLOT)), tmp_path, {"OMP_NUM_THREADS": "2", "MINE": "x"})
    assert nb.cells[0].outputs[0].text == f"cpu 1 0 2 1 x {tmp_path.name}\n"
    assert "image/png" in nb.cells[1].outputs[0].data
    assert dict(os.environ) == before


def test_stderr_of_python_and_of_c_is_refused(tmp_path, monkeypatch):
    # ipykernel does not catch what C code writes where it finds this variable.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    # A thread of the kernel forwards it, which on a busy machine comes too late for a cell that has ended.
    for source in ["import warnings; warnings.warn('w')", "import os, time; os.write(2, b'from C'); time.sleep(1)"]:
        with pytest.raises(ValueError, match="must not write to stderr"):
            normalise(execute(notebook(code(source)), tmp_path))


def test_an_error_stops_the_run(tmp_path):
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook(code("1 / 0")), tmp_path)


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["in <ipython-input-1>"])


@pytest.mark.parametrize(
    "output, message",
    [
        (printed("w", name="stderr"), "must not write to stderr: got 'w' in the cell that begins 'show"),
        (ERROR, "must be tagged raises-exception: got ValueError: no"),
        (shown(text_plain="<object object at 0x7f12ab34cd56>"), "must not depend on the machine: got '0x7f12ab34cd56'"),
        (shown(text_html="<p>/home/x</p>"), "machine: got '/home/'"),
        (printed("C:\\Users\\x"), "machine"),
        (shown(**{"application_vnd.jupyter.widget-view+json": "{}"}), "must not show a widget"),
    ],
)
def test_outputs_that_are_refused(output, message):
    with pytest.raises(ValueError, match=message):
        normalise(notebook(code("show()", output)))


def test_metadata_that_is_kept_and_dropped():
    kept = {"tags": ["a"], "mystnb": {"image": {"alt": "x"}}, "cellView": "form", "jupyter": {"source_hidden": True}}
    dropped = {"collapsed": True, "scrolled": False, "execution": {"x": "y"}}
    nb = notebook(code("1\n", **kept, **dropped), code("2", jupyter={"outputs_hidden": True}))
    nb.cells[0].metadata.jupyter.outputs_hidden = True
    nb.metadata = {"dlbook": {"extras": ["text"]}, "widgets": {}, "language_info": {"version": "3.11.7"}}
    normalise(nb)
    assert nb.cells[0].metadata == kept and nb.cells[1].metadata == {} and nb.cells[0].source == "1"
    assert set(nb.metadata) == {"kernelspec", "language_info", "dlbook"} and "version" not in nb.metadata.language_info


@pytest.mark.parametrize("counts, right", [([1, 2], True), ([2, 1], False), ([1, None], False), ([1, 3], False)])
def test_is_executed(counts, right):
    nb = notebook(code("1"), "text", code("2"), code(""))
    nb.cells[0].execution_count, nb.cells[2].execution_count = counts
    nb.cells[3].execution_count = None  # an empty cell is never counted
    assert is_executed(nb) is right
