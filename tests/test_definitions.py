"""What a piece of code uses of the package: which definitions, and which not."""

import pytest

from tools.definitions import essence, imported, uses

PACKAGE = {
    "__init__": '"""The package."""\n',
    "base": (
        '"""Base."""\n\nimport math\n\nimport torch\n\nRATE = 1  # one\nOTHER, MORE = 2, 3\n\n\n'
        'def f():\n    """Say f."""\n    return RATE\n\n\ndef g():\n    return OTHER\n'
    ),
    "model": (
        "import torch\n\nfrom dlbook.base import f as base_f\n\n\n@torch.no_grad()\nclass Model:\n    def go(self):\n"
        "        from dlbook.base import g\n        return base_f() + g()\n\n\ndef unused():\n    return Model\n"
    ),
    "loose": "X = 1\nif X:\n    print(later())\n\n\ndef later():\n    return 2\n\n\ndef never():\n    return 3\n",
    "data/__init__": "",
    "data/images": "from dlbook import base\n\n\ndef load():\n    return base.MORE\n",
}
F, G, RATE, OTHER = "def f():\n    return RATE", "def g():\n    return OTHER", "RATE = 1", "OTHER, MORE = 2, 3"
MODEL = """\
@torch.no_grad()
class Model:
    def go(self):
        from dlbook.base import g
        return base_f() + g()"""
BASE = [F, G, RATE, OTHER, "math is math", "torch is torch"]
LOOSE = ["X = 1", "if X:\n    print(later())", "def later():\n    return 2"]


@pytest.fixture
def root(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "dlbook" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return tmp_path


def test_imports_are_found_wherever_they_stand():
    found = list(imported("import a.b, c\nfrom d import e as f, g\ndef h():\n    from i.j import *\n    import k as c"))
    assert sorted(found) == ["a.b", "c", "d.e", "d.g", "i.j.*", "k"]


@pytest.mark.parametrize(
    "code, found",
    {
        "import numpy": [],
        "import dlbook": [],
        "from dlbook.base import f": [F, RATE],
        "from dlbook.base import g as f": [G, OTHER],
        "from dlbook.model import Model": [F, G, MODEL, RATE, OTHER, "torch is torch"],
        "from dlbook.base import *": BASE,
        "import dlbook.base": BASE,
        "from dlbook.data.images import load": ["def load():\n    return base.MORE", *BASE],
        "from dlbook.loose import X": LOOSE,
        "from dlbook.loose import nothing": LOOSE,
        "def later():\n    import dlbook.base": BASE,
    }.items(),
)
def test_definitions_that_a_piece_of_code_uses(root, code, found):
    assert uses([code], root) == sorted(found)


def test_only_what_is_used_counts(root):
    def found():
        return uses(["from dlbook.model import Model"], root)

    before, path = found(), root / "dlbook" / "base.py"
    path.write_text(PACKAGE["base"].replace("# one", "# still one").replace("Say f", "Say it") + "NEW = f()\n")
    assert found() == before
    path.write_text(PACKAGE["base"].replace("OTHER, MORE = 2, 3", "OTHER = MORE = 3"))  # used by what is used by go
    assert found() != before


def test_a_name_that_means_something_else_counts(root):
    before, path = uses(["from dlbook.model import Model"], root), root / "dlbook" / "model.py"
    path.write_text(PACKAGE["model"].replace("import torch\n", "import numpy as torch\n"))
    assert set(uses(["from dlbook.model import Model"], root)) ^ set(before) == {"torch is torch", "torch is numpy"}


def test_essence():
    text = (
        '"""Doc\n# no comment\n"""\n\n# remark\nclass A:\n    """Doc."""\n\n    x = "# kept"  # gone\n\n'
        'async def f():\n    """Doc\n\n    more.\n    """\n    return """text # kept"""\n'
    )
    kept = 'class A:\n    x = "# kept"\nasync def f():\n    return """text # kept"""'
    assert "\n".join(line for line in essence(text) if line) == kept
    assert len(essence(text)) == len(text.splitlines())
