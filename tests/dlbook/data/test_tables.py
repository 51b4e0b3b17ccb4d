"""Tables: duplicates, rows, malformed files."""

import numpy as np
import pytest
import torch

from dlbook.data.tables import drop_conflicting_rows, read_table, split_table
from tests.dlbook.data.examples import of, table


def test_what_is_kept():
    numbers, categories = [[1, 2, 1, None, 0.0, None, -0.0, 2]], [[0, 1, 0, 2, -1, 2, -1, 2]]
    found = table(numbers, categories, [0, 1, 1, 0, 1, 0, 1, 0])
    assert drop_conflicting_rows(found) == [1, 3, 4, 7]
    assert drop_conflicting_rows(found, apart_from=found.choose([5, 7])) == [1, 4]
    parts = split_table(table([range(20)] * 2, labels=[0, 1] * 10), 0.2, seed=1)
    assert [part.labels.tolist().count(1) for part in of(parts)] == [6, 2, 2]
    assert sorted(x for part in of(parts) for x in part.numbers[:, 0].tolist()) == list(range(20))


def test_rows_can_be_chosen():
    chosen = table([[1, None, 3]], [[0, 1, -1]], [0, 1, 1]).choose([2, 0])
    assert chosen.numbers.tolist() == [[3], [1]] and chosen.categories.tolist() == [[-1], [0]]
    assert chosen.labels.tolist() == [1, 0] and len(chosen) == 2 and chosen.columns == ["x0"]
    assert len(chosen.choose([])) == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: table([[1, 2]], labels=[0]),
            r"a row for each label and a column for each name: got shapes \[\(2, 1\)",
        ),
        (lambda: table([[1, 2]], labels=[0, 2]), "labels must be at least 0 and less than 2: got 2"),
        (lambda: table([[1, 2]], labels=[0, -1]), "labels must be at least 0 and less than 2: got -1"),
        (lambda: table((), [[0, 3]]), "c0 must be at least -1 and less than 3: got 3"),
        (lambda: table((), [[0, -2]]), "c0 must be at least -1 and less than 3: got -2"),
    ],
)
def test_errors(unchecked, call, message):
    with pytest.raises(ValueError, match=message):
        call()


COLUMNS = {"size": True, "colour": False}


@pytest.mark.parametrize(
    "content, message",
    [
        ("1,red\n", "t.csv must have 3 fields in each line, size, colour and the label: got 2 in line 1"),
        ("1,red,yes\n1,red,yes,2\n", "got 4 in line 2"),
        ("red,1,yes\n", """size in t.csv must be a number, or "?" for a missing one: got 'red' in line 1"""),
        ("inf,1,yes\n", "got 'inf' in line 1"),
        (",red,yes\n", "size .* got '' in line 1"),
        ("1,,yes\n", "colour in t.csv must be a word: got '' in line 1"),
        ("size,colour,label\n1,red,yes\n", "label in t.csv must be one of no, yes: got 'label' in line 1"),
        ("1,red,?\n", "label in t.csv must be one of no, yes: got '?' in line 1"),
        ("\n| a remark\n", "t.csv must hold rows: got none"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=message.replace("?", "[?]")):
        read_table(tmp_path / "t.csv", COLUMNS, {"no": "n", "yes": "y"})


def test_a_small_table(tmp_path):
    (tmp_path / "t.csv").write_text("| two remarks\r\n|1x3\r\n1.5, red, yes.\r\n\r\n?,blue,no\r\n -2 ,?,no")
    found = read_table(tmp_path / "t.csv", COLUMNS, {"no": "n", "yes": "y"})
    torch.testing.assert_close(found.numbers, torch.tensor([[1.5], [np.nan], [-2]]).double(), equal_nan=True)
    assert found.categories.tolist() == [[1], [0], [-1]] and found.labels.tolist() == [1, 0, 0]
    assert (found.columns, found.levels, found.classes) == (["size"], {"colour": ["blue", "red"]}, ["n", "y"])
