"""The page of times."""

import json

import pytest

from authoring.book import notebooks, results
from authoring.pages import speed
from tests.authoring.conftest import FIT


def test_the_page_of_a_small_book(book, file_regression):
    makers = (speed.speed, speed.conditions, speed.run_times)
    file_regression.check("\n\n".join(maker(book) for maker in makers) + "\n", extension=".md")


def test_a_measurement_that_nobody_described(book):
    (book / "benchmarks" / "results" / "new.json").write_text(json.dumps({"here": FIT["program"]}))
    with pytest.raises(ValueError, match=r"COMPARED in authoring/pages/speed\.py must say what new\.here times"):
        speed.speed(book)


@pytest.mark.parametrize("seconds, text", [(66.24, "66.2 s"), (0.04, "40 ms"), (0.0009716, "972 µs"), (0, "0 µs")])
def test_duration(seconds, text):
    assert speed.duration(seconds).replace("\u00a0", " ") == text


def test_every_measurement_is_there():
    page, text = speed.speed(), json.dumps(results())
    seconds = text.count('"second": ') - text.count('"second": [')  # lists are of interleaved turns
    assert page.count("\n| ") == seconds + text.count('"times"') > 10
    made = [found["made"]["command"] for found in results().values()]
    conditions = speed.conditions()
    assert all(f"`{command}`" in conditions for command in made)
    assert speed.run_times().count(".ipynb)") == len(notebooks())
