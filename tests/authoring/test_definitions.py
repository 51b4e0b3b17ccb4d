"""What a piece of code uses of the package: which definitions, and what of them can change a result."""

import pytest

from authoring import definitions
from authoring.definitions import fingerprint, imported, uses

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
    "checks": "def check_sizes(x):\n    size = len(x)\n    if not size:\n        raise ValueError(size)\n",
    "data/__init__": "",
    "data/images": "from dlbook import base\n\ndef load():\n    return base.MORE\ndef load_f():\n    return base.f()\n",
}
F, G, MODEL = ["RATE", "f"], ["MORE", "OTHER", "g"], ["Model", "Model.go"]
BASE = sorted({*F, *G})


@pytest.fixture
def root(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "dlbook" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return tmp_path


def names(code, root):
    """Return the names of what a piece of code uses."""
    return [text.partition(" = ")[0] for text in uses([code], root)]


def test_imports_are_found_wherever_they_stand():
    found = list(imported("import a.b, c\nfrom d import e as f, g\ndef h():\n    from i.j import *\n    import k as c"))
    assert sorted(found) == ["a.b", "c", "d.e", "d.g", "i.j.*", "k"]


@pytest.mark.parametrize(
    "code, found",
    {
        "import numpy": [],
        "import dlbook": [],
        "from dlbook.base import f": F,
        "from dlbook.base import g as f": G,
        "from dlbook.model import Model": [*MODEL, *F, *G],
        "from dlbook.model import base_f": F,
        "from dlbook.base import *": BASE,
        "import dlbook.base": BASE,
        "from dlbook.data.images import load": ["MORE", "OTHER", "load"],
        "from dlbook.data.images import load_f": [*F, "load_f"],
        "from dlbook.loose import X": ["", "X", "later"],
        "from dlbook.loose import nothing": ["", "X", "later"],
        "def later():\n    import dlbook.base": BASE,
    }.items(),
)
def test_definitions_that_a_piece_of_code_uses(root, code, found):
    assert names(code, root) == sorted(found)


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
    changed = set(uses(["from dlbook.model import Model"], root)) ^ set(before)
    assert sorted(text[:35] for text in changed) == [
        "Model = ClassDef[[], [], [numpy.no_",
        "Model = ClassDef[[], [], [torch.no_",
    ]


def test_a_definition_may_move(root):
    before = uses(["from dlbook.model import Model"], root)
    (root / "dlbook" / "base.py").rename(root / "dlbook" / "data" / "moved.py")
    path = root / "dlbook" / "model.py"
    path.write_text(PACKAGE["model"].replace("dlbook.base", "dlbook.data.moved"))
    assert uses(["from dlbook.model import Model"], root) == before


def test_two_definitions_of_one_name_are_told_apart(root):
    path = root / "dlbook" / "data" / "more.py"
    path.write_text("import dlbook.base\n\ndef f():\n    return 5\n\ndef both():\n    return f(), dlbook.base.f()\n")
    before = uses(["from dlbook.data.more import both"], root)
    path.write_text("import dlbook.base\n\ndef f():\n    return 5\n\ndef both():\n    return dlbook.base.f(), f()\n")
    assert uses(["from dlbook.data.more import both"], root) != before


def test_a_text_that_tells_what_is_fetched(root):
    (root / "dlbook" / "data" / "images.py").write_text("from dlbook.base import g\n\ndef load():\n    g('a', n=1)\n")
    assert uses(["from dlbook.data.images import load"], root)[-1].endswith("[Expr[g('a', n=1)]]]")


# --- fingerprints -----------------------------------------------------------------------------------------------------

CODE = """\
from dataclasses import dataclass
from dlbook.base import f
from dlbook.checks import check_sizes

@dataclass
class Settings:
    rate: float
    steps: int = 3

def train(x, seed=0):
    y = f()
    for step in range(seed):
        y = y * x + step
    return y
"""
SAME = {  # what can be added or changed without changing a result
    "comment and layout": ("    return y", "    # remark\n\n    return (\n        y\n    )"),
    "docstring": ("    y = f()", '    """Train."""\n    y = f()'),
    "annotations": ("def train(x, seed=0):", "def train(x: int, seed: 'whole' = 0) -> int:"),
    "annotated local": ("    y = f()", "    y: int = f()"),
    "other annotation of a field": ("    rate: float", "    rate: int"),
    "guard": ("    y = f()", "    if seed < 0:\n        raise ValueError(f'got {seed}')\n    y = f()"),
    "guard with two branches": (
        "    y = f()",
        "    if seed < 0:\n        raise ValueError\n    elif seed > 9:\n        raise ValueError\n    y = f()",
    ),
    "guard and what is made for it": (
        "    y = f()",
        "    n = len(x)\n    m = 2 * n\n    if m > 1:\n        raise ValueError(m)\n    y = f()",
    ),
    "guard that names what it sees": (
        "    y = f()",
        "    if (n := len(x)) > 1:\n        raise ValueError(n)\n    y = f()",
    ),
    "assertion": ("    y = f()", "    assert x > 0\n    y = f()"),
    "call that checks": ("    y = f()", "    check_sizes(x)\n    y = f()"),
    "import": ("    y = f()", "    from dlbook.base import f\n    y = f()"),
}
OTHER = {
    "constant": ("seed=0", "seed=1"),
    "operator": ("y * x", "y + x"),
    "order": ("y * x + step", "x * y + step"),
    "statement dropped": ("    y = f()\n", "    y = 1\n"),
    "field that is none": ("    steps: int = 3", "    steps = 3"),
    "order of fields": ("    rate: float\n    steps: int = 3", "    steps: int = 3\n    rate: float"),
    "guard with an effect": ("    y = f()", "    if x.pop() < 0:\n        raise ValueError\n    y = f()"),
    "guard in place": ("    y = f()", "    if x.add_(1) < 0:\n        raise ValueError\n    y = f()"),
    "guard that draws": ("    y = f()", "    if torch.rand(1) < 0:\n        raise ValueError\n    y = f()"),
    "guard that is caught": (
        "    y = f()",
        "    try:\n        if x < 0:\n            raise ValueError\n    except ValueError:\n        x = 0\n    y = f()",
    ),
    "guard with else": (
        "    y = f()",
        "    if x < 0:\n        raise ValueError\n    else:\n        x = 1\n    y = f()",
    ),
    "name bound in a guard and used": (
        "    y = f()",
        "    if (x := f()) < 0:\n        raise ValueError\n    y = f()",
    ),
    "call that changes": ("    y = f()", "    change(x)\n    y = f()"),
    "call that checks by a library": ("    y = f()", "    check_this(x)\n    y = f()"),
    "decorator": ("def train", "@torch.no_grad()\ndef train"),
    "what is only computed": ("    y = f()", "    _ = x.update()\n    y = f()"),
}


@pytest.fixture
def script(root):
    path = root / "script.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_cannot_change_a_result_is_left_out(root, script, change):
    before = fingerprint(script, root)
    assert CODE.count(change[0]) == 1
    script.write_text(CODE.replace(*change))
    assert fingerprint(script, root) == before


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_may_change_a_result_counts(root, script, change):
    before = fingerprint(script, root)
    assert CODE.count(change[0]) == 1
    script.write_text(CODE.replace(*change))
    assert fingerprint(script, root) != before


def test_what_saves_and_resumes_is_left_out(root, script):
    run = "class Run:\n    def step(self):\n        return 1\n\n    def save(self):\n        return 2\n"
    path = root / "dlbook" / "run.py"
    path.write_text(run)
    script.write_text("from dlbook.run import Run\n\ndef go():\n    Run().save()\n")
    before = fingerprint(script, root)
    path.write_text(run.replace("return 2", "return 3"))
    assert fingerprint(script, root) == before
    path.write_text(run.replace("return 1", "return 3"))
    assert fingerprint(script, root) != before


def test_what_does_nothing_on_a_cpu_is_left_out(root, script):
    (root / "dlbook" / "_float64.py").write_text("def float64_on_cpu(function):\n    return function\n")
    plain = "def h(x):\n    return x\n"
    path = root / "dlbook" / "exact.py"
    path.write_text(f"from dlbook.base import f\n\n{plain}")
    script.write_text("from dlbook.exact import h\n\ndef go():\n    return h(1)\n")
    before, seen = fingerprint(script, root), uses(["from dlbook.exact import h"], root)
    imports = "from dlbook.base import f\nfrom dlbook._float64 import float64_on_cpu\n"
    path.write_text(f"{imports}\n@float64_on_cpu\n{plain}")
    assert fingerprint(script, root) == before and uses(["from dlbook.exact import h"], root) == seen
    path.write_text(f"from dlbook.base import f\n\n@f\n{plain}")
    assert fingerprint(script, root) != before and uses(["from dlbook.exact import h"], root) != seen


@pytest.mark.parametrize("name", definitions.LEFT_OUT)
def test_what_is_left_out_exists(name):
    package = definitions.Package()
    module = package.module("dlbook.training.run")
    methods = [
        f"run.{node.name}.{part.name}"
        for (node, *_) in module.defined.values()
        for part in getattr(node, "body", [])
        if hasattr(part, "name")
    ]
    front, _, last = name.rpartition(".")
    assert name in package.texts or name in methods or last in package.module(front).defined


def test_a_notebook_sees_guards(root):
    path = root / "dlbook" / "base.py"
    before = uses(["from dlbook.base import f"], root)
    path.write_text(PACKAGE["base"].replace("    return RATE", "    assert RATE\n    return RATE"))
    assert uses(["from dlbook.base import f"], root) != before


def test_a_notebook_sees_what_is_fetched_but_not_how(root):
    """A new source of data makes no output older, since a file is compared with its checksum."""
    folder = root / "dlbook" / "data"
    folder.mkdir(exist_ok=True)
    (folder / "store.py").write_text("def fetch(name):\n    return 1\n")
    (folder / "cats.py").write_text("from dlbook.data.store import fetch\n\ndef cats():\n    return fetch('cats')\n")
    before = uses(["from dlbook.data.cats import cats"], root)
    (folder / "store.py").write_text("def fetch(name):\n    return more()\n\ndef more():\n    return 2\n")
    assert uses(["from dlbook.data.cats import cats"], root) == before
    (folder / "cats.py").write_text("from dlbook.data.store import fetch\n\ndef cats():\n    return fetch('dogs')\n")
    assert uses(["from dlbook.data.cats import cats"], root) != before


def test_the_words_of_an_error_do_not_count_unless_it_may_be_caught(root, script):
    def stamp(words, caught):
        catch = "    try:\n        g(x)\n    except ValueError:\n        y = 2\n" if caught else ""
        script.write_text(
            f"def g(x):\n    n = 1\n    raise ValueError({words})\ndef go(x):\n    y = 1\n{catch}    return y\n"
        )
        return fingerprint(script, root)

    assert stamp("f'a {n}'", False) == stamp("f'b {n}'", False)
    assert stamp("f'a {n}'", True) != stamp("f'b {n}'", True)


@pytest.mark.parametrize(
    "text",
    [
        "from dlbook.base import *",
        "from .base import f",
        "from dlbook.base import f\n\ndef f(): ...",
        "import a as b, c as b",
    ],
)
def test_imports_that_leave_a_meaning_open_are_refused(root, text):
    path = root / "dlbook" / "more.py"
    path.write_text(f"{text}\n\ndef go(): ...\n")
    script = root / "script.py"
    script.write_text("from dlbook.more import go\n")
    with pytest.raises(ValueError, match="dlbook.more must import"):
        fingerprint(script, root)


def test_the_modules_of_the_package_do_next_to_nothing_when_they_are_imported():
    package = definitions.Package(script="")
    acting = {name for name in package.texts if name.startswith("dlbook.") and package.acts(name)}
    allowed = {"dlbook.blocks", "dlbook.data.store", "dlbook.data.__main__", "dlbook.practice.serve"}
    assert acting <= allowed  # these make settings, paths and a logger


@pytest.mark.parametrize(
    "call, found",
    [
        ("fetch('emoji-google')", {"emoji-google"}),
        ("fetch(JoinedStr[['emoji-', FormattedValue[designer, -1, ]]])", {"emoji-google", "emoji-twitter"}),
        ("fetch(name)", {"emoji-google", "emoji-twitter", "adult"}),  # it may be any of them
    ],
)
def test_a_computed_name_stands_for_those_that_begin_like_it(tmp_path, call, found):
    (tmp_path / "dlbook" / "data").mkdir(parents=True)
    members = 'members = [{ file = "a", sha256 = "0" }]'
    catalog = "\n".join(f"[{name}]\n{members}" for name in ("emoji-google", "emoji-twitter", "adult"))
    (tmp_path / "dlbook" / "data" / "catalog.toml").write_text(catalog)
    assert {line.split()[0] for line in definitions.checksums([call], tmp_path)} == found
