"""Tables: what each real one holds, no row in two parts, the encoder as in scikit-learn, malformed files refused."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dlbook.data import store, tables
from dlbook.data.encoder import TableEncoder
from dlbook.data.satellite import PIXELS, SATELLITE, SOILS, overlapping, places_of, satellite
from dlbook.data.splits import stratify
from dlbook.data.tables import (
    ADULT,
    INCOMES,
    MAIL,
    SPAMBASE,
    Table,
    _features_of,
    drop_conflicting_rows,
    read_table,
    split_table,
)


def of(parts):
    return [parts.train, parts.validation, parts.test]


def table(numbers=(), categories=(), labels=None, levels=("a", "b", "c"), classes=("no", "yes")):
    """Make a table of columns: numbers, with None where one is missing, and categories, with -1."""
    rows = len([*numbers, *categories][0])
    return Table(
        torch.tensor([[np.nan if x is None else x for x in column] for column in numbers]).double().reshape(-1, rows).T,
        torch.tensor([list(column) for column in categories]).long().reshape(-1, rows).T,
        torch.tensor([0] * rows if labels is None else labels),
        [f"x{n}" for n in range(len(numbers))],
        {f"c{n}": list(levels) for n in range(len(categories))},
        list(classes),
    )


# --- the real tables --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adult():
    return tables.adult()


@pytest.fixture(scope="module")
def spambase():
    return tables.spambase()


@pytest.mark.parametrize("name", ["adult", "spambase", "satellite"])
def test_the_catalogue_knows_the_sizes(name):
    folder, dataset = store.fetch(name), store.find(name)
    assert [(folder / member.file).stat().st_size for member in dataset.members] == [m.bytes for m in dataset.members]
    assert dataset.title and dataset.owner and dataset.licence and dataset.citation and dataset.unclear


def test_adult(adult):
    assert [len(part) for part in of(adult)] == [26_007, 6_502, 16_281]
    assert adult.test.classes == ["at most $50,000", "more than $50,000"]
    assert adult.test.labels.bincount().tolist() == [12_435, 3_846]  # as in adult.names
    assert abs(adult.train.labels.double().mean() - adult.validation.labels.double().mean()) < 1e-3
    numeric = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    assert adult.train.columns == numeric and not adult.train.numbers.isnan().any()
    assert [len(levels) for levels in adult.train.levels.values()] == [8, 16, 7, 14, 6, 5, 2, 41]
    first = adult.test.choose([0])
    assert first.numbers.tolist() == [[25, 226_802, 7, 0, 0, 40]] and first.labels.tolist() == [0]
    words = [levels[code] for levels, code in zip(first.levels.values(), first.categories[0].tolist(), strict=True)]
    assert " ".join(words) == "Private 11th Never-married Machine-op-inspct Own-child Black Male United-States"
    gaps = (adult.test.categories == -1).sum(0)
    assert dict(zip(adult.test.levels, gaps.tolist(), strict=True)) == {
        **dict.fromkeys(adult.test.levels, 0),
        **{"workclass": 963, "occupation": 966, "native-country": 274},
    }


def test_no_row_of_adult_is_in_two_parts(adult):
    rows = [_features_of(part) for part in of(adult)]
    assert len(set(rows[0] + rows[1])) == len(rows[0] + rows[1])  # the test part is left as it is
    assert not (set(rows[0]) | set(rows[1])) & set(rows[2])


def test_what_adult_leaves_out(adult):
    whole = read_table(store.folder_of("adult") / "adult.data", ADULT, INCOMES)
    assert len(whole) == 32_561 and (whole.categories == -1).any(1).sum() == 2_399  # as in adult.names
    rows = _features_of(whole)
    assert len(whole) - len(set(zip(rows, whole.labels.tolist(), strict=True))) == 24
    assert len(whole) - len(drop_conflicting_rows(whole)) == 24 + 2
    assert len(adult.train) + len(adult.validation) == 32_561 - 24 - 2 - 26


def test_spambase(spambase):
    assert [len(part) for part in of(spambase)] == [2_520, 840, 840]
    assert [part.labels.sum().item() for part in of(spambase)] == [1_005, 335, 335]
    rows = sum((_features_of(part) for part in of(spambase)), [])
    assert len(set(rows)) == 4_200
    assert spambase.test.columns == list(SPAMBASE) and len(SPAMBASE) == 57 and spambase.test.levels == {}
    largest = torch.cat([part.numbers for part in of(spambase)]).max(0).values
    tops = dict(zip(SPAMBASE, largest.tolist(), strict=True))  # as KEEL and UCI state them
    assert (tops["3d"], tops["george"], tops["$"], tops["capitals in all"]) == (42.81, 33.33, 6.003, 15_841)
    spam = spambase.train.labels == 1
    george = spambase.train.numbers[:, spambase.train.columns.index("george")] > 0
    assert george[~spam].double().mean() > 0.2 and george[spam].double().mean() < 0.01


def test_what_spambase_leaves_out():
    whole = read_table(store.folder_of("spambase") / "spambase.dat", SPAMBASE, MAIL)
    rows = _features_of(whole)
    assert len(whole) == 4_597
    assert len(whole) - len(set(zip(rows, whole.labels.tolist(), strict=True))) == 391
    random = stratify(whole.labels.tolist(), 0.2)
    known = {rows[row] for row in random.train}
    assert sum(rows[row] in known for row in random.test) / len(random.test) == pytest.approx(1 / 11, abs=0.01)


def test_another_seed_gives_another_split(spambase):
    again, other = tables.spambase(), tables.spambase(seed=1)
    assert torch.equal(again.test.numbers, spambase.test.numbers)
    assert not torch.equal(other.test.numbers, spambase.test.numbers)
    assert len(tables.adult(test_fraction=0.1, seed=1).validation) == 3_251


# --- the picture in a table -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def windows():
    return read_table(store.fetch("satellite") / "satimage.dat", SATELLITE, SOILS)


def test_the_picture(windows):
    places = places_of(windows.numbers)
    assert len(windows) == 6_435 and (places >= 0).all(1).sum() == 6_434
    assert (places.min(0).values.tolist(), places.max(0).values.tolist()) == ([-1, -1], [79, 97])
    seen = {}
    for (row, column), window in zip(places.tolist(), windows.numbers.reshape(-1, 9, 4).tolist(), strict=True):
        for n, pixel in enumerate(window if row >= 0 else []):
            assert seen.setdefault((row + n // 3, column + n % 3), pixel) == pixel  # all windows agree
    assert len({tuple(place) for place in places.tolist()}) == 6_435
    assert len(PIXELS) == 9 and Counter(windows.labels.tolist()).keys() == set(range(6))


def test_a_random_split_of_the_picture_leaks(windows):
    places = places_of(windows.numbers)
    parts = split_table(windows, 0.2)
    assert sum(map(len, of(parts))) == 6_435  # no row is there twice
    place = dict(zip(_features_of(windows), map(tuple, places.tolist()), strict=True))
    train = {place[row] for row in _features_of(parts.train)}
    near = [
        any((row + a, column + b) in train for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        for row, column in (place[row] for row in _features_of(parts.test))
    ]
    assert np.mean(near) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_no_pixel_is_in_two_parts(windows, seed):
    place = dict(zip(_features_of(windows), places_of(windows.numbers).tolist(), strict=True))
    parts = satellite(seed=seed)
    pixels = [
        {(row + a, column + b) for row, column in map(place.get, rows) for a in range(3) for b in range(3)}
        for rows in map(_features_of, of(parts))
    ]
    assert not (pixels[0] & pixels[1] or pixels[0] & pixels[2] or pixels[1] & pixels[2])
    for part, (low, high) in zip(of(parts), ((2_900, 3_400), (1_000, 1_400), (1_100, 1_500)), strict=True):
        assert low < len(part) < high and (part.labels.bincount() > 0).tolist() == [True] * 6


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40), st.randoms())
def test_overlap(found, random):
    places = torch.tensor(sorted(found))
    held = torch.tensor([random.random() < 0.3 for _ in found])
    expected = [any((place - other).abs().max() <= 2 for other in places[held]) for place in places]
    assert overlapping(places, held).tolist() == expected


def test_windows_that_hang_together_with_nothing():
    picture = torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    windows = [picture[row : row + 3, column : column + 3].reshape(-1) for row in range(2) for column in range(3)]
    order = [4, 0, 5, 2, 1, 3]
    lone = torch.zeros(36).double()
    found = places_of(torch.stack([*(windows[n] for n in order), lone]))
    assert found.tolist() == [*([n // 3, n % 3] for n in order), [-1, -1]]


# --- what is kept -----------------------------------------------------------------------------------------------------


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


# --- the encoder ------------------------------------------------------------------------------------------------------

NUMBER = st.one_of(st.none(), st.integers(-9, 9).map(lambda n: n / 4))


ROW = st.tuples(NUMBER, NUMBER, st.integers(-1, 2), st.integers(-1, 2))


@given(st.integers(-3, 3), st.lists(ROW, min_size=1, max_size=9), st.lists(ROW, min_size=1, max_size=9))
@settings(max_examples=30)
def test_the_encoder_is_scikit_learns(known, first, second):
    columns = [list(zip(*rows, strict=True)) for rows in ([(known, 1, 0, -1), *first], second)]
    made = [table(found[:2], found[2:]) for found in columns]
    train = made[0]
    rows = [np.concatenate([part.numbers, part.categories], 1) for part in made]
    levels = [[code for code in sorted(set(column.tolist())) if code >= 0] for column in train.categories.T]
    reference = ColumnTransformer(
        [
            ("numbers", make_pipeline(StandardScaler(), SimpleImputer(strategy="mean")), [0, 1]),
            ("gaps", MissingIndicator(features="missing-only", error_on_new=False), [0, 1]),
            *(
                (f"c{n}", OneHotEncoder(categories=[found], handle_unknown="ignore", sparse_output=False), [2 + n])
                for n, found in enumerate(levels)
                if found
            ),
        ]
    ).fit(rows[0])
    encoder = TableEncoder.fit(train)
    for part, row in zip(made, rows, strict=True):
        encoded = encoder.transform(part)
        assert encoded.dtype == torch.float32 and encoded.shape == (len(part), len(encoder.names))
        np.testing.assert_allclose(encoded, reference.transform(row), atol=1e-6)


def test_names_and_unknown_levels():
    encoder = TableEncoder.fit(table([[0, 2, None, 4]], [[1, 1, -1, 0]]))
    assert encoder.names == ["x0", "x0 is missing", "c0 = a", "c0 = b"]
    encoded = encoder.transform(table([[2, None, 4]], [[2, 1, -1]]))
    edge = 2 / (8 / 3) ** 0.5
    torch.testing.assert_close(encoded, torch.tensor([[0, 0, 0, 0], [0, 1, 0, 1], [edge, 0, 0, 0.0]]))
    assert TableEncoder.fit(table([[7.1, 7.1]])).transform(table([[7.1, 9]])).tolist() == [
        [0],
        [pytest.approx(1.9)],
    ]  # a constant
    assert TableEncoder.fit(table((), [[0, 1]])).transform(table((), [[1, 1]])).tolist() == [[0, 1], [0, 1]]


def test_the_encoder_learns_from_training_alone(adult):
    encoder = TableEncoder.fit(adult.train)
    encoded = encoder.transform(adult.train)
    assert encoded.shape == (26_007, 105) and len(encoder.names) == 105 and not encoded.isnan().any()
    assert encoded[:, :6].mean(0).abs().max() < 1e-4 and (encoded[:, :6].std(0) - 1).abs().max() < 1e-3
    assert set(encoded[:, 6:].unique().tolist()) == {0, 1}
    assert encoder.transform(adult.test).shape == (16_281, 105)
    again = TableEncoder.fit(adult.train).transform(adult.test.choose([5, 3]))
    assert torch.equal(again, encoder.transform(adult.test)[[5, 3]])


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: table([[1, 2]], labels=[0]), r"must have a row for each label and a column for each name: \[\(2, 1\)"),
        (lambda: table([[1, 2]], labels=[0, 2]), "labels must be at least 0 and less than 2: got 2"),
        (lambda: table([[1, 2]], labels=[0, -1]), "labels must be at least 0 and less than 2: got -1"),
        (lambda: table((), [[0, 3]]), "c0 must be at least -1 and less than 3: got 3"),
        (lambda: table((), [[0, -2]]), "c0 must be at least -1 and less than 3: got -2"),
        (lambda: TableEncoder.fit(table([[1], [None]])), "each column of numbers must hold at least one: got none in x1"),
        (
            lambda: TableEncoder.fit(table([[1]], [[0]])).transform(table([[1]])),
            "table must have the columns and levels of the one that was fitted: got x0$",
        ),
        (lambda: TableEncoder.fit(table((), [[0]])).transform(table((), [[0]], levels="ab")), "got c0$"),
        (lambda: tables.spambase(test_fraction=0.4), "share must be above 0 and at most a third: got 0.4"),
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
