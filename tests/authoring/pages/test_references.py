"""The page of references."""

from authoring.bibliography import entries
from authoring.pages.references import references


def test_the_page_of_a_small_book(book, file_regression):
    file_regression.check(references(book) + "\n", extension=".md")


def test_every_source_is_there():
    page = references()
    assert page.count("\n- ") + 1 == len(entries()) == page.count(" Cited in ") > 100
    assert "\\\\" not in page and "{" not in page, "accents and braces of LaTeX must not reach the page"
