"""The notation lock: the formulas of every notebook use the symbols that the appendix lists, and no others."""

import pytest

from authoring.locks.notation import PAGE, faults, formulas, rows, symbols, used
from tests.helpers.notebooks import code, notebook, small_book

TABLES = r"""
# Notation

What $q$ means is not asked outside the tables.

| Symbol | Meaning | Where |
|---|---|---|
| $\sum$, $\log$ | signs | everywhere |
| $x$ | input $u$ | [§1.1] [§2] |
| $W_{xh}$ | weights | [§1.1] |
| $\bar h$, $\mathrm{Var}$ | others | [§1.1] |
| $h$ | state | [§1.1] |
| $h$ | a small step | [§1.1] |

## Letters with two meanings in one chapter

| Symbol | The two meanings | Where |
|---|---|---|
| $h$ | state; small step | [§1.1] |

[§1.1]: ../b.ipynb
[§2]: ../c.ipynb
"""
FIRST = r"""
A sum $\sum x$, code `$q$`, a comment<!-- = 2 * cost["$q$"] -->, and a price of \$5.

$$ h = \log \left( W_{xh}\, x \right) \qquad \text{where } \mathrm{Var}(\bar{h}) > 0 \tag{1.1a} $$
"""


@pytest.fixture
def root(tmp_path):
    small_book(tmp_path, b=notebook("# B", FIRST, code("y = '$q$'")), c=notebook("# C", "Here $x = 2$."))
    (tmp_path / PAGE).parent.mkdir(exist_ok=True)
    (tmp_path / PAGE).write_text(TABLES)
    return tmp_path


@pytest.mark.parametrize(
    "formula, found",
    [
        (r"W_{hh}\, h_{t-1} + b", ["W", "h", "t", "b"]),
        (r"\bar v_i = \bar{v}_j \tilde{x} \hat\varepsilon", [r"\bar{v}", "i", "j", r"\tilde{x}", r"\hat{\varepsilon}"]),
        (r"\operatorname*{arg\,max}_{d} \mathrm{E}\big[x\big]", [r"\mathrm{argmax}", "d", r"\mathrm{E}", "x"]),
        (r"p_{\text{keep}} \begin{cases} 1 & j \le i \end{cases} \tag{3.4b}", ["p", "j", "i"]),
        (r"\sum_{l} \lVert \delta_l \rVert^2 \approx 10^{-6}", [r"\sum", "l", r"\lVert", r"\delta"]),
        (r"\left\lfloor \frac{n}{2} \right\rfloor \times 95\,\%", [r"\lfloor", "n"]),
        (r"#\text{parameters}", []),
    ],
)
def test_symbols(formula, found):
    assert symbols(formula) == found


@pytest.mark.parametrize(
    "text, found",
    [
        ("$x$ and $$y\n= 1$$, not `$z$`", ["x", "y\n= 1"]),
        ("```\n$z$\n```\n<!-- $z$ -->", []),
        (r"\$5 or $6 and 7$8, but $w$", ["w"]),
    ],
)
def test_formulas(text, found):
    assert formulas(text) == found


def test_rows():
    found = rows("| $a_i$, $b$ | what $c$ does | units | [§1.1] [§2] |\n| Symbol | $x$ |\n$y$ | [§3] |")
    assert found == [(["a", "i", "b"], ["a", "b"], ["1.1", "2"])]


def test_a_book_that_keeps_to_its_tables(root):
    assert used(root) == {"1.1": {r"\sum", "x", "h", r"\log", "W", r"\mathrm{Var}", r"\bar{h}"}, "2": {"x"}}
    assert faults(root) == []


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("$x = 2$", "$x = 2 y$", "must list y, used in section 2"),
        ("$x = 2$", r"$\tilde x = x$", r"must list \tilde{x}, used in section 2"),
        ("$x = 2$", r"$\mathrm{Variance}(x)$", r"must list \mathrm{Variance}, used in section 2"),
        ("$x = 2$", "$h = x$", "must list h, used in section 2"),
        ("$x = 2$", "$2$", "the row of x: section 2 does not use x"),
        ("W_{xh}", "W_{x}", None),
        ("h = ", "", None),
        (r"\log ", "", r"\log is used in no formula"),
        ("| $x$ |", "| $x_n$ |", "the row of x: section 1.1 does not use n"),
        ("| $x$ | input $u$ | [§1.1] [§2] |\n", "", "must list x, used in section 2"),
        ("| $h$ | a small step | [§1.1] |\n", "", "h has one meaning in section 1.1"),
        ("| $h$ | state; small step | [§1.1] |\n", "", "h has two meanings in section 1.1: say so"),
        ("[§2]: ../c.ipynb", "[§2]: ../b.ipynb", "[§2]: must be defined as the address of section 2"),
        ("[§2]: ../c.ipynb", "", "[§2]: must be defined as the address of section 2"),
        ("[§1.1] [§2] |", "[§1.1] [§2] [§7] |", "[§7]: must be defined as the address of section 7"),
    ],
)
def test_planted_faults(root, old, new, fault):
    for path in (root / "book" / "b.ipynb", root / "book" / "c.ipynb", root / PAGE):
        text, escaped = path.read_text(), path.suffix == ".ipynb"
        path.write_text(text.replace(*(part.replace("\\", "\\\\") if escaped else part for part in (old, new)), 1))
    found = faults(root)
    assert any(fault in line for line in found) if fault else found == []
