"""Each correction of the article is listed in the appendix, and shown in the chapter that the list names."""

import re

import pytest

from tools.book import ROOT, markdown, notebooks

PAGE = ROOT / "book" / "appendix" / "corrections.md"
ENTRY = re.compile(r"^(\d+)\. \*\*.+?(?=^\d+\. \*\*|^## |\Z)", re.M | re.S)
SHOWN = re.compile(r"\]\(([^()\s]+\.ipynb)\)(?:<!-- (.+?) -->)?")
BOX = re.compile(r"^> \*\*(?:A correction to the article|What the article leaves out)\.\*\*.*(?:\n>.*)*", re.M)


def passages(text):
    """Return what the list says is shown where: (number, notebook, its words) for each link of an entry."""
    return [
        (int(entry[1]), address, words) for entry in ENTRY.finditer(text) for address, words in SHOWN.findall(entry[0])
    ]


def boxes(markdown):
    """Return the corrections in a notebook's text."""
    return BOX.findall(markdown)


def examine(text, chapters):
    """Return all in which the list and the chapters, given by their addresses, differ."""
    shown = passages(text)
    numbers = [int(entry[1]) for entry in ENTRY.finditer(text)]
    faults = [] if numbers == list(range(1, len(numbers) + 1)) else [f"numbers must run from 1: got {numbers}"]
    faults += [
        f"{number}: must link to the chapter that shows it" for number in set(numbers) - {row[0] for row in shown}
    ]
    for number, address, words in shown:
        if not words:
            faults.append(f"{number}: the link to {address} must be followed by <!-- words of that chapter -->")
        elif address not in chapters:
            faults.append(f"{number}: must link to a chapter: got {address}")
        elif words not in chapters[address]:
            faults.append(f"{number}: {address} must say {words!r}")
    for address, chapter in chapters.items():
        for box in boxes(chapter):
            if not any(address == where and words in box for _, where, words in shown if words):
                faults.append(f"{address}: must be listed: {box[:80]}")
    return faults


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


def test_the_book():
    listed = PAGE.read_text(encoding="utf-8")
    chapters = {f"../{path.relative_to(ROOT / 'book').as_posix()}": markdown(path) for path in notebooks()}
    assert len(passages(listed)) >= 14 and sum(len(boxes(chapter)) for chapter in chapters.values()) >= 14
    assert examine(listed, chapters) == []
