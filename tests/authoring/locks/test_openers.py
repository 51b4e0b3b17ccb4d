"""Pages that open a section have one heading."""

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
    (root / "book" / "a.md").write_text(text)
    (root / "book" / "z.md").write_text("# Z\n\n## An appendix has no number to take\n")
    assert faults(root) == ([f"book/a: must have one heading, its title: got {got}"] if got else [])
