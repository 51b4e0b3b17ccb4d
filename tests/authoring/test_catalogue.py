"""A catalogue of planted faults: each harms a copy of the book in one place, and the lock that it names must notice.

Before the fault, the same lock has nothing to say of the same pages.
"""

import ast
import functools
import json
import os
import shutil
from collections import Counter

import pytest

from authoring.book import ROOT
from authoring.definitions import fingerprint
from authoring.locks import LOCKS, described, load
from benchmarks.store import checksum
from tests.helpers import planted_in_code, planted_in_runs, planted_in_text
from tests.helpers.planted import FAULTS, Book, copy, put, restore, shorten

FEWEST = 40
FILES = [planted_in_text, planted_in_code]  # which fill FAULTS
ALL = [*FAULTS, *planted_in_runs.FORMULAS, *planted_in_runs.SENTENCES, *planted_in_runs.OUTPUTS]
# Locks that look at one page after the other: so that a case is cheap, only the harmed pages stay in _toc.yml.
PAGEWISE = {
    "markdown",
    "python",
    "links",
    "stored",
    "exercises",
    "listings",
    "generated",
    "outputs",
    "numbers",
    "half_widths",
    "claims",
}
READERS = {"equations", "claims", "reference_tests", "listings"}  # read much Python, and change no tree
PYTHON = functools.cache(ast.parse)
A_CHAPTER = "book/algorithms/forward"  # stays beside a harmed page that is no notebook


def readme(root):
    """Whether README.md holds the list of locks."""
    text = (root / "README.md").read_text(encoding="utf-8")
    return [] if described() in text else ["README.md: put in what `python -m authoring.locks --list` prints"]


def results(root):
    """Whether results are those of the code as it stands; of one script, since each takes a while."""
    rows = json.loads((root / "benchmarks" / "results" / "attention.json").read_text(encoding="utf-8"))
    made = rows.pop("made")
    if made["rows"] != checksum(rows):
        return ["attention.json was changed by hand"]
    fresh = made["made_from"] == fingerprint(root / "benchmarks" / "attention.py", root)
    return [] if fresh else [f"attention.json is stale: run `{made['command']}`"]


OTHERS = {"README": readme, "results": results}  # tests that are no locks: test_locks.py, test_store.py


def found(lock, root):
    if lock in OTHERS:
        return OTHERS[lock](root)
    with pytest.MonkeyPatch.context() as patch:
        if lock in READERS:  # each text is parsed once, since the copies differ in one
            patch.setattr(ast, "parse", PYTHON)
        return load(lock).faults(root)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A copy of the book, which nobody changes."""
    return copy(ROOT, tmp_path_factory.mktemp("whole") / "book", shutil.copy)


@pytest.fixture(scope="session")
def harmed(whole, tmp_path_factory):
    """A copy of the copy, to be harmed."""
    return copy(whole, tmp_path_factory.mktemp("harmed") / "book")


@pytest.fixture
def tree(whole, harmed):
    """The copy to be harmed, which is whole again afterwards."""
    yield harmed
    restore(whole, harmed)


def leave(root, pages):
    """Take all other pages out of a copy."""
    shorten(root, pages)
    record = json.loads((root / "book" / "spread.json").read_text(encoding="utf-8"))
    kept = {name: row for name, row in record.items() if name.removesuffix(".ipynb") in pages}
    put(root / "book" / "spread.json", json.dumps(kept))


@pytest.fixture(scope="session")
def unharmed(whole, tmp_path_factory):
    """Return what a lock finds in an unharmed copy, of which only some pages are left."""
    known = {}

    def look(lock, pages):
        if (lock, pages) not in known:
            root = whole
            if pages:
                root = copy(whole, tmp_path_factory.mktemp("unharmed") / "book")
                leave(root, pages)
            known[lock, pages] = found(lock, root)
        return known[lock, pages]

    return look


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.lock}: {fault.kind}")
def test_the_lock_finds_what_was_planted(fault, tree, unharmed):
    if fault.lock not in [*LOCKS, *OTHERS]:
        pytest.skip(f"{fault.lock} is not registered")
    book = Book(tree)
    says = fault.plant(book)
    pages = tuple(dict.fromkeys(book.pages)) if fault.lock in PAGEWISE else ()
    if pages:
        pages = pages if any((tree / f"{page}.ipynb").is_file() for page in pages) else (*pages, A_CHAPTER)
        leave(tree, pages)
    assert unharmed(fault.lock, pages) == []
    lines = found(fault.lock, tree)
    assert any(all(words in line for words in says) for line in lines), (says, lines)


def test_every_lock_has_planted_faults():
    planted = Counter(fault.lock for fault in ALL)
    assert [lock for lock in LOCKS if not planted[lock]] == []


def test_the_catalogue_is_large_and_has_no_kind_twice():
    kinds = Counter((fault.lock, fault.kind) for fault in ALL)
    assert len(kinds) >= FEWEST
    assert max(kinds.values()) == 1


def test_readme_says_how_many_kinds_there_are():
    assert f"plants {len(ALL)} kinds of faults" in described()
    assert described() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_kind_without_a_place_is_an_error(tree):
    with pytest.raises(LookupError, match="mend the catalogue: found no place to plant this in"):
        Book(tree).text("no such text", "")


def test_a_copy_is_restored(tmp_path):
    source, root = tmp_path / "source", tmp_path / "copy"
    (source / "a").mkdir(parents=True)
    for name in ("kept", "changed", "gone"):
        put(source / "a" / name, name)
    shutil.copytree(source, root, copy_function=os.link)
    put(root / "a" / "changed", "otherwise")
    (root / "a" / "gone").unlink()
    put(root / "a" / "new", "new")
    (root / "more").mkdir()
    put(root / "more" / "new", "new")
    restore(source, root)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*")} == {"a", "a/kept", "a/changed", "a/gone"}
    assert all((root / "a" / name).samefile(source / "a" / name) for name in ("kept", "changed", "gone"))
