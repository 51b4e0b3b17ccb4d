"""How well Shakespeare's next character is known: LSTMs of two sizes and budgets against n-grams, on whole plays.

python -m benchmarks.generation [rows…]

Parts, batches and settings are those of the chapter on text generation, whose network is the row "small". Seconds are
of the CPU, one thread. N-grams depend on no seed; they are counted on all of the training text, or on its beginning.
"""

import time
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.processes import in_processes
from benchmarks.store import run, summary
from dlbook.data.corpora import shakespeare
from dlbook.language import LanguageModel, bits_per_token, chunk_losses, chunks
from dlbook.text.ngram import NGrams
from dlbook.training.optim import warmup_cosine

STEPS = 64  # characters through which a gradient flows back


@dataclass(frozen=True)
class Row:
    """The size of a network, and how long it is trained."""

    hidden: int
    batch: int
    updates: int
    rate: float
    seeds: int


ROWS = {"small": Row(128, 16, 1200, 5e-3, seeds=3), "large": Row(256, 32, 2900, 4e-3, seeds=2)}


@cache
def data() -> tuple[int, dict[str, list[Tensor]]]:
    """Number the characters of each work; return how many there are, and the works of each part."""
    parts = shakespeare()
    number = {character: n for n, character in enumerate(sorted(set("".join(parts.train.values()))))}
    works = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return len(number), {
        part: [torch.tensor([number[character] for character in text]) for text in texts.values()]
        for part, texts in works.items()
    }


def train(row: Row, seed: int) -> dict[str, float]:
    """Train one network as the chapter does; return its bits per character, and the CPU seconds of the training."""
    torch.set_num_threads(1)
    symbols, parts = data()
    torch.manual_seed(seed)
    model = LanguageModel(symbols, 64, row.hidden)
    optimizer = torch.optim.Adam(model.parameters(), row.rate, fused=True)
    schedule = LambdaLR(optimizer, warmup_cosine(row.updates, warmup=row.updates // 20))
    order, done = chunks(torch.cat(parts["train"]), row.batch, STEPS), 0
    begun = time.process_time()
    while done < row.updates:
        for loss in chunk_losses(model, order[: row.updates - done]):
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
    seconds = time.process_time() - begun
    found = {part: bits_per_token(model, torch.cat(parts[part]), batch_size=16) for part in ("validation", "test")}
    return found | {"cpu_seconds": seconds}


def count(order: int, kneser_ney: bool, share: float = 1.0) -> dict[str, float]:
    """Count n-grams on the beginning of the training text; return the bits, and the CPU seconds of the counting."""
    torch.set_num_threads(1)
    symbols, parts = data()
    begun = time.process_time()
    text = torch.cat(parts["train"])
    model = NGrams([text[: round(share * len(text))]], symbols, order, kneser_ney)
    seconds = time.process_time() - begun
    found = {part: round(model.bits_per_token(parts[part]), 4) for part in ("validation", "test")}
    return found | {"cpu_seconds": round(seconds, 1)}


def short() -> dict[str, float]:
    """Train a small network for a few updates, to be done again by a test."""
    found = train(Row(32, 16, 30, 5e-3, seeds=1), seed=0)
    return {"validation": round(found["validation"], 3)}


def ngrams() -> dict[str, Any]:
    """Count n-grams of several orders, and of the best on parts of the text."""
    rows = {f"witten_bell_{order}": count(order, False) for order in (5, 6)}
    rows |= {f"kneser_ney_{order}": count(order, True) for order in (5, 6, 8)}
    return rows | {f"kneser_ney_6_of_{part}": count(6, True, 1 / part) for part in (64, 16, 4)}


def networks(name: str) -> dict[str, Any]:
    """Train the networks of one row, with every seed."""
    row = ROWS[name]
    runs = in_processes(train, [row] * row.seeds, range(row.seeds))
    bits = {part: summary([round(run[part], 4) for run in runs]) for part in ("validation", "test")}
    return bits | {"cpu_seconds": round(median(run["cpu_seconds"] for run in runs), 1)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows = {"short": short, "ngrams": ngrams}
    run(__file__, rows | {name: partial(networks, name) for name in ROWS}, arguments)


if __name__ == "__main__":
    main()
