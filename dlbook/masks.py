"""Masks of padding and of the future: True where something may be seen."""

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor


def causal_mask(length: int, offset: int = 0, device: torch.device | None = None) -> Bool[Tensor, "steps keys"]:
    """Let each step see itself and what came before it: `offset` earlier steps, then the steps that ask.

    Source: book equation (3.4.3c).
    """
    return torch.ones(length, offset + length, dtype=torch.bool, device=device).tril(offset)


def padding_mask(tokens: Int[Tensor, "batch keys"], pad: int = 0) -> Bool[Tensor, "batch 1 1 keys"]:
    """Let all heads and queries see the tokens that are not padding."""
    return (tokens != pad)[:, None, None]


def length_mask(lengths: Int64[Tensor, " batch"], length: int) -> Bool[Tensor, "batch steps"]:
    """Give the mask of padded sequences: True for a step of the sequence itself, False for padding."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]
