"""Wrong variants: each kind is made, prints itself, and differs from the formula."""

import pytest

from authoring.formulas import latex, mutants, parse
from tests.helpers.equations import page_formulas


def variants(source, shapes=None, functions=()):
    tree = parse(source, functions)
    return [latex(mutant.tree).partition("= ")[2] for mutant in mutants(tree, shapes)]


@pytest.mark.parametrize(
    "source, expected",
    [
        ("y = a + b", ["a", "b", "-a + b", "a - b"]),
        ("y = -a", ["a"]),
        ("y = a b", ["a", "b", "-a b"]),
        (r"y = A^{\top} b", ["A b"]),
        ("y = x_{ij}", ["x_{j, i}", "x_{i + 1, j}", "x_{i, j - 1}"]),
        ("y = x_{i-1}", ["x_{i}", "x_{i - 2}"]),
        (r"y = \frac{a}{b}", [r"\frac{b}{a}", "a"]),
        (r"y = \exp a", [r"\tanh(a)", "a"]),
        (r"y = \max(a, b)", [r"\min(a, b)", "a", "b"]),
        (r"y = \sin a", [r"\cos(a)"]),
        (r"y = \sum_{i=1}^{n} x_i", [r"\prod_{i = 1}^{n} x_{i}", r"\sum_{i = 1}^{n - 1} x_{i}"]),
        (r"y = \sum_{i=1}^{n} x_i", [r"\sum_{i = 2}^{n} x_{i}"]),
        (r"y = \sum_{m<l} s_m", [r"\sum_{m \le l} s_{m}"]),
        ("y = a^2", ["a", "a^{3}"]),
        (r"y = [i \le j]", [r"[ i < j ]", r"[ i \ge j ]"]),
        (r"y = \sqrt{a}", ["a"]),
        (r"y = |a|", ["a"]),
        ("y = f(a, b)", ["f(b, a)"]),
        ("y = 2 a", ["3 a"]),
        (r"y = \begin{cases} a & c \\ b & i \le 0 \end{cases}", [r"\begin{cases} b & c \\ a & i \le 0 \end{cases}"]),
        ("y_i = \\sum_j a_{ij}", [r"\sum_{j} a_{j j}", r"\sum_{j} a_{i i}"]),
    ],
)  # fmt: skip
def test_kinds(source, expected):
    found = variants(source, functions=["f"])
    assert set(expected) <= set(found), found
    assert len(set(found)) == len(found) and source.partition("= ")[2] not in found


def test_equal_indices_are_not_swapped():
    assert "x_{k, k}" not in variants("y = x_{kk}")


def test_names_are_exchanged_for_those_of_the_same_shape():
    shapes = {"a": (3,), "b": (3,), "c": (), "W_1": (2, 2), "W_2": (2, 2), "unused": (3,)}
    found = variants("y = W_1 a + W_2 b + c", shapes)
    assert "W_{2} a + W_{2} b + c" in found and "W_{1} b + W_{2} b + c" in found
    assert not any("unused" in text for text in found)


def test_matrices_are_transposed_and_exchanged():
    found = variants(r"y = W_1 W_2 a + x_{ij}", {"W_1": (2, 2), "W_2": (2, 3), "a": (3,), "x": (2, 2)})
    assert {r"W_{1}^{\top} W_{2} a + x_{i j}", "W_{2} W_{1} a + x_{i j}", "W_{1} a W_{2} + x_{i j}"} <= set(found)
    assert not any(r"x^{\top}" in text for text in found)


def test_functions_are_exchanged():
    found = variants("y = f(x) + g(x)", {"f": "function", "g": "function"}, ["f", "g"])
    assert "g(x) + g(x)" in found and "f(x) + f(x)" in found


def test_the_name_of_a_function_is_no_argument():
    for source in ("f(z) = z a", r"\mathrm{f}(z)_i = z_i a"):
        assert not any("f" in text for text in variants(source))


def test_descriptions_tell_variants_apart():
    for tag, source in page_formulas().items():
        descriptions = [mutant.description for mutant in mutants(parse(source))]
        assert len(set(descriptions)) == len(descriptions), tag
    assert {mutant.description for mutant in mutants(parse("y = a + a"))} >= {
        "a instead of a + a",
        "a instead of a + a, place 2",
    }


def test_every_formula_of_the_book_has_variants():
    counts = {tag: len(mutants(parse(source))) for tag, source in page_formulas().items()}
    assert min(counts.values()) >= 3 and sum(counts.values()) > 20 * len(counts)
