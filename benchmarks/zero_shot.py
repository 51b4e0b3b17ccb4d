"""Zero-shot classification: film reviews by the names of their classes, and emoji of classes without a training image.

python -m benchmarks.zero_shot [rows…]

A partition puts 46 classes of emoji into five folds. Each fold is once the unseen classes, the next one the validation
classes, on which hyperparameters are chosen; then the model is fitted again to all classes but the unseen ones. So each
emoji is tested once in a partition. Accuracies are means over classes; intervals are over partitions and classes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.store import run
from dlbook import pretrained
from dlbook.data.emoji import emoji
from dlbook.data.labelled import movie_reviews
from dlbook.efficientnet import scale_image
from dlbook.metrics.paired import difference_over_examples_and_seeds
from dlbook.practice.transfer import harmonic_mean, info_nce, prototypes

CLASSES = {  # the groups that show things, and what we call them
    "animal-mammal": "mammal",
    "animal-bird": "bird",
    "animal-bug": "insect or other small animal",
    "animal-marine": "sea animal",
    "animal-reptile": "reptile",
    "plant-flower": "flower",
    "plant-other": "plant, tree or leaf",
    "dishware": "dishes and cutlery",
    "drink": "drink",
    "food-asian": "Asian food",
    "food-fruit": "fruit",
    "food-prepared": "cooked meal or bread",
    "food-sweet": "sweets and cake",
    "food-vegetable": "vegetable",
    "place-building": "building",
    "place-geographic": "landscape",
    "place-map": "map or globe",
    "place-other": "sight or outdoor scene",
    "place-religious": "house of worship",
    "sky & weather": "sky and weather",
    "time": "clock",
    "transport-air": "aircraft",
    "transport-ground": "road vehicle or train",
    "transport-water": "boat or ship",
    "arts & crafts": "arts and crafts",
    "award-medal": "medal or prize",
    "event": "celebration",
    "game": "game or toy",
    "sport": "sport",
    "book-paper": "book or paper",
    "clothing": "clothing",
    "computer": "computer",
    "household": "household item",
    "light & video": "lamp or camera",
    "lock": "lock or key",
    "mail": "mail",
    "medical": "medicine",
    "money": "money",
    "music": "sound and music",
    "musical-instrument": "musical instrument",
    "office": "office supplies",
    "phone": "telephone",
    "science": "science",
    "sound": "loudspeaker or bell",
    "tool": "tool or weapon",
    "writing": "pen or pencil",
}
ATTRIBUTES = {  # the last eight were added when the first twenty left some classes alike
    "is an animal": "mammal, bird, bug, marine, reptile",
    "is a plant": "flower, plant-other, fruit, vegetable",
    "can be eaten or drunk": "drink, asian, fruit, prepared, sweet, vegetable",
    "is in water": "marine, water, drink",
    "flies": "bird, bug, air",
    "carries people": "air, ground, water",
    "is built": "building, religious, place-other",
    "is outdoors": "building, religious, place-other, geographic, sky & weather, air, ground, water, flower",
    "is electric": "computer, light & video, phone, sound",
    "is of metal": "tool, lock, award-medal, money, air, ground, water, instrument, dishware",
    "is of paper": "book-paper, mail, money, office",
    "is worn": "clothing, award-medal",
    "sounds": "music, instrument, sound, phone",
    "is held in the hand": "tool, writing, dishware, sport, game, office, phone, lock, medical",
    "is for leisure": "game, sport, event, arts & crafts, music, instrument, award-medal",
    "is round": "fruit, sport, time, place-map, award-medal",
    "is colourful": "flower, fruit, sweet, event, arts & crafts",
    "is green": "plant-other, vegetable",
    "serves science or health": "medical, science",
    "is at home": "household, dishware, clothing, light & video",
    "has scales or a shell": "reptile, marine, bug",
    "comes in a bowl or cup": "asian, drink",
    "is religious": "religious, event",
    "is high up": "bird, air, sky & weather",
    "shows numbers": "time, computer, phone, money",
    "is written": "book-paper, writing, office",
    "opens and closes": "lock, mail, household",
    "people live in it": "building, household",
}
PROMPTS = [  # negative, positive
    ("negative", "positive"),
    ("bad", "good"),
    ("terrible", "great"),
    ("The sentiment is negative.", "The sentiment is positive."),
    ("A negative film review.", "A positive film review."),
    ("This is a bad film.", "This is a good film."),
    ("I hated this film.", "I loved this film."),
    ("It was terrible.", "It was great."),
    ("a dull, boring, terrible film", "a wonderful, moving, great film"),
]
LABELS = {4: 20, 10: 20, 20: 20, 50: 20, 100: 10, 200: 10, 500: 10}
PENALTIES = [0.01, 0.1, 1, 10, 100]
STRENGTHS = [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]
SHOTS, DRAWS, PARTITIONS, FOLDS = [1, 2, 5], 5, 10, 5
GAMMAS = [0.02 * step for step in range(31)]


def interval(first: Tensor, second: Tensor) -> list[float]:
    """Return low, high and estimate of a paired difference over examples (or classes) and seeds."""
    ours = difference_over_examples_and_seeds(first, second, resamples=1000)
    return [round(value, 4) for value in (ours.low, ours.high, ours.estimate)]


def means(accuracy: Tensor) -> list[float]:
    """Return the mean accuracy of each seed."""
    return [round(value, 4) for value in accuracy.double().mean(1).tolist()]


# --- reviews ----------------------------------------------------------------------------------------------------------


def reviews() -> dict[str, Any]:
    """Compare class names without labels to a linear probe on labelled sentences, both on MiniLM's embeddings."""
    parts = movie_reviews("rotten tomatoes")
    pool, test = parts.validation, parts.test
    model, tokenizer = pretrained.load_minilm()

    def embedded(texts: Sequence[str]) -> Tensor:
        return pretrained.embed(model, tokenizer, texts).double()

    x_pool, x_test = embedded(pool.texts), embedded(test.texts)
    y_pool, y_test = pool.labels.numpy(), test.labels
    names = torch.stack([embedded(pair) for pair in PROMPTS])  # prompts, classes, dim
    single = torch.stack([(x_test @ pair.T).argmax(1) == y_test for pair in names])
    ensemble = (x_test @ F.normalize(names.mean(0), dim=1).T).argmax(1) == y_test
    found: dict[str, Any] = {
        "majority": round(float(torch.bincount(y_test).max() / len(y_test)), 4),
        "single": means(single),
        "ensemble": round(float(ensemble.double().mean()), 4),
        "words": matched([text.split() for text in test.texts], y_test),
        "probe": {},
        "ensemble - probe": {},
        "words of the first prompt - probe": {},
    }
    for count, draws in LABELS.items():
        right = []
        for seed in range(draws):
            order = np.random.default_rng(seed).permutation(len(y_pool))
            rows = np.concatenate([order[y_pool[order] == k][: count // 2] for k in (0, 1)])
            folds = StratifiedKFold(min(5, count // 2), shuffle=True, random_state=0)
            regression = LogisticRegression(solver="liblinear", intercept_scaling=10)
            grid = GridSearchCV(regression, {"C": PENALTIES}, cv=folds).fit(x_pool[rows].numpy(), y_pool[rows])
            right.append(torch.from_numpy(grid.predict(x_test.numpy())) == y_test)
        probe = torch.stack(right)
        found["probe"][str(count)] = means(probe)
        found["ensemble - probe"][str(count)] = interval(ensemble.expand(draws, -1), probe)
        found["words of the first prompt - probe"][str(count)] = interval(single[0].expand(draws, -1), probe)
    found["ensemble - single"] = interval(ensemble.expand(len(PROMPTS), -1), single)
    return found


def matched(texts: list[list[str]], target: Tensor) -> dict[str, float]:
    """Classify by the words of all prompts that a sentence holds; where neither side wins, half a point is given."""
    sides = [{word.strip(".,").lower() for pair in PROMPTS for word in pair[k].split()} for k in (0, 1)]
    negative, positive = sides[0] - sides[1], sides[1] - sides[0]
    lead = torch.tensor([sum((w in positive) - (w in negative) for w in words) for words in texts])
    right = torch.where(lead == 0, 0.5, ((lead > 0) == (target == 1)).double())
    return {"accuracy": round(float(right.mean()), 4), "decided": round(float((lead != 0).double().mean()), 4)}


# --- emoji ------------------------------------------------------------------------------------------------------------


@cache
def things() -> dict[str, Any]:
    """Return the features, labels and names of the emoji that show things, and descriptions of their classes."""
    data, other = emoji("google"), emoji("twitter")
    kept = [
        row
        for row, (name, group) in enumerate(zip(data.names, data.groups, strict=True))
        if group in CLASSES and not name.startswith("clock face")  # 24 near-copies
    ]
    groups = list(CLASSES)
    network = pretrained.load_efficientnet()
    model, tokenizer = pretrained.load_minilm()

    def features(images: Tensor) -> Tensor:
        with torch.no_grad():
            parts = [network.features(scale_image(batch, 64)) for batch in images.split(64)]
        return torch.cat(parts).double()

    names = [data.names[row] for row in kept]
    return {
        "google": features(data.images[kept]),
        "twitter": features(other.images[kept]),
        "pixels": data.images[kept].flatten(1).double(),
        "labels": torch.tensor([groups.index(data.groups[row]) for row in kept]),
        "names": pretrained.embed(model, tokenizer, names).double(),
        "words": pretrained.embed(model, tokenizer, list(CLASSES.values())).double(),
        "attributes": attributes(),
    }


def attributes() -> Tensor:
    """Return which class has which attribute; parts of a group's name are enough to name it."""
    table = torch.zeros(len(CLASSES), len(ATTRIBUTES), dtype=torch.double)
    for column, listed in enumerate(ATTRIBUTES.values()):
        for short in listed.split(", "):
            rows = [row for row, group in enumerate(CLASSES) if group == short or group.endswith(f"-{short}")]
            if len(rows) != 1:
                raise ValueError(f"{short} must be one class: got {len(rows)}")
            table[rows[0], column] = 1
    return table


def partition(seed: int) -> list[Tensor]:
    """Return the classes of five folds."""
    order = torch.randperm(len(CLASSES), generator=torch.Generator().manual_seed(seed))
    return [order[fold::FOLDS] for fold in range(FOLDS)]


def splits(seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for each fold the classes to train, to validate and to test with."""
    folds = partition(seed)
    for fold in range(FOLDS):
        after = (fold + 1) % FOLDS
        trained = torch.cat([folds[k] for k in range(FOLDS) if k not in (fold, after)])
        yield trained, folds[after], folds[fold]


def of(labels: Tensor, classes: Tensor) -> Tensor:
    """Return which examples are of one of the classes."""
    return (labels[:, None] == classes).any(1)


def scaled(features: Tensor, rows: Tensor) -> Tensor:
    """Return features from which the mean over the rows is taken, of norm about one."""
    x = features - features[rows].mean(0)
    return x / x[rows].square().sum(1).mean().sqrt()


class Ridge:
    """Ridge regression from features to descriptions, for all strengths from one eigendecomposition."""

    def __init__(self, x: Tensor):
        self.x = x
        self.values, self.vectors = torch.linalg.eigh(x @ x.T)

    def fit(self, target: Tensor, strength: float) -> tuple[Tensor, Tensor]:
        """Return the matrix, and the mean of the descriptions."""
        mean = target.mean(0)
        inner = self.vectors.T @ (target - mean)
        return self.x.T @ (self.vectors @ (inner / (self.values + strength)[:, None])), mean


def cosines(x: Tensor, fitted: tuple[Tensor, Tensor], descriptions: Tensor, centred: bool = True) -> Tensor:
    """Return the cosines of mapped features and descriptions, from both of which the mean is taken, or from neither."""
    matrix, mean = fitted
    mapped, shift = (x @ matrix, mean) if centred else (x @ matrix + mean, torch.zeros_like(mean))
    return F.normalize(mapped, dim=1) @ F.normalize(descriptions - shift, dim=1).T


def by_class(right: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """Return the mean of each class."""
    return torch.stack([right[labels == one].double().mean() for one in classes])


def accuracy_of(similar: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """Return the accuracy of each class where the most similar one is predicted."""
    return by_class(classes[similar.argmax(1)] == labels, labels, classes)


def shuffled(target: Tensor, seed: int) -> Tensor:
    """Return the rows in another order."""
    return target[torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))]


METHODS = ("names", "class words", "shuffled names", "attributes", "not centred", "pixels", "other designer")


def unseen() -> dict[str, Any]:
    """Compare what images are mapped to, on classes without a training image; with few-shot prototypes beside them."""
    data = things()
    labels, words = data["labels"], data["words"]
    names, table = data["names"], data["attributes"]
    targets: dict[str, tuple[str, Callable[[Tensor, int], Tensor], Tensor]] = {
        "names": ("google", lambda rows, seed: names[rows], words),
        "class words": ("google", lambda rows, seed: words[labels[rows]], words),
        "shuffled names": ("google", lambda rows, seed: shuffled(names[rows], seed), words),
        "attributes": ("google", lambda rows, seed: table[labels[rows]], table),
        "not centred": ("google", lambda rows, seed: names[rows], words),
        "pixels": ("pixels", lambda rows, seed: names[rows], words),
    }
    few = [f"{shots} shots, {space}" for shots in SHOTS for space in ("features", "mapped")]
    found = {name: torch.zeros(PARTITIONS, len(CLASSES)).double() for name in (*METHODS, *few, "shuffled classes")}
    chosen: dict[str, list[float]] = {name: [] for name in targets}
    for seed in range(PARTITIONS):
        for trained, validated, tested in splits(seed):
            fitted_to, check, ask = (of(labels, classes) for classes in (trained, validated, tested))
            both = fitted_to | check
            small = {kind: Ridge(scaled(data[kind], fitted_to)[fitted_to]) for kind in ("google", "pixels")}
            large = {kind: Ridge(scaled(data[kind], both)[both]) for kind in ("google", "pixels")}
            for name, (kind, target, described) in targets.items():
                centred = name != "not centred"
                x = scaled(data[kind], fitted_to)
                scores = []
                for strength in STRENGTHS:
                    model = small[kind].fit(target(fitted_to, seed), strength)
                    similar = cosines(x[check], model, described[validated], centred)
                    scores.append(float(accuracy_of(similar, labels[check], validated).mean()))
                strength = STRENGTHS[int(np.argmax(scores))]
                chosen[name].append(strength)
                x, model = scaled(data[kind], both), large[kind].fit(target(both, seed), strength)
                similar = cosines(x[ask], model, described[tested], centred)
                found[name][seed, tested] = accuracy_of(similar, labels[ask], tested)
                if name == "names":
                    wrong = described[shuffled(tested, seed)]  # the right map, but other classes' words
                    similar = cosines(x[ask], model, wrong, centred)
                    found["shuffled classes"][seed, tested] = accuracy_of(similar, labels[ask], tested)
                    google = data["google"]
                    moved = data["twitter"] - google[both].mean(0)  # all but the images is that of the first designer
                    similar = cosines(moved[ask], model, words[tested])
                    found["other designer"][seed, tested] = accuracy_of(similar, labels[ask], tested)
                    spaces = {"features": F.normalize(x[ask], dim=1), "mapped": F.normalize(x[ask] @ model[0], dim=1)}
                    for space, vectors in spaces.items():
                        for shots in SHOTS:
                            right = few_shot(vectors, labels[ask], tested, shots, seed)
                            found[f"{shots} shots, {space}"][seed, tested] = right
    pairs = [("names", name) for name in found if name != "names"] + [("class words", "attributes")]
    return {
        "chance": round(float(torch.tensor([1 / len(fold) for fold in partition(0) for _ in fold]).mean()), 4),
        "accuracy": {name: means(rows) for name, rows in found.items()},
        "classes": {
            name: [round(value, 3) for value in found[name].mean(0).tolist()] for name in ("names", "class words")
        },
        "strengths": chosen,
        "differences": {f"{one} - {other}": interval(found[one], found[other]) for one, other in pairs},
    }


def few_shot(vectors: Tensor, labels: Tensor, classes: Tensor, shots: int, seed: int) -> Tensor:
    """Return the accuracy of each class by the nearest prototype of a few images, over draws."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(classes)).double()
    for _ in range(DRAWS):
        order = torch.randperm(len(labels), generator=generator)
        shown = torch.cat([order[labels[order] == one][:shots] for one in classes])
        asked = torch.ones(len(labels), dtype=torch.bool)
        asked[shown] = False
        centres = prototypes(vectors[shown], torch.arange(len(classes)).repeat_interleave(shots))
        guessed = classes[torch.cdist(vectors[asked], centres).argmin(1)]
        total += by_class(guessed == labels[asked], labels[asked], classes)
    return total / DRAWS


# --- dual encoders ----------------------------------------------------------------------------------------------------

DUAL_PARTITIONS, REDUCED = 3, 200
GRID = [(steps, dropout) for dropout in (0.3, 0.5, 0.7) for steps in (50, 100, 200, 400)]


def train_dual(x: Tensor, texts: Tensor, locked: bool, steps: int, dropout: float, seed: int) -> list[nn.Module]:
    """Train two linear encoders with InfoNCE, or that of images alone, with the embeddings of names as they are."""
    torch.manual_seed(seed)
    dim = texts.shape[1] if locked else 128
    image = nn.Sequential(nn.Dropout(dropout), nn.Linear(x.shape[1], dim, bias=False))
    text = nn.Sequential() if locked else nn.Sequential(nn.Dropout(dropout), nn.Linear(texts.shape[1], dim, bias=False))
    both = nn.ModuleList([image, text])
    optimizer = torch.optim.AdamW(both.parameters(), 2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        batch = torch.randperm(len(x))[:128]
        optimizer.zero_grad()
        info_nce(image(x[batch]), text(texts[batch])).backward()
        optimizer.step()
        schedule.step()
    return list(both.eval())


def dual() -> dict[str, Any]:
    """Compare InfoNCE, with the encoder of texts locked or not, to ridge regression on the same reduced features."""
    data = things()
    labels, names, words = data["labels"], data["names"].float(), data["words"].float()
    found = {name: torch.zeros(DUAL_PARTITIONS, len(CLASSES)).double() for name in ("ridge", "locked", "both")}
    recall: dict[str, list[list[float]]] = {}
    chosen: dict[str, list[Any]] = {"ridge": [], "locked": [], "both": []}
    for seed in range(DUAL_PARTITIONS):
        for trained, validated, tested in splits(seed):
            fitted_to, check, ask = (of(labels, classes) for classes in (trained, validated, tested))
            both = fitted_to | check
            spaces = []
            for rows in (fitted_to, both):
                x = scaled(data["google"], rows)
                x = x @ torch.linalg.eigh(x[rows].T @ x[rows]).eigenvectors[:, -REDUCED:]
                spaces.append((x.float(), names[rows].mean(0), rows))

            def fit(name: str, setting: Any, space: Any, seed: int = seed) -> Callable[[Tensor, Tensor], Tensor]:
                x, mean, rows = space
                if name == "ridge":
                    model = Ridge(x[rows].double()).fit(names[rows].double(), setting)
                    return lambda asked, described: cosines(asked.double(), model, described.double())
                image, text = train_dual(x[rows], names[rows] - mean, name == "locked", *setting, seed)  # type: ignore[call-arg]

                def encode(asked: Tensor, described: Tensor) -> Tensor:
                    with torch.no_grad():
                        vectors = F.normalize(image(asked), dim=1), F.normalize(text(described - mean), dim=1)
                    return vectors[0] @ vectors[1].T

                return encode

            for name in found:
                settings = STRENGTHS if name == "ridge" else GRID
                scores = []
                for setting in settings:
                    similar = fit(name, setting, spaces[0])(spaces[0][0][check], words[validated])
                    scores.append(float(accuracy_of(similar, labels[check], validated).mean()))
                setting = settings[int(np.argmax(scores))]
                chosen[name].append(setting)
                model, x = fit(name, setting, spaces[1]), spaces[1][0]
                found[name][seed, tested] = accuracy_of(model(x[ask], words[tested]), labels[ask], tested)
                recall.setdefault(name, []).append(recalls(model(x[ask], names[ask])))
    pairs = [("locked", "ridge"), ("both", "ridge"), ("locked", "both")]
    return {
        "accuracy": {name: means(rows) for name, rows in found.items()},
        "recall": {name: [round(v, 4) for v in np.mean(rows, axis=0).tolist()] for name, rows in recall.items()},
        "settings": chosen,
        "differences": {f"{one} - {other}": interval(found[one], found[other]) for one, other in pairs},
    }


def recalls(similar: Tensor) -> list[float]:
    """Return recall at 1, 5 and 10 of names for an image, then of images for a name."""
    found = []
    for table in (similar, similar.T):
        rank = (table > table.diagonal()[:, None]).sum(1)
        found += [float((rank < k).double().mean()) for k in (1, 5, 10)]
    return found


# --- retrieval --------------------------------------------------------------------------------------------------------


def retrieval() -> dict[str, Any]:
    """Find the name of an image and the image of a name, among those of unseen classes, by the map to names."""
    data = things()
    labels, names = data["labels"], data["names"]
    found: dict[str, list[list[float]]] = {"google": [], "twitter": [], "shuffled": [], "class known": []}
    sizes = []
    for seed in range(PARTITIONS):
        for trained, validated, tested in splits(seed):
            both, ask = of(labels, torch.cat([trained, validated])), of(labels, tested)
            x = scaled(data["google"], both)
            ridge = Ridge(x[both])
            model, wrong = ridge.fit(names[both], 10), ridge.fit(shuffled(names[both], seed), 10)
            moved = data["twitter"] - data["google"][both].mean(0)
            found["google"].append(recalls(cosines(x[ask], model, names[ask])))
            found["twitter"].append(recalls(cosines(moved[ask], model, names[ask])))
            found["shuffled"].append(recalls(cosines(x[ask], wrong, names[ask])))
            noise = torch.rand(int(ask.sum()), int(ask.sum()), generator=torch.Generator().manual_seed(seed))
            found["class known"].append(recalls(noise + 2 * (labels[ask][:, None] == labels[ask])))
            sizes.append(int(ask.sum()))
    by_partition = {name: np.reshape(rows, (PARTITIONS, FOLDS, 6)).mean(1) for name, rows in found.items()}
    return {
        "candidates": sum(sizes) / len(sizes),
        "recall": {name: np.round(rows.mean(0), 4).tolist() for name, rows in by_partition.items()},
        "recall at 5 by partition": {name: np.round(rows[:, 1], 4).tolist() for name, rows in by_partition.items()},
    }


# --- the generalised setting ------------------------------------------------------------------------------------------


def generalised() -> dict[str, Any]:
    """Let seen classes compete: accuracies of seen and unseen ones, without and with calibrated stacking."""
    data = things()
    labels, names, words = data["labels"], data["names"], data["words"]
    kinds = {"names": names, "class words": words[labels]}
    size = len(CLASSES)
    found = {
        f"{name}, {how}": torch.zeros(PARTITIONS, size, 2).double() for name in kinds for how in ("plain", "stacked")
    }
    curves = {name: torch.zeros(len(GAMMAS), 2).double() for name in kinds}
    swallowed: dict[str, list[float]] = {name: [] for name in kinds}
    chosen: dict[str, list[float]] = {name: [] for name in kinds}
    for seed in range(PARTITIONS):
        kept = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed)) > 0.2  # of seen classes
        for one in range(size):  # at least one image of each to test with
            kept[(labels == one).nonzero()[-1]] = False
        for trained, validated, tested in splits(seed):
            for name, target in kinds.items():
                scores = [
                    harmonic_mean(*(float(right.mean()) for right in pair))
                    for pair in penalised(data, target, trained, validated, kept)[0]
                ]
                best = int(np.argmax(scores))
                known = torch.cat([trained, validated])
                after, share = penalised(data, target, known, tested, kept)
                chosen[name].append(round(GAMMAS[best], 2))
                swallowed[name].append(share)
                for how, pair in (("plain", after[0]), ("stacked", after[best])):
                    found[f"{name}, {how}"][seed, known, 0] += pair[0] / (FOLDS - 1)
                    found[f"{name}, {how}"][seed, tested, 1] = pair[1]
                every = torch.tensor([[float(right.mean()) for right in pair] for pair in after]).double()
                curves[name] += every / FOLDS / PARTITIONS

    def harmonic(rows: Tensor) -> float:
        return harmonic_mean(*rows.mean(0).tolist())

    pairs = [(f"{name}, stacked", f"{name}, plain") for name in kinds]
    pairs += [(f"names, {how}", f"class words, {how}") for how in ("plain", "stacked")]
    differences = {
        f"{one} - {other}": difference_over_examples_and_seeds(found[one], found[other], harmonic, resamples=1000)
        for one, other in pairs
    }
    return {
        "gammas": [round(gamma, 2) for gamma in GAMMAS],
        "curves": {name: np.round(rows.numpy(), 4).tolist() for name, rows in curves.items()},
        "accuracy": {name: np.round(rows.mean((0, 1)).numpy(), 4).tolist() for name, rows in found.items()},
        "harmonic": {name: [round(harmonic(rows), 4) for rows in seeds] for name, seeds in found.items()},
        "swallowed": {name: round(float(np.mean(rows)), 4) for name, rows in swallowed.items()},
        "chosen": chosen,
        "seen - unseen": {
            name: interval(rows[:, :, 0].contiguous(), rows[:, :, 1].contiguous()) for name, rows in found.items()
        },
        "differences": {
            name: [round(value, 4) for value in (one.low, one.high, one.estimate)] for name, one in differences.items()
        },
    }


def penalised(
    data: dict[str, Any], target: Tensor, known: Tensor, novel: Tensor, kept: Tensor
) -> tuple[list[tuple[Tensor, Tensor]], float]:
    """Return the accuracy of each seen and each unseen class for all penalties on the cosines of seen classes.

    And the share of the images of unseen classes that are put into a seen one without a penalty.
    """
    labels = data["labels"]
    rows, every = of(labels, known) & kept, torch.cat([known, novel])
    x = scaled(data["google"], rows)
    model = Ridge(x[rows]).fit(target[rows], 10)
    asked = of(labels, novel) | (of(labels, known) & ~kept)
    similar, y = cosines(x[asked], model, data["words"][every]), labels[asked]
    seen = torch.cat([torch.ones(len(known)), torch.zeros(len(novel))])
    found = []
    for gamma in GAMMAS:
        right = every[(similar - gamma * seen).argmax(1)] == y
        found.append((by_class(right, y, known), by_class(right, y, novel)))
    swallowed = seen[similar.argmax(1)][of(y, novel)].mean()
    return found, float(swallowed)


def short() -> float:
    """Return the accuracy on unseen classes of one partition, at a fixed strength."""
    data = things()
    labels, right = data["labels"], []
    for trained, validated, tested in splits(0):
        both, ask = of(labels, torch.cat([trained, validated])), of(labels, tested)
        x = scaled(data["google"], both)
        similar = cosines(x[ask], Ridge(x[both]).fit(data["names"][both], 10), data["words"][tested])
        right.append(accuracy_of(similar, labels[ask], tested))
    return round(float(torch.cat(right).mean()), 4)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the rows that are missing, or those that are named."""
    rows: dict[str, Callable[[], Any]] = {
        "short": short,
        "reviews": reviews,
        "unseen": unseen,
        "retrieval": retrieval,
        "generalised": generalised,
        "dual": dual,
    }
    run(__file__, rows, arguments)


if __name__ == "__main__":
    main()
