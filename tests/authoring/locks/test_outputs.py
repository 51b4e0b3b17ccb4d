"""Numbers and figures within their limits, and what a cell may declare."""

import json

import numpy as np
import pytest
from nbformat import from_dict

from authoring.book import read
from authoring.execute import normalise
from authoring.locks.outputs import faults, figure_difference, kind, kinds, limits, settle, snap, split
from authoring.machines import MACHINES
from tests.helpers.figures import WHITE, png
from tests.helpers.notebooks import code, notebook, printed, shown, small_book

ABSOLUTE = limits(["tolerance-0.01"])
RELATIVE = limits(["tolerance-5pct"])
BOTH = limits(["tolerance-0.01", "tolerance-5pct"])
SHARE = limits(["accuracy-of-10000"])
SMALL = limits(["accuracy-of-597"])


@pytest.mark.parametrize(
    "stored, fresh, allowed, same",
    [
        ("loss 0.12", "loss 0.13", ABSOLUTE, True),
        ("loss 0.12", "loss 0.14", ABSOLUTE, False),
        ("loss 0.12", "loss 0.12", limits([]), True),
        ("loss 0.12", "loss 0.1200001", limits([]), False),
        ("loss 0.12", "less 0.12", ABSOLUTE, False),
        ("loss 0.12", "loss 0.12 0.12", ABSOLUTE, False),
        ("loss 0.12", "loss nan", ABSOLUTE, False),
        ("the loss 0.12", "theloss 0.12", ABSOLUTE, False),
        ("epoch 3: 0.12", "epoch 4: 0.12", ABSOLUTE, False),
        ("step 100: 2.00", "step 101: 2.05", RELATIVE, False),  # whole numbers are exact under a relative tolerance
        ("step 100: 2.00", "step 100: 2.05", RELATIVE, True),
        ("step 100: 2.00", "step 100: 2.11", RELATIVE, False),
        ("0.001 2.00", "0.009 2.09", BOTH, True),
        ("[ 0.005  0.5]", "[-0.003  0.5]", ABSOLUTE, True),
        ("1e-05", "1.2e-05", ABSOLUTE, True),
        ("conv1 0.5", "conv2 0.5", ABSOLUTE, False),
        ("0x7f10", "0x7f20", ABSOLUTE, False),
        ("tensor([1., 2.])", "tensor([1., 2.0091])", ABSOLUTE, True),
        ("1,999.995 bytes", "2,000.001 bytes", ABSOLUTE, True),
        ("1,999.995 bytes", "2,000.011 bytes", ABSOLUTE, False),
        ("accuracy 0.8812", "accuracy 0.8814", SHARE, True),
        ("accuracy 0.8812", "accuracy 0.8815", SHARE, False),
        ("accuracy 88.12 %", "accuracy 88.14 %", SHARE, True),
        ("accuracy 88.12 %", "accuracy 88.15 %", SHARE, False),
        ("error 0.95 %", "error 0.97 %", SHARE, True),
        ("error 0.95 %", "error 0.98 %", SHARE, False),
        ("in % 88.12 88.34", "in % 88.14 88.32", SHARE, True),  # a column of percentages
        ("in % 88.12 88.34", "in % 88.15 88.34", SHARE, False),
        ("loss 2.3026, 88.12 %", "loss 2.3028, 88.14 %", SHARE, True),
        ("loss 2.3026, 88.12 %", "loss 2.3029, 88.14 %", SHARE, False),  # and no percentage
        ("88.1 %", "88.2 %", SHARE, True),  # two examples can flip one rounding
        ("88 %", "89 %", SHARE, True),
        ("88 %", "90 %", SHARE, False),
        ("epoch 3 0.8812", "epoch 4 0.8812", SHARE, False),
        ("0.989", "0.993", SMALL, True),  # 2 / 597 is 0.00335: four units when rounded
        ("0.989", "0.994", SMALL, False),
    ],
)
def test_numbers_in_text(stored, fresh, allowed, same):
    assert (snap(stored, fresh, allowed) == stored) is same


def test_only_numbers_out_of_tolerance_are_left():
    assert snap("a 0.10 b 0.20", "a 0.105 b 0.30", ABSOLUTE) == "a 0.10 b 0.30"


def test_numbers_are_cut_out():
    text = "W1: -1.5e-3, 3x3 of 1,234 in [100,200] at 10.0.1."
    assert split(text)[1] == ["-1.5e-3", "3", "1,234", "100,200", "10.0"]
    pieces, numbers = split(text)
    assert "".join(piece + number for piece, number in zip(pieces, [*numbers, ""], strict=True)) == text


@pytest.mark.parametrize(
    "text, numbers",
    [
        ('<td width="10">0.500</td>', ["0.500"]),
        ("<style>\np { margin: 0.5em }\n</style> <b>3</b>", ["3"]),
        ("<script>let x = 0.5</script>&#39;1.0&nbsp;%", ["1.0"]),
        ('<svg viewBox="0 0 9 9"><text x="1">0.5</text></svg>', ["0.5"]),
    ],
)
def test_markup_holds_no_results(text, numbers):
    assert split(text, markup=True)[1] == numbers


def test_numbers_in_tags_stay_exact():
    wide = limits(["tolerance-2"])
    assert snap('<td width="10">0.5</td>', '<td width="11">0.6</td>', wide, markup=True) == '<td width="11">0.6</td>'
    assert snap('<td width="10">0.5</td>', '<td width="10">0.6</td>', wide, markup=True) == '<td width="10">0.5</td>'


def test_declarations():
    tags = ["hide-input", "tolerance-0.01", "tolerance-5pct", "pixels-15", "moves-2", "accuracy-of-597", "sample"]
    assert limits(tags) == {"absolute": 0.01, "relative": 0.05, "pixels": 15, "moves": 2, "examples": 597}
    assert limits([]) == {"absolute": 0, "relative": 0, "pixels": 5, "moves": 0, "examples": 0}


@pytest.mark.parametrize(
    "tag",
    ["tolerance", "tolerance-", "tolerance-5%", "tolerance-0", "tolerance-1e-3", "tolerence-0.1", "pixel-3"]
    + [
        "pixels-5pct",
        "pixels-0",
        "moves-0",
        "moves-12",
        "moves",
        "accuracy-10000",
        "accuracy-of-0",
        "accuracy-of-all",
        "samples",
        "nbval-skip",
    ],
)
def test_misspelt_tag(tag):
    with pytest.raises(ValueError, match=f"tag must read like .*: got '{tag}'"):
        limits([tag])


@pytest.mark.parametrize(
    "tags, expected",
    [
        ([], "exact"),
        (["hide-input"], "exact"),
        (["tolerance-0.01"], "toleranced"),
        (["pixels-9"], "toleranced"),
        (["accuracy-of-9"], "toleranced"),
        (["sample"], "sample"),
        (["nbval-ignore-output"], "ignored"),
    ],
)
def test_kinds_of_cells(tags, expected):
    assert kind(code("print(1)", printed("1\n"), tags=tags)) == expected
    assert kind(code("a = 1", tags=tags)) == "without output"


@pytest.mark.parametrize("row, column", [(10, 10), (13, 14), (0, 46), (36, 46)])  # wherever it lies
def test_figures(row, column):
    dot = WHITE.copy()
    dot[row : row + 4, column : column + 4] = 0
    assert figure_difference(png(WHITE), png(dot)) == pytest.approx(255 / 16)  # 16 of the 256 pixels of a patch


def test_equal_and_unequal_figures():
    assert figure_difference(png(WHITE), png(WHITE)) == 0
    assert figure_difference(png(WHITE), png(WHITE[:-1])) == np.inf
    assert figure_difference(png(WHITE[:3]), png(0 * WHITE[:3])) == pytest.approx(255 * 3 / 16)  # smaller than a patch
    assert figure_difference(png(WHITE), png(WHITE, "jpeg")) < 1


def test_what_may_move_may_not_vanish():
    line, moved, gone = WHITE.copy(), WHITE.copy(), WHITE.copy()
    line[10:12, :] = 0
    moved[12:14, :] = 0
    assert figure_difference(png(line), png(moved)) > 50
    assert figure_difference(png(line), png(moved), 1) > 5
    assert figure_difference(png(line), png(moved), 2) == 0
    for pair in ((line, gone), (gone, line)):
        assert figure_difference(*map(png, pair), 2) == figure_difference(*map(png, pair)) > 20


def test_see_through_figures():
    clear = np.zeros((40, 50, 4), np.uint8)
    tinted = clear.copy()
    tinted[..., 0] = 200
    assert figure_difference(png(clear), png(tinted)) == 0  # what shines through does not count
    assert figure_difference(png(WHITE), png(clear)) == 255  # what became see-through does


def test_outputs_settle_within_their_limits():
    grey = WHITE - 4
    stored = from_dict(shown(text_plain="0.5", image_png=png(WHITE), application_json={"a": 1}))
    fresh = from_dict(shown(text_plain="0.505", image_png=png(grey), application_json={"a": 2}))
    settle([stored], [fresh], ABSOLUTE)
    assert fresh.data == {**stored.data, "application/json": {"a": 2}}
    stored, fresh = from_dict(printed("0.5")), from_dict(printed("0.505"))
    settle([stored], [fresh], RELATIVE)
    assert fresh.text == "0.5"
    assert kinds([stored, from_dict(shown(text_html="", text_plain=""))]) == ["stdout", "text/html + text/plain"]


# --- the lock ---------------------------------------------------------------------------------------------------------


def book_of(folder, *cells, record=None):
    """Make a book of one notebook, with the spread that was recorded of its cells."""
    nb = normalise(notebook("# A", *cells))
    root = small_book(folder, a=nb)
    spread = {cell.id: record for cell in nb.cells if record} | {"machines": list(MACHINES)}
    (root / "book" / "spread.json").write_text(json.dumps({"book/a.ipynb": spread}))
    return root


MEASURED = {"absolute": 0.001, "relative": 0.0, "pixels": 0.0, "moves": 0.0}
EXACT = code("print(1)", printed("1"))


def test_a_book_whose_tolerances_were_measured(tmp_path):
    wide = code("print(x)", printed("0.12345"), tags=("tolerance-0.003",))
    root = book_of(tmp_path, EXACT, wide, record=MEASURED)
    assert faults(root) == []
    path = root / "book" / "a.ipynb"
    saved = json.loads(path.read_text())  # as Colab saves it
    saved["nbformat_minor"] = 0
    for cell in saved["cells"]:
        del cell["id"]
    path.write_text(json.dumps(saved))
    assert faults(root) == []


@pytest.mark.parametrize(
    "tag, fault",
    [
        ("tolerance-0.004", "book/a: the cell 'print(x)' declares absolute 0.004, may declare 0.003: run `python -m"),
        ("tolerance-1e-3", "book/a: cell 1, 'print(x)': tag must read like tolerance-0.01"),
        (
            "sample",
            "book/a: cell 1, 'print(x)': it is tagged `sample`, so its output is not compared: assert a property",
        ),
    ],
)
def test_planted_declarations(tmp_path, tag, fault):
    root = book_of(tmp_path, EXACT, code("print(x)", printed("0.12345"), tags=(tag,)), record=MEASURED)
    (found,) = faults(root)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "alt, is_tested",
    [
        ("It falls to 28<!-- = low ± 3 -->.", True),
        ("It falls by more than half<!-- is: low < 0.5 * high -->.", True),
        ("It falls.", False),
        ("In the paper it falls to 28<!-- from: he2016 -->.", False),
        ("Elsewhere by more than half<!-- is: bench: fall[0] > 0.5 -->.", False),
    ],
)
def test_a_figure_may_be_tested_by_its_alternative_text(tmp_path, alt, is_tested):
    """Which is compared with the run like all text; what is compared with something else proves nothing."""
    sample = code("print(x)", printed("0.12345"), tags=("sample",))
    sample.metadata["mystnb"] = {"alt_from": alt}
    found = faults(book_of(tmp_path, EXACT, sample, record=MEASURED))
    assert is_tested == (found == []) and all("it is tagged `sample`" in fault for fault in found)


def test_planted_lack_of_exact_cells(tmp_path):
    wide = [code(f"print({n})", printed("0.12345"), tags=("tolerance-0.003",)) for n in (1, 2)]
    root = book_of(tmp_path, EXACT, *wide, record=MEASURED)
    assert faults(root) == [
        "book/a: at least two fifths of its compared cells must be exact: print fewer digits",
        "book: at least half of all compared cells must be exact: print fewer digits",
    ]


def test_a_chapter_may_have_less_than_half_where_others_have_more(tmp_path):
    cells = [code(f"print({n})", printed("1")) for n in (1, 2)]
    cells += [code(f"print({n})", printed("0.12345"), tags=("tolerance-0.003",)) for n in (3, 4, 5)]
    root = book_of(tmp_path, *cells, record=MEASURED)
    assert faults(root) == ["book: at least half of all compared cells must be exact: print fewer digits"]
    record = json.loads((root / "book" / "spread.json").read_text())
    small_book(root, a=read(root / "book" / "a.ipynb"), b=normalise(notebook("# B", EXACT)))
    record["book/b.ipynb"] = {"machines": list(MACHINES)}
    (root / "book" / "spread.json").write_text(json.dumps(record))
    assert faults(root) == []


def test_all_machines_are_asked_for(tmp_path):
    wide = code("print(x)", printed("0.12345"), tags=("tolerance-0.003",))
    root = book_of(tmp_path, EXACT, wide, record=MEASURED)
    assert faults(root) == []
    file = root / "book" / "spread.json"
    record = json.loads(file.read_text())
    record["book/a.ipynb"]["machines"] = sorted(MACHINES)[1:]
    file.write_text(json.dumps(record))
    (fault,) = faults(root)
    assert fault.startswith(f"book/a: its spread was not measured on {min(MACHINES)}: run `python -m authoring.spread`")
    file.write_text(json.dumps({"book/a.ipynb": {}}))
    assert any(fault.startswith("book/a: its spread was not measured on avx2, jitter-0, ") for fault in faults(root))


def test_planted_records(tmp_path):
    root = book_of(tmp_path, EXACT)
    (root / "book" / "spread.json").write_text('{"book/gone.ipynb": {}}')
    assert faults(root) == [
        "book/a: its spread was not recorded in book/spread.json: run `python -m authoring.spread` with it",
        "book/spread.json: book/gone.ipynb is no chapter: delete its record",
    ]
