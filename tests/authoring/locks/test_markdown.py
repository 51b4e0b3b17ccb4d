"""Portable Markdown: what only the site would understand is found, what all understand is left alone."""

import pytest

from authoring.locks.markdown import faults, unportable
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "text, name",
    [
        ("See {ref}`attention`.", "role"),
        ("Cite {cite:p}`vaswani2017`.", "role"),
        ("```{note}\nText\n```", "directive"),
        (":::{note}\nText\n:::", "directive"),
        ("(attention)=\n## Attention", "label"),
        ("As said[^1].", "footnote"),
        ("{{ book }}", "substitution"),
        ("% a remark", "comment"),
        ("![x](y.png){.photo}", "attributes"),
        ("+++", "block break"),
    ],
)
def test_planted_myst(text, name):
    found = unportable(text)
    assert len(found) == 1 and f"not a MyST {name}" in found[0]


@pytest.mark.parametrize(
    "text",
    ["$\\mathbf{x}_{i}$ `{x}` a {b} 5 % of", "```python\nf'{x}`'\n% y\n```", "$$\n{a}\n\\tag{3.1a}\n$$", "(a) = b"],
)
def test_portable_markdown_is_left_alone(text):
    assert unportable(text) == []


def test_faults_name_the_page(tmp_path):
    root = small_book(tmp_path, a=notebook("# A", "See {ref}`b`.", code("x = '{{ y }}'")), b=notebook("# B"))
    assert faults(root) == ["book/a: write portable Markdown, not a MyST role: got '{ref}`'"]
