"""LaTeX to tree and back: every formula of the book, each notation, and errors that point at the place."""

import pytest

from authoring.formulas import ParseError, latex, parse, plain
from authoring.formulas.tree import Node
from tests.helpers.equations import page_formulas


@pytest.mark.parametrize("tag", page_formulas())
def test_formulas_of_the_book_are_read_and_printed_again(tag):
    tree = parse(page_formulas()[tag])
    assert parse(latex(tree)) == tree and parse(latex(parse(latex(tree)))) == tree
    assert all(node.at >= 0 for node in tree.walk() if node.kind in ("name", "number", "word"))


def test_the_book_has_formulas():
    assert len(page_formulas()) > 80


def printed(source, functions=()):
    return latex(parse(source, functions))


@pytest.mark.parametrize(
    "source, expected",
    [
        (r"a b + c", "a b + c"),
        (r"a (b + c)", "a (b + c)"),
        (r"-a - (b - c)", "-a - (b - c)"),
        (r"\left( a + b \right)^2", "(a + b)^{2}"),
        (r"x'_i", "x'_{i}"),
        (r"W_{l+1}^{\top} \delta", r"W_{l + 1}^{\top} \delta"),
        (r"w_j^{(t)}", "w_{j}^{( t )}"),
        (r"\frac1d", r"\frac{1}{d}"),
        (r"\exp s_{ij} + 1", r"\exp(s_{i j}) + 1"),
        (r"\sin t\theta_i", r"\sin(t \theta_{i})"),
        (r"\log_2 p", r"\log_{2}(p)"),
        (r"\log \sigma(u) + v", r"\log(\sigma(u)) + v"),
        (r"\sum_j a_j b_j + c", r"\sum_{j} a_{j} b_{j} + c"),
        (r"\left( \sum_j a_j \right) b", r"(\sum_{j} a_{j}) b"),
        (r"|a| |b|", "| a | | b |"),
        (r"\left| \frac{|a|}{b} - c \right|", r"| \frac{| a |}{b} - c |"),
        (r"p(c \mid w)", r"p(c \mid w)"),
        (r"y = a, \qquad b = c", r"y = a \qquad b = c"),
        (r"\begin{cases} a & i < j \\ 0 & \text{otherwise} \end{cases}", r"\begin{cases} a & i < j \\ 0 & "),
        (r"\frac{\partial L}{\partial w_{ij}}", r"\frac{\partial L}{\partial w_{i j}}"),
        (r"2 3", r"2 \, 3"),
    ],
)
def test_notation(source, expected):
    assert printed(source).startswith(expected)
    assert parse(printed(source)) == parse(source)


def test_a_function_is_called_and_a_number_multiplied():
    assert parse("s(i - 1)").parts[0].kind == "product"
    assert parse("s(i - 1)", ["s"]).parts[0].kind == "call"
    assert parse("y = s(2), \\quad s(x) = x").parts[0].parts[1].kind == "call"  # the formula defines it itself
    assert parse("s(i)^2", ["s"]).parts[0] == Node("sup", (parse("s(i)", ["s"]).parts[0], Node("number", (), "2")))


def test_lines_of_aligned_are_statements_and_their_comments_no_part():
    tree = parse("\\begin{aligned} a &= b && \\text{one} \\\\\n&= c \\\\\nd &= e \\end{aligned}")
    assert [latex(statement) for statement in tree.parts] == ["a = b = c", "d = e"]


@pytest.mark.parametrize(
    "source, message, caret",
    [
        (r"a + \foo b", "the notation is unknown", 4),
        (r"a + (b", "the notation is unknown", 6),
        (r"a / b c", "ambiguous what / divides by", 4),
        (r"\sin x \cos y", "ambiguous how far this function reaches", 0),
        (r"y = \exp s / t", "ambiguous how far this function reaches", 4),
        (r"\exp + 1", "must have an argument", 0),
        (r"a \sum_j", "something behind this", 2),
        (r"a b (c, d)^2 (e, f)", "a list must stand behind a function", 14),
        (r"x_i_j", "two scripts", 0),
        (r"(a)' b", "a prime must stand behind a name", 0),
        (r"+ a", "must not begin with +", 0),
        (r"\pm a", "something before", 4),
    ],
)
def test_errors_point_at_the_place(source, message, caret):
    with pytest.raises(ParseError, match=message.replace("+", r"\+")) as error:
        parse(source)
    lines = str(error.value).splitlines()
    assert lines[-2] == "    " + source and lines[-1].index("^") == 4 + caret


@pytest.mark.parametrize(
    "text, name",
    [
        (r"\delta_{t+1}", "delta_t+1"),
        (r"W_{hh}", "W_hh"),
        (r"\text{count}", "count"),
        (r"\hat y", "hat_y"),
        (r"\frac{\partial\, \mathrm{MSE}}{\partial z_i}", "dMSE/dz_i"),
        (r"\#\text{parameters}", "#parameters"),
        ("w_j^{*}", "w_j^*"),
    ],
)
def test_plain_names(text, name):
    assert plain(text) == plain(name) == name
