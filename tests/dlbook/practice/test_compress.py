"""Compression: pruning, quantisation, distillation and low rank, as PyTorch's own utilities compute them."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune
from torch.testing import assert_close

from dlbook.network import Dense
from dlbook.practice import compress
from tests.helpers.references import random, reference


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9, 5), nn.ReLU(), nn.Linear(5, 3))


# --- pruning ----------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.compress.magnitude_masks", to="torch.nn.utils.prune.global_unstructured")
@pytest.mark.parametrize("fraction", [0.0, 0.37, 0.9, 1.0])
def test_global_pruning(fraction):
    model = network()
    layers = [model[0], model[3], model[5]]
    ours = compress.magnitude_masks([layer.weight for layer in layers], fraction)
    prune.global_unstructured([(layer, "weight") for layer in layers], prune.L1Unstructured, amount=fraction)
    for layer, mask in zip(layers, ours, strict=True):
        assert torch.equal(layer.weight_mask.bool(), mask)


@reference("dlbook.practice.compress.magnitude_masks", to="torch.nn.utils.prune.l1_unstructured")
def test_pruning_per_layer():
    for layer in (network()[0], network()[3]):
        (ours,) = compress.magnitude_masks([layer.weight], 0.6)
        theirs = prune.l1_unstructured(copy.deepcopy(layer), "weight", amount=0.6)
        assert torch.equal(theirs.weight_mask.bool(), ours)


def test_masks_hold_in_training():
    model = network()
    weights = [model[0].weight, model[3].weight]
    masks = compress.magnitude_masks(weights, 0.8)
    compress.apply_masks_(weights, masks)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    optimizer.register_step_post_hook(lambda *_: compress.apply_masks_(weights, masks))
    before = weights[0].detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.rand(4, 2, 5, 5)).square().sum().backward()
        optimizer.step()
    for weight, mask in zip(weights, masks, strict=True):
        assert (weight[~mask] == 0).all() and (weight[mask] != 0).all()
    assert not torch.equal(before, weights[0])


@reference("dlbook.practice.compress.strongest_channels", to="torch.nn.utils.prune.ln_structured")
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 8, 3), nn.Linear(5, 8)])
def test_channels_of_largest_norm(layer):
    ours = compress.strongest_channels(layer.weight, 5)
    theirs = prune.ln_structured(copy.deepcopy(layer), "weight", amount=3, n=2, dim=0)
    assert torch.equal(theirs.weight_mask.flatten(1).any(1).nonzero()[:, 0], ours)


@pytest.mark.parametrize("dense", [nn.Linear, Dense])
def test_removed_channels_are_those_that_were_masked(dense):
    model = network()
    model[3] = dense(54, 5)
    x, smaller = torch.rand(4, 2, 5, 5), copy.deepcopy(model)
    channels = compress.strongest_channels(model[0].weight, 4)
    neurons = compress.strongest_channels(model[3].weight, 2)
    with torch.no_grad():  # as structured pruning masks them, biases as well
        for layer, kept in ((model[0], channels), (model[3], neurons)):
            gone = torch.ones(len(layer.weight), dtype=torch.bool).index_fill(0, kept, False)
            layer.weight[gone], layer.bias[gone] = 0.0, 0.0
    compress.keep_outputs_(smaller[0], channels)
    compress.keep_inputs_(smaller[3], channels, per_channel=9)
    compress.keep_outputs_(smaller[3], neurons)
    compress.keep_inputs_(smaller[5], neurons)
    assert_close(smaller(x), model(x))
    assert (smaller[0].out_channels, smaller[5].in_features) == (4, 2)
    assert smaller[3].weight.shape == (2, 36)
    if dense is nn.Linear:
        assert (smaller[3].in_features, smaller[3].out_features) == (36, 2)
    smaller(x).sum().backward()
    assert all(weight.grad is not None for weight in smaller.parameters())


def test_a_layer_without_bias_loses_channels():
    layer = nn.Linear(3, 4, bias=False)
    expected = layer.weight[[0, 2]]
    compress.keep_outputs_(layer, torch.tensor([0, 2]))
    assert_close(layer.weight, expected)
    assert layer.bias is None


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_bytes_of_a_file():
    weight = torch.randn(200, 200)
    pruned = weight * compress.magnitude_masks([weight], 0.95)[0]
    dense = compress.serialized_bytes({"weight": weight})
    assert 160_000 < dense < 164_000
    assert compress.serialized_bytes({"weight": pruned}) == dense  # a zero takes as much room
    assert compress.serialized_bytes({"weight": pruned}, compressed=True) < 0.15 * dense
    assert compress.serialized_bytes({"weight": weight}, compressed=True) > 0.85 * dense
    assert compress.serialized_bytes({"weight": pruned.to_sparse_csr()}) < 0.3 * dense
    assert compress.serialized_bytes({"weight": weight.to(torch.int8)}) < 0.27 * dense


# --- quantisation -----------------------------------------------------------------------------------------------------


@reference("dlbook.practice.compress.affine_scale", to="torch.ao.quantization.MinMaxObserver")
@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 1.0)])
@pytest.mark.filterwarnings("ignore")
def test_scale_and_zero_point(low, high):
    observer = torch.ao.quantization.MinMaxObserver(dtype=torch.quint8)
    observer(torch.tensor([low, high]))
    scale, zero_point = observer.calculate_qparams()
    ours = compress.affine_scale(low, high)
    assert_close(torch.tensor(ours[0]), scale[0])
    assert ours[1] == zero_point.item()
    assert compress.affine_scale(low, high, bits=2)[1] in (0, 1, 3)


@reference("dlbook.practice.compress.symmetric_scale", to="torch.ao.quantization.PerChannelMinMaxObserver")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 2, 2)])
def test_scales_of_channels(shape):
    weight = torch.randn(shape)
    settings = {"quant_min": -127, "quant_max": 127, "dtype": torch.qint8, "qscheme": torch.per_channel_symmetric}
    observer = torch.ao.quantization.PerChannelMinMaxObserver(ch_axis=0, **settings)
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    assert_close(compress.symmetric_scale(weight).flatten(), scale)
    assert not zero_point.any()
    assert compress.symmetric_scale(weight, per_channel=False).flatten() == weight.abs().max() / 127
    assert compress.symmetric_scale(weight, bits=2).flatten()[0] == weight[0].abs().max()
    assert (compress.symmetric_scale(torch.zeros(shape)) == 1).all()


@reference("dlbook.practice.compress.quantize", "dlbook.practice.compress.dequantize", to="torch.quantize_per_tensor")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("zero_point", "span", "dtype"), [(0, (-128, 127), torch.qint8), (70, compress.UINT8, torch.quint8)]
)
def test_one_scale(zero_point, span, dtype):
    x = 3 * torch.randn(500)
    theirs = torch.quantize_per_tensor(x, 0.03, zero_point, dtype)
    ours = compress.quantize(x, 0.03, zero_point, span)
    assert torch.equal(ours, theirs.int_repr())
    assert_close(compress.dequantize(ours, 0.03, zero_point), theirs.dequantize())


@reference("dlbook.practice.compress.quantize", "dlbook.practice.compress.dequantize", to="torch.quantize_per_channel")
@pytest.mark.filterwarnings("ignore")
def test_a_scale_for_each_channel():
    weight = torch.randn(6, 3, 2, 2) * torch.arange(1, 7)[:, None, None, None]
    scale = compress.symmetric_scale(weight)
    zeros = torch.zeros(6, dtype=torch.long)
    theirs = torch.quantize_per_channel(weight, scale.flatten(), zeros, 0, torch.qint8)
    ours = compress.quantize(weight, scale)
    assert torch.equal(ours, theirs.int_repr())
    assert_close(compress.dequantize(ours, scale), theirs.dequantize())
    assert ((compress.dequantize(ours, scale) - weight).abs() <= scale / 2 + 1e-6).all()


@reference("dlbook.practice.compress.quantized_linear", to="torch.nn.functional.linear")
def test_integers_are_multiplied():
    x, weight, bias = random(7, 40).float(), random(5, 40).float(), random(5).float()
    scale, zero_point = compress.affine_scale(x.min().item(), x.max().item())
    q = compress.quantize(x, scale, zero_point, compress.UINT8)
    weight_scale = compress.symmetric_scale(weight)
    w = compress.quantize(weight, weight_scale)
    ours = compress.quantized_linear(q, scale, zero_point, w, weight_scale, bias)
    back = compress.dequantize(q, scale, zero_point), compress.dequantize(w, weight_scale)
    assert_close(ours, F.linear(*back, bias), rtol=1e-4, atol=1e-4)
    without = compress.quantized_linear(q, scale, zero_point, w, weight_scale)
    assert_close(without, ours - bias)
    assert (ours - F.linear(x, weight, bias)).abs().max() < 0.2


@reference("dlbook.practice.compress.fake_quantize", to="torch.fake_quantize_per_tensor_affine")
@pytest.mark.parametrize(("zero_point", "span"), [(0, (-127, 127)), (30, (0, 255)), (1, (0, 3))])
def test_rounding_that_gradients_pass(zero_point, span):
    x = (4 * torch.randn(400)).requires_grad_()
    other = x.detach().clone().requires_grad_()
    ours = compress.fake_quantize(x, 0.05, zero_point, span)
    theirs = torch.fake_quantize_per_tensor_affine(other, 0.05, zero_point, *span)
    assert_close(ours, theirs)
    upstream = torch.randn(400)
    ours.backward(upstream)
    theirs.backward(upstream)
    assert_close(x.grad, other.grad)
    assert 0 < (x.grad == 0).sum() < 400


@reference("dlbook.practice.compress.FakeQuantized", to="torch.fake_quantize_per_channel_affine")
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_layer_that_trains_with_rounded_weights(bits):
    layer = nn.Linear(6, 4)
    weight = layer.weight.detach().clone().requires_grad_()
    parametrize.register_parametrization(layer, "weight", compress.FakeQuantized(bits))
    greatest = 2 ** (bits - 1) - 1
    scale = weight.detach().abs().amax(1) / greatest
    zeros = torch.zeros(4, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -greatest, greatest)
    assert_close(layer.weight, theirs)
    assert all(len(row.unique()) <= 2**bits - 1 for row in layer.weight)
    x = torch.randn(3, 6)
    layer(x).square().sum().backward()
    F.linear(x, theirs, layer.bias.detach()).square().sum().backward()
    assert_close(layer.parametrizations.weight.original.grad, weight.grad)


# --- distillation and low rank ----------------------------------------------------------------------------------------


@reference("dlbook.practice.compress.distillation_loss", to="torch.nn.functional.kl_div")
@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 1.0), (4.0, 0.9), (2.0, 0.0)])
def test_distillation(temperature, weight):
    logits = (3 * random(6, 4)).requires_grad_()
    other = logits.detach().clone().requires_grad_()
    teacher, target = (3 * random(6, 4)).requires_grad_(), torch.randint(4, (6,))
    ours = compress.distillation_loss(logits, teacher, target, temperature, weight)
    soft = [(values / temperature).log_softmax(1) for values in (other, teacher.detach())]
    divergence = torch.nn.functional.kl_div(*soft, reduction="batchmean", log_target=True)
    theirs = weight * temperature**2 * divergence + (1 - weight) * F.cross_entropy(other, target)
    assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    assert_close(logits.grad, other.grad)
    assert teacher.grad is None


@reference("dlbook.practice.compress.low_rank", to="torch.linalg.svd")
@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
def test_the_nearest_matrix_of_low_rank(shape):
    weight = random(*shape)
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    for rank in (1, 2, 4):
        second, first = compress.low_rank(weight, rank)
        assert (second.shape, first.shape) == ((shape[0], rank), (rank, shape[1]))
        assert_close(second @ first, (u[:, :rank] * s[:rank]) @ vh[:rank])
        error = (weight - second @ first).square().sum()
        assert_close(error, s[rank:].square().sum())


@pytest.mark.parametrize("bias", [True, False])
def test_two_layers_for_one(bias):
    layer, x = nn.Linear(6, 4, bias=bias), torch.randn(3, 6)
    assert_close(compress.factorized(layer, 4)(x), layer(x))
    thin = compress.factorized(layer, 2)
    assert sum(p.numel() for p in thin.parameters()) == 2 * (6 + 4) + 4 * bias
    assert compress.factorized(Dense(6, 4).double(), 2)[0].weight.dtype == torch.float64


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compress.magnitude_masks([], 0.5), "weights must hold at least one tensor: got none"),
        (lambda: compress.magnitude_masks([torch.ones(2)], 1.5), "fraction must be from 0 to 1: got 1.5"),
        (lambda: compress.magnitude_masks([torch.tensor([math.nan])], 0.5), "weights must not hold NaN"),
        (lambda: compress.apply_masks_([torch.ones(2)], []), "masks must be as many as weights, 1: got 0"),
        (lambda: compress.apply_masks_([torch.ones(2)], [torch.ones(3).bool()]), "masks must have the shape"),
        (lambda: compress.strongest_channels(torch.ones(3, 2), 4), "count must be at most 3: got 4"),
        (lambda: compress.keep_outputs_(nn.ReLU(), torch.tensor([0])), "layer must have a weight"),
        (lambda: compress.keep_outputs_(nn.Linear(2, 2), torch.tensor([2])), "rows must be at least 0"),
        (lambda: compress.keep_outputs_(nn.Conv2d(2, 2, 1, groups=2), torch.tensor([0])), "no groups"),
        (lambda: compress.keep_inputs_(nn.Linear(5, 2), torch.tensor([0]), 2), "per_channel must divide the 5 inputs"),
        (lambda: compress.affine_scale(2.0, 1.0), "low and high must be finite"),
        (lambda: compress.affine_scale(0.0, 0.0), "not both zero"),
        (lambda: compress.affine_scale(0.0, 1.0, bits=9), "bits must be at most 8: got 9"),
        (lambda: compress.FakeQuantized(1), "bits must be at least 2: got 1"),
        (lambda: compress.symmetric_scale(torch.ones(0)), "weight must hold numbers"),
        (lambda: compress.quantize(torch.ones(2), 1.0, span=(0, 256)), "span must rise"),
        (lambda: compress.quantize(torch.ones(2), 1.0, 300, (0, 255)), "zero_point must be from 0 to 255: got 300"),
        (lambda: compress.low_rank(torch.ones(3, 2), 3), "rank must be at most 2: got 3"),
        (
            lambda: compress.distillation_loss(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([0]), 0.0),
            "temperature must be above 0",
        ),
        (
            lambda: compress.distillation_loss(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([0]), 1.0, 2.0),
            "weight must be from 0 to 1: got 2.0",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
