"""Where in the appendix what is generated stands."""

from types import SimpleNamespace

import pytest

from authoring.book import ROOT
from authoring.pages.generated import MAKERS, PLACE, always, fill, fill_page, generated
from authoring.pages.speed import speed
from authoring.public import modules

APPENDIX = ROOT / "book" / "appendix"


def test_a_place_is_filled():
    assert fill("# A\n\n<!-- generated: speed -->\n\nMore.\n", {"speed": "Fast."}) == "# A\n\nFast.\n\nMore.\n"
    assert fill("<!-- generated: dlbook.data.store -->", {"dlbook.data.store": "It."}) == "It."


@pytest.mark.parametrize("page, filled", [("book/b", False), ("book/appendix/speed", True)])
def test_only_the_appendix_is_filled(book, page, filled):
    text = ["<!-- generated: speed -->"]
    fill_page(SimpleNamespace(srcdir=str(book)), page, text)
    assert (text[0] == speed(book)) is filled


def test_what_can_be_generated(book):
    assert list(generated(book)) == [*(maker.__name__ for maker in MAKERS), "dlbook.data.store", "dlbook.layers"]


def test_everything_has_one_place_and_is_made_anew_at_each_build():
    pages = {path.relative_to(ROOT).with_suffix("").as_posix(): path for path in APPENDIX.rglob("*.md")}
    places = {page: PLACE.findall(path.read_text(encoding="utf-8")) for page, path in pages.items()}
    names = [maker.__name__ for maker in MAKERS] + [module.path for module in modules()]
    assert sorted(name for found in places.values() for name in found) == sorted(names)
    env = SimpleNamespace(found_docs=list(pages), doc2path=lambda page: str(pages[page]))
    anew = always(SimpleNamespace(), env, set(), set(), set())
    assert set(anew) == {page for page, found in places.items() if found}
