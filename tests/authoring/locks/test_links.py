"""Links between the files of the book."""

import pytest

from authoring.locks.links import faults
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "text, dead",
    [
        ("[B](b.md), [B](b.md), <https://example.org/#part>, [mail](mailto:a@b.c)", None),
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


@pytest.mark.parametrize("link", ["b.md#part", "#part"])
def test_links_to_headings(tmp_path, link):
    root = small_book(tmp_path, a=notebook("# A", f"[part]({link})", code("1")))
    (fault,) = faults(root)
    assert fault.startswith("book/a: a link to a heading works in one of") and fault.endswith(
        f"lead to the page: {link}"
    )
