"""The glossary: sorted, without duplicates, in both languages, and each term is in the chapter that it names."""

import re

import pytest

from tools.book import ROOT, markdown, notebooks

PAGE = ROOT / "book" / "appendix" / "glossary.md"
ENTRY = re.compile(
    r"^\*\*(.+?)\*\* <span lang=\"zh\">(.*)</span>\n: (.+?) \[[^\]]+\]\((.+?)\)(?:<!-- there: (.+?) -->)?$", re.M
)
CHINESE = re.compile("[\u4e00-\u9fff]")


def plain(text):
    """Return a text in small letters, with single blanks."""
    return " ".join(text.casefold().split())


def examine(text, chapters):
    """Return what is wrong with a glossary, for chapters given by their addresses."""
    entries = ENTRY.findall(text)
    terms = [plain(entry[0]) for entry in entries]
    faults = [] if text.count("\n: ") == len(entries) else ["each entry must have a term, a meaning and a link"]
    faults += [
        f"{term}: must stand before {other}" for other, term in zip(terms, terms[1:], strict=False) if term <= other
    ]
    meanings = [entry[2] for entry in entries]
    faults += [f"{meaning!r} must mean one term" for meaning in set(meanings) if meanings.count(meaning) > 1]
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        faults += [
            f"{entry[0]}: must not stand under {part[0]}"
            for entry in ENTRY.findall(part)
            if entry[0][0].upper() != part[0]
        ]
    for term, chinese, _, address, form in entries:
        if not CHINESE.search(chinese):
            faults.append(f"{term}: must have a Chinese term: got {chinese}")
        if address not in chapters:
            faults.append(f"{term}: must link to a chapter: got {address}")
        elif not re.search(rf"(?<!\w){re.escape(plain(form or term))}", plain(chapters[address])):
            faults.append(f"{term}: {address} must say {form or term!r}")
    return faults


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


def test_the_book():
    listed = PAGE.read_text(encoding="utf-8")
    chapters = {f"../{path.relative_to(ROOT / 'book').as_posix()}": markdown(path) for path in notebooks()}
    assert len(ENTRY.findall(listed)) >= 130
    assert examine(listed, chapters) == []
