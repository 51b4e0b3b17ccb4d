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
