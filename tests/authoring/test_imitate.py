"""Which notebooks run as an imitated CPU, and what is recorded of them."""

import json
import subprocess
import types

import pytest

from authoring import imitate
from authoring.locks import outputs as lock
from authoring.machines import AVX2, TESTED
from tests.helpers.notebooks import code, notebook, small_book, write


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
    assert all(AVX2.items() <= env.items() and "MKL_CBWR" not in env for env in ran.environments)
    assert list(json.loads((root / imitate.RECORD).read_text())) == ["book/a.ipynb", "book/b.ipynb"]


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


def test_the_default_imitates_more_once_all_was_measured(root, ran, monkeypatch):
    monkeypatch.setattr(lock, "ALL_MACHINES", True)
    assert imitate.main([], root) == 0
    assert TESTED["avx2"].items() <= ran.environments[0].items()


@pytest.mark.parametrize("arguments", [["--machine", "native-1"], ["--machine", "jitter-0"], ["book/a.ipynb"]])
def test_what_is_refused(root, ran, arguments):
    with pytest.raises(SystemExit):
        imitate.main(arguments, root)
    assert not ran.notebooks


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.fixture
def compared(monkeypatch):
    """Which notebook was compared on which machine, in order; b fails in cells 3 and 12 on sse41."""
    calls = []

    def run(command, cwd, env, capture_output, text):
        machine = next(
            name
            for name, variables in TESTED.items()
            if variables.items() <= env.items()
            and all(env.get(k) == variables.get(k) for k in ("ATEN_CPU_CAPABILITY", "DLBOOK_JITTER"))
        )
        calls.append((command[-1], machine))
        if calls[-1] == ("book/b.ipynb", "sse41"):
            lines = "FAILED book/b.ipynb::Cell 12\nPASSED x\nFAILED book/b.ipynb::Cell 3 - why\n"
            return subprocess.CompletedProcess(command, 1, stdout=lines)
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(imitate.subprocess, "run", run)
    return calls


TABLE = """\
| Notebook | native-1 | native-2 | avx2 | sse41 | jitter-3 | jitter-4 |
| --- | --- | --- | --- | --- | --- | --- |
| a.ipynb |  |  |  |  |  |  |
| b.ipynb |  |  |  | 3 12 |  |  |
| **2 notebooks, failed** | 0 | 0 | 0 | 1 | 0 | 0 |
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_table(root, compared, jobs, capsys):
    assert imitate.main(["--table", "--jobs", jobs], root) == 1
    assert (root / imitate.TABLE).read_text() == TABLE and TABLE in capsys.readouterr().out
    assert len(compared) == len(set(compared)) == 12
    assert {machine for _, machine in compared[-2:]} == {"native-2"}  # alone, after all others


def test_only_what_is_missing_runs_again(root, compared):
    assert imitate.main(["--table", str(root / "book" / "a.ipynb")], root) == 0
    assert len(compared) == 6 and {name for name, _ in compared} == {"book/a.ipynb"}
    assert imitate.main(["--table"], root) == 1 and len(compared) == 12
    write(notebook("# A", code("1", tags=("tolerance-2",))), root / "book" / "a.ipynb")
    assert imitate.main(["--table"], root) == 1 and len(compared) == 18  # another tag may fail
    assert {name for name, _ in compared[12:]} == {"book/a.ipynb"}


def test_what_could_not_run_fails_as_a_whole(root, monkeypatch):
    broken = subprocess.CompletedProcess([], 2, stdout="ERROR book/a.ipynb\n")
    monkeypatch.setattr(imitate.subprocess, "run", lambda *_, **__: broken)
    assert imitate.failures("book/a.ipynb", "avx2", root) == "all"


def test_the_table_shows_what_is_missing():
    text = imitate.table({"book/a.ipynb avx2": {"state": "now", "failed": "4"}}, {"book/a.ipynb": "now"})
    assert "| a.ipynb | – | – | 4 | – | – | – |" in text
