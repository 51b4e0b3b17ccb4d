"""The script that readers run: alone, in two processes, and with one of them killed."""

import pytest
import torch
from torch.testing import assert_close

from tests.examples import train_small
from tests.helpers.torchrun import Launcher

OPTIONS = ["--epochs", "2", "--batch-size", "8", "--every", "5", "--checkpoint"]  # 13 steps an epoch
NEVER = 0  # a time at which no process is killed
BOUND = 60  # seconds after which a job of which a process was killed must have ended


@pytest.fixture(scope="module")
def start():
    """Run the script in two processes, which start anew where one is killed; return what came of it."""
    with Launcher() as launcher:
        yield lambda file, kill_at=NEVER, *more: launcher.start(
            train_small.__file__, kill_at, *OPTIONS, file, *more, anew=kill_at != NEVER
        )


def load(file):
    return torch.load(file, weights_only=True)


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    """What two processes print, and the checkpoint that they leave."""
    file = tmp_path_factory.mktemp("undisturbed") / "run.pt"
    done = start(file)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), load(file)


def test_one_process_prints_for_both(undisturbed):
    lines, _ = undisturbed
    assert [line.partition(" ")[0] for line in lines] == ["validation", "validation", "processes:"]
    assert lines[-1].startswith("processes: 2, training loss 0.")


def test_one_process_learns_the_same(undisturbed, tmp_path, capsys):
    file = tmp_path / "run.pt"
    train_small.main(NEVER, *OPTIONS, str(file))
    lines, saved = undisturbed
    assert_close(dict(load(file)["model"]), dict(saved["model"]), rtol=0, atol=1e-5)
    assert_close(load(file)["history"]["steps"], saved["history"]["steps"], rtol=0, atol=1e-5)
    assert capsys.readouterr().out.splitlines()[-1] == lines[-1].replace("2", "1", 1)


@pytest.mark.parametrize("more", [[], ["--shard"]], ids=["data parallel", "sharded"])
def test_a_killed_process_ends_the_job_and_a_new_start_goes_on(start, undisturbed, tmp_path, more):
    """The second process is killed in step 7 of the second epoch; the checkpoint is of step 5."""
    file = tmp_path / "run.pt"
    killed = start(file, 13 + 1 + 7, *more)
    assert killed.seconds < BOUND and killed.returncode == 1
    assert "Signal 9 (SIGKILL) received by PID" in killed.stderr and "rank      : 1" in killed.stderr
    assert len(killed.stdout.splitlines()) == 1  # one epoch's validation
    assert load(file)["position"][:2] == [1, 5]
    again = start(file, NEVER, *more)
    assert again.returncode == 0, again.stderr
    lines, saved = undisturbed
    assert again.stdout.splitlines() == lines[1:]
    assert_close(dict(load(file)["model"]), dict(saved["model"]), rtol=0, atol=0)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: must be a whole number from 1: got 0"),
        (["--batch-size", "many"], "argument --batch-size: must be a whole number from 1: got many"),
        (["--lr", "fast"], "argument --lr: invalid float value: 'fast'"),
        (["--network", "vit"], "argument --network: invalid choice: 'vit'"),
        (["--worlds", "2"], "unrecognized arguments: --worlds 2"),
    ],
)
def test_options_that_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        train_small.main(NEVER, *arguments)
    assert message in capsys.readouterr().err


def test_help_explains_each_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        train_small.main(NEVER, "--help")
    text = capsys.readouterr().out
    assert text.count("--") == 2 * 9 - 1  # each in the usage, and with its explanation; --help as -h
    assert "Train a network on Fashion-MNIST" in text


def test_the_other_network_trains(tmp_path, capsys):
    train_small.main(NEVER, "--network", "resnet", "--epochs", "1", "--batch-size", "50")
    assert capsys.readouterr().out.splitlines()[-1].startswith("processes: 1, training loss")
