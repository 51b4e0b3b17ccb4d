"""Committed results on label noise: what the chapter copies, complete, and still what a short run gives."""

import ast

import pytest
import torch

from authoring.book import ROOT, read
from benchmarks import label_issues, label_noise, store
from dlbook.metrics.paired import difference_over_seeds


def test_short_rows_again():
    assert label_noise.short() == pytest.approx(store.load("label_noise")["short"], abs=0.03)
    assert label_issues.short() == pytest.approx(store.load("label_issues")["short"], abs=0.03)


def test_every_row_is_there():
    stored = store.load("label_noise")
    for kind, rate, loss in label_noise.ROWS:
        for stopping in ("last", "early"):
            row = stored[f"{kind} {rate} {loss}"][stopping]
            best = max(range(len(row["validation"])), key=row["validation"].__getitem__)
            assert row["validation"][best] == max(row["validation"])
            assert (row["lr"], row["decay"]) in label_noise.GRID and row["value"] in label_noise.LOSSES[loss]
            assert len(row["test"]["values"]) == len(label_noise.FRESH)
    issues = store.load("label_issues")
    for kind, rate in label_issues.NOISE:
        assert all(len(values) == len(label_issues.SEEDS) for values in issues[f"{kind} {rate}"].values())


def test_settings_that_the_chapter_compares_are_not_at_an_edge():
    """Weight decay may be zero: there is nothing below."""
    stored = store.load("label_noise")
    rates, decays = ({setting[n] for setting in label_noise.GRID} for n in (0, 1))
    for kind, rate in label_noise.NOISE:
        for loss in ("cross-entropy", "generalized", "smoothing"):
            row = stored[f"{kind} {rate} {loss}"]["early"]
            assert min(rates) < row["lr"] < max(rates) and row["decay"] < max(decays)


def test_the_chapter_copies_what_is_stored():
    cells = [cell.source for cell in read(ROOT / "book/challenges/poor-data.ipynb").cells]
    source = next(source for source in cells if "CHOSEN = {" in source)
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("CHOSEN", "STORED")
    }
    assert found["CHOSEN"].keys() == found["STORED"].keys() == {"cross-entropy", "generalized", "smoothing"}
    for name, chosen in found["CHOSEN"].items():
        row = store.load("label_noise")[f"uniform 0.4 {name}"]["early"]
        assert chosen == (row["value"], row["lr"], row["decay"])
        assert found["STORED"][name] == row["test"]["values"]


def test_removing_the_flagged_helped_nowhere_and_harmed_under_uniform_noise():
    """The chapter says so: no interval lies above zero, and these lie below."""
    stored = store.load("label_issues")
    harmed = set()
    for kind, rate in label_issues.NOISE:
        row = stored[f"{kind} {rate}"]
        found, nothing = (torch.tensor(row[f"accuracy {name}"]) for name in ("found", "nothing"))
        change = difference_over_seeds(found, nothing)
        assert not change.above(0)
        if change.below(0):
            harmed.add((kind, rate))
    assert len(label_issues.NOISE) == 10
    assert harmed == {("uniform", 0.0), ("uniform", 0.1), ("uniform", 0.4)}
