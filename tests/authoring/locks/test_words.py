"""Quantities in words: which phrases are reported, which are language, how they are read, how values are written."""

import re
from fractions import Fraction

import pytest

from authoring.locks.words import PHRASE, QUANTITY, half_width, read, write


@pytest.mark.parametrize(
    "text",
    [
        "half of the errors are gone",
        "Half the errors are gone",
        "it is right on exactly half, with every seed",
        "it is half as large",
        "a third of the pictures",
        "it takes a fifth more time",
        "wrong by a third.",
        "two thirds are missed",
        "it keeps nine tenths",
        "three quarters or more",
        "three times as many",
        "twice the error",
        "eleven times faster",
        "thousands of times faster",
        "the loss is about three times that",
        "it grows a hundred times",
        "a tenfold loss",
        "one-third of them",
        "within a factor of five",
        "a factor of about ten",
        "the loss is doubled",
        "this halves the error",
        "nearly double the loss",
        "nine in ten of them",
        "right one time in four",
        "seven recordings out of five hundred",
        "three of the six still do",
        "three seeds of five",
        "one in ten is a shirt",
        "ninety per cent",
        "falls by two orders of magnitude",
        "an order of magnitude",
        "better by ten points",
        "half a point",
        "about a point",
        "a point or two",
        "in twenty seconds",
        "about forty words",
        "more than two hundred networks",
        "a few hundred pairs",
        "it takes hundreds of steps",
        "nearly a dozen attempts",
    ],
)
def test_quantities_are_reported(text):
    assert QUANTITY.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "three layers and two ways",
        "both of the two",
        "the first half of the chapter",
        "the lower half of the picture",
        "a half-truth, half-way",
        "we train three times and then stop",
        "twice the same seed",
        "it is read twice",
        "one of four symbols",
        "one of these",
        "eight rows of sixty-four characters",
        "a third kind, and the third",
        "a seventh would be understood",
        "double precision and double descent",
        "the two halves of it",
        "a bit of luck",
        "more than one answer",
        "kernels of three by three",
        "one by one",
        "in order of size",
        "the time after, ten times after that",
    ],
)
def test_language_is_not(text):
    assert not QUANTITY.search(text), QUANTITY.search(text)


READ = {
    "half": Fraction(1, 2),
    "One half": Fraction(1, 2),
    "half a point": Fraction(1, 2),
    "a third": Fraction(1, 3),
    "two thirds": Fraction(2, 3),
    "nine-tenths": Fraction(9, 10),
    "twice": 2,
    "thrice": 3,
    "Three times": 3,
    "hundreds of times": 100,
    "tenfold": 10,
    "doubled": 2,
    "halves": Fraction(1, 2),
    "one in ten": Fraction(1, 10),
    "one time in four": Fraction(1, 4),
    "three of the six": Fraction(1, 2),
    "seven recordings out of five hundred": Fraction(7, 500),
    "ninety-nine of a hundred": Fraction(99, 100),
    "ninety per cent": 90,
    "two orders of magnitude": 2,
    "an order of magnitude": 1,
    "one and a half points": Fraction(3, 2),
    "two hundred and fifty": 250,
    "one thousand and twenty-four": 1024,
    "a hundred thousand": 100_000,
    "twenty thousand": 20_000,
    "two dozen": 24,
    "a few dozen": 12,
    "hundreds": 100,
    "forty-one": 41,
}


@pytest.mark.parametrize("phrase", READ)
def test_what_a_phrase_says(phrase):
    assert re.fullmatch(f"(?i:{PHRASE})", phrase) and read(phrase) == READ[phrase]


@pytest.mark.parametrize(
    "value, like, half, text",
    [
        (3.3, "twice", 0.5, "three times"),
        (2.1, "Three times", 0.3, "Twice"),
        (2.6, "three times", 0.5, "three times"),
        (0.34, "half", 0.05, "a third"),
        (0.66, "A third", 0.05, "Two thirds"),
        (0.46, "two thirds", 0.05, "half"),
        (0.46, "a quarter", 0.01, None),
        (75.2, "ninety per cent", 2, "seventy-five per cent"),
        (600, "two hundred", 0.5, "six hundred"),
        (1234, "two hundred", 0.5, None),
        (0.7, "nine in ten", 0.05, None),
        (4, "doubled", 0.5, None),
        (0.9, "twice", 0.5, None),
    ],
)
def test_a_value_is_written_if_it_has_exact_words(value, like, half, text):
    assert write(value, like, half) == text


def test_how_far_words_may_be_off():
    assert half_width("three times", "") == "0.5" and half_width("half", "0.1") == "0.1"
    with pytest.raises(ValueError, match="must say how far the value may be off, as in ± 0.05: a third is 0.333"):
        half_width("a third", "")
    with pytest.raises(ValueError, match="by at most 0.15 here, or others would do as well: ± 0.2"):
        half_width("half", "0.2")
