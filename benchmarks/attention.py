"""How fast, and with how much memory: attention by hand beside PyTorch's fused function, forward and backward.

python -m benchmarks.attention [rows…]

One sequence, four heads of 64 numbers, float32, one thread. Times are taken in pairs, since a machine's speed drifts.
Memory is counted in two ways: what is kept for the way back, exactly, and by how much a fresh process grows at most
while it goes forward and backward, as Linux tells, to about half a mebibyte.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.pairs import pairs
from benchmarks.processes import in_processes
from benchmarks.store import run
from dlbook.attention import attend
from dlbook.masks import causal_mask

HEADS, D = 4, 64
PAIRS = {128: 301, 512: 101, 2048: 15}  # how many for each number of tokens


def inputs(tokens: int) -> list[Tensor]:
    """Draw queries, keys and values that want gradients."""
    torch.manual_seed(0)
    return [torch.randn(1, HEADS, tokens, D, requires_grad=True) for _ in range(3)]


def forward(kind: str, causal: bool, tokens: int) -> Callable[..., Tensor]:
    """Return attention by hand, or fused, of queries, keys and values."""
    if kind == "fused":
        return lambda query, key, value: scaled_dot_product_attention(query, key, value, is_causal=causal)
    mask = causal_mask(tokens) if causal else None
    return lambda query, key, value: attend(query, key, value, mask)[0]


def both_ways(kind: str, causal: bool, tokens: int) -> Callable[[], tuple[Tensor, ...]]:
    """Return what is timed: forward, and backward to queries, keys and values."""
    function, three = forward(kind, causal, tokens), inputs(tokens)
    above = torch.ones_like(three[0])
    return lambda: torch.autograd.grad(function(*three), three, above)


def kept(kind: str, causal: bool, tokens: int) -> int:
    """Count the bytes that are kept from the way forward for the way back, beside queries, keys and values."""
    function, three = forward(kind, causal, tokens), inputs(tokens)
    found = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(*three)
    assert result.grad_fn is not None  # what is counted lives as long as it does, so that no place is taken twice
    given = {part.untyped_storage().data_ptr() for part in three}
    return sum(size for place, size in found.items() if place not in given)


def memory(name: str) -> int:  # pragma: no cover  (called in another process)
    """Read a line of what Linux tells of this process, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[name].split()[0])


def growth(kind: str, causal: bool, tokens: int) -> int:  # pragma: no cover  (called in another process)
    """Return by how many bytes this process grows at most, forward and backward; it must be a fresh one."""
    both_ways(kind, causal, 16)()  # loads what is needed
    run = both_ways(kind, causal, tokens)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    run()
    return memory("VmHWM") - before


def peak(kind: str, causal: bool, tokens: int) -> int:
    """Call `growth` in a fresh process."""
    return in_processes(growth, [kind], [causal], [tokens])[0]


def row(tokens: int, causal: bool) -> dict[str, Any]:
    """Compare both: seconds and their ratio, first by hand; mebibytes kept, and grown at most."""
    kinds = {"by_hand": "by hand", "fused": "fused"}
    hand, fused = (both_ways(kind, causal, tokens) for kind in kinds.values())
    return {
        **pairs(hand, fused, PAIRS[tokens]),
        "kept": {name: round(kept(kind, causal, tokens) / 2**20, 3) for name, kind in kinds.items()},
        "peak": {name: round(peak(kind, causal, tokens) / 2**20, 1) for name, kind in kinds.items()},
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    masks = {"all": False, "causal": True}
    run(
        __file__,
        {f"{name}_{tokens}": partial(row, tokens, causal) for tokens in PAIRS for name, causal in masks.items()},
        arguments,
    )


if __name__ == "__main__":
    main()
