"""Networks made of Transformer blocks: `GPT` goes on with a text, `Transformer` translates, `Classifier` sorts.

`GPT` and `Transformer` also make sequences step by step, for `decode`. Their state is made of tensors with the
batch first: the keys and values of all that was read, which need not be computed again.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dlbook.blocks import Block, Decoder, Encoder, KVCache, _cached_length
from dlbook.masks import padding_mask
from dlbook.network import glorot_uniform_
from dlbook.positions import TokenEmbedding

TranslationState = tuple[Bool[Tensor, "batch 1 1 sources"], KVCache, KVCache]


@torch.no_grad()
def gpt_init_(model: nn.Module) -> None:
    """Fill a model as GPT-2: weights normal with deviation 0.02, those that add to the steps smaller, biases zero.

    A step is the sum of what two parts of each block add to it; divided by √(2 · layers), it does not grow with them.

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
    """Fill a model: weights after Glorot, as in `torch.nn.Transformer`, biases zero, embeddings of about length one."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            glorot_uniform_(parameter)
        elif name.endswith("bias"):
            parameter.zero_()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.normal_(0, module.embedding_dim**-0.5)


class GPT(nn.Module):
    """A language model: scores for the next token after each step, from this step and those before it.

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
        **options: Any,
    ):
        """Make the layers.

        Args:
            vocab_size: how many tokens there are.
            dim: numbers in a step.
            max_length: the longest sequence.
            positions: as in `Embedding`; with "sinusoidal" the tokens are scaled, since waves are large beside
                vectors that start with a deviation of 0.02.
            tied: whether the output has the weights of the embedding, which saves vocabulary × dim of them.
            options: as in `Stack`: `dropout`, `fused` and others.
        """
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, dim, max_length, positions, scaled=positions == "sinusoidal")
        self.decoder = Decoder(layers, dim, heads, rotary=positions == "rotary", **options)
        self.output = nn.Linear(dim, vocab_size, bias=False)
        if tied:
            self.output.weight = self.embedding.tokens.weight
        gpt_init_(self)

    def forward(self, tokens: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps vocabulary"]:
        """Return scores for the token that follows each step."""
        x, _ = self.decoder(self.embedding(tokens))
        return self.output(x)

    def prefill(self, prompt: Int[Tensor, "batch steps"]) -> KVCache:
        """Read the beginnings of sequences, all but their last tokens, with which `step` goes on."""
        return self.decoder(self.embedding(prompt))[1]

    def step(self, state: KVCache, token: Int[Tensor, " batch"]) -> tuple[Float[Tensor, "batch vocabulary"], KVCache]:
        """Read one more token of each sequence; return scores for the one that follows, and the new state."""
        x, state = self.decoder(self.embedding(token[:, None], start=_cached_length(state)), state)
        return self.output(x[:, 0]), state


class Transformer(nn.Module):
    """A translator: an encoder reads the source, a decoder scores the next target token after each step.

    It sees the whole source, padding left out, and the target up to this step.

    Source: Vaswani et al. 2017.
    """

    def __init__(
        self, source_vocab_size: int, target_vocab_size: int, dim: int, heads: int, layers: int, max_length: int, pad: int = 0, **options: Any
    ):
        """Make the layers.

        Args:
            source_vocab_size, target_vocab_size: how many tokens the languages have.
            layers: blocks of the encoder, and of the decoder.
            max_length: the longest source, and the longest target.
            pad: the token that fills short sources.
            options: as in `Stack`; the first Transformer had `activation=F.relu, norm_first=False, dropout=0.1`.
        """
        super().__init__()
        self.source = TokenEmbedding(source_vocab_size, dim, max_length, "sinusoidal", scaled=True)
        self.target = TokenEmbedding(target_vocab_size, dim, max_length, "sinusoidal", scaled=True)
        self.encoder = Encoder(layers, dim, heads, **options)
        self.decoder = Decoder(layers, dim, heads, cross=True, **options)
        self.output = nn.Linear(dim, target_vocab_size)
        self.output.weight, self.pad = self.target.tokens.weight, pad
        glorot_init_(self)

    def encode(self, source: Int[Tensor, "batch sources"]) -> TranslationState:
        """Read sources; return which of their tokens are real, and what each block of the decoder sees of them."""
        mask = padding_mask(source, self.pad)
        return mask, self.decoder.project_kv(self.encoder(self.source(source), mask)), ()

    def forward(
        self, source: Int[Tensor, "batch sources"], target: Int[Tensor, "batch steps"]
    ) -> Float[Tensor, "batch steps targets"]:
        """Return scores for the token that follows each step of a target that is known."""
        mask, memory, _ = self.encode(source)
        x, _ = self.decoder(self.target(target), (), memory, mask)
        return self.output(x)

    def step(self, state: TranslationState, token: Int[Tensor, " batch"]) -> tuple[Float[Tensor, "batch targets"], TranslationState]:
        """Read one more token of each target; return scores for the one that follows, and the new state."""
        mask, memory, past = state
        x = self.target(token[:, None], start=_cached_length(past))
        x, past = self.decoder(x, past, memory, mask)
        return self.output(x[:, 0]), (mask, memory, past)


class TextClassifier(nn.Module):
    """Scores for a whole text: an encoder reads it, and the mean over its real tokens decides."""

    def __init__(
        self, vocab_size: int, classes: int, dim: int, heads: int, layers: int, max_length: int, pad: int = 0, **options: Any
    ):
        """Make the layers; the arguments are those of `Transformer`."""
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, dim, max_length, "sinusoidal", scaled=True)
        self.encoder = Encoder(layers, dim, heads, **options)
        self.output, self.pad = nn.Linear(dim, classes), pad
        glorot_init_(self)

    def forward(self, tokens: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch classes"]:
        """Return scores, one for each class; a text without real tokens is scored by the biases alone."""
        mask = padding_mask(tokens, self.pad)
        x = self.encoder(self.embedding(tokens), mask)  # (batch, steps, dim)
        real = mask[:, 0, 0, :, None]  # (batch, steps, 1)
        return self.output((x * real).sum(1) / real.sum(1).clamp(min=1))
