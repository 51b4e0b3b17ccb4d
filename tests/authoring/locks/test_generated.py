"""What `make notebooks` would change is found without executing anything."""

from authoring.build import build
from authoring.locks.generated import faults
from tests.helpers.notebooks import code, notebook, small_book


def test_a_notebook_that_was_built_and_then_changed(tmp_path):
    root = small_book(tmp_path, a=notebook("# A", code("print(1)")), c=notebook("# C", code("print(1,)  ; %")))
    path = root / "book" / "a.ipynb"
    assert build(path, root) == "executed"
    first, *others = faults(root)
    assert first.startswith("book/c: ") and not others
    path.write_text(path.read_text().replace("# A", "# A title\\n"))
    assert "book/a: its generated cells or its layout are out of date: run `make notebooks`" in faults(root)
    path.write_text(path.read_text().replace("print(1)", "print(2)"))
    assert faults(root)[0].startswith("book/a: its outputs are older than its code")
