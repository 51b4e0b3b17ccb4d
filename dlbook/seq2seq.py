"""A recurrent translator: a bidirectional encoder, and a decoder with attention to it.

Sentences are (batch, length) numbers of tokens, padded after their end with `pad`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dlbook._check import check_whole
from dlbook.attention import attend
from dlbook.fused import FusedRecurrent
from dlbook.language import ScaledEmbedding, _check_tokens
from dlbook.masks import length_mask
from dlbook.network import Dense, Dropout, glorot_uniform_
from dlbook.recurrent import GRUCell, LayerStates, Recurrent


class DecoderState(NamedTuple):
    """The state of the decoder between two tokens of the target."""

    hidden: LayerStates  # of the decoder's GRU
    memory: Float[Tensor, "batch source width"]  # the outputs of the encoder
    mask: Bool[Tensor, "batch source"]  # False in the padding of the source


class AdditiveAttention(nn.Module):
    """Additive (Bahdanau) attention: a small network scores each pair of positions.

    Source: Bahdanau, Cho and Bengio 2015, appendix A.1.2; book equations (3.4.6b) and
    (3.4.6c).
    """

    def __init__(self, hidden: int, width: int):
        """Create the weights.

        Args:
            hidden: the width of the decoder's states.
            width: the width of the memory.
        """
        super().__init__()
        self.of_state = Dense(hidden, hidden, glorot_uniform_)  # W s + b
        self.of_memory = nn.Parameter(torch.empty(hidden, width))  # U
        self.v = nn.Parameter(torch.empty(1, hidden))
        glorot_uniform_(self.of_memory)
        glorot_uniform_(self.v)

    def forward(
        self,
        states: Float[Tensor, "batch target hidden"],
        memory: Float[Tensor, "batch source width"],
        mask: Bool[Tensor, "batch 1 source"],
    ) -> tuple[
        Float[Tensor, "batch target width"], Float[Tensor, "batch target source"]
    ]:
        """Return the context of each state, and the attention weights.

        Args:
            states: of the decoder, the queries.
            memory: of the encoder, keys and values at once.
            mask: False in the padding, whose weights are zero.
        """
        pairs = self.of_state(states)[:, :, None] + (memory @ self.of_memory.T)[:, None]
        scores = (torch.tanh(pairs) @ self.v.T)[..., 0]  # (batch, target, source)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        return weights @ memory, weights


class GeneralAttention(nn.Module):
    """General (Luong) attention: scaled dot products with a linear map of the state.

    Source: Luong, Pham and Manning 2015, equation (8); the scale is that of book
    equation (3.4.3b).
    """

    def __init__(self, hidden: int, width: int):
        """Create the weights.

        Args:
            hidden: the width of the decoder's states.
            width: the width of the memory.
        """
        super().__init__()
        self.query = nn.Parameter(torch.empty(width, hidden))
        glorot_uniform_(self.query)

    def forward(
        self,
        states: Float[Tensor, "batch target hidden"],
        memory: Float[Tensor, "batch source width"],
        mask: Bool[Tensor, "batch 1 source"],
    ) -> tuple[
        Float[Tensor, "batch target width"], Float[Tensor, "batch target source"]
    ]:
        """Return the context of each state, and the attention weights.

        Args:
            states: of the decoder, the queries.
            memory: of the encoder, keys and values at once.
            mask: False in the padding, whose weights are zero.
        """
        return attend(states @ self.query.T, memory, memory, mask)


class RecurrentEncoder(nn.Module):
    """A bidirectional GRU over the source; its outputs are the memory."""

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        dropout: float = 0.0,
        fused: bool = True,
    ):
        """Create the layers.

        Args:
            vocab_size: how many different tokens the source language has.
            dim: the width of their embeddings.
            hidden: units of each direction.
            dropout: the probability p of dropout on embeddings.
            fused: lets PyTorch's own layer compute, with the same weights, but faster.
        """
        super().__init__()
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        recurrent = Recurrent(GRUCell, dim, hidden, directions=2)
        self.recurrent = FusedRecurrent(recurrent) if fused else recurrent

    def forward(
        self, source: Int[Tensor, "batch source"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch source width"], Float[Tensor, "batch width"]]:
        """Return the memory, both directions concatenated, and the last state of both.

        Args:
            source: sentences, padded after their end.
            lengths: of the sentences; the memory is zero in the padding.

        Raises:
            TypeError: source or lengths holds no integers.
            ValueError: lengths do not fit the source.
        """
        _check_tokens("source", source)
        x = self.dropout(self.embedding(source))
        memory, (ends,) = self.recurrent(x, None, lengths)  # ends: (batch, 2, hidden)
        return memory, ends.flatten(1)


class RecurrentDecoder(nn.Module):
    """A GRU over the target so far, whose states attend to the memory; then logits.

    The GRU does not wait for attention, so that all positions of a known target are
    computed at once.

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
        """Create the layers.

        Args:
            vocab_size: how many different tokens the target language has.
            dim: the width of their embeddings, and of what the output reads.
            hidden: units of the GRU; the memory is twice as wide.
            attention: made from the widths of states and memory.
            dropout: the probability p of dropout on embeddings and outputs.
            tied: uses the embeddings as the weights of the output.
            fused: lets PyTorch's own layer compute, with the same weights, but faster.
        """
        super().__init__()
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        recurrent = Recurrent(GRUCell, dim, hidden)
        self.recurrent = FusedRecurrent(recurrent) if fused else recurrent
        self.attention = attention(hidden, 2 * hidden)
        self.combine = Dense(3 * hidden, dim, glorot_uniform_)
        self.output = Dense(dim, vocab_size, glorot_uniform_)
        if tied:
            self.embedding.tie_(self.output)

    def forward(
        self, target: Int[Tensor, "batch target"], state: DecoderState
    ) -> tuple[
        Float[Tensor, "batch target vocab"],
        Float[Tensor, "batch target source"],
        DecoderState,
    ]:
        """Return logits after each token, attention weights, and the state at the end.

        Args:
            target: the tokens so far.
            state: as `RecurrentTranslator.encode` or this method returned it.

        Raises:
            TypeError: target holds no integers.
            ValueError: target or state has another shape.
        """
        _check_tokens("target", target)
        x = self.dropout(self.embedding(target))
        states, hidden = self.recurrent(x, state.hidden)  # (batch, target, hidden)
        context, weights = self.attention(states, state.memory, state.mask[:, None])
        combined = torch.tanh(self.combine(torch.cat([context, states], 2)))
        logits = self.output(self.dropout(combined))  # (batch, target, vocab)
        return logits, weights, DecoderState(hidden, state.memory, state.mask)


class RecurrentTranslator(nn.Module):
    """A recurrent encoder-decoder with attention, from source to target tokens."""

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
        """Create the layers.

        Args:
            source_vocab_size: how many different tokens the source language has.
            target_vocab_size: how many the target language has.
            dim: the width of all embeddings, and of what the output reads.
            hidden: units of the decoder, and of each direction of the encoder.
            attention: made from the widths of states and memory: `AdditiveAttention` or
                `GeneralAttention`.
            pad: the token that stands after the end of short sources.
            dropout: the probability p of dropout on embeddings and outputs.
            tied: uses the target's embeddings as the weights of the output.
            fused: lets PyTorch's own layers compute, with the same weights, but faster.

        Raises:
            TypeError: A size is no whole number.
            ValueError: A size is less than 1, or dropout is no probability below 1.
        """
        super().__init__()
        check_whole(1, source_vocab_size=source_vocab_size, dim=dim, hidden=hidden)
        check_whole(1, target_vocab_size=target_vocab_size)
        self.encoder = RecurrentEncoder(source_vocab_size, dim, hidden, dropout, fused)
        self.begin, self.pad = Dense(2 * hidden, hidden, glorot_uniform_), pad
        self.decoder = RecurrentDecoder(
            target_vocab_size, dim, hidden, attention, dropout, tied, fused
        )

    def encode(self, source: Int[Tensor, "batch source"]) -> DecoderState:
        """Return the decoder's first state, which holds the memory of the source.

        Args:
            source: sentences, padded after their end.

        Raises:
            TypeError: source holds no integers.
            ValueError: A sentence is empty, or padding stands before its end.
        """
        _check_tokens("source", source)
        mask = source != self.pad
        _check_padding(mask)
        memory, ends = self.encoder(source, mask.sum(1))
        hidden = torch.tanh(self.begin(ends))[:, None]  # (batch, 1, hidden)
        return DecoderState((hidden,), memory, mask)

    def forward(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab"]:
        """Return the logits of what follows each token of the target.

        Args:
            source: sentences, padded after their end.
            target: their translations, which begin with the token for a beginning.

        Raises:
            TypeError: source or target holds no integers.
            ValueError: A sentence is empty, padding stands before its end, or there
                are not as many targets as sources.
        """
        _check_tokens("target", target)
        if len(source) != len(target):
            raise ValueError(
                "target must have a row for each row of source, "
                f"{len(source)}: got {len(target)}"
            )
        return self.decoder(target, self.encode(source))[0]

    def step(
        self, state: DecoderState, token: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch vocab"], DecoderState]:
        """Return the logits after one more token, and the state: a step of decoding.

        Args:
            state: as `encode` or this method returned it.
            token: one for each row.
        """
        logits, _, state = self.decoder(token[:, None], state)
        return logits[:, 0], state


def _check_padding(mask: Tensor) -> None:
    """Refuse empty sentences, and padding elsewhere than at the end."""
    if mask.device.type == "cpu":  # another device would have to wait
        lengths = mask.sum(1)
        if not (lengths > 0).all() or not mask.equal(
            length_mask(lengths, mask.shape[1])
        ):
            raise ValueError(
                "source must hold a token in each sentence, and padding only after the "
                f"last: got sentences of {lengths.tolist()} tokens"
            )
