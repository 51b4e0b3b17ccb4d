"""Which stored outputs fail on which of six machines, two of them held out."""

import copy

import pytest
from nbformat.v4 import new_output

from authoring import book, execute, held_out, spread
from authoring.machines import TESTED
from tests.helpers.notebooks import code, notebook, printed, small_book, write

MARKED = "It is 0.500<!-- = x ± 0.001 -->."


def made(environment):
    """The machine that an environment stands for."""
    return next(name for name, variables in TESTED.items() if variables == environment)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A book of two notebooks in which no kernel runs: a prints and marks a number that jitter-3 has otherwise."""
    ran = []

    def pretend(nb, folder, environment):
        ran.append(made(environment))
        nb = copy.deepcopy(nb)
        text = "0.503" if ran[-1] == "jitter-3" and "Words" not in nb.cells[0].source else "0.500"
        nb.cells[1].outputs = [new_output("stream", name="stdout", text=text)]
        for cell in nb.cells:
            if spread.VALUES in book.tags(cell):
                cell.outputs = [new_output("stream", name="stdout", text=f'{{"x": {text}}}')]
        return nb

    monkeypatch.setattr(execute, "execute", pretend)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    marked = notebook(MARKED, code("x", printed("0.500")), code("", tags=("prose-check",)))
    plain = notebook("Words.", code("x", printed("0.500")))
    for name, nb in (("a", marked), ("b", plain)):
        write(execute.normalise(nb), small_book(tmp_path) / "book" / f"{name}.ipynb")
    return ran


ROWS = """\
| Notebook | native-1 | native-2 | avx2 | sse41 | jitter-3 | jitter-4 |
| --- | --- | --- | --- | --- | --- | --- |
| a.ipynb |  |  |  |  | 2 |  |
| b.ipynb |  |  |  |  |  |  |
| **2 notebooks, failed** | 0 | 0 | 0 | 0 | 1 | 0 |

- book/a.ipynb, jitter-3: the cell 'x' differs by more than it declares (jitter-3): tag it tolerance-0.006, or print
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_table(root, tmp_path, jobs):
    assert held_out.main(["--jobs", jobs]) == 1
    text = (tmp_path / held_out.TABLE).read_text()
    assert text.startswith(ROWS.strip()) and "jitter-3: “It is 0.500 ± 0.001” is off (jitter-3 0.503)" in text
    assert sorted(root) == sorted(2 * list(TESTED))


def test_tags_need_no_new_run(root, tmp_path):
    assert held_out.main([str(tmp_path / "book" / "b.ipynb")]) == 0 and len(root) == 6
    assert held_out.main([]) == 1 and len(root) == 12
    path = tmp_path / "book" / "a.ipynb"
    nb = book.read(path)
    nb.cells[0].source = MARKED.replace("0.001", "0.003")
    nb.cells[1].metadata.tags = ["tolerance-0.003"]
    write(nb, path)
    assert held_out.main([]) == 0 and len(root) == 12
    nb.cells[1].outputs = [printed("0.510")]  # what is stored is compared, not one run with another
    write(nb, path)
    assert held_out.main([]) == 1
    assert "| a.ipynb | 1 | 1 | 1 | 1 | 1 | 1 |" in (tmp_path / held_out.TABLE).read_text()


def test_what_cannot_run_is_said(root, tmp_path, monkeypatch, capsys):
    def dies(nb, folder, environment):
        raise RuntimeError("Kernel died")

    monkeypatch.setattr(execute, "execute", dies)
    assert held_out.main([str(tmp_path / "book" / "b.ipynb")]) == 1
    shown = capsys.readouterr().out
    assert "| b.ipynb | – | – | – | – | – | – |" in shown and "did not run to its end on avx2: Kernel died" in shown


@pytest.mark.parametrize("edition", [1, 2])
def test_claims_that_are_newer_than_the_runs(root, tmp_path, edition):
    """The numbers of a text can be compared without a run; whether a claim holds, only a run tells."""
    path = tmp_path / "book" / "b.ipynb"
    assert held_out.main([str(path)]) == 0
    nb = book.read(path)
    nb.cells.append(code("compare()", tags=("prose-check",)))
    nb.metadata["dlbook"] = {"edition": edition}
    write(nb, path)
    assert held_out.main([str(path)]) == edition - 1
    assert ("its check of claims is newer" in (tmp_path / held_out.TABLE).read_text()) == (edition == 2)
