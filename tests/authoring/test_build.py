"""The builder: what makes a notebook stale, what it writes, and that it writes the same bytes twice."""

import json

import nbformat
import pytest

from authoring import locks
from authoring.book import read
from authoring.build import build, digest, main
from tests.helpers.notebooks import code, notebook, printed, small_book, write

TIME = "import time\nprint(time.perf_counter())"
SOLUTION = "# @title Solution 1\nassert True"


@pytest.fixture
def root(tmp_path):
    """A book of one notebook that imports dlbook.model, which imports dlbook.base."""
    nb = notebook(
        "# A",
        code("def unused():\n    import dlbook.model"),
        code(TIME, tags=("nbval-ignore-output",)),
        code("print(1)"),
    )
    small_book(tmp_path, a=nb)
    (tmp_path / "dlbook" / "base.py").write_text('"""Base."""\n\nX = 1  # one\n')
    (tmp_path / "dlbook" / "model.py").write_text("def f():\n    from dlbook.base import X\n    return X\n")
    (tmp_path / "dlbook" / "other.py").write_text("Y = 1\n")
    return tmp_path


def test_build_then_nothing_to_do(root, capsys):
    path = root / "book" / "a.ipynb"
    assert main(["--check", str(path)], root) == 1
    assert "a.ipynb: its outputs are older than its code or what that uses" in capsys.readouterr().out
    assert main([], root) == 0
    assert ": executed (" in capsys.readouterr().out
    before = path.read_bytes()
    assert main(["--check", str(path)], root) == 0 and main([str(path)], root) == 0
    assert capsys.readouterr().out.count(": up to date (") == 2
    assert main(["--force"], root) == 0
    assert "executed, the same" in capsys.readouterr().out
    assert path.read_bytes() == before  # even the time that a cell printed
    assert [cell.get("execution_count") for cell in read(path).cells] == [None, 1, 2, 3, 4]

    nb = read(path)  # text may change without a run
    nb.cells[0].source = "# B"
    write(nb, path)
    with pytest.raises(ValueError, match="generated cells or its layout are out of date: run `make notebooks`"):
        build(path, root, check=True)
    assert build(path, root) == "rewritten" and build(path, root, check=True) == "up to date"

    (root / "dlbook" / "base.py").write_text('"""Base, explained."""\n\n\nX = 1  # another remark\nZ = 2\n')
    (root / "dlbook" / "other.py").write_text("Y = 2\n")
    assert build(path, root, check=True) == "up to date"
    (root / "dlbook" / "base.py").write_text('"""Base."""\n\nX = 2\n')
    with pytest.raises(ValueError, match="its outputs are older than its code or what that uses"):
        build(path, root, check=True)


def test_a_stripped_notebook_is_stale(root):
    path = root / "book" / "a.ipynb"
    build(path, root)
    nb = read(path)
    nb.cells[4].execution_count = None
    write(nb, path)
    with pytest.raises(ValueError, match="its outputs are older"):
        build(path, root, check=True)


def test_an_ignored_cell_is_renewed_when_its_source_changes(root):
    path = root / "book" / "a.ipynb"
    build(path, root)
    nb = read(path)
    old = nb.cells[3].outputs[0].text
    nb.cells[3].source += "  # seconds"
    nb.cells[4].outputs = [printed("2\n")]
    write(nb, path)
    assert build(path, root) == "executed"
    nb = read(path)
    assert nb.cells[3].outputs[0].text != old and nb.cells[4].outputs[0].text == "1\n"


FAILURES = {"1 / 0": "ZeroDivisionError", "print(object())": "depend on the machine", "%ls": "invalid syntax"}


@pytest.mark.parametrize("source, message", FAILURES.items())
def test_a_failure_is_reported_and_leaves_the_file_alone(root, capsys, source, message):
    path = root / "book" / "a.ipynb"
    write(notebook("# A", code(source)), path)
    before = path.read_bytes()
    assert main([], root) == 1
    assert message in capsys.readouterr().out and path.read_bytes() == before


def test_all_that_its_author_must_mend_is_reported_at_once(root, capsys):
    write(notebook("# A", "Of 3 and 4.", code("# Listing: dlbook.model.g\n")), root / "book" / "a.ipynb")
    assert main([], root) == 1
    out = capsys.readouterr().out
    assert "got '3'" in out and "got '4.'" in out and "no 'g' in model.py" in out


def test_solutions_are_folded(root):
    alt = {"image": {"alt": "x"}}
    cells = [code(SOLUTION, tags=("hide-cell",), mystnb=alt), code(SOLUTION), code("1", tags=("hide-cell",))]
    path = write(notebook("# A", *cells), root / "book" / "a.ipynb")
    build(path, root)
    first, second, third = (cell.metadata for cell in read(path).cells[2:])
    assert first == {
        "tags": ["hide-cell"],
        "cellView": "form",
        "jupyter": {"source_hidden": True},
        "mystnb": {"image": {"alt": "x"}, "code_prompt_show": "Show the solution"},
    }
    assert second == {} and third == {"tags": ["hide-cell"]}


def test_digest(root):
    def changed(**change):
        nb = notebook("# A", code("1"), code("2", tags=("sample",)), code("import dlbook.", tags=("raises-exception",)))
        before = digest(nb, root)
        nb.cells[1].update(change)
        return digest(nb, root) != before

    assert changed(source="2") and changed(metadata={"tags": ["raises-exception"]})
    assert not changed(metadata={"tags": ["tolerance-0.1", "hide-input"]})  # what is executed stays the same
    assert not changed(metadata={"collapsed": True}) and not changed(execution_count=7)
    assert not changed(source="1", metadata={"tags": []})
    nb = notebook("# A", code("%pip", tags=("setup",)), code("1"))
    assert digest(nb, root) == digest(notebook("# B", code("1")), root)


def test_check_asks_every_lock(root, capsys, monkeypatch):
    monkeypatch.setattr(locks, "LOCKS", ["links", "generated"])
    assert main(["--check"], root) == 1
    links, generated = capsys.readouterr().out.splitlines()
    assert links.startswith("links: ") and "generated: book/a: its outputs are older" in generated


# --- notebooks that other programs have saved -------------------------------------------------------------------------


def save_as_colab(path):
    """Save a notebook as Colab does: nbformat 4.0, the ids in the metadata, the name of Colab's kernel."""
    nb = json.loads(path.read_text())
    nb["nbformat_minor"] = 0
    for number, cell in enumerate(nb["cells"]):
        cell["metadata"]["id"] = f"AbC_{number}"
        del cell["id"]
    nb["metadata"]["colab"] = {"provenance": []}
    nb["metadata"]["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "name": "python3"}
    path.write_text(json.dumps(nb))


def save_as_jupyterlab(path):
    """Save a notebook as JupyterLab does on a reader's machine: his kernel, random ids, what he has looked at."""
    nb = read(path)
    nb.metadata.kernelspec = {"display_name": "Python (course)", "language": "python", "name": "conda-env-course-py"}
    nb.metadata.language_info.version = "3.12.1"
    nb.cells[2].metadata |= {"scrolled": True, "jupyter": {"outputs_hidden": True}, "collapsed": False}
    nb.cells[2].metadata.execution = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    nbformat.write(nb, path)


def save_as_vs_code(path):
    """Save a notebook as VS Code does on Windows: line ends, its own metadata."""
    nb = json.loads(path.read_text())
    nb["nbformat_minor"] = 2
    for cell in nb["cells"]:
        del cell["id"]
        cell["source"] = [line.replace("\n", "\r\n") for line in cell["source"]]
        cell["metadata"]["vscode"] = {"languageId": "python"}
    nb["metadata"]["kernelspec"] = {"display_name": ".venv", "language": "python", "name": "python3"}
    path.write_text(json.dumps(nb, indent=2), newline="\r\n")


@pytest.mark.parametrize("save", [save_as_colab, save_as_jupyterlab, save_as_vs_code])
def test_notebooks_of_other_programs(root, save):
    path = root / "book" / "a.ipynb"
    build(path, root)
    built = path.read_bytes()
    save(path)
    assert path.read_bytes() != built
    assert build(path, root) == "rewritten" and path.read_bytes() == built  # nothing was executed, nothing lost
    save(path)
    edited = path.read_text().replace("print(1)", "print(7)")
    path.write_text(edited)
    assert build(path, root) == "executed"
    assert read(path).cells[4].outputs[0].text == "7\n"
    assert json.loads(path.read_text())["nbformat_minor"] == 5 and "kernelspec" in read(path).metadata
