"""The set-up cell: what Colab installs, and where the cell stands."""

import ast
import sys
import types

import pytest

from authoring.setup_cell import reference, rewrite
from tests.helpers.notebooks import code, notebook, small_book


@pytest.mark.parametrize(
    "version, changes, wanted",
    [
        ("1.2.0", "## 1.2.0 (2026-11-23)\n", "v1.2.0"),
        ("1.2.0", "# Changes\n\n## [1.2.0] - 2026-11-23\n", "v1.2.0"),
        ("1.2.0", "## 1.2.0 (unreleased)\n", "main"),
        ("1.2.0", "## 1.2.0.1 2026-11-23\n## 11.2.0 2026-11-23\n", "main"),
        ("1.2.0", "## 1.2.0\nmade on 2026-11-23\n", "main"),
        ("1.2.0", None, "main"),
        ("1.2.0rc1", "## 1.2.0rc1 2026-11-23\n", "main"),
        ("1.2.0.dev0", "## 1.2.0.dev0 2026-11-23\n", "main"),
    ],
)
def test_reference(tmp_path, version, changes, wanted):
    root = small_book(tmp_path, version)
    if changes is not None:
        (root / "CHANGELOG.md").write_text(changes)
    assert reference(root) == wanted


def test_cell(tmp_path):
    root = small_book(tmp_path)
    nb = notebook("# Title", "text", code("x = 1"))
    rewrite(nb, root)
    cell = nb.cells[2]
    assert '%pip install --quiet "dlbook @ git+https://example.org/o/r@main"' in cell.source
    assert cell.source.startswith("# @title Set-up: ") and cell.metadata.tags == ["setup", "remove-cell"]
    assert cell.metadata.cellView == "form" and [other.source for other in nb.cells[3:]] == ["x = 1"]
    nb.metadata["dlbook"] = {"extras": ["text", "fairness"]}
    nb.cells.append(nb.cells.pop(2))
    nb.cells[-1].execution_count = 1
    rewrite(nb, root)
    assert len(nb.cells) == 4 and '"dlbook[text,fairness] @' in nb.cells[2].source and nb.cells[2].execution_count == 1


def test_notebook_without_code(tmp_path):
    nb = notebook("# Title")
    rewrite(nb, small_book(tmp_path))
    assert [cell.cell_type for cell in nb.cells] == ["markdown", "code"]


@pytest.mark.parametrize("in_colab", [False, True])
def test_installs_in_colab_only(tmp_path, monkeypatch, in_colab):
    nb = notebook("# Title")
    rewrite(nb, small_book(tmp_path))
    installed = []
    source = nb.cells[1].source.replace("%pip install", "run('").rstrip('"') + "\"')"
    ast.parse(source)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(source, {"run": installed.append})
    assert len(installed) == in_colab
