"""Credit scores by group, and German credit: the numbers that others published, and what the loaders refuse."""

import pytest
import torch
from torch.testing import assert_close

from dlbook.data import store
from dlbook.data.credit import _read_german_credit, _read_percentages, fico, german_credit


def test_the_scores():
    data = fico()
    assert data.groups == ["white", "Black", "Hispanic", "Asian"]
    assert data.counts.tolist() == [133_165, 18_274, 14_702, 7_906] and data.counts.sum() == 174_047
    assert data.share.shape == data.repaid.shape == (4, 198)
    assert_close(data.share.sum(1), torch.ones(4).double())
    assert (data.share > -1e-12).all() and (data.scores.diff() > 0).all()
    base_rates = (data.share * data.repaid).sum(1)  # as fairmlbook.org states them: 0.76, 0.34, 0.57, 0.80
    assert_close(base_rates, torch.tensor([0.76, 0.34, 0.57, 0.80]).double(), atol=0.008, rtol=0)


def test_german_credit():
    data = german_credit()
    assert len(data) == 1_000 and data.labels.sum() == 700
    assert len(data.columns) == 7 and len(data.levels) == 13
    assert data.levels["personal status"] == ["A91", "A92", "A93", "A94"]
    ages = data.numbers[:, data.columns.index("age")]
    assert (ages.min(), ages.max()) == (19, 75)
    amounts = data.numbers[:, data.columns.index("amount")]
    assert (amounts.min(), amounts.max()) == (250, 18_424)


def test_refused_percentages(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("Score,White\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="table.csv must have the columns Score, Non- Hispanic white"):
        _read_percentages(path, "Score")
    head = (store.folder_of("fico") / "transrisk_cdf_by_race_ssa.csv").read_text("utf-8").splitlines()[0]
    for line in ("1,2,3,4,101", "1,2,3,4", "1,2,3,4,x"):
        path.write_text(f"{head}\n{line}\n", encoding="utf-8")
        with pytest.raises(ValueError, match="must hold 5 numbers from 0 to 100 in each line: got .* in line 2"):
            _read_percentages(path, "Score")


def test_refused_loans(tmp_path):
    path = tmp_path / "german.data"
    good = (store.folder_of("german-credit") / "german.data").read_text("utf-8").splitlines()[0]
    for line in (good[:-2], good[:-1] + "3", good.replace("A11", "11")):
        path.write_text(f"{good}\n{line}\n", encoding="utf-8")
        with pytest.raises(ValueError, match="german.data must hold 20 numbers and codes, .* in line 2"):
            _read_german_credit(path)
