"""Positions: waves as printed, rotations equal to complex multiplication, and what an embedding adds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.positions import TokenEmbedding, apply_rotary, rotary_frequencies, sinusoidal
from tests.helpers.equations import equation
from tests.helpers.references import assert_same, random, tensor

# --- sinusoidal -------------------------------------------------------------------------------------------------------


def wave(t, k, dim, exchange=False, shift=0):
    """Describe place t by its number k: a sine if k = 2i, a cosine if k = 2i + 1; both count from 0."""
    i = k // 2
    angle = (t + shift) / 10_000 ** (2 * i / dim)
    return math.cos(angle) if (k % 2 == 1) != exchange else math.sin(angle)


@equation(
    "3.4.4a",
    "dlbook.positions.sinusoidal",
    wave,
    lambda t, k, dim: wave(t, k, dim, exchange=True),  # sine and cosine exchanged
    lambda t, k, dim: wave(t, k, dim, shift=1),  # places counted from 1
    lambda t, k, dim: (
        math.sin(t / 10_000 ** (k / dim)) if k % 2 == 0 else math.cos(t / 10_000 ** (k / dim))
    ),  # k for 2i
    lambda t, k, dim: wave(t, k, 2 * dim),  # the exponent halved
)
def test_sinusoidal_positions_as_printed(formula):
    for steps, dim in ((1, 2), (7, 6), (30, 4)):
        expected = tensor([[formula(t, k, dim) for k in range(dim)] for t in range(steps)])
        assert_close(sinusoidal(steps, dim, torch.float64), expected)


def test_distances_are_the_same_everywhere():
    waves = sinusoidal(60, 16, torch.float64)
    products = waves @ waves.T
    for distance in range(20):
        assert_close(products.diagonal(distance), products[0, distance].expand(60 - distance))
    assert sinusoidal(3, 4).dtype == torch.float32


# --- rotary -----------------------------------------------------------------------------------------------------------


@given(steps=st.integers(0, 5), pairs=st.integers(1, 4), start=st.integers(0, 1000))
def test_rotations_are_complex_products(steps, pairs, start):
    def turned(x):
        angles = torch.arange(start, start + steps)[:, None] * rotary_frequencies(2 * pairs)
        turns = torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns).flatten(-2)

    torch.manual_seed(0)
    assert_same(lambda x: apply_rotary(x, start), turned, random(2, 3, steps, 2 * pairs))


def rotation(x, t, dim, sign=1, halves=False, base=10_000):
    """Turn each pair (x[2i], x[2i + 1]) by the angle t / 10000^(2i / dim)."""
    y = [0.0] * dim
    for i in range(dim // 2):
        a, b = (i, i + dim // 2) if halves else (2 * i, 2 * i + 1)
        angle = t * base ** (-2 * i / dim)
        y[a] = x[a] * math.cos(angle) - sign * x[b] * math.sin(angle)
        y[b] = sign * x[a] * math.sin(angle) + x[b] * math.cos(angle)
    return y


@equation(
    "3.4.4b",
    "dlbook.positions.apply_rotary",
    rotation,
    lambda x, t, dim: rotation(x, t, dim, sign=-1),  # the other way round
    lambda x, t, dim: rotation(x, t, dim, halves=True),  # other pairs
    lambda x, t, dim: rotation(x, t + 1, dim),  # an index shift
    lambda x, t, dim: rotation(x, t, dim, base=1),  # the same angle for all pairs
)
def test_rotary_positions_as_printed(formula):
    torch.manual_seed(0)
    for dim in (2, 6):
        x = random(4, dim)
        expected = tensor([formula(x[n].tolist(), 3 + n, dim) for n in range(4)])
        assert_close(apply_rotary(x, offset=3), expected)


@given(first=st.integers(0, 500), other=st.integers(0, 500), distance=st.integers(0, 50), seed=st.integers(0, 9))
def test_turned_vectors_compare_by_their_distance(first, other, distance, seed):
    torch.manual_seed(seed)
    query, key = random(1, 8), random(1, 8)
    products = [(apply_rotary(query, t + distance) * apply_rotary(key, t)).sum() for t in (first, other)]
    assert_close(products[0], products[1])
    assert_close(apply_rotary(query, first).norm(), query.norm())


def test_other_distances_compare_otherwise():
    torch.manual_seed(0)
    query, key = random(1, 8), random(1, 8)
    assert (apply_rotary(query, 5) * apply_rotary(key, 2) - apply_rotary(query, 2) * apply_rotary(key, 5)).sum().abs() > 0.01


# --- embedding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learnt", "sinusoidal", "rotary", "none"])
@pytest.mark.parametrize("scaled", [False, True])
def test_an_embedding_adds_positions(positions, scaled):
    torch.manual_seed(0)
    embedding, tokens = TokenEmbedding(10, 6, 8, positions, scaled), torch.randint(10, (2, 5))
    words = nn.functional.embedding(tokens, embedding.tokens.weight) * (math.sqrt(6) if scaled else 1)
    places = {"learnt": embedding.places, "sinusoidal": sinusoidal(8, 6)}.get(positions, torch.zeros(8, 6))
    assert_close(embedding(tokens), words + places[:5])
    assert_close(embedding(tokens[:, 2:], start=2), (words + places[:5])[:, 2:])
    learnt = {"tokens.weight", "places"} if positions == "learnt" else {"tokens.weight"}
    assert {name for name, _ in embedding.named_parameters()} == learnt == set(embedding.state_dict())


def test_positions_follow_the_model():
    assert TokenEmbedding(3, 2, 4, "sinusoidal").double().places.dtype == torch.float64


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sinusoidal(3, 5), "dim must be even and at least 2, since positions take numbers in pairs: got 5"),
        (lambda: apply_rotary(random(2, 3)), "dim must be even .*: got 3"),
        (lambda: rotary_frequencies(0), "at least 2.*: got 0"),
        (lambda: TokenEmbedding(0, 2, 3), "vocabulary, dim and steps must be at least 1: got vocabulary=0, dim=2, steps=3"),
        (lambda: TokenEmbedding(1, 0, 3), "dim=0"),
        (lambda: TokenEmbedding(1, 2, 0), "steps=0"),
        (lambda: TokenEmbedding(1, 2, 3, "absolute"), "one of learnt, sinusoidal, rotary, none: got absolute"),
        (lambda: TokenEmbedding(1, 3, 3, "sinusoidal"), "dim must be even"),
        (lambda: TokenEmbedding(5, 2, 3)(torch.zeros(1, 4, dtype=torch.long)), "tokens must have at most 3 steps: got 4"),
        (lambda: TokenEmbedding(5, 2, 3, "rotary")(torch.zeros(1, 1, dtype=torch.long), 3), "at most 3 steps: got 4"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
