"""A small book with all that the pages of the appendix and the bibliography are made of."""

import json

import pytest

from tests.helpers.notebooks import code, notebook, small_book

BIB = """\
@article{vaswani2017,
  author = {Vaswani, Ashish and {van der Shazeer}, Noam and M{\\"u}ller, Max and others},
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

SIZE: int = 1
_hidden = 2


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

    @property
    def wide(self) -> bool:
        """Whether it has more than one unit."""
        return self.size > 1

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
        The layer, (1, 2).

    Raises:
        ValueError: It has no units.

    Source: Brier 1950.
    """
    return Dense(size)


def load():
    """Load it."""
    return fetch("digits")


def _alone(): ...
'''
STORE = '''\
"""Fetch."""


def fetch(name): return name
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
TEST = '@executed("1.1a", of="dlbook.layers.Dense.forward")\ndef test_it(formula): ...\n'
MADE = {"command": "python -m benchmarks.fit", "python": "3", "torch": "2", "processor": "x86_64, one thread"}
FIT = {
    "made": MADE,
    "program": {"first": 0.0123456, "second": 2.0, "ratio": 0.006, "tensorflow": "2.21"},
    "cpu_seconds": 3,
}


def chapter(text=CHAPTER):
    """Return the chapter of the book, which lists one function and imports another."""
    listing = code("# Listing: dlbook.layers.dense\nfrom dlbook.layers import load")
    return notebook(text, code("%pip install x", tags=("setup",)), listing)


@pytest.fixture
def book(tmp_path):
    """Make a book with a chapter, a package, a data set, a measurement and a bibliography."""
    small_book(tmp_path, b=chapter())
    files = {
        "benchmarks/results/images.json": json.dumps(FIT),
        "benchmarks/results/chapters.json": json.dumps({"made": MADE, "seconds": {"b": 90, "far_off": 150}}),
        "benchmarks/images.py": '"""How fast.\n\npython -m benchmarks.fit\n"""\n',
        "benchmarks/chapters.py": '"""How fast.\n\npython -m benchmarks.fit\n"""\n',
        "book/references.bib": BIB,
        "dlbook/layers.py": PACKAGE,
        "dlbook/_hidden.py": PACKAGE,
        "dlbook/data/__init__.py": "",
        "dlbook/data/store.py": STORE,
        "dlbook/data/catalog.toml": CATALOG,
        "tests/test_layers.py": TEST,
    }
    (tmp_path / "benchmarks" / "results" / "fit-cpu.json").unlink()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path
