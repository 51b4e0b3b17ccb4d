"""The map of prerequisites and each chapter's "You need"."""

import pytest

from authoring.locks.prerequisites import before, faults
from tests.helpers.notebooks import notebook, small_book

MAP = """\
# Intro

<a href="a.html"><rect/></a> <a href="b.html"><rect/></a> <a href="c.html"><rect/></a>
<path data-from="a" data-to="b"/> <path data-from="b" data-to="c"/>
"""


@pytest.fixture
def root(tmp_path):
    nothing = notebook("# A", "**You need** nothing.\n\nSee [C](c.ipynb).")
    first = notebook("# B", "**You need** [A](a.ipynb).")
    both = notebook("# C", "**You need** [A](a.ipynb)\nand [B](b.ipynb).")
    small_book(tmp_path, a=nothing, b=first, c=both)
    (tmp_path / "book" / "intro.md").write_text(MAP)
    return tmp_path


def test_what_comes_before():
    edges = {("a", "b"), ("b", "c"), ("d", "c"), ("c", "e")}
    assert before(edges, "c") == {"a", "b", "d"} and before(edges, "a") == set()
    assert before({("a", "b"), ("b", "a")}, "a") == {"a", "b"}  # a circle has an end


def test_a_map_that_is_right(root):
    assert faults(root) == []


@pytest.mark.parametrize(
    "page, old, new, fault",
    [
        ("intro.md", 'data-from="a" data-to="b"', "", "book/b: a comes before it only by its **You need**"),
        ("intro.md", 'data-to="c"', 'data-to="a"', "book/a: b comes before it only in the map of book/intro.md"),
        ("intro.md", '<a href="c.html"><rect/></a>', "", "book/intro.md: the map must link to book/c: draw it"),
        ("intro.md", "c.html", "d.html", "book/intro.md: the map links to book/d, which is no chapter: delete it"),
        ("b.ipynb", "[A](a.ipynb)", "A", "book/b: a comes before it only in the map of book/intro.md"),
        ("a.ipynb", "nothing", "[C](c.ipynb)", "book/a: c comes before it only by its **You need**"),
        ("a.ipynb", "**You need**", "You need", "book/a: must say **You need** and link to"),
    ],
)
def test_planted_faults(root, page, old, new, fault):
    path = root / "book" / page
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert any(line.startswith(fault) for line in faults(root)), faults(root)
