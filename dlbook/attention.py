"""Attention: every step asks, and averages what the others offer, weighted by how well they match.

A mask is True where a query may see a key. Heads are (batch, heads, steps, d): each attends by itself to its part of
the numbers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.positions import apply_rotary

KeyValue = tuple[Float[Tensor, "batch heads _ d"], Float[Tensor, "batch heads _ d"]]  # of any number of steps


def attend(
    query: Float[Tensor, "*batch queries d"],
    key: Float[Tensor, "*batch keys d"],
    value: Float[Tensor, "*batch keys v"],
    mask: Bool[Tensor, "*#batch #queries #keys"] | None = None,
) -> tuple[Float[Tensor, "*batch queries v"], Float[Tensor, "*batch queries keys"]]:
    """Average the values, weighted by how well each key matches the query.

    Args:
        mask: True where a query may see a key. One that may see none gets zeros, and passes no gradient on. What is
            hidden changes nothing, as long as it is finite.

    Returns:
        The averages, and the weights: at least 0, exactly 0 where the mask is False, with sum 1 over the rest.

    Source: Vaswani et al. 2017, equation (1); book equations (3.4.3a) to (3.4.3c).
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (*batch, queries, keys)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        lowest = torch.finfo(scores.dtype).min  # finite: a row of -∞ would become 0 / 0
        weights = scores.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0)
    return weights @ value, weights


def _check_heads(dim: int, heads: int, rotary: bool) -> None:
    """Refuse numbers that cannot be shared among the heads."""
    if min(dim, heads) < 1:
        raise ValueError(f"dim and heads must be at least 1: got {dim=}, {heads=}")
    if dim % heads:
        raise ValueError(f"dim must be a multiple of heads: got {dim=}, {heads=}")
    if rotary and dim // heads % 2:
        raise ValueError(f"dim / heads must be even for rotary positions, which take pairs: got {dim=}, {heads=}")


def _split_heads(x: Float[Tensor, "batch steps dim"], heads: int) -> Float[Tensor, "batch heads steps d"]:
    """Give each head its part of the numbers."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


class MultiHeadAttention(nn.Module):
    """Attend in several heads side by side, each to its own projection of the steps, and mix what they found.

    Source: Vaswani et al. 2017, section 3.2.2; book equation (3.4.3d).
    """

    def __init__(self, dim: int, heads: int, bias: bool = True, rotary: bool = False, fused: bool = False):
        """Make the projections.

        Args:
            dim: numbers in a step; each head has dim / heads of them.
            bias: whether the projections have one.
            rotary: turns queries and keys by their place. For self-attention only: across two sequences there is no
                distance.
            fused: lets PyTorch's own function attend, which is faster and never holds the weights as a whole.
        """
        super().__init__()
        _check_heads(dim, heads, rotary)
        self.heads, self.rotary, self.fused = heads, rotary, fused
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim, bias) for _ in range(4))

    def project_kv(self, x: Float[Tensor, "batch keys dim"], past: KeyValue | None = None) -> KeyValue:
        """Return the keys and values of steps, behind those of the past, which need not be computed again."""
        key, value = _split_heads(self.key(x), self.heads), _split_heads(self.value(x), self.heads)
        if self.rotary:
            key = apply_rotary(key, 0 if past is None else past[0].shape[2])
        if past is None:
            return key, value
        return torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)

    def project_query(self, x: Float[Tensor, "batch queries dim"], keys: int) -> Float[Tensor, "batch heads queries d"]:
        """Return the queries of steps, which are the last of so many keys."""
        query = _split_heads(self.query(x), self.heads)
        return apply_rotary(query, keys - x.shape[1]) if self.rotary else query

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        seen: KeyValue | None = None,
        mask: Bool[Tensor, "*#batch #queries #keys"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        """Let each step look at others.

        Args:
            seen: what `remember` made of the steps to look at: the x of another sequence in cross-attention, or past
                steps and x; if not given, x itself.
            mask: True where a query may see a key, for all heads or (batch, heads, queries, keys).
        """
        key, value = self.project_kv(x) if seen is None else seen
        query = self.project_query(x, key.shape[2])
        if self.fused:
            averages = F.scaled_dot_product_attention(query, key, value, mask)
        else:
            averages, _ = attend(query, key, value, mask)
        return self.output(averages.transpose(1, 2).flatten(2))  # heads side by side again: (batch, queries, dim)


@torch.no_grad()
def attention_weights(model: nn.Module, *inputs: Any) -> dict[str, Float[Tensor, "batch heads queries keys"]]:
    """Run a model, and return how the heads of each of its attention layers weighed the keys, by the layer's name."""
    weights = {}

    def watch(name: str) -> Callable[..., None]:
        def look(layer: Any, x: Tensor, seen: KeyValue | None = None, mask: Tensor | None = None) -> None:
            key, value = layer.project_kv(x) if seen is None else seen
            weights[name] = attend(layer.project_query(x, key.shape[2]), key, value, mask)[1]

        return lambda layer, arguments, _: look(layer, *arguments)

    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, MultiHeadAttention)}
    handles = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return weights
