"""The Spambase table: what it holds, no row in two parts, what is left out."""

import pytest
import torch

from dlbook.data import store
from dlbook.data.spambase import MAIL, SPAMBASE, spambase
from dlbook.data.splits import stratify
from dlbook.data.tables import _features_of, read_table
from tests.dlbook.data.examples import of


@pytest.fixture(scope="module")
def parts():
    return spambase()


def test_the_parts(parts):
    assert [len(part) for part in of(parts)] == [2_520, 840, 840]
    assert [part.labels.sum().item() for part in of(parts)] == [1_005, 335, 335]
    rows = sum((_features_of(part) for part in of(parts)), [])
    assert len(set(rows)) == 4_200
    assert parts.test.columns == list(SPAMBASE) and len(SPAMBASE) == 57 and parts.test.levels == {}
    largest = torch.cat([part.numbers for part in of(parts)]).max(0).values
    tops = dict(zip(SPAMBASE, largest.tolist(), strict=True))  # as KEEL and UCI state them
    assert (tops["3d"], tops["george"], tops["$"], tops["capitals in all"]) == (42.81, 33.33, 6.003, 15_841)
    spam = parts.train.labels == 1
    george = parts.train.numbers[:, parts.train.columns.index("george")] > 0
    assert george[~spam].double().mean() > 0.2 and george[spam].double().mean() < 0.01


def test_what_spambase_leaves_out():
    whole = read_table(store.folder_of("spambase") / "spambase.dat", SPAMBASE, MAIL)
    rows = _features_of(whole)
    assert len(whole) == 4_597
    assert len(whole) - len(set(zip(rows, whole.labels.tolist(), strict=True))) == 391
    random = stratify(whole.labels.tolist(), 0.2)
    known = {rows[row] for row in random.train}
    assert sum(rows[row] in known for row in random.test) / len(random.test) == pytest.approx(1 / 11, abs=0.01)


def test_another_seed_gives_another_split(parts):
    again, other = spambase(), spambase(seed=1)
    assert torch.equal(again.test.numbers, parts.test.numbers)
    assert not torch.equal(other.test.numbers, parts.test.numbers)


def test_too_large_a_fraction():
    with pytest.raises(ValueError, match="test_fraction must be above 0 and at most a third: got 0.4"):
        spambase(test_fraction=0.4)
