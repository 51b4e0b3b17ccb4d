"""The lock on terms: private words in text, headings, alt texts and labels; definitions without an entry."""

import re

import pytest

from authoring.book import ROOT
from authoring.locks import terms
from authoring.locks.terms import TABLE, blocks, definitions, examine, faults, forms, known, plain, private, table
from tests.helpers.notebooks import code, notebook, small_book

GLOSSARY = """\
# Glossary

**recall** <span lang="zh">召回率</span>
: Share found. [A](../a.ipynb)<!-- there: recalls -->

**loss** <span lang="zh">损失</span>
: What is minimised. [A](../a.ipynb)
"""
RIGHT = """\
# Images and what they show

An image has a position. `pictures` and $place$ are code, and so is

```
pictures = company
```

$$place = blame \\tag{1a}$$

A [link](pictures.md) to an image<!-- = 3 pictures -->. He said “a word by the company it keeps”, and she "the place".

> A picture is worth a thousand words.

The company<!-- everyday --> sells *pictures*<!-- everyday --> <span title="place">here</span>.

<details><summary>Hint</summary>

*Recall* is the share found; what is forgotten are *losses*, or *the loss*, and *how* is plain emphasis.

</details>

## Sources

- C. Firth, [The company of words in pictures](https://example.org/company), 1957.
"""


def chapter(*cells, edition=2):
    nb = notebook(*cells)
    nb.metadata["dlbook"] = {"edition": edition}
    return nb


def book(tmp_path, *cells, edition=2, **others):
    root = small_book(tmp_path, a=chapter(*cells, edition=edition), **others)
    (root / "book" / "appendix" / "glossary.md").write_text(GLOSSARY, encoding="utf-8")
    return root


def drawn(alt="What it shows.", source="ax.plot()", **more):
    return code(source, mystnb={"image": {"alt": alt}, **more})


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", table(), ids=lambda term: term.say[:20])
def test_the_table_finds_the_private_sense_alone(term):
    assert [passage for passage in term.yes if not term.pattern.search(plain(passage))] == []
    assert [passage for passage in term.no if term.pattern.search(plain(passage))] == []
    assert term.yes and term.no and len(term.say) > 2


def test_no_expression_of_the_table_is_idle():
    import tomllib

    for row in tomllib.loads((ROOT / TABLE).read_text(encoding="utf-8"))["term"]:
        for words in row["words"]:
            pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.I)
            assert any(pattern.search(plain(passage)) for passage in row["yes"]), words


def test_what_the_table_says_instead_is_not_itself_in_it():
    for term in table():
        instead = re.sub(r"“[^”]*”|\([^)]*\)|probabilities", "", term.say)
        assert [*private(instead, table())] == []


# --- a text -----------------------------------------------------------------------------------------------------------


def test_a_text_that_is_right(tmp_path):
    root = book(tmp_path, RIGHT, drawn())
    assert faults(root) == []


@pytest.mark.parametrize(
    "text, fault",
    [
        (
            "Ten pictures.",
            "“pictures” must be image (of data), figure (of a drawing in the book): got “… Ten pictures. …”",
        ),
        ("Ten *pictures*.", "“pictures” must be image"),
        ("A Picture.", "“Picture” must be image"),
        ("the way\nback", "“the way back” must be backward pass"),
        ("He's start is wide.", "“He’s start” must be initialisation"),
        ("Read [of pictures](a.ipynb).", "“pictures” must be image"),
        ("| a | picture |\n|---|---|\n| b | c |", "“picture” must be image"),
        ("| a | b |\n|---|---|\n| b | picture |", "“picture” must be image"),
        ("- A list\n  - of blame", "“blame” must be gradient"),
        ("> **A correction.** The picture is wrong.", "“picture” must be image"),
        ('**"Why does my picture fail?"** It does not.', "“picture” must be image"),
        ("<details><summary>Which picture?</summary>\n\nNone.\n\n</details>", "“picture” must be image"),
        ("A picture<!-- = 3 -->.", "“picture” must be image"),
        ("A picture <!-- everyday -->.", "“picture” must be image"),
        ("An image<!-- everyday -->.", "<!-- everyday --> must follow a word of"),
        ("The\n<!-- everyday -->", "<!-- everyday --> must follow a word of"),
        ("## It follows the picture\n\nText.", "heading “It follows the picture”: “picture” must be image"),
        ("## The picture<!-- everyday -->\n\nText.", "heading “The picture”: “picture” must be image"),
        ("## Part\n\nA picture.", "under “Part”: “picture” must be image"),
        (
            "*Precision* is the share.",
            "“Precision” is defined in italics, and must have an entry in book/appendix/gloss",
        ),
        ("This is called *precision*.", "“precision” is defined in italics"),
        ("It has a name: the *winner's curse*.", "“winner’s curse” is defined in italics"),
        ("The share found (or *true positive rate*) counts.", "“true positive rate” is defined in italics"),
        ("One part, the *hit rate*, counts.", "“hit rate” is defined in italics"),
    ],
)
def test_planted_faults_of_a_text(tmp_path, text, fault):
    root = book(tmp_path, "# A\n\n" + text)
    found = [line for line in faults(root)]
    assert len(found) >= 1 and all(line.startswith("book/a: ") for line in found)
    assert any(line.removeprefix("book/a: ").startswith(fault) or f": {fault}" in line for line in found), found


@pytest.mark.parametrize(
    "cell, fault",
    [
        (drawn(alt="Ten pictures."), "alt text: “pictures” must be image"),
        (drawn(alt="Ten pictures.", alt_from="Ten pictures<!-- = 10 -->."), "alt text: “pictures” must be image"),
        (code("ax.set_xlabel('pictures')"), "label in a figure: “pictures” must be image"),
        (code("%time\nax.set_title(f'{n} pictures')"), "label in a figure: “pictures” must be image"),
        (code("ax.set(title='pictures')"), "label in a figure: “pictures” must be image"),
        (code("ax.plot(x, label='picture')"), "label in a figure: “picture” must be image"),
        (code("ax.text(0, 1, 'picture')"), "label in a figure: “picture” must be image"),
        (code("ax.set_xticks([0, 1], ['a', 'picture'])"), "label in a figure: “picture” must be image"),
        (code("fig.suptitle('a picture')"), "label in a figure: “picture” must be image"),
    ],
)
def test_planted_faults_of_figures(tmp_path, cell, fault):
    (found,) = faults(book(tmp_path, "# A", cell))
    assert found.startswith(f"book/a: {fault}")


def test_everyday_words_in_figures(tmp_path):
    alt = drawn(alt="A picture.", alt_from="A picture<!-- everyday -->.")
    label = code("ax.set_xlabel('place of birth')  # everyday\nprint('pictures')\nplot(x, name='place')")
    assert faults(book(tmp_path, "# A", alt, label)) == []


# --- the book ---------------------------------------------------------------------------------------------------------


def test_in_force_from_the_second_edition(tmp_path):
    root = book(tmp_path, "# A\n\nA picture.", edition=1, b=chapter("# B\n\nNone."))
    assert faults(root) == []


def test_pages_follow_once_all_chapters_have(tmp_path):
    others = {name: chapter("# B\n\nNone.") for name in ("b", "c")}
    root = book(tmp_path, "# A", **others)
    (root / "book" / "intro.md").write_text("---\ntitle: pictures\n---\n# A\n\nA picture.\n")
    assert [line[:33] for line in faults(root)] == ["book/intro: under “A”: “picture” "]
    root = book(tmp_path, "# A", edition=1, **others)
    assert faults(root) == []


def test_the_book_has_its_own_table(tmp_path):
    root = book(tmp_path, "# A\n\nA picture and a gizmo.")
    (root / TABLE).parent.mkdir(parents=True)
    (root / TABLE).write_text("[[term]]\nwords = ['gizmos?']\nsay = 'gadget'\nyes = ['gizmo']\nno = ['x']\n")
    (found,) = faults(root)
    assert "“gizmo” must be gadget" in found


@pytest.mark.parametrize(
    "one, other", [("The Losses", "loss"), ("policy", "policies"), ("bias", "biases"), ("logits", "logit"), ("a", "a")]
)
def test_forms_of_a_term(one, other):
    assert forms(one) & forms(other)
    assert not forms(one) & forms("recall")


def test_terms_of_the_glossary(tmp_path):
    assert known(book(tmp_path, "# A")) == {"recall", "recalls", "loss", "los"}


def test_italics_that_define_nothing():
    (block,) = blocks(
        "It *is* so. *King* is to *queen* as man is, and *hot*, *cold*: all `x` *here*. *March*<!-- everyday --> is."
    )
    assert [*definitions(block.text)] == []
    assert [*private(block.text, table())] == []


def test_overlapping_words_are_one_fault():
    (found,) = examine("# A\n\nOn the way back places<!-- everyday --> count.", terms.table(), set())
    assert "the way back" in found
