"""Scaled dot-product attention, in one head and in several.

A mask is True where a query may see a key. The parts of heads have the shape (batch,
heads, length, d): each head attends by itself, to its own d numbers of each position.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_floating,
    check_last_axes,
    check_mask,
    check_shape,
    check_whole,
)
from dlbook.positions import RotaryEmbedding

# Keys and values, of any number of positions: a cache holds more than x
KeyValue = tuple[Float[Tensor, "batch heads _ d"], Float[Tensor, "batch heads _ d"]]


def attend(
    query: Float[Tensor, "*batch queries d"],
    key: Float[Tensor, "*batch keys d"],
    value: Float[Tensor, "*batch keys v"],
    mask: Bool[Tensor, "*#batch #queries #keys"] | None = None,
) -> tuple[Float[Tensor, "*batch queries v"], Float[Tensor, "*batch queries keys"]]:
    """Scaled dot-product attention: average the values, weighted by query and key.

    Args:
        query: what each position looks for.
        key: what each position is compared by.
        value: what each position offers.
        mask: True where a query may see a key. A query that may see none gets zeros and
            passes no gradient on. What is hidden changes nothing, if it is finite.

    Returns:
        The averages, and the weights: at least 0, exactly 0 where the mask is False,
        with sum 1 over the rest. Scores of half precision are computed in float32.

    Raises:
        TypeError: A tensor is not floating point, or the mask not bool.
        ValueError: Shapes do not fit; only the mask may be broadcast.

    Source: Vaswani et al. 2017, equation (1); book equations (3.4.3a) to (3.4.3c).
    """
    _check_attend(query, key, value, mask)
    exact = torch.promote_types(query.dtype, torch.float32)  # float16 ends at 65,504
    query, key = query.to(exact) / math.sqrt(query.shape[-1]), key.to(exact)
    scores = query @ key.transpose(-2, -1)  # (*batch, queries, keys)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        hidden = ~mask & mask.any(-1, keepdim=True)  # a row of -∞ would become 0 / 0
        weights = scores.masked_fill(hidden, -math.inf).softmax(-1)
        weights = weights.masked_fill(~mask, 0)
    weights = weights.to(value.dtype)
    return weights @ value, weights


class MultiHeadAttention(nn.Module):
    """Multi-head attention: attend in several heads side by side, and mix the results.

    Source: Vaswani et al. 2017, section 3.2.2; book equation (3.4.3d).
    """

    def __init__(self, dim: int, heads: int, bias: bool = True, fused: bool = False):
        """Create the projections.

        Args:
            dim: numbers in a position; each head has dim / heads of them.
            heads: number of heads.
            bias: whether the projections have one.
            fused: whether PyTorch's own function attends, which is faster and never
                holds all weights at once.

        Raises:
            ValueError: `dim` is no multiple of `heads`, or one of them less than 1.
        """
        super().__init__()
        _check_heads(dim, heads)
        self.heads, self.fused = heads, fused
        layers = (nn.Linear(dim, dim, bias) for _ in range(4))
        self.query, self.key, self.value, self.output = layers

    def project_kv(
        self, x: Float[Tensor, "batch length dim"], kv_cache: KeyValue | None = None
    ) -> KeyValue:
        """Return the keys and values of x, behind those of earlier positions.

        Args:
            x: the positions to be looked at.
            kv_cache: keys and values of the positions before x, as this returned them.

        Raises:
            TypeError: `x` is not floating point, or `kv_cache` no pair of tensors.
            ValueError: Shapes do not fit.
        """
        key, value = (_project(part, x, self.heads) for part in (self.key, self.value))
        return _append(kv_cache, key, value)

    def project_query(
        self, x: Float[Tensor, "batch queries dim"], offset: int = 0
    ) -> Float[Tensor, "batch heads queries d"]:
        """Return the queries of x.

        Args:
            x: the positions that look at others.
            offset: the position of the first; without rotary positions it is ignored.
        """
        return _project(self.query, x, self.heads)

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        kv: KeyValue | None = None,
        mask: Bool[Tensor, "*#batch #queries #keys"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        """Return what each position of x finds.

        Args:
            x: the positions that look at others.
            kv: keys and values of the positions to look at, from `project_kv`: of
                another sequence in cross-attention, or of earlier positions and x; if
                not given, of x itself.
            mask: True where a query may see a key, for all heads alike or of the shape
                (batch, heads, queries, keys).

        Raises:
            TypeError: `x` is not floating point, `kv` no pair of tensors, or the mask
                not bool.
            ValueError: Shapes do not fit.
        """
        check_shape("x", x, "batch", "queries", self.query.in_features)
        kv = self.project_kv(x) if kv is None else kv
        batch, queries, dim = x.shape
        keys = _count_keys("kv", kv, batch, self.heads, queries, dim // self.heads)
        query = self.project_query(x, keys - queries)
        check_mask("mask", mask, *query.shape[:3], keys)
        if self.fused:
            averages = F.scaled_dot_product_attention(query, *kv, mask)
        else:
            averages, _ = attend(query, *kv, mask)
        return self.output(averages.transpose(1, 2).flatten(2))  # (batch, queries, dim)


class RotarySelfAttention(MultiHeadAttention):
    """Multi-head self-attention with a rotary position embedding of queries and keys.

    For one sequence only: between two there is no distance.

    Source: Su et al. 2021, section 3.2.2.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        max_length: int,
        bias: bool = True,
        fused: bool = False,
    ):
        """Create the projections and the table of rotations.

        Args:
            dim, heads, bias, fused: as in `MultiHeadAttention`.
            max_length: the longest sequence.

        Raises:
            ValueError: `dim` is no multiple of `heads`, or dim / heads is odd.
        """
        super().__init__(dim, heads, bias, fused)
        if dim // heads % 2:
            rule = "dim / heads must be even for rotary positions, which rotate pairs"
            raise ValueError(f"{rule}: got {dim=}, {heads=}")
        self.rotary = RotaryEmbedding(dim // heads, max_length)

    def project_kv(
        self, x: Float[Tensor, "batch length dim"], kv_cache: KeyValue | None = None
    ) -> KeyValue:
        """Return the rotated keys and the values of x, behind those before it.

        Args:
            x: the positions to be looked at.
            kv_cache: keys and values of the positions before x, as this returned them.

        Raises:
            TypeError: `x` is not floating point, or `kv_cache` no pair of tensors.
            ValueError: Shapes do not fit, or positions exceed `max_length`.
        """
        key, value = super().project_kv(x)
        offset = _count_keys("kv_cache", kv_cache, *key.shape)
        return _append(kv_cache, self.rotary(key, offset), value)

    def project_query(
        self, x: Float[Tensor, "batch queries dim"], offset: int = 0
    ) -> Float[Tensor, "batch heads queries d"]:
        """Return the rotated queries of x.

        Args:
            x: the positions that look at others.
            offset: the position of the first.
        """
        return self.rotary(super().project_query(x), offset)


@torch.no_grad()
def attention_weights(
    model: nn.Module, *inputs: Any
) -> dict[str, Float[Tensor, "batch heads queries keys"]]:
    """Run a model, and return the weights of each of its attention layers.

    Args:
        model: holds `MultiHeadAttention` layers.
        inputs: what the model is called with.

    Returns:
        The weights of each layer, by its name in the model.
    """
    weights = {}

    def watch(name: str) -> Callable[..., None]:
        def look(
            layer: Any,
            x: Tensor,
            kv: KeyValue | None = None,
            mask: Tensor | None = None,
        ) -> None:
            key, value = layer.project_kv(x) if kv is None else kv
            query = layer.project_query(x, key.shape[2] - x.shape[1])
            weights[name] = attend(query, key, value, mask)[1]

        return lambda layer, given, named, _: look(layer, *given, **named)

    handles = [
        layer.register_forward_hook(watch(name), with_kwargs=True)
        for name, layer in model.named_modules()
        if isinstance(layer, MultiHeadAttention)
    ]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return weights


def _project(
    layer: nn.Linear, x: Float[Tensor, "batch length dim"], heads: int
) -> Float[Tensor, "batch heads length d"]:
    """Project positions, and split the numbers of each among the heads."""
    check_floating(x=x)
    check_shape("x", x, "batch", "length", layer.in_features)
    return layer(x).unflatten(2, (heads, -1)).transpose(1, 2)


def _append(kv_cache: KeyValue | None, key: Tensor, value: Tensor) -> KeyValue:
    """Append keys and values to those of earlier positions."""
    if kv_cache is None:
        return key, value
    _count_keys("kv_cache", kv_cache, *key.shape)
    return torch.cat([kv_cache[0], key], 2), torch.cat([kv_cache[1], value], 2)


def _count_keys(name: str, kv: Any, batch_size: int, heads: int, _: int, d: int) -> int:
    """Return the number of keys; refuse what is no pair of keys and values alike."""
    if kv is None:
        return 0
    if not isinstance(kv, (tuple, list)) or len(kv) != 2:
        got = type(kv).__name__
        raise TypeError(f"{name} must be a pair of keys and values: got {got}")
    check_shape(name, kv[0], batch_size, heads, "keys", d)
    check_shape(name, kv[1], *kv[0].shape)
    return kv[0].shape[2]


def _check_attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> None:
    """Refuse tensors that do not belong together; only the mask may be broadcast."""
    check_floating(query=query, key=key, value=value)
    check_last_axes("query", query, "queries", "d")
    *batch, queries, d = query.shape
    check_shape("key", key, *batch, "keys", d)
    keys = key.shape[-2]
    check_shape("value", value, *batch, keys, "v")
    check_mask("mask", mask, *batch, queries, keys)


def _check_heads(dim: int, heads: int) -> None:
    """Refuse numbers that cannot be split among the heads."""
    check_whole(1, dim=dim, heads=heads)
    if dim % heads:
        raise ValueError(f"dim must be a multiple of heads: got {dim=}, {heads=}")
