"""Where a token stands: attention itself does not know, so positions are added to the tokens or turn queries and keys.

Sinusoidal positions are waves of many lengths, learnt ones a vector for each place, and rotary ones a rotation by an
angle that grows with the place, so that a query and a key compare by the distance between them.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

POSITIONS = ("learnt", "sinusoidal", "rotary", "none")


def rotary_frequencies(dim: int) -> Float[Tensor, " pairs"]:
    """Return how many radians one step turns each pair of numbers: from 1 down towards 1/10,000, in float64."""
    if dim < 2 or dim % 2:
        raise ValueError(f"dim must be even and at least 2, since positions take numbers in pairs: got {dim}")
    return 10_000.0 ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def sinusoidal(length: int, dim: int, dtype: torch.dtype | None = None) -> Float[Tensor, "steps dim"]:
    """Describe each place by sines and cosines of waves, the shortest 2π steps long, the longest less than 20,000 π.

    Source: Vaswani et al. 2017, section 3.5; book equation (3.4.4a).
    """
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rotary_frequencies(dim)  # (steps, dim / 2)
    waves = torch.stack([angles.sin(), angles.cos()], 2)  # (steps, dim / 2, 2)
    return waves.flatten(1).to(dtype or torch.get_default_dtype())


def apply_rotary(x: Float[Tensor, "*batch steps d"], offset: int = 0) -> Float[Tensor, "*batch steps d"]:
    """Turn each pair of numbers in a vector by an angle that grows with its place; `offset` is the first one's.

    The inner product of a turned query and a turned key depends on their distance, not on where they stand.

    Source: Su et al. 2021, section 3.2.2; book equation (3.4.4b).
    """
    places = torch.arange(offset, offset + x.shape[-2], dtype=torch.float64)
    angles = places[:, None] * rotary_frequencies(x.shape[-1])  # (steps, d / 2)
    cos, sin = angles.cos().to(x), angles.sin().to(x)  # computed on the CPU: not every device has float64
    even, odd = x[..., 0::2], x[..., 1::2]  # (*batch, steps, d / 2) each
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class TokenEmbedding(nn.Module):
    """Turn tokens into vectors that also tell where they stand."""

    places: Tensor | None

    def __init__(self, vocab_size: int, dim: int, max_length: int, positions: str = "learnt", scaled: bool = False):
        """Make the vectors.

        Args:
            vocab_size: how many tokens there are.
            max_length: the longest sequence.
            positions: "learnt", "sinusoidal", or "rotary" and "none", which add nothing here.
            scaled: multiplies the tokens' vectors by √dim, as in the first Transformer, where they are small since
                the output has the same.
        """
        super().__init__()
        if min(vocab_size, dim, max_length) < 1:
            raise ValueError(f"vocab_size, dim and max_length must be at least 1: got {vocab_size=}, {dim=}, {max_length=}")
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}: got {positions}")
        self.max_length, self.scale = max_length, math.sqrt(dim) if scaled else 1.0
        self.tokens = nn.Embedding(vocab_size, dim)
        self.register_buffer("places", sinusoidal(max_length, dim) if positions == "sinusoidal" else None, persistent=False)
        if positions == "learnt":
            self.places = nn.Parameter(torch.randn(max_length, dim))

    def forward(self, tokens: Int[Tensor, "batch steps"], offset: int = 0) -> Float[Tensor, "batch steps dim"]:
        """Look up the vectors of tokens, the first of which stands at `offset`.

        Errors: ValueError if a sequence is longer than those that the positions were made for.
        """
        end = offset + tokens.shape[1]
        if end > self.max_length:
            raise ValueError(f"tokens must have at most {self.max_length} max_length: got {end}")
        x = self.scale * self.tokens(tokens)
        return x if self.places is None else x + self.places[offset:end]
