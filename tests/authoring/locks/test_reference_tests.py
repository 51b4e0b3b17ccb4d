"""The lock on reference tests: each public name has a test against a trusted library, an equation or a reason."""

import pytest

from authoring.locks import reference_tests
from authoring.locks.mentions import open_module, uses
from authoring.locks.reference_tests import faults, held, main, markers
from tests.helpers.notebooks import small_book
from tests.helpers.references import reference

PACKAGE = '''\
"""Layers."""

from torch import nn

CONSTANT = 3


class Base(nn.Module):
    """A base."""


class Dense(Base):
    """A layer."""


def relu(z):
    """Cut."""


def load():
    """Read."""


def _helper():
    """Help."""
'''
TEST = """\
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook import layers
from dlbook.layers import Base, Dense, load
from tests.helpers.compare import compare, reference

THEIRS = {"linear": nn.Linear}


def make():
    return Dense()


@reference("dlbook.layers.Dense", to="torch.nn.Linear")
def test_dense():
    y, expected = make()(1), THEIRS["linear"](1, 2)
    assert y == expected
    y.backward()


@pytest.mark.parametrize("name", ["relu"])
@reference("dlbook.layers.relu", to="torch.nn.functional.relu")
def test_relu(name):
    compare(getattr(layers, name)(1), getattr(F, name)(1))


def test_load():
    assert load() is not None and Base()
"""
COMPARE = "from torch.testing import assert_close\n\n\ndef compare(a, b):\n    assert_close(a, b)\n"
REASONS = """\
[[reason]]
why = "reads files of its own"
names = ["dlbook.layers.load"]

[[reason]]
why = "is the base of all layers"
through = "dlbook.layers.Dense"
names = ["dlbook.layers.Base"]
"""
SOURCES = {
    "dlbook/layers.py": PACKAGE,
    "tests/test_layers.py": TEST,
    "tests/helpers/compare.py": COMPARE,
    "tests/references.toml": REASONS,
}


@pytest.fixture
def book(tmp_path):
    root = small_book(tmp_path)
    for name, text in SOURCES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def change(root, name, old, new):
    assert SOURCES[name].count(old) >= 1
    (root / name).write_text(SOURCES[name].replace(old, new, 1), encoding="utf-8")


def test_what_is_right(book, capsys):
    assert faults(book) == []
    by, _ = held(book)
    assert by == {
        "dlbook.layers.Base": ["reason: is the base of all layers"],
        "dlbook.layers.Dense": ["tests/test_layers.py::test_dense (torch.nn.Linear)"],
        "dlbook.layers.relu": ["tests/test_layers.py::test_relu (torch.nn.functional.relu)"],
        "dlbook.layers.load": ["reason: reads files of its own"],
    }
    assert main(book) == 0
    assert "dlbook.layers.load" in capsys.readouterr().out
    assert [marker.backward for marker in markers(book)] == [True, False]


MARKER = '@reference("dlbook.layers.relu", to="torch.nn.functional.relu")\n'
DENSE = '@reference("dlbook.layers.Dense", to="torch.nn.Linear")\n'
TESTS, TABLE = "tests/test_layers.py", "tests/references.toml"


@pytest.mark.parametrize(
    "name, old, new, fault",
    [
        # a public name with neither
        (
            "dlbook/layers.py",
            "def load",
            "def fresh():\n    pass\n\n\ndef load",
            "dlbook.layers.fresh: must have a reference",
        ),
        (TESTS, MARKER, "", "dlbook.layers.relu: must have a reference test, @reference("),
        (TABLE, '"dlbook.layers.load"', '"dlbook.layers.Base"', "dlbook.layers.load: must have a reference test"),
        # a marker whose test does not use what it names
        (TESTS, "getattr(F, name)(1)", "1", "::test_relu: must use torch.nn.functional.relu, which it compares with"),
        (TESTS, "nn.Linear}", "nn.Conv2d}", "::test_dense: must use torch.nn.Linear, which it compares with"),
        (TESTS, "getattr(layers, name)(1)", "1", "::test_relu: must use dlbook.layers.relu, which it compares"),
        (TESTS, "return Dense()", "return 1", "::test_dense: must use dlbook.layers.Dense, which it compares"),
        (TESTS, '["relu"]', '["tanh"]', "::test_relu: must use dlbook.layers.relu, which it compares"),
        (TESTS, "assert y == expected", "y == expected", "::test_dense: must assert that both are equal"),
        (
            "tests/helpers/compare.py",
            "    assert_close(a, b)",
            "    pass",
            "::test_relu: must assert that both are equal",
        ),
        (TESTS, 'to="torch.nn.Linear"', 'to="dlbook.layers.Dense"', "must compare with one of "),
        (TESTS, 'to="torch.nn.Linear"', 'to="torch"', "::test_dense: must use torch, which it compares with"),
        (TESTS, ', to="torch.nn.Linear"', "", "::test_dense: must be decorated @reference("),
        (TESTS, '"dlbook.layers.Dense", to', "to", "::test_dense: must be decorated @reference("),
        (TESTS, '"dlbook.layers.Dense", to', "Dense, to", "::test_dense: must be decorated @reference("),
        # a layer without its gradient
        (TESTS, "    y.backward()\n", "", "dlbook.layers.Dense: one of its reference tests must compare gradients"),
        # unknown names
        (
            TESTS,
            DENSE,
            DENSE.replace("Dense", "Dens"),
            "::test_dense: dlbook.layers.Dens must be public in the package",
        ),
        (TESTS, DENSE, DENSE.replace("Dense", "_helper"), "::test_dense: dlbook.layers._helper must be public"),
        (TABLE, "layers.load", "layers.read", "references.toml: dlbook.layers.read must be a public class or function"),
        (TABLE, "layers.load", "layers.CONSTANT", "dlbook.layers.CONSTANT must be a public class or function"),
        # reasons
        (
            TABLE,
            '"dlbook.layers.load"',
            '"dlbook.layers.load", "dlbook.layers.relu"',
            "layers.relu needs no reason, tests",
        ),
        (
            TABLE,
            '"dlbook.layers.load"',
            '"dlbook.layers.load", "dlbook.layers.load"',
            "load must have one reason: got two",
        ),
        (TABLE, "reads files of its own", "data", "each reason must have names, and a why of 3 words or more"),
        (TABLE, '["dlbook.layers.load"]', "[]", "each reason must have names, and a why of 3 words or more"),
        (
            TABLE,
            "layers.Dense",
            "layers.Dens",
            "dlbook.layers.Base has a reason, but no test mentions dlbook.layers.Dens",
        ),
        (
            TESTS,
            "assert load()",
            "assert 1",
            "dlbook.layers.load has a reason, but no test mentions dlbook.layers.load",
        ),
    ],
)
def test_planted_faults(book, name, old, new, fault):
    if fault.startswith("dlbook.layers.load has"):
        change(book, TESTS, "Base, Dense, load", "Base, Dense")
        new = SOURCES[TESTS].replace("Base, Dense, load", "Base, Dense").replace(old, new)
        (book / TESTS).write_text(new, encoding="utf-8")
    else:
        change(book, name, old, new)
    found = faults(book)
    assert any(fault in line for line in found), found


def test_the_test_of_an_equation_holds_a_name(book):
    equation = '@executed("1a", of="dlbook.layers.load")\ndef test_equation(formula): ...\n'
    (book / TESTS).write_text(f"{TEST}\n\n{equation}", encoding="utf-8")
    (fault,) = faults(book)
    assert fault.startswith("tests/references.toml: dlbook.layers.load needs no reason, tests/test_layers.py::test_eq")
    (book / TABLE).write_text(REASONS.split("\n\n")[1], encoding="utf-8")
    assert faults(book) == []


def test_what_a_test_mentions(tmp_path):
    (tmp_path / "tests" / "inner").mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text("import scipy.stats\n\n\ndef theirs():\n    return scipy.stats.t\n")
    path = tmp_path / "tests" / "inner" / "test_x.py"
    path.write_text(
        "def test(theirs):\n    keras = pytest.importorskip('keras')\n    layers = keras.layers\n"
        "    f'{layers.Dense(1).x}'\n    dlbook = 1\n    x.sum()\n"
    )
    module = open_module(path, tmp_path)
    used = uses(module, module.defined["test"])
    for name in ("keras.layers.Dense", "scipy.stats.t", "torch.Tensor.sum"):
        assert used.mentions(name)
    for name in ("keras.layers.Conv2D", "torch.nn.Dense", "dlbook.x", "torch.Tensor.mean"):
        assert not used.mentions(name)


def test_the_marker_leaves_a_test_as_it_is():
    def test():
        return 3

    assert reference("dlbook.a", to="torch.nn.A")(test) is test
    with pytest.raises(ValueError, match="must name what it compares, and with what: got \\(\\) and 'torch.nn.A'"):
        reference(to="torch.nn.A")
    with pytest.raises(ValueError, match="and with what: got .* and 'torch'"):
        reference("dlbook.a", to="torch")


def test_a_package_without_public_names_is_a_fault(tmp_path):
    assert faults(small_book(tmp_path)) == ["dlbook: the lock found no public names in it: mend the lock"]


def test_trusted_libraries_are_not_the_package():
    assert "dlbook" not in reference_tests.TRUSTED and "tests" not in reference_tests.TRUSTED
