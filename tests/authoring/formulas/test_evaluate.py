"""What formulas are worth: each notation by a value that is known, and nothing guessed."""

import math

import numpy as np
import pytest
import torch

from authoring.formulas import EvaluationError, evaluate, parse

A, B = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[2.0, 0.5], [1.0, 4.0]])
U, V = np.array([1.0, 2.0]), np.array([3.0, 5.0])


def value(source, names=None, ranges=None, **options):
    names = names or {}
    functions = [name for name, given in names.items() if callable(given)]
    found = evaluate(parse(source, functions), names, ranges, source=source, **options)
    return found if len(found) > 1 else next(iter(found.values()))


NOTATIONS = [
    ("2 + 3 - 4", {}, 1),
    ("-2^2", {}, -4),
    (r"\frac{1}{4} + 1 / 4", {}, 0.5),
    (r"\sqrt{9} \, \lfloor 2.9 \rfloor", {}, 6),
    (r"\binom{5}{2} + \binom{n}{0}", {"n": 3.0}, 11),
    ("|a| + |S|", {"a": -2.5, "S": {1, 7}}, 4.5),
    ("e^{a} - \\pi", {"a": 1}, math.e - math.pi),
    (r"\log_2 8", {}, 3),
    (r"\min(1, a) + \max(2, 0, a)", {"a": 5}, 6),
    (r"\operatorname{sign}(a)", {"a": -3.0}, -1),
    (r"\Phi(0) + \mathrm{erf}\, 0 + \sigma(0)", {}, 1),
    ("A B", {"A": A, "B": B}, A @ B),
    ("A u", {"A": A, "u": U}, A @ U),
    (r"u v^{\top}", {"u": U, "v": V}, np.outer(U, V)),
    (r"u^{\top} v", {"u": U, "v": V}, 13),
    (r"u \cdot v", {"u": U, "v": V}, 13),
    (r"u \odot v", {"u": U, "v": V}, U * V),
    (r"A^{\top} u", {"A": A, "u": U}, A.T @ U),
    (r"\mathrm{diag}(u) A", {"A": A, "u": U}, np.diag(U) @ A),
    (r"\lVert u \rVert", {"u": U}, math.sqrt(5)),
    (r"\cos(u, v)", {"u": U, "v": V}, 13 / math.sqrt(5 * 34)),
    (r"\mathrm{softmax}(u)", {"u": U}, np.exp(U) / np.exp(U).sum()),
    ("v^2 / u", {"u": U, "v": V}, V**2 / U),
    ("x_{12} + x_{n,m}", {"x_12": 7, "x": A, "n": 2, "m": 1}, 10),
    ("x_{y_n}", {"x": V, "y": [2, 1], "n": 1}, 5),
    ("u_{1c}", {"u": A, "c": 2}, 2),
    ("x_{2i}", {"x": V, "i": 1}, 5),
    ("A_2", {"A": A}, A[1]),
    ("a^{h}_i", {"a^": A, "h": 2, "i": 1}, 3),
    ("w_j^*", {"w^*": V, "j": 2}, 5),
    ("f(2) + f'(3)", {"f": lambda x: x + 1, "f'": lambda x: 10 * x}, 33),
    ("p_k(x)", {"p": lambda k, x: k * x, "k": 3, "x": 2}, 6),
    (r"p(a \mid b, c)", {"p": lambda *x: sum(x), "a": 1, "b": 2, "c": 3}, 6),
    (r"p(w_3 \mid w_1, \dots, w_{t-1})", {"p": lambda *x: sum(x), "w": [5, 6, 7], "t": 3}, 18),
    (r"p(w_3 \mid w_1, \dots, w_{t-1})", {"p": lambda *x: sum(x), "w": [5, 6, 7], "t": 1}, 7),
    ("p(y_{<t})", {"p": lambda x: len(x), "y": V, "t": 2}, 1),
    ("[a = 2] + [a < b < c]", {"a": 2, "b": 3, "c": 3}, 1),
    (r"[u_1; v]", {"u": A, "v": V}, [1, 2, 3, 5]),
    (r"\begin{cases} 1 & a > 0 \\ -1 & \text{otherwise} \end{cases}", {"a": 0}, -1),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix} u", {"u": U}, A @ U),
    (r"|\{ j \in S : x_j \ge 3 \}|", {"S": {1, 2}, "x": V}, 2),
    (r"|S \cup T|", {"S": {1, 2}, "T": {2, 3}}, 3),
    (r"a \pm b", {"a": 5, "b": 2}, [3, 7]),
    (r"\frac{\partial L}{\partial w_{ij}}", {"dL/dw": A, "i": 2, "j": 1}, 3),
    (r"\frac{\partial v_j}{\partial v_i}", {"dv/dv": A, "i": 1, "j": 2}, 3),
]


@pytest.mark.parametrize("source, names, expected", NOTATIONS)
def test_notations(source, names, expected):
    np.testing.assert_allclose(value(source, names), expected)


SUMS = [
    (r"\sum_{i=1}^{3} i", {}, {}, 6),
    (r"\sum_i x_i", {"x": V}, {"i": 2}, 8),
    (r"\sum_{i,j} x_{ij}", {"x": A}, {"i": 2, "j": 2}, 11),
    (r"\sum_{ij} x_{ij}", {"x": A}, {"i": 2, "j": 2}, 11),
    (r"\prod_{m<l} x_m", {"x": [2, 3, 4], "l": 3}, {}, 6),
    (r"\prod_{j=0}^{-1} 7", {}, {}, 1),
    (r"\max_{1 \le p,\, q \le k} x_{pq}", {"x": A, "k": 2}, {}, 5),
    (r"\max_{1 \le p \le k} x_p", {"x": V, "k": 1}, {}, 3),
    (r"\arg\max_k x_k", {"x": [1, 9, 3]}, {"k": 3}, 2),
    (r"\arg\max_{d \notin \{a, b\}} x_d", {"x": [1, 9, 3], "a": 2, "b": 1}, {"d": 3}, 3),
    (r"\sum_{n \in S} n", {"S": {2, 5}}, {}, 7),
    (r"\sum_{n:\, w_n = w} n", {"w_": [4, 5, 4], "w": 4}, {"n": 3}, 4),
    (r"\sum_{j : i \to j} j", {"to": lambda i, j: j == i + 1, "i": 2}, {"j": 5}, 3),
    (r"\min\{ n : n^2 \ge a \}", {"a": 5}, {"n": 9}, 3),
    (r"\sum_{\text{pairs}} a b", {}, {"pairs": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, 14),
    (r"\sum_j x_j", {"x": [1, 2, 3]}, {"j": lambda find: len(find("x")) - 1}, 3),
    (r"\sum_{i,j} [\, x_{i} \text{ is near } (j) ]", {"x_i is near (j)": lambda i, j: i == j}, {"i": 2, "j": 3}, 2),
    (r"\mathrm{E}[z^2] - \mathrm{Var}(z)", {}, {}, 4),
]


@pytest.mark.parametrize("source, names, ranges, expected", SUMS)
def test_sums(source, names, ranges, expected):
    assert value(source, names, ranges, samples={"z": ([1.0, 3.0], [0.5, 0.5])}) == pytest.approx(expected)


def test_a_left_side_has_the_axes_of_its_indices():
    found = value(r"y_{ij} = \sum_k a_{ik} b_{kj}", {"a": A, "b": B}, {"i": 2, "j": 2, "k": 2})
    np.testing.assert_allclose(found, A @ B)
    np.testing.assert_allclose(value("y_{ji} = a_{ij}", {"a": A}, {"i": 2, "j": 2}), A.T)


def test_statements_use_one_another_unless_the_test_supplies_the_name():
    source = r"y_j = x_j - m, \qquad m = \frac12 \sum_{k=1}^{2} x_k".replace(r"\frac12", r"\frac{1}{2}")
    found = value(source, {"x": V}, {"j": 2})
    assert found["m"] == 4 and found["y"].tolist() == [-1, 1]
    assert value(source, {"x": V, "m": 1}, {"j": 2})["y"].tolist() == [2, 4]


def test_recursion_begins_where_a_statement_says():
    found = value(r"r_l = 2 r_{l-1} + 1, \quad r_0 = 1", {}, {"l": 3})
    assert found["r"].tolist() == [3, 7, 15] and found["r_0"] == 1


def test_assignments_read_old_values_and_later_ones_the_new():
    found = value(r"v \leftarrow 2 v, \quad w \leftarrow w - v", {"v": 3, "w": 10})
    assert found == {"v": 6, "w": 4}
    found = value(r"w \leftarrow v + 1, \quad v = 10 w", {"w": 3})
    assert found == {"w": 31, "v": 30}


def test_functions_that_a_formula_defines():
    found = value(r"f(x) = x + 1 \qquad g(x) = f(x)^2")
    assert found["g"](2) == 9
    f = value(r"f_a(x) = a x = a + x")
    assert [side(2, 5) for side in f] == [10, 7]  # scripts first; two right sides, two functions
    assert value(r"f_a(x) = a x", {"a": 3})(5) == 15
    with pytest.raises(EvaluationError, match="another number of arguments"):
        f[0](1)
    table = value(r"p(c \mid w) = x_{cw}", {"x": A}, {"c": 2, "w": 2})
    np.testing.assert_allclose(table, A)
    assert value(r"c(t) = t / 2", {"t": 3}) == 1.5


def test_computed_indices_fill_an_array():
    found = evaluate(parse(r"p_{2i} = i, \quad p_{2i+1} = -i"), {}, {"i": range(0, 3)}, {"p": 0})
    assert found["p"].tolist() == [0, 0, 1, -1, 2, -2]
    column = r"\begin{pmatrix} y_{2i} \\ y_{2i+1} \end{pmatrix} = \begin{pmatrix} 0 & 1 \\ 1 & 0 \end{pmatrix} "
    column += r"\begin{pmatrix} x_{2i} \\ x_{2i+1} \end{pmatrix}"
    found = evaluate(parse(column), {"x": [1, 2, 3, 4]}, {"i": range(0, 2)}, {"x": 0, "y": 0})
    assert found["y"].tolist() == [2, 1, 4, 3]


def test_two_right_sides_and_all_sides():
    assert value("y = a = b", {"a": 1, "b": 2}) == (1, 2)
    assert value("f(a) = b", {"f": lambda x: -x, "a": 1, "b": 2}, sides=True) == (-1, 2)
    assert value("s_j^2 = x_j", {"x": [4, 9]}, {"j": 2}).tolist() == [2, 3]


def test_first_indices_and_padding():
    assert value("x_0", {"x": V}, starts={"x": 0}) == 3
    assert value("x_{0,2}", {"x": A}, starts={"x": (0, 1)}) == 2
    assert value("x_7 + x_0", {"x": V}, padded=["x"]) == 0
    assert value("w_n w", {"w_": [4, 5], "w": 3, "n": 2}) == 15


def test_what_a_name_is_bound_to_counts_as_an_array():
    pairs = [{"e_": [4, 5], "m": 1}, {"e_": [6, 7, 8], "m": 2}]
    assert value(r"\sum_{\text{pairs}} \sum_{k=0}^{m} e_k", {}, {"pairs": pairs}, starts={"e_": 0}) == 30
    with pytest.raises(EvaluationError, match="e_ has indices from 0 to 1: got 2"):
        value(r"\sum_{\text{pairs}} \sum_{k=0}^{m} e_{k + 1}", {"e": 1}, {"pairs": pairs}, starts={"e_": 0})


def test_draws_of_a_distribution():
    draws = {"N": lambda mean, variance: (np.array([mean - 1.0, mean + 1.0]), None)}
    assert value(r"v = \mathrm{E}[z^2], \quad z \sim \mathcal{N}(3, 1)", draws) == 10


def test_tensors_and_whole_numbers():
    weight = torch.tensor([[1.0, 2.0]], requires_grad=True)
    assert value("W u", {"W": weight, "u": torch.tensor([3, 4])}) == 11


REFUSED = [
    ("a + b", {"a": 1}, {}, "b is not supplied", 4),
    (r"\sum_j x_j", {"x": V}, {}, "the index j has no range", 5),
    ("u v", {"u": U, "v": V}, {}, "ambiguous how these arrays are multiplied", 0),
    ("A u", {"A": np.ones((2, 3)), "u": U}, {}, "matrices must fit", 0),
    ("u + A", {"A": A, "u": U}, {}, "must have the same shape", 0),
    ("A^2", {"A": A}, {}, "the power of a square matrix is ambiguous", 0),
    ("|u|", {"u": U}, {}, "a number or a set must stand between bars", 0),
    ("1 + x_3", {"x": V}, {}, "x has indices from 1 to 2: got 3", 4),
    ("x_0", {"x": V}, {}, "got 0", 0),
    ("x_{1,1,1}", {"x": A}, {}, "x has 2 indices, not 3", 0),
    ("x_{a}", {"x": V, "a": 1.5}, {}, "an index must be a whole number: got 1.5", 3),
    ("1 / 0", {}, {}, "divides by zero", 0),
    (r"\log(-1)", {}, {}, "logarithm", 0),
    (r"\sqrt{-1}", {}, {}, "a negative number has no such power", 0),
    (r"\exp(1000)", {}, {}, "math range error", 0),
    ("w^{(t)}", {"w": 2, "t": 1}, {}, r"w\^\(t\) is not supplied", 0),
    ("g(x)", {"g": 3, "x": 2}, {}, None, 0),
    ("f(x)", {"f": lambda: 1, "x": 2}, {}, "the function fails: TypeError", 0),
    (r"\begin{cases} 1 & a > 0 \\ 2 & a \ge 0 \end{cases}", {"a": 1}, {}, "two of the cases hold", None),
    (r"\begin{cases} 1 & a > 0 \end{cases}", {"a": 0}, {}, "none of the cases holds", 0),
    (r"\mathrm{E}[z]", {}, {}, "no sample", None),
    ("y_i = y_i", {}, {"i": 2}, "defined by itself", None),
    ("[a < u]", {"a": 1, "u": U}, {}, "numbers must be compared", 1),
    (r"[ x \text{ is good } ]", {"x": 1}, {}, "the test must say whether", None),
    (r"p_{2i} = i", {}, {"i": 2}, "leaves places", None),
    (r"\sum_{i=1}^{900000} i", {}, {}, "the range is too long", None),
    (r"\sum_{n \in a} n", {"a": 3}, {}, "a set must stand here", None),
    (r"\sum_{i \to j} n", {}, {}, "the bounds are not understood", None),
    (r"u \cdot 2", {"u": U}, {}, "two vectors or two numbers", None),
    (r"u \odot 2", {"u": U}, {}, "two arrays or two numbers", None),
    (r"\max(2)", {}, {}, "two numbers or more", None),
]


@pytest.mark.parametrize("source, names, ranges, message, caret", REFUSED)
def test_nothing_is_guessed(source, names, ranges, message, caret):
    if message is None:
        assert value(source, names, ranges) == 6  # a number before parentheses is a factor
        return
    with pytest.raises(EvaluationError, match=message) as error:
        value(source, names, ranges)
    if caret is not None:
        lines = str(error.value).splitlines()
        assert lines[-2] == "    " + source and lines[-1].index("^") == 4 + caret


def test_what_is_not_defined_cannot_be_had():
    found = evaluate(parse("y = 1"))
    assert found[r"y"] == 1
    with pytest.raises(EvaluationError, match="the formula defines y, but no z"):
        found["z"]
