"""fit, Batches, evaluate and range_test: equal to a bare loop of PyTorch, and clear about what they refuse."""

import inspect
import math
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import LBFGS, SGD, Adam
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from dlbook import losses
from dlbook.training import batches as batches_module
from dlbook.training import optim
from dlbook.training.batches import Batches
from dlbook.training.fit import _check_arguments, evaluate, fit, range_test
from dlbook.training.optim import warmup_cosine
from dlbook.training.regularize import regularized
from dlbook.training.run import History, Run, _unpack
from tests.helpers.references import reference


def examples(count=50):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, 4, generator=draw), torch.randint(0, 3, (count,), generator=draw)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def accuracy(scores, target):
    return (scores.argmax(-1) == target).double().mean()


def assert_same(one, other):
    """Assert that two models are bitwise equal."""
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


# fit


@reference("dlbook.training.fit.fit", to="torch.optim.Adam")
@pytest.mark.parametrize("kind", ["Batches", "DataLoader", "list"])
def test_fit_equals_a_bare_loop(kind):
    data = examples()

    def batches():
        return {
            "Batches": lambda: Batches(*data, batch_size=8, shuffle=True, seed=3),
            "DataLoader": lambda: DataLoader(TensorDataset(*data), 8, shuffle=True),
            "list": lambda: list(zip(*(tensor.split(8) for tensor in data), strict=True)),
        }[kind]()

    ours, bare = network(), network()
    optimizer = Adam(ours.parameters(), lr=0.01)
    schedule = OneCycleLR(optimizer, 0.05, total_steps=21)
    torch.manual_seed(5)
    history = fit(ours, batches(), cross_entropy, optimizer, epochs=3, schedule=schedule, clip=0.5)

    optimizer = Adam(bare.parameters(), lr=0.01)
    schedule = OneCycleLR(optimizer, 0.05, total_steps=21)
    steps, means = [], []
    torch.manual_seed(5)
    loader = batches()
    for epoch in range(3):
        total = 0.0
        if kind == "Batches":
            loader.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            loss = cross_entropy(bare(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(bare.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            steps.append(loss.item())
            total += loss.item() * len(y)
        means.append(total / 50)
    assert_same(ours, bare)
    assert history == History(steps, means, [])
    assert history.seconds > 0


def test_fit_overfits_a_tiny_batch():
    x, y = examples(8)
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    start = time.process_time()
    history = fit(model, Batches(x, y, batch_size=8), cross_entropy, Adam(model.parameters(), lr=0.05), epochs=100)
    assert history.loss[-1] < 0.01 < history.loss[0]
    assert evaluate(model, Batches(x, y, batch_size=3), accuracy=accuracy) == {"accuracy": 1.0}
    assert time.process_time() - start < 2


def test_fit_takes_several_inputs():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.0))

        def forward(self, x, y):
            return self.weight * x * y

    x, y = torch.randn(2, 40, generator=torch.Generator().manual_seed(0))
    model = Product()
    history = fit(model, Batches(x, y, 3 * x * y, batch_size=10), mse_loss, SGD(model.parameters(), lr=0.3), epochs=50)
    assert model.weight.item() == pytest.approx(3, abs=1e-4)
    assert len(history.steps) == 200


def test_validation_runs_once_an_epoch_and_training_goes_on_in_training_mode():
    model = network()
    seen: list[None] = []
    modes: list[bool] = []
    model[3].register_forward_hook(lambda module, *_: modes.append(module.training))

    def validate(validated):
        assert validated is model
        seen.append(None)
        validated.eval()  # fit must not rely on the caller to switch back
        return {"calls": torch.tensor(float(len(seen)))}

    optimizer = SGD(model.parameters(), lr=0.1)
    history = fit(model, Batches(*examples(), batch_size=25), cross_entropy, optimizer, epochs=3, validate=validate)
    assert history.validation == [{"calls": 1.0}, {"calls": 2.0}, {"calls": 3.0}]
    assert all(type(value) is float for row in history.validation for value in row.values())
    assert modes == [True] * 6 and len(history.loss) == 3


def test_schedule_steps_after_each_batch():
    model = network()
    optimizer = SGD(model.parameters(), lr=1.0)
    fit(
        model,
        Batches(*examples(), batch_size=8),
        cross_entropy,
        optimizer,
        epochs=2,
        schedule=ExponentialLR(optimizer, 0.5),
    )
    assert optimizer.param_groups[0]["lr"] == 0.5**14


@given(st.floats(0.001, 10))
def test_clip_limits_the_gradient(clip):
    model = nn.Linear(4, 3)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    inputs, target = examples()
    fit(model, [(100 * inputs, target)], cross_entropy, SGD(model.parameters(), lr=1.0), epochs=1, clip=clip)
    step = nn.utils.parameters_to_vector(model.parameters()).detach() - before
    assert step.norm().item() == pytest.approx(clip, rel=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_fit_stops_at_a_loss_that_is_not_finite(value):
    calls: list[None] = []

    def loss(scores, target):
        calls.append(None)
        return cross_entropy(scores, target) * (value if len(calls) == 130 else 1)

    model = nn.Linear(4, 3)
    with pytest.raises(FloatingPointError, match=rf"got {value} in epoch 2, step 10; try a learning rate below 0\.25"):
        fit(model, Batches(*examples(120), batch_size=1), loss, SGD(model.parameters(), lr=0.25), epochs=9)
    assert len(calls) == 120 + 50  # the losses are looked at every fifty steps of an epoch


def test_fit_stops_at_weights_that_are_not_finite():
    model = nn.Linear(4, 1)
    with pytest.raises(
        FloatingPointError, match=r"weights must stay finite: weight is not, after epoch 1, step 1; try"
    ):
        fit(model, Batches(*examples(), batch_size=50), root, SGD(model.parameters(), lr=0.1), epochs=1)


def root(scores, target):
    """A loss that is finite where its gradient is not."""
    return (scores * 0).sqrt().mean()


def run(**changed):
    """Call fit with one argument changed, as without run-time checks of types, which would come first."""
    model = network()
    arguments = {
        "model": model,
        "batches": Batches(*examples(), batch_size=10),
        "loss": cross_entropy,
        "optimizer": SGD(model.parameters(), lr=0.1),
        "epochs": 1,
    }
    return inspect.unwrap(fit)(**(arguments | changed))


class Stream(IterableDataset):
    """A data set without a length."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1: got 0"),
        ({"epochs": -1}, "epochs must be at least 1: got -1"),
        ({"batches": []}, "batches must hold at least one batch: got none"),
        ({"batches": iter(())}, "batches must hold at least one batch each time: got none in epoch 1"),
        ({"batches": DataLoader(Stream([]))}, "batches must hold at least one batch each time: got none in epoch 1"),
        ({"batches": iter([examples()]), "epochs": 2}, "batches must .* got none in epoch 2"),
        ({"batches": [examples()[0]]}, r"batches must yield tuples of tensors \(inputs\.\.\., target\): got a Tensor"),
        ({"batches": [examples()[:1]]}, r"batches must yield tuples .*: got a tuple of \['Tensor'\]"),
        ({"batches": [(examples()[0], torch.tensor(1))]}, r"batches must have targets of one row .*: got \(\)"),
        ({"batches": [[1.0, 2.0]]}, r"batches must yield tuples .*: got a list of \['float', 'float'\]"),
        (
            {"optimizer": SGD(nn.Linear(4, 3).parameters())},
            "optimizer must have parameters of this model and no others",
        ),
        ({"clip": 0.0}, r"clip must be above 0: got 0\.0"),
        ({"clip": math.nan}, "clip must be above 0: got nan"),
        ({"checkpoint_every": 1}, "checkpoint_every must come with checkpoint: got none"),
        ({"checkpoint_every": 0, "checkpoint": "x.pt"}, "checkpoint_every must be at least 1: got 0"),
        ({"checkpoint": "no/such/folder/x.pt"}, "checkpoint must be in a folder that exists: got no/such/folder/x.pt"),
    ],
)
def test_fit_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        run(**changed)


def test_fit_refuses_half_an_epoch_and_a_frozen_model():
    with pytest.raises(TypeError, match=r"epochs must be a whole number: got 1\.5"):
        inspect.unwrap(_check_arguments)(network(), [examples()], None, 1.5)
    frozen = network().requires_grad_(False)
    with pytest.raises(ValueError, match=r"optimizer must have .* at least one not frozen"):
        run(model=frozen, optimizer=SGD(frozen.parameters()))


class Plateaus(ReduceLROnPlateau):
    """A schedule of one's own that needs a metric."""


def chained(*schedules):
    """Make a ChainedScheduler; later versions of PyTorch refuse such a chain themselves."""
    chain = ChainedScheduler(schedules[:1])
    chain._schedulers = schedules
    return chain


class Closing(SGD):
    """An optimiser of one's own that needs a closure."""

    def step(self, closure):
        return super().step(closure)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: (LBFGS(w), None), "optimizer must .* without arguments: got LBFGS, whose step needs closure"),
        (lambda w: (Closing(w), None), "optimizer must .* without arguments: got Closing, whose step needs closure"),
        (
            lambda w: (o := SGD(w), ReduceLROnPlateau(o)),
            "schedule must step after each batch without .*: got ReduceLROnPlateau, whose step needs metrics",
        ),
        (lambda w: (o := SGD(w), Plateaus(o)), "schedule must .*: got Plateaus, whose step needs metrics"),
        (
            lambda w: (o := SGD(w), chained(ExponentialLR(o, 0.9), ReduceLROnPlateau(o))),
            "schedule must .*: got ReduceLROnPlateau, whose step needs metrics",
        ),
        (lambda w: (SGD(w), ExponentialLR(SGD(w), 0.9)), "schedule must be of this optimizer: got that of another"),
        (lambda w: (SGD(w), warmup_cosine(10)), "schedule must be one of torch.optim.lr_scheduler, .*: got a function"),
    ],
)
def test_what_cannot_be_driven_is_refused_before_a_weight_moves(make, message, unchecked):
    model = network()
    optimizer, schedule = make(list(model.parameters()))
    with pytest.raises((ValueError, TypeError), match=message):
        run(model=model, optimizer=optimizer, schedule=schedule)
    assert_same(model, network())
    if schedule is None:
        with pytest.raises(ValueError, match=message):
            range_test(model, [examples()], cross_entropy, optimizer, 0.1, 1.0, 5)


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint16])
def test_fit_takes_numpys_numbers(tmp_path, kind, unchecked):
    def trained(epochs, batch_size, seed, clip, lr, every, path):
        model = network()
        batches = Batches(*examples(), batch_size=batch_size, shuffle=True, seed=seed)
        options = {"clip": clip, "checkpoint": path, "checkpoint_every": every}
        history = run(model=model, batches=batches, optimizer=SGD(model.parameters(), lr=lr), epochs=epochs, **options)
        return model, history

    plain, one = trained(2, 8, 3, 0.5, 0.25, 2, tmp_path / "plain.pt")
    numpys, other = trained(
        kind(2), kind(8), kind(3), np.float32(0.5), np.float64(0.25), kind(2), tmp_path / "numpy.pt"
    )
    assert one == other
    assert_same(plain, numpys)
    assert all(type(value) is float for value in other.steps + other.loss)
    resumed, again = trained(3, 8, 3, 0.5, 0.25, 2, tmp_path / "numpy.pt")  # each reads the other's file
    assert len(again.loss) == 3


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("function", [fit, range_test])
def test_modes_are_put_back(function, error):
    model = network()
    model.eval()
    model[1].train()
    modes = [module.training for module in model.modules()]
    seen = []

    def loss(logits, target):
        seen.append([module.training for module in model.modules()])
        if error and len(seen) == 2:
            raise error
        return cross_entropy(logits, target)

    rest = {"epochs": 2} if function is fit else {"low": 0.001, "high": 0.01, "steps": 4}
    arguments = Batches(*examples(), batch_size=20), loss, SGD(model.parameters(), lr=0.1)
    with nullcontext() if error is None else pytest.raises(error):
        function(model=model, **dict(zip(("batches", "loss", "optimizer"), arguments, strict=True)), **rest)
    assert len(seen) >= 2 and all(all(training) for training in seen)
    assert [module.training for module in model.modules()] == modes


def test_modes_are_put_back_after_a_refusal_and_a_function_is_no_model(unchecked):
    model = network().eval()
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        fit(model, [examples()], cross_entropy, SGD(model.parameters()), epochs=0)
    assert not model.training
    for call in (
        lambda: fit(cross_entropy, [examples()], cross_entropy, SGD(model.parameters()), epochs=1),
        lambda: range_test(cross_entropy, [examples()], cross_entropy, SGD(model.parameters()), 0.1, 1.0, 3),
        lambda: evaluate(cross_entropy, [examples()], accuracy=accuracy),
    ):
        with pytest.raises(TypeError, match="model must be an nn.Module: got function"):
            call()


def test_fit_makes_no_tensor_on_another_device(monkeypatch):
    """All but the looks at the losses, which must read values, with everything on torch.device("meta")."""
    monkeypatch.setattr(Run, "settle", lambda self: None)
    monkeypatch.setattr(Run, "check", lambda self: None)
    monkeypatch.setattr(Run, "end_epoch", lambda self, validate: setattr(self, "epoch", self.epoch + 1))
    for optimizer in (Adam, optim.Adam, optim.Momentum, optim.GradientDescent):
        model = network().to("meta")
        x, y = (part.to("meta") for part in examples())
        loss = regularized(losses.cross_entropy, model, l1=0.1, l2=0.1)
        for batches in (Batches(x, y, batch_size=20, shuffle=True), [examples()]):
            fit(model, batches, loss, optimizer(model.parameters(), lr=0.1), epochs=2, clip=1.0)
        assert {weight.device.type for weight in model.parameters()} == {"meta"}


def test_fit_goes_through_a_stream():
    history = run(batches=DataLoader(Stream([(x, y) for x, y in zip(*examples(), strict=True)]), batch_size=20))
    assert len(history.steps) == 3


def test_fit_is_silent_unless_somebody_watches(monkeypatch, capsys):
    monkeypatch.delenv("DLBOOK_DEVICE", raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    run()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run(epochs=2)
    out, err = capsys.readouterr()
    assert out == "" and "epoch 2" in err and "/5" in err
    monkeypatch.setenv("DLBOOK_DEVICE", "cpu")
    run()
    assert capsys.readouterr() == ("", "")


def test_fit_fits_on_a_page():
    source = inspect.getsource(inspect.unwrap(fit))
    docstring = inspect.unwrap(fit).__doc__
    assert len(source.replace(docstring, docstring.splitlines()[0]).splitlines()) <= 40


def test_batches_are_moved_to_the_device_of_the_model():
    inputs, target = _unpack(examples(), torch.device("meta"))
    assert [tensor.device.type for tensor in (*inputs, target)] == ["meta", "meta"]


# Batches


@given(st.integers(1, 60), st.integers(1, 70), st.booleans(), st.integers(0, 5), st.integers(0, 5))
def test_batches_visit_each_example_once(count, size, shuffle, seed, epoch):
    batches = Batches(torch.arange(count), -torch.arange(count), batch_size=size, shuffle=shuffle, seed=seed)
    batches.set_epoch(epoch)
    parts = list(batches)
    assert len(parts) == len(batches)
    assert all(len(inputs) == size for inputs, _ in parts[:-1]) and 1 <= len(parts[-1][0]) <= size
    visited = torch.cat([inputs for inputs, _ in parts])
    assert sorted(visited.tolist()) == list(range(count))
    assert torch.equal(torch.cat([target for _, target in parts]), -visited)
    assert shuffle or torch.equal(visited, torch.arange(count))


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 100))
def test_order_depends_on_seed_and_epoch_alone(seed, epoch, size):
    def order(seed, epoch, size):
        batches = Batches(torch.arange(100), batch_size=size, shuffle=True, seed=seed)
        batches.set_epoch(epoch)
        return [example for (part,) in batches for example in part.tolist()]

    torch.manual_seed(size)
    assert order(seed, epoch, size) == order(seed, epoch, 100)
    assert order(seed, epoch, size) != order(seed, epoch + 1, size)
    assert order(seed, epoch, size) != order(seed + 1, epoch, size)
    assert order(seed, epoch, size) != order(epoch, seed, size) or seed == epoch


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 4), st.booleans())
def test_processes_share_each_batch(count, size, world, shuffle):
    batches = Batches(torch.arange(count), batch_size=size, shuffle=shuffle)
    whole = [part.tolist() for (part,) in batches]
    with pytest.MonkeyPatch.context() as patch:
        shares = []
        for rank in range(world):
            patch.setattr(batches_module, "rank_and_world_size", lambda rank=rank: (rank, world))
            if len(whole[-1]) < world:
                message = f"every batch must hold an example for each of {world} processes: got one of {len(whole[-1])}"
                with pytest.raises(ValueError, match=message):
                    next(iter(batches))
                return
            shares.append([part.tolist() for (part,) in batches])
    for step, batch in enumerate(whole):
        assert [share[step] for share in shares] == [batch[rank::world] for rank in range(world)]


def test_unshuffled_batches_are_views():
    x, _ = examples()
    assert [part.data_ptr() for (part,) in Batches(x, batch_size=20)] == [x[start].data_ptr() for start in (0, 20, 40)]


@pytest.mark.parametrize(
    ("tensors", "options", "message"),
    [
        ((), {"batch_size": 1}, r"tensors must have the same number of examples, at least 1: got shapes \[\]"),
        (
            (torch.zeros(3, 2), torch.zeros(4)),
            {"batch_size": 1},
            r"tensors must have .* got shapes \[\(3, 2\), \(4,\)\]",
        ),
        ((torch.zeros(0, 2),), {"batch_size": 1}, r"tensors must have .* got shapes \[\(0, 2\)\]"),
        ((torch.tensor(1.0),), {"batch_size": 1}, r"tensors must have .* got shapes \[\(\)\]"),
        (
            (torch.zeros(3), torch.zeros(3, device="meta")),
            {"batch_size": 1},
            "tensors must be on one device: got cpu, meta",
        ),
        ((torch.zeros(3),), {"batch_size": 0}, "batch_size must be at least 1: got 0"),
        ((torch.zeros(3),), {"batch_size": 1, "seed": -1}, "seed must be at least 0: got -1"),
    ],
)
def test_batches_refuses(tensors, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(*tensors, **options)


# evaluate


@reference("dlbook.training.fit.evaluate", to="torch.nn.functional.cross_entropy")
@given(st.integers(1, 60))
def test_evaluate_weighs_examples_equally(size):
    model, (x, y) = network(), examples()
    result = evaluate(
        model, Batches(x, y, batch_size=size), accuracy=accuracy, loss=cross_entropy, one=lambda s, t: 1.0
    )
    scores = model.eval()(x)
    expected = {"accuracy": accuracy(scores, y).item(), "loss": cross_entropy(scores, y).item(), "one": 1.0}
    assert result == pytest.approx(expected, rel=1e-5)
    assert list(result) == list(expected)


def test_evaluate_takes_a_model_without_weights():
    assert evaluate(nn.Identity(), [examples()], accuracy=accuracy)["accuracy"] < 0.6


def test_evaluate_restores_the_mode_of_each_layer():
    model, (x, y) = network(), examples()
    model[1].eval()  # a frozen layer
    modes = [module.training for module in model.modules()]

    def measure(scores, target):
        assert torch.is_inference_mode_enabled() and not any(module.training for module in model.modules())
        return 1 / len(target) if len(target) == 30 else 1 / 0

    evaluate(model, Batches(x[:30], y[:30], batch_size=30), measure=measure)
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ZeroDivisionError):
        evaluate(model, Batches(x, y, batch_size=30), measure=measure)
    assert [module.training for module in model.modules()] == modes
    state = network().state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_evaluate_refuses():
    model, data = network(), examples()
    with pytest.raises(ValueError, match="measures must be given, for instance accuracy=accuracy: got none"):
        evaluate(model, [data])
    with pytest.raises(ValueError, match="batches must hold at least one batch: got none"):
        evaluate(model, [], accuracy=accuracy)
    with pytest.raises(ValueError, match="batches must yield tuples of tensors"):
        evaluate(model, data, accuracy=accuracy)


# range_test


class Replacing(nn.Module):
    """A layer that puts a new buffer in the old one's place, one that its state_dict leaves out."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4), persistent=False)

    def forward(self, x):
        self.mean = self.mean + x.detach().mean(0)
        return x


@pytest.mark.parametrize("trained", [False, True])
def test_range_test_leaves_everything_as_it_was(trained):
    def prepare():
        model = nn.Sequential(Replacing(), network())
        optimizer = Adam(model.parameters(), lr=0.02)
        schedule = ExponentialLR(optimizer, 0.9)
        loader = DataLoader(TensorDataset(*examples()), 10, shuffle=True, generator=torch.Generator().manual_seed(2))
        torch.manual_seed(3)
        if trained:
            fit(model, loader, cross_entropy, optimizer, epochs=1, schedule=schedule)
        model[1][1].eval()
        return model, loader, optimizer, schedule

    model, loader, optimizer, schedule = prepare()
    same_model, same_loader, same_optimizer, same_schedule = prepare()
    gradients = [weight.grad for weight in model.parameters()]
    random = torch.get_rng_state()
    range_test(model, loader, cross_entropy, optimizer, 1e-4, 1.0, 12)
    assert_same(model, same_model)
    assert torch.equal(model[0].mean, same_model[0].mean)
    assert not model[1][1].training and model[1][3].training
    assert all(weight.grad is gradient for weight, gradient in zip(model.parameters(), gradients, strict=True))
    assert str(optimizer.state_dict()) == str(same_optimizer.state_dict())
    assert torch.equal(torch.get_rng_state(), random)
    once = fit(model, loader, cross_entropy, optimizer, epochs=2, schedule=schedule)
    torch.set_rng_state(random)
    same_model[1][1].eval()
    assert once == fit(same_model, same_loader, cross_entropy, same_optimizer, epochs=2, schedule=same_schedule)
    assert_same(model, same_model)


def test_range_test_raises_the_rate_with_each_batch():
    model, bare, batches = nn.Linear(4, 3), nn.Linear(4, 3), Batches(*examples(), batch_size=20)
    bare.load_state_dict(model.state_dict())
    rates, losses = range_test(model, batches, cross_entropy, SGD(model.parameters(), lr=7.0), 0.001, 0.1, 5)
    assert rates == pytest.approx([10**exponent for exponent in (-3, -2.5, -2, -1.5, -1)])
    optimizer = SGD(bare.parameters(), lr=1.0)
    for rate, loss, (x, y) in zip(
        rates, losses, [*batches, *batches], strict=False
    ):  # three batches, gone through twice
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        expected = cross_entropy(bare(x), y)
        expected.backward()
        optimizer.step()
        assert loss == expected.item()
    assert len(losses) == 5


def test_range_test_stops_early():
    model, batches = nn.Linear(4, 1), [(torch.ones(1, 4), torch.ones(1, 1))]
    values = iter([2.0, 1.0, 3.9, 4.1, 1.0])
    rates, losses = range_test(
        model, batches, lambda scores, _: scores.mean() * 0 + next(values), SGD(model.parameters()), 0.1, 1.0, 9
    )
    assert losses == pytest.approx([2.0, 1.0, 3.9, 4.1]) and len(rates) == 4
    values = iter([2.0, math.nan, 1.0])
    rates, losses = range_test(
        model, batches, lambda scores, _: scores.mean() * 0 + next(values), SGD(model.parameters()), 0.1, 1.0, 9
    )
    assert losses == [2.0] and rates == pytest.approx([0.1])


@pytest.mark.parametrize(
    ("low", "high", "steps", "message"),
    [
        (0.0, 1.0, 5, r"low and high must be 0 < low < high, and finite: got low=0\.0, high=1\.0"),
        (1.0, 0.5, 5, r"low and high must be 0 < low < high, and finite: got low=1\.0, high=0\.5"),
        (0.1, 1.0, 1, "steps must be at least 2: got 1"),
    ],
)
def test_range_test_refuses(low, high, steps, message):
    model = network()
    with pytest.raises(ValueError, match=message):
        range_test(model, [examples()], cross_entropy, SGD(model.parameters()), low, high, steps)


def test_range_test_refuses_batches_that_are_used_up():
    model = network()
    with pytest.raises(ValueError, match="batches must hold at least one batch each time: got none"):
        range_test(model, iter([examples()]), cross_entropy, SGD(model.parameters()), 0.1, 1.0, 5)
