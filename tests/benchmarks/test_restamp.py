"""Results keep their stamp when code moved or was renamed, and only then: planted differences must be found."""

import json
import subprocess

import pytest

from authoring.definitions import fingerprint
from benchmarks import restamp

LAYERS = """\
import math

import torch
from torch import nn

from dlbook.sizes import SIZE, check_size


class Layer(nn.Module):
    'A layer.'

    def __init__(self, inputs, outputs, rate=0.5):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.rate = rate
        self.weight = nn.Parameter(torch.zeros(inputs, outputs))

    def scores(self, x):
        return torch.exp(x @ self.weight) * self.rate

    def forward(self, x):
        found = self.scores(x)
        return found - found.mean()


def blend(first, second, share=0.25):
    kept = first * share
    other = second * (1 - share)
    return kept + other - kept * other


def scaled(x):
    return [math.sqrt(part) for part in x if part > SIZE]
"""
SIZES = "SIZE = 3\n\n\ndef check_size(x):\n    assert x\n"
SCRIPT = """\
'''How good.'''
from functools import partial

from benchmarks.store import run
from dlbook.layers import Layer, blend, scaled


def train(seed):
    layer = Layer(2, 3, rate=0.1)
    mixed = blend(layer(seed), layer.scores(seed), share=0.5)
    return layer.rate, scaled(mixed)


def main(arguments=None):
    run(__file__, {"row": partial(train, 0)}, arguments)
"""
FILES = {
    "dlbook/__init__.py": "",
    "dlbook/layers.py": LAYERS,
    "dlbook/sizes.py": SIZES,
    "benchmarks/fit.py": SCRIPT,
    "benchmarks/store.py": "def run(): ...\n",
}


def plant(root, files):
    """Write the files of a tree."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def stamp(root):
    """Return the fingerprint of the script."""
    return fingerprint(root / "benchmarks" / "fit.py", root)


@pytest.fixture
def trees(tmp_path):
    """Make the tree before and the tree now, with results that were fresh before."""
    before, now = tmp_path / "before", tmp_path / "now"
    plant(before, FILES)
    plant(now, FILES)
    results = {"made": {"command": "python -m tools.fit", "made_from": stamp(before)}, "row": 1}
    plant(now, {"benchmarks/results/fit.json": json.dumps(results)})
    return before, now


def again(trees, have_read=False):
    """Restamp; return what is said, and the results."""
    before, now = trees
    said = restamp.restamp("fit", before, "abc123", stamp(before), have_read, now)
    return said, json.loads((now / "benchmarks" / "results" / "fit.json").read_text())


def change(trees, name, *changes):
    """Replace text in a file of the tree now."""
    path = trees[1] / name
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


L, S = "dlbook/layers.py", "benchmarks/fit.py"
ACCEPTED = {
    "local": [(L, ("kept", "weighted"))],
    "parameter and keyword": [(L, ("share", "fraction")), (S, ("share", "fraction"))],
    "function": [(L, ("def blend", "def mix")), (S, ("blend", "mix"))],
    "class": [(L, ("Layer", "Dense")), (S, ("Layer", "Dense"))],
    "method": [(L, ("scores", "logits")), (S, ("scores", "logits"))],
    "attribute and parameter": [(L, ("rate", "factor")), (S, ("rate", "factor"))],
    "attribute alone": [(L, ("self.inputs,", "self.n_inputs,"))],
    "constant": [(L, ("SIZE", "LEAST")), ("dlbook/sizes.py", ("SIZE", "LEAST"))],
    "function of the script": [(S, ("train", "learn"))],
    "other import": [(L, ("import math", "from math import sqrt")), (L, ("math.sqrt", "sqrt"))],
    "order of methods": [
        (
            L,
            ("    def forward(self, x):\n        found = self.scores(x)\n        return found - found.mean()\n", ""),
            (
                "    def scores(",
                "    def forward(self, x):\n        found = self.scores(x)\n        return found - found.mean()\n\n"
                "    def scores(",
            ),
        )
    ],
    "method that nothing calls": [
        (L, ("    def forward(", "    def describe(self):\n        return 5\n\n    def forward("))
    ],
    "guard": [(L, ("    kept =", "    if share < 0:\n        raise ValueError(f'got {share}')\n    kept ="))],
    "call that checks": [(L, ("    kept =", "    check_size(first)\n    kept ="))],
    "docstring": [(L, ("A layer.", "Another."))],
    "annotation": [(L, ("def scaled(x):", "def scaled(x: list[float]) -> list[float]:"))],
    "layout": [(L, ("first * share", "(\n        first * share\n    )"))],
}
REFUSED = {
    "literal": ([(L, ("0.25", "0.3"))], "blend: 0.25 is now 0.3"),
    "argument of a call": ([(S, ("Layer(2, 3", "Layer(2, 4"))], "script.train: 3 is now 4"),
    "constant": ([("dlbook/sizes.py", ("3", "4"))], "sizes.SIZE: 3 is now 4"),
    "swapped arguments": (
        [(S, ("blend(layer(seed), layer.scores(seed)", "blend(layer.scores(seed), layer(seed)"))],
        "script.train: ",
    ),
    "swapped locals": ([(L, ("first * share", "second * share"), ("= second *", "= first *"))], "blend: "),
    "operator": ([(L, ("kept + other", "kept - other"))], "Add[] is now Sub[]"),
    "comparison": ([(L, ("part > SIZE", "part >= SIZE"))], "Gt[] is now GtE[]"),
    "function of a library": ([(L, ("torch.exp", "torch.log"))], "torch.exp is now torch.log"),
    "method of a library": ([(L, ("found.mean()", "found.sum()"))], "the attribute mean is now sum"),
    "merged names": ([(L, ("kept", "other"))], "the local other is now other, but"),
    "merged attributes": (
        [(L, ("self.inputs, self.outputs", "self.inputs, self.inputs"))],
        "outputs is now inputs, but elsewhere",
    ),
    "default value": ([(L, ("rate=0.5", "rate=0.6"))], "0.5 is now 0.6"),
    "dropped statement": ([(L, ("        self.rate = rate\n", ""))], "Layer.__init__: "),
    "keyword that means another parameter": (
        [(L, ("share", "second_"), ("first, second,", "first, share,"), (" second *", " share *"))],
        "share",
    ),
    "hook of a library": (
        [(L, ("def forward", "def go"))],
        "Layer.forward is now go, but a library or a dataclass knows it",
    ),
    "method that overrides": (
        [(L, ("    def forward(", "    def __call__(self, x):\n        return 5\n\n    def forward("))],
        "Layer.__call__ is there only before or only now",
    ),
    "base": ([(L, ("nn.Module", "nn.Sequential"))], "torch.nn.Module is now torch.nn.Sequential"),
    "guard with an effect": (
        [(L, ("    kept =", "    if first.pop() < 0:\n        raise ValueError\n    kept ="))],
        "blend: ",
    ),
    "text": ([(S, ("rate=0.1", "rate='0.1'"))], "0.1 is now '0.1'"),
    "condition": ([(L, (" if part > SIZE", ""))], "scaled: "),
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_a_change_of_names_is_accepted(trees, changes):
    for name, *texts in changes:
        change(trees, name, *texts)
    said, results = again(trees, have_read=changes == ACCEPTED["function of the script"])
    assert results["made"]["made_from"] == stamp(trees[1])
    assert said == "fresh already" or said.startswith("the same code as at abc123")
    if said != "fresh already":
        assert results["made"]["restamped"] == said
        assert results["made"]["command"] == "python -m benchmarks.fit"
    assert results["row"] == 1


@pytest.mark.parametrize("changes, message", REFUSED.values(), ids=REFUSED)
def test_any_other_change_is_refused(trees, changes, message):
    for name, *texts in changes:
        change(trees, name, *texts)
    said, results = again(trees, have_read=True)
    assert said.startswith("left stale: ") and message in said
    assert results["made"]["made_from"] == stamp(trees[0]) != stamp(trees[1])
    assert "restamped" not in results["made"]


def test_a_definition_may_move(trees):
    _, now = trees
    change(trees, L, ("from dlbook.sizes", "from dlbook.data.sizes"))
    plant(now, {"dlbook/data/__init__.py": "", "dlbook/data/sizes.py": SIZES})
    (now / "dlbook" / "sizes.py").unlink()
    assert again(trees)[0] == "fresh already"  # the fingerprint does not know modules


def test_results_that_were_stale_stay_so(trees):
    change(trees, L, ("kept", "weighted"))
    said = restamp.restamp("fit", trees[0], "abc123", "", False, trees[1])
    assert said == "left stale: it was not made by the code at abc123"


def test_a_changed_main_must_be_read(trees):
    change(trees, S, ("partial(train, 0)", "row"), ("def main", "def row():\n    return train(0)\n\n\ndef main"))
    assert "the same but for row, main: read" in again(trees)[0]
    said, results = again(trees, have_read=True)
    assert said == results["made"]["restamped"] == "the same code as at abc123, but for row, main, read"


def test_an_added_decorator_must_be_read(trees):
    change(
        trees,
        L,
        ("def blend(", "@keeps\ndef blend("),
        ("class Layer", "def keeps(function):\n    return function\n\n\nclass Layer"),
    )
    assert "the same but for @keeps of dlbook.layers.blend: read" in again(trees)[0]


def test_a_renamed_dataclass_must_be_read(trees):
    for tree in trees:
        path = tree / L
        path.write_text(
            "from dataclasses import dataclass\n" + path.read_text().replace("class Layer", "@dataclass\nclass Layer")
        )
    change(trees, L, ("class Layer", "class Dense"))
    change(trees, S, ("Layer", "Dense"))
    results = {"made": {"command": "python -m tools.fit", "made_from": stamp(trees[0])}, "row": 1}
    plant(trees[1], {"benchmarks/results/fit.json": json.dumps(results)})
    assert "that the dataclass dlbook.layers.Layer, which shows its name, was renamed: read" in again(trees)[0]


def test_guards_count_where_their_error_may_be_caught(trees):
    caught = "    try:\n        layer = Layer(2, 3, rate=0.1)\n    except ValueError:\n        layer = Layer(3, 3)\n"
    for tree in trees:
        path = tree / S
        path.write_text(path.read_text().replace("    layer = Layer(2, 3, rate=0.1)\n", caught))
    results = {"made": {"command": "python -m tools.fit", "made_from": stamp(trees[0])}, "row": 1}
    plant(trees[1], {"benchmarks/results/fit.json": json.dumps(results)})
    change(
        trees,
        L,
        (
            "        self.rate = rate\n",
            "        if rate > 3:\n            raise ValueError\n        self.rate = rate\n",
        ),
    )
    assert again(trees)[0].startswith("left stale: dlbook.layers.Layer.__init__: ")


def test_the_command(tmp_path, monkeypatch, capsys):
    files = {
        "benchmarks/store.py": "def fingerprint(path):\n    return f'stamp of {path.stem}'\n",
        "benchmarks/__init__.py": "",
        **{f"benchmarks/{name}.py": "" for name in ("one", "two")},
        **{f"benchmarks/results/{name}.json": "{}" for name in ("one", "two")},
    }
    plant(tmp_path, files)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True)
    plant(tmp_path, {"benchmarks/three.py": "", "benchmarks/results/three.json": "{}"})
    monkeypatch.setattr(restamp, "ROOT", tmp_path)
    monkeypatch.setattr(restamp, "RESULTS", tmp_path / "benchmarks" / "results")
    monkeypatch.setattr(restamp, "restamp", lambda name, before, revision, then, read: f"{then}, {read}")
    restamp.main(["HEAD"])
    assert capsys.readouterr().out == "one: stamp of one, False\ntwo: stamp of two, False\n"
    restamp.main(["HEAD", "one", "--read"])
    assert capsys.readouterr().out == "one: stamp of one, True\n"
