"""Accuracy against the number of labels, for reviews and small images, and what unlabelled data and augmentation add.

python -m benchmarks.little_data [rows…]

A draw is a labelled set with as many examples of each class; all methods get the same draws. Hyperparameters are chosen
by cross-validation inside the labelled set, or fixed, so that no method sees a label beyond its budget. Differences
have intervals over draws and test examples.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from benchmarks.store import run
from dlbook import pretrained
from dlbook.data.images import fashion_mnist
from dlbook.data.labelled import movie_reviews
from dlbook.efficientnet import scale_image
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.few_labels import entropy, k_center_greedy, least_confidence, margin, pseudo_labels, rotations
from dlbook.practice.transfer import info_nce
from dlbook.training.augment import random_erase, random_flip, random_shift, shift

TEXT_DRAWS = {20: 10, 50: 10, 100: 10, 200: 10, 500: 10, 1000: 5, 2000: 3, 6000: 3}
IMAGE_DRAWS = {20: 10, 50: 10, 100: 10, 500: 5}
PENALTIES = [0.01, 0.1, 1, 10, 100]  # C of logistic regression: the larger, the weaker
SVM_C = [0.3, 1, 3, 10, 30]
THRESHOLDS, SHIFTS = [0.5, 0.7, 0.9], [0, 1, 2]
POOL, UNLABELLED, TEST = 10_000, 10_000, 2000  # images
Right = dict[str, list[np.ndarray]]  # of each method, for each draw, which test examples it gets right


def draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw a labelled set with as many examples of each class, or one more."""
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = np.unique(labels)
    return np.sort(np.concatenate([order[labels[order] == k][: count // len(classes)] for k in classes]))


def folds(labels: np.ndarray) -> StratifiedKFold:
    """Return five folds, or as many as the rarest class has labels."""
    return StratifiedKFold(min(5, np.bincount(labels).min()), shuffle=True, random_state=0)


def compare(right: Right, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return each method's accuracy on each draw, and paired intervals of differences."""
    found: dict[str, Any] = {name: [round(float(one.mean()), 4) for one in draws] for name, draws in right.items()}
    found["differences"] = {}
    for first, second in pairs:
        if len(right[first]) > 1:
            one, other = (torch.from_numpy(np.stack(right[name])) for name in (first, second))
            ours = difference_over_examples_and_seeds(one, other, resamples=500)
            found["differences"][f"{first} - {second}"] = [round(v, 4) for v in (ours.low, ours.high, ours.estimate)]
    return found


# --- reviews ----------------------------------------------------------------------------------------------------------


@cache
def reviews() -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    """Return the sentences to draw labels from, and those to test with, with their labels."""
    parts = movie_reviews("rotten tomatoes")
    tested = torch.cat([parts.validation.labels, parts.test.labels])
    texts = parts.validation.texts + parts.test.texts
    return parts.train.texts, parts.train.labels.numpy(), texts, tested.numpy()


@cache
def embedded() -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings by MiniLM of both parts."""
    model, tokenizer = pretrained.load_minilm()
    train, _, test, _ = reviews()
    return tuple(pretrained.embed(model, tokenizer, texts).double().numpy() for texts in (train, test))  # type: ignore[return-value]


@cache
def latent() -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of both parts by latent semantic analysis, fitted without labels to all training sentences."""
    train, _, test, _ = reviews()
    words = TfidfVectorizer(token_pattern=r"\S+", sublinear_tf=True, min_df=2)
    model = make_pipeline(words, TruncatedSVD(200, random_state=0), Normalizer())
    return model.fit_transform(train), model.transform(test)


def logistic(x: Any, labels: np.ndarray) -> LogisticRegressionCV:
    """Fit logistic regression, its C chosen by cross-validation."""
    model = LogisticRegressionCV(
        Cs=PENALTIES,
        cv=folds(labels),
        solver="liblinear",
        intercept_scaling=10,  # so that the intercept is next to free of the penalty
        scoring="accuracy",
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return model.fit(x, labels)


def texts_at(count: int) -> dict[str, Any]:
    """Return the results of all methods with so many labelled sentences."""
    train, labels, test, target = reviews()
    right: Right = {}
    for seed in range(TEXT_DRAWS[count]):
        rows = draw(labels, count, seed)
        chosen, y = [train[row] for row in rows], labels[rows]
        counts = CountVectorizer(token_pattern=r"\S+")
        bayes = GridSearchCV(MultinomialNB(), {"alpha": [0.03, 0.1, 0.3, 1, 3, 10]}, cv=folds(y))
        bayes.fit(counts.fit_transform(chosen), y)
        right.setdefault("naive Bayes", []).append(bayes.predict(counts.transform(test)) == target)
        tfidf = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
        x = tfidf.fit_transform(chosen)
        spaces = {
            "TF-IDF": (x, tfidf.transform(test)),
            "LSA": (latent()[0][rows], latent()[1]),
            "MiniLM": (embedded()[0][rows], embedded()[1]),
        }
        for name, (x, tested) in spaces.items():
            right.setdefault(name, []).append(logistic(x, y).predict(tested) == target)
    return compare(right, [("MiniLM", "TF-IDF"), ("MiniLM", "naive Bayes"), ("MiniLM", "LSA"), ("LSA", "TF-IDF")])


def fine_tuned(count: int, draws: int, epochs: int) -> dict[str, Any]:
    """Fine-tune all of MiniLM with a new linear layer, by settings fixed beforehand, beside the frozen encoder."""
    train, labels, test, target = reviews()
    right: Right = {}
    for seed in range(draws):
        rows = draw(labels, count, seed)
        frozen = logistic(embedded()[0][rows], labels[rows])
        right.setdefault("frozen", []).append(frozen.predict(embedded()[1]) == target)
        torch.manual_seed(seed)
        model, tokenizer = pretrained.load_minilm()
        head = nn.Linear(384, 2)
        nn.init.zeros_(head.weight)
        groups = [{"params": model.parameters(), "lr": 5e-5}, {"params": head.parameters(), "lr": 1e-2}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        steps = epochs * -(-count // 16)
        schedule = OneCycleLR(optimizer, [5e-5, 1e-2], total_steps=steps, pct_start=0.1)
        numbers = [tokenizer.encode(train[row], 128) for row in rows]
        y = torch.from_numpy(labels[rows])
        for _ in range(epochs):
            for batch in torch.randperm(count).split(16):
                longest = max(len(numbers[i]) for i in batch)
                padded = [numbers[i] + [tokenizer.pad] * (longest - len(numbers[i])) for i in batch]
                optimizer.zero_grad()
                F.cross_entropy(head(model(torch.tensor(padded))), y[batch]).backward()
                optimizer.step()
                schedule.step()
        with torch.no_grad():
            predicted = head(pretrained.embed(model, tokenizer, test)).argmax(1).numpy()
        right.setdefault("fine-tuned", []).append(predicted == target)
    return compare(right, [("fine-tuned", "frozen")])


# --- images -----------------------------------------------------------------------------------------------------------


@cache
def images() -> dict[str, Tensor]:
    """Return images of 14 × 14 pixels, standardised: to draw labels from, without labels, and to test with."""
    data = fashion_mnist()
    small = F.avg_pool2d(data.train_images[: POOL + UNLABELLED, None], 2)
    mean, deviation = small.mean(), small.std()
    tested = F.avg_pool2d(data.test_images[:TEST, None], 2)
    return {
        "pool": (small[:POOL] - mean) / deviation,
        "unlabelled": (small[POOL:] - mean) / deviation,
        "test": (tested - mean) / deviation,
        "labels": data.train_labels[:POOL],
        "target": data.test_labels[:TEST],
        "black": -mean / deviation,
    }


def make_encoder(width: int = 16) -> nn.Sequential:
    """Return a small convolutional encoder, from 14 × 14 pixels to 8 numbers for each unit of width."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    first = [*block(1, width), *block(width, width), nn.MaxPool2d(2)]
    second = [*block(width, 2 * width), *block(2 * width, 2 * width), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second)


def train(model: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float = 3e-3) -> nn.Module:
    """Train a model with AdamW and a one-cycle schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, lr, total_steps=steps)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def view(x: Tensor) -> Tensor:
    """Return a random view of each image: flipped, cut and enlarged, brighter or darker, a part painted over."""
    black, n = float(images()["black"]), len(x)
    side, sign = 0.6 + 0.4 * torch.rand(n), 1 - 2.0 * (torch.rand(n) < 0.5)
    right, down = ((1 - side) * (2 * torch.rand(n) - 1) for _ in range(2))
    zero = torch.zeros(n)
    maps = torch.stack([torch.stack([sign * side, zero, right], 1), torch.stack([zero, side, down], 1)], 1)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    seen = F.grid_sample(x - black, grid, align_corners=False)
    return random_erase(seen * (0.6 + 0.8 * torch.rand(n, 1, 1, 1)) + black, 4, 4, fill=black)


@cache
def encoder(kind: str) -> nn.Module:
    """Return an encoder that has seen no label: untrained, by rotation prediction, or by contrast of two views."""
    torch.manual_seed(0)
    unlabelled, body = images()["unlabelled"], make_encoder()
    if kind == "untrained":
        with torch.no_grad():  # its batch normalisation still learns the mean and variance of the data
            for batch in unlabelled[:4000].split(200):
                body(batch)
    elif kind == "rotation":
        model = nn.Sequential(body, nn.Linear(128, 4))

        def turned() -> Tensor:
            x, quarters = rotations(unlabelled[torch.randint(UNLABELLED, (32,))])
            return F.cross_entropy(model(x), quarters)

        train(model, turned, steps=400)
    else:
        model = nn.Sequential(body, nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64))

        def contrast() -> Tensor:
            x = unlabelled[torch.randint(UNLABELLED, (128,))]
            return info_nce(model(view(x)), model(view(x)), temperature=0.2)

        train(model, contrast, steps=400)
    return body.eval()


@cache
def imagenet() -> tuple[np.ndarray, np.ndarray]:
    """Return the features by EfficientNet-Lite0 of the first images of the pool and of the test images."""
    data, model = fashion_mnist(), pretrained.load_efficientnet()
    found = []
    with torch.no_grad():
        for part in (data.train_images[:2000, None], data.test_images[:TEST, None]):
            found.append(torch.cat([model.features(scale_image(batch, 64)) for batch in part.split(50)]))
    return tuple(part.double().numpy() for part in found)  # type: ignore[return-value]


@cache
def space(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, or an encoder's features standardised over the pool, for the pool and the test set."""
    if name == "ImageNet":
        parts = imagenet()
    elif name == "pixels":
        return tuple(images()[part].flatten(1).double().numpy() for part in ("pool", "test"))  # type: ignore[return-value]
    else:
        body = encoder(name)
        with torch.no_grad():
            parts = tuple(
                torch.cat([body(batch) for batch in images()[part].split(1000)]).double().numpy()
                for part in ("pool", "test")
            )  # type: ignore[assignment]
    scaler = StandardScaler().fit(parts[0])
    return scaler.transform(parts[0]), scaler.transform(parts[1])


def tuned_svm(x: np.ndarray, labels: np.ndarray) -> Any:
    """Fit a support vector machine, its C chosen by cross-validation."""
    return GridSearchCV(SVC(), {"C": SVM_C}, cv=folds(labels)).fit(x, labels)


def copies(x: Tensor, pixels: int) -> Tensor:
    """Return images with their copies: flipped, and each shifted by so many pixels in four directions."""
    both = torch.cat([x, x.flip(3)])
    moves = [(0, 0), (pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)] if pixels else [(0, 0)]
    black = float(images()["black"])
    ones = torch.ones(len(both), dtype=torch.long)
    return torch.cat([shift(both, down * ones, right * ones, fill=black) for down, right in moves])


def augmented_svm(x: Tensor, labels: np.ndarray, c: float) -> Any:
    """Fit a support vector machine to images and their copies; how far they move is chosen by cross-validation."""

    def fit(rows: np.ndarray, pixels: int) -> Any:
        many = copies(x[rows], pixels)
        return SVC(C=c).fit(many.flatten(1).numpy(), np.tile(labels[rows], len(many) // len(rows)))

    flat, scores = x.flatten(1).numpy(), []
    for pixels in SHIFTS:
        parts = folds(labels).split(flat, labels)
        scores.append(np.mean([fit(rows, pixels).score(flat[left], labels[left]) for rows, left in parts]))
    return fit(np.arange(len(labels)), SHIFTS[int(np.argmax(scores))])


def self_trained(x: np.ndarray, labels: np.ndarray, unlabelled: np.ndarray, c: float, threshold: float) -> Any:
    """Fit logistic regression to labels, then to labels and pseudo-labels."""
    teacher = regression(c).fit(x, labels)
    sure, guessed = pseudo_labels(torch.from_numpy(teacher.predict_proba(unlabelled)), threshold)
    more = np.concatenate([x, unlabelled[sure.numpy()]])
    return regression(c).fit(more, np.concatenate([labels, guessed.numpy()]))


def regression(c: float) -> LogisticRegression:
    """Return logistic regression that may end before it has converged to all digits."""
    return LogisticRegression(C=c, max_iter=100, tol=1e-3)


def images_at(count: int) -> dict[str, Any]:
    """Return the results with so many labelled images: pixels, copies, and encoders that saw no label of them."""
    data = images()
    labels, target = data["labels"].numpy(), data["target"].numpy()
    right: Right = {}
    for seed in range(IMAGE_DRAWS[count]):
        rows = draw(labels[:2000], count, seed)
        y = labels[rows]
        for name in ("pixels", "untrained", "rotation", "contrastive", "ImageNet"):
            x, tested = space(name)
            model = tuned_svm(x[rows], y)
            right.setdefault(name, []).append(model.predict(tested) == target)
            if name == "pixels":
                augmented = augmented_svm(data["pool"][rows], y, model.best_params_["C"])
                right.setdefault("augmented", []).append(augmented.predict(tested) == target)
    pairs = [(name, "pixels") for name in ("augmented", "rotation", "contrastive", "ImageNet")]
    return compare(right, [*pairs, ("rotation", "untrained"), ("contrastive", "untrained")])


def pseudo_at(count: int) -> dict[str, Any]:
    """Return what pseudo-labels for 2,000 unlabelled images add to logistic regression, at each of three thresholds."""
    data = images()
    labels, target = data["labels"].numpy(), data["target"].numpy()
    right: Right = {}
    for seed in range(10):
        rows = draw(labels[:2000], count, seed)
        y = labels[rows]
        for name in ("pixels", "contrastive"):
            x, tested = space(name)
            grid = GridSearchCV(regression(1), {"C": [0.0001, 0.001, 0.01, 0.1, 1]}, cv=folds(y)).fit(x[rows], y)
            right.setdefault(name, []).append(grid.predict(tested) == target)
            for threshold in THRESHOLDS:
                student = self_trained(x[rows], y, x[2000:4000], grid.best_params_["C"], threshold)
                right.setdefault(f"{name} {threshold}", []).append(student.predict(tested) == target)
    return compare(right, [(f"{name} {one}", name) for name in ("pixels", "contrastive") for one in THRESHOLDS])


def networks_at(count: int) -> dict[str, Any]:
    """Train the encoder with a linear layer on labels alone, without and with random flips and shifts by a pixel."""
    data = images()
    black = float(data["black"])
    right: Right = {}
    for seed in range(5):
        rows = draw(data["labels"][:2000].numpy(), count, seed)
        x, y = data["pool"][rows], data["labels"][rows]
        for name in ("network", "network, augmented"):
            torch.manual_seed(seed)
            model = nn.Sequential(make_encoder(), nn.Linear(128, 10))

            def loss(model: nn.Module = model, x: Tensor = x, y: Tensor = y, name: str = name) -> Tensor:
                batch = torch.randint(count, (50,))
                seen = x[batch] if name == "network" else random_shift(random_flip(x[batch]), 1, fill=black)
                return F.cross_entropy(model(seen), y[batch])

            train(model, loss, steps=200)
            with torch.no_grad():
                right.setdefault(name, []).append((model(data["test"]).argmax(1) == data["target"]).numpy())
    return compare(right, [("network, augmented", "network")])


# --- active learning --------------------------------------------------------------------------------------------------


UNCERTAINTY = {"least confidence": least_confidence, "margin": margin, "entropy": entropy}


def queried(x: np.ndarray, labels: np.ndarray, strategy: str, seed: int, count: int, c: float, rounds: int) -> Any:
    """Label some examples at random, then as many in each round by a strategy; yield the model after each round."""
    generator = np.random.default_rng(seed)
    labelled = np.zeros(len(labels), dtype=bool)
    labelled[draw(labels, count, seed)] = True
    for _ in range(rounds):
        model = regression(c).fit(x[labelled], labels[labelled])
        yield model
        free = np.flatnonzero(~labelled)
        if strategy == "random":
            new = generator.choice(free, count, replace=False)
        elif strategy == "core-set":
            new = k_center_greedy(torch.from_numpy(x), torch.from_numpy(labelled), count).numpy()
        else:
            unsure = UNCERTAINTY[strategy](torch.from_numpy(model.predict_proba(x[free])))
            new = free[unsure.topk(count).indices.numpy()]
        labelled[new] = True


def active(
    space: tuple[np.ndarray, np.ndarray], labels: np.ndarray, target: np.ndarray, strategies: Sequence[str], c: float
) -> dict[str, Any]:
    """Compare strategies with random choice, from the same 20 labels to 200, with ten draws of the first 20."""
    x, tested = space
    curves: dict[str, Any] = {}
    right: Right = {}
    for strategy in ("random", *strategies):
        all_rounds = []
        for seed in range(10):
            models = list(queried(x, labels, strategy, seed, 20, c, rounds=10))
            each = np.stack([model.predict(tested) == target for model in models])
            all_rounds.append(each.mean(1))
            right.setdefault(strategy, []).append(each[1:].mean(0))  # the mean over all rounds after the first
        curves[strategy] = [round(float(v), 4) for v in np.mean(all_rounds, 0)]
    return {"curves": curves, **compare(right, [(strategy, "random") for strategy in strategies])}


def active_texts() -> dict[str, Any]:
    """Compare strategies on embeddings of 2,000 sentences; with two classes, the uncertainty scores agree."""
    _, labels, _, target = reviews()
    x, tested = embedded()
    rows = np.random.default_rng(0).permutation(len(labels))[:2000]
    return active((x[rows], tested), labels[rows], target, ["margin", "core-set"], c=10)


def active_images(c: float) -> dict[str, Any]:
    """Compare strategies on the pixels of 2,000 images."""
    labels, target = images()["labels"].numpy(), images()["target"].numpy()
    x, tested = space("pixels")
    return active((x[:2000], tested), labels[:2000], target, [*UNCERTAINTY, "core-set"], c=c)


def short() -> dict[str, float]:
    """Return accuracies that a test measures again: words and pixels, with 100 labels."""
    train, labels, test, target = reviews()
    rows = draw(labels, 100, seed=0)
    tfidf = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    x = tfidf.fit_transform([train[row] for row in rows])
    words = np.mean(logistic(x, labels[rows]).predict(tfidf.transform(test)) == target)
    of_images, pixels = images()["labels"].numpy(), space("pixels")
    rows = draw(of_images[:2000], 100, seed=0)
    machine = tuned_svm(pixels[0][rows], of_images[rows])
    return {"TF-IDF": float(words), "pixels": machine.score(pixels[1], images()["target"].numpy())}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    rows: dict[str, Callable[[], Any]] = {"short": lambda: {name: round(v, 4) for name, v in short().items()}}
    rows |= {f"texts {count}": lambda count=count: texts_at(count) for count in TEXT_DRAWS}  # type: ignore[misc]
    rows |= {f"images {count}": lambda count=count: images_at(count) for count in IMAGE_DRAWS}  # type: ignore[misc]
    rows |= {f"networks {count}": lambda count=count: networks_at(count) for count in (100, 1000)}  # type: ignore[misc]
    rows |= {f"pseudo {count}": lambda count=count: pseudo_at(count) for count in (100,)}  # type: ignore[misc]
    rows |= {"active texts": active_texts, "active images": lambda: active_images(c=0.1)}
    rows |= {"active images 0.01": lambda: active_images(c=0.01)}  # ten times the penalty: is the order the same?
    rows |= {"fine-tuned 100": lambda: fine_tuned(100, draws=3, epochs=8)}
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
