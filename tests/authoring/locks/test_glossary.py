"""The glossary: its order, its two languages, and each term in the chapter that it names."""

import pytest

from authoring.locks.glossary import ENTRY, examine

GLOSSARY = """
# Glossary

## A

**Adam** <span lang="zh">自适应矩估计</span>
: An optimiser. [A](../a.ipynb)

**attention** <span lang="zh">注意力</span>
: An average. [A](../a.ipynb)<!-- there: attends -->

## B

**beam search** <span lang="zh">束搜索</span>
: A search. [B](../b.ipynb)
"""
CHAPTERS = {"../a.ipynb": "ADAM attends", "../b.ipynb": "Beam\nsearch"}


def test_a_glossary_that_is_right():
    assert len(ENTRY.findall(GLOSSARY)) == 3
    assert examine(GLOSSARY, CHAPTERS) == []


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("**Adam**", "**azimuth**", "attention: must stand before azimuth"),
        ("**Adam**", "**attention**", "attention: must stand before attention"),
        ("An average", "An optimiser", "'An optimiser.' must mean one term"),
        ("**beam", "**a beam", "a beam search: must not stand under B"),
        ("注意力", "attention", "attention: must have a Chinese term: got attention"),
        ("束搜索", "", "beam search: must have a Chinese term: got "),
        (": A search. [B](../b.ipynb)", ": A search.", "each entry must have a term, a meaning and a link"),
        ("../b.ipynb", "../c.ipynb", "beam search: must link to a chapter: got ../c.ipynb"),
        ("attends", "attending", "attention: ../a.ipynb must say 'attending'"),
        ("**beam search**", "**beam**", None),
        ("**beam search**", "**be**", None),
        ("attends", "tends", "attention: ../a.ipynb must say 'tends'"),
        ("**beam search**", "**beams**", "beams: ../b.ipynb must say 'beams'"),
    ],
)
def test_planted_faults(old, new, fault):
    found = examine(GLOSSARY.replace(old, new), CHAPTERS)
    assert fault in found if fault else found == []
