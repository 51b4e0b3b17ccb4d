"""Recurrent language models: how probable each token is to come next, measured in bits.

A token is a character or a word, given as a number. Sequences are (batch, length).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import check_integer, check_shape, check_whole
from dlbook.fused import FusedRecurrent
from dlbook.losses import cross_entropy
from dlbook.network import Dense, Dropout, glorot_uniform_
from dlbook.recurrent import Cell, LayerStates, LSTMCell, Recurrent

Logits = Float[Tensor, "batch length vocab"]
Chunks = list[tuple[Int[Tensor, "batch _"], Int[Tensor, "batch _"]]]  # tokens, the next


class ScaledEmbedding(nn.Embedding):
    """An embedding of norm 1 or so at first, multiplied by √dim on the way in.

    The network then gets numbers about as large as 1, while the same matrix, tied, can
    make the logits at its end.

    Source: Vaswani et al. 2017, section 3.4.
    """

    def reset_parameters(self) -> None:
        """Draw each number with variance 1/dim."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def tie_(self, output: Dense) -> None:
        """Share the weights of an output layer, drawn anew as those of an embedding.

        Args:
            output: the layer that makes the logits.
        """
        self.weight = output.weight
        self.reset_parameters()

    def forward(self, tokens: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch dim"]:
        """Return the vectors of tokens, times √dim.

        Args:
            tokens: their numbers.

        Raises:
            TypeError: tokens holds no integers.
        """
        check_integer(tokens=tokens)
        return F.embedding(tokens.long(), self.weight) * self.embedding_dim**0.5


class LanguageModel(nn.Module):
    """A recurrent language model: embedding, recurrent layers and output layer.

    Its state, a tuple of tensors (batch, cells, hidden), lets it continue where it
    ended; None begins anew.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        layers: int = 1,
        cell: Callable[[int, int], Cell] = LSTMCell,
        dropout: float = 0.0,
        tied: bool = False,
        fused: bool = True,
    ):
        """Create the layers.

        Args:
            vocab_size: how many different tokens there are.
            dim: the width of their embeddings.
            hidden: units of each recurrent layer.
            layers: how many recurrent layers stand on one another.
            cell: makes a recurrent cell, as in `Recurrent`.
            dropout: the probability p of dropout on embeddings and outputs.
            tied: uses the embeddings as the weights of the output; dim is then hidden.
            fused: lets PyTorch's own layer compute, with the same weights, but faster.

        Raises:
            TypeError: A size is no whole number.
            ValueError: A size is less than 1, tied sizes differ, dropout is no
                probability below 1, or PyTorch has no such layer.
        """
        super().__init__()
        check_whole(1, vocab_size=vocab_size)
        if tied and dim != hidden:
            raise ValueError(f"dim must be hidden if tied: got {dim=}, {hidden=}")
        recurrent = Recurrent(cell, dim, hidden, layers)
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        self.output = Dense(hidden, vocab_size, glorot_uniform_)
        if tied:
            self.embedding.tie_(self.output)
        self.recurrent = FusedRecurrent(recurrent) if fused else recurrent

    def forward(
        self, tokens: Int[Tensor, "batch length"], state: LayerStates | None = None
    ) -> tuple[Logits, LayerStates]:
        """Return the logits of what follows each token, and the state after the last.

        Args:
            tokens: at least one in each row.
            state: as returned before, to continue there; None begins anew.

        Raises:
            TypeError: tokens holds no integers.
            ValueError: tokens or state has another shape.
        """
        _check_tokens("tokens", tokens)
        h, state = self.recurrent(self.dropout(self.embedding(tokens)), state)
        return self.output(self.dropout(h)), state

    def prefill(self, prompt: Int[Tensor, "batch length"]) -> LayerStates:
        """Return the state after a prompt, with which `step` continues.

        Args:
            prompt: all tokens but the last, which `step` reads.
        """
        return self(prompt)[1]

    def step(
        self, state: LayerStates | None, token: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch vocab"], LayerStates]:
        """Return the logits after one more token, and the state: a step of decoding.

        Args:
            state: as returned before; None begins anew.
            token: one for each row.
        """
        logits, state = self(token[:, None], state)
        return logits[:, 0], state


def chunks(tokens: Int[Tensor, " tokens"], batch_size: int, length: int) -> Chunks:
    """Cut one long text into parallel strips, and these into consecutive chunks.

    Row b of a chunk continues row b of the chunk before it, so that the state can be
    carried on. What does not fill the strips is left out, and the last chunk may be
    shorter.

    Args:
        tokens: the text.
        batch_size: how many strips there are, the rows of each chunk.
        length: tokens in a row of a chunk.

    Returns:
        For each chunk the tokens and those that follow them, the targets.

    Raises:
        TypeError: tokens holds no integers.
        ValueError: A size is less than 1, or there are too few tokens.
    """
    check_shape("tokens", tokens, "tokens")
    check_integer(tokens=tokens)
    check_whole(1, batch_size=batch_size, length=length)
    if len(tokens) <= batch_size:
        raise ValueError(
            f"tokens must be more than {batch_size=}: got {len(tokens)} tokens"
        )
    columns = (len(tokens) - 1) // batch_size
    x, target = (
        part[: batch_size * columns].view(batch_size, columns)
        for part in (tokens[:-1].long(), tokens[1:].long())
    )
    return list(zip(x.split(length, 1), target.split(length, 1), strict=True))


def chunk_losses(model: LanguageModel, parts: Chunks) -> Iterator[Tensor]:
    """Yield the cross-entropy of each chunk, carrying the state on without gradient.

    This is truncated backpropagation through time: take an optimiser step on each loss
    before asking for the next.

    Args:
        model: its state is carried on from chunk to chunk, detached.
        parts: as `chunks` returned them.

    Yields:
        The losses, in nats per token.

    Source: Williams and Peng 1990.
    """
    state = None
    for tokens, target in parts:
        logits, state = model(tokens, state)
        yield cross_entropy(logits.flatten(0, 1), target.flatten())
        state = tuple(part.detach() for part in state)


@torch.no_grad()
def bits_per_token(
    model: LanguageModel,
    tokens: Int[Tensor, " tokens"],
    batch_size: int = 1,
    length: int = 256,
) -> float:
    """Return the cross-entropy of a text in bits per token after the first.

    So many bits does the text take, encoded by the model's predictions.

    Args:
        model: reads without dropout, its state carried on to the end.
        tokens: the text.
        batch_size: how many strips to cut it into, each read without what stands before
            it: more are faster, 1 is exact.
        length: tokens to read at once, which changes nothing in the result.

    Raises:
        TypeError: tokens holds no integers.
        ValueError: A size is less than 1, or there are too few tokens.

    Source: Shannon 1951; book equation (3.4.2a).
    """
    parts = chunks(tokens, batch_size, length)
    with _evaluating(model):
        losses = torch.stack(list(chunk_losses(model, parts))).tolist()
    sizes = [target.numel() for _, target in parts]
    nats = sum(loss * size for loss, size in zip(losses, sizes, strict=True))
    return nats / sum(sizes) / math.log(2)


def perplexity(bits: float) -> float:
    """Return the perplexity: among how many equally likely tokens a model chooses.

    Args:
        bits: that the model needs per token.

    Source: Jelinek et al. 1977; book equation (3.4.2b).
    """
    return 2**bits


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode; put back each layer's own mode at the end."""
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for layer, training in modes.items():
            layer.training = training


def _check_tokens(name: str, tokens: Tensor) -> None:
    """Refuse tokens that are not integers, or not (batch, length), or empty rows."""
    check_shape(name, tokens, "batch", "length")
    check_integer(**{name: tokens})
    if tokens.shape[1] < 1:
        raise ValueError(
            f"{name} must have a length of 1 or more: got {tuple(tokens.shape)}"
        )
