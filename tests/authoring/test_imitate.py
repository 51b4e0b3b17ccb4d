"""Which notebooks run as an imitated CPU, and what is recorded of them."""

import json
import subprocess
import types

import pytest

from authoring import imitate
from authoring.machines import TESTED
from tests.helpers.notebooks import code, notebook, small_book


@pytest.fixture
def root(tmp_path):
    return small_book(tmp_path, a=notebook("# A", code("1")), b=notebook("# B", code("2")))


@pytest.fixture
def ran(monkeypatch):
    """What pytest is asked to run; it never runs. Its next exit status is the last of `statuses`."""
    runs = types.SimpleNamespace(notebooks=[], statuses=[], environments=[])

    def run(command, cwd, env):
        runs.environments.append(env)
        runs.notebooks.append([part for part in command if part.endswith(".ipynb")])
        return subprocess.CompletedProcess(command, runs.statuses.pop() if runs.statuses else 0)

    monkeypatch.setattr(imitate.subprocess, "run", run)
    return runs


def test_only_what_changed_runs_again(root, ran, capsys):
    assert imitate.main([], root) == 0 and imitate.main([], root) == 0
    small_book(root, a=notebook("# Other words", code("1")), b=notebook("# B", code("3")))
    assert imitate.main([], root) == 0 and imitate.main(["--all"], root) == 0
    assert ran.notebooks == [
        ["book/a.ipynb", "book/b.ipynb"],
        ["book/b.ipynb"],
        ["book/a.ipynb", "book/b.ipynb"],
    ]
    assert "0 of 2 notebooks run as an imitated CPU" in capsys.readouterr().out
    assert all(TESTED["avx2"].items() <= env.items() for env in ran.environments)
    assert list(json.loads((root / imitate.RECORD).read_text())) == ["book/a.ipynb", "book/b.ipynb"]


def test_another_tag_is_another_comparison(root, ran):
    assert imitate.main([], root) == 0
    small_book(root, a=notebook("# A", code("1", tags=("tolerance-0.1",))), b=notebook("# B", code("2")))
    assert imitate.main([], root) == 0
    assert ran.notebooks[1:] == [["book/a.ipynb"]]


def test_what_fails_is_not_recorded(root, ran):
    ran.statuses = [1]
    assert imitate.main([], root) == 1
    assert not (root / imitate.RECORD).exists()
    assert imitate.main([], root) == 0 and len(ran.notebooks[-1]) == 2


@pytest.mark.parametrize("machine", ["avx2", "sse41", "jitter-3", "jitter-4"])
def test_other_machines(root, ran, machine):
    """They run what is named, or all, and leave no record: those of the default count."""
    assert imitate.main(["--machine", machine, str(root / "book" / "b.ipynb")], root) == 0
    assert imitate.main(["--machine", machine], root) == 0
    assert ran.notebooks == [["book/b.ipynb"], ["book/a.ipynb", "book/b.ipynb"]]
    assert all(TESTED[machine].items() <= env.items() for env in ran.environments)
    assert not (root / imitate.RECORD).exists()


@pytest.mark.parametrize("arguments", [["--machine", "native-1"], ["--machine", "jitter-0"], ["book/a.ipynb"]])
def test_what_is_refused(root, ran, arguments):
    with pytest.raises(SystemExit):
        imitate.main(arguments, root)
    assert not ran.notebooks
