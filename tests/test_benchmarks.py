"""Committed results: made from the sources as they stand, and still what a short run gives."""

import json

import pytest

from benchmarks import (
    classification,
    forecasting,
    generation,
    language,
    pairs,
    program,
    recipes,
    results,
    transformer,
    translation,
)
from tools.book import ROOT

FILES = sorted(results.RESULTS.glob("*.json"))


def test_there_are_results():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_are_made_from_the_sources_as_they_stand(path):
    made = json.loads(path.read_text())["made"]
    script = ROOT / "benchmarks" / f"{path.stem}.py"
    assert made["made_from"] == results.fingerprint(script), f"{path.name} is stale: run `{made['command']}`"


def test_a_changed_source_is_noticed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from dlbook.optim import Adam\nrate = 1\n")
    before = results.fingerprint(script)
    script.write_text("from dlbook.optim import Adam\nrate = 1  # a remark\n")
    assert results.fingerprint(script) == before
    script.write_text("from dlbook.optim import Adam\nrate = 2\n")
    assert results.fingerprint(script) != before


def test_store_and_load(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    results.store(program.__file__, row=results.summary([1.0, 3.0]))
    stored = results.load("program")
    assert stored["row"] == {"values": [1.0, 3.0], "mean": 2.0, "min": 1.0, "max": 3.0}
    assert stored["made"]["command"] == "python -m benchmarks.program"
    assert stored["made"]["made_from"] == results.fingerprint(ROOT / "benchmarks" / "program.py")


def test_a_short_row_again():
    stored = results.load("program")["linear"]["test_accuracy"]["values"][0]
    assert program.train("linear", seed=0)["accuracy"] == pytest.approx(stored, abs=0.005)


def test_a_short_convolutional_row_again():
    stored = results.load("recipes")["short"]["accuracy"]
    assert recipes.train(recipes.ARTICLE, seed=0, examples=3200)["accuracy"] == pytest.approx(stored, abs=0.03)


def test_a_short_recurrent_row_again():
    stored = results.load("forecasting")["short"]["validation_rmse"]
    again = forecasting.train(forecasting.Row(1, change=True, epochs=1), seed=0, examples=3200)["validation_rmse"]
    assert again == pytest.approx(stored, abs=0.2)


def test_short_training_of_word_vectors_again():
    texts, _ = language.corpus()
    again = language.short(texts)
    assert again == pytest.approx(results.load("language")["short"], abs=0.01)  # untrained vectors are 0.04 away


@pytest.mark.parametrize("script", [generation, transformer, translation], ids=lambda script: script.__name__)
def test_a_short_row_of_text_again(script):
    stored = results.load(script.__name__.split(".")[-1])["short"]
    assert script.measure("short") == pytest.approx(stored, abs=0.02)


def test_a_short_row_of_reviews_again():
    _, right = classification.train("snippets", "average", seed=0, epochs=6, every=2)
    stored = results.load("classification")["short"]["accuracy"]
    assert right.mean().item() == pytest.approx(stored, abs=0.02)


def test_pairs_take_turns_and_leave_the_first_out(monkeypatch):
    clock, calls = [0.0], []

    def work(name, seconds):
        calls.append(name)
        clock[0] += seconds[min(len(calls) // 3, 1)]  # slow in the first pair

    monkeypatch.setattr(pairs.time, "perf_counter", lambda: clock[0])
    measured = pairs.pairs(lambda: work("a", (9, 2)), lambda: work("b", (9, 4)), count=4)
    assert measured == {"first": 2, "second": 4, "ratio": 0.5, "pairs": 4}
    assert "".join(calls) == "baabbaabba"
