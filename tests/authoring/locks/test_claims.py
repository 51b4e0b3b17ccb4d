"""The lock on claims: each thing to remember can fail, and a comparison says what its interval says."""

import subprocess
import sys

import pytest
from nbclient.exceptions import CellExecutionError

from authoring.book import chapters, read
from authoring.build import build, prepare
from authoring.locks import claims
from authoring.locks.claims import Run, examine, faults, needs, split
from authoring.text_view import from_text, to_text
from tests.helpers.notebooks import code, notebook, printed, small_book, write

CODE = """\
from dlbook.metrics.counts import clopper_pearson, fisher_exact
from dlbook.metrics.paired import difference_over_examples, difference_over_seeds as over_seeds
import torch

first, second = torch.arange(20.0) + 1, torch.arange(20.0)
lead = difference_over_examples(first, second)
gap, other = over_seeds(second, first), over_seeds(first, first)
leads = {}
for name in ("a", "b"):
    leads[name] = over_seeds(first + len(name), second)
listed = [over_seeds(first, second) for _ in range(2)]


def compare(x):
    return difference_over_examples(x, second)


own = compare(first)
often = clopper_pearson(9, 10)
p = fisher_exact([[9, 1], [2, 8]], alternative="greater")
alike = fisher_exact([[5, 5], [4, 6]])
accuracy, limit = first.mean().item(), 3"""
REMEMBER = (
    "# A\n\n$$a = b \\tag{1a}$$\n\n$$c = d \\tag{1b}$$\n\nIt is 10.5<!-- = accuracy -->.\n\n## What to remember\n\n"
)
TEST = "@executed('1a', of='x')\ndef test(): ...\n\n\n@executed('1c', of='x')\ndef test_other(): ...\n"


def chapter(*bullets, source=CODE, text="", edition=2):
    nb = notebook(code(source), REMEMBER + "\n".join(f"- {bullet}" for bullet in bullets) + f"\n\n{text}")
    nb.metadata["dlbook"] = {"edition": edition}
    return nb


@pytest.fixture
def root(tmp_path):
    small_book(tmp_path)
    (tmp_path / "tests" / "test_x.py").write_text(TEST)
    (tmp_path / "benchmarks" / "results" / "race-cpu.json").write_text(
        '{"ours": [0.8, 0.82, 0.81], "theirs": [0.6, 0.62, 0.6], "seconds": 3}'
    )
    return tmp_path


RIGHT = [
    "It counts. <!-- claim: accuracy > 3 -->",
    "It counts. <!-- claim: equation 1a -->",
    "It counts. <!-- claim: lead.above(0) -->",
    "The first is better. <!-- claim: lead.above(0) -->",
    "The first does *better* on both. <!-- claim: leads['a'].above(0) and leads['b'].above(0) -->",
    "The first does more on both. <!-- claim: all(one.above(0) for one in leads.values()) -->",
    "The first does more on both. <!-- claim: all(one.above(0.5) for name, one in leads.items()) -->",
    "The first does more on both. <!-- claim: all(leads[name].above(0) for name in leads) -->",
    "The first does more on both. <!-- claim: all([one.above(0) for one in listed]) -->",
    "The first beats the second. <!-- claim: accuracy > 3 and own.above(0) -->",
    "The first beats the second. <!-- claim: over_seeds(first, second).above(0) -->",
    "The second has fewer. <!-- claim: gap.below(0) -->",
    "The first is better, with fewer errors. <!-- claim: gap.below(0) -->",
    "The second is not better. <!-- claim: gap.below(0) -->",
    "The second is no better. <!-- claim: gap.below(0.1) -->",
    "The first is no worse. <!-- claim: lead.above(-0.1) -->",
    "The first is at least as good as the second. <!-- claim: lead.above(-0.1) -->",
    "The first is as good as the second. <!-- claim: other.within(0.1) -->",
    "The first works as well as the second. <!-- claim: other.within(0.1) -->",
    "The two are not separated. <!-- claim: other.contains(0) -->",
    "There is no difference that three seeds could show. <!-- claim: other.contains(0) -->",
    "Not separated on one, better on the other. <!-- claim: other.contains(0) --> <!-- claim: lead.above(0) -->",
    "It learns in more than half of the runs. <!-- claim: often.above(0.5) -->",
    "It learns in more runs. <!-- claim: p < 0.05 -->",
    "It learns in fewer runs. <!-- claim: fisher_exact([[int(accuracy) - 10, 10], [9, 1]], 'less') < 0.05 -->",
    "How often they learn is not separated. <!-- claim: alike > 0.05 -->",
    "It is fast. <!-- claim: bench: race_cpu['seconds'] < 5 -->",
    "Ours is better. <!-- claim: bench: difference_over_seeds("
    "tensor(race_cpu['ours']), tensor(race_cpu['theirs'])).above(0) -->",
    "Code such as `better` and $more$ compares nothing. <!-- claim: accuracy > 3 -->",
    "It counts,\n  over two lines.\n  <!-- claim:\n  accuracy\n  > 3 -->",
    "A list.\n  - An inner one. <!-- claim: accuracy > 3 -->",
]


@pytest.mark.parametrize("bullet", RIGHT)
def test_what_may_be_claimed(root, bullet):
    rows, wrong = examine(chapter(bullet), root)
    assert wrong == []
    namespace = {}
    exec(CODE, namespace)
    assert all(eval(expression, namespace) is True for _, expression in rows)
    assert rows or "equation" in bullet or "bench:" in bullet


WRONG = [
    ("It counts.", "“It counts. …”: must carry a claim, <!-- claim: expression --> or <!-- claim: equation TAG -->"),
    ("It counts. <!-- claims: accuracy > 3 -->", "must carry a claim"),
    # a comparison without an interval, or against its sense
    ("It is better. <!-- claim: accuracy > 3 -->", "“better” must rest on an interval, by .above(0): got no interval"),
    ("It is better. <!-- claim: equation 1a -->", "“better” must rest on an interval, by .above(0): got no interval"),
    ("It is better. <!-- claim: gap.below(0) -->", "“better” must rest on an interval, by .above(0): got .below(0)"),
    (
        "It is better. <!-- claim: other.contains(0) -->",
        "“better” must rest on an interval, by .above(0): got .contains",
    ),
    ("It is better. <!-- claim: lead.above(-1) -->", "by .above(0): got .above(-margin)"),
    ("It is better. <!-- claim: other.within(1) -->", "by .above(0): got .within(margin)"),
    ("It has fewer. <!-- claim: lead.above(0) -->", "“fewer” must rest on an interval, by .below(0): got .above(0)"),
    ("It is not better. <!-- claim: lead.above(0) -->", "“not better” must rest on an interval, by .below(0)"),
    ("It is no worse. <!-- claim: other.contains(0) -->", "“no worse” must rest on an interval, by .above(0)"),
    (
        "It is as good as the other. <!-- claim: other.contains(0) -->",
        "“as good as” must rest on an interval, by .within",
    ),
    ("It makes no difference. <!-- claim: other.contains(0) -->", "by .within(margin): got .contains(0)"),
    (
        "They are not separated. <!-- claim: lead.above(0) -->",
        "“not separated” must rest on an interval, by .contains(0)",
    ),
    (
        "It suffices. <!-- claim: other.contains(0) -->",
        "an interval that contains 0 supports “not separated” and nothing",
    ),
    (
        "It is better on both. <!-- claim: lead.above(0) or gap.above(0) -->",
        "a claim must use .above(number), .below(number), ",
    ),
    ("It does not help. <!-- claim: not gap.above(0) -->", "by itself: got 'not gap.above(0)'"),
    ("It helps. <!-- claim: lead.low > 0 -->", "by itself: got 'lead.low > 0'"),
    ("It helps. <!-- claim: lead.above(limit) -->", "by itself: got 'lead.above(limit)'"),
    ("It helps. <!-- claim: all(one.above(0) for one in listed if one.above(0)) -->", "by itself: got"),
    ("It learns in more runs. <!-- claim: alike < 0.05 -->", "or of fisher_exact < 0.05 with alternative="),
    ("It learns in more runs. <!-- claim: p < 0.5 -->", "by itself: got 'p < 0.5'"),
    (
        "It learns in fewer runs. <!-- claim: p < 0.05 -->",
        "“fewer” must rest on an interval, by .below(0): got .above(0)",
    ),
    # what cannot fail
    ("It counts. <!-- claim: True -->", "must be able to fail, and name something that the run computes: got 'True'"),
    ("It counts. <!-- claim: 1 < 2 -->", "must be able to fail"),
    ("It counts. <!-- claim: limit == 3 -->", "must be able to fail"),
    ("It counts. <!-- claim: torch.pi > 3 -->", "must be able to fail"),
    ("It counts. <!-- claim: accuracy == accuracy -->", "must be able to fail"),
    ("It counts. <!-- claim: accuracy > 3 or True -->", "must be able to fail"),
    ("It counts. <!-- claim: later > 3 -->", "must be able to fail"),
    ("It counts. <!-- claim: bench: 1 < 2 -->", "must be able to fail, and name a result in benchmarks/results"),
    # what is no claim
    (
        "It counts. <!-- claim: accuracy > -->",
        "the claim must be an expression of Python, invalid syntax: got 'accuracy >'",
    ),
    ("It counts. <!-- claim: x = 3 -->", "the claim must be an expression of Python"),
    ("It counts. <!-- claim: equation 2c -->", "equation 2c must have its \\tag in this chapter"),
    ("It counts. <!-- claim: equation 1c -->", "equation 1c must have its \\tag in this chapter"),
    ("It counts. <!-- claim: equation 1b -->", "equation 1b must be held by a test"),
    ("It counts. <!-- claim: equations 1a, 1b -->", "equation 1b must be held by a test"),
    ("It is fast. <!-- claim: bench: race_cpu['seconds'] < 2 -->", "must be True: got False for"),
    ("It is fast. <!-- claim: bench: race_cpu['seconds'] -->", "must be True: got 3 for"),
    ("It is fast. <!-- claim: bench: race_cpu['minutes'] < 2 -->", "must be True: got KeyError('minutes') for"),
    ("It is fast. <!-- claim: bench: race_gpu < 2 -->", "must be able to fail"),
]


@pytest.mark.parametrize("bullet, message", WRONG)
def test_planted_faults(root, bullet, message):
    wrong = examine(chapter(bullet), root)[1]
    assert any(message in fault for fault in wrong), wrong


@pytest.mark.parametrize(
    "source",
    [
        "def difference_over_examples(x, y):\n    return x",
        "lead = 3",
        "for lead in range(3):\n    pass",
        "lead = difference_over_examples(first, second).estimate",
    ],
)
def test_what_only_looks_like_an_interval(root, source):
    nb = chapter("It is better. <!-- claim: lead.above(0) -->", source=f"{CODE}\n{source}\n")
    assert any("must rest on an interval" in fault for fault in examine(nb, root)[1])


def test_a_function_of_that_name_from_elsewhere(root):
    nb = chapter("It is better. <!-- claim: lead.above(0) -->", source=CODE.replace("dlbook.metrics.paired", "mine"))
    assert any("must rest on an interval" in fault for fault in examine(nb, root)[1])


def test_a_listing_of_the_function_is_the_function(root):
    source = "# Listing: dlbook.metrics.paired.difference_over_examples\ndef difference_over_examples(x, y):\n    ..."
    nb = notebook(code(source), code("lead = difference_over_examples(1, 2)"))
    assert Run(nb).intervals == {"lead": "difference_over_examples"}


def test_which_names_are_intervals_and_which_are_results():
    run = Run(chapter())
    paired = {"lead", "gap", "other", "leads", "listed", "own"}
    assert set(run.intervals) == paired | {"often", "p", "alike"}
    assert run.results() >= paired | {"first", "accuracy"} and not run.results() & {"limit", "torch", "name"}


def test_what_the_solutions_compute_comes_too_late(root):
    nb = chapter("It counts. <!-- claim: later > 3 -->", text="## Exercises")
    nb.cells.append(code("later = first.sum()"))
    assert any("must be able to fail" in fault for fault in examine(nb, root)[1])


# --- where claims stand -----------------------------------------------------------------------------------------------


def test_a_comment_belongs_to_the_sentence_before_it():
    text = "One. <!-- claim: a -->\nTwo is **more.** <!-- claim: b --> <!-- claim: c --> Three<!-- = 3 --> is it! Four."
    assert split(text) == [
        "One. <!-- claim: a -->",
        "Two is **more.** <!-- claim: b --> <!-- claim: c -->",
        "Three<!-- = 3 --> is it!",
        "Four.",
    ]
    assert split("Last. <!-- claim: a -->") == ["Last. <!-- claim: a -->"]


def test_sentences_of_in_short_claim_where_they_compare(root):
    rest = "It counts. <!-- claim: accuracy > 3 -->"
    nb = chapter(rest)
    nb.cells.insert(0, notebook("**In short.** A mean is a sum. The first is better. The *second* counts.").cells[0])
    (wrong,) = examine(nb, root)[1]
    assert wrong.startswith("“The first is better. …”: must carry a claim")
    nb.cells[0].source = nb.cells[0].source.replace("better.", "better. <!-- claim: lead.above(0) -->")
    rows, wrong = examine(nb, root)
    assert wrong == [] and rows[0] == ("The first is better.", "lead.above(0)")
    nb.cells[0].source = "## In short\n\nThe first is better. <!-- claim: gap.below(0) -->"
    assert "by .above(0): got .below(0)" in examine(nb, root)[1][0]


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "Here, too. <!-- claim: accuracy > 3 -->",
            "under What to remember, all must stand in bullets: got “Here, too.",
        ),
        ("<!-- claim: accuracy > 3 -->", "a claim must stand in a bullet under What to remember, or in In short"),
        ("## Pitfalls\n\n- No. <!-- claim: accuracy > 3 -->", "a claim must stand in a bullet under What to remember"),
    ],
)
def test_claims_elsewhere(root, text, message):
    wrong = examine(chapter("It counts. <!-- claim: accuracy > 3 -->", text=text), root)[1]
    assert len(wrong) == 1 and message in wrong[0]


def test_a_chapter_without_things_to_remember(root):
    assert examine(chapter(), root)[1] == ["must have bullets under ## What to remember"]


def test_a_chapter_of_the_first_edition_is_left_alone(root):
    assert examine(chapter("It is better.", edition=1), root) == ([], [])


@pytest.mark.parametrize(
    "text", ["no longer there", "the most frequent", "at least three", "a few", "moreover", "lessons"]
)
def test_words_that_compare_nothing(text):
    assert needs(text) == []


# --- in the run -------------------------------------------------------------------------------------------------------


def in_a_book(root, *bullets, source=CODE):
    small_book(root, a=chapter(*bullets, source=source, text="## Exercises"))
    return root / "book" / "a.ipynb"


def test_the_build_checks_the_claims_with_the_numbers(root):
    path = in_a_book(root, "The first is better. <!-- claim: lead.above(0) -->", "A sum. <!-- claim: equation 1a -->")
    assert build(path, root) == "executed"
    nb = read(path)
    (cell,) = [cell for cell in nb.cells if "prose-check" in cell.metadata.get("tags", [])]
    assert 'check_claims(\n    ("The first is better.", lead.above(0)),\n)' in cell.source
    assert cell.outputs[0].text == "1 number in the text agrees with this run.\n1 claim holds in this run.\n"
    assert faults(root) == [] and build(path, root) == "up to date"


def test_claims_that_do_not_hold_stop_the_build(root):
    rows = [("It counts.", "accuracy > 30", "False"), ("It tells.", "accuracy", "10.5")]
    rows += [("It sums up.", "first.mean() > 3", "tensor(True)")]
    path = in_a_book(root, *(f"{words} <!-- claim: {claim} -->" for words, claim, _ in rows))
    with pytest.raises(CellExecutionError) as caught:
        build(path, root)
    for words, _, value in rows:
        assert f"“{words}”: must be True, in this run {value}" in str(caught.value)


def test_planted_faults_stop_the_build(root):
    path = in_a_book(root, "It is better.")
    with pytest.raises(ValueError, match="its author must mend:\n  “It is better. …”: must carry a claim"):
        build(path, root)


def test_a_chapter_that_did_not_check_its_claims(root):
    path = in_a_book(root, "It counts. <!-- claim: accuracy > 3 -->")
    assert "book/a: must have checked its 1 claims in the run: run `make notebooks`" in faults(root)
    nb = read(path)
    prepare(nb, root)
    cell = next(cell for cell in nb.cells if "prose-check" in cell.metadata.get("tags", []))
    cell.outputs = [printed("2 claims hold in this run.\n")]
    write(nb, path)
    assert "book/a: must have checked its 1 claims in the run: run `make notebooks`" in faults(root)


def test_claims_without_numbers_get_a_cell_of_their_own(root):
    nb = chapter("It counts. <!-- claim: accuracy > 3 -->", text="## Exercises")
    nb.cells[1].source = nb.cells[1].source.replace("It is 10.5<!-- = accuracy -->.", "")
    nb.cells.insert(1, notebook("Text.").cells[0])
    assert claims.rewrite(nb, root) == []
    assert [cell.cell_type for cell in nb.cells] == ["code", "markdown", "code", "markdown"]
    assert nb.cells[2].source.startswith("# The claims of this chapter, checked.")


def test_the_generated_cell_is_as_the_formatter_writes_it(root):
    long = " and ".join(["lead.above(0)"] * 9)
    nb = chapter(f"The “first” is better. <!-- claim: {long} -->", text="## Exercises")
    assert prepare(nb, root) == []
    path = write(nb, root / "book" / "a.ipynb")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--line-length", "88", "--isolated", str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    cell = next(cell for cell in nb.cells if "prose-check" in cell.metadata.get("tags", []))
    assert "check_claims" in cell.source and "check_claims" not in result.stdout, result.stdout


def test_the_text_view_shows_the_edition_and_keeps_the_claims(root):
    path = in_a_book(root, "The first is better. <!-- claim: lead.above(0) -->")
    stored = read(path)
    text = to_text(stored)
    assert "dlbook:\n    edition: 2\n" in text and "better. <!-- claim: lead.above(0) -->" in text
    assert from_text(text, stored, root)[0].metadata.dlbook.edition == 2
    first = from_text(text.replace("edition: 2", "edition: 1"), stored, root)[0]
    assert "check_claims" not in "".join(cell.source for cell in first.cells)


def test_the_chapters_of_the_second_edition():
    assert {page for page, nb in chapters() if claims.edition(nb) > 1} == claims.SECOND


def test_a_claim_on_stored_results_may_use_each_interval_that_the_lock_knows():
    assert claims.functions().keys() >= claims.FUNCTIONS
    value = "newcombe((one['hits'], one['trials']), (1, 10)).above(0)"
    assert claims.of_results(value, (("one", '{"hits": 9, "trials": 10}'),)) is True
