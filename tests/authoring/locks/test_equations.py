"""The equation lock: every display equation has a tag, every tag a test, and every test rejects wrong variants."""

import pytest

from authoring.locks.equations import Proof, displayed, faults, formulas, ledger, main, proofs
from tests.helpers.notebooks import code, notebook, small_book

PAGE = r"""
$$
y = W x + b \tag{1.1a}
$$

so, inline $y = x$ and `$$ not this $$`,

$$z = f(y)$$
<!-- derivation of 1.1a -->

> $$ w = 0 \tag{1.1b} $$
"""
TESTS = """
from tests.helpers.equations import executed

@executed("1.1a", of="dlbook.network.Dense")
@other
def test_dense(formula): ...

class TestMore:
    @executed("1.1b", of="dlbook.network.Dense.forward", same={})
    def test_w(self, formula): ...

def test_plain(): ...
"""


@pytest.fixture
def root(tmp_path):
    small_book(tmp_path, b=notebook("# B", PAGE, code("x = '$$'"), "```\n$$ no $$\n```"))
    (tmp_path / "dlbook" / "network.py").write_text("class Dense:\n    def forward(self): ...\n")
    (tmp_path / "tests" / "test_network.py").write_text(TESTS)
    return tmp_path


def test_ledger(root, capsys):
    assert displayed(root) == ({"1.1a": "book/b", "1.1b": "book/b"}, [])
    assert main(root) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["1.1a", "book/b", "dlbook.network.Dense", "tests/test_network.py::test_dense"],
        ["1.1b", "book/b", "dlbook.network.Dense.forward", "tests/test_network.py::test_w"],
    ]


def test_formulas_are_those_of_the_pages(root):
    assert formulas(root) == {"1.1a": r"y = W x + b \tag{1.1a}", "1.1b": r"w = 0 \tag{1.1b}"}


def test_proofs(root):
    assert proofs(root) == (
        [
            Proof("1.1a", "dlbook.network.Dense", "tests/test_network.py::test_dense"),
            Proof("1.1b", "dlbook.network.Dense.forward", "tests/test_network.py::test_w"),
        ],
        [],
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("$$ y = x $$", r"book/b, y = x: must have one \tag, or be followed by <!-- derivation of TAG -->"),
        (r"$$ y \tag{1.1c} \\ z \tag{1.1d} $$", "must have one"),
        (r"$$ y \tag{1.1a} $$", "must have a tag of its own, this one is also in book/b"),
        (r"$$ y \tag{1.2c} $$", "must have a tag made of 1.1, its section, and a letter"),
        (r"$$ y \tag{1x1c} $$", "must have a tag made of 1.1"),
        ("$$ y $$\n<!-- derivation of 1.1z -->", "book/b, y: is derived from 1.1z, which must be in the book"),
        (r"\begin{align} y \end{align}", r"must stand between $$ and $$: got \begin{align}"),
        (r"\[ y \]", r"got \["),
        (
            "$$ y $$ <!-- derivation of 1.1a -->",
            "book/b, y: must end its line: got '<!-- derivation of 1.1a -->'",
        ),
    ],
)
def test_planted_faults_in_the_book(root, text, message):
    small_book(root, b=notebook("# B", PAGE, text))
    faults = displayed(root)[1]
    assert len(faults) == 1 and message in faults[0]


def test_the_same_tag_on_two_pages(root):
    small_book(root, c=notebook(r"$$ y \tag{1.1a} $$"))
    assert displayed(root)[0]["1.1a"] == "book/b"
    assert displayed(root)[1] == [r"book/c, y \tag{1.1a}: must have a tag of its own, this one is also in book/b"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"1.1a"', '"1.1c"', "book/b: equation 1.1a must have a test decorated @executed('1.1a', …)"),
        ('"1.1a"', '"1.1c"', "tests/test_network.py::test_dense: equation 1.1c must be in the book"),
        ("Dense.forward", "Dense.no", "tests/test_network.py::test_w: a name must mean something that exists"),
        ("@executed(", "@pytest.mark.equation(", "::test_dense: must be decorated @executed(tag, of=…)"),
        ("@executed(", "@helpers.executed(", "::test_dense: must be decorated @executed(tag, of=…)"),
        (', of="dlbook.network.Dense"', "", "::test_dense: must be decorated @executed(tag, of=…)"),
        ('"1.1a"', "TAG", "::test_dense: must be decorated @executed(tag, of=…)"),
    ],
)
def test_planted_faults_in_the_tests(root, capsys, old, new, message):
    assert main(root) == 0
    (root / "tests" / "test_network.py").write_text(TESTS.replace(old, new, 1))
    assert main(root) == 1
    assert message in capsys.readouterr().out


def test_a_notebook_without_an_equation(root):
    assert faults(root) == []
    small_book(root, b=notebook("# B", PAGE), c=notebook("# C"))
    assert faults(root) == [r"book/c: must have an equation with a \tag"]


def test_a_test_may_be_written_before_its_section(root):
    (root / "tests" / "test_network.py").write_text(TESTS + TESTS.replace('"1.1a"', '"3.4a"').replace("1.1b", "3.4b"))
    assert ledger(root)[1] == []


def test_a_bare_mark(root):
    (root / "tests" / "test_network.py").write_text("@pytest.mark.equation('1.1a')\ndef test_dense(): ...\n")
    found, faults = proofs(root)
    assert [proof.tag for proof in found] == ["1.1a"] and len(faults) == 2
    assert len(ledger(root)[0]) == 1


def test_references_to_equations(root):
    small_book(root, b=notebook("# B", PAGE, "By (1.1a) and equation 1.1b, with $(1.9z)$, `(1.9z)`; see (2a)."))
    (root / "dlbook" / "network.py").write_text(
        'class Dense:\n    """Source: book\n    equations (1.1a) and (1.1c)."""\n\n    def forward(self): ...\n'
    )
    assert faults(root) == [
        "book/b: equation 2a must be in the book to be referred to",
        "dlbook/network.py: equation 1.1c must be in the book to be referred to",
    ]
