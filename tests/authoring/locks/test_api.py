"""The lock on the pages of the package."""

import pytest

from authoring.locks.api import faults
from authoring.pages.package import FOLDER, stub

MODULES = ("data.store", "layers")


@pytest.fixture
def paged(book):
    """Make a book whose modules have their pages."""
    (book / FOLDER).mkdir(parents=True)
    with (book / "_toc.yml").open("a") as toc:
        for module in MODULES:
            (book / FOLDER / f"{module}.md").write_text(stub(f"dlbook.{module}"))
            toc.write(f"      - file: {FOLDER}/{module}\n")
    return book


def test_a_right_book(paged):
    assert faults(paged) == []


def test_planted_module_without_a_page(paged):
    (paged / "dlbook" / "new.py").write_text("def new(): ...\n")
    assert faults(paged) == [
        "book/appendix/api/new.md: must hold '# `dlbook.new`\\n\\n<!-- generated: dlbook.new -->\\n'",
        "book/appendix/api/new: must be in _toc.yml, below book/appendix/api",
    ]


def test_planted_page_without_a_module(paged):
    (paged / "dlbook" / "layers.py").write_text("def _private(): ...\n")
    assert faults(paged) == ["book/appendix/api/layers.md: must be the page of a module with public names"]


def test_planted_text(paged):
    (paged / FOLDER / "layers.md").write_text("# Layers\n")
    assert faults(paged) == [
        "book/appendix/api/layers.md: must hold '# `dlbook.layers`\\n\\n<!-- generated: dlbook.layers -->\\n'"
    ]


def test_planted_order(paged):
    toc = (paged / "_toc.yml").read_text().splitlines()
    (paged / "_toc.yml").write_text("\n".join([*toc[:-2], toc[-1], toc[-2]]))
    (fault,) = faults(paged)
    assert fault.startswith("_toc.yml: the pages below book/appendix/api must be in the order of the alphabet: got [")


def test_a_package_without_names(paged):
    (paged / "dlbook" / "layers.py").unlink()
    (paged / "dlbook" / "data" / "store.py").unlink()
    assert faults(paged) == ["dlbook: the lock found no public name in it: mend the lock"]
