"""Pages that open a section have one heading, and lead to its chapters."""

import pytest

from authoring.locks.openers import faults
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "text, got",
    [
        ("# A\n\nText, `# code`.\n\n```\n# more\n```\n", None),
        ("---\ntitle: x\n---\n\n# A\n", None),
        ("# A\n\n## Inside\n", "h1, h2"),
        ("# A\n\n# Again\n", "h1, h1"),
        ("## A\n", "h2"),
        ("Text.\n", "none"),
    ],
)
def test_headings(tmp_path, text, got):
    root = small_book(tmp_path, b=notebook("# B\n\n## Inside", code("1")))
    (root / "book" / "a.md").write_text(text + "\n[B](b.ipynb)\n")
    (root / "book" / "z.md").write_text("# Z\n\n## An appendix has no number to take\n")
    assert faults(root) == ([f"book/a: must have one heading, its title: got {got}"] if got else [])


@pytest.mark.parametrize(
    "text, fault",
    [
        ("[B](b.ipynb)", None),
        ("[B](bb.ipynb)", "in its text"),
        ('<svg><a href="b.html">B</a></svg>', None),
        ("<svg></svg> [B](b.ipynb)", "on its map"),
    ],
)
def test_chapters_of_a_section(tmp_path, text, fault):
    root = small_book(tmp_path, b=notebook("# B", code("1")))
    (root / "book" / "a.md").write_text(f"# A\n\n{text}\n")
    assert faults(root) == ([f"book/a: must lead to book/b, {fault}"] if fault else [])
