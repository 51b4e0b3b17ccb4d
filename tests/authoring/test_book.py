"""The table of contents: section numbers as the site shows them, and files that must exist."""

import pytest

from authoring.book import ROOT, dumps, markdown, notebooks, pages, read, tags, take, write
from tests.helpers.notebooks import code, notebook, small_book


def numbers(root):
    return {page: number for page, (_, number) in pages(root).items()}


def test_numbers_and_notebooks(tmp_path):
    root = small_book(tmp_path, a=notebook("# A"), z=notebook("# Z"))
    assert numbers(root) == {"book/intro": "", "book/a": "1", "book/b": "1.1", "book/c": "2", "book/z": ""}
    assert notebooks(root) == [root / "book" / "a.ipynb", root / "book" / "z.ipynb"]


def test_a_second_numbered_part_counts_on(tmp_path):
    root = small_book(tmp_path)
    toc = (root / "_toc.yml").read_text().replace("  - caption: Appendix\n", "  - caption: More\n    numbered: true\n")
    (root / "_toc.yml").write_text(toc)
    assert numbers(root)["book/z"] == "3"


def test_a_missing_file_is_named(tmp_path):
    root = small_book(tmp_path)
    (root / "book" / "b.md").unlink()
    with pytest.raises(ValueError, match=r"_toc.yml must name files that exist: got book/b, found no .ipynb or .md"):
        notebooks(root)


def test_the_real_book_has_pages():
    assert "book/algorithms/forward" in numbers(ROOT)


def test_write_and_read(tmp_path):
    nb = notebook("text", code("1", tags=("sample",)))
    write(nb, tmp_path / "a.ipynb")
    assert (tmp_path / "a.ipynb").read_text() == dumps(nb) and dumps(nb).endswith("}\n")
    assert dumps(read(tmp_path / "a.ipynb")) == dumps(nb)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_the_text_of_a_page(tmp_path):
    write(notebook("# A", code("1"), "Text."), tmp_path / "a.ipynb")
    (tmp_path / "b.md").write_text("# B\n")
    assert markdown(tmp_path / "a.ipynb") == "# A\n\nText." and markdown(tmp_path / "b.md") == "# B\n"


def test_an_invalid_notebook_leaves_the_file_alone(tmp_path):
    path = tmp_path / "a.ipynb"
    write(notebook("text"), path)
    before = path.read_bytes()
    nb = read(path)
    nb.cells[0].cell_type = "prose"
    with pytest.raises(Exception, match="prose"):
        write(nb, path)
    assert path.read_bytes() == before


def test_take():
    nb = notebook("text", code("1", tags=("setup",)), code("2"))
    assert take(nb, "setup").source == "1" and [cell.source for cell in nb.cells] == ["text", "2"]
    assert take(nb, "setup").source == "" and tags(nb.cells[0]) == []
