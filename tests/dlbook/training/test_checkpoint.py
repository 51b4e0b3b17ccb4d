"""Checkpoints: whatever is written can be read again, other runs are refused by name, and no file is lost."""

import errno
import os
import resource
from collections import Counter, OrderedDict
from contextlib import suppress
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR
from torch.utils.data import DataLoader, SequentialSampler, Subset, TensorDataset

from dlbook.losses import cross_entropy
from dlbook.training import checkpoint
from dlbook.training.augment import Augmented
from dlbook.training.batches import Batches, BatchesByLength
from dlbook.training.checkpoint import FORMAT, _checksum, plain, read, write
from dlbook.training.fit import fit


class Level(IntEnum):
    LOW = 1


class Kind(Enum):
    PLAIN = "plain"


# --- what can be written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.1), float(np.float16(0.1))),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("adam"), "adam"),
        (np.array(0.1), 0.1),
        (np.array(7, dtype=np.uint8), 7),
        (np.longdouble(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        (Level.LOW, 1),
        ([np.float64(0.9), (np.int64(1), {np.int64(2)})], [0.9, (1, {2})]),
        ({"lr": np.float64(0.1), np.int64(3): None}, {"lr": 0.1, 3: None}),
        (Counter({np.int64(3): 1}), Counter({3: 1})),
    ],
)
def test_numbers_of_other_kinds_become_pythons(value, expected):
    found = plain(value)
    assert found == expected and repr(found) == repr(expected)


class Unknown:
    def __repr__(self):
        return "Unknown()"


@pytest.mark.parametrize(
    "value",
    [
        Decimal("0.1"),
        Decimal("NaN"),
        Fraction(1, 3),
        np.longdouble("0.1"),
        np.datetime64("2024-01-01"),
        np.array([0.1, 0.2]),
        Kind.PLAIN,
        Unknown(),
        b"",
        len,
        range(3),
        torch.Size([1]),
    ],
    ids=repr,
)
def test_what_cannot_be_exact_is_refused_by_name(tmp_path, value):
    path = tmp_path / "run.pt"
    write(path, {"format": FORMAT, "belongs": []})
    file = path.read_bytes()
    with pytest.raises(
        TypeError, match=r"checkpoint must hold numbers.*: optimizer\['lr'\]\[1\] is .*" + type(value).__name__
    ):
        write(path, {"optimizer": {"lr": [0.1, value]}})
    assert path.read_bytes() == file and os.listdir(tmp_path) == ["run.pt"]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
leaves |= st.builds(torch.tensor, st.lists(st.integers(0, 1)))
values = st.recursive(leaves, lambda v: st.lists(v) | st.tuples(v, v) | st.dictionaries(st.text() | st.integers(), v))


@given(values)
def test_what_is_written_can_be_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("run") / "run.pt"
    write(path, {"format": FORMAT, "belongs": [], "value": value})
    assert repr(read(path)["value"]) == repr(value)


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int16, torch.float16, torch.bfloat16, torch.float64, torch.complex64]
)
def test_tensors_of_all_types_can_be_read(tmp_path, dtype):
    value = OrderedDict(weight=nn.Parameter(torch.ones(2, 3).to(dtype), requires_grad=False), size=dtype)
    value._metadata = {"": {"version": 2}}
    write(tmp_path / "run.pt", {"format": FORMAT, "belongs": [], "value": value})
    found = read(tmp_path / "run.pt")["value"]
    assert torch.equal(found["weight"], torch.ones(2, 3).to(dtype)) and found["size"] == dtype
    assert found._metadata == value._metadata


class Noting(SGD):
    """An optimiser that notes something of another kind in its state, from the second step on."""

    def step(self, closure=None):
        super().step(closure)
        state = self.state[self.param_groups[0]["params"][0]]
        state["steps"] = state.get("steps", 0) + 1
        if state["steps"] == 2:
            state["note"] = Kind.PLAIN


def train(path, batches, epochs=1, lr=0.1, stop=None, schedule=None, kind=SGD, every=2):
    """Train a small model, perhaps with an interruption; return it, and the targets that it was shown."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = kind(model.parameters(), lr=lr)
    schedule = schedule and schedule(optimizer)
    shown = []

    def loss(logits, target):
        if len(shown) == stop:
            raise InterruptedError
        shown.append(target.tolist())
        return cross_entropy(logits, target % 2)

    options = {"schedule": schedule, "checkpoint": path, "checkpoint_every": path and every}
    with suppress(InterruptedError):
        fit(model, batches, loss, optimizer, epochs=epochs, **options)
    return model, [number for batch in shown for number in batch]


def data(count=64):
    return torch.arange(float(count))[:, None] / count, torch.arange(count)


def assert_same(one, other):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("lr", [np.logspace(-3, -1, 3)[1], np.float32(0.1), np.float16(0.1), Fraction(1, 8)], ids=repr)
def test_a_learning_rate_of_another_kind_resumes_bitwise(tmp_path, lr):
    batches = Batches(*data(), batch_size=8, shuffle=True)
    options = {"lr": lr, "schedule": lambda optimizer: ExponentialLR(optimizer, np.float32(0.9))}
    train(tmp_path / "run.pt", batches, **options)
    again, shown = train(tmp_path / "run.pt", batches, epochs=2, **options)
    assert len(shown) == 64
    whole, _ = train(tmp_path / "whole.pt", batches, epochs=2, **options)
    assert_same(again, whole)


def test_what_cannot_be_written_is_refused_before_a_weight_moves(tmp_path):
    batches = Batches(*data(), batch_size=8)
    model = nn.Linear(1, 2)
    before = model.weight.detach().clone()
    optimizer = SGD([{"params": model.parameters(), "note": Kind.PLAIN}], lr=0.1)
    with pytest.raises(TypeError, match=r"optimizer.param_groups\[0\]\['note'\] is <Kind.PLAIN: 'plain'>, a Kind"):
        fit(model, batches, cross_entropy, optimizer, epochs=1, checkpoint=tmp_path / "run.pt")
    schedule = LambdaLR(SGD(model.parameters(), lr=0.1), lambda step: 1.0)
    schedule.note = Unknown()
    options = {"schedule": schedule, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(TypeError, match=r"schedule\['note'\] is Unknown\(\), a Unknown"):
        fit(model, batches, cross_entropy, schedule.optimizer, epochs=1, **options)
    assert torch.equal(model.weight, before) and not os.listdir(tmp_path)


def test_the_last_checkpoint_survives_a_state_that_cannot_be_written(tmp_path):
    batches = Batches(*data(), batch_size=8)
    with pytest.raises(TypeError, match=r"optimizer\['state'\]\[0\]\['note'\] is <Kind.PLAIN"):
        train(tmp_path / "run.pt", batches, kind=Noting, every=1)
    assert read(tmp_path / "run.pt")["position"] == [0, 1, [8]]
    assert os.listdir(tmp_path) == ["run.pt"]


SCHEDULES = [
    lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)]),
    lambda o: lr_scheduler.ConstantLR(o, np.float64(0.5)),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
    lambda o: lr_scheduler.CyclicLR(o, np.float64(0.01), 0.1),
    lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, scale_fn=lambda step: 0.9**step),
    lambda o: lr_scheduler.ExponentialLR(o, np.float32(0.9)),
    lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    lambda o: lr_scheduler.LambdaLR(o, Halving()),
    lambda o: lr_scheduler.LinearLR(o),
    lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: 0.9),
    lambda o: lr_scheduler.MultiStepLR(o, np.array([3, 7]).tolist()),
    lambda o: lr_scheduler.MultiStepLR(o, list(np.array([3, 7]))),
    lambda o: lr_scheduler.OneCycleLR(o, np.float64(0.1), total_steps=30),
    lambda o: lr_scheduler.PolynomialLR(o, 20),
    lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o), lr_scheduler.CosineAnnealingLR(o, 9)], [3]),
    lambda o: lr_scheduler.StepLR(o, np.int64(4)),
    lambda o: torch.optim.swa_utils.SWALR(o, 0.01),
]


class Halving:
    """A factor with a state of its own."""

    def __init__(self):
        self.half = np.float64(0.5)

    def __call__(self, step):
        return self.half**step


@pytest.mark.parametrize("which", range(len(SCHEDULES)))
def test_schedules_resume_bitwise(tmp_path, which):
    batches = Batches(*data(), batch_size=8, shuffle=True)
    path, make = tmp_path / "run.pt", SCHEDULES[which]
    train(path, batches, schedule=make, stop=5, every=1)
    again, _ = train(path, batches, schedule=make, epochs=2)
    whole, _ = train(tmp_path / "whole.pt", batches, schedule=make, epochs=2)
    assert_same(again, whole)


@pytest.mark.parametrize(
    "name", [name for name in torch.optim.__all__ if name not in ("LBFGS", "SparseAdam", "Optimizer", "Muon")]
)
def test_optimizers_resume_bitwise(tmp_path, name):
    kind = getattr(torch.optim, name, None)
    if not isinstance(kind, type):
        pytest.skip("no optimizer")
    batches = Batches(*data(), batch_size=8, shuffle=True)
    train(tmp_path / "run.pt", batches, kind=kind, lr=np.float64(0.01), stop=5, every=1)
    again, _ = train(tmp_path / "run.pt", batches, kind=kind, lr=np.float64(0.01), epochs=2)
    whole, _ = train(None, batches, kind=kind, lr=np.float64(0.01), epochs=2)
    assert_same(again, whole)


# --- of which run -----------------------------------------------------------------------------------------------------


def tokens(count=64):
    return [[number % 7] * (1 + number % 5) for number in range(count)]


def by_length(sequences=None, labels=None, **options):
    options = {"batch_size": 8, "shuffle": True} | options
    columns = sequences or tokens(), data()[1] if labels is None else labels
    return BatchesByLength(*columns, arrange=lambda numbers, lengths, y: (numbers[:, :1].float(), y), **options)


def loader(dataset=None, seed=None, **options):
    options = {"batch_size": 8, "shuffle": True} | options
    if seed is not None:
        options["generator"] = torch.Generator().manual_seed(seed)
    return DataLoader(dataset or TensorDataset(*data()), **options)


def listed(size=8, count=64):
    return list(zip(*(tensor.split(size) for tensor in data(count)), strict=True))


def changed(tensor):
    tensor = tensor.clone()
    tensor[-1] += 1
    return tensor


def augmented(**options):
    return Augmented(Batches(*data(), **options), lambda x, y: (x, y))


X, Y = data()
OTHERS = [
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X, Y, batch_size=16), "batches.batch_size"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X, Y, batch_size=8, shuffle=True), "batches.shuffle"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X, Y, batch_size=8, seed=5), "batches.seed"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X[:32], Y[:32], batch_size=8), r"len\(batches\)"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X[:63], Y[:63], batch_size=8), r"batches.tensors\[0\]"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(changed(X), Y, batch_size=8), r"batches.tensors\[0\]"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X, changed(Y), batch_size=8), r"batches.tensors\[1\]"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X.flip(0), Y, batch_size=8), r"batches.tensors\[0\]"),
    (lambda: Batches(X, Y, batch_size=8), lambda: Batches(X, Y.int(), batch_size=8), r"batches.tensors\[1\]"),
    (lambda: Batches(X, Y, batch_size=8), lambda: listed(), "batches"),
    (lambda: Batches(X, Y, batch_size=8), lambda: augmented(batch_size=8), "batches"),
    (lambda: augmented(batch_size=8), lambda: augmented(batch_size=8, seed=1), "batches.batches.seed"),
    (lambda: by_length(), lambda: by_length(batch_size=9), r"batches.cuts"),
    (lambda: by_length(), lambda: by_length(batch_size=None, max_tokens=30), "batches.cuts"),
    (lambda: by_length(), lambda: by_length(seed=2), "batches.seed"),
    (lambda: by_length(), lambda: by_length(max_length=2), "batches.max_length"),
    (lambda: by_length(), lambda: by_length(shuffle=False), "batches.shuffle"),
    (lambda: by_length(), lambda: by_length([[6], *tokens()[1:]]), r"batches.columns\[0\]"),
    (lambda: by_length(), lambda: by_length(labels=changed(Y)), r"batches.columns\[1\]"),
    (lambda: loader(), lambda: loader(batch_size=16), "batches.batch_size"),
    (lambda: loader(drop_last=False), lambda: loader(drop_last=True), "batches.drop_last"),
    (lambda: loader(), lambda: loader(shuffle=False), "batches.sampler"),
    (lambda: loader(), lambda: loader(shuffle=False, sampler=SequentialSampler(X)), "batches.sampler"),
    (lambda: loader(), lambda: loader(TensorDataset(changed(X), Y)), r"batches.dataset.tensors\[0\]"),
    (lambda: loader(), lambda: loader(TensorDataset(X[:63], Y[:63])), r"batches.dataset.tensors\[0\]|len\(batches.dat"),
    (lambda: loader(), lambda: loader(seed=1), r"batches.*generator.initial_seed\(\)"),
    (lambda: loader(seed=0), lambda: loader(seed=1), r"batches.*generator.initial_seed\(\)"),
    (
        lambda: loader(Subset(TensorDataset(X, Y), range(64))),
        lambda: loader(Subset(TensorDataset(X, Y), [*range(63), 0])),
        r"batches.dataset.indices\[0\]",
    ),
    (
        lambda: loader(list(zip(X, Y, strict=True))),
        lambda: loader(list(zip(X, changed(Y), strict=True))),
        "batches.dataset",
    ),
    (lambda: listed(), lambda: listed(16), "batches"),
    (lambda: listed(), lambda: listed(8, 56), "batches"),
]


@pytest.mark.parametrize("which", range(len(OTHERS)))
def test_other_batches_are_refused_with_what_differs(tmp_path, which):
    first, second, name = OTHERS[which]
    path = tmp_path / "run.pt"
    _, shown = train(path, first(), stop=2)
    model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 2))
    before, random = model[0].weight.detach().clone(), torch.get_rng_state()
    file = path.read_bytes()
    message = rf"checkpoint must be of this run, but {name}.* was .* in {path}, and here is .*; name another"
    with pytest.raises(ValueError, match=message):
        fit(model, second(), cross_entropy, SGD(model.parameters(), lr=0.1), epochs=1, checkpoint=path)
    assert torch.equal(model[0].weight, before) and torch.equal(torch.get_rng_state(), random)
    assert path.read_bytes() == file
    _, rest = train(path, first())
    assert sorted(shown + rest) == list(range(64))  # with the same ones, each example is seen once


def test_another_device_is_refused(tmp_path, monkeypatch):
    batches = Batches(*data(), batch_size=8)
    train(tmp_path / "run.pt", batches)
    monkeypatch.setattr(checkpoint, "device_of", lambda model: torch.device("cuda"))
    with pytest.raises(ValueError, match="model's device was cpu in .*, and here is cuda; name"):
        train(tmp_path / "run.pt", batches)


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float64, torch.complex64]
)
@given(st.integers(0, 23))
def test_a_checksum_tells_data_apart(dtype, place):
    torch.manual_seed(0)
    values = torch.rand(4, 6).mul(100).to(dtype)
    other = values.clone()
    other.view(-1)[place] = 0 if other.view(-1)[place] else 1
    assert _checksum(values) != _checksum(other)
    assert (
        _checksum(values) == _checksum(values.t().contiguous().t()) == _checksum(values.clone().requires_grad_(False))
    )


def test_a_checksum_reads_a_part_of_what_is_large(monkeypatch):
    values = torch.arange(1000.0)
    other = values.clone()
    other[1] = 0
    assert _checksum(values) != _checksum(other)
    monkeypatch.setattr(checkpoint, "CHECKED_BYTES", 1000)  # every fourth
    assert _checksum(values) == _checksum(other) != _checksum(values * 2)
    assert _checksum(list(range(10))) != _checksum(list(range(11)))
    assert _checksum(torch.tensor(1.0)) != _checksum(torch.tensor(2.0))
    assert _checksum(torch.zeros(0)) == 0
    assert _checksum(torch.zeros(2, device="meta")) == _checksum(torch.zeros(2).to_sparse()) == 0
    numbers = np.arange(1000.0)
    assert _checksum(numbers) == _checksum(numbers.copy()) != _checksum(numbers * 2)
    assert _checksum(np.array("text")) != _checksum(np.array("tent"))
    assert _checksum(np.array([None])) == _checksum(np.array([object()]))
    assert _checksum([object()]) == _checksum([object()])


# --- files ------------------------------------------------------------------------------------------------------------

STATE = {"format": FORMAT, "belongs": [], "weight": torch.zeros(1000)}


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link, path = tmp_path / "run.pt", tmp_path / "disk" / "real.pt"
    link.symlink_to(path)
    for _ in range(2):  # first the link leads nowhere
        write(link, STATE)
        assert link.is_symlink() and not path.is_symlink() and read(link)["weight"].shape == (1000,)
    assert sorted(os.listdir(tmp_path)) == ["disk", "run.pt"] and os.listdir(tmp_path / "disk") == ["real.pt"]


def test_a_file_keeps_its_mode(tmp_path):
    write(tmp_path / "run.pt", STATE)
    (tmp_path / "run.pt").chmod(0o640)
    write(tmp_path / "run.pt", STATE)
    assert (tmp_path / "run.pt").stat().st_mode & 0o777 == 0o640


def test_no_room_is_said_and_the_old_file_stays(tmp_path):
    path = tmp_path / "run.pt"
    write(path, {"format": FORMAT, "belongs": []})
    file = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # the nearest thing to a full disk
    try:
        message = (
            rf"cannot be written: File too large: run.pt needs [5-9],\d+ bytes in the folder {tmp_path}; a .* untouched"
        )
        with pytest.raises(OSError, match=message) as error:
            write(path, STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert path.read_bytes() == file and os.listdir(tmp_path) == ["run.pt"]


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"belongs": {"model": "x"}, "position": [1, 0, []]}, path)
    with pytest.raises(
        ValueError, match=f"must be of format {FORMAT}: {path} was written by another version of fit, in"
    ):
        train(path, Batches(*data(), batch_size=8))


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match=f"checkpoint must be a file: got the folder {tmp_path}"):
        train(tmp_path, Batches(*data(), batch_size=8))
    (tmp_path / "link").symlink_to(tmp_path / "no" / "run.pt")
    with pytest.raises(ValueError, match=f"checkpoint must be in a folder that exists: got {tmp_path / 'link'}"):
        train(tmp_path / "link", Batches(*data(), batch_size=8))


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(PermissionError, match=f"in a folder that can be written to: got {tmp_path / 'run.pt'}"):
        train(tmp_path / "run.pt", Batches(*data(), batch_size=8))


def test_a_lack_of_memory_is_not_called_damage(tmp_path, monkeypatch):
    write(tmp_path / "run.pt", STATE)

    def load(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(MemoryError):
        read(tmp_path / "run.pt")
