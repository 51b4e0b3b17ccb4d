"""Committed results on zero-shot learning: still what a short run gives, and what the chapter shows."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from authoring.book import ROOT, read
from benchmarks import store, zero_shot
from dlbook.data.labelled import LabelledTexts
from tests.helpers.chapters import measured

LABELS = {
    "names": "names",
    "class words": "class words",
    "attributes": "attributes",
    "names, not centred": "not centred",
    "names, from pixels": "pixels",
    "names, Twitter's images": "other designer",
    "shuffled names": "shuffled names",
    "few-shot, 1 image a class": "1 shots, features",
    "few-shot, 2 images a class": "2 shots, features",
    "few-shot, 5 images a class": "5 shots, features",
}


def rounded(values):
    return [round(value, 3) for value in values]


def in_the_chapter(stored):
    """Return what the chapter draws."""
    reviews, unseen, general = stored["reviews"], stored["unseen"], stored["generalised"]
    accuracy = unseen["accuracy"]
    return {
        "probe": {int(count): rounded(values) for count, values in reviews["probe"].items()},
        "single": rounded(reviews["single"]),
        "ensemble": round(reviews["ensemble"], 3),
        "bars": {label: round(sum(accuracy[name]) / len(accuracy[name]), 3) for label, name in LABELS.items()},
        "chance": round(unseen["chance"], 3),
        "curves": {name: [rounded(pair) for pair in curve] for name, curve in general["curves"].items()},
        "stacked": {name: rounded(general["accuracy"][f"{name}, stacked"]) for name in general["curves"]},
    }


def cells():
    return [cell.source for cell in read(ROOT / "book/challenges/zero-shot.ipynb").cells]


def test_the_chapter_draws_what_is_stored():
    found = measured("book/challenges/zero-shot", "zero_shot")
    expected = in_the_chapter(store.load("zero_shot"))
    assert {name: found[name] for name in expected} == expected


def test_the_chapter_has_the_same_classes_and_prompts():
    for name, expected in (("CLASSES", zero_shot.CLASSES), ("prompts", zero_shot.PROMPTS)):
        source = next(source for source in cells() if source.startswith(f"{name} = "))
        end = source.index("\n}\n" if name == "CLASSES" else "\n]\n") + 2
        found: dict = {}
        exec(source[:end], found)
        assert found[name] == expected


def test_a_short_row_again():
    assert zero_shot.short() == pytest.approx(store.load("zero_shot")["short"], abs=0.02)


@pytest.fixture
def tiny(monkeypatch):
    """Give the script a few made images, texts and settings, so that all its rows take no time."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(46).repeat(3)

    def vectors(count, size=8):
        return F.normalize(torch.randn(count, size, generator=generator), dim=1).double()

    made = {name: vectors(len(labels)) for name in ("google", "twitter", "pixels", "names")}
    made |= {"labels": labels, "words": vectors(46), "attributes": zero_shot.attributes()}
    monkeypatch.setattr(zero_shot, "things", lambda: made)
    texts = LabelledTexts(["a great film", "it is terrible"] * 10, torch.tensor([1, 0] * 10), ["", ""])
    monkeypatch.setattr(zero_shot, "movie_reviews", lambda site: SimpleNamespace(validation=texts, test=texts))
    monkeypatch.setattr(zero_shot.pretrained, "load_minilm", lambda: (None, None))
    monkeypatch.setattr(zero_shot.pretrained, "embed", lambda model, tokenizer, texts: vectors(len(texts)).float())
    settings = {"LABELS": {4: 2}, "PENALTIES": [1], "STRENGTHS": [3, 10], "SHOTS": [1], "DRAWS": 1, "PARTITIONS": 2}
    settings |= {"FOLDS": 3, "GAMMAS": [0.0, 0.1], "DUAL_PARTITIONS": 2, "REDUCED": 4, "GRID": [(2, 0.5)]}
    for name, value in settings.items():
        monkeypatch.setattr(zero_shot, name, value)


@pytest.mark.parametrize("row", ["reviews", "unseen", "retrieval", "generalised", "dual"])
def test_a_row_has_what_the_stored_one_has(tiny, row):
    """So a long measurement does not fail late."""
    found, stored = getattr(zero_shot, row)(), store.load("zero_shot")[row]
    assert list(found) == list(stored)
    for name, value in found.items():
        if isinstance(value, dict) and name not in ("probe", "ensemble - probe", "words of the first prompt - probe"):
            assert all(key in stored[name] for key in value), name


def test_every_class_has_its_own_attributes():
    table = zero_shot.attributes()
    assert table.shape == (46, 28) and len(table.unique(dim=0)) == 46 and (table.sum(1) > 0).all()


def test_each_class_is_unseen_once_and_never_seen_at_the_same_time():
    for seed in range(3):
        tested = []
        for trained, validated, unseen in zero_shot.splits(seed):
            assert sorted(torch.cat([trained, validated, unseen]).tolist()) == list(range(46))
            tested += unseen.tolist()
        assert sorted(tested) == list(range(46))


def test_the_map_is_that_of_scikit_learn():
    from sklearn.linear_model import Ridge

    generator = torch.Generator().manual_seed(0)
    x, target = (torch.randn(12, size, generator=generator).double() for size in (30, 4))
    x = x - x.mean(0)
    matrix, mean = zero_shot.Ridge(x).fit(target, 3.0)
    expected = Ridge(alpha=3.0).fit(x.numpy(), target.numpy()).predict(x.numpy())
    torch.testing.assert_close(x @ matrix + mean, torch.from_numpy(expected))


def test_recall_by_hand():
    similar = torch.tensor([[0.9, 0.5, 0.1], [0.8, 0.3, 0.6], [0.2, 0.1, 0.7]])
    assert zero_shot.recalls(similar)[0] == pytest.approx(2 / 3) and zero_shot.recalls(similar)[1] == 1


def test_words_of_the_prompts():
    found = zero_shot.matched([["a", "great", "film"], ["it"], ["terrible"]], torch.tensor([1, 0, 1]))
    assert found == {"accuracy": 0.5, "decided": round(2 / 3, 4)}
