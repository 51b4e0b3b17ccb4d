"""MiniLM with 200 labelled sentences: a linear probe, full fine-tuning and LoRA at equal labels, beside TF-IDF.

python -m benchmarks.lora [rows…]

All methods get the same draws of labels. Both kinds of fine-tuning, and the control whose head alone is trained on,
begin with a fitted probe as the head, and make as many updates on the same batches, with the same learning rate of the
head; dropout is off. That rate and the strength of the first probe are given, not tuned: a weakly penalised probe, for
MiniLM's vectors have norm one, and a strong penalty leaves logits too small to train the body.

Hyperparameters are chosen on 852 validation sentences, as the mean of two draws that the comparison does not use. Both
kinds of fine-tuning have as many learning rates to choose from. The number of epochs is the same for both: the larger
one if the mean of both, each at its best rate, is then better by half a point. LoRA in all linear layers takes the
learning rate of LoRA in queries and values.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.little_data import draw
from benchmarks.store import fresh, run
from benchmarks.transfer import accuracy
from dlbook import pretrained
from dlbook.data.labelled import LabelledTexts, movie_reviews
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.transfer import add_lora_, linear_probe
from dlbook.transformer import SentenceEncoder

COUNT, BATCH, RANK = 200, 10, 8
START, HEAD_LR = 1.0, 1e-2  # the strength of the probe that fine-tuning begins with, and the learning rate of the head
DRAWS, TUNING = 5, (100, 101)  # how many draws are compared; the seeds of those for tuning
STRENGTHS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
C = [0.1, 1.0, 10.0, 100.0, 1000.0]
RATES = {  # by epochs and method
    3: {"full": [2e-5, 6e-5, 2e-4, 6e-4], "LoRA": [3e-4, 1e-3, 3e-3, 1e-2]},
    10: {"full": [2e-5, 6e-5, 2e-4], "LoRA": [3e-4, 1e-3, 3e-3]},
}
GAIN = 0.005  # by how much more epochs must be better to be chosen
ADAPTED = {
    "LoRA": ["query", "value"],
    "LoRA, all layers": ["query", "key", "value", "output", "expand", "contract"],
}
METHODS = ["TF-IDF", "probe", "head", "full", *ADAPTED]
PAIRS = [
    ("probe", "TF-IDF"),
    ("full", "TF-IDF"),
    ("LoRA", "TF-IDF"),
    ("head", "probe"),
    ("full", "probe"),
    ("LoRA", "probe"),
    ("LoRA, all layers", "probe"),
    ("LoRA", "full"),
    ("LoRA, all layers", "full"),
    ("LoRA, all layers", "LoRA"),
]


@cache
def sentences(part: str) -> LabelledTexts:
    """Return a part of the reviews of Rotten Tomatoes, each a sentence."""
    return getattr(movie_reviews("rotten tomatoes"), part)


@cache
def embedded(part: str) -> Tensor:
    """Return the embeddings of a part by MiniLM as it came."""
    return pretrained.embed(*pretrained.load_minilm(), sentences(part).texts)


@cache
def labelled(seed: int, count: int = COUNT) -> tuple[list[str], Tensor, Tensor]:
    """Return the sentences of a draw, their labels and their embeddings."""
    chosen = sentences("train").choose(draw(sentences("train").labels.numpy(), count, seed).tolist())
    return chosen.texts, chosen.labels, pretrained.embed(*pretrained.load_minilm(), chosen.texts)


def right(head: nn.Linear, features: Tensor, part: str) -> Tensor:
    """Return which of the first sentences of a part are classified correctly, as many as there are features."""
    with torch.no_grad():
        return head(features).argmax(1) == sentences(part).labels[: len(features)]


def counted(seed: int, part: str, c: float) -> tuple[Tensor, int]:
    """Fit logistic regression to TF-IDF of a draw's words and pairs of words.

    Returns:
        Which sentences of a part are classified correctly, and how many weights there are.
    """
    texts, labels, _ = labelled(seed)
    words = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=c, solver="liblinear", intercept_scaling=10)
    model.fit(words.fit_transform(texts), labels.numpy())
    predicted = torch.from_numpy(model.predict(words.transform(sentences(part).texts)))
    return predicted == sentences(part).labels, model.coef_.size + 1


def probed(seed: int, part: str, strength: float) -> Tensor:
    """Fit a linear probe to the embeddings of a draw."""
    _, labels, features = labelled(seed)
    return right(linear_probe(features, labels, strength), embedded(part), part)


def batches(lengths: Tensor, epochs: int, seed: int) -> Iterator[Tensor]:
    """Yield the rows of each update: in random order, but sentences of a batch have similar lengths."""
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for half in torch.randperm(len(lengths), generator=shuffle).chunk(2):
            alike = half[lengths[half].argsort(stable=True)].split(BATCH)
            for number in torch.randperm(len(alike), generator=shuffle).tolist():
                yield alike[number]


def adapt_(model: SentenceEncoder, method: str) -> list[nn.Parameter]:
    """Choose the weights of a model that a method trains, and return them."""
    if method == "head":
        model.requires_grad_(False)
    elif method in ADAPTED:
        add_lora_(model, ADAPTED[method], RANK)
    return [weight for weight in model.parameters() if weight.requires_grad]


def tuned(
    method: str, seed: int, part: str, lr: float, epochs: int, count: int = COUNT, tested: int = 10_000
) -> Tensor:
    """Train a copy of MiniLM and the probe on it, and return which sentences of a part are classified correctly.

    With the method "head" the probe alone is trained.
    """
    texts, labels, features = labelled(seed, count)
    head = linear_probe(features, labels, START)
    model, tokenizer = pretrained.load_minilm()
    torch.manual_seed(seed)
    groups = [{"params": adapt_(model, method), "lr": lr}, {"params": list(head.parameters()), "lr": HEAD_LR}]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]], fused=True)
    numbers = [tokenizer.encode(text, 256) for text in texts]
    order = list(batches(torch.tensor([len(tokens) for tokens in numbers]), epochs, seed))
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = OneCycleLR(optimizer, peaks, total_steps=len(order), pct_start=0.2)
    for batch in order:
        if method == "head":
            found = features[batch]
        else:
            longest = max(len(numbers[i]) for i in batch)
            padded = [numbers[i] + [tokenizer.pad] * (longest - len(numbers[i])) for i in batch]
            found = model(torch.tensor(padded))
        optimizer.zero_grad()
        F.cross_entropy(head(found), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    if method == "head":
        return right(head, embedded(part), part)
    return right(head, pretrained.embed(model, tokenizer, sentences(part).texts[:tested]), part)


def mean_of_tuning(method: Callable[..., Tensor], *given: Any) -> float:
    """Return the mean accuracy on validation sentences of the two draws for tuning."""
    return accuracy(torch.stack([method(seed, "validation", *given) for seed in TUNING]))


def tune(method: str, epochs: int, lr: float) -> float:
    """Return the accuracy of a kind of fine-tuning on validation sentences."""
    return mean_of_tuning(lambda seed, part: tuned(method, seed, part, lr, epochs))


def chosen(rows: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that were best on validation sentences, as far as they were tried."""
    found: dict[str, Any] = {}
    for said, name in (("strength", "tune probe"), ("C", "tune TF-IDF")):
        if name in rows:
            found[said] = float(max(rows[name], key=rows[name].get))
    tried: dict[int, dict[str, dict[str, float]]] = {}  # by epochs, method and rate
    for name, value in rows.items():
        if name.startswith("tune") and name.endswith("epochs"):
            _, method, lr, epochs, _ = name.split()
            tried.setdefault(int(epochs), {}).setdefault(method, {})[lr] = value
    for number in sorted(tried):
        best = {method: max(by_rate.values()) for method, by_rate in tried[number].items()}
        mean = sum(best.values()) / len(best)
        if "epochs" not in found or mean >= found["validation"] + GAIN:
            found |= {"epochs": number, "validation": round(mean, 4)}
            found |= {method: float(max(by, key=by.get)) for method, by in tried[number].items()}  # type: ignore[arg-type]
    return found


def one(method: str, seed: int) -> dict[str, Any]:
    """Return a method's accuracy on the test sentences with a draw, and which ones are right, packed as digits."""
    best = chosen(fresh(__file__))
    if method == "TF-IDF":
        found, _ = counted(seed, "test", best["C"])
    elif method == "probe":
        found = probed(seed, "test", best["strength"])
    else:
        lr = HEAD_LR if method == "head" else best[method.partition(",")[0]]
        found = tuned(method, seed, "test", lr, best["epochs"])
    return {"accuracy": accuracy(found), "right": pack(found)}


def pack(found: Tensor) -> str:
    """Return which examples are right as digits."""
    return np.packbits(found.numpy()).tobytes().hex()


def unpack(packed: str, examples: int) -> Tensor:
    """Return which examples are right, from what `pack` returned."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8))[:examples]
    return torch.from_numpy(bits.astype(bool))


def trained() -> dict[str, int]:
    """Return how many weights each method trains; TF-IDF as many as its mean over the draws."""
    _, labels, features = labelled(0)
    head = sum(weight.numel() for weight in linear_probe(features, labels).parameters())
    found = {"TF-IDF": round(np.mean([counted(seed, "test", 1.0)[1] for seed in range(DRAWS)])), "probe": head}
    for method in METHODS[2:]:
        model, _ = pretrained.load_minilm()
        found[method] = head + sum(weight.numel() for weight in adapt_(model, method))
    return found


def sum_up(rows: dict[str, Any]) -> dict[str, Any]:
    """Return what was chosen, the accuracies of all draws, and paired intervals (low, high, estimate)."""
    if not all(f"{method} {seed}" in rows for method in METHODS for seed in range(DRAWS)):
        return {}
    examples = len(sentences("test"))
    draws = {method: [rows[f"{method} {seed}"] for seed in range(DRAWS)] for method in METHODS}
    found = {name: torch.stack([unpack(row["right"], examples) for row in every]) for name, every in draws.items()}
    differences = {}
    for first, second in PAIRS:
        interval = difference_over_examples_and_seeds(found[first], found[second], resamples=500)
        ends = (interval.low, interval.high, interval.estimate)
        differences[f"{first} - {second}"] = [round(value, 4) for value in ends]
    accuracies = {name: [row["accuracy"] for row in every] for name, every in draws.items()}
    return {"chosen": chosen(rows), "accuracies": accuracies, "differences": differences}


def short() -> float:
    """Return an accuracy that a test measures again: LoRA with 20 labels, tested on 60 sentences."""
    return accuracy(tuned("LoRA", 0, "test", 3e-3, 1, count=20, tested=60))


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": short, "trained": trained}
    rows["tune probe"] = lambda: {f"{s:g}": mean_of_tuning(probed, s) for s in STRENGTHS}
    rows["tune TF-IDF"] = lambda: {f"{c:g}": mean_of_tuning(lambda *given: counted(*given)[0], c) for c in C}
    for epochs, by_method in [(3, RATES[3])]:  # those of ten epochs are still to be measured
        for method, rates in by_method.items():
            for lr in rates:
                name = f"tune {method} {lr:g} {epochs} epochs"
                rows[name] = lambda method=method, epochs=epochs, lr=lr: tune(method, epochs, lr)  # type: ignore[misc]
    for method in METHODS:
        for seed in range(DRAWS):
            rows[f"{method} {seed}"] = lambda method=method, seed=seed: one(method, seed)  # type: ignore[misc]
    run(__file__, rows, arguments, sum_up=sum_up)


if __name__ == "__main__":
    main()
