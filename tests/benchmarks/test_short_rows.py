"""Short rows of the scripts, measured again: the code still gives the numbers that are stored."""

from functools import cache

import pytest

from benchmarks import (
    classification,
    forecasting,
    generation,
    language,
    program,
    recipes,
    store,
    transformer,
    translation,
)

# As the scripts run: beartype would look at each of a hundred thousand sentences.
pytestmark = pytest.mark.usefixtures("unchecked")


def test_program():
    stored = store.load("program")["linear"]["test_accuracy"]["values"][0]
    assert program.train("linear", seed=0)["accuracy"] == pytest.approx(stored, abs=0.005)


def test_language():
    texts, _ = language.corpus()
    again = language.short(texts)
    assert again == pytest.approx(store.load("language")["short"], abs=0.01)  # untrained vectors are 0.04 away


@pytest.mark.parametrize(
    "script, tolerance",
    [
        (recipes, 0.03),
        (forecasting, 0.2),
        (classification, 0.02),
        (generation, 0.02),
        (transformer, 0.02),
        (translation, 0.02),
    ],
    ids=lambda script: getattr(script, "__name__", ""),
)
def test_others(script, tolerance, monkeypatch):
    if script is translation:  # which asks twice for the words of each of half a million sentences
        monkeypatch.setattr(script, "words", cache(script.words))
    stored = store.load(script.__name__.rpartition(".")[2])["short"]
    assert script.short() == pytest.approx(stored, abs=tolerance)
