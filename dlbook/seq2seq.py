"""A recurrent translator: an encoder reads the source both ways, a decoder attends to it and writes the target.

Sentences are (batch, steps) numbers of words, filled up with the number of no word, `pad`, after their end.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlbook.attention import attend
from dlbook.forecast import as_torch
from dlbook.language import ScaledEmbedding
from dlbook.network import Dense, Dropout, glorot_uniform_
from dlbook.recurrent import GRUCell, Recurrent

# What the decoder's GRU keeps, (batch, hidden), the memory, (batch, sources, width), and where that is no padding.
DecoderState = tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch sources width"], Bool[Tensor, "batch sources"]]


class AdditiveAttention(nn.Module):
    """Average the memory, weighted by a small network that scores how well each step of it matches a state.

    Source: Bahdanau, Cho and Bengio 2015, appendix A.1.2; book equations (3.4.6b) and (3.4.6c).
    """

    def __init__(self, hidden: int, width: int):
        """Make the weights, for states of width `hidden` and a memory of width `width`."""
        super().__init__()
        self.of_state = Dense(hidden, hidden, glorot_uniform_)  # W s + b
        self.of_memory = nn.Parameter(torch.empty(hidden, width))  # U
        self.v = nn.Parameter(torch.empty(1, hidden))
        glorot_uniform_(self.of_memory)
        glorot_uniform_(self.v)

    def forward(
        self,
        states: Float[Tensor, "batch targets hidden"],
        memory: Float[Tensor, "batch sources width"],
        mask: Bool[Tensor, "batch 1 sources"],
    ) -> tuple[Float[Tensor, "batch targets width"], Float[Tensor, "batch targets sources"]]:
        """Return what each state attends to, and the weights, which are zero in the padding."""
        pairs = self.of_state(states)[:, :, None] + (memory @ self.of_memory.T)[:, None]
        scores = (torch.tanh(pairs) @ self.v.T)[..., 0]  # (batch, targets, sources)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        return weights @ memory, weights


class GeneralAttention(nn.Module):
    """Average the memory as scaled dot-product attention does, the query being a linear map of the state.

    Source: Luong, Pham and Manning 2015, equation (8); the scale is that of book equation (3.4.3b).
    """

    def __init__(self, hidden: int, width: int):
        """Make the weights, for states of width `hidden` and a memory of width `width`."""
        super().__init__()
        self.query = nn.Parameter(torch.empty(width, hidden))
        glorot_uniform_(self.query)

    def forward(
        self,
        states: Float[Tensor, "batch targets hidden"],
        memory: Float[Tensor, "batch sources width"],
        mask: Bool[Tensor, "batch 1 sources"],
    ) -> tuple[Float[Tensor, "batch targets width"], Float[Tensor, "batch targets sources"]]:
        """Return what each state attends to, and the weights, which are zero in the padding."""
        return attend(states @ self.query.T, memory, memory, mask)


class RecurrentEncoder(nn.Module):
    """Read sentences in both directions with GRUs, so that each step of the memory knows what stands around it."""

    def __init__(self, vocab_size: int, dim: int, hidden: int, dropout: float = 0.0, fused: bool = True):
        """Make the layers; the arguments are those of `RecurrentTranslator`."""
        super().__init__()
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        recurrent = Recurrent(GRUCell, dim, hidden, directions=2)
        self.recurrent = as_torch(recurrent) if fused else recurrent

    def forward(
        self, source: Int[Tensor, "batch sources"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch sources width"], Float[Tensor, "batch width"]]:
        """Return the memory, both directions side by side and zero in the padding, and where both ended."""
        if (lengths < 1).any():
            raise ValueError(f"lengths must be at least 1, a word in each sentence: got {lengths.tolist()}")
        x = self.dropout(self.embedding(source))
        if isinstance(self.recurrent, Recurrent):
            memory, (ends,) = self.recurrent(x, None, lengths)  # ends: (2, batch, hidden)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed, ends = self.recurrent(packed)
            memory, _ = pad_packed_sequence(packed, batch_first=True, total_length=source.shape[1])
        return memory, torch.cat([*ends], 1)


class RecurrentDecoder(nn.Module):
    """Read the target so far with a GRU, attend to the memory from each of its states, and score the next words.

    The GRU does not wait for attention, so that all steps of a known target are computed at once.

    Source: Luong, Pham and Manning 2015, section 3, without input feeding.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        attention: Callable[[int, int], nn.Module],
        dropout: float = 0.0,
        tied: bool = False,
        fused: bool = True,
    ):
        """Make the layers; the arguments are those of `RecurrentTranslator`."""
        super().__init__()
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        recurrent = Recurrent(GRUCell, dim, hidden)
        self.recurrent = as_torch(recurrent) if fused else recurrent
        self.attention = attention(hidden, 2 * hidden)
        self.combine = Dense(3 * hidden, dim, glorot_uniform_)
        self.output = Dense(dim, vocab_size, glorot_uniform_)
        if tied:
            self.embedding.weight = self.output.weight
            self.embedding.reset_parameters()

    def forward(
        self, target: Int[Tensor, "batch targets"], state: DecoderState
    ) -> tuple[Float[Tensor, "batch targets words"], Float[Tensor, "batch targets sources"], DecoderState]:
        """Return the scores of what follows each word, the weights of attention, and the state after the last."""
        s, memory, real = state
        begin = s[None] if isinstance(self.recurrent, nn.GRU) else (s[None],)
        states, _ = self.recurrent(self.dropout(self.embedding(target)), begin)  # (batch, targets, hidden)
        context, weights = self.attention(states, memory, real[:, None])
        combined = torch.tanh(self.combine(torch.cat([context, states], 2)))  # (batch, targets, dim)
        return self.output(self.dropout(combined)), weights, (states[:, -1], memory, real)


class RecurrentTranslator(nn.Module):
    """Encoder and decoder as one: source and target words in, scores of the next target words out."""

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        dim: int,
        hidden: int,
        attention: Callable[[int, int], nn.Module] = AdditiveAttention,
        pad: int = 0,
        dropout: float = 0.0,
        tied: bool = False,
        fused: bool = True,
    ):
        """Make the layers.

        Args:
            source_vocab_size, target_vocab_size: how many words each language has.
            dim: the width of embeddings, and of what is compared with each target word at the end.
            hidden: units of the decoder, and of each direction of the encoder.
            attention: made from the widths of state and memory: `AdditiveAttention` or `GeneralAttention`.
            pad: the number that fills up short sources.
            dropout: the share of embeddings and of outputs that is silenced in training.
            tied: scores target words by their embeddings instead of by weights of their own.
            fused: lets PyTorch's own layers compute, with the same weights, which is faster.
        """
        super().__init__()
        if min(source_vocab_size, target_vocab_size, dim, hidden) < 1:
            sizes = f"{source_vocab_size=}, {target_vocab_size=}, {dim=}, {hidden=}"
            raise ValueError(f"source_vocab_size, target_vocab_size, dim and hidden must be at least 1: got {sizes}")
        self.encoder = RecurrentEncoder(source_vocab_size, dim, hidden, dropout, fused)
        self.begin, self.pad = Dense(2 * hidden, hidden, glorot_uniform_), pad
        self.decoder = RecurrentDecoder(target_vocab_size, dim, hidden, attention, dropout, tied, fused)

    def encode(self, source: Int[Tensor, "batch sources"]) -> DecoderState:
        """Read the source and return the decoder's first state, with what attention may see of the source."""
        real = source != self.pad
        memory, ends = self.encoder(source, real.sum(1))
        return torch.tanh(self.begin(ends)), memory, real

    def forward(
        self, source: Int[Tensor, "batch sources"], target: Int[Tensor, "batch targets"]
    ) -> Float[Tensor, "batch targets words"]:
        """Return the scores of what follows each word of the target, which begins with the word for a beginning."""
        return self.decoder(target, self.encode(source))[0]

    def step(self, state: DecoderState, token: Int[Tensor, " batch"]) -> tuple[Float[Tensor, "batch words"], DecoderState]:
        """Read one word and score the next, as `dlbook.text.decode` wants it; the first state is that of `start`."""
        scores, _, state = self.decoder(token[:, None], state)
        return scores[:, 0], state
