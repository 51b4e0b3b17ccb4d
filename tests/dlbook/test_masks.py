"""Masks: True where something may be seen, whatever the type of the integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.masks import causal_mask, length_mask, padding_mask
from tests.helpers.inputs import assert_refused, assert_right_or_refused, other_shapes, other_types
from tests.helpers.references import reference

TOKENS, LENGTHS = torch.tensor([[5, 3, 0], [0, 0, 0]]), torch.tensor([3, 1, 0])


def test_causal_mask():
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert causal_mask(2, offset=1).tolist() == [[True, True, False], [True, True, True]]
    assert causal_mask(1, offset=3).tolist() == [[True] * 4]
    assert causal_mask(0, offset=3).shape == (0, 3)


@reference("dlbook.masks.causal_mask", to="torch.nn.Transformer.generate_square_subsequent_mask")
def test_the_causal_mask_equals_torchs():
    theirs = torch.nn.Transformer.generate_square_subsequent_mask(6)  # minus infinity is added to what is hidden
    assert torch.equal(causal_mask(6), theirs == 0)


@given(length=st.integers(0, 6), offset=st.integers(0, 6))
def test_a_cache_takes_rows_of_the_whole_mask(length, offset):
    assert torch.equal(causal_mask(length, offset), causal_mask(offset + length)[offset:])


def test_padding_mask():
    assert padding_mask(TOKENS).tolist() == [[[[True, True, False]]], [[[False] * 3]]]
    assert padding_mask(TOKENS[:1], pad=3).tolist() == [[[[True, False, True]]]]


def test_length_mask():
    assert length_mask(LENGTHS, 3).tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert length_mask(LENGTHS, 0).shape == (3, 0)


def test_other_types(unchecked):
    for other in other_types(TOKENS):
        assert_right_or_refused(padding_mask, {"tokens": TOKENS}, "tokens", other)
        assert torch.equal(padding_mask(other, 300), padding_mask(TOKENS, 300))
    for other in other_types(LENGTHS):
        assert_right_or_refused(length_mask, {"lengths": LENGTHS, "length": 4}, "lengths", other)
    for other in (TOKENS.float(), TOKENS.bool(), TOKENS.tolist(), TOKENS[0], TOKENS[None]):
        assert_refused(padding_mask, {}, "tokens", other)
    for other in (LENGTHS.float(), LENGTHS.bool(), LENGTHS.tolist(), *(o for o in other_shapes(LENGTHS) if o.ndim > 1)):
        assert_refused(length_mask, {"length": 3}, "lengths", other)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: causal_mask(-1), "length must be at least 0: got -1"),
        (lambda: causal_mask(1, -1), "offset must be at least 0: got -1"),
        (lambda: causal_mask(1.0), "length must be a whole number: got 1.0"),
        (lambda: length_mask(LENGTHS, -1), "length must be at least 0: got -1"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_masks_are_where_they_are_needed():
    assert causal_mask(2, device="meta").is_meta
    assert padding_mask(TOKENS.to("meta")).is_meta and length_mask(LENGTHS.to("meta"), 3).is_meta
