"""How fast and how good: skip-gram with negative sampling beside gensim, on WikiText-2.

python -m benchmarks.language [rows…]

Both get the same sentences, window, dimension, epochs, negatives, subsampling and learning rate, on one thread, in
turns. gensim (word2vec in C) is installed into an environment of its own, _build/gensim.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from authoring.book import ROOT
from benchmarks.store import run, summary
from dlbook.data.corpora import wikitext2
from dlbook.data.pairs import analogies, wordsim353
from dlbook.embedding import SkipGram, complete_analogies, rank_correlation, train_skip_gram
from dlbook.text.tokenize import most_frequent

GENSIM = "gensim>=4.4,<5"
SEEDS, DIM, WINDOW, EPOCHS, RATE, MIN_COUNT = 3, 100, 5, 5, 0.025, 5


def corpus() -> tuple[list[list[str]], list[str]]:
    """Return the lines of the training part in small letters, of words seen often enough, and these words."""
    lines = " ".join(wikitext2().train).lower().split("<eos>")
    texts = [[word for word in line.split() if word != "<unk>"] for line in lines]
    words = most_frequent(texts, MIN_COUNT)
    known = set(words)
    return [[word for word in text if word in known] for text in texts], words


def quality(words: list[str], vectors: Tensor) -> dict[str, float]:
    """Return the rank correlation with WordSim-353 and the share of analogies that are right, where all words are."""
    number = {word: n for n, word in enumerate(words)}
    judged = wordsim353()
    similar = [
        (number[a.lower()], number[b.lower()], score)
        for a, b, score in zip(judged.first, judged.second, judged.scores.tolist(), strict=True)
        if a.lower() in number and b.lower() in number
    ]
    first, second, human = (torch.tensor(column) for column in zip(*similar, strict=True))
    cosines = F.cosine_similarity(vectors[first], vectors[second])
    asked = [
        [number[word.lower()] for word in question]
        for questions in analogies().values()
        for question in questions
        if all(word.lower() in number for word in question)
    ]
    questions = torch.tensor(asked)
    right = complete_analogies(vectors, questions[:, :3]) == questions[:, 3]
    return {
        "similarity": round(rank_correlation(cosines.double(), human.double()), 4),
        "pairs_of_words": len(similar),
        "analogies": round(right.double().mean().item(), 4),
        "questions": len(asked),
    }


def ours(texts: list[list[str]], words: list[str], seed: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train with the book's code; return CPU seconds, pairs and quality."""
    torch.set_num_threads(1)
    number = {word: n for n, word in enumerate(words)}
    tokens = torch.tensor([number[word] for text in texts for word in text])
    sentences = torch.arange(len(texts)).repeat_interleave(torch.tensor([len(text) for text in texts]))
    torch.manual_seed(seed)
    model = SkipGram(len(words), DIM)
    begun = time.process_time()
    pairs = train_skip_gram(model, tokens, sentences, tokens.bincount(), epochs, WINDOW, RATE, seed=seed)
    seconds = time.process_time() - begun
    return {"seconds": seconds, "pairs": pairs} | quality(words, model.centre.detach())


def short(texts: list[list[str]]) -> dict[str, float]:
    """Train on a few lines for one pass, to be done again by a test."""
    found = ours(texts[:2000], most_frequent(texts[:2000]), seed=0, epochs=1)
    return {measure: found[measure] for measure in ("pairs", "similarity")}


def gensims(words: list[str], seed: int) -> dict[str, Any]:  # pragma: no cover  (needs gensim)
    """Train with gensim in its own process; return CPU seconds, version and quality."""
    folder = ROOT / "_build" / "gensim"
    python = folder / "bin" / "python"
    vectors, environment = folder / "vectors.npy", {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    options = json.dumps({"vector_size": DIM, "window": WINDOW, "epochs": EPOCHS, "alpha": RATE, "seed": seed})
    command = [str(python), "-c", PROGRAM, str(folder / "texts.json"), str(vectors), options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    answer = json.loads(done.stdout.splitlines()[-1])
    row = {word: n for n, word in enumerate(answer.pop("words"))}
    found = torch.from_numpy(np.load(vectors))[torch.tensor([row[word] for word in words])]
    return answer | quality(words, found)


def prepare(texts: list[list[str]]) -> None:  # pragma: no cover  (installs gensim)
    """Install gensim where it is not yet, and put the sentences where its process reads them."""
    folder = ROOT / "_build" / "gensim"
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", GENSIM], check=True)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


PROGRAM = """
import json, sys, time
import gensim, numpy
from gensim.models import Word2Vec
texts = json.load(open(sys.argv[1], encoding="utf-8"))
model = Word2Vec(sg=1, negative=5, sample=1e-3, min_count=1, workers=1, min_alpha=1e-4, **json.loads(sys.argv[3]))
model.build_vocab(texts)
begun = time.process_time()
model.train(texts, total_examples=model.corpus_count, epochs=model.epochs)
seconds = time.process_time() - begun
numpy.save(sys.argv[2], model.wv.vectors)
print(json.dumps({"seconds": seconds, "version": gensim.__version__, "words": model.wv.index_to_key}))
"""


def race() -> dict[str, Any]:
    """Train both with every seed, in turns."""
    texts, words = corpus()
    prepare(texts)
    tokens = sum(map(len, texts))
    results: dict[str, Any] = {"tokens": tokens, "words": len(words)}
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "gensim": []}
    for seed in range(SEEDS):
        runs["ours"].append(ours(texts, words, seed))
        runs["gensim"].append(gensims(words, seed + 1))
        print(seed, runs["ours"][-1], runs["gensim"][-1], flush=True)
    for name, found in runs.items():
        seconds = sorted(run["seconds"] for run in found)[SEEDS // 2]
        results[name] = {
            "seconds": round(seconds, 1),
            "words_per_second": round(EPOCHS * tokens / seconds, -3),
            **{measure: summary([run[measure] for run in found]) for measure in ("similarity", "analogies")},
        }
    results["ours"]["pairs_per_second"] = round(runs["ours"][0]["pairs"] / results["ours"]["seconds"], -3)
    results["gensim"]["version"] = runs["gensim"][0]["version"]
    results |= {name: runs["ours"][0][name] for name in ("pairs_of_words", "questions")}
    return results | {"times": round(results["ours"]["seconds"] / results["gensim"]["seconds"], 2)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"short": lambda: short(corpus()[0]), "race": race}, arguments)


if __name__ == "__main__":
    main()
