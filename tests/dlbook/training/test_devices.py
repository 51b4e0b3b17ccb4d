"""Devices, who is watching, and several processes under torchrun against one process."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from dlbook.training import devices
from dlbook.training.devices import (
    _interactive,
    all_gather,
    destroy,
    device,
    device_of,
    distribute,
    rank_and_world_size,
    scale_loss,
)
from tests.dlbook.training import train_together
from tests.helpers.torchrun import Launcher


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in ("DLBOOK_DEVICE", "TQDM_DISABLE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("gpus", "mps", "asked", "rank", "chosen"),
    [
        (0, False, None, None, "cpu"),
        (0, False, "", None, "cpu"),
        (0, False, "cpu", None, "cpu"),
        (0, True, None, None, "mps"),
        (0, True, "cpu", None, "cpu"),
        (2, True, None, None, "cuda:0"),
        (2, False, "cuda", None, "cuda:0"),
        (2, False, "cuda:1", None, "cuda:1"),
        (2, False, None, "1", "cuda:1"),
        (2, False, "cuda:0", "1", "cuda:0"),
        (2, False, "cpu", "1", "cpu"),
    ],
)
def test_device(monkeypatch, gpus, mps, asked, rank, chosen):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    for name, value in (("DLBOOK_DEVICE", asked), ("LOCAL_RANK", rank)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert str(device()) == chosen


@pytest.mark.parametrize("name", ["gpu", "cuda:2", "mps", "meta", "CPU"])
def test_device_refuses(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("DLBOOK_DEVICE", name)
    message = rf"DLBOOK_DEVICE must name a device of this machine \(cuda, cuda:0, cuda:1, cpu\): got '{name}'"
    with pytest.raises(ValueError, match=message):
        device()


def test_interactive(monkeypatch):
    assert not _interactive()  # pytest's stderr is neither a terminal nor a notebook
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert _interactive()
    monkeypatch.setattr(devices, "rank_and_world_size", lambda: (1, 2))
    assert not _interactive()  # the first process alone shows progress


@pytest.mark.parametrize(("name", "value"), [(None, None), ("TQDM_DISABLE", "1"), ("DLBOOK_DEVICE", "cpu")])
def test_interactive_in_a_notebook(monkeypatch, name, value):
    stream = type("OutStream", (), {"__module__": "ipykernel.iostream", "isatty": lambda _: False})
    monkeypatch.setattr("sys.stderr", stream())
    if name is not None:
        monkeypatch.setenv(name, value)
    assert _interactive() == (name is None)


def test_device_of():
    layer = nn.Linear(2, 1, device="meta")
    assert str(device_of(layer)) == str(device_of(nn.BatchNorm1d(2, affine=False, device="meta"))) == "meta"
    assert str(device_of(nn.Identity())) == "cpu"


def test_one_process_stands_alone():
    model, loss = nn.Linear(2, 1), torch.tensor(2.0)
    assert rank_and_world_size() == (0, 1)
    assert distribute(model) is model
    assert scale_loss(loss, 3) is loss
    assert all_gather("item") == ["item"]
    destroy()  # does nothing
    assert rank_and_world_size() == (0, 1)


def test_a_group_of_one_is_joined_and_left(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    model = nn.Linear(2, 1)
    try:
        assert distribute(model) is model
        assert torch.distributed.is_initialized() and rank_and_world_size() == (0, 1)
    finally:
        destroy()
    assert not torch.distributed.is_initialized()


def test_scale_loss_gives_the_gradient_of_the_whole_batch(monkeypatch):
    """What DistributedDataParallel does, an average over processes, done here by hand."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x, y = train_together.data(5)
    cross_entropy(model(x), y).backward()
    expected = model.weight.grad.clone()
    model.zero_grad()
    monkeypatch.setattr(devices, "rank_and_world_size", lambda: (0, 2))
    monkeypatch.setattr(devices, "all_reduce_sum", lambda values, device: torch.full_like(values, 5))
    for rank in range(2):
        scale_loss(cross_entropy(model(x[rank::2]), y[rank::2]), len(y[rank::2])).backward()
    assert_close(model.weight.grad / 2, expected, rtol=0, atol=1e-15)


def test_two_processes_train_as_one(tmp_path):
    with Launcher() as launcher:
        done = launcher.start(train_together.__file__, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["world"] == second["world"] == 2
    alone = train_together.train()
    for results in (first, second):
        for name in ("weights", "steps", "loss", "validation"):
            assert_close(results[name], alone[name], rtol=0, atol=1e-12)
        assert results["error"] == "every batch must hold an example for each of 2 processes: got one of 1"
        assert_close(results["resumed"], results["straight"], rtol=0, atol=0)
    assert_close(first["resumed"], second["resumed"], rtol=0, atol=0)
    assert (first["written"], second["written"]) == (9, 0)
    assert not list(Path(tmp_path).glob("*.part"))
