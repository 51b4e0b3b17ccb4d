"""The prose lock: which numbers must be marked, which need not, and that a wrong number fails."""

import subprocess
import sys

import pytest
from nbclient.exceptions import CellExecutionError

from authoring.book import pages
from authoring.build import build, prepare
from authoring.locks import numbers
from authoring.locks.numbers import cell_source, examine, faults, rewrite
from tests.helpers.notebooks import code, notebook, printed, small_book, write

REAL_PROSE = r"""
# 3.4.3 Self-attention at length

In 2017 the Transformer replaced recurrence (section 3.3 and sections 3.4.1, 3.4.2 and 5.1; see also
[3.4.4 Transformer](../algorithms/transformer.ipynb) and [the notes](https://example.org/v1.2/p3.5.html)).
Equation (3.4.3b) divides by $\sqrt{d}$, so for $d = 64$ and $\sigma = 0.25$ the scores keep a spread of $1.0$. We train
with a rate of `0.001` for `14` epochs under Python 3.11 and PyTorch 2.13.0, on an H200, with F1, top-5 and ResNet-18
(GPT-3.5, version 2.0). The 1990s and 2014–2016 are past; 2024-01-05 was one. Vaswani et al. 2017, equation (1),
pp. 436–444, arXiv:1706.03762, <https://example.org/2>, https://example.org/3. CC BY 4.0. See (4.1a), figures 2 and 3,
3.1.2c, § 5.

$$\hat y = 0.5 x + 12.5\,\% \tag{3.4.3a}$$

It reaches **88.1 %**<!-- = 100 * test_accuracy ± 1 --> on the test set, a loss of 0.41<!-- = loss ± 2e-2 -->, where the
paper has 28.4<!-- from: vaswani2017 --> BLEU. At $\varepsilon = 3.2$<!-- = epsilon --> it still learns from
1,200<!-- = len(train) --> images, with a bias of −0.30<!-- = bias -->, a ratio of `2.6e-7`<!-- = ratio -->, a rate of
$1.5 \times 10^{-3}$<!-- = rate -->, a tail of 1e-3<!-- = tail -->, between 10<!-- = low --> and 20<!-- = high -->, a
range of 10–20<!-- = high -->.
"""


@pytest.fixture
def root(tmp_path):
    return small_book(tmp_path)


def test_what_is_marked_and_what_is_free(root):
    text = REAL_PROSE.replace("range of 10–20<!-- = high -->", "speed-up of 2.5×<!-- = speed -->")
    marks, faults = examine(text, root)
    assert faults == []
    assert [mark[1:] for mark in marks] == [
        ("88.1", "100 * test_accuracy", "1"),
        ("0.41", "loss", "2e-2"),
        ("3.2", "epsilon", "0.05"),
        ("1200", "len(train)", "0.5"),
        ("-0.30", "bias", "0.005"),
        ("2.6e-7", "ratio", "5e-9"),
        ("1.5e-3", "rate", "0.00005"),
        ("1e-3", "tail", "0.0005"),
        ("10", "low", "0.5"),
        ("20", "high", "0.5"),
        ("2.5", "speed", "0.05"),
    ]
    assert marks[0][0] == "It reaches 88.1 %"


def test_both_ends_of_a_range_need_a_mark(root):
    assert "'10–'" in "".join(examine(REAL_PROSE, root)[1]) and len(examine(REAL_PROSE, root)[1]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "| model | accuracy |\n|---|---|\n| ours | 91.5 %<!-- = best --> |",
        "<details><summary>Hint</summary>\n\nIt is 91.5<!-- = best -->, by `dropout=0.5` and $p = 0.5$.\n\n</details>",
        "<details><summary>Hint</summary>It is 91.5<!-- = best -->, by `x=0.5`.</details>",
        "## It reaches 91.5 %<!-- = best -->",
        "- [falls to 91.5<!-- = best -->](a.ipynb)",
        "> 91.5 %<!--= best-->",
        '<p style="width: 50%" class="c2">91.5<!-- = best --></p>',
        "It is $91.5\\,\\%$<!-- = best -->, $$y = 3$$ as well.",
        "It is 91.5<!-- =\nbest\n--> there.",
    ],
)
def test_where_a_mark_may_stand(root, text):
    marks, faults = examine(text, root)
    assert faults == [] and len(marks) == 1 and marks[0][1:] == ("91.5", "best", "0.05")


@pytest.mark.parametrize(
    "text", ["1. first\n2. second", "    y = 0.25", "```python\nx = 0.5\n```", "&#8722;", "<img width=3>"]
)
def test_what_is_not_text(root, text):
    assert examine(text, root) == ([], [])


@pytest.mark.parametrize(
    "text, message",
    [
        ("It reaches 88.1 % now.", "'88.1' in “It reaches 88.1 % now.”"),
        ("It reaches 88%.", "'88%.'"),
        ("A loss of 0.93, later 3.4.", "'3.4.'"),
        ("We took 14 epochs.", "'14'"),
        ("We took 1,797 images.", "'1,797'"),
        ("A rate of 1e-3.", "'1e-3.'"),
        ("A bias of −3.", "'−3.'"),
        ("10 to 20<!-- = high --> epochs", "'10'"),
        ("| a |\n|---|\n| 0.91 |", "'0.91'"),
        ("<details>The answer is 0.91.</details>", "'0.91.'"),
        ("<details>\n\nThe answer is 0.91.\n\n</details>", "'0.91.'"),
        ("**2.5** times", "'2.5'"),
        ("- item 7.5x", "'7.5x'"),
        ("> quoted 0.5", "'0.5'"),
        ("a 3-layer net", "'3-layer'"),
        ("8 × 8 pixels", "'8'"),
        ("## 88 per cent", "'88'"),
        ("## Only 3 layers", "'3'"),
        ("The loss [falls to 0.5](a.ipynb).", "'0.5.'"),
        ("[0.93](a.ipynb)", "'0.93'"),
        ("In figure 2, 88 % of them", "'88'"),
        ("With PyTorch 88.1 % are right", "'88.1'"),
        ("In 1850 and 2017.5 or 2000 % it was", "2000"),
        ("<!-- a remark --> 5", "'5'"),
        (
            "A loss of 0.93<!-- from: nobody -->",
            "must be a key of book/references.bib: got “A loss of 0.93<!-- from: nobody",
        ),
        ("A loss of 0.93<!-- from vaswani2017 -->", "must follow a number directly"),
        ("A loss of 0.93<!-- = 1 + -->", "invalid syntax"),
        ("A loss of 0.93<!-- = x ± y -->", "could not convert"),
        ("A loss<!-- = loss --> of three", "must follow a number directly"),
        ("Of 0.93 parsecs<!-- = s -->", "must follow a number directly"),
        ("`conv1`<!-- = s -->", "must follow a number directly"),
        ("12.5<!-- bench: fit_cpu['mlp']['seconds'] --> s", "must be that of benchmarks/results, 12.34"),
        ("12.3<!-- bench: fit_gpu['mlp'] --> s", "'fit_gpu' is not defined"),
        ("12.3<!-- bench: fit_cpu['cnn'] --> s", "'cnn'"),
        ("12.3<!-- bench: fit_cpu['name'] --> s", "could not convert"),
    ],
)
def test_planted_faults(root, text, message):
    faults = examine(text, root)[1]
    assert any(message in fault for fault in faults), faults


WORDS = """
In three layers, half<!-- = gone ± 0.05 --> of the errors are gone, three times<!-- = ratio --> as many as before, and
ninety per cent<!-- = 100 * right ± 1 --> remain. It falls by two orders of magnitude<!-- = drop -->, nine in
ten<!-- = right ± 0.02 --> of them late. More than half<!-- is: right > 0.5 --> is right, below
95 %<!-- is: right < 0.95 -->; a dozen<!-- bench: fit_cpu["mlp"]["seconds"] --> seconds, more than
ten<!-- is: bench: fit_cpu["mlp"]["seconds"] > 10 --> seconds. Half<!-- given: the archive holds as many of each --> of
the texts are positive, and twice<!-- from: vaswani2017 --> the size was tried.
""".replace("\n", " ")


def test_words_are_marked_as_digits_are(root):
    marks, faults = examine(WORDS, root)
    assert faults == []
    assert [mark[1:] for mark in marks] == [
        ("0.5", "gone", "0.05"),
        ("3", "ratio", "0.5"),
        ("90", "100 * right", "1"),
        ("2", "drop", "0.5"),
        ("0.9", "right", "0.02"),
        ("1", "right > 0.5", "0"),
        ("1", "right < 0.95", "0"),
    ]
    assert marks[0][0] == "In three layers, half" and marks[5][0] == "of them late. More than half: 1 if so"


@pytest.mark.parametrize("wrong", [{}, {"gone": 0.34}, {"ratio": 3.6}, {"right": 0.4}, {"right": 0.96}, {"drop": 1.2}])
def test_words_are_compared_with_the_run(root, monkeypatch, wrong):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    source, run = cell_source(examine(WORDS, root)[0]), {"gone": 0.52, "ratio": 3.2, "right": 0.905, "drop": 2.3}
    if wrong:
        with pytest.raises(AssertionError, match="in this run"):
            exec(source, run | wrong)
    else:
        exec(source, dict(run))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("half<!-- = gone ± 0.05 -->", "half", "a quantity in words must be marked, or be digits: got 'half of'"),
        ("half<!-- = gone ± 0.05", "half<!-- = gone", "must say how far the value may be off"),
        ("gone ± 0.05", "gone ± 0.4", "at most 0.15 here, or others would do as well"),
        ("three times<!-- = ratio -->", "as many<!-- = ratio -->", "a mark must follow a number directly"),
        ("= drop", "= drop /", "invalid syntax"),
        ("More than half<", "More than a third<", "must compare with the number of the text, 0.333333"),
        ("More than half<", "Less than half<", "the text says less than 0.5, the expression the opposite"),
        ("More than half<", "About half<", "belongs to a comparison"),
        ("below 95 %", "below 85 %", "must compare with the number of the text, 85"),
        ("a dozen<", "twenty<", "the number must be that of benchmarks/results, 12.34"),
        ('["seconds"] > 10', '["minutes"] > 10', "minutes"),
        ("more than ten<", "more than twenty<", "must compare with the number of the text, 20"),
        ("more than ten<", "fewer than ten<", "the text says less than 10"),
        ("given: the archive holds as many of each", "given: so", "must say in 3 words or more why"),
        ("vaswani2017", "nobody", "must be a key of book/references.bib"),
        ("three layers", "3<!-- given: the three layers drawn above --> layers", "given: is for words"),
    ],
)
def test_planted_faults_in_words(root, old, new, message):
    assert old in WORDS
    faults = examine(WORDS.replace(old, new), root)[1]
    assert any(message in fault for fault in faults), faults


def test_a_comparison_that_the_results_contradict(root):
    text = 'More than 13 s<!-- is: bench: fit_cpu["mlp"]["seconds"] > 13 -->.'
    assert "the comparison must hold in benchmarks/results: got “More than 13 s<!--" in examine(text, root)[1][0]


def test_words_are_left_to_the_lock_while_a_notebook_is_built(root):
    assert examine("Half of them.", root, finished=False) == ([], [])
    assert "'0.5'" in examine("It is 0.5 of them.", root, finished=False)[1][0]
    assert prepare(notebook("# A", "Half of them, and 5<!-- = x -->.", code("x = 5")), root) == []


@pytest.mark.parametrize(
    "page",
    [
        '<svg role="img" aria-label="A map: half of the pages."><text>A</text></svg>',
        "![Half of the pages](a.png)",
        "```{figure} a.png\n:alt: Half of the pages\n```",
        ":::{figure} a.png\n:alt: Half of the pages\n:::",
    ],
)
def test_alt_texts_of_pages(root, page):
    assert "'half of'" in "".join(examine(page, root)[1]).lower()
    assert examine(page.replace("alf", "all"), root) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "12.3 s<!-- bench: fit_cpu['mlp']['seconds'] -->",
        "12<!-- bench: fit_cpu['mlp']['seconds'] -->",
        "11<!-- bench: fit_cpu['mlp']['seconds'] ± 2 -->",
        "0.21 min<!-- bench: fit_cpu['mlp']['seconds'] / 60 -->",
    ],
)
def test_benchmarks(root, text):
    assert examine(text, root) == ([], [])


def test_a_page_of_the_site(root):
    page = (
        "28.4<!-- from: vaswani2017 -->\n\n:::{figure} p.png\n:width: 80%\n:::\n\n```{code-block} python\nx = 5\n```\n"
    )
    assert examine(page, root) == ([], [])
    assert "'7.'" in examine("```{note}\n:class: c3\nOf 7.\n```", root)[1][0]


RUN = {
    "test_accuracy": 0.875,
    "loss": 0.42,
    "epsilon": 3.24,
    "train": range(1200),
    "bias": -0.3,
    "ratio": 2.6e-7,
    "rate": 1.5e-3,
    "tail": 1.2e-3,
    "low": 10,
    "high": 20,
}


WRONG = {"test_accuracy": 0.86, "loss": 0.45, "epsilon": 3.26, "train": range(1201), "bias": 0.3, "ratio": 2.7e-7}


@pytest.mark.parametrize("wrong", [{}, *({name: value} for name, value in WRONG.items()), {"high": float("nan")}])
def test_the_cell_passes_and_fails(root, monkeypatch, capsys, wrong):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    source = cell_source(examine(REAL_PROSE, root)[0])
    if wrong:
        with pytest.raises(AssertionError, match="in this run"):
            exec(source, RUN | wrong)
    else:
        exec(source, dict(RUN))
        assert capsys.readouterr().out == "11 numbers in the text agree with this run.\n"


def test_where_the_cell_stands(root):
    nb = notebook(
        "Half: 0.5<!-- = x -->", code("x = 0.5"), "text\n\n## Exercises\n\nA third: 0.3<!-- = y -->", "## Sources"
    )
    assert rewrite(nb, root) == []
    assert [cell.cell_type for cell in nb.cells] == ["markdown", "code", "code", "markdown", "markdown"]
    cell = nb.cells[2]
    assert cell.metadata.tags == ["hide-input", "prose-check"]
    assert '    ("Half: 0.5", 0.5, float(x), 0.05),\n    ("A third: 0.3", 0.3, float(y), 0.05),\n)' in cell.source
    rewrite(nb, root)
    assert nb.cells[2] is cell and len(nb.cells) == 5
    for position in (0, 3):
        nb.cells[position].source = "none"
    rewrite(nb, root)
    assert [cell.source for cell in nb.cells] == ["none", "x = 0.5", "none", "## Sources"]
    nb = notebook("Half: 0.5<!-- = x -->", code("x = 0.5"))
    rewrite(nb, root)
    assert nb.cells[-1].source.startswith("# The numbers in this chapter, checked.")


def test_a_wrong_number_stops_the_build(root):
    small_book(root, a=notebook("# A", "Half: 0.6<!-- = x -->", code("x = 0.5")))
    with pytest.raises(CellExecutionError, match="“Half: 0.6”: in the text 0.6 ± 0.05, in this run 0.5"):
        build(root / "book" / "a.ipynb", root)


def test_an_unmarked_number_stops_the_build(root):
    small_book(root, a=notebook("# A", "Half: 0.5", code("x = 0.5")))
    with pytest.raises(ValueError, match="its author must mend:\n  a number must be marked, .* got '0.5'"):
        build(root / "book" / "a.ipynb", root)


def test_generated_cells_are_as_the_formatter_writes_them(root):
    long = " + ".join(["value"] * 11)
    text = (
        f"It is, to tell the truth, 5<!-- = {long} --> and 1e-3<!-- = x -->, −3.50 %<!-- = 100 * f(y)['a'] ± 1e-2 -->."
    )
    path = root / "book" / "a.ipynb"
    nb = notebook("# A", text.replace("'", '"'), code("x = 1"))
    assert prepare(nb, root) == [] and "    (\n" in nb.cells[-1].source
    write(nb, path)
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--line-length", "88", "--isolated", str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


# --- the lock ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def book(root):
    """A book of one notebook that compared its number with its run, and of pages without code."""
    nb = notebook("# A", "Half: 0.5<!-- = x -->", code("x = 0.5"))
    rewrite(nb, root)
    nb.cells[-1].outputs = [printed("1 number in the text agrees with this run.\n")]
    small_book(root, a=nb)
    (root / "book" / "b.md").write_text("---\nversion: 7\n---\n\n# B\n\n28.4<!-- from: vaswani2017 --> BLEU\n")
    return root


def test_a_book_that_accounts_for_its_numbers(book):
    nb = notebook("# C", "7.0<!-- = y --> and 8.0<!-- = z -->", code("y = 7"))
    rewrite(nb, book)
    nb.cells[-1].outputs = [printed("2 numbers in the text agree with this run.\n")]
    small_book(book, c=nb)
    assert faults(book) == []


def test_planted_number_in_a_notebook(book):
    path = book / "book" / "a.ipynb"
    path.write_text(path.read_text().replace("<!-- = x -->", ""))
    assert faults(book)[0].startswith("book/a: a number must be marked, or be code, mathematics or words: got '0.5'")
    assert "book/a: must quote at least one number of its run, marked <!-- = expression -->" in faults(book)


def test_a_notebook_that_did_not_compare_its_numbers(book):
    path = book / "book" / "a.ipynb"
    path.write_text(path.read_text().replace("agrees", "differs"))
    assert faults(book) == ["book/a: must have one cell that compared its numbers with the run: run `make notebooks`"]


@pytest.mark.parametrize(
    "text, fault",
    [
        ("Of 5.", "book/b: a number must be marked, or be code, mathematics or words: got '5.' in “Of 5.”"),
        ("5<!-- = x -->", "book/b: a page without code computes nothing: use from: or bench: for '5'"),
    ],
)
def test_planted_number_on_a_page_without_code(book, text, fault):
    (book / "book" / "b.md").write_text(f"# B\n\n{text}\n")
    assert faults(book) == [fault]


def test_planted_words_on_a_page(book):
    path = book / "book" / "a.ipynb"
    path.write_text(path.read_text().replace('"# A"', '"# A\\n\\nTwo thirds of it."'))
    message = "book/a: a quantity in words must be marked, or be digits: got 'Two thirds' in “Two thirds of it.”"
    assert faults(book) == [message]


def test_a_page_that_still_waits_for_its_marks(book, monkeypatch):
    monkeypatch.setattr(numbers, "UNFINISHED", {"book/a"})
    path = book / "book" / "a.ipynb"
    path.write_text(path.read_text().replace('"# A"', '"# A\\n\\nTwo thirds of it, a third<!-- = y --> of them."'))
    assert [fault.partition(":")[0] for fault in faults(book)] == ["book/a"]
    assert "must say how far the value may be off" in faults(book)[0]


def test_the_pages_that_still_wait_are_pages():
    assert set(pages()) >= numbers.UNFINISHED
