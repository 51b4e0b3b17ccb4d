"""The table of contents: each page at the number of the article, each notebook named."""

import pytest

from authoring.locks.contents import faults
from tests.helpers.notebooks import code, notebook, small_book, write

NUMBERS = {"book/a": "1", "book/b": "1.1", "book/c": "2"}


@pytest.fixture
def root(tmp_path):
    return small_book(tmp_path, b=notebook("# B", code("1")))


def test_a_right_book(root):
    assert faults(root, NUMBERS) == []


def test_a_page_at_another_place(root):
    toc = (root / "_toc.yml").read_text()
    (root / "_toc.yml").write_text(
        toc.replace("        sections:\n          - file: book/b\n", "      - file: book/b\n")
    )
    assert faults(root, NUMBERS) == [
        "book/b: its section number must be 1.1: got 2: move it in _toc.yml",
        "book/c: its section number must be 2: got 3: move it in _toc.yml",
    ]


def test_a_page_that_is_new_or_gone(root):
    assert faults(root, {"book/a": "1", "book/b": "1.1", "book/d": "3"}) == [
        "book/c: add its section number, 2, to the table in authoring/locks/contents.py",
        "book/d: its section number must be 3: got none: move it in _toc.yml",
    ]


def test_a_notebook_that_nobody_named(root):
    write(notebook("# D"), root / "book" / "part" / "d.ipynb")
    write(notebook("# D"), root / "book" / ".ipynb_checkpoints" / "d-checkpoint.ipynb")
    assert faults(root, NUMBERS) == ["book/part/d.ipynb: must be named in _toc.yml, or leave the folder"]
