"""What the chapter on transfer prints: the probe's loss, rates by layer, running means, LoRA and prototypes."""

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.cnn import BatchNorm2d
from dlbook.practice import transfer
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


def labelled(classes=3):
    """Return features of 12 examples, and labels of which none is missing."""
    return random(12, 4), torch.randperm(12) % classes


@executed("5.3.1a", of="dlbook.practice.transfer.linear_probe")
def test_the_loss_of_a_probe(formula):
    features, y = labelled()
    ranges = {"n": 12, "j": 4, "k": 3}
    for strength in (0.5, 2.0):
        probe = transfer.linear_probe(features, y, strength)

        def loss(weight, bias, strength=strength):
            names = {"w": weight.detach(), "b": bias.detach(), "phi": features, "y": y + 1, "lambda": strength}
            return formula(names, ranges)

        found = loss(probe.weight, probe.bias)
        assert_close(tensor(found["z"]), probe(features).detach())
        whole = F.cross_entropy(probe(features), y, reduction="sum") + strength / 2 * probe.weight.square().sum()
        assert_close(tensor(found["J"]), whole.detach())
        for _ in range(5):  # it is the minimum
            there = loss(probe.weight + 0.1 * random(3, 4), probe.bias + 0.1 * random(3))
            assert float(there["J"]) > float(found["J"])


@executed("5.3.1b", of="dlbook.practice.transfer.discriminative_groups")
def test_rates_by_layer(formula):
    layers = [torch.nn.Linear(2, 2) for _ in range(4)]
    for decay in (1.7, 2.6):
        groups = transfer.discriminative_groups(layers, lr=0.3, decay=decay)
        found = formula({"eta": 0.3, "xi": decay, "L": 4}, {"l": 4})
        assert_close(tensor(found["eta"]), tensor([group["lr"] for group in groups]))


@executed("5.3.1c", of="dlbook.cnn.BatchNorm2d")
def test_a_running_mean(formula):
    for alpha, updates in ((0.1, 3), (0.3, 5)):
        norm, x = BatchNorm2d(1, momentum=alpha).double(), random(4, 1, 3, 3) + 2
        norm.running_mean.fill_(5.0)
        for _ in range(updates):
            norm(x)
        found = formula({"m": x.mean(), "alpha": alpha, "mu_0": 5.0, "t": float(updates)})
        assert_close(tensor(found["mu_t"]), norm.running_mean[0])


@executed("5.3.1d", of="dlbook.practice.transfer.LoRA")
def test_lora_as_printed(formula):
    layer = torch.nn.Linear(4, 3).double()
    adapted, x = transfer.LoRA(layer, rank=2, alpha=6.0).double(), random(4)
    with torch.no_grad():
        adapted.b.copy_(random(3, 2))
        names = {"W": layer.weight, "b": layer.bias, "A": adapted.a, "B": adapted.b, "x": x, "alpha": 6.0, "r": 2.0}
        found = formula(names, {"i": 3, "j": 4, "q": 2})
        assert_close(tensor(found["y"]), adapted(x))


@executed("5.3.1e", of="dlbook.practice.transfer.prototypes")
def test_prototypes_as_printed(formula):
    features, y = labelled()
    found = formula({"phi": features, "y": y + 1}, {"n": 12, "j": 4, "k": 3})
    assert_close(tensor(found["c"]), transfer.prototypes(features, y))


@executed("5.3.1f", of="dlbook.practice.transfer.prototype_logits")
def test_prototype_logits_as_printed(formula):
    x, centres = random(4), random(3, 4)
    found = formula({"phi": x, "c": centres}, {"j": 4, "k": 3})
    assert_close(tensor(found["z"]), transfer.prototype_logits(x[None], centres)[0])
