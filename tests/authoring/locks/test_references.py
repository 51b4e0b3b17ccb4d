"""The lock on sources."""

import pytest

from authoring.bibliography import Entry
from authoring.locks.references import CITED, citations, faults, misnamed, plain
from tests.authoring.conftest import BIB, CHAPTER, chapter
from tests.helpers.notebooks import small_book

DOI = "doi = {10.1175/(1950)078<0001:VOF>2.0}"
TWO = """\
@misc{brier_anna,
  author = {Brier, Anna},
  year = {1950},
  title = {It},
  howpublished = {Here},
  url = {https://example.org}
}

@misc{brier_glenn,"""
OTHER = """\
@misc{other2000,
  author = {Other, An},
  year = {2000},
  title = {It},
  eprint = {1706.03762}
}

@misc{brier1950,"""


def test_the_small_bibliography_is_right(book):
    assert faults(book) == []
    (book / "book" / "z.md").write_text("# Z\n\nIt says 28.4<!-- from: vaswani2017 -->.\n")
    assert citations(book)["vaswani2017"] == ["book/b", "book/z", "dlbook.layers.Dense"]


@pytest.mark.parametrize(
    "old, new, messages",
    [
        (
            "eprint = {1706.03762}",
            "eprint = {17060.3762}",
            ["vaswani2017: eprint must look like", "book/b: names https://arxiv"],
        ),
        (DOI, "doi = {doi:10.1}", ["brier1950: doi must look like"]),
        (DOI, "isbn = {123}", ["brier1950: isbn must look like"]),
        (DOI, "url = {www.here}", ["brier1950: url must look like"]),
        (DOI, "pages = {1}", ["brier1950: must have a doi, eprint, isbn or url"]),
        ("title = {Verification}", "title = {}", ["brier1950: must have title"]),
        ("howpublished = {Review}", "pages = {1}", ["brier1950: must have where it appeared"]),
        (
            "  author = {Brier, Glenn W.},\n",
            "",
            ["brier1950: must have author", "brier1950: must be cited", "dlbook.layers.dense: names Brier 1950"],
        ),
        (
            "author = {Brier, Glenn W.}",
            "author = {Breier, Glenn W.}",
            [
                "brier1950: must be cited",
                "dlbook.layers.dense: names Brier 1950, which is 0 entries: add it at the end of",
            ],
        ),
        ("@misc{brier1950,", TWO, ["dlbook.layers.dense: names Brier 1950, which is 2 entries"]),
        (
            "@misc{brier1950,",
            TWO.replace("_glenn", "_anna"),
            ["each key once: repeated bibliography entry: brier_anna"],
        ),
        (
            "title = {Verification}",
            "title {Verification}",
            ["references.bib: must be BibTeX, each key once: syntax error"],
        ),
        ("@misc{brier1950,", OTHER, ["arxiv.org/abs/1706.03762: must be the address of one entry: got 2"]),
        (
            "@misc{brier1950,",
            OTHER.replace("03762", "03763"),
            ["other2000: must be cited, but no page links to it and no docstring names it"],
        ),
    ],
)
def test_planted_faults(book, old, new, messages):
    assert old in BIB
    (book / "book" / "references.bib").write_text(BIB.replace(old, new))
    found = faults(book)
    assert len(found) == len(messages), found
    assert all(message in fault for message, fault in zip(messages, found, strict=True)), found


def test_planted_source_without_an_entry(book):
    text = (
        CHAPTER + "- [New](https://doi.org/10.1000/new), and [this](b.ipynb).\n\n## More\n\n[x](https://example.org)\n"
    )
    small_book(book, b=chapter(text))
    (book / "book" / "references.bib").write_text(BIB)
    (found,) = faults(book)
    assert "book/b: names https://doi.org/10.1000/new under Sources: add it at the end of book/references.bib" in found


def test_a_book_without_sources(book):
    small_book(book, b=chapter("# The layer\n\nIt says 28.4<!-- from: vaswani2017 -->."))
    (book / "book" / "references.bib").write_text(BIB)
    assert faults(book) == ["_toc.yml: the lock found no sources in its 1 notebooks: mend the lock or the book"]


@pytest.mark.parametrize(
    "text, found",
    [
        (
            "Witten and Bell 1991, method C, and Kneser and Ney 1995",
            [("Witten and Bell", "1991"), ("Kneser and Ney", "1995")],
        ),
        ("the program of GPT-2, Radford et al. 2019.", [("Radford et al.", "2019")]),
        ("Daubechies, Defrise and De Mol 2004", [("Daubechies, Defrise and De Mol", "2004")]),
        ("Mikolov et al. 2013b, equation (4); Künsch 1989", [("Mikolov et al.", "2013b"), ("Künsch", "1989")]),
        ("Open Shakespeare 0.6, after Project Gutenberg.", []),
    ],
)
def test_what_a_docstring_cites(text, found):
    assert CITED.findall(text) == found


@pytest.mark.parametrize(
    "one, other",
    [
        ("https://doi.org/10.1000/ABC", "http://dx.doi.org/10.1000/abc"),
        ("https://arxiv.org/abs/1706.03762", "http://arxiv.org/pdf/1706.03762v5.pdf"),
        ("https://arxiv.org/abs/1706.03762", "https://doi.org/10.48550/arXiv.1706.03762"),
        ("https://doi.org/10.1/(1950)<1>", "https://doi.org/10.1/(1950)%3C1%3E"),
        ("https://www.example.org/a/", "https://example.org/a"),
    ],
)
def test_addresses_of_one_source(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    "words, title, right",
    [
        ("Attention is all you need", "Attention is {All} you need?", True),
        ("Fashion-MNIST", "Fashion-{MNIST}: a novel image dataset", True),
        ("Classifying names with an RNN", "NLP from scratch: classifying names with an {RNN}", True),
        (r"An image is worth $16 \times 16$ words", "An image is worth 16 × 16 words: Transformers", True),
        ("An image is worth `16x16` words", "An image is worth 16 × 16 words: Transformers", True),
        (r"Beijing's $\mathrm{PM}_{2.5}$ pollution", "Assessing Beijing's PM2.5 pollution", True),
        ("Trees on tabular data", "Trees on typical tabular data", False),
        ("Attention is all you", "Attention is all your need", False),
        ("their tutorial", "NLP from scratch", False),
    ],
)
def test_the_words_of_a_link_under_sources_are_its_title(words, title, right):
    known = [Entry("a2017", {"title": title, "url": "https://example.org/a"}, [], [])]
    found = misnamed(f"- A. Author, [{words}](https://example.org/a), 2017.", known)
    fault = f"“{words}” must be the title in book/references.bib, or a part of it: {title}"
    assert found == ([] if right else [fault])
