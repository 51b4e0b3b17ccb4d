"""What the scripts measure, with settings so small that they take no time: so a long measurement does not fail late."""

import json
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from benchmarks import (
    attention,
    chapters,
    classification,
    forecasting,
    generation,
    images,
    language,
    overfitting,
    program,
    recipes,
    sequences,
    store,
    tabular,
    transformer,
    translation,
)
from dlbook.data.labelled import LabelledTexts
from dlbook.data.pairs import Pairs
from dlbook.data.splits import Parts

NAMES = sorted(path.stem for path in store.RESULTS.glob("*.json"))


def in_this_process(function, *arguments):
    """Stand in for `in_processes`."""
    return list(map(function, *arguments))


@pytest.fixture(autouse=True)
def one_thread():
    """Put the number of threads back, which the scripts set."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("unchecked")  # as the scripts run: some sum up thousands of bootstrap samples
@pytest.mark.parametrize("name", NAMES)
def test_every_row_that_a_script_has_is_stored_and_no_other(monkeypatch, name):
    found = {}

    def run(script, rows, arguments, threads="one thread", sum_up=lambda rows: {}):
        stored = store.load(name)
        assert stored["made"]["processor"].endswith(f", {threads}") and arguments == ["asked"]
        found.update(rows, made={}, **sum_up({row: stored[row] for row in rows}))  # as they are handed to it

    script = import_module(f"benchmarks.{name}")
    monkeypatch.setattr(script, "run", run)
    script.main(["asked"])
    assert set(found) == set(store.load(name))


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(monkeypatch):
    """Give the scripts a few pictures."""
    data = program.DATA
    few = SimpleNamespace(
        train_images=data.train_images[:200],
        train_labels=data.train_labels[:200],
        test_images=data.test_images[:50],
        test_labels=data.test_labels[:50],
    )
    for script in (program, recipes):
        monkeypatch.setattr(script, "DATA", few)
    monkeypatch.setattr(images, "fashion_mnist", lambda: few)
    for part in ("POOL", "VALIDATION", "TEST"):
        monkeypatch.setattr(overfitting, part, [tensor[:100] for tensor in getattr(overfitting, part)])


def test_program(monkeypatch):
    torch.manual_seed(0)
    model = program.torch_start([3, 4, 2])
    torch.manual_seed(0)
    program.MLP([3, 4, 2])
    for layer, sizes in zip(model.layers, ((3, 4), (4, 2)), strict=True):
        assert torch.equal(layer.weight, nn.Linear(*sizes).weight)
    times = iter([3.04, 1.0, 2.0])
    monkeypatch.setattr(program, "train", lambda variant, seed: {"accuracy": seed / 3, "seconds": next(times)})
    found = program.measure("article", seeds=3)
    assert found == {"test_accuracy": store.summary([0.0, 0.3333, 0.6667]), "seconds": 2.0}


def test_recipes(monkeypatch, pictures):
    made = {name: sum(p.numel() for p in recipes.ROWS[name].make().parameters()) for name in ("blocks", "residual")}
    assert made["blocks"] < made["residual"]
    recipe = recipes.replace(recipes.SMOOTHING, epochs=1, size=8)
    assert 0 <= recipes.train(recipe, seed=0, held_out=50, examples=16)["averaged"] <= 1
    monkeypatch.setattr(recipes, "in_processes", in_this_process)
    monkeypatch.setattr(recipes, "ROWS", {"tiny": recipes.replace(recipes.ARTICLE, epochs=1)})
    found = recipes.measure("tiny")
    assert len(found["test_accuracy"]["values"]) == recipes.SEEDS and found["seconds"] == 0


def test_overfitting(monkeypatch, pictures):
    tiny = overfitting.Remedy(examples=50, hidden=4)
    plain, cooled = (overfitting.train(tiny, seed=0, epochs=1, cooled=cooled) for cooled in (False, True))
    assert cooled["validation_loss"] <= plain["validation_loss"]
    monkeypatch.setattr(overfitting, "SEEDS", 2)
    monkeypatch.setattr(overfitting, "BASELINES", {"near": [KNeighborsClassifier(1)], "line": [LogisticRegression()]})
    monkeypatch.setattr(overfitting, "GRID", {"tiny": [tiny]})
    monkeypatch.setattr(overfitting, "SHOWN", 50)
    for name, what in (("near", "KNeighborsClassifier(n_neighbors=1)"), ("tiny", str(tiny))):
        (found,) = overfitting.row(name, {})
        assert found["what"] == what and len(found["test_accuracy"]) == 2


def test_images(pictures):
    assert images.unfolding("conv1", torch.channels_last, count=1)["pairs"] == 1
    assert images.loops(count=1, examples=64)["ratio"] > 0


def test_layouts(monkeypatch):
    monkeypatch.setattr(images, "unfolding", lambda *arguments: arguments)
    assert images.layouts("conv1") == {
        "channels_first": ("conv1", torch.contiguous_format),
        "channels_last": ("conv1", torch.channels_last),
    }


# --- tables, series ---------------------------------------------------------------------------------------------------


@pytest.fixture
def rows(monkeypatch):
    """Give the script a table of two columns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = (x[:, 0] + 0.3 * rng.normal(size=300) > 0).astype(np.int64)
    parts = [(x[part], y[part]) for part in (slice(0, 180), slice(180, 240), slice(240, 300))]
    monkeypatch.setattr(tabular, "parts_of", lambda table, seed: parts)


def test_tabular(monkeypatch, rows):
    compete = tabular.compete
    monkeypatch.setattr(tabular, "compete", lambda *what: compete(*what, trials=2, rows=90))
    runs = {f"adult_{seed}": tabular.tournament("adult", seed) for seed in range(2)}
    losses = {name: run["log_loss"] for name, run in runs["adult_0"].items()}
    assert max(losses, key=losses.get) == "prior" and set(losses) == {"prior", *tabular.LEARNERS}
    summed = tabular.sum_up_all(json.loads(json.dumps(runs)))
    assert set(summed) == {"adult"} and summed["adult"]["splits"] == 2


def test_the_curve_of_sizes(monkeypatch, rows):
    network = tabular.Network
    monkeypatch.setattr(tabular, "Network", lambda epochs: network(epochs=epochs // 100))
    monkeypatch.setattr(tabular, "SIZES", (100,))
    found = tabular.curves()["100"]
    assert all(len(found[name]["log_loss"]["values"]) == 3 for name in ("logistic", "boosting", "network"))


@pytest.fixture
def hours(monkeypatch):
    """Give the scripts a few windows."""
    whole = forecasting.data(1)
    few = {
        name: forecasting.Windows(part.inputs[:200], part.targets[:200], part.times[:200], 0)
        for name, part in whole[0].items()
    }
    monkeypatch.setattr(forecasting, "data", lambda horizon: (few, whole[1]))
    return few


def test_forecasting(monkeypatch, hours):
    monkeypatch.setattr(forecasting, "SEEDS", 2)
    monkeypatch.setattr(forecasting, "in_processes", in_this_process)
    monkeypatch.setattr(forecasting, "ROWS", {"tiny": forecasting.Row(1, change=True, epochs=1, outputs=3)})
    found = forecasting.networks("tiny")
    assert 0 <= found["coverage"]["mean"] <= 1 and len(found["width"]["values"]) == 2
    train = forecasting.train_article
    monkeypatch.setattr(forecasting, "train_article", lambda seed: train(seed, epochs=3, patience=1, examples=64))
    assert 1 <= forecasting.article()["epochs"]["max"] <= 3


def test_rivals(hours):
    found = forecasting.baselines()
    assert len(found) == 2 + 4 * len(forecasting.REGRESSORS) + 2
    assert found["ridge_one_hour"]["validation_rmse"] < found["ridge_one_day"]["validation_rmse"] * 10


def test_sequences():
    assert sequences.by_hand(1, inputs=2, count=1)["pairs"] == 1
    training, validation = sequences.hourly()
    assert training[0].shape[1] == validation[0].shape[1] == sequences.STEPS
    assert len(training[0]) == len(training[1]) > len(validation[0]) == len(validation[1])


# --- texts ------------------------------------------------------------------------------------------------------------


def test_classification(monkeypatch):
    words = ["good", "bad", "film", "book", "fun", "dull"]
    generator = np.random.default_rng(0)
    labels = torch.arange(60) % 2
    texts = [" ".join([words[label], *generator.choice(words[2:], 4)]) for label in labels.tolist()]
    part = LabelledTexts(texts, labels, ["good", "bad"])
    monkeypatch.setattr(classification, "chinese_reviews", lambda: Parts(part, part, part))
    monkeypatch.setattr(classification, "STEPS", {"chinese": 4})  # so that some are cut
    found = classification.measure("chinese")
    assert found["texts"] == 60 and found["longer"] == 1 and found["bag_cut"]["accuracy"] == 1
    assert set(classification.MODELS) < set(found)
    for name in classification.MODELS:
        assert set(found[name]) == {
            "seeds",
            "validation",
            "shuffled",
            "cpu_seconds",
            "accuracy",
            "low",
            "high",
            "minus_bag",
        }


def test_generation(monkeypatch):
    text = torch.randint(5, (3000,), generator=torch.Generator().manual_seed(0))
    parts = {"train": [text], "validation": [text[:600]], "test": [text[600:1200]]}
    monkeypatch.setattr(generation, "data", lambda: (5, parts))
    monkeypatch.setattr(generation, "in_processes", in_this_process)
    monkeypatch.setattr(generation, "ROWS", {"tiny": generation.Row(8, 2, 2, 1e-3, seeds=2)})
    assert len(generation.networks("tiny")["test"]["values"]) == 2
    found = generation.ngrams()
    assert found["kneser_ney_5"]["validation"] < found["kneser_ney_6_of_64"]["validation"]


def test_transformer(monkeypatch):
    monkeypatch.setattr(transformer, "SEEDS", 2)
    monkeypatch.setattr(transformer, "in_processes", in_this_process)
    runs = {"characters": 1, "cpu_seconds": 1.0, "curve": [], "test": 2.0}
    monkeypatch.setattr(transformer, "train", lambda kind, seed: {**runs, "test": seed})
    found = transformer.race()
    assert found["gpt"]["test"]["values"] == found["lstm"]["test"]["values"] == [0, 1]
    assert abs(found["gpt"]["parameters"] / found["lstm"]["parameters"] - 1) < 0.02


def test_the_cache_is_timed(monkeypatch):
    text = torch.randint(84, (600,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(transformer, "read", lambda: (text, {}))
    found = transformer.cache()
    assert list(found) == ["64", "128", "256", "510"] and all(row["cached"] > 0 for row in found.values())


def test_language(monkeypatch):
    run = {"seconds": 2.0, "similarity": 0.5, "analogies": 0.25, "version": "1", "pairs_of_words": 3, "questions": 4}
    monkeypatch.setattr(language, "corpus", lambda: ([["a", "b"], ["a"]], ["a", "b"]))
    monkeypatch.setattr(language, "prepare", lambda texts: None)
    monkeypatch.setattr(language, "ours", lambda texts, words, seed: run | {"pairs": 4000})
    monkeypatch.setattr(language, "gensims", lambda words, seed: run | {"seconds": 1.0 + seed})
    found = language.race()
    assert (found["tokens"], found["words"], found["times"]) == (3, 2, 0.67)
    assert found["ours"]["pairs_per_second"] == 2000 and found["gensim"]["version"] == "1"


def test_attention(monkeypatch):
    monkeypatch.setattr(attention, "PAIRS", {16: 2})
    monkeypatch.setattr(attention, "in_processes", lambda function, *arguments: [2**20])
    found = attention.row(16, causal=True)
    assert found["pairs"] == 2 and found["peak"] == {"by_hand": 1.0, "fused": 1.0}


def test_chapters(monkeypatch, tmp_path):
    paths = [tmp_path / "a-b.ipynb", tmp_path / "c.ipynb"]
    monkeypatch.setattr(chapters, "notebooks", lambda: paths)
    monkeypatch.setattr(chapters, "read", lambda path: path)
    monkeypatch.setattr(chapters, "execute", lambda *arguments, **options: None)
    assert chapters.seconds() == {"a_b": 0, "c": 0}


@pytest.fixture
def sentences(monkeypatch, tmp_path):
    """Give the script a few pairs, and a folder for what is said."""
    english = ["a cat .", "a dog .", "the cat sees the dog .", "the cat sees the dog ."]
    french = ["un chat .", "un chien .", "le chat voit le chien .", "le chat voit le chien là ."]
    pairs = Pairs(english, french)
    many = Pairs(pairs.english * 20, pairs.french * 20)
    monkeypatch.setattr(translation, "english_french", lambda test_size: Parts(many, pairs, pairs))
    monkeypatch.setattr(translation, "MIN_COUNT", 1)
    for name in ("data", "folder"):
        getattr(translation, name).cache_clear()
    monkeypatch.setattr(translation, "ROOT", tmp_path)
    yield
    for name in ("data", "folder"):
        getattr(translation, name).cache_clear()


def said():
    """Return what the systems said, by name."""
    return {path.stem: json.loads(path.read_text()) for path in translation.folder().iterdir()}


def test_translation(monkeypatch, sentences):
    assert translation.word_by_word()["entries"] > 0
    train = translation.train
    monkeypatch.setattr(translation, "train", lambda name: train(name, steps=8))
    for name in ("recurrent", "transformer"):
        assert translation.network(name)["steps"] == 8
    assert len(said()) == 7 and {len(texts) for texts in said().values()} == {3}


def test_scores(monkeypatch, sentences):
    monkeypatch.setattr(translation, "BINS", ((1, 3), (4, 6)))
    for name in translation.DECODING:
        for network in ("recurrent", "transformer"):
            translation.keep(f"{network}_{name}", ["un chat .", "un chien .", "le chat voit le chien ."])
    translation.keep("word_by_word", ["un chat .", "chien .", "le chat voit le chien ."])
    found = translation.scores(resamples=10)
    assert found["sentences"] == 3 and found["several"] == 1 and found["unknown"] == 0
    assert found["recurrent_beam"]["bleu"] == 100 > found["word_by_word"]["bleu"] and 0 < found["human"] < 100
    assert found["recurrent_over_word_by_word"]["difference"] > 0 == found["beam_over_greedy_recurrent"]["difference"]


def test_a_run_of_words_that_comes_twice():
    assert translation.repeats("a b c a b c") and not translation.repeats("a b c a b")
