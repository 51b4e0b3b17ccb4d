"""Recurrent language models: how likely each symbol is to come next, and how well that is known on a new text.

A symbol is a character or a word, given as a number. Sequences are (batch, steps).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.forecast import as_torch
from dlbook.losses import cross_entropy
from dlbook.network import Dense, Dropout, glorot_uniform_
from dlbook.recurrent import Cell, LSTMCell, Recurrent

Logits = Float[Tensor, "batch steps symbols"]
Chunks = list[tuple[Int[Tensor, "batch _"], Int[Tensor, "batch _"]]]  # tokens, and those that follow them


class ScaledEmbedding(nn.Embedding):
    """Vectors of tokens that start with length 1 or so and go into the network multiplied by √dim.

    The network then gets numbers about as large as 1, while the same matrix, tied, can score the tokens at its end.

    Source: Vaswani et al. 2017, section 3.4.
    """

    def reset_parameters(self) -> None:
        """Draw each number with variance 1/dim."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def forward(self, tokens: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch dim"]:
        """Look the vectors up."""
        return F.embedding(tokens, self.weight) * self.embedding_dim**0.5


class LanguageModel(nn.Module):
    """Read a text symbol by symbol, and score after each one every symbol as the next.

    Its state, a tensor or a tuple of tensors (batch, cells, hidden), lets it go on where it ended; None begins anew.
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
        """Make the layers.

        Args:
            vocab_size: how many different ones there are.
            dim: the width of their embeddings.
            hidden, layers, cell: as in `Recurrent`.
            dropout: the share of embeddings and of outputs that is silenced in training.
            tied: scores symbols by their embeddings instead of by weights of their own; dim is then hidden.
            fused: lets PyTorch's own layer compute, with the same weights, which is faster.
        """
        super().__init__()
        if vocab_size < 1 or (tied and dim != hidden):
            raise ValueError(f"vocab_size must be at least 1, and dim hidden if tied: got {vocab_size=}, {dim=}, {hidden=}")
        recurrent = Recurrent(cell, dim, hidden, layers)
        self.embedding = ScaledEmbedding(vocab_size, dim)
        self.dropout = Dropout(dropout)
        self.output = Dense(hidden, vocab_size, glorot_uniform_)
        if tied:
            self.embedding.weight = self.output.weight
            self.embedding.reset_parameters()
        self.recurrent = as_torch(recurrent) if fused else recurrent

    def forward(self, tokens: Int[Tensor, "batch steps"], state: Any = None) -> tuple[Logits, Any]:
        """Return the scores of what follows each token, and the state at the end, with which it goes on."""
        h, state = self.recurrent(self.dropout(self.embedding(tokens)), _batch_first(state))  # (batch, steps, hidden)
        return self.output(self.dropout(h)), _batch_first(state)

    def prefill(self, prompt: Int[Tensor, "batch steps"]) -> Any:
        """Read the beginnings of texts, all but their last tokens, with which `step` goes on."""
        return self(prompt)[1]

    def step(self, state: Any, token: Int[Tensor, " batch"]) -> tuple[Float[Tensor, "batch symbols"], Any]:
        """Read one token of each text and score the next, as `dlbook.text.decode` wants it; None begins anew."""
        scores, state = self(token[:, None], state)
        return scores[:, 0], state


def _each(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """Apply a function to every tensor of a state."""
    if isinstance(state, tuple):
        return tuple(function(part) for part in state)
    return None if state is None else function(state)


def _batch_first(state: Any) -> Any:
    """Swap the first two axes of a state: recurrent layers want (cells, batch, hidden), decoding the batch first."""
    return _each(lambda part: part.transpose(0, 1).contiguous(), state)


def _detach(state: Any) -> Any:
    """Keep what a state holds but not how it came about: no gradient flows further back."""
    return _each(Tensor.detach, state)


def chunks(tokens: Int[Tensor, " tokens"], batch_size: int, length: int) -> Chunks:
    """Cut one long text into `batch_size` strips, and these into chunks that follow one another.

    Row b of a chunk goes on where row b of the chunk before it ended, so that the state can be carried on. What does
    not fill the strips is left out, and the last chunk may have fewer steps.

    Returns:
        For each chunk the tokens and those that follow them, the targets.
    """
    if batch_size < 1 or length < 1 or len(tokens) <= batch_size:
        sizes = f"{batch_size=}, {length=} and {len(tokens)} tokens"
        raise ValueError(f"batch_size and length must be at least 1, and tokens more than batch_size: got {sizes}")
    columns = (len(tokens) - 1) // batch_size
    x, target = (part[: batch_size * columns].view(batch_size, columns) for part in (tokens[:-1], tokens[1:]))
    return list(zip(x.split(length, 1), target.split(length, 1), strict=True))


def chunk_losses(model: LanguageModel, parts: Chunks) -> Iterator[Tensor]:
    """Yield the loss of each chunk in nats per symbol; the state is carried on, but no gradient flows back with it.

    This is truncated backpropagation through time: take a training step on each loss before asking for the next.

    Source: Williams and Peng 1990.
    """
    state = None
    for tokens, target in parts:
        scores, state = model(tokens, _detach(state))
        yield cross_entropy(scores.flatten(0, 1), target.flatten())


@torch.no_grad()
def bits_per_token(model: LanguageModel, tokens: Int[Tensor, " tokens"], batch_size: int = 1, length: int = 256) -> float:
    """Return how many bits a text takes, per symbol after the first, if the model's predictions encode it.

    Args:
        tokens: the text, which the model reads with dropout switched off and its state carried on to the end.
        batch_size: into how many strips to cut it, each read without what stands before it: more are faster, 1 is exact.
        length: how much to read at once, which changes nothing in the result.

    Source: Shannon 1951; book equation (3.4.2a).
    """
    parts, training = chunks(tokens, batch_size, length), model.training
    sizes = [target.numel() for _, target in parts]
    model.eval()
    nats = sum(float(loss) * size for loss, size in zip(chunk_losses(model, parts), sizes, strict=True))
    model.train(training)
    return nats / sum(sizes) / math.log(2)


def perplexity(bits: float) -> float:
    """Return between how many equally likely symbols a model chooses that needs so many bits per symbol.

    Source: Jelinek et al. 1977; book equation (3.4.2b).
    """
    return 2**bits
