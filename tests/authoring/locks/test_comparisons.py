"""A comparison in words and the expression that holds it: the same number, on the same side."""

import pytest

from authoring.locks.comparisons import fault, side


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("right on more than", "of them", 1),
        ("it is above", "", 1),
        ("at least", "as many", 1),
        ("at most", "", -1),
        ("no more than", "", -1),
        ("it isn't less than", "", 1),
        ("hardly more than", "", -1),
        ("nearly", "of them", -1),
        ("", " or more of them", 1),
        ("some", ", or fewer", -1),
        ("about", "of them", 0),
        ("more by far than the old one, and", "", 0),
    ],
)
def test_the_side_of_a_text(before, after, expected):
    assert side(before, after) == expected


@pytest.mark.parametrize(
    "number, before, expression",
    [
        (0.5, "more than", "share > 0.5"),
        (0.5, "more than", "0.5 < share"),
        (0.5, "more than", "100 * share > 50"),
        (1 / 3, "less than", "share < 1 / 3"),
        (2, "at least", "slow >= 2 * fast"),
        (90, "below", "all(100 * one < 90 for one in shares)"),
        (0.5, "less than", "0.4 < share < 0.5"),
    ],
)
def test_what_agrees(number, before, expression):
    assert fault(number, before, "of them", expression) is None


@pytest.mark.parametrize(
    "number, before, expression, message",
    [
        (1 / 3, "more than", "share > 0.5", "must compare with the number of the text, 0.333333"),
        (0.5, "less than", "share > 0.5", "the text says less than 0.5, the expression the opposite"),
        (0.5, "more than", "share", "must compare with the number of the text"),
        (0.5, "more than", "share == 0.5", "must compare with the number of the text"),
        (0.5, "more than", "100 * share > 90", "must compare with the number of the text"),
        (1, "less than", "100 * share > 90", "must compare with the number of the text"),
        (3, "at least", "slow >= 2 * fast", "must compare with the number of the text"),
        (0.5, "about", "share > 0.5", "belongs to a comparison"),
    ],
)
def test_planted_faults(number, before, expression, message):
    assert message in (fault(number, before, "of them", expression) or "")
