"""Numbers of a text follow the run, as they were written; what is right stays, and each change is told."""

import pytest

from authoring import renumber
from authoring.book import read
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "value, like, text",
    [
        (0.8764, "0.81", "0.88"),
        (12345.6, "9,999", "12,346"),
        (-0.04, "−0.10", "−0.04"),
        (2.61e-7, "2.6e-7", "2.6e-7"),
        (3.14e-8, "2e-7", "3e-8"),
        (4.4, "5", "4"),
    ],
)
def test_a_value_is_written_as_the_number_before(value, like, text):
    assert renumber.printed(value, like) == text


def test_only_what_is_off_is_rewritten():
    text = "It gets 81 %<!-- = 100 * a --> of `2.5`<!-- = b ± 0.2 --> and $7$<!-- = c -->, in 3 s<!-- from: x -->."
    new, lines = renumber.renumber(text, {"100 * a": 88.4, "b": 2.6, "c": 7.04})
    assert new == text.replace("81 %", "88 %").replace("2.5", "2.6")  # also what was within its ±
    assert len(lines) == 2 and lines[0].startswith("81 -> 88: … It gets 81 % of")


@pytest.mark.parametrize(
    "mark, value, new",
    [
        ("11,000<!-- = a ± 500 -->", 11_364, "11,000<!-- = a ± 500 -->"),
        ("11,000<!-- = a ± 500 -->", 11_600, "11,600<!-- = a ± 500 -->"),
        ("11,000<!-- = a -->", 11_364, "11,364<!-- = a -->"),
        ("80<!-- = a ± 4 -->", 83.2, "80<!-- = a ± 4 -->"),
        ("80<!-- = a ± 9 -->", 83.2, "83<!-- = a ± 9 -->"),  # wider than its zero leaves open
        ("81<!-- = a ± 4 -->", 83.2, "83<!-- = a ± 4 -->"),
    ],
)
def test_what_was_rounded_on_purpose_stays_so(mark, value, new):
    assert renumber.renumber(f"About {mark}.", {"a": value})[0] == f"About {new}."


def test_words_follow_the_run_if_it_has_exact_ones():
    text = "Twice<!-- = a --> as many, half<!-- = b ± 0.03 --> of them, nine in ten<!-- given: as the text says it -->."
    new, lines = renumber.renumber(text, {"a": 3.2, "b": 0.34})
    assert new == text.replace("Twice", "Three times").replace("half", "a third")
    assert [line.partition(":")[0] for line in lines] == ["Twice -> Three times", "half -> a third"]
    new, lines = renumber.renumber(text, {"a": 2.4, "b": 0.44})
    assert new == text and len(lines) == 1
    assert lines[0].startswith("half -> no words for 0.44: mend the sentence: … Twice as many, half")


def test_a_comparison_that_no_longer_holds_is_told():
    text = "More than half<!-- is: a > 0.5 --> of them."
    assert renumber.renumber(text, {"a > 0.5": 1.0}) == (text, [])
    new, lines = renumber.renumber(text, {"a > 0.5": 0.0})
    assert new == text and lines == ["no longer so, a > 0.5: mend the sentence: … More than half of them. …"]


def test_alt_texts_and_words_of_a_notebook(tmp_path, capsys):
    described = {"image": {"alt": "Near 41 per cent, half of it late."}}
    described["alt_from"] = "Near 41<!-- = 100 * x --> per cent, half<!-- = y ± 0.05 --> of it late."
    nb = notebook("# A", "41 %<!-- = 100 * x -->", code("x = 0.5\ny = 1 / 3", mystnb=described))
    path = small_book(tmp_path, a=nb) / "book" / "a.ipynb"
    assert renumber.main([str(path)], tmp_path) == 0
    assert "41 -> 50" in capsys.readouterr().out
    settings = next(cell for cell in read(path).cells if "mystnb" in cell.metadata).metadata.mystnb
    assert settings.image.alt == "Near 50 per cent, a third of it late."
    assert settings.alt_from == "Near 50<!-- = 100 * x --> per cent, a third<!-- = y ± 0.05 --> of it late."


def test_nothing_is_stored_before_its_author_has_mended(tmp_path, capsys):
    nb = notebook("# A", "41 %<!-- = 100 * x -->, more than half<!-- is: x > 0.5 --> of it.", code("x = 0.4"))
    path = small_book(tmp_path, a=nb) / "book" / "a.ipynb"
    before = path.read_bytes()
    assert renumber.main([str(path)], tmp_path) == 1 and path.read_bytes() == before
    told = capsys.readouterr().out
    assert "nothing is stored" in told and "41 -> 40" in told and "no longer so, x > 0.5: mend the sentence" in told


def test_a_notebook_and_its_text_agree_afterwards(tmp_path, capsys):
    nb = notebook(
        "# A", code("x = 0.5"), "Half: 41 %<!-- = 100 * x -->; 9.9 s<!-- bench: fit_cpu['mlp']['seconds'] -->."
    )
    path = small_book(tmp_path, a=nb) / "book" / "a.ipynb"
    assert renumber.main([str(path)], tmp_path) == 0
    told = capsys.readouterr().out
    assert "41 -> 50" in told and "9.9 -> 12.3" in told
    stored = read(path)
    assert any("Half: 50 %<!-- = 100 * x -->; 12.3 s<!--" in cell.source for cell in stored.cells)
    checks = [cell for cell in stored.cells if "prose-check" in cell.metadata.get("tags", [])]
    assert checks[0].outputs[0].text == "1 number in the text agrees with this run.\n"


@pytest.mark.parametrize(
    "mark, narrowed",
    [
        ("88.1 %<!-- = 100 * a ± 1 -->", "88.1 %<!-- = 100 * a ± 0.37 -->"),
        ("88.1 %<!-- = 100 * a\n± 0.3 -->", None),
        ("88.1 %<!-- = 100 * a -->", None),
        ("3.0<!-- = b ± 1 -->", "3.0<!-- = b -->"),
        ("1,200<!-- = b ± 99 -->", "1,200<!-- = b ± 50 -->"),
        ("`2.5e-7`<!-- = b\n ± 1e-8 -->", "`2.5e-7`<!-- = b -->"),
        ("half<!-- = b ± 0.1 -->", None),
        ("12 s<!-- bench: fit_cpu['mlp']['seconds'] ± 3 -->", None),
    ],
)
def test_half_widths_are_narrowed_to_what_was_measured(mark, narrowed):
    text = f"It is {mark} of them."
    assert renumber.narrow(text, {"100 * a": 0.125}) == text.replace(mark, narrowed or mark)


def test_they_are_narrowed_only_where_something_was_measured(tmp_path):
    nb = notebook("# A", "50 %<!-- = 100 * x ± 6 -->", code("x = 0.5"))
    path = small_book(tmp_path, a=nb) / "book" / "a.ipynb"
    assert renumber.main([str(path)], tmp_path) == 0
    assert "50 %<!-- = 100 * x ± 6 -->" in [cell.source for cell in read(path).cells]
    (tmp_path / "book" / "spread.json").write_text('{"book/a.ipynb": {"numbers": {"100 * x": 1.2}}}')
    assert renumber.main([str(path)], tmp_path) == 0
    assert "50 %<!-- = 100 * x ± 5 -->" in [cell.source for cell in read(path).cells]
