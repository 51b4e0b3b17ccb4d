"""The registry of the locks: the book passes each, README lists each, and each notices that it looked at nothing."""

from collections import Counter

import pytest

from authoring import locks
from authoring.book import ROOT
from authoring.locks import LOCKS, described, load, main, unseen
from tests.helpers.notebooks import notebook, small_book


@pytest.mark.usefixtures("unchecked")  # as the command runs them
@pytest.mark.parametrize("name", LOCKS)
def test_the_book(name):
    assert load(name).faults(ROOT) == []


@pytest.mark.parametrize("name", [name for name in LOCKS if name not in ("contents", "generated", "openers")])
def test_a_lock_that_found_nothing_is_itself_a_fault(tmp_path, name):
    root = small_book(tmp_path, a=notebook())
    found = load(name).faults(root)
    assert any("the lock found no" in fault and "mend the lock" in fault for fault in found), found


@pytest.mark.parametrize("name", ["contents", "generated", "openers"])
def test_a_lock_on_a_book_without_notebooks_is_itself_a_fault(tmp_path, name):
    root = small_book(tmp_path)
    toc = (root / "_toc.yml").read_text()
    (root / "_toc.yml").write_text(toc.replace("    numbered: true\n", ""))
    assert any("_toc.yml: the lock found no" in fault for fault in load(name).faults(root))


def test_a_notebook_that_was_not_looked_at(tmp_path):
    root = small_book(tmp_path, a=notebook("# A"), b=notebook("# B"))
    assert unseen({"book/a": 1, "book/b": 0}, "links", root) == []
    assert unseen({"book/a": 1}, "links", root) == ["book/b: the lock did not look at it: mend the lock"]
    (fault,) = unseen(Counter({"book/a": 0, "book/b": 0}), "links", root)
    assert fault == "_toc.yml: the lock found no links in its 2 notebooks: mend the lock or the book"


def test_every_module_with_faults_is_registered():
    modules = [path for path in (ROOT / "authoring" / "locks").glob("*.py") if not path.stem.startswith("_")]
    having = [path.stem for path in modules if "\ndef faults(root" in path.read_text(encoding="utf-8")]
    assert sorted(having) == sorted(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_described_by_one_sentence(name):
    first_line = load(name).__doc__.partition("\n")[0]
    assert first_line.endswith(".") and len(first_line) > 20


def test_readme_lists_the_locks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert described() in text, "README.md: put in what `python -m authoring.locks --list` prints"


def test_the_command(tmp_path, capsys, monkeypatch):
    root = small_book(tmp_path, a=notebook("# A", "See {ref}`b` and [C](c.md)."))
    assert main(["links"], root) == 0
    assert capsys.readouterr().out == ""
    assert main(["markdown", "links"], root) == 1
    assert capsys.readouterr().out == "markdown: book/a: write portable Markdown, not a MyST role: got '{ref}`'\n"
    monkeypatch.setattr(locks, "LOCKS", ["links", "markdown"])
    assert main([], root) == 1
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("1. `links`: Each link in a notebook")
    with pytest.raises(SystemExit):
        main(["lnks"], root)
    assert "a lock must be one of links, markdown: got lnks" in capsys.readouterr().err
