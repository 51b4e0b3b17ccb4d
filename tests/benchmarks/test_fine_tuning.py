"""Committed results on fine-tuning EfficientNet: still what a short run gives, and fair to each method."""

import pytest
import torch
from torch import nn

from benchmarks import fine_tuning, imagenet, store
from dlbook.efficientnet import EfficientNetLite

CELLS = [(target, count) for target in imagenet.KINDS for count in fine_tuning.UPDATES]
CACHED = (fine_tuning.embedded, fine_tuning.labelled, fine_tuning.fitted)


@pytest.fixture
def small(monkeypatch):
    """Give the script a tiny network and a few made images, and return the networks that it asks for."""
    generator, made = torch.Generator().manual_seed(0), []
    data = {part: torch.rand(30, 8, 8, generator=generator) for part in ("pool", "validation", "test")}
    labels = {f"{part} labels": torch.arange(30) % 10 for part in data}

    def network(kind, target):
        torch.manual_seed(0)
        made.append(EfficientNetLite(stages=((1, 3, 2, 8, 1), (2, 3, 1, 8, 1))).eval())
        return made[-1]

    monkeypatch.setattr(imagenet, "network", network)
    monkeypatch.setattr(imagenet, "SIDE", 8)
    monkeypatch.setattr(imagenet, "rows", lambda target, count, seed: torch.arange(20) + seed % 7)
    monkeypatch.setattr(fine_tuning, "images", lambda target, part: data[part])
    monkeypatch.setattr(fine_tuning, "task", lambda target: labels)
    monkeypatch.setattr(fine_tuning, "TESTED", {"validation": 20, "test": 30})
    monkeypatch.setattr(fine_tuning, "UPDATES", {20: 2, 100: 2})
    monkeypatch.setattr(fine_tuning, "batches", lambda count, updates, seed: torch.arange(20).split(10)[:updates])
    for function in CACHED:
        function.cache_clear()
    yield made
    for function in CACHED:
        function.cache_clear()


def test_each_kind_of_row_with_made_images(monkeypatch, small):
    found = {}

    def run(script, rows, arguments, sum_up):
        for name, measure in rows.items():
            if name == "short" or "clothes 100" in name:
                found[name] = measure()
        found.update(sum_up(found))

    monkeypatch.setattr(fine_tuning, "STRENGTHS", [1.0, 10.0])
    monkeypatch.setattr(fine_tuning, "HEAD_RATES", [1e-4, 1e-3])
    monkeypatch.setattr(fine_tuning, "linear_probe", lambda x, labels, strength, classes: nn.Linear(1280, classes))
    monkeypatch.setattr(fine_tuning, "run", run)
    monkeypatch.setattr(fine_tuning, "fresh", lambda script: found)
    fine_tuning.main([])
    row = found["clothes 100"]
    assert set(row["chosen"]) == {"probe", "head", "full"} and len(row["differences"]) == len(fine_tuning.PAIRS)
    assert {name: len(every) for name, every in row["accuracies"].items()} == dict.fromkeys(fine_tuning.METHODS, 5)


def test_all_begin_with_the_probe(small):
    given = ("clothes", 20, 0, "test")
    probe = fine_tuning.probed(*given, 1.0)
    for method in ("head", "full"):
        assert torch.equal(fine_tuning.tuned(method, *given, 1e-9, 1.0), probe), method


def test_what_each_method_changes(small):
    fine_tuning.labelled("clothes", 20, 0), fine_tuning.embedded("clothes", "test")
    before = small[0].state_dict()
    for method, changed in (("head", set()), ("full", {"weight"}), ("statistics", {"weight", "running_mean"})):
        fine_tuning.tuned(method, "clothes", 20, 0, "test", 1e-2, 1.0)
        after = small[-1].state_dict()
        kinds = {
            name.rpartition(".")[2]
            for name, value in before.items()
            if not name.startswith("output") and not torch.equal(value, after[name])
        }
        assert kinds & {"weight", "running_mean"} == changed, method


def test_batches_hold_each_image_once_an_epoch_and_are_the_same_again():
    first, again = (fine_tuning.batches(20, 5, seed=3) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len(first) == 5 and {len(rows) for rows in first} == {fine_tuning.BATCH}
    for epoch in (first[:2], first[2:4]):
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(20))


def test_a_short_row_again(unchecked):
    assert fine_tuning.short() == pytest.approx(store.load("fine_tuning")["short"], abs=0.04)  # of 100 images


def test_the_stored_accuracies_are_those_of_what_is_packed():
    rows = store.load("fine_tuning")
    for target, count in CELLS:
        for method, accuracies in rows.get(f"{target} {count}", {"accuracies": {}})["accuracies"].items():
            for seed, accuracy in enumerate(accuracies):
                row = rows[f"{method} {target} {count} {seed}"]
                found = fine_tuning.unpack(row["right"], fine_tuning.TESTED["test"])
                assert fine_tuning.accuracy(found) == row["accuracy"] == accuracy, (method, seed)


def test_the_best_rate_of_fine_tuning_lies_inside():
    rows = store.load("fine_tuning")
    for target, count in CELLS:
        start = f"tune full {target} {count} "
        tried = {float(name.removeprefix(start)): value for name, value in rows.items() if name.startswith(start)}
        if tried:
            rates = sorted(tried)
            assert len(rates) >= 4 and rates[0] < max(tried, key=tried.get) < rates[-1], (target, count)
            assert all(2.9 < later / earlier < 3.4 for earlier, later in zip(rates, rates[1:], strict=False))


def test_the_probes_are_as_good_as_those_of_the_other_script():
    """Their penalties were chosen on half as many validation images."""
    ours, theirs = store.load("fine_tuning"), store.load("imagenet")
    for target, count in CELLS:
        if f"{target} {count}" in ours:
            found, expected = ours[f"{target} {count}"]["accuracies"]["probe"], theirs[f"{target} {count}"]["ImageNet"]
            assert sum(found) / len(found) == pytest.approx(sum(expected) / len(expected), abs=0.015)
