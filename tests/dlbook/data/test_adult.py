"""The Adult table: what it holds, no test row in training, what is left out."""

import pytest

from dlbook.data import store
from dlbook.data.adult import ADULT, INCOMES, adult
from dlbook.data.tables import _features_of, drop_conflicting_rows, read_table
from tests.dlbook.data.examples import of


@pytest.fixture(scope="module")
def parts():
    return adult()


def test_the_parts(parts):
    assert [len(part) for part in of(parts)] == [26_007, 6_502, 16_281]
    assert parts.test.classes == ["at most $50,000", "more than $50,000"]
    assert parts.test.labels.bincount().tolist() == [12_435, 3_846]  # as in adult.names
    assert abs(parts.train.labels.double().mean() - parts.validation.labels.double().mean()) < 1e-3
    numeric = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    assert parts.train.columns == numeric and not parts.train.numbers.isnan().any()
    assert [len(levels) for levels in parts.train.levels.values()] == [8, 16, 7, 14, 6, 5, 2, 41]
    first = parts.test.choose([0])
    assert first.numbers.tolist() == [[25, 226_802, 7, 0, 0, 40]] and first.labels.tolist() == [0]
    words = [levels[code] for levels, code in zip(first.levels.values(), first.categories[0].tolist(), strict=True)]
    assert " ".join(words) == "Private 11th Never-married Machine-op-inspct Own-child Black Male United-States"
    gaps = (parts.test.categories == -1).sum(0)
    assert dict(zip(parts.test.levels, gaps.tolist(), strict=True)) == {
        **dict.fromkeys(parts.test.levels, 0),
        **{"workclass": 963, "occupation": 966, "native-country": 274},
    }


def test_no_row_of_adult_is_in_two_parts(parts):
    rows = [_features_of(part) for part in of(parts)]
    assert len(set(rows[0] + rows[1])) == len(rows[0] + rows[1])  # the test part is left as it is
    assert not (set(rows[0]) | set(rows[1])) & set(rows[2])


def test_what_adult_leaves_out(parts):
    whole = read_table(store.folder_of("adult") / "adult.data", ADULT, INCOMES)
    assert len(whole) == 32_561 and (whole.categories == -1).any(1).sum() == 2_399  # as in adult.names
    rows = _features_of(whole)
    assert len(whole) - len(set(zip(rows, whole.labels.tolist(), strict=True))) == 24
    assert len(whole) - len(drop_conflicting_rows(whole)) == 24 + 2
    assert len(parts.train) + len(parts.validation) == 32_561 - 24 - 2 - 26


def test_another_seed_gives_another_split(parts):
    other = adult(test_fraction=0.1, seed=1)
    assert len(other.validation) == 3_251 and len(other.test) == len(parts.test)
