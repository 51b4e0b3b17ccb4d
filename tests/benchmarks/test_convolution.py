"""Committed results on weight sharing and locality: still what a short run gives, and what the chapter shows."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks import convolution, store
from tests.helpers.chapters import measured

STORED = store.load("convolution")
COMPARED = [world for world in convolution.WORLDS if world in STORED]


def test_the_chapter_draws_what_is_stored():
    found = measured("book/algorithms/convolution", "convolution")
    assert found["heads"] == convolution.HEADS
    for world, networks in found["accuracies"].items():
        for name, values in networks.items():
            assert values == STORED[world][name.replace(",", "")]["test"]
    for name, interval in found["effects"].items():
        world, pair = name.split(", ")
        assert list(interval) == STORED[world]["paired"][pair]


@pytest.mark.parametrize("world", COMPARED)
def test_no_best_learning_rate_is_at_an_edge(world):
    for name in [*convolution.FOUR, "dense"]:
        table = STORED[world][name]["validation"]
        assert convolution.best(table) not in (float(next(iter(table))), float(list(table)[-1]))


def test_networks_have_the_stored_parameters_and_begin_alike():
    for world in COMPARED:
        for name in [*convolution.FOUR, "dense"]:
            count = sum(parameter.numel() for parameter in convolution.MAKES[name]().parameters())
            assert count == STORED[world][name]["parameters"]
    torch.manual_seed(0)
    shared, local = convolution.shared(16, 32, 12), convolution.local(16, 32, 12)
    assert shared.weight.std().item() == pytest.approx(local.weight.std().item(), rel=0.05)
    assert not shared.bias.any() and not local.bias.any()


def test_a_network_without_strides_has_the_field_and_the_parameters_of_one_with_strides():
    with_strides, without = convolution.MAKES["shared pooled"](), convolution.MAKES["without strides"]()
    without.load_state_dict(with_strides.state_dict())
    x = torch.zeros(1, 1, 24, 24, requires_grad=True)
    for network in (with_strides, without):
        y = (x + torch.rand(24, 24)).clone()
        for layer in network[:6:2]:
            torch.nn.init.ones_(layer.weight)
            y = layer(y)
        (seen,) = torch.autograd.grad(y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x)
        assert int(seen[0, 0].any(0).sum()) == 15


def test_worlds_differ_in_one_thing():
    worlds = convolution.worlds()
    for part in ("train", "validation", "test"):
        centred, shifted, shuffled = (worlds[world][part] for world in convolution.WORLDS)
        assert torch.equal(centred[1], shifted[1]) and torch.equal(shifted[1], shuffled[1])
        assert_close(centred[0].sum((1, 2, 3)), shifted[0].sum((1, 2, 3)))
        assert_close(shifted[0].flatten(1).sort().values, shuffled[0].flatten(1).sort().values)


def test_a_short_run_gives_what_is_stored():
    parts = convolution.worlds()["centred"]
    rate = convolution.best(STORED["centred"]["shared flattened"]["validation"])
    model = convolution.train(convolution.MAKES["shared flattened"], parts["train"], rate, convolution.SEEDS[0])
    found = convolution.accuracy(convolution.right(model, parts["test"]))
    assert found == pytest.approx(STORED["centred"]["shared flattened"]["test"][0], abs=0.015)
