"""Checkpoints: a run that was interrupted, even killed, ends bitwise as one that was not."""

import errno
import multiprocessing
import os
import random
import signal
import time
from itertools import count

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR
from torch.testing import assert_close

from dlbook.training.batches import Batches
from dlbook.training.checkpoint import FORMAT, read, write
from dlbook.training.fit import fit
from dlbook.training.run import _number_of_batches
from tests.dlbook.training.train_killed import EPOCHS, STEPS, prepare, train, train_and_die


def assert_same(one, other):
    assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def interrupted(checkpoint, every, kind, stops):
    """Train with interruptions after some steps, each time beginning with other weights and random numbers."""
    for attempt, stop in enumerate([*stops, None]):
        calls = count(1)

        def loss(scores, target, calls=calls, stop=stop):
            if next(calls) == stop:
                raise InterruptedError
            return cross_entropy(scores, target)

        try:
            return train(checkpoint, every, kind, seed=attempt, loss=loss)
        except InterruptedError:
            pass
        if not checkpoint.exists():  # stopped before the first: begins anew, which is no matter of fit's
            stops.clear()
            return interrupted(checkpoint, every, kind, stops)
    raise AssertionError


@pytest.mark.parametrize("kind", ["Batches", "DataLoader", "DataLoader with a generator"])
@given(data=st.data())
@settings(max_examples=8)
def test_resumes_bitwise(tmp_path_factory, kind, data):
    every = data.draw(st.sampled_from([None, 1, 2, 3, STEPS, STEPS + 1]))
    stops = data.draw(st.lists(st.integers(1, STEPS * EPOCHS), max_size=3))
    checkpoint = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    assert_same(interrupted(checkpoint, every, kind, stops), train(kind=kind))
    assert not checkpoint.with_name("checkpoint.pt.part").exists()


@pytest.fixture(scope="module")
def processes():
    """Begin processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dlbook.training.fit", "torch._dynamo"])  # which the first optimizer imports
    return context


def test_resumes_bitwise_after_kill_at_chosen_moments(tmp_path, processes):
    checkpoint, result = tmp_path / "checkpoint.pt", tmp_path / "result.pt"
    for moment, times in [
        ("written", 2),  # at the second checkpoint, so that there is one to go on from
        ("computing", 2),
        ("replaced", 1),
        ("half written", 1),
        ("computing", 3),
        ("written", 1),
        ("replaced", 2),
        ("half written", 2),
    ]:
        process = processes.Process(target=train_and_die, args=(checkpoint, result, moment, times))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL and not result.exists()
        assert read(checkpoint)["position"][:2] != [EPOCHS, 0]
    process = processes.Process(target=train_and_die, args=(checkpoint, result, None, 0))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert_same(torch.load(result), train(seed=2))  # the first process's seed: later ones change nothing


def test_resumes_bitwise_after_kill_at_any_moment(tmp_path, processes):
    checkpoint, result = tmp_path / "checkpoint.pt", tmp_path / "result.pt"
    draw, kills = random.Random(0), 0

    def written():
        return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0

    while not result.exists():
        before = written()
        process = processes.Process(target=train_and_die, args=(checkpoint, result, "any", 5))
        process.start()
        while process.is_alive() and written() == before:  # until it is training
            time.sleep(0.0005)
        process.join(draw.uniform(0, 0.01) if 0 < kills < 6 else 0 if kills == 0 else 60)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            read(checkpoint)  # whole at any moment
        else:
            assert process.exitcode == 0
    assert kills >= 3
    assert_same(torch.load(result), train(seed=5))


def test_a_finished_run_returns_its_history_without_training(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    expected = train(checkpoint)

    def loss(scores, target):
        raise AssertionError("trained")

    before = checkpoint.read_bytes()
    assert_same(train(checkpoint, seed=1, loss=loss), expected)
    assert checkpoint.read_bytes() == before


def test_more_epochs_go_on_and_fewer_are_refused(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    train(checkpoint, epochs=2)
    assert_same(train(checkpoint, seed=1, epochs=3), train(epochs=3))
    message = rf"epochs must be at least 3, as many as {checkpoint} has begun: got 2"
    with pytest.raises(ValueError, match=message):
        train(checkpoint, epochs=2)
    with pytest.raises(InterruptedError):
        stop_in_epoch(4, checkpoint)
    with pytest.raises(ValueError, match="epochs must be at least 4"):
        train(checkpoint, epochs=3)


def stop_in_epoch(epoch, checkpoint):
    """Interrupt a run after a step of its last epoch."""
    calls = count(1)

    def loss(scores, target):
        if next(calls) == 3:
            raise InterruptedError
        return cross_entropy(scores, target)

    train(checkpoint, every=1, loss=loss, epochs=epoch)


def others():
    """Yield what a checkpoint of `prepare` does not fit, and what the message says of it."""

    def cycle(optimizer):
        return optimizer, OneCycleLR(optimizer, 0.05, total_steps=STEPS * EPOCHS)

    wide = nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.Linear(9, 3))
    half = prepare()[0].double()
    deep = nn.Sequential(*prepare()[0], nn.Linear(3, 3))
    buffered = prepare()[0]
    buffered[1].register_buffer("seen", torch.zeros(2))
    for changed, message in (
        (wide, r"model's 0.weight was torch.float32 \(8, 4\) in {}, and here is torch.float32 \(9, 4\)"),
        (half, r"model's 0.weight was torch.float32 \(8, 4\) in {}, and here is torch.float64 \(8, 4\)"),
        (deep, r"optimizer.param_groups\[0\] was .* in {}, and here is .*, \(3, 3\), \(3,\)"),
        (buffered, r"model's 1.seen was nothing in {}, and here is torch.float32 \(2,\)"),
    ):
        yield message, changed, *cycle(Adam(changed.parameters()))
    model = prepare()[0]
    yield "optimizer was Adam in {}, and here is SGD", model, *cycle(SGD(model.parameters(), lr=0.1))
    groups = [{"params": list(model[0].parameters())}, {"params": [*model[1].parameters(), *model[3].parameters()]}]
    message = r"optimizer.param_groups\[0\] was .* in {}, and here is \(8, 4\), \(8,\)"
    yield message, model, *cycle(Adam(groups))
    optimizer = Adam(model.parameters())
    yield "schedule was OneCycleLR in {}, and here is nothing", model, optimizer, None
    yield "schedule was OneCycleLR in {}, and here is ExponentialLR", model, optimizer, ExponentialLR(optimizer, 0.9)


@pytest.mark.parametrize("which", range(8))
def test_a_checkpoint_of_something_else_is_refused_and_left(tmp_path, which):
    checkpoint = tmp_path / "checkpoint.pt"
    train(checkpoint, epochs=1)
    file = checkpoint.read_bytes()
    message, model, optimizer, schedule = list(others())[which]
    weights = [weight.detach().clone() for weight in model.parameters()]
    message = f"checkpoint must be of this run, but {message.format(checkpoint)}; name another file, or delete this one"
    with pytest.raises(ValueError, match=message):
        fit(model, prepare()[1], cross_entropy, optimizer, epochs=2, schedule=schedule, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == file
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters(), strict=True))


class Trap:
    """Unpickling this would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("damage", ["empty", "text", "short", "cut", "weights", "list", "trap"])
def test_a_damaged_checkpoint_is_refused_and_left(tmp_path, damage):
    checkpoint = tmp_path / "checkpoint.pt"
    train(checkpoint, epochs=1)
    whole = checkpoint.read_bytes()
    if damage in ("weights", "list", "trap"):
        content = {"weights": prepare()[0].state_dict(), "list": [1], "trap": Trap(tmp_path / "trapped")}[damage]
        torch.save(content, checkpoint)
    else:
        content = {"empty": b"", "text": b"epoch 3\n", "short": whole[:-1], "cut": whole[: len(whole) // 2]}[damage]
        checkpoint.write_bytes(content)
    file = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint must be a whole file that fit wrote: {checkpoint} is not; name"):
        train(checkpoint, epochs=2)
    assert checkpoint.read_bytes() == file
    assert not (tmp_path / "trapped").exists()


@given(st.integers(0, 10**9), st.integers(1, 255))
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory, place, flip):
    checkpoint = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    state = {
        "format": FORMAT,
        "belongs": [{"model": "x"}],
        "model": {"weight": torch.arange(50.0)},
        "position": [1, 2, [3]],
    }
    write(checkpoint, state)
    damaged = bytearray(checkpoint.read_bytes())
    damaged[place % len(damaged)] ^= flip
    checkpoint.write_bytes(damaged)
    try:
        found = read(checkpoint)
    except ValueError as error:
        assert str(checkpoint) in str(error)
    else:  # it was in the archive's padding
        assert_close(found["model"], state["model"], rtol=0, atol=0)
        assert found["position"] == state["position"] and found["belongs"] == state["belongs"]


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.pt"
    train(checkpoint, epochs=1)
    file = checkpoint.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        message = rf"No space left on device: checkpoint.pt needs [0-9,]+ bytes in the folder {tmp_path}; .* untouched"
        with pytest.raises(OSError, match=message):
            train(checkpoint, epochs=2)
    assert checkpoint.read_bytes() == file
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert_same(train(checkpoint, seed=1), train())


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """As a power cut would need it: synchronised when complete, and renamed only then."""
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda number: steps.append(os.fstat(number).st_size) or fsync(number))
    monkeypatch.setattr("os.replace", lambda *paths: steps.append("replaced") or replace(*paths))
    write(tmp_path / "checkpoint.pt", {"weight": torch.zeros(5)})
    assert steps == [(tmp_path / "checkpoint.pt").stat().st_size, "replaced"]


def test_no_checkpoint_holds_weights_that_are_not_finite(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"

    def run(loss):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        batches = Batches(torch.randn(40, 4), torch.randint(0, 3, (40,)), batch_size=1)
        options = {"checkpoint": checkpoint, "checkpoint_every": 4}
        fit(model, batches, loss, SGD(model.parameters(), lr=0.1), epochs=1, **options)

    def worsening(spoil):
        calls = count(1)
        return lambda scores, target: spoil(scores, cross_entropy(scores, target), next(calls) == 12)

    for spoil in (
        lambda scores, loss, now: loss * (float("inf") if now else 1),  # the loss itself
        lambda scores, loss, now: loss + (scores * 0 * now).sqrt().sum() if now else loss,  # its gradient alone
    ):
        with pytest.raises(FloatingPointError, match=r"in epoch 1, step 12|after epoch 1, step 12"):
            run(worsening(spoil))
        state = read(checkpoint)
        assert state["position"] == [0, 8, [1] * 8]
        assert all(weight.isfinite().all() for weight in state["model"].values())
        checkpoint.unlink()


class Source:
    """Batches without a length, as a user may write them."""

    def __init__(self, batches):
        self.drawn_from = batches

    def __iter__(self):
        return iter(self.drawn_from)


def test_other_batches_are_refused_where_they_are_too_few(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    calls = count(1)

    def loss(logits, target):
        if next(calls) == 3:
            raise InterruptedError
        return cross_entropy(logits, target)

    model, batches, optimizer, schedule = prepare()
    options = {"epochs": 1, "schedule": schedule, "checkpoint": checkpoint, "checkpoint_every": 1}
    with pytest.raises(InterruptedError):
        fit(model, Source(batches), loss, optimizer, **options)
    message = rf"batches must be those of {checkpoint}, more than 1, to go on from there"
    with pytest.raises(ValueError, match=message):
        fit(model, Source(list(batches)[:1]), cross_entropy, optimizer, **options)


def test_fit_sets_the_epoch_of_a_sampler():
    class Sampler(torch.utils.data.Sampler):
        def __init__(self):
            self.epochs: list[int] = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

        def __iter__(self):
            return iter(range(4))

        def __len__(self):
            return 4

    sampler = Sampler()
    model = nn.Linear(4, 3)
    dataset = torch.utils.data.TensorDataset(torch.randn(4, 4), torch.zeros(4, dtype=torch.int64))
    batches = torch.utils.data.DataLoader(dataset, 2, sampler=sampler)
    fit(model, batches, cross_entropy, SGD(model.parameters(), lr=0.1), epochs=3)
    assert sampler.epochs == [0, 1, 2]


def test_length():
    assert _number_of_batches([1, 2]) == 2
    assert _number_of_batches(iter([1, 2])) is None


def test_length_of_a_stream():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([1, 2])

    assert _number_of_batches(torch.utils.data.DataLoader(Stream())) is None
