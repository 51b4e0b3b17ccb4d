"""Blocks: equal to PyTorch's layers under copied weights, pre- and post-norm, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.blocks import Block, BlockSettings, Decoder, Encoder, FeedForward, LayerNorm, Residual
from dlbook.masks import causal_mask
from tests.helpers.equations import executed
from tests.helpers.models import fill
from tests.helpers.references import assert_same, random, reference, tensor
from tests.helpers.transformers import stacked_copy, torch_copy, torch_weights

few = settings(max_examples=20)
SHAPES = dict(
    batch=st.integers(1, 3),
    steps=st.integers(1, 5),
    heads=st.integers(1, 3),
    d=st.integers(1, 3),
    hidden=st.integers(1, 5),
    norm_first=st.booleans(),
    activation=st.sampled_from(["relu", "gelu"]),
    seed=st.integers(0, 99),
)
FUNCTIONS = {"relu": F.relu, "gelu": F.gelu}


# --- layer normalisation ----------------------------------------------------------------------------------------------


@reference("dlbook.blocks.LayerNorm", to="torch.nn.LayerNorm")
@few
@given(batch=st.integers(0, 3), steps=st.integers(0, 4), dim=st.integers(1, 6), seed=st.integers(0, 99))
def test_layer_norm_equals_torch(batch, steps, dim, seed):
    ours, theirs = fill(LayerNorm(dim)), nn.LayerNorm(dim).double()
    theirs.load_state_dict(ours.state_dict())
    torch.manual_seed(seed)
    assert_same(ours, theirs, 3 + 2 * random(batch, steps, dim))
    for name in ("weight", "bias"):
        assert_close(ours.get_parameter(name).grad, theirs.get_parameter(name).grad)
    assert LayerNorm(dim).eps == theirs.eps


@executed("3.4.4c", of="dlbook.blocks.LayerNorm")
def test_layer_norm_as_printed(formula):
    norm, x = fill(LayerNorm(5, eps=0.1)), random(2, 5) + 1
    names = {"gamma": norm.weight, "beta": norm.bias, "varepsilon": norm.eps, "d": 5}
    for position, y in zip(x, norm(x), strict=True):
        found = formula(names | {"x": position}, {"k": 5})
        assert_close(y, tensor(found["y"]))
        variance, mean = torch.var_mean(position, correction=0)
        assert_close((mean, variance), (tensor(found["m"]), tensor(found["v"])))


# --- the dense layers -------------------------------------------------------------------------------------------------


@executed("3.4.4d", of="dlbook.blocks.FeedForward")
def test_feed_forward_as_printed(formula):
    for activation in (F.relu, F.gelu):
        layers, x = fill(FeedForward(3, 3, activation)), random(2, 3)
        names = dict(zip(("W_1", "b_1", "W_2", "b_2"), layers.parameters(), strict=True))
        names["f"] = lambda z, f=activation: f(tensor(z))
        for position, y in zip(x, layers(x), strict=True):
            assert_close(y, tensor(formula(names | {"x": position})["y"]))


# --- a block ----------------------------------------------------------------------------------------------------------


def assert_same_gradients(block, theirs):
    for name, parts in torch_weights(block).items():
        assert_close(torch.cat([part.grad for part in parts]), theirs.get_parameter(name).grad)


@reference("dlbook.blocks.Block", to="torch.nn.TransformerEncoderLayer")
@few
@given(**SHAPES, fused=st.booleans(), masked=st.sampled_from(["", "causal", "padding"]))
def test_a_block_equals_torchs_encoder_layer(
    batch, steps, heads, d, hidden, norm_first, activation, seed, fused, masked
):
    settings = BlockSettings(norm_first, fused=fused, hidden=hidden, activation=FUNCTIONS[activation])
    ours = fill(Block(d * heads, heads, settings))
    theirs = torch_copy(ours, norm_first, activation)
    torch.manual_seed(seed)
    real = torch.arange(steps) < torch.randint(1, steps + 1, (batch, 1))
    mask = {"causal": causal_mask(steps), "padding": real[:, None, None]}.get(masked)
    hiding = {"causal": {"src_mask": ~causal_mask(steps)}, "padding": {"src_key_padding_mask": ~real}}.get(masked, {})
    x = random(batch, steps, d * heads)
    assert_same(lambda x: ours(x, mask)[0], lambda x: theirs(x, **hiding), x)
    assert_same_gradients(ours, theirs)


@reference("dlbook.blocks.Block", to="torch.nn.TransformerDecoderLayer")
@few
@given(**SHAPES, fused=st.booleans(), sources=st.integers(1, 4))
def test_a_block_with_a_memory_equals_torchs_decoder_layer(
    batch, steps, heads, d, hidden, norm_first, activation, seed, fused, sources
):
    settings = BlockSettings(norm_first, fused=fused, hidden=hidden, activation=FUNCTIONS[activation])
    ours = fill(Block(d * heads, heads, settings, cross=True))
    theirs = torch_copy(ours, norm_first, activation)
    torch.manual_seed(seed)
    real = torch.arange(sources) < torch.randint(1, sources + 1, (batch, 1))
    mask, hiding = causal_mask(steps), {"tgt_mask": ~causal_mask(steps), "memory_key_padding_mask": ~real}

    def our(x, memory):
        return ours(x, mask, None, ours.cross.project_kv(memory), real[:, None, None])[0]

    x, memory = random(batch, steps, d * heads), random(batch, sources, d * heads)
    assert_same(our, lambda x, memory: theirs(x, memory, **hiding), x, memory)
    assert_same_gradients(ours, theirs)


def step_by_step(block, x, formula):
    """Return what a block makes of all positions, by the formula of one residual connection."""
    for residual, part in zip(block.residuals, (block.attention, block.feed_forward), strict=True):
        names = {
            "x": x,
            "Norm": lambda x, norm=residual.norm: norm(tensor(x)),
            "Part": lambda x, part=part: part(tensor(x)),
        }
        x = formula(names)["x'"]
    return tensor(x)


@executed("3.4.4e", of="dlbook.blocks.Residual")
def test_a_pre_norm_block_as_printed(formula):
    block, x = fill(Block(6, 2)), random(2, 4, 6)
    assert_close(block(x)[0], step_by_step(block, x, formula))


@executed("3.4.4f", of="dlbook.blocks.Residual")
def test_a_post_norm_block_as_printed(formula):
    block, x = fill(Block(6, 2, BlockSettings(norm_first=False))), random(2, 4, 6)
    assert_close(block(x)[0], step_by_step(block, x, formula))


def test_dropout_silences_parts_in_training_only():
    torch.manual_seed(0)
    residual, x = Residual(1000, dropout=0.25), torch.zeros(4, 1000)
    assert residual(x, torch.ones_like).eq(0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(residual.eval()(x, torch.ones_like), torch.ones_like(x))
    stack = Encoder(1, 4, 1, BlockSettings(dropout=0.5))
    assert [part.p for part in stack.modules() if hasattr(part, "p")] == [0.5] * 3
    x = torch.randn(1, 3, 4)
    assert not torch.equal(stack(x), stack(x))
    assert torch.equal(stack.eval()(x), stack(x))


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_dropout_silences_what_comes_into_a_stack(kind):
    torch.manual_seed(0)
    stack, x = kind(1, 1000, 1, BlockSettings(hidden=1, dropout=0.25)), torch.ones(1, 4, 1000)
    stack.blocks, stack.norm = nn.ModuleList(), nn.Identity()  # what is left
    y = stack(x) if kind is Encoder else stack(x)[0]
    assert y.eq(0).float().mean().item() == pytest.approx(0.25, abs=0.03)


# --- stacks -----------------------------------------------------------------------------------------------------------


@reference("dlbook.blocks.Encoder", to="torch.nn.TransformerEncoder")
@reference("dlbook.blocks.Decoder", to="torch.nn.TransformerDecoder")
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_stacks_equal_torch(norm_first, layers):
    encoder = fill(Encoder(layers, 6, 2, BlockSettings(norm_first)))
    decoder = fill(Decoder(layers, 6, 2, BlockSettings(norm_first), cross=True))
    their_encoder = stacked_copy(encoder, norm_first, nn.TransformerEncoder)
    their_decoder = stacked_copy(decoder, norm_first, nn.TransformerDecoder)
    real = torch.tensor([[True] * 4, [True, True, False, False]])

    def our(x, y):
        memory = decoder.project_kv(encoder(x, real[:, None, None]))
        return decoder(y, (), memory, real[:, None, None])[0]

    def their(x, y):
        memory = their_encoder(x, src_key_padding_mask=~real)
        return their_decoder(y, memory, tgt_mask=~causal_mask(3), memory_key_padding_mask=~real)

    assert_same(our, their, random(2, 4, 6), random(2, 3, 6))
    for block, copy in zip(decoder.blocks, their_decoder.layers, strict=True):
        assert_same_gradients(block, copy)


@few
@given(
    steps=st.integers(1, 6),
    cut=st.integers(0, 6),
    layers=st.integers(1, 2),
    cross=st.booleans(),
    rotary=st.booleans(),
    norm_first=st.booleans(),
    fused=st.booleans(),
)
def test_a_decoder_goes_on_from_its_state(steps, cut, layers, cross, rotary, norm_first, fused):
    settings = BlockSettings(norm_first, fused=fused, rotary_length=6 if rotary else None)
    decoder, x, cut = fill(Decoder(layers, 4, 2, settings, cross)), random(2, steps, 4), min(cut, steps)
    memory = decoder.project_kv(random(2, 3, 4)) if cross else ()
    y, state = decoder(x, (), memory)
    first, kv_cache = decoder(x[:, :cut], (), memory)
    second, end = decoder(x[:, cut:], kv_cache, memory)
    assert_close(torch.cat([first, second], 1), y, rtol=0, atol=1e-12)
    assert_close(end, state, rtol=0, atol=1e-12)


def test_without_positions_an_encoder_does_not_know_the_order():
    encoder, x, order = fill(Encoder(2, 6, 3)), random(2, 5, 6), torch.tensor([3, 0, 4, 1, 2])
    assert_close(encoder(x[:, order]), encoder(x)[:, order])


X = torch.zeros(2, 3, 4)
KV = Block(4, 2)(X)[1]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Encoder(0, 4, 2), "layers must be at least 1: got 0"),
        (lambda: Decoder(1, 4, 3), "dim must be a multiple of heads: got dim=4, heads=3"),
        (lambda: Block(4, 2, BlockSettings(hidden=0)), "hidden must be at least 1: got 0"),
        (lambda: Block(6, 2, BlockSettings(rotary_length=4)), "dim / heads must be even"),
        (lambda: Residual(4, dropout=1.0), "p must be at least 0 and less than 1: got 1.0"),
        (lambda: LayerNorm(4)(X[..., :1]), r"x must have the shape \(..., 4\): got \(2, 3, 1\)"),
        (lambda: LayerNorm(4)(X.long()), "x must be floating point: got torch.int64"),
        (lambda: FeedForward(4, 5)(X[..., None]), r"x must have the shape \(..., 4\)"),
        (lambda: FeedForward(4, 5)(X.bool()), "x must be floating point: got torch.bool"),
        (lambda: Encoder(1, 4, 2)(X[0]), r"x must have the shape \(batch, .*\): got \(3, 4\)"),
        (lambda: Encoder(1, 4, 2)(X, torch.ones(3, 3)), "mask must be bool, True where .*: got torch.float32"),
        (lambda: Encoder(1, 4, 2)(X, torch.ones(3, 4) > 0), r"mask must be broadcastable .*: got \(3, 4\)"),
        (lambda: Decoder(1, 4, 2)(X[0, 0]), r"x must have the shape \(batch, .*\): got \(4,\)"),
        (lambda: Decoder(2, 4, 2)(X, (KV,)), "kv_cache must hold keys and values for 2 blocks: got 1"),
        (lambda: Decoder(1, 4, 2)(X[:1], (KV,)), r"kv_cache must have the shape \(1, 2, keys, 2\): got \(2, "),
        (lambda: Decoder(1, 4, 2)(X, (), (KV,)), "memory must be None without cross-attention: got one"),
        (lambda: Decoder(1, 4, 2).project_kv(X), "memory must be None without cross-attention: got one"),
        (lambda: Decoder(1, 4, 2, cross=True)(X), "memory must be given for cross-attention: got None"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_shapes_alone_decide():
    with torch.device("meta"):
        encoder = Encoder(2, 6, 3, BlockSettings(rotary_length=8))
        decoder, x = Decoder(2, 6, 3, cross=True), torch.randn(2, 5, 6)
    memory = decoder.project_kv(encoder(x))
    y, kv_cache = decoder(x, (), memory)
    y, _ = decoder(x, kv_cache, memory)
    assert y.is_meta and y.shape == (2, 5, 6)
