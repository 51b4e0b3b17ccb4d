"""A small GPT beside an LSTM at equal parameters and equal processor time, on Shakespeare's characters, three seeds.

python -m benchmarks.transformer [rows…]

Both learn from 36 works and are judged on whole plays that they never saw, in bits per character. How many steps each
takes was set beforehand so that both use about the same seconds of one thread; the seconds they took are stored.
`cache` times how a text is continued with the keys and values of its past kept, and without.
"""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.processes import in_processes
from benchmarks.store import run, summary
from dlbook.data.corpora import shakespeare
from dlbook.language import LanguageModel, bits_per_token, chunk_losses, chunks
from dlbook.losses import cross_entropy
from dlbook.text.decode import greedy
from dlbook.training.optim import warmup_cosine
from dlbook.transformer import GPT, glorot_init_

SEEDS = 3
BATCH, STEPS = 8, 64
TAKES = {"gpt": 1400, "lstm": 2320}  # training steps in about the same time
RATES = {"gpt": 3e-3, "lstm": 8e-3}  # the best of three and of two, on the plays to choose by


def read() -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Return the characters to learn from as one text of numbers, and the plays held out, each by itself."""
    parts = shakespeare()
    alphabet = sorted(set("".join(parts.train.values())))
    number = {character: n for n, character in enumerate(alphabet)}

    def encode(text: str) -> Tensor:
        return torch.tensor([number[character] for character in text])

    held_out = {"validation": parts.validation, "test": parts.test}
    return encode("".join(parts.train.values())), {
        name: [encode(text) for text in plays.values()] for name, plays in held_out.items()
    }


def make(kind: str, seed: int, symbols: int = 84) -> nn.Module:
    """Make a model of about 232,000 parameters."""
    torch.manual_seed(seed)
    if kind == "gpt":
        model = GPT(symbols, 96, heads=4, layers=2, max_length=512, positions="rotary", fused=True)
        glorot_init_(model)  # learns faster here than with GPT-2's small weights
        return model
    return LanguageModel(symbols, 64, hidden=198)


@torch.no_grad()
def window_bits(model: GPT, text: Tensor, context: int = STEPS) -> float:
    """Return the bits per character with between half a context and a whole one before each, the first ones aside."""
    half, nats, scored = context // 2, 0.0, 0
    windows = text[: (len(text) - 1) // half * half + 1].unfold(0, context + 1, half)  # half of each was seen before
    for n, some in enumerate(windows.split(64)):
        scores = model(some[:, :-1])
        late = cross_entropy(scores[:, half:].flatten(0, 1), some[:, half + 1 :].flatten())
        nats += late.item() * len(some) * (context - half)
        scored += len(some) * (context - half)
        if n == 0:  # the beginning of the text, which no window has as its second half
            nats += cross_entropy(scores[0, :half], some[0, 1 : half + 1]).item() * half
            scored += half
    return nats / scored / math.log(2)


def bits(model: nn.Module, plays: list[Tensor]) -> float:
    """Return the bits per character over some plays."""
    judge: Callable[..., float] = window_bits if isinstance(model, GPT) else bits_per_token
    sizes = [len(play) - 1 for play in plays]
    extra = {} if isinstance(model, GPT) else {"batch_size": 16}
    return sum(judge(model, play, **extra) * size for play, size in zip(plays, sizes, strict=True)) / sum(sizes)


def losses(model: nn.Module, text: Tensor, steps: int, seed: int) -> Any:
    """Yield the loss of each step: of windows at random places, or for the LSTM of strips read on and on."""
    if isinstance(model, GPT):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            begin = torch.randint(len(text) - STEPS, (BATCH, 1), generator=generator)
            some = text[begin + torch.arange(STEPS + 1)]
            yield cross_entropy(model(some[:, :-1]).flatten(0, 1), some[:, 1:].flatten())
    else:
        place = torch.Generator().manual_seed(seed)
        shift = int(torch.randint(len(text), (1,), generator=place))  # seeds begin at different places
        yield from chunk_losses(model, chunks(text.roll(-shift), BATCH, STEPS)[:steps])  # type: ignore[arg-type]


def train(kind: str, seed: int, share: float = 1.0, judged: bool = True) -> dict[str, Any]:
    """Train one model; return its bits on the test, seconds, and a curve of bits on part of the plays to choose by."""
    torch.set_num_threads(1)
    text, held_out = read()
    some = [play[20_000:25_000] for play in held_out["validation"]]
    model = make(kind, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATES[kind], weight_decay=0.01, fused=True)
    steps = int(share * TAKES[kind])
    schedule = LambdaLR(optimizer, warmup_cosine(steps, warmup=max(1, steps // 20)))
    seconds, curve = 0.0, []
    begun = time.process_time()
    for step, loss in enumerate(losses(model, text, steps, seed), 1):
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % (steps // 8) == 0:
            seconds += time.process_time() - begun
            curve.append([round(seconds, 1), round(bits(model, some), 3)])
            begun = time.process_time()
    found = {"test": round(bits(model, held_out["test"]), 4)} if judged else {}
    return found | {"cpu_seconds": round(seconds, 1), "curve": curve, "characters": steps * BATCH * STEPS}


def short() -> dict[str, float]:
    """Train both for a few steps, to be done again by a test."""
    return {kind: train(kind, 0, share=0.02, judged=False)["curve"][-1][1] for kind in TAKES}


def race() -> dict[str, Any]:
    """Train both with every seed."""
    kinds, seeds = zip(*((kind, seed) for seed in range(SEEDS) for kind in TAKES), strict=True)
    runs = list(zip(kinds, in_processes(train, kinds, seeds), strict=True))
    return {kind: rounded(kind, [run for other, run in runs if other == kind]) for kind in TAKES}


def rounded(kind: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the runs of one kind of model."""
    return {
        "parameters": sum(parameter.numel() for parameter in make(kind, 0).parameters()),
        "characters": runs[0]["characters"],
        "cpu_seconds": median(run["cpu_seconds"] for run in runs),
        "curves": [run["curve"] for run in runs],
        "test": summary([run["test"] for run in runs]),
    }


@torch.no_grad()
def cache() -> dict[str, Any]:
    """Time one more character with and without the cache, in milliseconds, after so many characters."""
    torch.set_num_threads(1)
    model: Any = make("gpt", 0).eval()
    text = read()[0]
    found = {}
    for length in (64, 128, 256, 510):
        state, token = model.prefill(text[None, :length]), text[None, length]
        with_it: list[float] = []
        without: list[float] = []
        for _ in range(25):
            begun = time.perf_counter()
            greedy(model.step(state, token[:1])[0])
            with_it.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            greedy(model(text[None, : length + 1])[:, -1])
            without.append(time.perf_counter() - begun)
        found[str(length)] = {"cached": round(1000 * median(with_it), 2), "anew": round(1000 * median(without), 2)}
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"short": short, "cache": cache, "race": race}, arguments)


if __name__ == "__main__":
    main()
