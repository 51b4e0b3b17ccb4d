"""Masks of padding and of the future: True where something may be seen."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dlbook._check import check_integer, check_shape, check_whole


def causal_mask(
    length: int, offset: int = 0, device: torch.device | str | None = None
) -> Bool[Tensor, "queries keys"]:
    """Return the causal mask: each position sees itself and those before it.

    Args:
        length: number of queries.
        offset: number of earlier positions whose keys are cached; they come first.
        device: where the mask is needed; PyTorch's default if not given.

    Returns:
        The mask of `length` queries and `offset + length` keys.

    Raises:
        TypeError: `length` or `offset` is no whole number.
        ValueError: One of them is negative.

    Source: book equation (3.4.3c).
    """
    check_whole(0, length=length, offset=offset)
    ones = torch.ones(length, offset + length, dtype=torch.bool, device=device)
    return ones.tril(offset)


def padding_mask(
    tokens: Int[Tensor, "batch keys"], pad: int = 0
) -> Bool[Tensor, "batch 1 1 keys"]:
    """Return the padding mask: all heads and queries see the tokens but padding.

    Args:
        tokens: of any integer type.
        pad: the token that fills short sequences.

    Returns:
        The mask, with axes of size 1 for heads and queries.

    Raises:
        TypeError: `tokens` holds no integers.
        ValueError: `tokens` does not have the shape (batch, keys).
    """
    check_integer(tokens=tokens)
    check_shape("tokens", tokens, "batch", "keys")
    return (tokens != pad)[:, None, None]


def length_mask(
    lengths: Int[Tensor, " batch"], length: int
) -> Bool[Tensor, "batch length"]:
    """Return the mask of padded sequences: True for their own positions.

    Args:
        lengths: of the sequences, without padding.
        length: of the padded sequences; longer ones are True throughout.

    Returns:
        The mask: False for padding.

    Raises:
        TypeError: `lengths` holds no integers.
        ValueError: `lengths` does not have the shape (batch,), or `length` is negative.
    """
    check_integer(lengths=lengths)
    check_shape("lengths", lengths, "batch")
    check_whole(0, length=length)
    return torch.arange(length, device=lengths.device) < lengths[:, None]
