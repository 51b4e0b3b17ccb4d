"""COMPAS: ProPublica's rows and rates, nothing that names a person, and what the loader refuses."""

import pytest

from dlbook.data import store
from dlbook.data.compas import COMPAS, _read_compas, compas


def rates(data):
    """Return how often Black and white people without a new charge have a score from 5 up."""
    flagged = data.numbers[:, data.columns.index("decile_score")] >= 5
    race = data.categories[:, list(data.levels).index("race")]
    groups = (data.levels["race"].index(name) for name in ("African-American", "Caucasian"))
    return [flagged[(race == g) & (data.labels == 0)].double().mean().item() for g in groups]


def test_the_rows_that_propublica_kept():
    data = compas()
    assert len(data) == 6_172
    race = data.categories[:, list(data.levels).index("race")].bincount().tolist()
    assert dict(zip(data.levels["race"], race, strict=True)) == {
        "African-American": 3_175,
        "Asian": 31,
        "Caucasian": 2_103,
        "Hispanic": 509,
        "Native American": 11,
        "Other": 343,
    }
    assert data.labels.sum() == 2_809


def test_nothing_names_a_person():
    data = compas()
    assert [*data.columns, *data.levels] == list(COMPAS)
    header = (store.folder_of("compas") / "compas-scores-two-years.csv").open(encoding="utf-8").readline()
    for name in ("name", "first", "last", "dob", "c_case_number", "c_charge_desc", "compas_screening_date"):
        assert name in header and name not in COMPAS
    assert max(map(len, data.levels.values())) == 6  # no column of categories is a key


def test_the_correction_changes_no_false_positive_rate():
    corrected = compas(corrected=True)
    assert len(corrected) == 5_304
    assert rates(corrected) == pytest.approx(rates(compas()))


def test_refused_files(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("age,sex\n1,Male\n", encoding="utf-8")
    with pytest.raises(ValueError, match="table.csv must have the columns age, .*: got none named juv_fel_count"):
        _read_compas(path, "9999")
    lines = (store.folder_of("compas") / "compas-scores-two-years.csv").read_text("utf-8").splitlines()
    path.write_text("\n".join([lines[0], "1,2"]), encoding="utf-8")
    with pytest.raises(ValueError, match="must have 53 fields in each line: got 2 in line 2"):
        _read_compas(path, "9999")
