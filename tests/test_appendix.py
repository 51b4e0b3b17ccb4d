"""The appendices: each holds all that it should, and the bibliography is complete, alive and used."""

import importlib
import inspect
import json
import re
import sys
import tomllib
from collections import Counter
from types import SimpleNamespace

import pytest
from notebooks import code, notebook, small_book

from equation_lock import ledger
from tools.book import ROOT

sys.path.append(str(ROOT / "book" / "_extensions"))

import appendix
import bibliography
import package

BIB = """\
@article{vaswani2017,
  author = {Vaswani, Ashish and {van der Shazeer}, Noam and others},
  title = {Attention is {All} you need?},
  journal = {NeurIPS},
  year = {2017},
  eprint = {1706.03762}
}

@misc{brier1950,
  author = {Brier, Glenn W.},
  title = {Verification},
  howpublished = {Review},
  year = {1950},
  doi = {10.1175/(1950)078<0001:VOF>2.0}
}
"""
PACKAGE = '''\
"""Layers.

More on them.
"""

from dataclasses import dataclass

from dlbook.data.store import fetch

__all__ = ["Dense", "fetch"]
SIZE, _hidden = 1, 2


@dataclass
class Dense:
    """A layer, as `dlbook.layers.dense` makes it.

        Dense(1)

    Attributes:
        size: how many *units*
            it has.

    Source: Vaswani et al. 2017, section 3; book equation (1.1a).
    """

    size: int = 1

    def forward(self, x: int) -> int:
        """Go forward."""
        return x

    def _backward(self): ...


def dense(
    size: int,
) -> Dense:
    """Make a layer.

    Args:
        size: how many.

    Returns:
        The layer.

    Raises:
        ValueError: It has no units.

    Source: Brier 1950.
    """
    return Dense(size)


def load():
    """Load it."""
    return fetch("digits")
'''
CATALOG = """\
[digits]
title = "Digits: some of them"
owner = "Somebody"
licence = "none"
citation = "S. Body (2000). Digits"
url = "https://example.org/digits"
unclear = "Everything."
members = [{ file = "digits.csv", bytes = 1_200_000, sha256 = "abc" }]
sources = []
"""
CHAPTER = """\
# The layer

$$
> y = x \\tag{1.1a}
$$

## Sources

- [Attention](https://arxiv.org/pdf/1706.03762v2), under [a licence](https://creativecommons.org/licenses/by/4.0/).
"""
MADE = {"command": "python -m benchmarks.fit", "python": "3", "torch": "2", "processor": "x86_64, one thread"}
FIT = {
    "made": MADE,
    "program": {"first": 0.0123456, "second": 2.0, "ratio": 0.006, "tensorflow": "2.21"},
    "cpu_seconds": 3,
}


@pytest.fixture
def root(tmp_path):
    """Make a book with a chapter, a package, a data set, a measurement and a bibliography."""
    chapter = notebook(
        CHAPTER,
        code("%pip install x", tags=("setup",)),
        code("# Listing: dlbook.layers.dense\nfrom dlbook.layers import load"),
    )
    small_book(tmp_path, b=chapter)
    results = tmp_path / "benchmarks" / "results"
    (results / "fit-cpu.json").unlink()
    (results / "images.json").write_text(json.dumps(FIT))
    (results / "chapters.json").write_text(json.dumps({"made": MADE, "seconds": {"b": 90, "far_off": 150}}))
    for script in ("images", "chapters"):
        (tmp_path / "benchmarks" / f"{script}.py").write_text('"""How fast.\n\npython -m benchmarks.fit\n"""\n')
    (tmp_path / "book" / "references.bib").write_text(BIB)
    (tmp_path / "dlbook" / "data").mkdir()
    (tmp_path / "dlbook" / "data" / "catalog.toml").write_text(CATALOG)
    (tmp_path / "dlbook" / "layers.py").write_text(PACKAGE)
    (tmp_path / "dlbook" / "data" / "store.py").write_text('"""Fetch."""\n\n\ndef fetch(name): return name\n')
    test = '@equation("1.1a", "dlbook.layers.Dense.forward", printed, wrong)\ndef test_it(formula): ...\n'
    (tmp_path / "tests" / "test_layers.py").write_text(test)
    return tmp_path


HERE = "[1.1 The layer](../b.ipynb)"
FILES = "https://example.org/o/r/blob/main"


# --- the pages of a small book ----------------------------------------------------------------------------------------


def test_equations(root):
    assert appendix.equations(root) == (
        "## Section 1.1: [The layer](../b.ipynb)\n\n$$\ny = x \\tag{1.1a}\n$$\n\n"
        "[`dlbook.layers.Dense.forward`](#dlbook.layers.dense-class), compared by "
        f"[`test_it`]({FILES}/tests/test_layers.py#L2)"
    )


def test_an_equation_of_something_outside_the_package_leads_to_its_code(root):
    (root / "benchmarks" / "pairs.py").write_text("def pairs(): ...\n")
    test = root / "tests" / "test_layers.py"
    test.write_text(test.read_text().replace("dlbook.layers.Dense.forward", "benchmarks.pairs.pairs"))
    assert f"[`benchmarks.pairs.pairs`]({FILES}/benchmarks/pairs.py#L1), compared" in appendix.equations(root)


def test_datasets(root):
    assert appendix.datasets(root).split("\n") == [
        "## Digits",
        "",
        "Some of them.",
        "",
        "- **Whose?** Somebody.",
        "- **Which licence?** None.",
        "- **What is unclear?** Everything.",
        "- **How to cite?** S. Body (2000). Digits. [Its page](<https://example.org/digits>).",
        "- **Loaded by** [`dlbook.layers.load`](#dlbook.layers.load), as `digits`.",
        f"- **Used in** {HERE}.",
        "",
        "<details><summary>Files and checksums: 1, 1.2 MB</summary>",
        "",
        "- `digits.csv`, 1,200,000 bytes, sha256 `abc`",
        "",
        "</details>",
    ]


def test_a_data_set_of_no_chapter(root):
    small_book(root, b=notebook("# The layer"))
    assert "**Used in** no chapter yet." in appendix.datasets(root)


def test_speed(root):
    assert appendix.speed(root).split("\n")[2:] == [
        "| the program of section 4.2, an epoch | 12.3\u00a0ms | 2\u00a0s, Keras | 0.01 |"
    ]
    assert appendix.conditions(root).split("\n") == [
        "- `python -m benchmarks.fit`: How fast. Python 3, PyTorch 2, x86_64, one thread.",
        "- `python -m benchmarks.fit`: How fast. Python 3, PyTorch 2, TensorFlow 2.21, x86_64, one thread. "
        "The longest run took 3\u00a0s.",
    ]
    assert appendix.run_times(root).split("\n")[2:] == [
        f"| {HERE} | 90 |",
        "",
        "Together they take 4 minutes of one thread, and so about 2 minutes where two run at a time, "
        "as in `make test`. The longest is far off, with 150 s.",
    ]


def test_a_measurement_that_nobody_described(root):
    (root / "benchmarks" / "results" / "new.json").write_text(json.dumps({"here": FIT["program"]}))
    with pytest.raises(ValueError, match="COMPARED in book/_extensions/appendix.py must say what new.here times"):
        appendix.speed(root)


@pytest.mark.parametrize("seconds, text", [(66.24, "66.2 s"), (0.04, "40 ms"), (0.0009716, "972 µs"), (0, "0 µs")])
def test_duration(seconds, text):
    assert appendix.duration(seconds).replace("\u00a0", " ") == text


def test_api(root):
    assert package.api(root).split("\n") == [
        "## `dlbook.data.store`",
        "",
        "Fetch.",
        "",
        "(dlbook.data.store.fetch)=",
        "### `fetch`",
        "",
        "```python",
        "def fetch(name)",
        "```",
        "",
        f"[Code]({FILES}/dlbook/data/store.py#L4)",
        "",
        "## `dlbook.layers`",
        "",
        "Layers.",
        "",
        "Also here: [`dlbook.data.store.fetch`](#dlbook.data.store.fetch).",
        "",
        "Constants and types:",
        "",
        f"- `` SIZE, _hidden = (1, 2) `` ([code]({FILES}/dlbook/layers.py#L11))",
        "",
        "(dlbook.layers.dense-class)=",
        "### `Dense`",
        "",
        "```python",
        "@dataclass",
        "class Dense",
        "    size: int = 1",
        "    def forward(self, x: int) -> int",
        "```",
        "",
        "A layer, as [`dlbook.layers.dense`](#dlbook.layers.dense) makes it.",
        "",
        "```python",
        "Dense(1)",
        "```",
        "",
        "**Attributes**",
        "",
        "- `size`: how many \\*units\\* it has.",
        "",
        "**Source** Vaswani et al. 2017, section 3; book equation (1.1a).",
        "",
        "**`forward`** Go forward.",
        "",
        f"[Code]({FILES}/dlbook/layers.py#L15-L33)",
        "",
        "(dlbook.layers.dense)=",
        "### `dense`",
        "",
        "```python",
        "def dense(",
        "    size: int,",
        ") -> Dense",
        "```",
        "",
        "Make a layer.",
        "",
        "**Arguments**",
        "",
        "- `size`: how many.",
        "",
        "**Returns** The layer.",
        "",
        "**Errors**",
        "",
        "- `ValueError`: It has no units.",
        "",
        "**Source** Brier 1950.",
        "",
        f"[Code]({FILES}/dlbook/layers.py#L36-L52) · listed in {HERE}",
        "",
        "(dlbook.layers.load)=",
        "### `load`",
        "",
        "```python",
        "def load()",
        "```",
        "",
        "Load it.",
        "",
        f"[Code]({FILES}/dlbook/layers.py#L55-L57)",
    ]


def test_a_page_without_a_title(root):
    (root / "book" / "c.md").write_text("Text.\n")
    with pytest.raises(ValueError, match="a page must begin with its title: got none in book/c"):
        package.chapters(root)


def test_references(root):
    assert bibliography.references(root).split("\n") == [
        "- Glenn W. Brier (1950). *Verification.* Review. [doi:10.1175/(1950)078\\<0001:VOF\\>2.0]"
        "(<https://doi.org/10.1175/(1950)078%3C0001:VOF%3E2.0>). "
        "Cited in [`dlbook.layers.dense`](#dlbook.layers.dense).",
        "- Ashish Vaswani, Noam van der Shazeer and others (2017). *Attention is All you need?* NeurIPS. "
        "[arXiv:1706.03762](<https://arxiv.org/abs/1706.03762>). "
        f"Cited in {HERE}, [`dlbook.layers.Dense`](#dlbook.layers.dense-class).",
    ]


def test_the_places_of_what_is_generated(root):
    assert appendix.fill("# A\n\n<!-- generated: speed -->\n", root) == f"# A\n\n{appendix.speed(root)}\n"
    text = ["<!-- generated: speed -->"]
    for page, filled in (("book/b", False), ("book/appendix/speed", True)):
        appendix.fill_page(SimpleNamespace(srcdir=str(root)), page, text)
        assert (text[0] == appendix.speed(root)) is filled


# --- the bibliography -------------------------------------------------------------------------------------------------


def test_the_small_bibliography_is_right(root):
    assert bibliography.faults(root) == []
    (root / "book" / "z.md").write_text("# Z\n\nIt says 28.4<!-- from: vaswani2017 -->.\n")
    assert bibliography.citations(root)["vaswani2017"] == ["book/b", "book/z", "dlbook.layers.Dense"]


@pytest.mark.parametrize(
    "old, new, messages",
    [
        (
            "eprint = {1706.03762}",
            "eprint = {17060.3762}",
            ["vaswani2017: eprint must look like", "names https://arxiv"],
        ),
        ("doi = {10.1175/(1950)078<0001:VOF>2.0}", "doi = {doi:10.1}", ["brier1950: doi must look like"]),
        ("doi = {10.1175/(1950)078<0001:VOF>2.0}", "isbn = {123}", ["brier1950: isbn must look like"]),
        ("doi = {10.1175/(1950)078<0001:VOF>2.0}", "url = {www.here}", ["brier1950: url must look like"]),
        ("doi = {10.1175/(1950)078<0001:VOF>2.0}", "pages = {1}", ["brier1950 must have a doi, eprint, isbn or url"]),
        ("title = {Verification}", "title = {}", ["brier1950 must have title"]),
        ("howpublished = {Review}", "pages = {1}", ["brier1950 must have where it appeared"]),
        (
            "author = {Brier, Glenn W.}",
            "author = {Breier, Glenn W.}",
            [
                "brier1950 must be cited",
                "dlbook.layers.dense names Brier 1950, which is 0 entries: add it at the end of",
            ],
        ),
        (
            "@misc{brier1950,",
            "@misc{brier1950,\n  author = {Brier, Anna},\n  year = {1950},\n  title = {It},\n"
            "  howpublished = {Here},\n  url = {https://example.org}\n}\n\n@misc{brier1950,",
            ["brier1950 is there 2 times", "names Brier 1950, which is 2 entries"],
        ),
        (
            "@misc{brier1950,",
            "@misc{other2000,\n  author = {Other, An},\n  year = {2000},\n  title = {It},\n"
            "  eprint = {1706.03762}\n}\n\n@misc{brier1950,",
            ["arxiv.org/abs/1706.03762 is there 2 times"],
        ),
        (
            "@misc{brier1950,",
            "@misc{other2000,\n  author = {Other, An},\n  year = {2000},\n  title = {It},\n"
            "  eprint = {1706.03763}\n}\n\n@misc{brier1950,",
            ["other2000 must be cited: no page links to it, and no docstring names it"],
        ),
    ],
)
def test_planted_faults_in_the_bibliography(root, old, new, messages):
    assert old in BIB
    (root / "book" / "references.bib").write_text(BIB.replace(old, new))
    faults = bibliography.faults(root)
    assert len(faults) == len(messages)
    assert all(message in fault for message, fault in zip(messages, faults, strict=True)), faults


def test_planted_source_without_an_entry(root):
    chapter = (
        CHAPTER + "- [New](https://doi.org/10.1000/new), and [this](b.ipynb).\n\n## More\n\n[x](https://example.org)\n"
    )
    small_book(root, b=notebook(chapter))
    (root / "book" / "references.bib").write_text(BIB)
    faults = bibliography.faults(root)
    assert len(faults) == 1
    assert (
        "book/b names https://doi.org/10.1000/new under Sources: add it at the end of book/references.bib" in faults[0]
    )


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
    assert bibliography.CITED.findall(text) == found


def test_which_entry_is_meant():
    def entry(key, author, year):
        return bibliography.Entry(key, {"author": author, "year": year})

    known = [
        entry("mikolov2013a", "Mikolov, T. and Chen, K.", "2013"),
        entry("mikolov2013b", "Mikolov, T. and Yih, W.", "2013"),
        entry("robertson2017", "Robertson, S.", "2017"),
        entry("robertson2017b", "Robertson, S.", "2017"),
        entry("rijsbergen1979", "van Rijsbergen, C.", "1979"),
    ]

    def keys(families, year):
        return [entry.key for entry in bibliography.meant(families, year, known)]

    assert keys("Mikolov et al.", "2013b") == keys("Mikolov and Yih", "2013") == ["mikolov2013b"]
    assert keys("Mikolov et al.", "2013") == ["mikolov2013a", "mikolov2013b"]  # which is a fault
    assert keys("Robertson", "2017") == ["robertson2017"] and keys("Robertson", "2017b") == ["robertson2017b"]
    assert keys("Rijsbergen", "1979") == ["rijsbergen1979"]
    assert keys("Mikolov", "2013") == keys("Robertson", "2018") == keys("Robertson", "2017c") == []


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
    assert bibliography.plain(one) == bibliography.plain(other)


# --- the real book ----------------------------------------------------------------------------------------------------


def test_the_bibliography_is_complete_alive_and_used():
    assert len(bibliography.entries()) > 100
    assert len(re.findall("^@", (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), re.M)) == len(
        bibliography.entries()
    )
    faults = bibliography.faults()
    assert not faults, "\n".join(faults)


def test_every_page_has_its_place():
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "book" / "appendix").glob("*.md")}
    places = [place for text in pages.values() for place in appendix.PLACE.findall(text)]
    assert sorted(places) == sorted(appendix.GENERATED)
    env = SimpleNamespace(
        found_docs=[f"book/appendix/{name}" for name in pages], doc2path=lambda page: str(ROOT / f"{page}.md")
    )
    always = appendix.always(SimpleNamespace(), env, set(), set(), set())
    assert {page.rpartition("/")[2] for page in always} == {"api", "datasets", "equations", "references", "speed"}


def test_every_equation_is_there():
    page = appendix.equations()
    rows, _ = ledger()
    tags = re.findall(r"\\tag\{(.+?)\}", page)
    assert tags == list(dict.fromkeys(tag for tag, *_ in rows)) and len(tags) > 80
    assert page.count(", compared by [") == len(rows)
    assert page.count("$$") == 2 * len(tags)


def test_every_data_set_is_there():
    page = appendix.datasets()
    catalog = tomllib.loads((ROOT / "dlbook" / "data" / "catalog.toml").read_text(encoding="utf-8"))
    assert page.count("\n- **Whose?**") == len(catalog)
    for name, entry in catalog.items():
        assert f", as `{name}`." in page
        assert all(member["sha256"] in page for member in entry["members"])
    assert "**Loaded by** ," not in page


def test_every_public_name_is_there():
    page = package.api()
    for module, _, _ in package.modules():
        for name, thing in vars(importlib.import_module(module)).items():
            if getattr(thing, "__module__", "") != module or name.startswith("_"):
                continue  # it comes from elsewhere, or is private
            if inspect.isclass(thing) or inspect.isroutine(thing):
                ending = "-class" if inspect.isclass(thing) else ""
                assert f"({module}.{name}".lower() + f"{ending})=\n### `{name}`\n" in page
    assert " COLOURS = [" in page and ", [`dlbook.devices.device`](#dlbook.devices.device).\n" in page
    anchors = Counter(re.findall(r"^\((.+)\)=$", page, re.M))
    assert len(anchors) > 250 and set(anchors.values()) == {1}, (
        "two names that differ in capitals alone: give one another"
    )
    missing = set(re.findall(r"\]\(#([^)]+)\)", page)) - set(anchors)
    assert missing == set()


def test_every_measurement_is_there():
    page, results = appendix.speed(), json.dumps(appendix.results())
    assert page.count("\n| ") == results.count('"second"') + results.count('"times"') > 10
    made = [found["made"]["command"] for found in appendix.results().values()]
    assert all(f"`{command}`" in appendix.conditions() for command in made)
    assert appendix.run_times().count(".ipynb)") == len(package.notebooks())


def test_every_source_is_there():
    page = bibliography.references()
    assert page.count("\n- ") + 1 == len(bibliography.entries()) == page.count(" Cited in ")
