"""Numbers in the text beside those of the run: an error on the reference device, a table anywhere else."""

import subprocess
import sys

import pytest

from dlbook._reference import compare

RIGHT = ("the loss falls to 0.41", 0.41, 0.4149, 0.005)
WRONG = ("reaches 88.1 %", 88.1, 86.0, 1.0)


def test_on_the_reference_device(monkeypatch, capsys):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    compare(RIGHT, RIGHT)
    compare(RIGHT)
    out = capsys.readouterr().out
    assert out == "2 numbers in the text agree with this run.\n1 number in the text agrees with this run.\n"
    other = ("NaN", 1.0, float("nan"), 1.0)
    with pytest.raises(AssertionError) as raised:
        compare(RIGHT, WRONG, other)
    assert "“reaches 88.1 %”: in the text 88.1 ± 1, in this run 86" in str(raised.value)
    assert "NaN" in str(raised.value) and "loss" not in str(raised.value)


@pytest.mark.parametrize("value, right", [(0.125, True), (0.135, True), (0.1351, False), (0.1249, False)])
def test_the_limit_itself_is_within_it(monkeypatch, value, right):
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    row = ("rounded", 0.13, value, 0.005)
    if right:
        return compare(row)
    with pytest.raises(AssertionError):
        compare(row)


@pytest.mark.parametrize("device", [None, "cuda"])
def test_on_another_device_it_never_raises(monkeypatch, capsys, device):
    monkeypatch.delenv("DLBOOK_DEVICE", raising=False)
    if device:
        monkeypatch.setenv("DLBOOK_DEVICE", device)
    compare(RIGHT, WRONG)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["in", "the", "text", "|", "in", "your", "run", "|"]
    assert lines[1].split("|")[1].strip() == "0.4149" and not lines[1].endswith("(differs)")
    assert lines[2].split("|")[0].strip() == "88.1" and lines[2].endswith("reaches 88.1 %  (differs)")


def test_it_imports_nothing():
    code = "import sys, dlbook._reference; print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
