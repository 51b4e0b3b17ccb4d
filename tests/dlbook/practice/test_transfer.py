"""Transfer: heads equal to scikit-learn and transformers, low rank by hand, and what frozen means."""

import math
import statistics

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers.models.clip import modeling_clip

from dlbook.practice import transfer
from dlbook.practice.transfer import Frozen, LoRA
from tests.helpers.references import assert_same, random, reference

LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 2, 1])


def network():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 3))


# --- what stays -------------------------------------------------------------------------------------------------------


def test_frozen_is_frozen_through_training():
    inside, x = network(), torch.randn(8, 4)
    model = nn.Sequential(Frozen(inside), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in inside.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    assert sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == 8
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), LABELS % 2).backward()
        optimizer.step()
    assert model.training and not inside.training
    for name, tensor in inside.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not model[0](x.requires_grad_()).requires_grad


def test_a_plain_switch_is_not_enough():
    """The fault that Frozen is there for: running averages move, though no weight has a gradient."""
    model, before = network().requires_grad_(False).train(), torch.zeros(6)
    model(torch.randn(8, 4) + 3)
    assert not torch.equal(model[1].running_mean, before)


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["output", "deep.last"])
def test_a_new_head(name):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Linear(5, 3)
            self.deep = nn.ModuleDict({"last": nn.Linear(5, 3, bias=False)})

    model = Model().double()
    other = {n: p.clone() for n, p in model.named_parameters() if not n.startswith(name)}
    head = transfer.replace_head_(model, name, 7)
    assert model.get_submodule(name) is head and head.weight.shape == (7, 5) and head.weight.dtype == torch.float64
    assert torch.equal(head(random(2, 5)), torch.zeros(2, 7).double()) and head.weight.requires_grad
    for n, p in other.items():
        assert torch.equal(p, dict(model.named_parameters())[n])


def test_rates_fall_towards_the_input():
    model = network()
    model[0].weight.requires_grad_(False)
    groups = transfer.discriminative_groups([model[0], model[1], model[3], model[4]], lr=0.26)
    assert [group["lr"] for group in groups] == pytest.approx([0.26 / 2.6**3, 0.1 / 2.6, 0.26])
    assert [sum(p.numel() for p in group["params"]) for group in groups] == [6, 12, 21]
    assert torch.optim.SGD(groups, lr=1.0).param_groups[1]["lr"] == pytest.approx(0.1 / 2.6)
    alike = transfer.discriminative_groups(list(network()), 0.1, decay=1.0)
    assert {group["lr"] for group in alike} == {0.1}


@reference("dlbook.practice.transfer.linear_probe", to="sklearn.linear_model.LogisticRegression")
@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_linear_probe_as_in_scikit_learn(strength):
    x, y = random(60, 5) * torch.tensor([1, 5, 0.2, 1, 1]).double(), torch.randint(3, (60,))
    y[:20] = (x[:20, 0] > 0).long()
    ours = transfer.linear_probe(x, y, strength)
    theirs = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000).fit(x.numpy(), y.numpy())
    assert_close(ours.weight.detach().numpy(), theirs.coef_, atol=1e-6, rtol=1e-6)
    assert_close(ours(x).softmax(1).detach().numpy(), theirs.predict_proba(x.numpy()), atol=1e-6, rtol=1e-6)
    assert ours.bias.sum().item() == pytest.approx(0, abs=1e-12)


def test_a_probe_of_two_classes_and_of_one_that_has_no_example():
    x, y = random(40, 3), torch.randint(2, (40,))
    two = transfer.linear_probe(x, y)
    binary = LogisticRegression(C=2, tol=1e-10).fit(x.numpy(), y.numpy())  # one vector, of twice the length
    assert_close((two.weight[1] - two.weight[0]).detach().numpy(), binary.coef_[0], atol=1e-5, rtol=1e-5)
    three = transfer.linear_probe(x, y, classes=3)
    assert three.weight.shape == (3, 3) and three(x).argmax(1).max() < 2
    assert transfer.linear_probe(x.float(), y.to(torch.int32)).weight.dtype == torch.float32
    with torch.no_grad():  # as in an evaluation
        assert_close(transfer.linear_probe(x, y).weight, two.weight)


@reference("dlbook.practice.transfer.prototypes", to="sklearn.neighbors.NearestCentroid")
@reference("dlbook.practice.transfer.prototype_logits", to="sklearn.neighbors.NearestCentroid")
def test_prototypes_as_in_scikit_learn():
    x, queries = random(8, 4), random(50, 4)
    theirs = NearestCentroid().fit(x.numpy(), LABELS.numpy())
    centres = transfer.prototypes(x, LABELS)
    assert_close(centres.numpy(), theirs.centroids_)
    logits = transfer.prototype_logits(queries, centres)
    assert np.array_equal(logits.argmax(1).numpy(), theirs.predict(queries.numpy()))
    assert_close(logits, -torch.cdist(queries, centres).square())


# --- low rank ---------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.transfer.LoRA", to="torch.nn.functional.linear")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("alpha", [None, 3.0])
def test_low_rank_by_hand(bias, alpha):
    layer = nn.Linear(5, 4, bias=bias).double()
    changed = LoRA(layer, 2, alpha)
    x = random(3, 5)
    assert torch.equal(changed(x), layer(x))  # nothing has changed yet
    nn.init.normal_(changed.b)
    scale = 2.0 if alpha is None else alpha / 2
    weight = (layer.weight + scale * changed.b @ changed.a).detach()
    assert_same(changed, lambda x: F.linear(x, weight, layer.bias), x)
    merged = changed.merge()
    assert_close(merged(x), changed(x))
    assert (merged.bias is None) is not bias and merged.weight.requires_grad
    changed(x).sum().backward()
    assert layer.weight.grad is None and changed.a.grad is not None
    assert sum(p.numel() for p in changed.parameters() if p.requires_grad) == 2 * (5 + 4)


def test_lora_is_added_by_name():
    model = nn.ModuleDict(
        {f"block{n}": nn.ModuleDict({"query": nn.Linear(4, 4), "key": nn.Linear(4, 4)}) for n in (0, 1)}
    )
    model["norm"] = nn.LayerNorm(4)
    new = transfer.add_lora_(model, ["query"], rank=1)
    assert [model["block0"]["query"], model["block1"]["query"]] == new and isinstance(new[0], LoRA)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["block0.query.a", "block0.query.b", "block1.query.a", "block1.query.b"]


def test_lora_stands_for_the_layer_that_it_changes():
    """Layers that ask a linear layer for its width, as attention does, get it from LoRA too."""
    layer = nn.Linear(4, 6)
    changed = LoRA(layer, rank=2)
    assert (changed.in_features, changed.out_features) == (layer.in_features, layer.out_features) == (4, 6)


# --- without examples -------------------------------------------------------------------------------------------------


@reference("dlbook.practice.transfer.zero_shot_logits", to="torch.nn.functional.cosine_similarity")
def test_zero_shot_logits():
    x, classes = random(6, 4), random(3, 4)
    expected = F.cosine_similarity(x[:, None], classes[None], dim=2) / 0.2
    assert_close(transfer.zero_shot_logits(x, classes, 0.2), expected)
    assert_close(transfer.zero_shot_logits(3 * x, classes / 7, 0.2), expected)  # norms do not matter


@reference("dlbook.practice.transfer.info_nce", to="transformers.models.clip.modeling_clip.image_text_contrastive_loss")
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_info_nce_as_in_clip(temperature):
    first, second = random(5, 4), random(5, 4)

    def theirs(a, b):
        a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
        return modeling_clip.image_text_contrastive_loss(b @ a.T / temperature)

    assert_same(lambda a, b: transfer.info_nce(a, b, temperature), theirs, first, second)


def test_info_nce_at_its_ends():
    same = torch.ones(8, 3)
    assert transfer.info_nce(same, same).item() == pytest.approx(math.log(8))
    assert transfer.info_nce(same[:1], same[:1]).item() == 0
    assert transfer.info_nce(torch.eye(8), torch.eye(8), 0.01).item() == pytest.approx(0)


@reference("dlbook.practice.transfer.harmonic_mean", to="statistics.harmonic_mean")
@pytest.mark.parametrize("known, novel", [(0.8, 0.2), (1.0, 1.0), (0.5, 0.0), (0.0, 0.0)])
def test_harmonic_mean(known, novel):
    assert transfer.harmonic_mean(known, novel) == pytest.approx(statistics.harmonic_mean([known, novel]))


def test_an_episode():
    labels = torch.arange(5).repeat_interleave(torch.tensor([4, 9, 6, 6, 7]))
    for seed in range(20):
        shown, asked = transfer.episode(labels, ways=3, shots=2, queries=4, seed=seed)
        assert shown.shape == (3, 2) and asked.shape == (3, 4)
        rows = torch.cat([shown, asked], 1)
        assert len(rows.unique()) == 18  # none is shown and asked
        assert (labels[rows] == labels[rows[:, :1]]).all() and 0 not in labels[rows]  # too few of that
        assert len(labels[rows[:, 0]].unique()) == 3
    again = transfer.episode(labels, 3, 2, 4, seed=19)
    assert torch.equal(again[0], shown) and torch.equal(again[1], asked)
    other = transfer.episode(labels, 3, 2, 4, seed=18)
    assert not torch.equal(other[0], shown)


# --- devices ----------------------------------------------------------------------------------------------------------


def test_shapes_alone_decide():
    """On the device "meta"; a probe, prototypes and episodes look at the values of what they are given."""
    with torch.device("meta"):
        x, centres, layer = torch.empty(8, 4), torch.empty(3, 4), nn.Linear(4, 3)
        changed, frozen = LoRA(nn.Linear(4, 3), 2), Frozen(nn.Linear(4, 3))
    found = [transfer.prototype_logits(x, centres), transfer.zero_shot_logits(x, centres)]
    found += [transfer.info_nce(x, x), changed(x), changed.merge()(x), frozen(x)]
    found += [transfer.replace_head_(nn.ModuleDict({"head": layer}), "head", 5)(x)]
    assert all(tensor.is_meta for tensor in found)


# --- errors -----------------------------------------------------------------------------------------------------------


X = torch.zeros(3, 4)
Y = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: transfer.replace_head_(network(), "nowhere", 3), ValueError, "name must be that of a linear layer"),
        (lambda: transfer.replace_head_(network(), "1", 3), ValueError, "name must be that of a linear layer: got '1'"),
        (lambda: transfer.replace_head_(network(), "", 3), ValueError, "name must be that of a linear layer: got ''"),
        (lambda: transfer.replace_head_(network(), "4", 0), ValueError, "classes must be at least 1: got 0"),
        (lambda: transfer.discriminative_groups([network()], 0.0), ValueError, "lr must be positive: got 0.0"),
        (lambda: transfer.discriminative_groups([network()], math.nan), ValueError, "lr must be positive: got nan"),
        (
            lambda: transfer.discriminative_groups([network()], 0.1, 0.5),
            ValueError,
            "decay must be at least 1: got 0.5",
        ),
        (lambda: transfer.discriminative_groups([nn.ReLU()], 0.1), ValueError, "weights to train: got none"),
        (lambda: transfer.discriminative_groups([LAYER, LAYER], 0.1), ValueError, "layers must not share weights"),
        (lambda: LoRA(nn.ReLU(), 1), TypeError, "layer must be a torch.nn.Linear: got ReLU"),
        (lambda: LoRA(nn.Linear(3, 5), 0), ValueError, "rank must be at least 1: got 0"),
        (lambda: LoRA(nn.Linear(3, 5), 4), ValueError, "rank must be at most 3: got 4"),
        (lambda: transfer.add_lora_(network(), ["query"], 1), ValueError, r"layers in the model: got \['query'\]"),
        (lambda: transfer.add_lora_(network(), [], 1), ValueError, "layers in the model: got none"),
        (lambda: transfer.linear_probe(X[0], Y), ValueError, "features must have the shape"),
        (lambda: transfer.linear_probe(X.long(), Y), TypeError, "features must be floating point"),
        (lambda: transfer.linear_probe(X, Y[:2]), ValueError, "labels must have the shape"),
        (lambda: transfer.linear_probe(X, Y.float()), TypeError, "labels must hold integers"),
        (lambda: transfer.linear_probe(X / 0, Y), ValueError, "features must not hold NaN"),
        (lambda: transfer.linear_probe(X, Y, -1.0), ValueError, "strength must be positive: got -1.0"),
        (lambda: transfer.linear_probe(X, Y - 1), ValueError, "labels must be at least 0: got -1 to 0"),
        (lambda: transfer.linear_probe(X, Y, classes=1), ValueError, "labels must be from 0 to 0: got 0 to 1"),
        (lambda: transfer.linear_probe(X[:0], Y[:0]), ValueError, "features must hold at least one example"),
        (lambda: transfer.prototypes(X, Y, 4), ValueError, r"each class must have an example: got none of \[2, 3\]"),
        (lambda: transfer.prototype_logits(X, X[:, :2]), ValueError, "centres must have the shape"),
        (lambda: transfer.zero_shot_logits(X, X[:, :2]), ValueError, "descriptions must have the shape"),
        (lambda: transfer.zero_shot_logits(X, X, 0.0), ValueError, "temperature must be positive: got 0.0"),
        (lambda: transfer.info_nce(X, X[:2]), ValueError, "second must have the shape"),
        (lambda: transfer.info_nce(X[:0], X[:0]), ValueError, "first must hold at least one pair: got none"),
        (lambda: transfer.harmonic_mean(0.5, 1.5), ValueError, "novel must be from 0 to 1: got 1.5"),
        (lambda: transfer.harmonic_mean(math.nan, 0.5), ValueError, "known must be from 0 to 1: got nan"),
        (
            lambda: transfer.episode(Y, 2, 1, 1, 0),
            ValueError,
            "2 classes of 2 examples or more: got 1",
        ),
        (lambda: transfer.episode(Y, 0, 1, 1, 0), ValueError, "ways must be at least 1: got 0"),
        (lambda: transfer.episode(Y.float(), 1, 1, 1, 0), TypeError, "labels must hold integers"),
    ],
)
def test_errors(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()


LAYER = nn.Linear(2, 2)
