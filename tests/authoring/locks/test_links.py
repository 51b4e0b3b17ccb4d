"""Links between the files of the book."""

import pytest

from authoring.locks.links import faults
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "text, dead",
    [
        ("[B](b.md), [B](b.md#part), [here](#part), <https://example.org>, [mail](mailto:a@b.c)", None),
        ("`[x](gone.md)`\n\n```\n[x](gone.md)\n```\n\n[A](a.ipynb)", None),
        ("[B](gone.md)", "gone.md"),
        ("![B](gone.png)", "gone.png"),
        ("> - **[B](../b.md)**", "../b.md"),
        ("[B][b]\n\n[b]: gone.md", "gone.md"),
    ],
)
def test_links(tmp_path, text, dead):
    root = small_book(tmp_path, a=notebook("# A", text, code("1")))
    assert faults(root) == ([f"book/a: links to a file that is not there: correct {dead}"] if dead else [])
