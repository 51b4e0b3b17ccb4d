"""PyTorch's Transformer layers with the weights of ours."""

import torch
from torch import nn


def torch_weights(block):
    """Name and arrange the parameters of a block, or their gradients, as PyTorch does."""

    def attention(name, part):
        names = ("query", "key", "value")
        of = {f"{name}.in_proj_{kind}": [getattr(getattr(part, n), kind) for n in names] for kind in ("weight", "bias")}
        return of | {f"{name}.out_proj.{kind}": [getattr(part.output, kind)] for kind in ("weight", "bias")}

    found = attention("self_attn", block.attention)
    if block.cross is not None:
        found |= attention("multihead_attn", block.cross)
    modules = {f"norm{n}": residual.norm for n, residual in enumerate(block.residuals, 1)}
    modules |= {"linear1": block.feed_forward.expand, "linear2": block.feed_forward.contract}
    return found | {f"{n}.{kind}": [getattr(m, kind)] for n, m in modules.items() for kind in ("weight", "bias")}


def torch_copy(block, norm_first, activation):
    """Make PyTorch's layer with the weights of a block."""
    kind = nn.TransformerEncoderLayer if block.cross is None else nn.TransformerDecoderLayer
    sizes = block.feed_forward.expand.in_features, block.attention.heads, block.feed_forward.expand.out_features
    theirs = kind(*sizes, 0.0, activation, batch_first=True, norm_first=norm_first).double()
    theirs.load_state_dict({name: torch.cat(parts) for name, parts in torch_weights(block).items()})
    return theirs


def stacked_copy(ours, norm_first, kind):
    """Make PyTorch's stack of layers with the weights of ours."""
    layer = torch_copy(ours.blocks[0], norm_first, "gelu")
    norm = nn.LayerNorm(layer.linear1.in_features).double() if norm_first else None
    theirs = kind(layer, len(ours.blocks), norm)
    for block, copy in zip(ours.blocks, theirs.layers, strict=True):
        copy.load_state_dict({name: torch.cat(parts) for name, parts in torch_weights(block).items()})
    if norm_first:
        norm.load_state_dict(ours.norm.state_dict())
    return theirs
