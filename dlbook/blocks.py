"""What a Transformer is made of: layer normalisation, dense layers, blocks of these and attention, and stacks."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.attention import KeyValue, MultiHeadAttention
from dlbook.masks import causal_mask
from dlbook.network import Dropout, Elementwise

KVCache = tuple[KeyValue, ...]  # one for each block


class LayerNorm(nn.Module):
    """Give each step mean 0 and variance 1 over its numbers, then a learnt scale and shift.

    Source: Ba, Kiros and Hinton 2016; book equation (3.4.4c).
    """

    def __init__(self, dim: int, eps: float = 1e-5):
        """Make the layer; `eps` is added to the variance."""
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Normalise each step by itself, whatever else is in the batch."""
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return self.weight * centred / torch.sqrt(variance + self.eps) + self.bias


class FeedForward(nn.Module):
    """A network with one hidden layer, the same for each step, which sees no other step.

    Source: Vaswani et al. 2017, equation (2); book equation (3.4.4d).
    """

    def __init__(self, dim: int, hidden: int, activation: Elementwise = F.gelu):
        """Make the layers, of `hidden` units and of `dim`."""
        super().__init__()
        self.expand, self.contract = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.activation = activation

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Widen each step, bend it, and make it narrow again."""
        return self.contract(self.activation(self.expand(x)))


class Residual(nn.Module):
    """What stands around each part of a block: its result is added to its input, with a norm before or after.

    Source: He et al. 2016; Xiong et al. 2020, table 1; book equations (3.4.4e) and (3.4.4f).
    """

    def __init__(self, dim: int, norm_first: bool = True, dropout: float = 0.0, fused: bool = False):
        """Make the norm; the arguments are those of `Block`."""
        super().__init__()
        self.norm = nn.LayerNorm(dim) if fused else LayerNorm(dim)
        self.norm_first, self.dropout = norm_first, Dropout(dropout)

    def enter(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return what goes into the part."""
        return self.norm(x) if self.norm_first else x

    def leave(self, x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Add y, what the part made of x."""
        x = x + self.dropout(y)
        return x if self.norm_first else self.norm(x)


class Block(nn.Module):
    """Steps look at each other, with `cross` also at a memory, and then each thinks for itself.

    Source: Vaswani et al. 2017, figure 1; book equations (3.4.4e) and (3.4.4f).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int | None = None,
        activation: Elementwise = F.gelu,
        cross: bool = False,
        rotary: bool = False,
        fused: bool = False,
        **options: Any,
    ):
        """Make the layers.

        Args:
            hidden: units of the dense layer inside, 4 dim if not given.
            cross: whether there is a memory, such as a sentence to translate.
            rotary, fused: as in `MultiHeadAttention`; `fused` also lets PyTorch normalise.
            options: of `Residual`: `norm_first` (default) normalises what goes into each part (pre-norm), else the sum
                is normalised (post-norm); `dropout` is the probability that a number of the part is silenced, in
                training, before it is added.
        """
        super().__init__()
        self.attention = MultiHeadAttention(dim, heads, rotary=rotary, fused=fused)
        self.cross: Any = MultiHeadAttention(dim, heads, fused=fused) if cross else None
        self.feed_forward = FeedForward(dim, hidden or 4 * dim, activation)
        self.around: Any = nn.ModuleList(Residual(dim, fused=fused, **options) for _ in range(2 + cross))

    def forward(
        self,
        x: Float[Tensor, "batch steps dim"],
        mask: Bool[Tensor, "*#batch #steps #keys"] | None = None,
        past: KeyValue | None = None,
        memory: KeyValue | None = None,
        memory_mask: Bool[Tensor, "*#batch #steps #sources"] | None = None,
    ) -> tuple[Float[Tensor, "batch steps dim"], KeyValue]:
        """Return the steps as the block leaves them, and the keys and values that later steps will look at.

        Args:
            mask: True where a step may see another, past ones included.
            past: keys and values of earlier steps.
            memory: what `cross.remember` made of another sequence.
            memory_mask: True where a step may see the memory.
        """
        first, *second, last = self.around
        a = first.enter(x)
        seen = self.attention.project_kv(a, past)
        x = first.leave(x, self.attention(a, seen, mask))
        for around in second:
            x = around.leave(x, self.cross(around.enter(x), memory, memory_mask))
        return last.leave(x, self.feed_forward(last.enter(x))), seen


class Stack(nn.Module):
    """Blocks, one upon the other; what the last pre-norm block leaves is not normalised, so a norm follows it."""

    def __init__(
        self, layers: int, dim: int, heads: int, norm_first: bool = True, dropout: float = 0.0, **options: Any
    ):
        """Make the blocks; the options are those of `Block`, and `dropout` silences numbers of what comes in, too."""
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1: got {layers}")
        options |= {"norm_first": norm_first, "dropout": dropout}
        self.blocks: Any = nn.ModuleList(Block(dim, heads, **options) for _ in range(layers))
        self.norm = LayerNorm(dim) if norm_first else nn.Identity()
        self.dropout = Dropout(dropout)


class Encoder(Stack):
    """Read a sequence in both directions at once."""

    def forward(
        self, x: Float[Tensor, "batch steps dim"], mask: Bool[Tensor, "*#batch #steps #steps"] | None = None
    ) -> Float[Tensor, "batch steps dim"]:
        """Return each step as all that the mask lets it see have changed it."""
        x = self.dropout(x)
        for block in self.blocks:
            x, _ = block(x, mask)
        return self.norm(x)


class Decoder(Stack):
    """Read a sequence from left to right, and with `cross=True` a memory beside it."""

    def project_kv(self, memory: Float[Tensor, "batch sources dim"]) -> KVCache:
        """Return the keys and values of a memory for each block, computed once for all steps."""
        return tuple(block.cross.project_kv(memory) for block in self.blocks)

    def forward(
        self,
        x: Float[Tensor, "batch steps dim"],
        past: KVCache = (),
        memory: KVCache = (),
        memory_mask: Bool[Tensor, "*#batch #steps #sources"] | None = None,
    ) -> tuple[Float[Tensor, "batch steps dim"], KVCache]:
        """Return each step as it and those before it have changed it, and the keys and values of them all.

        Args:
            past: keys and values of earlier steps, as this returned them.
            memory: what `remember` returned.
            memory_mask: True where a step may see the memory.
        """
        mask, none = causal_mask(x.shape[1], _cached_length(past), x.device), (None,) * len(self.blocks)
        x, state = self.dropout(x), []
        for block, before, beside in zip(self.blocks, past or none, memory or none, strict=True):
            x, seen = block(x, mask, before, beside, memory_mask)
            state.append(seen)
        return self.norm(x), tuple(state)


def _cached_length(state: KVCache) -> int:
    """Count the steps whose keys and values a state holds."""
    return state[0][0].shape[2] if state else 0
