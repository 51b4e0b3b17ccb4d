"""One function measures what is missing and keeps it; committed results are made from the sources as they stand."""

import json
import re
import threading

import filelock
import pytest

from authoring.book import ROOT
from authoring.definitions import fingerprint
from benchmarks import store

FILES = sorted(store.RESULTS.glob("*.json"))


def test_every_script_that_measures_has_results():
    texts = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    scripts = [name for name, text in texts.items() if re.search(r"\brun\(\s*__file__", text)]
    assert scripts and sorted(scripts) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_are_made_from_the_sources_as_they_stand(path):
    made = json.loads(path.read_text())["made"]
    script = ROOT / "benchmarks" / f"{path.stem}.py"
    assert made["made_from"] == fingerprint(script), f"{path.name} is stale: run `{made['command']}`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_are_as_they_were_measured(path):
    rows = json.loads(path.read_text())
    made = rows.pop("made")
    assert made["rows"] == store.checksum(rows), f"{path.name} was changed by hand: run `{made['command']}`"


# --- the function -----------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Make a script, and a folder for its results."""
    monkeypatch.setattr(store, "RESULTS", tmp_path / "results")
    path = tmp_path / "timing.py"
    path.write_text('"""How fast.\n\nMore.\n"""\nRATE = 1\n')
    return path


def measure(script, *arguments, names=("one", "two"), **options):
    """Run rows that tell what was measured; return that, and the results."""
    measured = []

    def row(name):
        measured.append(name)
        return {"value": len(measured)}

    store.run(str(script), {name: lambda name=name: row(name) for name in names}, list(arguments), **options)
    return measured, store.load("timing")


def test_what_is_missing_is_measured_and_stored(script):
    measured, found = measure(script, threads="two threads")
    assert measured == ["one", "two"] and found["one"] == {"value": 1}
    assert found["made"]["command"] == "python -m benchmarks.timing"
    assert found["made"]["made_from"] == fingerprint(script)
    assert found["made"]["processor"].endswith(", two threads")
    assert measure(script, threads="two threads")[0] == []
    measured, found = measure(script, names=("zero", "one", "two"), threads="two threads")
    assert measured == ["zero"] and list(found) == ["made", "zero", "one", "two"]


def test_rows_that_are_named_are_measured_again(script):
    measure(script)
    measured, found = measure(script, "two")
    assert measured == ["two"] and (found["one"], found["two"]) == ({"value": 1}, {"value": 1})


def test_rows_of_other_code_are_dropped_never_kept(script):
    measure(script)
    script.write_text(script.read_text().replace("RATE = 1", "RATE = 2"))
    measured, found = measure(script, "two")
    assert measured == ["two"] and "one" not in found
    assert measure(script)[0] == ["one"]


def test_rows_of_the_same_code_are_kept(script):
    measure(script)
    script.write_text(script.read_text().replace("RATE = 1", "RATE = 1  # a remark"))
    assert measure(script)[0] == []


@pytest.mark.parametrize("part", ["python", "torch", "processor"])
def test_rows_of_two_machines_are_not_mixed(script, part):
    measure(script)
    path = store.RESULTS / "timing.json"
    results = json.loads(path.read_text())
    results["made"][part] = "another"
    path.write_text(json.dumps(results))
    with pytest.raises(ValueError, match=f"timing.json must be removed to measure here: its {part} is another, not "):
        measure(script, "two")
    assert json.loads(path.read_text()) == results and store.fresh(str(script))["one"] == {"value": 1}
    script.write_text("RATE = 2\n")  # other code: all rows are measured
    assert measure(script)[0] == ["one", "two"]


def test_what_was_restamped_says_so_after_more_was_measured(script):
    measure(script, "one")
    path = store.RESULTS / "timing.json"
    results = json.loads(path.read_text())
    results["made"]["restamped"] = "the same code as at abc123"
    path.write_text(json.dumps(results))
    assert measure(script)[1]["made"]["restamped"] == "the same code as at abc123"
    script.write_text("RATE = 2\n")
    assert "restamped" not in measure(script)[1]["made"]


def test_a_row_that_cannot_be_written_loses_none(script):
    measure(script)
    with pytest.raises(TypeError):
        store.run(str(script), {"one": lambda: 1, "two": lambda: {1, 2}}, ["two"])
    assert store.load("timing")["two"] == {"value": 2}


def test_rows_are_stored_one_by_one(script):
    with pytest.raises(ZeroDivisionError):
        store.run(str(script), {"one": lambda: 1, "two": lambda: 1 // 0}, [])
    assert store.load("timing")["one"] == 1


def test_rows_may_depend_on_those_before(script):
    rows = {"one": lambda: 1, "two": lambda: store.fresh(str(script))["one"] + 1}
    store.run(str(script), rows, [], sum_up=lambda rows: {"sum": sum(rows.values())})
    assert store.load("timing")["two"] == 2 and store.load("timing")["sum"] == 3
    script.write_text("RATE = 3\n")
    assert store.fresh(str(script)) == {}


def test_unknown_rows_are_refused(script, capsys):
    with pytest.raises(SystemExit):
        measure(script, "three")
    assert "invalid choice: 'three' (choose from 'missing', 'one', 'two')" in capsys.readouterr().err


def test_summary():
    assert store.summary([1.0, 3.0]) == {"values": [1.0, 3.0], "mean": 2.0, "min": 1.0, "max": 3.0}


def test_rows_may_have_a_percent_sign_in_their_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match="0"):
        store.run(__file__, {"5 % of the labels": lambda: 1}, ["--help"])
    assert "5 % of the labels" in capsys.readouterr().out


def test_two_processes_that_store_at_once_lose_no_row(script):
    measure(script, "two")
    path = store.RESULTS / "timing.json"
    by_another = path.read_bytes()
    path.unlink()
    with filelock.FileLock(store.RESULTS / "timing.lock"):
        ours = threading.Thread(target=measure, args=(script, "one"))
        ours.start()
        ours.join(0.5)
        assert ours.is_alive()  # it waits for the other, which stores now
        path.write_bytes(by_another)
    ours.join()
    assert set(store.load("timing")) == {"made", "one", "two"}
