"""What reads reviews best: counted words, or networks that see their order?

python -m benchmarks.classification [rows…]

Three tasks, those of the chapter on text classification: the snippets of Rotten Tomatoes, all English reviews, and
Chinese reviews by characters. `bag` is logistic regression on TF-IDF of single tokens and pairs; the networks have
64 units and are kept as they were after the epoch that was best on the validation part. `shuffled` is the accuracy on
the test part with the tokens of each text in random order; `minus_bag` is the difference to the bag, with an interval
by resampling texts.
"""

import copy
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.store import run, summary
from dlbook.data.labelled import chinese_reviews, movie_reviews
from dlbook.fused import as_torch
from dlbook.metrics.resample import bootstrap_interval
from dlbook.recurrent import LSTMCell, Recurrent
from dlbook.text.tokenize import Vocabulary, pad, tokenize
from dlbook.training.batches import BatchesByLength
from dlbook.training.fit import fit
from dlbook.transformer import TextClassifier

Part = tuple[list[list[str]], Tensor]
DIM = 64
STEPS = {"snippets": 64, "english": 150, "chinese": 150}  # the most tokens that a network reads
SEEDS = {"snippets": 3, "english": 1, "chinese": 1}  # of the average always three


class Reader(nn.Module):
    """Embed the tokens, sum them up as one vector, and score the classes."""

    def __init__(self, vocabulary: int, summary: int = DIM):
        """Make the layers; `summary` is the size of the vector."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, DIM, padding_idx=0)
        nn.init.normal_(self.embedding.weight, 0, 0.1)
        self.dropout, self.output = nn.Dropout(0.5), nn.Linear(summary, 2)

    def forward(self, tokens: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch 2"]:
        """Return scores, one for each class."""
        real = (tokens != Vocabulary.pad)[:, :, None]
        return self.output(self.dropout(self.summarise(self.dropout(self.embedding(tokens)) * real, real)))

    def summarise(self, x: Float[Tensor, "batch steps dim"], real: Bool[Tensor, "batch steps 1"]) -> Tensor:
        """Average the real tokens."""
        return x.sum(1) / real.sum(1)


class Convolutional(Reader):
    """See which phrases of two, three and four words are there."""

    def __init__(self, vocabulary: int, widths: tuple[int, ...] = (2, 3, 4)):
        """Make the layers."""
        super().__init__(vocabulary, DIM * len(widths))
        self.phrases = nn.ModuleList(nn.Conv1d(DIM, DIM, width, padding=width - 1) for width in widths)

    def summarise(self, x: Float[Tensor, "batch steps dim"], real: Bool[Tensor, "batch steps 1"]) -> Tensor:
        """Keep the strongest response of each filter."""
        return torch.cat([F.relu(phrase(x.transpose(1, 2))).amax(2) for phrase in self.phrases], 1)


class Recurring(Reader):
    """Read from left to right, and average the states."""

    def __init__(self, vocabulary: int):
        """Make the layers."""
        super().__init__(vocabulary)
        self.lstm = as_torch(Recurrent(LSTMCell, DIM, DIM))

    def summarise(self, x: Float[Tensor, "batch steps dim"], real: Bool[Tensor, "batch steps 1"]) -> Tensor:
        """Average the states after real tokens."""
        return (self.lstm(x)[0] * real).sum(1) / real.sum(1)


def attentive(vocabulary: int) -> nn.Module:
    """Make a Transformer of one block."""
    return TextClassifier(vocabulary, 2, DIM, heads=4, layers=1, max_length=150, dropout=0.3, fused=True)


MODELS: dict[str, tuple[Callable[[int], nn.Module], float, dict[str, int]]] = {  # how to make it, rate, epochs
    "average": (Reader, 3e-3, {"snippets": 6, "english": 3, "chinese": 4}),
    "cnn": (Convolutional, 1e-3, {"snippets": 6, "english": 3, "chinese": 4}),
    "lstm": (Recurring, 2e-3, {"snippets": 4, "english": 3, "chinese": 3}),
    "transformer": (attentive, 1e-3, {"snippets": 5, "english": 2, "chinese": 3}),
}


@cache
def data(task: str) -> tuple[Part, Part, Part]:
    """Load the three parts of a task, cut into tokens."""
    parts = {
        "snippets": lambda: movie_reviews("rotten tomatoes"),
        "english": movie_reviews,
        "chinese": chinese_reviews,
    }[task]()
    cut = [([tokenize(text) for text in part.texts], part.labels) for part in (parts.train, parts.validation)]
    return cut[0], cut[1], ([tokenize(text) for text in parts.test.texts], parts.test.labels)


@cache
def encoded(task: str) -> tuple[int, list[tuple[list[list[int]], Tensor]]]:
    """Number the tokens that occur twice or more in the training part; return how many, and the parts."""
    vocabulary = Vocabulary.build(data(task)[0][0], min_count=2 if task == "snippets" else 5)
    return len(vocabulary), [([vocabulary.encode(text) for text in texts], labels) for texts, labels in data(task)]


def shuffled(texts: list[Any]) -> list[Any]:
    """Put the tokens of each text in random order."""
    generator = torch.Generator().manual_seed(0)
    return [[text[n] for n in torch.randperm(len(text), generator=generator).tolist()] for text in texts]


def grams(tokens: list[str]) -> list[str]:
    """List the tokens, and the pairs of neighbours."""
    return tokens + [f"{first} {second}" for first, second in zip(tokens, tokens[1:], strict=False)]


def fit_bag(task: str, steps: int | None = None) -> tuple[dict[str, float], Tensor]:
    """Fit logistic regression to TF-IDF; return how it does, and which test texts it gets right."""
    (texts, labels), _, (test, truth) = data(task)
    begun = time.process_time()
    counter = TfidfVectorizer(analyzer=lambda text: grams(text[:steps]), min_df=1 if task == "snippets" else 2)
    rows = counter.fit_transform(texts)
    model = LogisticRegression(C=10, max_iter=1000).fit(rows, labels.numpy())
    seconds = time.process_time() - begun

    def right(texts: list[list[str]]) -> Tensor:
        return torch.from_numpy(model.predict(counter.transform(texts))) == truth

    found = {"features": rows.shape[1], "cpu_seconds": round(seconds, 1)}
    return found | {"shuffled": round(right(shuffled(test)).double().mean().item(), 4)}, right(test).double()


def predict(model: nn.Module, texts: list[list[int]], steps: int) -> Tensor:
    """Return the likelier class of each text."""
    model.eval()
    found = torch.zeros(len(texts), dtype=torch.int64)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    with torch.inference_mode():
        for begin in range(0, len(order), 100):
            rows = order[begin : begin + 100]
            found[rows] = model(pad([texts[row] for row in rows], steps)[0]).argmax(1)
    return found


def train(
    task: str, name: str, seed: int, epochs: int | None = None, every: int = 1
) -> tuple[dict[str, float], Tensor]:
    """Train a network on every text, or every second; return how it does, and which test texts it gets right."""
    torch.set_num_threads(1)
    make, rate, planned = MODELS[name]
    count, ((texts, labels), (chosen, chosen_truth), (test, truth)) = encoded(task)
    torch.manual_seed(seed)
    model, steps = make(count), STEPS[task]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0, fused=True)
    best, kept, seconds = 0.0, copy.deepcopy(model.state_dict()), 0.0
    for epoch in range(epochs or planned[task]):
        batches = BatchesByLength(
            texts[::every], labels[::every], batch_size=50, max_length=steps,
            arrange=lambda tokens, lengths, label: (tokens, label), shuffle=True, seed=100 * seed + epoch,
        )  # fmt: skip
        begun = time.process_time()
        fit(model, batches, F.cross_entropy, optimizer, epochs=1)
        seconds += time.process_time() - begun
        found = (predict(model, chosen, steps) == chosen_truth).double().mean().item()
        if found > best:
            best, kept = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    right = (predict(model, test, steps) == truth).double()
    again = (predict(model, shuffled(test), steps) == truth).double().mean().item()
    return {"validation": round(best, 4), "shuffled": round(again, 4), "cpu_seconds": round(seconds, 1)}, right


def judged(right: Tensor, bag: Tensor | None = None) -> dict[str, Any]:
    """Return the accuracy, and the difference to the bag, with intervals."""
    low, high = bootstrap_interval(right)
    found: dict[str, Any] = {"accuracy": round(right.mean().item(), 4), "low": round(low, 4), "high": round(high, 4)}
    if bag is not None:
        low, high = bootstrap_interval(right - bag)
        difference = round((right - bag).mean().item(), 4)
        found["minus_bag"] = {"mean": difference, "low": round(low, 4), "high": round(high, 4)}
    return found


def measure(task: str) -> dict[str, Any]:
    """Run all models on a task."""
    found, bag = fit_bag(task)
    (texts, _), _, (test, _) = data(task)
    cut = sum(len(text) > STEPS[task] for text in texts) / len(texts)
    tokens = sum(map(len, texts)) / len(texts)
    rows: dict[str, Any] = {"texts": len(texts), "test_texts": len(test), "tokens": round(tokens, 1)}
    rows |= {"vocabulary": encoded(task)[0], "longer": round(cut, 4), "bag": found | judged(bag)}
    print(task, rows, flush=True)
    if cut > 0.05:
        found, right = fit_bag(task, STEPS[task])
        rows["bag_cut"] = found | judged(right, bag)
    for name in MODELS:
        runs = [train(task, name, seed) for seed in range(3 if name == "average" else SEEDS[task])]
        rows[name] = {"seeds": summary([round(right.mean().item(), 4) for _, right in runs])}
        rows[name] |= runs[0][0] | judged(runs[0][1], bag)  # of the first seed
        print(task, name, rows[name], flush=True)
    return rows


def short() -> dict[str, float]:
    """Train the average on every second snippet, to be done again by a test."""
    _, right = train("snippets", "average", seed=0, epochs=6, every=2)
    return {"accuracy": round(right.mean().item(), 4)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"short": short, **{task: partial(measure, task) for task in STEPS}}, arguments)


if __name__ == "__main__":
    main()
