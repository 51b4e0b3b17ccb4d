"""Corrections of the article: the list and the chapters, and what must be noticed when they differ."""

import pytest

from authoring.locks.corrections import boxes, examine, passages

CHAPTER = "Text.\n\n> **A correction to the article.** The sum is missing.\n> And more.\n\nThe step goes down."
LIST = """
# Corrections

1. **A sum.** See [a](../a.ipynb)<!-- The sum is missing -->.

## Section 2

2. **A step.** See [a](../a.ipynb)<!-- The step goes down -->
and [b](../b.ipynb)<!-- up -->.
"""


@pytest.fixture
def chapters():
    return {"../a.ipynb": CHAPTER, "../b.ipynb": "up"}


def test_a_list_that_is_complete(chapters):
    assert boxes(CHAPTER) == ["> **A correction to the article.** The sum is missing.\n> And more."]
    assert [row[:2] for row in passages(LIST)] == [(1, "../a.ipynb"), (2, "../a.ipynb"), (2, "../b.ipynb")]
    assert examine(LIST, chapters) == []


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("2. **A step", "3. **A step", "numbers must run from 1: got [1, 3]"),
        ("[a](../a.ipynb)<!-- The sum is missing -->", "a", "1: must link to the chapter that shows it"),
        ("<!-- up -->", "", "2: the link to ../b.ipynb must be followed by"),
        ("../b.ipynb", "../c.ipynb", "2: must link to a chapter: got ../c.ipynb"),
        ("<!-- up -->", "<!-- down -->", "2: ../b.ipynb must say 'down'"),
        ("The sum is missing", "Text", "../a.ipynb: must be listed: > **A correction"),
    ],
)
def test_planted_faults(chapters, old, new, fault):
    found = examine(LIST.replace(old, new), chapters)
    assert any(fault in line for line in found)


def test_a_box_that_nobody_listed(chapters):
    chapters["../b.ipynb"] += "\n\n> **What the article leaves out.** All."
    assert examine(LIST, chapters) == ["../b.ipynb: must be listed: > **What the article leaves out.** All."]
