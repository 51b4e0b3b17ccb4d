"""Positions: waves as printed, rotations equal to complex multiplication, and what an embedding adds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.positions import RotaryEmbedding, TokenEmbedding, rotary_frequencies, sinusoidal
from tests.helpers.equations import executed
from tests.helpers.references import assert_same, random, reference, tensor

# --- sinusoidal -------------------------------------------------------------------------------------------------------


@executed("3.4.4a", of="dlbook.positions.sinusoidal")
def test_sinusoidal_positions_as_printed(formula):
    for steps, dim in ((1, 2), (7, 6), (5, 4)):
        found = formula({"d": dim}, {"t": range(steps), "i": range(dim // 2)}, starts={"p": 0})
        assert_close(sinusoidal(steps, dim, torch.float64), tensor(found["p"]))


def test_distances_are_the_same_everywhere():
    waves = sinusoidal(60, 16, torch.float64)
    products = waves @ waves.T
    for distance in range(20):
        assert_close(products.diagonal(distance), products[0, distance].expand(60 - distance))
    assert sinusoidal(3, 4).dtype == torch.float32


# --- rotary -----------------------------------------------------------------------------------------------------------


def rotate(x, offset=0):
    return RotaryEmbedding(x.shape[-1], offset + x.shape[-2], torch.float64)(x, offset)


@reference("dlbook.positions.RotaryEmbedding", "dlbook.positions.rotary_frequencies", to="torch.polar")
@given(steps=st.integers(0, 5), pairs=st.integers(1, 4), start=st.integers(0, 1000))
def test_rotations_are_complex_products(steps, pairs, start):
    def turned(x):
        angles = torch.arange(start, start + steps)[:, None] * rotary_frequencies(2 * pairs)
        turns = torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns).flatten(-2)

    torch.manual_seed(0)
    assert_same(lambda x: rotate(x, start), turned, random(2, 3, steps, 2 * pairs))


@executed("3.4.4b", of="dlbook.positions.RotaryEmbedding")
def test_rotary_positions_as_printed(formula):
    for dim in (2, 6):
        x = random(2, dim)
        for t, y in enumerate(rotate(x, offset=3), start=3):
            found = formula({"x": x[t - 3], "t": t, "d": dim}, {"i": range(dim // 2)}, starts={"x": 0, "y": 0})
            assert_close(y, tensor(found["y"]))
            assert_close(rotary_frequencies(dim), tensor(found["theta"]))


@given(first=st.integers(0, 500), other=st.integers(0, 500), distance=st.integers(0, 50), seed=st.integers(0, 9))
def test_turned_vectors_compare_by_their_distance(first, other, distance, seed):
    torch.manual_seed(seed)
    query, key = random(1, 8), random(1, 8)
    products = [(rotate(query, t + distance) * rotate(key, t)).sum() for t in (first, other)]
    assert_close(products[0], products[1])
    assert_close(rotate(query, first).norm(), query.norm())


def test_other_distances_compare_otherwise():
    torch.manual_seed(0)
    query, key = random(1, 8), random(1, 8)
    assert (rotate(query, 5) * rotate(key, 2) - rotate(query, 2) * rotate(key, 5)).sum().abs() > 0.01


# --- embedding --------------------------------------------------------------------------------------------------------


@reference("dlbook.positions.TokenEmbedding", to="torch.nn.functional.embedding")
@pytest.mark.parametrize("positions", ["learnt", "sinusoidal", "rotary", "none"])
def test_an_embedding_adds_positions(positions):
    torch.manual_seed(0)
    embedding, tokens = TokenEmbedding(10, 6, 8, positions), torch.randint(10, (2, 5))
    scale = math.sqrt(6) if positions == "sinusoidal" else 1
    words = nn.functional.embedding(tokens, embedding.tokens.weight) * scale
    places = {"learnt": embedding.positions, "sinusoidal": sinusoidal(8, 6)}.get(positions, torch.zeros(8, 6))
    found, expected = embedding(tokens), words + places[:5]
    assert_close(found, expected)
    leaves = [*embedding.parameters()]
    assert_close(*(torch.autograd.grad(y.square().sum(), leaves, retain_graph=True) for y in (found, expected)))
    assert_close(embedding(tokens[:, 2:], offset=2), (words + places[:5])[:, 2:])
    learnt = {"tokens.weight", "positions"} if positions == "learnt" else {"tokens.weight"}
    assert {name for name, _ in embedding.named_parameters()} == learnt == set(embedding.state_dict())


def test_positions_follow_the_model():
    assert TokenEmbedding(3, 2, 4, "sinusoidal").double().positions.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rotations_follow_the_model(dtype):
    torch.manual_seed(0)
    x = torch.randn(2, 7, 6)
    rotated = RotaryEmbedding(6, 9).to(dtype)(x.to(dtype), 2)
    assert rotated.dtype == dtype
    assert_close(rotated.float(), rotate(x.double(), 2).float(), atol=3e-2, rtol=3e-2)
    assert not RotaryEmbedding(6, 9).state_dict()


def test_tables_are_made_where_the_model_is():
    with torch.device("meta"):
        for module in (RotaryEmbedding(6, 9), TokenEmbedding(3, 6, 9, "sinusoidal")):
            assert {part.device.type for part in [*module.parameters(), *module.buffers()]} == {"meta"}
        assert sinusoidal(3, 4).is_meta


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_tokens_of_all_integer_types(dtype, unchecked):
    embedding, tokens = TokenEmbedding(10, 6, 8), torch.tensor([[1, 9], [0, 3]])
    assert torch.equal(embedding(tokens.to(dtype)), embedding(tokens))


LONG = torch.zeros(1, 4, dtype=torch.long)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sinusoidal(3, 5), "dim must be even and at least 2, for pairs: got 5"),
        (lambda: sinusoidal(-1, 4), "length must be at least 0: got -1"),
        (lambda: RotaryEmbedding(3, 4), "dim must be even .*: got 3"),
        (lambda: RotaryEmbedding(4, -1), "length must be at least 0: got -1"),
        (lambda: RotaryEmbedding(4, 3)(random(2, 4, 4)), "x must have at most 3 positions: got 4"),
        (lambda: RotaryEmbedding(4, 3)(random(2, 2, 4), 2), "x must have at most 3 positions: got 4"),
        (lambda: RotaryEmbedding(4, 3)(random(2, 2, 4), -1), "offset must be at least 0: got -1"),
        (lambda: RotaryEmbedding(2, 3)(random(2, 3, 4)), r"x must have the shape \(..., length, 2\): got \(2, 3, 4\)"),
        (lambda: RotaryEmbedding(4, 3)(random(4)), r"x must have the shape .*: got \(4,\)"),
        (lambda: rotary_frequencies(0), "at least 2.*: got 0"),
        (lambda: TokenEmbedding(0, 2, 3), "vocab_size must be at least 1: got 0"),
        (lambda: TokenEmbedding(1, 0, 3), "dim must be at least 1: got 0"),
        (lambda: TokenEmbedding(1, 2, 0), "max_length must be at least 1: got 0"),
        (lambda: TokenEmbedding(1, 2, 3, "absolute"), "one of learnt, sinusoidal, rotary, none: got absolute"),
        (lambda: TokenEmbedding(1, 3, 3, "sinusoidal"), "dim must be even"),
        (lambda: TokenEmbedding(5, 2, 3)(LONG), "tokens must have at most 3 positions: got 4"),
        (lambda: TokenEmbedding(5, 2, 3, "rotary")(LONG[:, :1], 3), "at most 3 positions: got 4"),
        (lambda: TokenEmbedding(5, 2, 4)(LONG, -1), "offset must be at least 0: got -1"),
        (lambda: TokenEmbedding(5, 2, 4)(LONG + 5), "tokens must be between 0 and 4: got 5 to 5"),
        (lambda: TokenEmbedding(5, 2, 4)(LONG - 1, name="source"), "source must be between 0 and 4: got -1 to -1"),
        (lambda: TokenEmbedding(5, 2, 4)(LONG.float()), "tokens must hold integers: got torch.float32"),
        (lambda: TokenEmbedding(5, 2, 4)(LONG[0]), r"tokens must have the shape \(batch, length\): got \(4,\)"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
