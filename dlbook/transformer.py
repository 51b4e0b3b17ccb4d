"""Transformers: decoder-only (`GPT`), encoder–decoder and encoder-only.

`GPT` and `Transformer` also make sequences step by step, for `text.decode`. Their state
is made of tensors with the batch first: the key-value cache, and for a translation
what is known of the source.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import check_integer, check_shape, check_whole
from dlbook.blocks import (
    Block,
    BlockSettings,
    Decoder,
    Encoder,
    KVCache,
    LayerNorm,
    _cached_length,
)
from dlbook.masks import padding_mask
from dlbook.network import Elementwise, glorot_uniform_
from dlbook.positions import TokenEmbedding

TranslationState = tuple[Bool[Tensor, "batch 1 1 sources"], KVCache, KVCache]


@torch.no_grad()
def gpt_init_(model: nn.Module) -> None:
    """Initialise a model as GPT-2: weights normal with deviation 0.02, biases zero.

    The output of a network is the sum of what two sublayers of each block add to it.
    The weights of their last layers are divided by √(2 · layers), so that it does not
    grow with the number of blocks.

    Args:
        model: is changed in place.

    Source: Radford et al. 2018, section 4.1; Radford et al. 2019, section 2.3.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:  # the embeddings are matrices too
            parameter.normal_(0, 0.02)
        elif name.endswith("bias"):
            parameter.zero_()
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for block in blocks:
        block.attention.output.weight /= math.sqrt(2 * len(blocks))
        block.feed_forward.contract.weight /= math.sqrt(2 * len(blocks))


@torch.no_grad()
def glorot_init_(model: nn.Module) -> None:
    """Initialise a model as `torch.nn.Transformer`: Glorot's weights, biases zero.

    Embeddings are normal with variance 1 / dim, so that their norm is about one.

    Args:
        model: is changed in place.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            glorot_uniform_(parameter)
        elif name.endswith("bias"):
            parameter.zero_()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.normal_(0, module.embedding_dim**-0.5)


class GPT(nn.Module):
    """A decoder-only Transformer: a language model of tokens from left to right.

    Source: Radford et al. 2019.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        heads: int,
        layers: int,
        max_length: int,
        positions: str = "learnt",
        tied: bool = True,
        norm_first: bool = True,
        dropout: float = 0.0,
        fused: bool = False,
    ):
        """Create the layers.

        Args:
            vocab_size: number of tokens.
            dim: numbers in a position; feed-forward networks have 4 dim units.
            heads: number of heads in each block.
            layers: number of blocks.
            max_length: the longest sequence.
            positions: "learnt", "sinusoidal", "rotary" or "none".
            tied: whether the output layer has the weights of the embedding.
            norm_first: pre-norm, or post-norm if false.
            dropout: probability with which numbers are zeroed in training, of the
                embeddings and of what each sublayer adds.
            fused: whether PyTorch's own functions attend and normalise.

        Raises:
            ValueError: A size is less than 1, `dim` is no multiple of `heads`, or
                `positions` is none of these.
        """
        super().__init__()
        rotary_length = max_length if positions == "rotary" else None
        settings = BlockSettings(norm_first, dropout, fused, rotary_length)
        self.embedding = TokenEmbedding(vocab_size, dim, max_length, positions)
        self.decoder = Decoder(layers, dim, heads, settings)
        self.output = nn.Linear(dim, vocab_size, bias=False)
        if tied:
            self.output.weight = self.embedding.tokens.weight
        gpt_init_(self)

    def forward(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length vocab"]:
        """Return logits for the token that follows each position.

        Args:
            tokens: of any integer type.

        Raises:
            TypeError: `tokens` holds no integers.
            ValueError: `tokens` does not have the shape (batch, length), is longer than
                `max_length`, or, on the CPU, has one that is not below `vocab_size`.
        """
        return self.output(self.decoder(self.embedding(tokens))[0])

    def prefill(self, prompt: Int[Tensor, "batch length"]) -> KVCache:
        """Return the key-value cache of prompts, with which `step` goes on.

        Args:
            prompt: the beginnings of sequences, all but their last tokens.
        """
        return self.decoder(self.embedding(prompt))[1]

    def step(
        self, state: KVCache, token: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch vocab"], KVCache]:
        """Return logits for the token that follows, and the new state.

        Args:
            state: the key-value cache of what comes before, () for nothing.
            token: the next token of each sequence.

        Raises:
            TypeError: `token` holds no integers.
            ValueError: `token` does not have the shape (batch,), or the sequences are
                already `max_length` long.
        """
        _check_token(token, state)
        x = self.embedding(token[:, None], _cached_length(state))
        x, state = self.decoder(x, state)
        return self.output(x[:, 0]), state


class Transformer(nn.Module):
    """The encoder–decoder Transformer, a translator.

    The encoder sees the whole source but padding. The decoder predicts the next token
    after each position of the target, from those up to it and from the source.

    Source: Vaswani et al. 2017.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        dim: int,
        heads: int,
        layers: int,
        max_length: int,
        pad: int = 0,
        activation: Elementwise = F.gelu,
        norm_first: bool = True,
        dropout: float = 0.0,
        fused: bool = False,
    ):
        """Create the layers.

        The first Transformer had `activation=F.relu, norm_first=False, dropout=0.1`.

        Args:
            source_vocab_size, target_vocab_size: number of tokens of each language.
            dim: numbers in a position; feed-forward networks have 4 dim units.
            heads: number of heads in each block.
            layers: number of blocks of the encoder, and of the decoder.
            max_length: the longest source, and the longest target.
            pad: the token that fills short sources.
            activation: the nonlinearity of the feed-forward networks.
            norm_first, dropout, fused: as in `GPT`.

        Raises:
            ValueError: A size is less than 1, `dim` is odd or no multiple of `heads`.
        """
        super().__init__()
        settings = BlockSettings(norm_first, dropout, fused, activation=activation)
        self.source = TokenEmbedding(source_vocab_size, dim, max_length, "sinusoidal")
        self.target = TokenEmbedding(target_vocab_size, dim, max_length, "sinusoidal")
        self.encoder = Encoder(layers, dim, heads, settings)
        self.decoder = Decoder(layers, dim, heads, settings, cross=True)
        self.output = nn.Linear(dim, target_vocab_size)
        self.output.weight, self.pad = self.target.tokens.weight, pad
        glorot_init_(self)

    def encode(self, source: Int[Tensor, "batch sources"]) -> TranslationState:
        """Return what the decoder knows of sources, with which `step` goes on.

        Args:
            source: tokens of any integer type, filled up with `pad`.

        Returns:
            The padding mask, the keys and values of the source for each block of the
            decoder, and an empty key-value cache.

        Raises:
            TypeError: `source` holds no integers.
            ValueError: `source` does not have the shape (batch, length) or no length,
                is longer than `max_length`, or, on the CPU, has a token out of range.
        """
        _check_not_empty("source", source)
        x = self.source(source, name="source")
        mask = padding_mask(source, self.pad)
        return mask, self.decoder.project_kv(self.encoder(x, mask)), ()

    def forward(
        self,
        source: Int[Tensor, "batch sources"],
        target: Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch length vocab"]:
        """Return logits for the token that follows each position of a known target.

        Args:
            source: tokens of any integer type, filled up with `pad`.
            target: tokens of any integer type.

        Raises:
            TypeError: `source` or `target` holds no integers.
            ValueError: One of them does not have the shape (batch, length) or is longer
                than `max_length`, or, on the CPU, has a token that is out of range.
        """
        mask, memory, _ = self.encode(source)
        check_shape("target", target, len(source), "length")
        x = self.target(target, name="target")
        x, _ = self.decoder(x, (), memory, mask)
        return self.output(x)

    def step(
        self, state: TranslationState, token: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch vocab"], TranslationState]:
        """Return logits for the token that follows, and the new state.

        Args:
            state: from `encode` or from the step before.
            token: the next token of each target.

        Raises:
            TypeError: `token` holds no integers.
            ValueError: `token` does not have the shape (batch,), or the targets are
                already `max_length` long.
        """
        mask, memory, kv_cache = state
        _check_token(token, memory)
        x = self.target(token[:, None], _cached_length(kv_cache))
        x, kv_cache = self.decoder(x, kv_cache, memory, mask)
        return self.output(x[:, 0]), (mask, memory, kv_cache)


class TextClassifier(nn.Module):
    """An encoder-only Transformer with a linear layer on the mean over positions."""

    def __init__(
        self,
        vocab_size: int,
        classes: int,
        dim: int,
        heads: int,
        layers: int,
        max_length: int,
        pad: int = 0,
        norm_first: bool = True,
        dropout: float = 0.0,
        fused: bool = False,
    ):
        """Create the layers.

        Args:
            vocab_size: number of tokens.
            classes: number of classes.
            dim: numbers in a position; feed-forward networks have 4 dim units.
            heads: number of heads in each block.
            layers: number of blocks.
            max_length: the longest text.
            pad: the token that fills short texts.
            norm_first, dropout, fused: as in `GPT`.

        Raises:
            ValueError: A size is less than 1, `dim` is odd or no multiple of `heads`.
        """
        super().__init__()
        check_whole(1, classes=classes)
        settings = BlockSettings(norm_first, dropout, fused)
        self.embedding = TokenEmbedding(vocab_size, dim, max_length, "sinusoidal")
        self.encoder = Encoder(layers, dim, heads, settings)
        self.output, self.pad = nn.Linear(dim, classes), pad
        glorot_init_(self)

    def forward(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits of the classes; those of a text of padding are the biases.

        Args:
            tokens: of any integer type, filled up with `pad`.

        Raises:
            TypeError: `tokens` holds no integers.
            ValueError: `tokens` does not have the shape (batch, length) or no length,
                is longer than `max_length`, or, on the CPU, has one out of range.
        """
        _check_not_empty("tokens", tokens)
        mask = padding_mask(tokens, self.pad)
        x = self.encoder(self.embedding(tokens), mask)  # (batch, length, dim)
        real = mask[:, 0, 0, :, None]  # (batch, length, 1)
        return self.output((x * real).sum(1) / real.sum(1).clamp(min=1))


class SentenceEncoder(nn.Module):
    """BERT's encoder with mean pooling: a text becomes one vector of norm 1.

    The encoder is encoder-only, post-norm, with learnt positions and GELU. The inner
    product of two vectors is the cosine similarity of the texts.

    Source: Devlin et al. 2019; Reimers and Gurevych 2019, section 3.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        heads: int,
        layers: int,
        max_length: int,
        pad: int = 0,
        dropout: float = 0.0,
        fused: bool = False,
    ):
        """Create the layers.

        Args:
            vocab_size: number of tokens.
            dim: numbers in a position; feed-forward networks have 4 dim units.
            heads: number of heads in each block.
            layers: number of blocks.
            max_length: the longest text.
            pad: the token that fills short texts.
            dropout, fused: as in `GPT`.

        Raises:
            ValueError: A size is less than 1, or `dim` is no multiple of `heads`.
        """
        super().__init__()
        settings = BlockSettings(norm_first=False, dropout=dropout, fused=fused)
        self.embedding = TokenEmbedding(vocab_size, dim, max_length)
        self.norm = nn.LayerNorm(dim) if fused else LayerNorm(dim)
        self.encoder = Encoder(layers, dim, heads, settings)
        self.pad = pad
        gpt_init_(self)  # BERT's is the same but for the last layers of each block
        for module in self.modules():
            if isinstance(module, (LayerNorm, nn.LayerNorm)):
                module.eps = 1e-12  # as BERT has it

    def forward(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch dim"]:
        """Return a vector of norm 1 for each text; that of a text of padding is zero.

        Args:
            tokens: of any integer type, filled up with `pad`.

        Raises:
            TypeError: `tokens` holds no integers.
            ValueError: `tokens` does not have the shape (batch, length) or no length,
                is longer than `max_length`, or, on the CPU, has one out of range.
        """
        _check_not_empty("tokens", tokens)
        mask = padding_mask(tokens, self.pad)
        x = self.encoder(self.norm(self.embedding(tokens)), mask)
        real = mask[:, 0, 0, :, None]  # (batch, length, 1)
        # The norm takes out the number of tokens, by which a mean would be divided
        return F.normalize((x * real).sum(1), dim=1, eps=torch.finfo(x.dtype).tiny)


def _check_token(token: Tensor, kv_cache: KVCache) -> None:
    """Refuse what is not one token for each sequence of the state."""
    check_integer(token=token)
    check_shape("token", token, kv_cache[0][0].shape[0] if kv_cache else "batch")


def _check_not_empty(name: str, tokens: Tensor) -> None:
    """Refuse sequences without a single token, of which nothing can be said."""
    check_shape(name, tokens, "batch", "length")
    if tokens.shape[1] == 0:
        got = tuple(tokens.shape)
        raise ValueError(f"{name} must have a length of at least 1: got {got}")
