"""Plain Python in cells."""

import pytest

from authoring.locks.python import faults, impure
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "source, fault",
    [
        ("x = 1\nfrom math import pi", None),
        ("%timeit x", "must be plain Python, without magics: invalid syntax, line 1"),
        ("x = 1\n!ls", "must be plain Python, without magics: invalid syntax, line 2"),
        ("def f():\n    pass\nfrom math import *", "must name what it imports, not *"),
        ("get_ipython().run_line_magic('time', '')", "must not use magics: got get_ipython"),
    ],
)
def test_cells(source, fault):
    assert impure(source) == ([fault] if fault else [])


def test_faults_name_the_cell(tmp_path):
    root = small_book(tmp_path, a=notebook("# A", code("%pip install x", tags=("setup",)), code("%pip install y")))
    assert faults(root) == [
        "book/a, the cell '%pip install y': must be plain Python, without magics: invalid syntax, line 1"
    ]
