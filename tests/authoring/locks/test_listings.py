"""The listing lock: what it shows, and that it notices every difference."""

import ast

import pytest

from authoring.build import build
from authoring.locks.listings import LONGEST, faults, listing, locate, rewrite
from tests.helpers.notebooks import code, notebook, small_book

MARK = "# Listing: "

MODULE = '''
"""Attention."""

import functools


# The name follows the paper.
# It takes any number of queries.
@functools.cache
def attend(query):
    r"""Average the values: $\\\\exp$.

    Args:
        query: what is asked.
    """
    scores = query * 2  # (*batch, queries)
    text = """not a
    docstring"""
    return scores, text


class Attention:
    """Attend with learned projections.

    More words.
    """

    heads = 2

    def __init__(self, dim):
        """Start.

        Args:
            dim: the width.
        """
        self._dim = dim

    # The width.
    @property
    def dim(self) -> int:
        """The width."""
        return self._dim


constant = 3
'''.lstrip()


@pytest.fixture
def root(tmp_path):
    small_book(tmp_path)
    (tmp_path / "dlbook" / "attention.py").write_text(MODULE)
    return tmp_path


def test_function(root):
    source = listing("dlbook.attention.attend", root)
    assert source.startswith("# The name follows the paper.\n# It takes any number of queries.\n@functools.cache\n")
    assert 'def attend(query):\n    r"""Average the values: $\\\\exp$."""\n    scores' in source
    assert "# (*batch, queries)\n" in source and '"""not a\n    docstring"""' in source
    assert source.endswith("return scores, text")
    ast.parse(source)


def test_class(root):
    source = listing("dlbook.attention.Attention", root)
    assert source.count('"""') == 6 and "Args" not in source and "More words" not in source
    assert '    """Attend with learned projections."""\n\n    heads' in source
    ast.parse(source)


def test_method_is_moved_to_the_left_margin(root):
    source = listing("dlbook.attention.Attention.dim", root)
    assert source == '# The width.\n@property\ndef dim(self) -> int:\n    """The width."""\n    return self._dim'


def test_listing_runs_and_agrees_with_the_module(root):
    names, alone = {}, {}
    exec(MODULE, names)
    exec("import functools\n" + listing("dlbook.attention.attend", root), alone)
    assert alone["attend"](4) == names["attend"](4)


def test_locate_in_a_package(root):
    (root / "dlbook" / "data").mkdir()
    (root / "dlbook" / "data" / "images.py").write_text("def load():\n    pass\n")
    path, node = locate("dlbook.data.images.load", root)
    assert path == root / "dlbook" / "data" / "images.py" and node.name == "load"


@pytest.mark.parametrize("name", ["attention.atend", "nothing.attend", "attention.Attention.no", "attention.constant"])
def test_unknown_name(root, name):
    with pytest.raises(ValueError, match="must mean something that exists"):
        listing(f"dlbook.{name}", root)


def test_docstring_that_begins_on_the_second_line(root):
    (root / "dlbook" / "m.py").write_text('def f():\n    """\n    Late.\n    """\n')
    with pytest.raises(ValueError, match="must begin on its first line: got m.py, line 2"):
        listing("dlbook.m.f", root)


@pytest.mark.parametrize("lines, fits", [(LONGEST, True), (LONGEST + 1, False)])
def test_length(root, lines, fits):
    (root / "dlbook" / "m.py").write_text("def f():\n" + "    x = 1\n" * (lines - 1))
    if fits:
        assert len(listing("dlbook.m.f", root).splitlines()) == lines
    else:
        with pytest.raises(ValueError, match="at most 45 lines: dlbook.m.f has 46: .* or list it shortened"):
            listing("dlbook.m.f", root)


CHECKED = '''
class Dense(nn.Module):
    """Multiply and add.

    More words.
    """

    def __init__(
        self, inputs: int, outputs: int, init: Callable[[Tensor], None] = he
    ) -> None:
        super().__init__()
        sizes = [inputs, outputs]
        if min(sizes) < 1:
            raise ValueError(f"inputs and outputs must be at least 1: got {sizes}")
        check_shape("x", inputs)
        if (count := inputs) < 2:
            raise ValueError(count)
        self.count = count  # is needed later

    def forward(self, a: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch o"]:
        # A comment stays.
        return a
'''
SHORT = '''\
class Dense(nn.Module):
    """Multiply and add."""

    def __init__(
        self, inputs: int, outputs: int, init: Callable[[Tensor], None] = he
    ) -> None:
        super().__init__()
        if (count := inputs) < 2:
            raise ValueError(count)
        self.count = count  # is needed later

    def forward(self, a: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch o"]:
        # A comment stays.
        return a'''


def test_shortened(root):
    (root / "dlbook" / "m.py").write_text(CHECKED)
    assert listing("dlbook.m.Dense", root, short=True) == SHORT
    cell = code("# Listing, shortened: dlbook.m.Dense\nold")
    assert rewrite(notebook(cell), root) == [] and cell.source == f"# Listing, shortened: dlbook.m.Dense\n{SHORT}"


def test_shortened_leaves_out_what_is_for_devices(root):
    decorators = "@functools.cache\n@float64_on_cpu\n"
    (root / "dlbook" / "m.py").write_text(f"{decorators}def f(x):\n    return x\n")
    assert listing("dlbook.m.f", root, short=True) == "@functools.cache\ndef f(x):\n    return x"
    assert listing("dlbook.m.f", root) == f"{decorators}def f(x):\n    return x"


def test_rewrite(root):
    listed = [code(MARK + f"dlbook.{name}\nold") for name in ("attention.attend", "nothing.f")]
    nb = notebook("text", listed[0], code("x = 1"), listed[1])
    faults = rewrite(nb, root)
    assert nb.cells[1].source == MARK + "dlbook.attention.attend\n" + listing("dlbook.attention.attend", root)
    assert nb.cells[2].source == "x = 1" and nb.cells[3].source.endswith("\nold")
    assert faults == ["a name must mean something that exists: no module found for 'dlbook.nothing.f'"]


def test_planted_differences(root):
    cell = code(MARK + "dlbook.attention.attend\n" + listing("dlbook.attention.attend", root))
    path = small_book(root, a=notebook("# A", code("import functools"), cell)) / "book" / "a.ipynb"
    assert build(path, root) == "executed" and build(path, root, check=True) == "up to date"
    built = path.read_text()
    for old, new in [
        ("y * 2", "y * 3"),
        ("# (*batch", "# (batch"),
        ("return scores", "return  scores"),
        ("@functools", "#"),
    ]:
        assert old in cell.source
        path.write_text(built.replace(old, new, 1))
        with pytest.raises(ValueError, match="generated cells or its layout are out of date: run `make notebooks`"):
            build(path, root, check=True)
    path.write_text(built)
    (root / "dlbook" / "attention.py").write_text(MODULE.replace("query * 2", "query * 3"))
    with pytest.raises(ValueError, match="its outputs are older than its code"):
        build(path, root, check=True)


# --- the lock ---------------------------------------------------------------------------------------------------------


def listed(name, root):
    return code(f"{MARK}dlbook.attention.{name}\n{listing(f'dlbook.attention.{name}', root)}")


def test_a_book_whose_listings_are_right(root):
    small_book(root, a=notebook(listed("attend", root)), c=notebook(listed("Attention.dim", root)))
    assert faults(root) == []


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("query * 2", "query * 3", "book/a: the listing of dlbook.attention.attend differs from the package: run"),
        ("attention.attend", "attention.gone", "book/a: a name must mean something that exists: no 'gone'"),
        (
            "attention.attend",
            "attention.Attention.dim",
            "book/a, book/c: dlbook.attention.Attention.dim must be listed",
        ),
        (MARK, "# Not a listing: ", "book/a: must list something of the package"),
    ],
)
def test_planted_faults(root, old, new, fault):
    first = listed("attend", root)
    first.source = first.source.replace(old, new)
    small_book(root, a=notebook(first), c=notebook(listed("Attention.dim", root)))
    assert any(line.startswith(fault) for line in faults(root)), faults(root)
