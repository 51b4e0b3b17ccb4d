"""The page of data sets."""

import tomllib

from authoring.book import ROOT
from authoring.pages.datasets import datasets
from tests.helpers.notebooks import notebook, small_book


def test_the_page_of_a_small_book(book, file_regression):
    file_regression.check(datasets(book) + "\n", extension=".md")


def test_a_data_set_of_no_chapter(book):
    small_book(book, b=notebook("# The layer"))
    assert "**Used in** no chapter yet." in datasets(book)


def test_every_data_set_is_there():
    page = datasets()
    catalog = tomllib.loads((ROOT / "dlbook" / "data" / "catalog.toml").read_text(encoding="utf-8"))
    assert page.count("\n- **Whose?**") == len(catalog)
    for name, entry in catalog.items():
        assert f", as `{name}`." in page
        assert all(member["sha256"] in page for member in entry["members"])
    assert "**Loaded by** ," not in page
