"""Exercises: four, with hints, numbered, and solutions that assert."""

import pytest

from authoring.locks.exercises import faults, incomplete
from tests.helpers.notebooks import code, notebook, small_book

HINT = "<details><summary>Hint</summary>…</details>"


def chapter(hint=HINT, number=4, check="assert x", tag="hide-cell"):
    """Make a chapter of four exercises, the last of which is as told."""
    cells = []
    for n in range(1, 4):
        cells += [f"### Exercise {n}\n\n{HINT}", code(f"# @title Solution {n}\nassert_close(a, b)", tags=(tag,))]
    cells += [f"### Exercise 4\n\n{hint}", code(f"# @title Solution {number}\n{check}", tags=(tag,))]
    return notebook("# A", "## Exercises", *cells)


@pytest.mark.parametrize(
    "change, fault",
    [
        ({}, None),
        ({"check": "for x in y:\n    torch.testing.assert_close(x, x)"}, None),
        ({"hint": ""}, f"exercise 4 must have a hint: {HINT}"),
        ({"check": "x = 1  # assert"}, "solution 4 must assert that it is right"),
        ({"number": 5}, "solutions must be numbered from 1 on: got '# @title Solution 5\\nassert x' as number 4"),
        ({"tag": "hide-input"}, "there must be at least four exercises with solutions: got 0"),
    ],
)
def test_chapters(change, fault):
    assert incomplete(chapter(**change)) == ([fault] if fault else [])


def test_a_chapter_without_exercises():
    assert "two blank lines before it" in incomplete(notebook("# A\n\n## Exercises"))[0]


def test_faults_name_the_page(tmp_path):
    assert faults(small_book(tmp_path, a=chapter())) == []
    assert faults(small_book(tmp_path, a=chapter(), c=chapter(check="1"))) == [
        "book/c: solution 4 must assert that it is right"
    ]
