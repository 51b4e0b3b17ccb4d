"""Positions: sinusoidal, learnt and rotary, since attention itself ignores the order.

The sinusoidal positional encoding and learnt positions are added to the embeddings of
tokens. The rotary position embedding rotates queries and keys, so that their inner
product depends on the distance between them.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dlbook._check import check_integer, check_last_axes, check_shape, check_whole

POSITIONS = ("learnt", "sinusoidal", "rotary", "none")


def rotary_frequencies(dim: int) -> Float[Tensor, " pairs"]:
    """Return the angle per position of each pair of numbers, in radians.

    Args:
        dim: numbers in a vector, twice the pairs.

    Returns:
        10000^(-2i / dim) for each i < dim / 2, from 1 down, in float64 on the host.

    Raises:
        ValueError: `dim` is odd or less than 2.
    """
    if dim < 2 or dim % 2:
        raise ValueError(f"dim must be even and at least 2, for pairs: got {dim}")
    exponents = torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim
    return 10_000.0**-exponents


def sinusoidal(
    length: int, dim: int, dtype: torch.dtype | None = None
) -> Float[Tensor, "length dim"]:
    """Return the sinusoidal positional encoding of each position.

    Args:
        length: number of positions, counted from 0.
        dim: numbers in a vector: sines and cosines of wavelengths from 2π upwards,
            the longest less than 20,000 π positions.
        dtype: of the result; PyTorch's default if not given.

    Raises:
        ValueError: `length` is negative, or `dim` odd or less than 2.

    Source: Vaswani et al. 2017, section 3.5; book equation (3.4.4a).
    """
    angles = _angles(length, dim)  # (length, dim / 2)
    waves = torch.stack([angles.sin(), angles.cos()], 2)  # (length, dim / 2, 2)
    return _to_default(waves.flatten(1), dtype)


class RotaryEmbedding(nn.Module):
    """Rotary position embedding: rotate pairs of numbers by angles that grow with t.

    The inner product of a rotated query and a rotated key depends on the distance of
    their positions t, and not on where they stand.

    Source: Su et al. 2021, section 3.2.2; book equation (3.4.4b).
    """

    def __init__(self, dim: int, max_length: int, dtype: torch.dtype | None = None):
        """Compute the tables of cosines and sines.

        Args:
            dim: numbers in a vector, those of one head.
            max_length: number of positions.
            dtype: of the tables; PyTorch's default if not given.

        Raises:
            ValueError: `dim` is odd or less than 2, or `max_length` is negative.
        """
        super().__init__()
        angles = _angles(max_length, dim)  # (max_length, dim / 2)
        cos, sin = _to_default(angles.cos(), dtype), _to_default(angles.sin(), dtype)
        self.cos = nn.Buffer(cos, persistent=False)
        self.sin = nn.Buffer(sin, persistent=False)

    def forward(
        self, x: Float[Tensor, "*batch length dim"], offset: int = 0
    ) -> Float[Tensor, "*batch length dim"]:
        """Return the rotated vectors.

        Args:
            x: a vector for each position.
            offset: the position of the first.

        Raises:
            ValueError: `x` has another dim, or positions outside 0 ... max_length - 1.
        """
        check_last_axes("x", x, "length", 2 * self.cos.shape[1])
        end = offset + x.shape[-2]
        _check_positions("x", offset, end, len(self.cos))
        cos, sin = self.cos[offset:end], self.sin[offset:end]  # (length, dim / 2)
        even, odd = x[..., 0::2], x[..., 1::2]  # (*batch, length, dim / 2)
        rotated = even * cos - odd * sin, even * sin + odd * cos
        return torch.stack(rotated, -1).flatten(-2)


class TokenEmbedding(nn.Module):
    """Embeddings of tokens, to which those of their positions are added."""

    positions: Tensor | None

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        max_length: int,
        positions: str = "learnt",
    ):
        """Create the embeddings.

        Args:
            vocab_size: number of tokens.
            dim: numbers in an embedding.
            max_length: the longest sequence.
            positions: "learnt" or "sinusoidal"; "rotary" and "none" add nothing here.
                With "sinusoidal", the embeddings of tokens are multiplied by √dim, as
                in the first Transformer: initially they are small beside the positions.

        Raises:
            ValueError: A size is less than 1, or `positions` is none of these.
        """
        super().__init__()
        check_whole(1, vocab_size=vocab_size, dim=dim, max_length=max_length)
        if positions not in POSITIONS:
            options = ", ".join(POSITIONS)
            raise ValueError(f"positions must be one of {options}: got {positions}")
        self.tokens, self.max_length = nn.Embedding(vocab_size, dim), max_length
        self.scale = math.sqrt(dim) if positions == "sinusoidal" else 1.0
        if positions == "learnt":
            self.positions = nn.Parameter(torch.randn(max_length, dim))
        elif positions == "sinusoidal":
            self.positions = nn.Buffer(sinusoidal(max_length, dim), persistent=False)
        else:
            self.positions = None

    def forward(
        self, tokens: Int[Tensor, "batch length"], offset: int = 0, name: str = "tokens"
    ) -> Float[Tensor, "batch length dim"]:
        """Return the embeddings of tokens at positions from `offset` on.

        Args:
            tokens: of any integer type.
            offset: the position of the first.
            name: what errors call the tokens.

        Raises:
            TypeError: `tokens` holds no integers.
            ValueError: `tokens` does not have the shape (batch, length), is longer than
                `max_length`, or, on the CPU, has one that is not below `vocab_size`.
        """
        check_integer(**{name: tokens})
        check_shape(name, tokens, "batch", "length")
        end = offset + tokens.shape[1]
        _check_positions(name, offset, end, self.max_length)
        x = self.scale * _look_up(name, self.tokens, tokens)
        return x if self.positions is None else x + self.positions[offset:end]


def _angles(length: int, dim: int) -> Float[Tensor, "length pairs"]:
    """Return position × frequency in float64, on the host: some devices lack it."""
    check_whole(0, length=length)
    positions = torch.arange(length, dtype=torch.float64, device="cpu")
    return positions[:, None] * rotary_frequencies(dim)


def _to_default(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Move a table to PyTorch's default device and a type, the default if not given."""
    return x.to(torch.get_default_device(), dtype or torch.get_default_dtype())


def _look_up(
    name: str, table: nn.Embedding, tokens: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length dim"]:
    """Return the embeddings of tokens; a GPU reports a wrong one itself, and late."""
    try:
        return table(tokens.long())
    except IndexError:
        rule = f"{name} must be between 0 and {table.num_embeddings - 1}"
        got = f"{int(tokens.min())} to {int(tokens.max())}"
        raise ValueError(f"{rule}: got {got}") from None


def _check_positions(name: str, offset: int, end: int, max_length: int) -> None:
    """Refuse positions for which there is no embedding."""
    check_whole(0, offset=offset)
    if end > max_length:
        raise ValueError(f"{name} must have at most {max_length} positions: got {end}")
