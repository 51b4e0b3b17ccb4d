"""The text view: out and back changes nothing, and an edit changes only its own cell."""

import pytest

from authoring.book import read
from authoring.build import prepare
from authoring.execute import normalise
from authoring.text_view import from_text, main, to_text
from tests.helpers.notebooks import code, notebook, printed, small_book, write

PIECES = [
    "# 1 A title",
    "Adjacent.",
    "Two paragraphs,\n\nand a mark: 3<!-- = x -->.",
    "Two blank lines\n\n\nin one cell.",
    "$$\na = b \\tag{1a}\n$$\n\n<!-- derivation of 1a -->",
    "- a list\n- of two\n\n1. and\n2. another",
    "| a | b |\n|---|---|\n| c | d |",
    "> **Note.** Quoted.\n\n<details><summary>Hint</summary>\n\nTry `x`.\n\n</details>",
    "```text\nfenced\n```\n\n    indented",
    code("x = 3\n\n\ndef f():\n    return x", printed("3\n")),
    code("# %% a comment\nprint(1)  # noqa", printed("1\n"), tags=("tolerance-0.01", "hide-input")),
    code("plot()", mystnb={"image": {"alt": 'A "quoted" curve: it falls, {1}.'}}),
    code("x = '''\n```\n'''"),
    code("!ls\n%timeit x"),
    code("1", printed("first\n")),
    code("1", printed("second\n")),
    "## Exercises",
    code("# @title Solution 1\nassert True", tags=("hide-cell",)),
    "```python\nnot_a_cell = 1\n```",
]


@pytest.fixture
def root(tmp_path):
    nb = notebook(*PIECES)
    nb.metadata = {"dlbook": {"extras": ["text"], "built_from": "0123"}}
    small_book(tmp_path)
    assert prepare(nb, tmp_path) == []
    write(normalise(nb), tmp_path / "book" / "part" / "a.ipynb")
    return tmp_path


def paths(root):
    return root / "book" / "part" / "a.ipynb", root / "_build" / "text" / "part" / "a.md"


def test_out_and_in_changes_nothing(root, capsys):
    path, text = paths(root)
    before = path.read_bytes()
    assert main(["out", str(path)], root) == 0 and main(["in", str(text)], root) == 0
    assert capsys.readouterr().out == "wrote _build/text/part/a.md\nwrote book/part/a.ipynb\n"
    assert path.read_bytes() == before


def test_what_the_text_shows(root):
    text = to_text(read(paths(root)[0]))
    assert text.startswith("---\njupyter:\n  dlbook:\n    extras:\n    - text\n---\n\n# 1 A title\n\n\nAdjacent.")
    assert '```python tags=["tolerance-0.01", "hide-input"]\n# %% a comment' in text
    assert "built_from" not in text and "jupytext" not in text and "Set-up" not in text and "compare" not in text


def test_an_edit_changes_only_its_cell(root):
    path = paths(root)[0]
    stored = read(path)
    nb, faults = from_text(to_text(stored).replace("print(1)", "print(2)"), stored, root)
    assert faults == [] and nb.metadata.dlbook.built_from == "0123"
    changed = [old.source for old, new in zip(stored.cells, nb.cells, strict=True) if old != new]
    assert changed == ["# %% a comment\nprint(1)  # noqa"]
    cell = next(cell for cell in nb.cells if "print(2)" in cell.source)
    assert cell.outputs == [] and cell.execution_count is None


def test_a_new_notebook_and_its_faults(root, capsys):
    path, text = paths(root)
    path.unlink()
    text.parent.mkdir(parents=True)
    text.write_text('# New\n\nOf 5.\n\n```python tags=["sample"]\nx = 1\n```\n')
    assert main(["in", str(text)], root) == 0
    assert "got '5.' in “Of 5.”" in capsys.readouterr().out
    nb = read(path)
    assert [cell.source for cell in nb.cells][::2] == ["# New\n\nOf 5.", "x = 1"] and "dlbook" not in nb.metadata
    assert nb.cells[2].metadata.tags == ["sample"]


# --- neither side loses an edit ---------------------------------------------------------------------------------------


def edit_notebook(path):
    """Edit a notebook as in JupyterLab."""
    nb = read(path)
    nb.cells[0].source += "\n\nAn hour of work."
    write(nb, path)


def test_an_edit_in_jupyterlab_is_not_overwritten(root, capsys):
    path, text = paths(root)
    main(["out", str(path)], root)
    edit_notebook(path)
    before = path.read_bytes()
    capsys.readouterr()
    assert main(["in", str(text)], root) == 1
    assert capsys.readouterr().out == (
        "book/part/a.ipynb is not what the text was made from: copy its edits, or overwrite them with --force\n"
    )
    assert path.read_bytes() == before
    assert main(["in", "--force", str(text)], root) == 0
    assert "An hour of work" not in path.read_text()


def test_an_edited_text_is_not_overwritten(root, capsys):
    path, text = paths(root)
    main(["out", str(path)], root)
    text.write_text(text.read_text().replace("Adjacent.", "An hour of work."))
    capsys.readouterr()
    assert main(["out", str(path)], root) == 1
    assert capsys.readouterr().out == (
        "_build/text/part/a.md was edited and not taken back: take it back, or overwrite it with --force\n"
    )
    assert "An hour of work." in text.read_text()
    assert main(["out", "--force", str(path)], root) == 0
    assert "An hour of work." not in text.read_text()


def test_edits_may_go_on_after_the_text_was_taken_back(root):
    path, text = paths(root)
    main(["out", str(path)], root)
    for word in ("First", "Second"):
        text.write_text(text.read_text() + f"\n\n{word} edit.\n")
        assert main(["in", str(text)], root) == 0
        assert f"{word} edit." in read(path).cells[-1].source
    edit_notebook(path)
    assert main(["out", str(path)], root) == 0  # the text holds nothing that the notebook lacks
    assert "An hour of work." in text.read_text() and "Second edit." in text.read_text()


def test_a_new_run_and_other_metadata_are_no_edit(root):
    path, text = paths(root)
    main(["out", str(path)], root)
    nb = read(path)
    nb.metadata.kernelspec = {"display_name": "Other", "name": "conda-env-course-py"}
    nb.cells[-1].metadata.collapsed = True
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
    write(nb, path)
    assert main(["in", str(text)], root) == 0


def test_texts_of_which_nothing_is_known(root):
    """Without the record beside it, a text that differs from the notebook may be newer or older: nobody knows."""
    path, text = paths(root)
    main(["out", str(path)], root)
    text.with_suffix(".json").unlink()
    assert main(["in", str(text)], root) == 1
    assert main(["out", str(path)], root) == 0  # they are equal
    text.write_text("# Another\n")
    text.with_suffix(".json").unlink()
    assert main(["in", str(text)], root) == 1 and main(["out", str(path)], root) == 1


def test_one_refusal_does_not_stop_the_others(root, capsys):
    path, text = paths(root)
    other = path.with_name("b.ipynb")
    other.write_bytes(path.read_bytes())
    main(["out", str(path)], root)
    edit_notebook(path)
    main(["out", str(other)], root)
    assert main(["in", str(text), str(text.with_name("b.md"))], root) == 1
    assert capsys.readouterr().out.endswith("wrote book/part/b.ipynb\n")
