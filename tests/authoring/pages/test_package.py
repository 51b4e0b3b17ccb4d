"""The pages of the package."""

import re
from collections import Counter

import pytest

from authoring.pages.package import api, documented, index
from authoring.pages.writing import page_links
from authoring.public import modules, public


def test_the_pages_of_a_small_book(book, file_regression):
    file_regression.check("\n\n".join([index(book), *api(book).values()]) + "\n", extension=".md")


def test_a_section_that_the_pages_have_no_form_for(book):
    path = book / "dlbook" / "layers.py"
    path.write_text(path.read_text().replace("Returns:", "Examples:"))
    with pytest.raises(ValueError, match=r"a docstring may have Args, .* got examples in dlbook\.layers\.dense"):
        api(book)


def test_a_page_without_a_title(book):
    (book / "book" / "c.md").write_text("Text.\n")
    with pytest.raises(ValueError, match="a page must begin with its title: got none in book/c"):
        page_links(book)


def test_every_public_name_is_there():
    pages = api()
    assert list(pages) == [module.path for module in modules()]
    for thing in public():
        if thing.is_class or thing.is_function:
            ending = "-class" if thing.is_class else ""
            assert f"({thing.path}".lower() + f"{ending})=\n## `{thing.name}`\n" in pages[thing.module.path]
    assert " COLOURS = [" in pages["dlbook.plot"]
    whole = "\n".join(pages.values())
    anchors = Counter(re.findall(r"^\((.+)\)=$", whole, re.M))
    assert set(anchors.values()) == {1}, "two names differ in capitals alone: give one another"
    assert set(re.findall(r"\]\(#([^)]+)\)", whole)) <= set(anchors)


def test_what_stands_before_a_colon_is_no_type(tmp_path):
    (tmp_path / "dlbook").mkdir()
    docstring = (
        "Return a pair.\n\n    Returns:\n        The sums, and the weights: at least 0,\n        with sum 1.\n    "
    )
    (tmp_path / "dlbook" / "__init__.py").write_text(f'def f() -> int:\n    """{docstring}"""\n')
    (thing,) = public(tmp_path)
    assert "**Returns** The sums, and the weights: at least 0, with sum 1." in documented(thing)
