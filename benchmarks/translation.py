"""English into French: BLEU and chrF of a word-by-word baseline and of two networks, on held-out sentences.

python -m benchmarks.translation [rows…]

The chapter on machine translation trains small networks on short sentences; here the whole of the training part is
read, once. What the networks say is kept under _build/, which is not committed, in a folder of its own for each state
of the code, and scored by the row "scores", which needs that of those before it.
"""

import json
import math
import re
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from authoring.book import ROOT
from authoring.definitions import fingerprint
from benchmarks.store import run
from dlbook.data.pairs import Pairs, english_french
from dlbook.data.splits import Parts
from dlbook.seq2seq import RecurrentTranslator
from dlbook.text.decode import beam_search, generate
from dlbook.text.ibm1 import IBMModel1
from dlbook.text.tokenize import Vocabulary, pad, tokenize
from dlbook.training.batches import BatchesByLength
from dlbook.training.fit import evaluate, fit
from dlbook.training.optim import warmup_cosine
from dlbook.transformer import Transformer

HELD_OUT, MIN_COUNT, SIZE, STEPS, LONGEST = 2_000, 8, 64, 1_500, 40
BINS = ((1, 5), (6, 7), (8, 9), (10, 60))  # tokens of the English sentence
DECODING = {"greedy": None, "beam_alpha_0": 0.0, "beam": 0.6}


def words(text: str) -> list[str]:
    """Cut a text as `tokenize` does, and after an apostrophe too: l'eau are two words."""
    return [part for token in tokenize(text) for part in re.findall(r"[^'’]+['’]?|['’]", token)]


def as_text(tokens: Sequence[str]) -> str:
    """Put words together again, with blanks where French has them."""
    text = " ".join(tokens).replace("’", "'")
    return re.sub(r" - ", "-", re.sub(r" ([.,)])", r"\1", re.sub(r"(['(]) ", r"\1", text)))


def plain(text: str) -> str:
    """Write small letters and one kind of apostrophe, in a reference as in a translation."""
    return text.lower().replace("’", "'")


@cache
def data() -> tuple[Parts[Pairs], Vocabulary, Vocabulary]:
    """Load the pairs, and number the words that occur often enough."""
    parts = english_french(test_size=HELD_OUT)
    english = Vocabulary.build(map(words, parts.train.english), MIN_COUNT)
    return parts, english, Vocabulary.build(map(words, parts.train.french), MIN_COUNT)


def batches(pairs: Pairs, shuffle: bool = False, rows: int | None = None) -> BatchesByLength:
    """Cut pairs into batches of (English, French so far, French to come)."""
    _, english, french = data()
    sources = [english.encode(words(sentence)) for sentence in pairs.english[:rows]]
    targets = [french.encode(words(sentence), ends=True) for sentence in pairs.french[:rows]]
    return BatchesByLength(
        sources,
        targets,
        batch_size=SIZE,
        max_length=LONGEST,
        shuffle=shuffle,
        arrange=lambda s, n, t, _: (s, t[:, :-1], t[:, 1:]),
    )


def loss(scores: Tensor, target: Tensor) -> Tensor:
    """Average over the words of a batch, padding left out."""
    return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=Vocabulary.pad)


def make(name: str) -> nn.Module:
    """Make a network."""
    _, english, french = data()
    if name == "recurrent":
        return RecurrentTranslator(len(english), len(french), 192, 192, tied=True)
    return Transformer(len(english), len(french), 160, heads=4, layers=2, max_length=LONGEST, fused=True)


def train(name: str, steps: int = STEPS, seed: int = 0) -> tuple[nn.Module, dict[str, float]]:
    """Train a network on so many batches; return it with its loss on the validation part, and the CPU seconds."""
    torch.manual_seed(seed)
    parts, *_ = data()
    model = make(name)
    every = list(batches(parts.train, shuffle=True))[:steps]
    rate = 3e-3 if name == "recurrent" else 2e-3
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98), fused=True)
    schedule = LambdaLR(optimizer, warmup_cosine(steps, warmup=steps // 8))
    begun = time.process_time()
    fit(model, every, loss, optimizer, epochs=1, schedule=schedule, clip=1.0)
    seconds = time.process_time() - begun
    found = evaluate(model, batches(parts.validation), loss=loss)
    return model, {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "steps": steps,
        "pairs": sum(len(target) for *_, target in every),
        "validation_loss": round(found["loss"], 3),
        "cpu_seconds": round(seconds),
    }


def translate(model: Any, sentences: Sequence[str], alpha: float | None = None) -> list[str]:
    """Translate, greedily or with four beams; sentences of one length are read together."""
    _, english, french = data()
    model.eval()

    def step(state: Any, token: Tensor) -> tuple[Tensor, Any]:
        scores, state = model.step(state, token)
        scores[:, : Vocabulary.eos] = -math.inf  # it must not say <pad>, <unk> or <bos>
        return scores, state

    sources = [english.encode(words(sentence))[:LONGEST] for sentence in sentences]
    order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
    said = [""] * len(sources)
    for first in range(0, len(order), 100):
        rows = order[first : first + 100]
        source, _ = pad([sources[row] for row in rows])
        token = torch.full((len(rows),), Vocabulary.bos)
        with torch.inference_mode():
            state, steps = model.encode(source), min(LONGEST - 1, 2 * source.shape[1] + 5)
            if alpha is None:
                found = generate(step, state, token, steps, stop=Vocabulary.eos)
            else:
                found, _ = beam_search(step, state, token, steps, Vocabulary.eos, beams=4, alpha=alpha)
        for row, numbers in zip(rows, found.tolist(), strict=True):
            said[row] = as_text(french.decode(numbers))
    return said


def network(name: str) -> dict[str, Any]:
    """Train a network, translate the test part in three ways, and keep what it says."""
    model, found = train(name)
    sentences = list(data()[0].test.references)
    for way, alpha in DECODING.items():
        begun = time.process_time()
        said = translate(model, sentences, alpha)
        found[f"{way}_cpu_seconds"] = round(time.process_time() - begun, 1)
        keep(f"{name}_{way}", said)
    return found


def word_by_word() -> dict[str, Any]:
    """Learn a dictionary, translate the test part word by word, and keep what it says."""
    parts, *_ = data()
    english = Vocabulary.build(map(words, parts.train.english))
    french = Vocabulary.build(map(words, parts.train.french))
    begun = time.process_time()
    sources = [english.encode(words(sentence)) for sentence in parts.train.english]
    lexicon = IBMModel1(sources, [french.encode(words(sentence)) for sentence in parts.train.french])
    seconds = time.process_time() - begun
    said = [
        as_text(french.decode(lexicon.translate([n for n in english.encode(words(sentence)) if n > french.eos])))
        for sentence in parts.test.references
    ]
    keep("word_by_word", said)
    return {"entries": len(lexicon.probability), "cpu_seconds": round(seconds)}


@cache
def folder() -> Path:
    """Return the folder of what systems say, made by this very code."""
    path = ROOT / "_build" / "translation" / fingerprint(Path(__file__))
    path.mkdir(parents=True, exist_ok=True)
    return path


def keep(name: str, said: list[str]) -> None:
    """Write what a system says beside the others."""
    (folder() / f"{name}.json").write_text(json.dumps(said, ensure_ascii=False, indent=0), encoding="utf-8")


def counts(said: Sequence[str], references: Sequence[Sequence[str]]) -> Tensor:
    """Count, for each sentence, matches of 1 to 4 words, how many there could be, and both lengths."""
    metric = BLEU(lowercase=True, effective_order=True)  # which changes no count
    rows = [metric.sentence_score(text, list(found)) for text, found in zip(said, references, strict=True)]
    return torch.tensor([[*row.counts, *row.totals, row.sys_len, row.ref_len] for row in rows], dtype=torch.float64)


def bleu(sums: Tensor) -> Tensor:
    """Compute BLEU from such counts, added up: (..., 10) -> (...)."""
    precision = (sums[..., :4] / sums[..., 4:8]).log().mean(-1).exp()
    return 100 * (1 - sums[..., 9] / sums[..., 8]).clamp(max=0).exp() * precision


def ends(values: Tensor) -> list[float]:
    """Return the ends of the percentile interval, 95 %."""
    return [round(end, 2) for end in values.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()]


def repeats(text: str) -> bool:
    """Say whether a run of three words comes twice."""
    runs = list(zip(*(text.split()[n:] for n in range(3)), strict=False))
    return len(set(runs)) < len(runs)


def scores(resamples: int = 1_000) -> dict[str, Any]:
    """Score what the systems said on the test part: all of it, by length, and by whether all words are known."""
    parts, english, _ = data()
    references = parts.test.references
    sentences, every = list(references), [[plain(text) for text in found] for found in references.values()]
    first = [found[:1] for found in every]
    lengths = torch.tensor([len(words(sentence)) for sentence in sentences])
    unknown = torch.tensor([any(word not in english for word in words(sentence)) for sentence in sentences])
    several = torch.tensor([len(found) > 1 for found in every])
    names = ["word_by_word", *(f"{network}_{way}" for network in ("recurrent", "transformer") for way in DECODING)]
    said = {name: json.loads((folder() / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    table = {name: counts(texts, first) for name, texts in said.items()}
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(len(sentences), (resamples, len(sentences)), generator=generator)
    weights = torch.zeros(draws.shape, dtype=torch.float64)
    weights.scatter_add_(1, draws, torch.ones(draws.shape, dtype=torch.float64))
    drawn = {name: bleu(weights @ rows) for name, rows in table.items()}

    def part(rows: Tensor, chosen: Tensor) -> float:
        return round(bleu(rows[chosen].sum(0)).item(), 2)

    found: dict[str, Any] = {"sentences": len(sentences), "unknown": int(unknown.sum()), "several": int(several.sum())}
    for low, high in BINS:
        found[f"length_{low}"] = int(((lengths >= low) & (lengths <= high)).sum())
    for name, rows in table.items():
        sums = rows.sum(0)
        score = BLEU(lowercase=True).corpus_score(said[name], [[f for (f,) in first]]).score
        assert abs(score - bleu(sums).item()) < 1e-6
        found[name] = {
            "bleu": round(score, 2),
            "interval": ends(drawn[name]),
            "chrf": round(CHRF().corpus_score([plain(t) for t in said[name]], [[f for (f,) in first]]).score, 2),
            "length_ratio": round((sums[8] / sums[9]).item(), 3),
            "all_references": round(bleu(counts(said[name], every).sum(0)).item(), 2),
            "where_several": part(rows, several),
            "all_known": part(rows, ~unknown),
            "some_unknown": part(rows, unknown),
            "repeats": round(sum(map(repeats, said[name])) / len(sentences), 4),
            **{f"length_{low}": part(rows, (lengths >= low) & (lengths <= high)) for low, high in BINS},
        }
    for name, (one, other) in {
        "beam_over_greedy_recurrent": ("recurrent_beam", "recurrent_greedy"),
        "beam_over_greedy_transformer": ("transformer_beam", "transformer_greedy"),
        "penalty_recurrent": ("recurrent_beam", "recurrent_beam_alpha_0"),
        "penalty_transformer": ("transformer_beam", "transformer_beam_alpha_0"),
        "transformer_over_recurrent": ("transformer_beam", "recurrent_beam"),
        "recurrent_over_word_by_word": ("recurrent_beam", "word_by_word"),
    }.items():
        difference = found[one]["bleu"] - found[other]["bleu"]
        found[name] = {"difference": round(difference, 2), "interval": ends(drawn[one] - drawn[other])}
    twice = [row for row, texts in enumerate(every) if len(texts) > 1]
    human = counts([every[row][1] for row in twice], [first[row] for row in twice]).sum(0)
    return found | {"human": round(bleu(human).item(), 2)}


def short() -> dict[str, float]:
    """Train a network for a few steps, to be done again by a test."""
    _, found = train("recurrent", steps=30)
    return {"validation_loss": found["validation_loss"]}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    networks = {name: partial(network, name) for name in ("recurrent", "transformer")}
    run(__file__, {"word_by_word": word_by_word, **networks, "scores": scores, "short": short}, arguments)


if __name__ == "__main__":
    main()
