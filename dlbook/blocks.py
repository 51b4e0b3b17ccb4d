"""The parts of a Transformer: normalisation, feed-forward networks, blocks, stacks.

A block is self-attention, cross-attention if there is a memory, and a feed-forward
network, each in a residual connection. The state of a decoder that goes on step by
step is its key-value cache.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import check_floating, check_last_axes, check_shape, check_whole
from dlbook.attention import KeyValue, MultiHeadAttention, RotarySelfAttention
from dlbook.masks import causal_mask
from dlbook.network import Dropout, Elementwise

KVCache = tuple[KeyValue, ...]  # one for each block


class LayerNorm(nn.Module):
    """Layer normalisation: mean 0, variance 1 at each position, then scale and shift.

    Source: Ba, Kiros and Hinton 2016; book equation (3.4.4c).
    """

    def __init__(self, dim: int, eps: float = 1e-5):
        """Create the layer.

        Args:
            dim: numbers in a position.
            eps: added to the variance, against division by zero.
        """
        super().__init__()
        check_whole(1, dim=dim)
        self.weight, self.bias = (
            nn.Parameter(torch.ones(dim)),
            nn.Parameter(torch.zeros(dim)),
        )
        self.eps = eps

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Normalise each position by itself, whatever else is in the batch.

        Args:
            x: the positions.

        Raises:
            TypeError: `x` is not floating point.
            ValueError: `x` has another dim.
        """
        check_floating(x=x)
        check_last_axes("x", x, len(self.weight))
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return self.weight * centred / torch.sqrt(variance + self.eps) + self.bias


class FeedForward(nn.Module):
    """Position-wise feed-forward network: one hidden layer, the same at each position.

    Source: Vaswani et al. 2017, equation (2); book equation (3.4.4d).
    """

    def __init__(self, dim: int, hidden: int, activation: Elementwise = F.gelu):
        """Create the layers.

        Args:
            dim: numbers in a position.
            hidden: units of the hidden layer.
            activation: its nonlinearity.
        """
        super().__init__()
        check_whole(1, dim=dim, hidden=hidden)
        self.expand, self.contract = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.activation = activation

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return the output at each position, which depends on no other.

        Args:
            x: the positions.

        Raises:
            TypeError: `x` is not floating point.
            ValueError: `x` has another dim.
        """
        check_floating(x=x)
        check_last_axes("x", x, self.expand.in_features)
        return self.contract(self.activation(self.expand(x)))


class Residual(nn.Module):
    """Residual connection around a sublayer, with layer normalisation and dropout.

    Source: He et al. 2016; Xiong et al. 2020, table 1; book equations (3.4.4e) and
    (3.4.4f).
    """

    def __init__(
        self,
        dim: int,
        norm_first: bool = True,
        dropout: float = 0.0,
        fused: bool = False,
    ):
        """Create the norm.

        Args:
            dim: numbers in a position.
            norm_first: pre-norm, or post-norm if false.
            dropout: probability with which a number of the sublayer's output is zeroed
                in training.
            fused: whether PyTorch's own layer normalises.
        """
        super().__init__()
        self.norm = nn.LayerNorm(dim) if fused else LayerNorm(dim)
        self.norm_first, self.dropout = norm_first, Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "*batch dim"],
        sublayer: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "*batch dim"]:
        """Return x + sublayer(norm(x)) in pre-norm, norm(x + sublayer(x)) in post-norm.

        Args:
            x: the positions.
            sublayer: returns a tensor of the shape of its input.
        """
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


@dataclass(frozen=True)
class BlockSettings:
    """What can be chosen in a block of given dim and heads.

    Args:
        norm_first: pre-norm, or post-norm if false.
        dropout: probability with which numbers of each sublayer's output are zeroed in
            training.
        fused: whether PyTorch's own functions attend and normalise, which is faster.
        rotary_length: the longest sequence, if self-attention shall have a rotary
            position embedding.
        hidden: units of the feed-forward network, 4 dim if not given.
        activation: the nonlinearity of the feed-forward network.
    """

    norm_first: bool = True
    dropout: float = 0.0
    fused: bool = False
    rotary_length: int | None = None
    hidden: int | None = None
    activation: Elementwise = F.gelu


PRE_NORM = BlockSettings()  # as in GPT-2


class Block(nn.Module):
    """A block of a Transformer: self-attention, cross-attention, feed-forward network.

    Source: Vaswani et al. 2017, figure 1; book equations (3.4.4e) and (3.4.4f).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        settings: BlockSettings = PRE_NORM,
        cross: bool = False,
    ):
        """Create the layers.

        Args:
            dim: numbers in a position.
            heads: number of heads.
            settings: what else can be chosen.
            cross: whether there is cross-attention, to a memory such as a sentence that
                is to be translated.

        Raises:
            ValueError: `dim` is no multiple of `heads`, or another size is wrong.
        """
        super().__init__()
        self.attention = _self_attention(dim, heads, settings)
        self.cross = (
            MultiHeadAttention(dim, heads, fused=settings.fused) if cross else None
        )
        hidden = 4 * dim if settings.hidden is None else settings.hidden
        self.feed_forward = FeedForward(dim, hidden, settings.activation)
        self.residuals = nn.ModuleList(
            Residual(dim, settings.norm_first, settings.dropout, settings.fused)
            for _ in range(3 if cross else 2)
        )

    def forward(
        self,
        x: Float[Tensor, "batch length dim"],
        mask: Bool[Tensor, "*#batch #length #keys"] | None = None,
        kv_cache: KeyValue | None = None,
        memory: KeyValue | None = None,
        memory_mask: Bool[Tensor, "*#batch #length #sources"] | None = None,
    ) -> tuple[Float[Tensor, "batch length dim"], KeyValue]:
        """Return the output at each position, and the key-value cache with x included.

        Args:
            x: the positions.
            mask: True where a position may see another, earlier ones included.
            kv_cache: keys and values of earlier positions.
            memory: keys and values of another sequence, from `cross.project_kv`.
            memory_mask: True where a position may see the memory.

        Raises:
            ValueError: Shapes do not fit, or a memory is given without cross-attention,
                or none with it.
        """
        _check_memory(self.cross is not None, memory)
        kv: KeyValue

        def self_attention(y: Tensor) -> Tensor:
            nonlocal kv
            kv = self.attention.project_kv(y, kv_cache)
            return self.attention(y, kv, mask)

        x = self.residuals[0](x, self_attention)
        if self.cross is not None:
            x = self.residuals[1](x, lambda y: self.cross(y, memory, memory_mask))
        return self.residuals[-1](x, self.feed_forward), kv


class Stack(nn.Module):
    """Blocks on top of each other, with a norm behind the last of pre-norm blocks."""

    def __init__(
        self,
        layers: int,
        dim: int,
        heads: int,
        settings: BlockSettings = PRE_NORM,
        cross: bool = False,
    ):
        """Create the blocks.

        Args:
            layers: number of blocks.
            dim, heads, settings, cross: as in `Block`; the dropout of the settings is
                also applied to the input.

        Raises:
            ValueError: `layers` is less than 1, or a size is wrong.
        """
        super().__init__()
        check_whole(1, layers=layers)
        self.blocks: Any = nn.ModuleList(
            Block(dim, heads, settings, cross) for _ in range(layers)
        )
        self.norm = LayerNorm(dim) if settings.norm_first else nn.Identity()
        self.dropout = Dropout(settings.dropout)


class Encoder(Stack):
    """Encoder of a Transformer: each position sees all that the mask lets it see."""

    def forward(
        self,
        x: Float[Tensor, "batch length dim"],
        mask: Bool[Tensor, "*#batch #length #length"] | None = None,
    ) -> Float[Tensor, "batch length dim"]:
        """Return the output at each position.

        Args:
            x: the positions.
            mask: True where a position may see another, such as a padding mask.
        """
        x = self.dropout(x)
        for block in self.blocks:
            x, _ = block(x, mask)
        return self.norm(x)


class Decoder(Stack):
    """Decoder of a Transformer: a position sees itself, those before, and a memory."""

    def project_kv(self, memory: Float[Tensor, "batch sources dim"]) -> KVCache:
        """Return the keys and values of a memory for each block, once for all steps.

        Args:
            memory: the output of an encoder.

        Raises:
            ValueError: The decoder has no cross-attention.
        """
        _check_memory(self.blocks[0].cross is not None, memory)
        return tuple(block.cross.project_kv(memory) for block in self.blocks)

    def forward(
        self,
        x: Float[Tensor, "batch length dim"],
        kv_cache: KVCache = (),
        memory: KVCache = (),
        memory_mask: Bool[Tensor, "*#batch #length #sources"] | None = None,
    ) -> tuple[Float[Tensor, "batch length dim"], KVCache]:
        """Return the output at each position, and the key-value cache with x included.

        Args:
            x: the positions.
            kv_cache: keys and values of earlier positions, as this returned them.
            memory: what `project_kv` returned, in a decoder with cross-attention.
            memory_mask: True where a position may see the memory.

        Raises:
            ValueError: `kv_cache` or `memory` was made by a decoder of other shape.
        """
        check_shape("x", x, "batch", "length", "dim")
        caches = _for_each_block("kv_cache", kv_cache, self.blocks)
        memories = _for_each_block("memory", memory, self.blocks)
        mask = causal_mask(x.shape[1], _cached_length(kv_cache), x.device)
        x, state = self.dropout(x), []
        for block, before, beside in zip(self.blocks, caches, memories, strict=True):
            x, kv = block(x, mask, before, beside, memory_mask)
            state.append(kv)
        return self.norm(x), tuple(state)


def _self_attention(
    dim: int, heads: int, settings: BlockSettings
) -> MultiHeadAttention:
    """Return self-attention, with a rotary position embedding if it has a length."""
    if settings.rotary_length is None:
        return MultiHeadAttention(dim, heads, fused=settings.fused)
    length = settings.rotary_length
    return RotarySelfAttention(dim, heads, length, fused=settings.fused)


def _cached_length(kv_cache: KVCache) -> int:
    """Return the number of positions whose keys and values are cached."""
    return kv_cache[0][0].shape[2] if kv_cache else 0


def _for_each_block(name: str, kv: KVCache, blocks: nn.ModuleList) -> tuple[Any, ...]:
    """Return keys and values for each block, or None for each where there are none."""
    if kv and len(kv) != len(blocks):
        rule = f"{name} must hold keys and values for {len(blocks)} blocks"
        raise ValueError(f"{rule}: got {len(kv)}")
    return tuple(kv) or (None,) * len(blocks)


def _check_memory(cross: bool, memory: Tensor | KeyValue | None) -> None:
    """Refuse a memory that would be ignored, and cross-attention without one."""
    if cross and memory is None:
        raise ValueError("memory must be given for cross-attention: got None")
    if not cross and memory is not None:
        raise ValueError("memory must be None without cross-attention: got one")
