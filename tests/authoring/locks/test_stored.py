"""What is stored in a notebook: counts, warnings, figures and their alt texts, its size."""

import pytest

from authoring.locks import stored
from authoring.locks.stored import faults
from tests.helpers.notebooks import code, notebook, printed, shown, small_book, write

ALT = {"image": {"alt": "A curve that falls from one to zero."}}


def figure(**metadata):
    return code("plot()", shown(image_png="iVBO"), **metadata)


@pytest.fixture
def nb():
    return notebook("# A", *(figure(mystnb=ALT) for _ in range(3)), code("print(1)", printed("1\n")), code(" "))


def found(root, nb):
    nb.cells[-1].execution_count = None  # an empty cell is never counted
    return faults(small_book(root, a=nb))


def test_a_right_chapter(tmp_path, nb):
    assert found(tmp_path, nb) == []


def test_planted_counts(tmp_path, nb):
    nb.cells[2].execution_count = None
    nb.cells[3].execution_count = 7
    assert found(tmp_path, nb) == [
        "book/a: cell 1, 'plot()': it was never executed: run `make notebooks`",
        "book/a: cell 2, 'plot()': execution counts must run 1, 2, 3, …: got 7 instead of 3: run `make notebooks`",
    ]


def test_planted_warning(tmp_path, nb):
    nb.cells[4].outputs = [printed("w", name="stderr")]
    (fault,) = found(tmp_path, nb)
    assert "cell 3, 'print(1)': its stored output holds stderr: silence the cause" in fault


@pytest.mark.parametrize("metadata", [{}, {"mystnb": {"image": {"alt": "A curve."}}}])
def test_planted_figure_without_an_alt_text(tmp_path, nb, metadata):
    nb.cells[1] = figure(**metadata)
    nb.cells[1].execution_count = 1
    assert found(tmp_path, nb) == [
        "book/a: the cell 'plot()' must say what its figure shows: metadata mystnb.image.alt"
    ]


def test_planted_lack_of_figures(tmp_path, nb):
    nb.cells[1].outputs = []
    assert found(tmp_path, nb) == ["book/a: a chapter must have at least 3 figures: got 2"]


def test_planted_size(tmp_path, nb, monkeypatch):
    size = write(nb, tmp_path / "a.ipynb").stat().st_size
    monkeypatch.setattr(stored, "LARGEST", size + 100)
    assert found(tmp_path, nb) == []
    monkeypatch.setattr(stored, "LARGEST", size - 100)
    assert "book/a: must be smaller than" in found(tmp_path, nb)[0]
