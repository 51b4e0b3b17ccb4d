"""Committed results on transfer: still what a short run gives, and what the chapter draws."""

import pytest
import torch

from benchmarks import imagenet, store, transfer
from tests.helpers.chapters import measured

NAMES = {
    "pixels": "SVM on pixels",
    "anew": "trained anew",
    "probe": "probe, other task",
    "fine-tuned": "fine-tuned, other task",
}


def mean(values):
    """Return a mean, rounded as the chapter shows it."""
    return round(sum(values) / len(values), 3)


def in_the_chapter():
    """Return mean accuracies by target and number of labels, and by number of frozen layers."""
    small, large = store.load("transfer"), store.load("imagenet")
    accuracies: dict = {}
    for target in ("clothes", "digits"):
        accuracies[target] = {}
        for count in transfer.UPDATES:
            row, features = small[f"{target} {count}"], large.get(f"{target} {count}", {})
            table = {said: mean(row[name]) for name, said in NAMES.items()}
            table |= {f"probe, {kind}": mean(features[kind]) for kind in ("ImageNet", "random") if kind in features}
            accuracies[target][count] = table
    layers = {}
    for target, title in (("digits", "digits, from clothes"), ("clothes", "clothes, from digits")):
        row, ends = small[f"layers {target}"], small[f"{target} 100"]
        curves = {
            kind: [mean(ends["anew"]), *(mean(row[f"{kind} {k}"]) for k in transfer.DEPTHS), mean(ends[last])]
            for kind, last in (("copied", "probe"), ("random", "random"))
        }
        layers[title] = curves | {"fine-tuned": mean(ends["fine-tuned"])}
    return accuracies, layers


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/transfer", "transfer")
    assert (found["accuracies"], found["layers"]) == in_the_chapter()


def test_short_rows_again():
    assert transfer.short() == pytest.approx(store.load("transfer")["short"], abs=0.03)
    assert imagenet.short() == pytest.approx(store.load("imagenet")["short"], abs=0.02)


def test_every_method_had_as_many_draws():
    for name, row in store.load("transfer").items():
        if "differences" in row:
            assert {len(v) for k, v in row.items() if k != "differences"} == {transfer.DRAWS}, name


def test_no_best_value_is_at_the_end_of_a_grid_unless_another_is_as_good():
    """The next best is then within a point and a half."""
    for script in ("transfer", "imagenet"):
        for name, row in store.load(script).items():
            if name.startswith("tune") and "layers" not in name:
                for method, by_value in row.items():
                    values = list(by_value.values())
                    ends = {values.index(max(values))} & {0, len(values) - 1}
                    assert not ends or sorted(values)[-2] > max(values) - 0.015, (name, method)


def test_frozen_layers_stay_and_the_others_learn():
    torch.manual_seed(0)
    model = transfer.Network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    labels = torch.arange(20) % 10
    transfer.train(torch.nn.Sequential(*model.body[2:], model.head), torch.randn(20, 16, 3, 3), labels, 1e-2, 3, 0)
    after = model.state_dict()
    for name, value in before.items():
        moved = not torch.equal(value, after[name])
        assert moved == (not name.startswith(("body.0", "body.1"))), name
