"""What may stand after ±: three times what was measured, or what the printed number leaves open."""

import json

import pytest

from authoring.locks import half_widths, numbers
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "number, open_",
    [
        ("88.1", 0.05),
        ("88", 0.5),
        ("5", 0.5),
        ("40", 4.0),  # half of ten would be an eighth of it
        ("60", 5.0),
        ("100", 10.0),
        ("1200", 50.0),
        ("1234", 0.5),
        ("2.5e-7", 5e-9),
        ("-3.20", 0.005),
        ("0", 0.5),
    ],
)
def test_what_a_printed_number_leaves_open(number, open_):
    assert half_widths.left_open(number) == pytest.approx(open_)


@pytest.mark.parametrize(
    "text, spreads, bound",
    [
        ("88.1 %<!-- = 100 * a ± 1 -->", {"100 * a": 0.4}, None),
        ("88.1 %<!-- = 100 * a ± 1.3 -->", {"100 * a": 0.4}, "1.2"),
        ("88.1 %<!-- = 100 * a ± 1 -->", {}, "0.05"),
        ("88 %<!-- = 100 * a -->", {}, None),
        ("1,200<!-- = n ± 60 --> steps", {"n": 3.0}, "50"),
        ("half<!-- = a ± 0.1 --> of them", {}, None),  # words.py
        ("more than half<!-- is: a > 0.5 --> of them", {}, None),
    ],
)
def test_half_widths(text, spreads, bound):
    marks, wrong = numbers.examine(text)
    assert not wrong
    found = half_widths.unfounded(marks, spreads)
    assert [fault.split("at most ± ")[1].split(":")[0] for fault in found] == ([bound] if bound else [])


def test_of_chapters(tmp_path):
    cell = code("x")
    cell.metadata["mystnb"] = {"image": {"alt": "Near 3."}, "alt_from": "Near 3<!-- = b ± 2 -->."}
    root = small_book(tmp_path, a=notebook("It is 88.1<!-- = a ± 1 -->.", cell))
    assert half_widths.faults(root) == [
        "book/a: the spread of its numbers was not recorded: run `python -m authoring.spread`"
    ]
    (root / "book" / "spread.json").write_text(json.dumps({"book/a.ipynb": {"numbers": {"a": 0.5}}}))
    assert half_widths.faults(root) == ["book/a: “Near 3 ± 2” may be at most ± 0.5: run `python -m authoring.spread`"]
