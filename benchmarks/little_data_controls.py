"""Controls with 100 labels: the encoder's head and the size of its input; word vectors without the encoder.

python -m benchmarks.little_data_controls [rows…]

Draws, test examples and tuning are those of `benchmarks.little_data`. All logistic regressions on images have one grid,
and so have all on sentences; how often each C was chosen is stored.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from benchmarks.little_data import (
    TEST,
    Right,
    compare,
    draw,
    embedded,
    folds,
    images,
    latent,
    regression,
    reviews,
    space,
    tuned_svm,
)
from benchmarks.store import run
from dlbook import pretrained
from dlbook.data.images import fashion_mnist
from dlbook.efficientnet import scale_image

DRAWS = 10
IMAGE_C = [1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10, 100]
TEXT_C = [0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000]


@cache
def imagenet(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features by EfficientNet-Lite0 of images enlarged to a side, standardised over the pool."""
    data, model = fashion_mnist(), pretrained.load_efficientnet()

    def features(part: Tensor) -> np.ndarray:
        with torch.no_grad():
            found = [model.features(scale_image(batch, side)) for batch in part[:, None].split(50)]
        return torch.cat(found).double().numpy()

    pool, tested = features(data.train_images[:2000]), features(data.test_images[:TEST])
    scaler = StandardScaler().fit(pool)
    return scaler.transform(pool), scaler.transform(tested)


def on_images() -> dict[str, Any]:
    """Return the results of both heads on pixels, and on the encoder's features of images of both sizes."""
    labels, target = images()["labels"].numpy()[:2000], images()["target"].numpy()
    spaces = {"pixels": space("pixels"), "64 px": imagenet(64), "112 px": imagenet(112)}
    right: Right = {}
    chosen: dict[str, Counter[str]] = {}
    for seed in range(DRAWS):
        rows = draw(labels, 100, seed)
        y = labels[rows]
        for name, (x, tested) in spaces.items():
            probe = GridSearchCV(regression(1), {"C": IMAGE_C}, cv=folds(y)).fit(x[rows], y)
            for head, model in (("SVM", tuned_svm(x[rows], y)), ("logistic", probe)):
                right.setdefault(f"{name}, {head}", []).append(model.predict(tested) == target)
                chosen.setdefault(f"{name}, {head}", Counter())[str(model.best_params_["C"])] += 1
    rival = "pixels, SVM"
    pairs = [(name, rival) for name in right if name != rival]
    pairs += [("112 px, logistic", "pixels, logistic"), ("112 px, logistic", "64 px, SVM")]
    return compare(right, pairs) | {"chosen": chosen}


def mean_of_words(texts: list[str]) -> np.ndarray:
    """Return the mean of the vectors that MiniLM stores for the tokens of each text, without the network above them."""
    model, tokenizer = pretrained.load_minilm()
    vectors = token_vectors(model)
    means = [vectors[torch.tensor(tokenizer.encode(text, 128)[1:-1])].mean(0) for text in texts]
    return F.normalize(torch.stack(means)).double().numpy()


def token_vectors(model: torch.nn.Module) -> Tensor:
    """Return the model's table of token vectors, which is its largest matrix."""
    return max((weight.detach() for weight in model.parameters() if weight.ndim == 2), key=len)


def on_texts() -> dict[str, Any]:
    """Return the results on sentences of four vectors, with one head: counted, LSA, mean word vectors, MiniLM."""
    train, labels, test, target = reviews()
    of_words = mean_of_words(train), mean_of_words(test)
    right: Right = {}
    chosen: dict[str, Counter[str]] = {}
    for seed in range(DRAWS):
        rows = draw(labels, 100, seed)
        y = labels[rows]
        tfidf = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
        spaces: dict[str, tuple[Any, Any]] = {
            "TF-IDF": (tfidf.fit_transform([train[row] for row in rows]), tfidf.transform(test)),
            "LSA": (latent()[0][rows], latent()[1]),
            "word vectors": (of_words[0][rows], of_words[1]),
            "MiniLM": (embedded()[0][rows], embedded()[1]),
        }
        for name, (x, tested) in spaces.items():
            head = LogisticRegression(solver="liblinear", intercept_scaling=10)
            model = GridSearchCV(head, {"C": TEXT_C}, cv=folds(y)).fit(x, y)
            right.setdefault(name, []).append(model.predict(tested) == target)
            chosen.setdefault(name, Counter())[str(model.best_params_["C"])] += 1
    pairs = [("word vectors", "TF-IDF"), ("word vectors", "LSA"), ("MiniLM", "word vectors"), ("MiniLM", "TF-IDF")]
    return compare(right, pairs) | {"chosen": chosen}


def short() -> dict[str, float]:
    """Return an accuracy that a test measures again: word vectors of a few sentences, with 100 labels."""
    train, labels, test, target = reviews()
    rows = draw(labels, 100, seed=0)
    head = LogisticRegression(C=100, solver="liblinear", intercept_scaling=10)
    head.fit(mean_of_words([train[row] for row in rows]), labels[rows])
    return {"word vectors": head.score(mean_of_words(test), target)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": lambda: {name: round(v, 4) for name, v in short().items()}}
    rows |= {"images 100": on_images, "texts 100": on_texts}
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
