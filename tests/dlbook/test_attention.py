"""Attention: equal to PyTorch in value and every gradient; what a mask hides changes nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.attention import MultiHeadAttention, RotarySelfAttention, attend, attention_weights
from dlbook.masks import causal_mask
from dlbook.positions import RotaryEmbedding
from tests.helpers.equations import executed
from tests.helpers.inputs import assert_refused, other_shapes
from tests.helpers.models import train_steps
from tests.helpers.references import assert_same, random, reference, tensor

few = settings(max_examples=25)
SHAPES = dict(
    batch=st.integers(0, 3),
    heads=st.integers(1, 3),
    queries=st.integers(1, 5),
    keys=st.integers(1, 5),
    d=st.integers(1, 4),
    seed=st.integers(0, 99),
)


def random_mask(*shape):
    """Draw a mask that hides about half, but never all from a query."""
    mask = torch.rand(shape) < 0.5
    return mask | (torch.arange(shape[-1]) == torch.randint(shape[-1], (*shape[:-1], 1)))


def layer(dim, heads, rotary=False, **options):
    """Make attention in float64, with no parameter zero."""
    torch.manual_seed(0)
    if rotary:
        return RotarySelfAttention(dim, heads, 12, **options).double()
    return MultiHeadAttention(dim, heads, **options).double()


# --- attend -----------------------------------------------------------------------------------------------------------


@reference("dlbook.attention.attend", to="torch.nn.functional.scaled_dot_product_attention")
@few
@given(**SHAPES, v=st.integers(1, 3), masked=st.sampled_from(["", "queries keys", "heads", "batch keys"]))
def test_attend_equals_torch(batch, heads, queries, keys, d, v, masked, seed):
    torch.manual_seed(seed)
    shapes = {"queries keys": (queries, keys), "heads": (heads, queries, keys), "batch keys": (batch, 1, 1, keys)}
    mask = random_mask(*shapes[masked]) if masked else None
    inputs = random(batch, heads, queries, d), random(batch, heads, keys, d), random(batch, heads, keys, v)
    assert_same(lambda *qkv: attend(*qkv, mask)[0], lambda *qkv: F.scaled_dot_product_attention(*qkv, mask), *inputs)


@few
@given(**SHAPES)
def test_weights_sum_to_one_over_what_may_be_seen(batch, heads, queries, keys, d, seed):
    torch.manual_seed(seed)
    query, key, mask = random(batch, heads, queries, d), random(batch, heads, keys, d), torch.rand(queries, keys) < 0.4
    averages, weights = attend(1e3 * query, key, torch.ones(batch, heads, keys, 1).double(), mask)
    assert (weights >= 0).all() and not weights[..., ~mask].any()
    sees = mask.any(1).double()
    assert_close(weights.sum(-1), sees.expand(batch, heads, queries))
    assert_close(averages[..., 0], weights.sum(-1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_query_that_sees_nothing_gets_zeros_and_passes_no_gradient_on(dtype):
    torch.manual_seed(0)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    query, key, value = (torch.randn(n, 4, dtype=dtype, requires_grad=True) for n in (2, 3, 3))
    with torch.autograd.set_detect_anomaly(True):
        y, weights = attend(query, key, value, mask)
        y[1].sum().backward()
    assert not y[1].any() and not weights[1].any()
    assert not any(leaf.grad.any() for leaf in (query, key, value))
    assert_close(y, F.scaled_dot_product_attention(query, key, value, mask))  # PyTorch defines it alike


@few
@given(**SHAPES, filling=st.sampled_from([1e3, -1e3, 1e100]))
def test_what_is_hidden_changes_nothing(batch, heads, queries, keys, d, seed, filling):
    torch.manual_seed(seed)
    mask = random_mask(batch, 1, 1, keys)
    query, key, value = random(batch, heads, queries, d), random(batch, heads, keys, d), random(batch, heads, keys, d)
    hidden = ~mask.transpose(2, 3)  # (batch, 1, keys, 1)
    other = attend(query, torch.where(hidden, filling, key), torch.where(hidden, filling, value), mask)
    assert all(map(torch.equal, attend(query, key, value, mask), other))


@few
@given(**SHAPES)
def test_the_order_of_the_keys_does_not_matter(batch, heads, queries, keys, d, seed):
    torch.manual_seed(seed)
    query, key, value = random(batch, heads, queries, d), random(batch, heads, keys, d), random(batch, heads, keys, d)
    mask, order = random_mask(queries, keys), torch.randperm(keys)
    y, weights = attend(query, key, value, mask)
    again, other = attend(query, key[:, :, order], value[:, :, order], mask[:, order])
    assert_close(again, y)
    assert_close(other, weights[..., order])


# --- masks ------------------------------------------------------------------------------------------------------------


@few
@given(steps=st.integers(1, 6), heads=st.integers(1, 2), rotary=st.booleans(), fused=st.booleans(), data=st.data())
def test_the_future_cannot_change_the_past(steps, heads, rotary, fused, data):
    attention, x = layer(4 * heads, heads, rotary=rotary, fused=fused), random(2, steps, 4 * heads)
    t, mask = data.draw(st.integers(0, steps - 1)), causal_mask(steps)
    changed = x.clone()
    changed[:, t] += 1
    y, other = attention(x, None, mask), attention(changed, None, mask)
    assert torch.equal(y[:, :t], other[:, :t])
    assert (y[:, t:] != other[:, t:]).flatten(2).any(2).all()


# --- heads ------------------------------------------------------------------------------------------------------------


def torch_copy(ours, dim, bias):
    """Make PyTorch's layer with the weights of ours."""
    theirs = nn.MultiheadAttention(dim, ours.heads, bias=bias, batch_first=True).double()
    parts = ours.query, ours.key, ours.value
    weights = {"in_proj_weight": torch.cat([part.weight for part in parts]), "out_proj.weight": ours.output.weight}
    if bias:
        weights |= {"in_proj_bias": torch.cat([part.bias for part in parts]), "out_proj.bias": ours.output.bias}
    theirs.load_state_dict(weights)
    return theirs


@reference(
    "dlbook.attention.MultiHeadAttention", "dlbook.attention.attention_weights", to="torch.nn.MultiheadAttention"
)
@few
@given(
    **{**SHAPES, "batch": st.integers(1, 3)},
    cross=st.booleans(),
    bias=st.booleans(),
    masked=st.sampled_from(["", "keys", "each"]),
)
def test_heads_equal_torch(batch, heads, queries, keys, d, seed, cross, bias, masked):
    ours = layer(d * heads, heads, bias=bias)
    theirs, keys = torch_copy(ours, d * heads, bias), keys if cross else queries
    torch.manual_seed(seed)
    mask = {"keys": random_mask(batch, 1, 1, keys), "each": random_mask(batch, 1, queries, keys)}.get(masked)
    hidden = {
        "keys": lambda: {"key_padding_mask": ~mask[:, 0, 0]},
        "each": lambda: {"attn_mask": ~mask.expand(-1, heads, -1, -1).flatten(0, 1)},
    }.get(masked, dict)()

    def our(x, memory=None):
        return ours(x, None if memory is None else ours.project_kv(memory), mask)

    def their(x, memory=None):
        memory = x if memory is None else memory
        return theirs(x, memory, memory, **hidden)[0]

    inputs = [random(batch, queries, d * heads)] + [random(batch, keys, d * heads)] * cross
    assert_same(our, their, *inputs)  # and leaves gradients in the weights
    for name in ("weight", "bias")[: 1 + bias]:
        parts = [getattr(part, name).grad for part in (ours.query, ours.key, ours.value)]
        assert_close(torch.cat(parts), getattr(theirs, f"in_proj_{name}").grad)
        assert_close(getattr(ours.output, name).grad, getattr(theirs.out_proj, name).grad)
    weights = theirs(inputs[0], inputs[-1], inputs[-1], **hidden, average_attn_weights=False)[1]
    arguments = (inputs[0], ours.project_kv(inputs[-1]), mask)
    assert_close(attention_weights(ours, *arguments), {"": weights.detach()})


@few
@given(**SHAPES, rotary=st.booleans(), bias=st.booleans(), masked=st.booleans())
def test_fused_is_the_same(batch, heads, queries, keys, d, seed, rotary, bias, masked):
    d = 2 * d
    ours, fused = (layer(d * heads, heads, bias=bias, rotary=rotary, fused=fused) for fused in (False, True))
    torch.manual_seed(seed)
    mask = torch.rand(batch, 1, queries, queries) < 0.5 if masked else None
    assert_same(lambda x: ours(x, None, mask), lambda x: fused(x, None, mask), random(batch, queries, d * heads))
    for mine, yours in zip(ours.parameters(), fused.parameters(), strict=True):
        assert_close(mine.grad, yours.grad)


@few
@given(**SHAPES, rotary=st.booleans(), fused=st.booleans())
def test_what_is_cached_need_not_be_computed_again(batch, heads, queries, keys, d, seed, rotary, fused):
    attention = layer(2 * d * heads, heads, rotary=rotary, fused=fused)
    torch.manual_seed(seed)
    x, mask = random(batch, keys + queries, 2 * d * heads), causal_mask(keys + queries)
    seen = attention.project_kv(x[:, keys:], attention.project_kv(x[:, :keys]))
    assert_close(seen, attention.project_kv(x), rtol=0, atol=1e-13)
    y = attention(x[:, keys:], seen, causal_mask(queries, keys))
    assert_close(y, attention(x, None, mask)[:, keys:], rtol=0, atol=1e-13)


def test_without_positions_a_permutation_goes_through():
    x, order = random(2, 6, 8), torch.randperm(6, generator=torch.Generator().manual_seed(0))
    plain, rotary = layer(8, 2), layer(8, 2, rotary=True)
    assert_close(plain(x[:, order]), plain(x)[:, order])
    assert (rotary(x[:, order]) - rotary(x)[:, order]).abs().max() > 1e-3


@reference("dlbook.attention.RotarySelfAttention", to="torch.nn.functional.scaled_dot_product_attention")
def test_rotary_heads_turn_queries_and_keys():
    attention, x = layer(8, 2, rotary=True), random(1, 5, 8).requires_grad_()
    parts = attention.query, attention.key, attention.value
    query, key, value = (part(x).view(1, 5, 2, 4).transpose(1, 2) for part in parts)
    rotate = RotaryEmbedding(4, 5).double()
    averages = F.scaled_dot_product_attention(rotate(query), rotate(key), value)
    found, expected = attention(x), attention.output(averages.transpose(1, 2).reshape(1, 5, 8))
    assert_close(found, expected)
    leaves = [x, *attention.parameters()]
    assert_close(*(torch.autograd.grad(y.square().sum(), leaves) for y in (found, expected)))


def test_weights_of_a_model_are_watched_and_no_more():
    model = nn.Sequential(layer(4, 2), nn.Tanh(), layer(4, 1, fused=True))
    x = random(2, 3, 4)
    weights = attention_weights(model, x)
    assert [(name, tuple(found.shape)) for name, found in weights.items()] == [("0", (2, 2, 3, 3)), ("2", (2, 1, 3, 3))]
    for found in weights.values():
        assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
    assert not any(part._forward_hooks for part in model)
    with pytest.raises(ValueError):
        attention_weights(model, x[..., :2])
    assert not any(part._forward_hooks for part in model)


def test_overfits_a_tiny_batch():
    torch.manual_seed(0)
    attention, place = MultiHeadAttention(16, 2), torch.tensor([3, 0, 4, 1, 2])
    x, output = torch.randn(4, 5, 16), nn.Linear(16, 16)
    x[..., :5] = torch.eye(5) * 3  # so that a step can look for another
    target = x[:, place]
    optimizer = torch.optim.Adam([*attention.parameters(), *output.parameters()], lr=0.03)
    assert train_steps(optimizer, lambda: (output(attention(x)) - target).square().mean(), steps=120) < 0.02


# --- half precision ---------------------------------------------------------------------------------------------------

HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


@HALVES
@pytest.mark.parametrize("size", [1, 40, 1000])
def test_large_products_do_not_overflow(dtype, size):
    torch.manual_seed(0)
    query, key, value = ((size * torch.randn(1, 2, 5, 64)).to(dtype) for _ in range(3))
    mask = causal_mask(5)
    averages, weights = attend(query, key, value / size, mask)
    exact, others = attend(query.double(), key.double(), value.double() / size, mask)
    assert averages.dtype == weights.dtype == dtype
    assert_close(averages.double(), exact, atol=0.05, rtol=0.05)
    assert_close(weights.double(), others, atol=0.01, rtol=0.01)


@HALVES
@pytest.mark.parametrize("size", [-1000, -40, 40, 1000])
def test_a_row_that_sees_one_key_gives_it_all_weight(dtype, size):
    query, key = torch.full((1, 2, 64), size, dtype=dtype), torch.full((1, 2, 64), abs(size), dtype=dtype)
    mask = torch.tensor([[[True, False], [True, True]]])
    _, weights = attend(query, key, key, mask)
    assert weights.tolist() == [[[1, 0], [0.5, 0.5]]]


def test_nan_stays_nan():
    for n in range(3):
        inputs = [torch.randn(2, 3, 4) for _ in range(3)]
        inputs[n][0, 0, 0] = math.nan
        averages, _ = attend(*inputs)
        assert averages[0].isnan().any() and not averages[1].isnan().any()


# --- errors, other types and devices ----------------------------------------------------------------------------------

X = torch.zeros(2, 3, 4)
KV = MultiHeadAttention(4, 2).project_kv(X)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: MultiHeadAttention(10, 3), "dim must be a multiple of heads: got dim=10, heads=3"),
        (lambda: MultiHeadAttention(0, 1), "dim must be at least 1: got 0"),
        (lambda: MultiHeadAttention(4, 0), "heads must be at least 1: got 0"),
        (lambda: MultiHeadAttention(4.0, 2), r"dim must be a whole number: got 4.0 \(float\)"),
        (lambda: RotarySelfAttention(6, 2, 9), "dim / heads must be even for rotary positions, .*: got dim=6, heads=2"),
        (lambda: RotarySelfAttention(4, 2, 2)(X), "x must have at most 2 positions: got 3"),
        (
            lambda: RotarySelfAttention(4, 2, 3)(X, (KV[0][:, :, :2], KV[1][:, :, :2])),
            "offset must be at least 0: got -1",
        ),
        (lambda: MultiHeadAttention(4, 2)(X[0]), r"x must have the shape \(batch, queries, 4\): got \(3, 4\)"),
        (lambda: MultiHeadAttention(4, 2)(X[..., :1]), r"x must have the shape .*: got \(2, 3, 1\)"),
        (lambda: MultiHeadAttention(4, 2)(X.long()), "x must be floating point: got torch.int64"),
        (lambda: MultiHeadAttention(4, 2)(X, X), "kv must be a pair of keys and values: got Tensor"),
        (lambda: MultiHeadAttention(4, 2)(X[:1], KV), r"kv must have the shape \(1, 2, keys, 2\): got \(2, 2, 3, 2\)"),
        (lambda: MultiHeadAttention(4, 2)(X, (KV[0], KV[1][:, :, :1])), r"kv must have the shape \(2, 2, 3, 2\)"),
        (lambda: MultiHeadAttention(4, 2).project_kv(X, X), "kv_cache must be a pair of keys and values: got Tensor"),
        (lambda: MultiHeadAttention(4, 2).project_kv(X[:1], KV), r"kv_cache must have the shape \(1, 2, keys, 2\)"),
        (
            lambda: MultiHeadAttention(4, 2, fused=True)(X, None, torch.ones(3, 3)),
            "mask must be bool, .*: got torch.float",
        ),
        (lambda: MultiHeadAttention(4, 2, fused=True)(X, None, torch.ones(3, 2) > 0), r"mask must be .*: got \(3, 2\)"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_tensors_of_other_shapes_and_types(unchecked):
    torch.manual_seed(0)
    arguments = {"query": torch.randn(2, 3, 4), "key": torch.randn(2, 5, 4), "value": torch.randn(2, 5, 4)}
    masked = arguments | {"mask": torch.rand(3, 5) < 0.5}
    for name, value in arguments.items():
        narrow = [value[..., :1]] if name != "value" else []  # values may have any length
        for other in (*other_shapes(value), *narrow, value[0, 0], value.long(), value.bool(), value.tolist()):
            with pytest.raises((ValueError, TypeError), match="query|key|value"):
                attend(**{**arguments, name: other})
    for other in (masked["mask"].T, masked["mask"].float(), masked["mask"].long(), masked["mask"][None, None, None]):
        assert_refused(attend, masked, "mask", other)
    turned = {name: value.mT.contiguous().mT for name, value in arguments.items()}  # not contiguous
    assert_close(attend(**turned), attend(**arguments))


def test_shapes_alone_decide():
    with torch.device("meta"):
        for layer in (MultiHeadAttention(4, 2), MultiHeadAttention(4, 2, fused=True), RotarySelfAttention(4, 2, 9)):
            x = torch.zeros(2, 3, 4)
            mask = causal_mask(3, device=x.device)
            assert layer(x, None, mask).is_meta
            assert layer(x[:, :1], layer.project_kv(x[:, :1], layer.project_kv(x[:, 1:]))).shape == (2, 1, 4)


def test_a_mask_given_by_name_is_watched():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = layer(4, 2)

        def forward(self, x):
            return self.attention(x, mask=causal_mask(x.shape[1]))

    assert not attention_weights(Model(), random(1, 3, 4))["attention"].triu(1).any()


# --- the equations, as printed ----------------------------------------------------------------------------------------


def queries_keys_values():
    """Draw queries, keys and values with other numbers of each."""
    torch.manual_seed(0)
    return random(4, 3), random(5, 3), random(5, 2)


@executed("3.4.3a", of="dlbook.attention.attend")
def test_scores_as_printed(formula):
    query, key, value = queries_keys_values()
    s = tensor(formula({"q": query, "k": key, "d": 3}, {"i": 4, "j": 5})["s"])
    averages, weights = attend(query, key, value)
    assert_close(weights, s.softmax(1))
    assert_close(weights.log(), s - s.logsumexp(1, keepdim=True))


@executed("3.4.3b", of="dlbook.attention.attend")
def test_averages_as_printed(formula):
    query, key, value = queries_keys_values()
    found = formula({"s": query @ key.T / math.sqrt(3), "v": value}, {"i": 4, "j": 5, "l": 5, "c": 2})
    assert_close((tensor(found["y"]), tensor(found["a"])), attend(query, key, value))


@executed("3.4.3c", of="dlbook.attention.attend")
def test_masked_weights_as_printed(formula):
    query, key, _ = queries_keys_values()
    mask = causal_mask(4)
    _, weights = attend(query, key[:4], key[:4], mask)
    found = formula({"s": query @ key[:4].T / math.sqrt(3)}, {"i": 4, "j": 4, "l": 4})
    assert_close(weights, tensor(found["a"]))
    assert_close(mask.double(), tensor(found["m"]))


@executed("3.4.3d", of="dlbook.attention.MultiHeadAttention")
def test_heads_as_printed(formula):
    attention, x, z = layer(6, 2), random(1, 3, 6), random(1, 4, 6)
    each = attention.query(x), attention.key(z), attention.value(z)
    query, key, value = (torch.stack([part[0, :, :3], part[0, :, 3:]]) for part in each)  # (head, step, number)
    _, a = attend(query, key, value)
    output = {"W^O": attention.output.weight, "b^O": attention.output.bias}
    found = formula(output | {"a^": a, "v^": value, "H": 2}, {"i": 3, "h": 2, "j": 4})
    assert_close(attention(x, attention.project_kv(z))[0], tensor(found["y"]))
