"""The encoder of tables: as in scikit-learn, and by the training set alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dlbook.data.adult import adult
from dlbook.data.encoder import TableEncoder, feature_names
from tests.dlbook.data.examples import table
from tests.helpers.references import reference

NUMBER = st.one_of(st.none(), st.integers(-9, 9).map(lambda n: n / 4))


ROW = st.tuples(NUMBER, NUMBER, st.integers(-1, 2), st.integers(-1, 2))


@reference(
    "dlbook.data.encoder.TableEncoder", "dlbook.data.encoder.feature_names", to="sklearn.compose.ColumnTransformer"
)
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
        assert encoded.dtype == torch.float32 and encoded.shape == (len(part), len(feature_names(encoder)))
        np.testing.assert_allclose(encoded, reference.transform(row), atol=1e-6)


def test_names_and_unknown_levels():
    encoder = TableEncoder.fit(table([[0, 2, None, 4]], [[1, 1, -1, 0]]))
    assert feature_names(encoder) == ["x0", "x0 is missing", "c0 = a", "c0 = b"]
    encoded = encoder.transform(table([[2, None, 4]], [[2, 1, -1]]))
    edge = 2 / (8 / 3) ** 0.5
    torch.testing.assert_close(encoded, torch.tensor([[0, 0, 0, 0], [0, 1, 0, 1], [edge, 0, 0, 0.0]]))
    assert TableEncoder.fit(table([[7.1, 7.1]])).transform(table([[7.1, 9]])).tolist() == [
        [0],
        [pytest.approx(1.9)],
    ]  # a constant
    assert TableEncoder.fit(table((), [[0, 1]])).transform(table((), [[1, 1]])).tolist() == [[0, 1], [0, 1]]


def test_the_encoder_learns_from_training_alone():
    parts = adult()
    encoder = TableEncoder.fit(parts.train)
    encoded = encoder.transform(parts.train)
    assert encoded.shape == (26_007, 105) and len(feature_names(encoder)) == 105 and not encoded.isnan().any()
    assert encoded[:, :6].mean(0).abs().max() < 1e-4 and (encoded[:, :6].std(0) - 1).abs().max() < 1e-3
    assert set(encoded[:, 6:].unique().tolist()) == {0, 1}
    assert encoder.transform(parts.test).shape == (16_281, 105)
    again = TableEncoder.fit(parts.train).transform(parts.test.choose([5, 3]))
    assert torch.equal(again, encoder.transform(parts.test)[[5, 3]])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: TableEncoder.fit(table([[1], [None]])),
            "each column of numbers must hold at least one: got none in x1",
        ),
        (
            lambda: TableEncoder.fit(table([[1]], [[0]])).transform(table([[1]])),
            "table must have the columns and levels of the one that was fitted, in their order: got x0$",
        ),
        (lambda: TableEncoder.fit(table((), [[0]])).transform(table((), [[0]], levels="ab")), "got c0$"),
    ],
)
def test_errors(unchecked, call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_categories_in_another_order_are_refused():
    encoder = TableEncoder.fit(table((), [[0, 1], [2, 0]]))
    other = table((), [[0, 1], [2, 0]])
    other.levels["c0"] = other.levels.pop("c0")  # now after c1
    with pytest.raises(ValueError, match="in their order: got c1, c0$"):
        encoder.transform(other)


def test_statistics_of_another_table_are_refused(unchecked):
    encoder = TableEncoder.fit(table([[1, 2], [3, 5]]))
    short = TableEncoder(encoder.columns, {}, encoder.mean[:1], encoder.std, [], [])  # it would be broadcast
    with pytest.raises(ValueError, match=r"mean must have the shape \(2,\): got \(1,\)"):
        short.transform(table([[1, 2], [3, 5]]))
