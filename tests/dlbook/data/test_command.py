"""The command `python -m dlbook.data`: its lines, its status, and surroundings that are not as usual."""

import io
import os
import subprocess
import sys

import pytest

from dlbook.data import __main__ as command
from dlbook.data import store
from tests.dlbook.data.toy import FILES, contents, nowhere


def test_the_command_tells_its_progress(catalog, server, capsys):
    catalog({"url": f"{nowhere()}/{{file}}"}, {"url": f"{server.url}/{{file}}"})
    assert command.main(["toy"]) == 0
    assert command.main([]) == 0  # all there are
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy, 0.0 MB"
    assert lines[2].startswith("    failed: ")
    assert lines[3:] == [
        f"  from {server.url}/{{file}}",
        f"  verified: {store.folder_of('toy')}",
        "toy, 0.0 MB",
        "  from the cache",
        f"  verified: {store.folder_of('toy')}",
    ]


def test_the_command_ends_with_status_1_and_one_error(catalog, capsys):
    catalog({"url": f"{nowhere()}/{{file}}"})
    assert command.main(["toy"]) == 1
    assert capsys.readouterr().err.startswith("error: could not get toy; what was tried:\n")
    assert command.main(["tool"]) == 1
    assert capsys.readouterr().err == "error: name must be one of toy: got 'tool'\n"


def test_the_command_runs_as_a_module_without_torch():
    check = (
        "import sys, runpy; sys.argv = ['', 'unheard-of']\ntry: runpy.run_module('dlbook.data', run_name='__main__')\n"
    )
    check += "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout == "1 False\n", done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "shift_jis"])
def test_an_output_that_cannot_encode_the_path(catalog, server, tmp_path, monkeypatch, encoding):
    catalog({"url": f"{server.url}/{{file}}"})
    monkeypatch.setenv("DLBOOK_DATA", str(tmp_path / "книга\U0001f4da"))
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding))
    assert command.main(["toy"]) == 0
    assert contents(store.folder_of("toy")) == FILES
    assert b"verified: " in output.getvalue() and b"\\U0001f4da" in output.getvalue()


class Unwritable(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("output", [None, Unwritable()])
def test_an_output_that_takes_nothing(catalog, server, monkeypatch, output):
    catalog({"url": f"{server.url}/{{file}}"})
    monkeypatch.setattr(sys, "stdout", output)
    assert command.main(["toy"]) == 0
    assert contents(store.folder_of("toy")) == FILES


def run(**environment):
    """Run the command in a process of its own; return its status and what it prints."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "DLBOOK_DATA")}
    arguments = [sys.executable, "-m", "dlbook.data", "spambase"]
    done = subprocess.run(arguments, capture_output=True, env=kept | environment, cwd=store.CATALOG.parents[2])
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.skipif(os.name == "nt", reason="needs Unix")
@pytest.mark.parametrize("chosen", ["/dev/null", "/dev/null/below", "~nobody-of-that-name/data", "/proc/none"])
def test_a_folder_that_cannot_be_gives_one_line(chosen):
    status, _, errors = run(DLBOOK_DATA=chosen)
    assert status == 1
    assert errors.startswith("error: ") and errors.count("\n") == 1 and "set DLBOOK_DATA" in errors


@pytest.mark.skipif(os.name == "nt", reason="needs Unix")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_cache_whose_path_the_output_cannot_encode(tmp_path, encoding):
    (tmp_path / "книга").symlink_to(store.fetch("spambase").parent)
    status, output, errors = run(DLBOOK_DATA=str(tmp_path / "книга"), PYTHONIOENCODING=encoding)
    assert (status, errors) == (0, "")
    assert b"verified: " in output
