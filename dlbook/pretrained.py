"""Pretrained models: weights that others trained, in the layers of this book.

The weights are entries of the catalogue: fetched once, verified, and never unpickled.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dlbook._check import check_texts, check_whole
from dlbook.data.store import fetch, read_text
from dlbook.efficientnet import EfficientNetLite
from dlbook.text.wordpiece import WordPiece
from dlbook.transformer import SentenceEncoder

# Where the parts of a block lie in BERT's files.
BERT = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "residuals.0.norm": "attention.output.LayerNorm",
    "feed_forward.expand": "intermediate.dense",
    "feed_forward.contract": "output.dense",
    "residuals.1.norm": "output.LayerNorm",
}
# And those of an EfficientNet; a block that does not expand has no such layer.
EFFICIENTNET = {
    "expand.conv": "_expand_conv",
    "expand.norm": "_bn0",
    "filter.conv": "_depthwise_conv",
    "filter.norm": "_bn1",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
}


def load_minilm(fused: bool = True) -> tuple[SentenceEncoder, WordPiece]:
    """Return MiniLM, an encoder of English sentences, and its tokenizer.

    It has 22.6 million weights in six blocks, and returns 384 numbers for a text. It
    was distilled from a larger model, and fine-tuned on a billion pairs of sentences
    that belong together.

    Args:
        fused: whether PyTorch's own functions attend and normalise, which is faster.

    Returns:
        The model, in evaluation mode, and the tokenizer whose numbers it takes.

    Raises:
        OSError: The weights are neither in the cache nor can they be fetched.

    Source: Wang et al. 2020; Reimers and Gurevych 2019.
    """
    folder = fetch("minilm")
    tokenizer = WordPiece(read_text(folder / "vocab.txt").split("\n")[:-1])
    model = SentenceEncoder(len(tokenizer), 384, 12, 6, 512, tokenizer.pad, fused=fused)
    model.load_state_dict(_bert_state(_read_safetensors(folder / "model.safetensors")))
    return model.eval(), tokenizer


def load_efficientnet() -> EfficientNetLite:
    """Return EfficientNet-Lite0 with the weights of ImageNet's thousand classes.

    It has 4.65 million weights. It takes what `efficientnet.scale_image` returns.

    Returns:
        The model, in evaluation mode.

    Raises:
        OSError: The weights are neither in the cache nor can they be fetched.

    Source: Tan and Le 2019; Liu 2020.
    """
    path = fetch("efficientnet-lite0") / "efficientnet-lite0-57934424.pth"
    model = EfficientNetLite()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(_efficientnet_state(weights, len(model.blocks)))
    return model.eval()


@torch.no_grad()
def embed(
    model: SentenceEncoder,
    tokenizer: WordPiece,
    texts: Sequence[str],
    max_length: int = 256,
    batch_size: int = 32,
) -> Float[Tensor, "texts dim"]:
    """Return a vector of norm 1 for each text, from a model in evaluation mode.

    Texts of similar length share a batch, so that little padding is computed.

    Args:
        model, tokenizer: of `load_minilm`.
        texts: in any number and order.
        max_length: how many tokens of a text are read; MiniLM was trained with 256.
        batch_size: how many texts are computed at a time.

    Raises:
        TypeError: `texts` is a single text, or holds something else.
        ValueError: `max_length` is below 2, or `batch_size` below 1.
    """
    check_texts("texts", texts)
    check_whole(1, batch_size=batch_size)
    weight, was_training = model.embedding.tokens.weight, model.training
    numbers = [tokenizer.encode(text, max_length) for text in texts]
    order = sorted(range(len(numbers)), key=lambda i: len(numbers[i]))
    found = weight.new_zeros(len(numbers), weight.shape[1])
    model.eval()
    try:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            longest = len(numbers[rows[-1]])
            padded = [
                numbers[i] + [tokenizer.pad] * (longest - len(numbers[i])) for i in rows
            ]
            found[rows] = model(torch.tensor(padded, device=weight.device))
    finally:
        model.train(was_training)
    return found


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that holds nothing else."""
    from safetensors.torch import load_file  # only who loads such weights needs it

    return load_file(path)


def _bert_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return BERT's weights under the names of `SentenceEncoder`."""
    given = {name.removeprefix("bert."): weight for name, weight in weights.items()}
    # BERT adds an embedding of the text's number, which is 0 for a single text
    positions = given["embeddings.position_embeddings.weight"]
    positions = positions + given["embeddings.token_type_embeddings.weight"][0]
    state = {
        "embedding.tokens.weight": given["embeddings.word_embeddings.weight"],
        "embedding.positions": positions,
        "norm.weight": given["embeddings.LayerNorm.weight"],
        "norm.bias": given["embeddings.LayerNorm.bias"],
    }
    layers = {name.split(".")[2] for name in given if name.startswith("encoder.layer.")}
    for layer in layers:
        for ours, theirs in BERT.items():
            for kind in ("weight", "bias"):
                weight = given[f"encoder.layer.{layer}.{theirs}.{kind}"]
                state[f"encoder.blocks.{layer}.{ours}.{kind}"] = weight
    return state


def _efficientnet_state(weights: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return an EfficientNet's weights under the names of `EfficientNetLite`."""
    parts = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "head.conv": "_conv_head"}
    parts |= {"head.norm": "_bn1", "output": "_fc"}
    for number in range(blocks):
        for ours, theirs in EFFICIENTNET.items():
            parts[f"blocks.{number}.{ours}"] = f"_blocks.{number}.{theirs}"
    names = {theirs: ours for ours, theirs in parts.items()}
    split = {name: name.rpartition(".") for name in weights}
    return {
        f"{names[part]}.{kind}": weights[name]
        for name, (part, _, kind) in split.items()
    }
