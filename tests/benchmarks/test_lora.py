"""Committed results on LoRA: still what a short run gives, and fair to each method."""

from functools import cache

import pytest
import torch

from benchmarks import lora, store
from dlbook.transformer import SentenceEncoder


def test_a_short_row_again(unchecked, monkeypatch):
    """The attention's annotations ask for linear layers, and LoRA is none. Files are read once, to save time."""
    monkeypatch.setattr(lora, "movie_reviews", cache(lora.movie_reviews))
    monkeypatch.setattr(lora.pretrained, "load_minilm", cache(lora.pretrained.load_minilm))
    assert lora.short() == pytest.approx(store.load("lora")["short"], abs=0.04)  # of 60 sentences


def test_what_is_packed_comes_back():
    found = torch.rand(853, generator=torch.Generator().manual_seed(0)) < 0.7
    assert torch.equal(lora.unpack(lora.pack(found), 853), found)


def test_the_stored_accuracies_are_those_of_what_is_packed():
    rows, examples = store.load("lora"), len(lora.sentences("test"))
    for method in lora.METHODS:
        for seed in range(lora.DRAWS):
            row = rows[f"{method} {seed}"]
            assert lora.accuracy(lora.unpack(row["right"], examples)) == row["accuracy"], (method, seed)


def test_both_kinds_had_as_many_rates_and_the_best_lies_inside():
    rows = store.load("lora")
    epochs = rows["chosen"]["epochs"]
    assert {len(rates) for rates in lora.RATES[epochs].values()} == {4}
    for method, rates in lora.RATES[epochs].items():
        values = [rows[f"tune {method} {lr:g} {epochs} epochs"] for lr in rates]
        assert 0 < values.index(max(values)) < len(values) - 1, method
        assert all(2.9 < later / earlier < 3.4 for earlier, later in zip(rates, rates[1:], strict=False))


def test_the_other_grids_have_no_best_value_at_an_end():
    rows = store.load("lora")
    for name in ("tune probe", "tune TF-IDF"):
        values = list(rows[name].values())
        assert 0 < values.index(max(values)) < len(values) - 1, name


def test_more_epochs_must_be_clearly_better():
    def rows(more):
        few = {"tune full 1 3 epochs": 0.7, "tune LoRA 1 3 epochs": 0.7, "tune LoRA 2 3 epochs": 0.6}
        return few | {"tune full 1 10 epochs": 0.7, "tune LoRA 1 10 epochs": 0.65, "tune LoRA 2 10 epochs": more}

    assert lora.chosen(rows(0.708)) == {"epochs": 3, "validation": 0.7, "full": 1, "LoRA": 1}
    assert lora.chosen(rows(0.712)) == {"epochs": 10, "validation": 0.706, "full": 1, "LoRA": 2}


def test_batches_hold_each_sentence_once_an_epoch_and_are_the_same_again():
    lengths = torch.arange(40) % 7
    first, again = (list(lora.batches(lengths, 2, seed=3)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len(first) == 8 and {len(rows) for rows in first} == {lora.BATCH}
    for epoch in (first[:4], first[4:]):
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(40))


def test_how_many_weights_each_method_trains():
    model = SentenceEncoder(30, 24, 2, 2, 16, 0)
    of_all = sum(weight.numel() for weight in model.parameters())

    def count(method):
        return sum(weight.numel() for weight in lora.adapt_(SentenceEncoder(30, 24, 2, 2, 16, 0), method))

    assert count("head") == 0 and count("full") == of_all
    assert count("LoRA") == 2 * 2 * lora.RANK * (24 + 24)
    assert count("LoRA, all layers") == 2 * lora.RANK * (4 * (24 + 24) + 2 * (24 + 96))
    found = store.load("lora")["trained"]
    assert found["probe"] == found["head"] == 2 * (384 + 1) and found["full"] == 22_564_608 + found["head"]
    assert found["LoRA"] == 6 * 2 * lora.RANK * 2 * 384 + found["head"]
