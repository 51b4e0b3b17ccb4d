"""What each way to make training cheaper does alone, in pairs of runs; how time and memory grow with size.

python -m benchmarks.training_cost [rows…]

A pair is one run of the usual way and one of the other, in turn and close together, so that both meet the same load of
the machine; which comes first alternates. A row of a remedy holds the seconds per example of both in each pair, and
bytes where memory is what it is for. A row of growth holds the seconds of a step for each size, in rounds through all
sizes in an order drawn anew, with the counted operations and the measured peak of memory. Seconds are those of the
clock. A row of utilisation holds, in rounds, operations per second of training steps by those of a product of large
matrices that was measured just before; the row of operators, the seconds of the CNN's step by what ran.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from benchmarks.store import run
from dlbook.attention import KeyValue, MultiHeadAttention
from dlbook.cnn import CNN
from dlbook.network import MLP
from dlbook.practice.cost import accumulate_gradients_, flops, flops_by_kind, peak_bytes, saved_bytes
from dlbook.training.batches import Batches
from dlbook.transformer import GPT

PAIRS, ROUNDS, LEAST = 15, 10, 0.3  # of a run, the least seconds
VOCAB, LENGTH = 84, 128
Step = Callable[[], Any]


class Way(NamedTuple):
    """One way to train: a step, how many examples it takes, and what it saves for the backward pass, if asked."""

    step: Step
    examples: int
    saved: int | None = None


# --- models and steps -------------------------------------------------------------------------------------------------


def images(count: int) -> tuple[Tensor, Tensor]:
    """Make images of noise, and labels."""
    return torch.randn(count, 1, 28, 28), torch.randint(10, (count,))


def texts(count: int, length: int = LENGTH) -> tuple[Tensor, Tensor]:
    """Make sequences of tokens at random, and those to predict."""
    return torch.randint(VOCAB, (count, length)), torch.randint(VOCAB, (count, length))


def gpt(fused: bool = True, length: int = LENGTH, dim: int = 64) -> GPT:
    """Make a GPT of four blocks."""
    return GPT(VOCAB, dim, 4, 4, length, fused=fused)


def loss_of(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of images, or of tokens."""
    return F.cross_entropy(model(x).flatten(0, -2), y.flatten())


def step_of(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    fused: bool = True,
    half: bool = False,
    call: Callable[[Tensor], Tensor] | None = None,
) -> Step:
    """Return a training step; `call` computes the logits instead of the model, `half` computes in bfloat16."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(model if call is None else call, x, y)
        loss.backward()
        optimizer.step()

    return step


# --- remedies: the usual way, and the other ---------------------------------------------------------------------------


def batch_size(few: int = 8, count: int = 128) -> tuple[Way, Way]:
    """A batch of a few images, and a larger one."""
    small, large = images(few), images(count)
    return Way(step_of(CNN(), *small), few), Way(step_of(CNN(), *large), count)


def channels_last(count: int = 128) -> tuple[Way, Way]:
    """Channels as the second axis in memory, and as the last."""
    x, y = images(count)
    other: nn.Module = CNN().to(memory_format=torch.channels_last)  # type: ignore
    turned = x.to(memory_format=torch.channels_last)
    return Way(step_of(CNN(), x, y), count), Way(step_of(other, turned, y), count)


def fused_optimizer(count: int = 4) -> tuple[Way, Way]:
    """AdamW weight by weight, and in one kernel."""
    x, y = texts(count)
    return Way(step_of(gpt(), x, y, fused=False), count), Way(step_of(gpt(), x, y), count)


def compiled(count: int = 16) -> tuple[Way, Way]:
    """A model as it stands, and compiled."""
    (x, y), other = texts(count), gpt()
    return Way(step_of(gpt(), x, y), count), Way(step_of(other, x, y, call=torch.compile(other)), count)


def compiled_cnn(count: int = 128) -> tuple[Way, Way]:
    """The same of a convolutional network."""
    (x, y), other = images(count), CNN()
    return Way(step_of(CNN(), x, y), count), Way(step_of(other, x, y, call=torch.compile(other)), count)


def autocast(count: int = 16) -> tuple[Way, Way]:
    """Products in float32, and in bfloat16."""
    x, y = texts(count)
    return Way(step_of(gpt(), x, y), count), Way(step_of(gpt(), x, y, half=True), count)


class LeanAttention(MultiHeadAttention):
    """Attention as products and a softmax, which stores one table of weights: every query must see a key."""

    def forward(self, x: Tensor, kv: KeyValue | None = None, mask: Tensor | None = None) -> Tensor:
        """Return what each position finds."""
        key, value = self.project_kv(x) if kv is None else kv
        query = self.project_query(x) / math.sqrt(key.shape[-1])
        scores = query @ key.transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return self.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def fused_attention(lean: bool, count: int = 16) -> tuple[Way, Way]:
    """Attention as products and a softmax, and in one kernel; both normalise with the kernel of PyTorch.

    Args:
        lean: whether the products store one table of attention weights; the book's store a second one, since they set
            hidden weights to zero once more, for queries that may see nothing.
        count: how many sequences.
    """
    (x, y), plain = texts(count), gpt()
    for block in plain.decoder.blocks:
        if lean:
            block.attention = LeanAttention(block.attention.query.in_features, block.attention.heads)
        block.attention.fused = False
    ways = [Way(step_of(model, x, y), count, saved_bytes(model, x)) for model in (plain, gpt())]
    return ways[0], ways[1]


class Checkpointed(nn.Module):
    """A GPT whose blocks save their input alone."""

    def __init__(self, model: GPT):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits."""
        model = self.model
        x = model.embedding(tokens)
        mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
        for block in model.decoder.blocks:
            x, _ = checkpoint(block, x, mask, use_reentrant=False)
        return model.output(model.decoder.norm(x))


def checkpointing(count: int = 16) -> tuple[Way, Way]:
    """All activations saved, and the inputs of blocks alone."""
    (x, y), plain, other = texts(count), gpt(), Checkpointed(gpt())
    return (
        Way(step_of(plain, x, y), count, held(plain, x, y)),
        Way(step_of(other, x, y), count, held(other, x, y)),
    )


def _gradients(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Compute gradients once."""
    loss_of(model, x, y).backward()


def held(model: nn.Module, x: Tensor, y: Tensor) -> int:
    """Return the peak of memory of a forward and a backward pass, which makes the gradients."""
    model.zero_grad()
    return peak_bytes(partial(_gradients, model, x, y))


def accumulation(count: int = 128, part: int = 16) -> tuple[Way, Way]:
    """A batch at once, and in parts whose gradients are added up."""
    (x, y), plain, other = images(count), CNN(), CNN()
    optimizer = torch.optim.AdamW(other.parameters(), 1e-3, fused=True)

    def step() -> None:
        accumulate_gradients_(other, F.cross_entropy, x, y, part)
        optimizer.step()

    in_parts = partial(accumulate_gradients_, CNN(), F.cross_entropy, x, y, part)
    return (
        Way(step_of(plain, x, y), count, held(CNN(), x, y)),
        Way(step, count, peak_bytes(in_parts)),
    )


def loading(other: str, count: int = 10_000, batch: int = 128) -> tuple[Way, Way]:
    """Epochs of an MLP with a DataLoader that collates items, and with another way to load."""
    x, y = images(count)
    data = TensorDataset(x, y)
    ways: dict[str, Any] = {
        "items": DataLoader(data, batch, shuffle=True),
        "2 workers": DataLoader(data, batch, shuffle=True, num_workers=2, persistent_workers=True),
        "batch sampler": DataLoader(
            data, batch_size=None, sampler=BatchSampler(RandomSampler(data), batch, drop_last=False)
        ),
        "no loader": Batches(x, y, batch_size=batch, shuffle=True),
    }
    return Way(epoch_of(ways["items"]), count), Way(epoch_of(ways[other]), count)


def epoch_of(batches: Any) -> Step:
    """Return an epoch of training an MLP."""
    model = MLP([784, 64, 64, 10])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def epoch() -> None:
        for x, y in batches:
            optimizer.zero_grad()
            loss_of(model, x, y).backward()
            optimizer.step()

    return epoch


REMEDIES: dict[str, Callable[..., tuple[Way, Way]]] = {
    "batch size": batch_size,
    "batch size from 16": partial(batch_size, 16),
    "channels last": channels_last,
    "fused optimiser": fused_optimizer,
    "fused attention": partial(fused_attention, True),
    "fused attention, ours": partial(fused_attention, False),
    "compile GPT": compiled,
    "compile CNN": compiled_cnn,
    "bfloat16": autocast,
    "checkpointing": checkpointing,
    "accumulation": accumulation,
    "2 workers": partial(loading, "2 workers"),
    "batch sampler": partial(loading, "batch sampler"),
    "no loader": partial(loading, "no loader"),
}


# --- measurements -----------------------------------------------------------------------------------------------------


def seconds(step: Step, times: int) -> float:
    """Return the seconds of one step, over so many."""
    begun = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - begun) / times


def repeats(step: Step, least: float) -> int:
    """Return how often a step must run to last so long, after two runs in which it does what is done once."""
    step()
    step()
    return max(1, round(least / seconds(step, 1)))


def compare(remedy: Callable[[], tuple[Way, Way]], pairs: int = PAIRS, least: float = LEAST) -> dict[str, Any]:
    """Return seconds per example of both ways in each pair, and the bytes that they hold."""
    torch.manual_seed(0)
    ways = remedy()
    begun = time.perf_counter()
    times = [repeats(way.step, least) for way in ways]
    warm_up = time.perf_counter() - begun
    found: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            way = ways[which]
            found[which].append(float(f"{seconds(way.step, times[which]) / way.examples:.4g}"))
    bytes_held = [way.saved for way in ways if way.saved is not None]
    return {"usual": found[0], "other": found[1], "bytes": bytes_held, "warm_up": round(warm_up, 1)}


def sizes_of(what: str) -> Iterator[tuple[int, nn.Module, Tensor, Tensor]]:
    """Yield sizes that double, each with a model and a batch."""
    if what == "batch":
        for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            yield count, CNN(), *images(count)
    elif what == "width":
        for width in (16, 32, 64, 128, 256, 512, 1024, 2048):
            yield width, MLP([784, width, width, 10]), *images(64)
    else:
        for length in (16, 32, 64, 128, 256, 512, 1024):
            yield length, gpt(False, length), *texts(1, length)


def grow(what: str, rounds: int = ROUNDS, least: float = 0.1, largest: int = 10_000) -> dict[str, Any]:
    """Return seconds of a step in each round for each size, its operations, and the peak of memory.

    Each round goes through the sizes in an order of its own, so that no change of the machine's load falls on one end.
    """
    torch.manual_seed(0)
    cases = [case for case in sizes_of(what) if case[0] <= largest]
    steps = [step_of(model, x, y) for _, model, x, y in cases]
    times = [repeats(step, least) for step in steps]
    measured = []
    for _ in range(rounds):
        order = torch.randperm(len(cases)).tolist()
        found = {which: float(f"{seconds(steps[which], times[which]):.4g}") for which in order}
        measured.append([found[which] for which in range(len(cases))])
    return {
        "sizes": [case[0] for case in cases],
        "seconds": measured,
        "flops": [flops(_gradients, *case[1:]) for case in cases],
        "bytes": [held(*case[1:]) for case in cases],
    }


def product_speed(size: int = 1024) -> float:
    """Return operations per second of a product of large matrices."""
    a = torch.randn(size, size)
    torch.mm(a, a)
    return 2 * size**3 / seconds(partial(torch.mm, a, a), 5)


def utilisation(rounds: int = ROUNDS, least: float = LEAST) -> dict[str, Any]:
    """Return which part of a product's operations per second each training step reaches, in each round."""
    torch.manual_seed(0)
    cases: dict[str, tuple[nn.Module, Tensor, Tensor]] = {
        "CNN, 8 images": (CNN(), *images(8)),
        "CNN, 128 images": (CNN(), *images(128)),
        "MLP, width 64": (MLP([784, 64, 64, 10]), *images(128)),
        "MLP, width 2048": (MLP([784, 2048, 2048, 10]), *images(128)),
        "GPT, 16 texts": (gpt(False), *texts(16)),
    }
    steps = {name: step_of(*case) for name, case in cases.items()}
    times = {name: repeats(step, least) for name, step in steps.items()}
    work = {name: flops(_gradients, *case) for name, case in cases.items()}
    found: dict[str, Any] = {name: [] for name in cases} | {"flops_per_second": []}
    for _ in range(rounds):
        for which in torch.randperm(len(cases)).tolist():
            name = [*cases][which]
            peak = product_speed()
            found[name].append(round(work[name] / seconds(steps[name], times[name]) / peak, 4))
            found["flops_per_second"].append(round(peak))
    return found


def operators(rounds: int = ROUNDS, count: int = 128) -> dict[str, Any]:
    """Return seconds and operations of the CNN's training step: of convolutions, of pooling, and of the rest."""
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    for layout, memory_format in (("usual", torch.contiguous_format), ("channels last", torch.channels_last)):
        x, y = images(count)
        model: nn.Module = CNN().to(memory_format=memory_format)  # type: ignore[call-overload]
        step = step_of(model, x.to(memory_format=memory_format), y)
        step()
        rows: list[dict[str, float]] = []
        for _ in range(rounds):
            with profile(activities=[ProfilerActivity.CPU]) as seen:
                step()
            spent = {"convolutions": 0.0, "pooling": 0.0, "rest": 0.0}
            for event in seen.key_averages():
                kind = "convolutions" if "conv" in event.key else "pooling" if "pool" in event.key else "rest"
                spent[kind] += event.self_cpu_time_total / 1e6
            rows.append({kind: float(f"{value:.4g}") for kind, value in spent.items()})
        found[layout] = rows
        found["flops"] = flops_by_kind(_gradients, CNN(), x, y)
    return found


ROWS: dict[str, Callable[[], Any]] = {name: partial(compare, remedy) for name, remedy in REMEDIES.items()}
ROWS |= {f"growth of {what}": partial(grow, what) for what in ("batch", "width", "length")}
ROWS |= {"utilisation": utilisation, "operators": operators}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing."""
    run(__file__, ROWS, arguments)


if __name__ == "__main__":
    main()
