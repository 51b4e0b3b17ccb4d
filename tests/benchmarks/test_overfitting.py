"""Committed results on overfitting: still what a short run gives, and chosen by validation alone."""

import pytest

from authoring.book import ROOT, read
from benchmarks import overfitting, store

FIELDS = {
    "nothing": "examples",
    "l2": "l2",
    "l1": "l1",
    "smaller": "hidden",
    "dropout": "dropout",
    "augmentation": "shift",
    "early stopping": "patience",
}


def mean(values):
    return sum(values) / len(values)


def in_the_chapter(stored):
    """Return what the chapter draws: each remedy at all strengths, and each seed at those of interest."""
    curves = {
        name: {"strength": [getattr(remedy, field) for remedy in overfitting.GRID[name]]}
        | {part: [round(mean(row[f"{part}_loss"]), 3) for row in stored[name]] for part in ("train", "validation")}
        for name, field in FIELDS.items()
    }
    rows = {"nothing": stored["nothing"][0], "larger": stored["larger"][0]}
    rows |= {
        f"{remedy.examples:,} pictures": stored["more data"][n]
        for n, remedy in enumerate(overfitting.GRID["more data"])
    }
    rows |= {name: stored[name][overfitting.chosen(name, stored)] for name in curves}
    rows |= {
        name: stored[name][overfitting.chosen(name, stored)]
        for name in ("temperature", "together", "logistic regression")
    }
    rows |= {f"longer: {name}": stored["longer"][n] for n, name in enumerate(("nothing", "augmentation", "together"))}
    keys = {"loss": "test_loss", "accuracy": "test_accuracy", "certainty": "test_certainty"}
    return curves, {name: {key: row[long] for key, long in keys.items()} for name, row in rows.items()}


def test_the_chapter_draws_what_is_stored():
    cells = [cell.source for cell in read(ROOT / "book/faq/overfitting.ipynb").cells]
    source = next(source for source in cells if source.startswith("# Measured by benchmarks/overfitting.py"))
    found = {}
    exec(source, found)
    assert (found["curves"], found["measured"]) == in_the_chapter(store.load("overfitting"))


def test_a_short_row_again():
    assert overfitting.short() == pytest.approx(store.load("overfitting")["short"], abs=0.03)


def test_every_row_is_there_with_all_seeds():
    stored = store.load("overfitting")
    for name in [*overfitting.GRID, *overfitting.BASELINES, "temperature", "together", "longer"]:
        assert [row["what"] for row in stored[name]] == [str(row) for row in overfitting.strengths(name, stored)]
        assert all(
            len(values) == overfitting.SEEDS for row in stored[name] for key, values in row.items() if key != "what"
        )


def test_the_choice_looks_at_validation_only():
    rows = [{"validation_loss": [2, 1], "test_loss": [0, 0]}, {"validation_loss": [1, 1], "test_loss": [5, 5]}]
    assert overfitting.chosen("l2", {"l2": rows}) == 1


def test_more_data_holds_the_same_pictures_and_none_that_validate():
    few, many = overfitting.draw(20, seed=3), overfitting.draw(50, seed=3)
    assert (few[0] == many[0][:20]).all() and (few[1] == many[1][:20]).all()
    assert len(overfitting.POOL[0]) + len(overfitting.VALIDATION[0]) == len(overfitting.DATA.train_images)
    assert (overfitting.draw(20, seed=4)[0] != few[0]).any()
