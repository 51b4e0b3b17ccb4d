"""Reading the bibliography."""

import pytest
from pybtex.exceptions import PybtexError

from authoring.bibliography import entries, keys, meant, parse

LATEX = """\
@misc{one2000,
  author = {{The People of {O}pen Data} and van Rijsbergen, Cornelis J. and M{\\"u}ller, Max and others},
  title = {An {ImageNet} of M{\\"u}nchen},
  url = {https://example.org/a_b~c}
}
"""
FAMILIES = """\
@misc{mikolov2013a, author = {Mikolov, T. and Chen, K.}, year = {2013}}
@misc{mikolov2013b, author = {Mikolov, T. and Yih, W.}, year = {2013}}
@misc{robertson2017, author = {Robertson, S.}, year = {2017}}
@misc{robertson2017b, author = {Robertson, S.}, year = {2017}}
@misc{rijsbergen1979, author = {van Rijsbergen, C.}, year = {1979}}
@misc{nobody1979, year = {1979}}
"""


def test_names_and_titles_are_plain_text_and_addresses_stay_as_they_are():
    (entry,) = parse(LATEX)
    assert entry.authors == ["The People of Open Data", "Cornelis J. van Rijsbergen", "Max Müller", "others"]
    assert entry.families == ["The People of Open Data", "Rijsbergen", "Müller", "others"]
    assert entry.fields == {"title": "An ImageNet of München", "url": "https://example.org/a_b~c"}
    assert entry.addresses == ["https://example.org/a_b~c"] and entry.place == ""


def test_the_entries_of_a_book(book):
    attention, verification = entries(book)
    assert keys(book) == {attention.key, verification.key} == {"vaswani2017", "brier1950"}
    assert attention.place == "NeurIPS" and attention.addresses == ["https://arxiv.org/abs/1706.03762"]


@pytest.mark.parametrize("text", [LATEX * 2, LATEX.replace("url =", "url")])
def test_what_is_no_bibliography_is_refused(text):
    with pytest.raises(PybtexError):
        parse(text)


def test_which_entry_is_meant():
    known = parse(FAMILIES)

    def found(families, year):
        return [entry.key for entry in meant(families, year, known)]

    assert found("Mikolov et al.", "2013b") == found("Mikolov and Yih", "2013") == ["mikolov2013b"]
    assert found("Mikolov et al.", "2013") == ["mikolov2013a", "mikolov2013b"]  # which is a fault
    assert found("Robertson", "2017") == ["robertson2017"] and found("Robertson", "2017b") == ["robertson2017b"]
    assert found("Rijsbergen", "1979") == ["rijsbergen1979"]
    assert found("Mikolov", "2013") == found("Robertson", "2018") == found("Robertson", "2017c") == []
