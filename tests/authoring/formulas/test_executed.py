"""The decorator of tests whose formula is evaluated from its page."""

import pytest

from tests.helpers import equations

pytest_plugins = ["pytester"]

START = "from tests.helpers.equations import executed\n\n"
PAGES = {"9a": r"y = 2 x \tag{9a}", "9b": r"y_i = a_i + b_i \tag{9b}"}


@pytest.fixture
def run(pytester, monkeypatch):
    """Return a function that runs a test file of this text, on a book of two formulas."""
    monkeypatch.setattr(equations, "page_formulas", lambda: PAGES)
    pytester.makeini("[pytest]\nmarkers = equation(tag, of)\naddopts = --strict-markers -p no:cacheprovider")

    def run(text):
        pytester.makepyfile(START + text)
        return pytester.runpytest("-rA")

    return run


def test_two_tests_that_pass(run):
    result = run(
        """
@executed("9a", of="m.f")
def test_double(formula):
    for x in (3, 5):
        assert formula({"x": x})["y"] == 2 * x

class TestMore:
    @executed("9a", of="m.f")
    def test_with_a_fixture(self, formula, monkeypatch):
        assert formula({"x": 3})["y"] == 6 and monkeypatch
"""
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["PASSED *test_double?printed?", "PASSED *test_double?mutants?"])


def test_a_wrong_formula_fails(run):
    result = run('@executed("9a", of="m.f")\ndef test_it(formula):\n    assert formula({"x": 3})["y"] == 7\n')
    result.assert_outcomes(failed=2)


def test_variants_that_pass_are_named(run):
    result = run('@executed("9a", of="m.f")\ndef test_it(formula):\n    assert formula({"x": 2})["y"] > 0\n')
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["the test of equation 9a does not reject:", "3 x instead of 2 x, in y = 3 x"])


def test_variants_that_no_data_tells_have_a_reason(run):
    text = '@executed("9a", of="m.f", same={"x instead of 2 x": "two is one"%s})\n'
    text += 'def test_it(formula):\n    assert formula({"x": 2})["y"] in (4, 2)\n'
    run(text % ', "2 instead of 2 x": "x"').assert_outcomes(passed=2)
    result = run(text % ', "2 instead of 2 x": "x", "3 x instead of 2 x": "no"')
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["'3 x instead of 2 x' in `same` is rejected, or is no variant"])


def test_names_of_the_same_shape_are_exchanged(run):
    result = run(
        """
@executed("9b", of="m.f")
def test_it(formula):
    found = formula({"a": [1, 1], "b": [1, 1]}, {"i": 2})
    assert found["y"].tolist() == [2, 2]
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["b_{i} instead of a_{i}, in y_{i} = b_{i} + b_{i}"])


def test_another_error_is_no_rejection(run):
    result = run(
        """
@executed("9a", of="m.f")
def test_it(formula):
    {6: 1}[formula({"x": 3})["y"]]
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*KeyError*", "*equation 9a with * instead of 2 x*"])


@pytest.mark.parametrize(
    "body, message",
    [
        ("pass", "*must call its argument `formula`*"),
        ('formula({"x": 1}); formula({"x": 1, "f": abs})', "*all calls must supply the same functions*"),
    ],
)
def test_misuse(run, body, message):
    result = run(f'@executed("9a", of="m.f")\ndef test_it(formula):\n    {body}\n')
    result.stdout.fnmatch_lines([message])
    assert result.parseoutcomes()["failed"]
