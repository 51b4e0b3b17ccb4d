"""Optimisers: equal to PyTorch's and Keras' step for step, and to the printed formulas; schedules too."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dlbook.losses import cross_entropy
from dlbook.training import optim
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


def steps(make, count=25, parameters=2):
    """Minimise a bent bowl in float64 and return the weights after each step."""
    torch.manual_seed(0)
    ws = [nn.Parameter(torch.randn(3, 2, dtype=torch.float64)) for _ in range(parameters)]
    ws.append(nn.Parameter(torch.ones(1, dtype=torch.float64)))  # this one never gets a gradient
    optimizer, path = make(ws), []
    for _ in range(count):
        optimizer.zero_grad()
        sum(((w - 1) ** 4).sum() + (w * torch.arange(1, 7).reshape(3, 2) * 0.1).sum() for w in ws[:-1]).backward()
        optimizer.step()
        path.append(torch.stack([w.detach().clone() for w in ws[:-1]]))
    assert ws[-1].item() == 1
    return torch.stack(path)


@reference("dlbook.training.optim.GradientDescent", "dlbook.training.optim.Momentum", to="torch.optim.SGD")
@reference("dlbook.training.optim.Adam", to="torch.optim.Adam")
@reference("dlbook.training.optim.AdamW", to="torch.optim.AdamW")
@pytest.mark.parametrize(
    "ours, theirs",
    [
        (lambda ws: optim.GradientDescent(ws, lr=0.01), lambda ws: torch.optim.SGD(ws, lr=0.01)),
        (lambda ws: optim.Momentum(ws, lr=0.01, momentum=0.8), lambda ws: torch.optim.SGD(ws, lr=0.01, momentum=0.8)),
        (lambda ws: optim.Adam(ws, lr=0.05), lambda ws: torch.optim.Adam(ws, lr=0.05)),
        (
            lambda ws: optim.Adam(ws, lr=0.05, betas=(0.5, 0.7), eps=0.1),
            lambda ws: torch.optim.Adam(ws, lr=0.05, betas=(0.5, 0.7), eps=0.1),
        ),
        (lambda ws: optim.AdamW(ws, lr=0.05), lambda ws: torch.optim.AdamW(ws, lr=0.05)),
        (
            lambda ws: optim.AdamW(ws, lr=0.05, betas=(0.5, 0.7), eps=0.1, weight_decay=2.0),
            lambda ws: torch.optim.AdamW(ws, lr=0.05, betas=(0.5, 0.7), eps=0.1, weight_decay=2.0),
        ),
    ],
)
def test_equal_to_torch(ours, theirs):
    assert_close(steps(ours), steps(theirs))


def test_each_group_may_have_its_own_decay():
    def groups(make):
        def made(ws):
            optimizer = make(ws[:1], lr=0.05, weight_decay=0.5)
            optimizer.add_param_group({"params": ws[1:2], "weight_decay": 0.0})
            optimizer.add_param_group({"params": ws[2:]})
            assert optimizer.param_groups[2]["weight_decay"] == 0.5
            return optimizer

        return made

    assert_close(steps(groups(optim.AdamW)), steps(groups(torch.optim.AdamW)))


def keras_steps(count=25, **settings):
    keras = pytest.importorskip("keras")
    torch.manual_seed(0)
    ws = [keras.Variable(torch.randn(3, 2, dtype=torch.float64), dtype="float64") for _ in range(2)]
    optimizer, path = keras.optimizers.Adam(**settings), []
    for _ in range(count):
        gradients = []
        for w in ws:
            value = w.value.detach().clone().requires_grad_()
            (((value - 1) ** 4).sum() + (value * torch.arange(1, 7).reshape(3, 2) * 0.1).sum()).backward()
            gradients.append(value.grad)
        optimizer.apply(gradients, ws)
        path.append(torch.stack([w.value.detach().clone() for w in ws]))
    return torch.stack(path)


@reference("dlbook.training.optim.Adam", to="keras.optimizers.Adam")
@pytest.mark.parametrize("eps", [1e-7, 0.1])
def test_equal_to_keras_with_eps_hat(eps):
    expected = keras_steps(learning_rate=0.05, epsilon=eps)
    assert_close(steps(lambda ws: optim.Adam(ws, lr=0.05, eps=eps, eps_hat=True)), expected, rtol=1e-6, atol=1e-7)


def test_the_place_of_eps_matters():
    with pytest.raises(AssertionError):
        assert_close(
            steps(lambda ws: optim.Adam(ws, lr=0.05, eps=0.1)),
            steps(lambda ws: optim.Adam(ws, lr=0.05, eps=0.1, eps_hat=True)),
        )


def test_state_survives_saving():
    def resumed(ws):
        first = optim.Adam(ws, lr=0.05)
        for w in ws[:-1]:
            w.grad = torch.ones_like(w)
        first.step()
        second = optim.Adam(ws, lr=0.05)
        second.load_state_dict(first.state_dict())
        return second

    def unbroken(ws):
        first = optim.Adam(ws, lr=0.05)
        for w in ws[:-1]:
            w.grad = torch.ones_like(w)
        first.step()
        return first

    assert torch.equal(steps(resumed), steps(unbroken))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda ws: optim.GradientDescent(ws, lr=0.0), "lr must be positive and finite: got 0.0"),
        (lambda ws: optim.Momentum(ws, lr=math.nan), "lr must be positive and finite: got nan"),
        (lambda ws: optim.Momentum(ws, lr=0.1, momentum=1.0), "momentum must be at least 0 and less than 1: got 1.0"),
        (
            lambda ws: optim.Adam(ws, betas=(0.9, 1.0)),
            r"betas must be two numbers, at least 0 and less than 1: got \(0.9, 1.0\)",
        ),
        (lambda ws: optim.Adam(ws, eps=-1.0), "eps must be at least 0, and finite: got -1.0"),
        (lambda ws: optim.AdamW(ws, weight_decay=-1.0), "weight_decay must be at least 0, and finite: got -1.0"),
        (
            lambda ws: optim.warmup_cosine(10, warmup=10),
            "warmup must be at least 0 and less than total: got warmup=10, total=10",
        ),
        (lambda ws: optim.step_decay(0), "every must be at least 1: got 0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make([nn.Parameter(torch.zeros(1))])


def test_schedules_at_their_landmarks():
    cosine = optim.warmup_cosine(110, warmup=10)
    assert [cosine(s) for s in (0, 9, 10, 60, 110, 500)] == pytest.approx([0.1, 1, 1, 0.5, 0, 0])
    assert optim.warmup_cosine(10)(0) == 1
    decay = optim.step_decay(5, factor=0.5)
    assert [decay(s) for s in (0, 4, 5, 10)] == [1, 1, 0.5, 0.25]


@reference("dlbook.training.optim.warmup_cosine", to="torch.optim.lr_scheduler.CosineAnnealingLR")
def test_cosine_equals_torch():
    w = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=1.0)
    theirs, ours = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20), optim.warmup_cosine(20)
    for step in range(20):
        assert theirs.get_last_lr()[0] == pytest.approx(ours(step))
        optimizer.step()
        theirs.step()


@reference("dlbook.training.optim.step_decay", to="torch.optim.lr_scheduler.StepLR")
def test_step_decay_equals_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, ours = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5), optim.step_decay(3, factor=0.5)
    for step in range(10):
        assert theirs.get_last_lr()[0] == pytest.approx(ours(step))
        optimizer.step()
        theirs.step()


# --- the equations, as printed ----------------------------------------------------------------------------------------

GRADIENTS = torch.tensor([[1.0, -0.4], [-0.5, 3.0], [2.0, 0.6], [0.3, -1.0]], dtype=torch.float64)


def stepping(make, gradients=GRADIENTS):
    """Take a step with each of some gradients; yield it with the weights before and after, and the step's memory."""
    w = nn.Parameter(random(*gradients.shape[1:]))
    optimizer, memory = make([w]), {}
    for g in gradients:
        before, earlier = copy.deepcopy((w.detach(), memory))
        w.grad = g.clone()
        optimizer.step()
        memory = optimizer.state[w]
        yield g, before, w.detach(), earlier, memory


@executed("3.1.3a", of="dlbook.training.optim.GradientDescent")
def test_descent_as_printed(formula):
    for g, before, after, _, _ in stepping(lambda ws: optim.GradientDescent(ws, lr=0.1), random(2, 3, 2)):
        found = formula({"w": before, "dL/dw": g, "eta": 0.1}, {"i": 3, "j": 2})
        assert_close(tensor(found["w"]), after)


@executed("3.1.3b", of="dlbook.training.optim.GradientDescent")
def test_descent_in_a_bowl_as_printed(formula):
    for eta, lam in [(0.1, 3.0), (0.05, 20.0), (0.11, 20.0)]:  # straight down, across the floor, exploding
        w = nn.Parameter(tensor([2.5]))
        optimizer = optim.GradientDescent([w], lr=eta)
        for t in range(1, 6):
            optimizer.zero_grad()
            (lam * w**2 / 2).sum().backward()
            optimizer.step()
            found = formula({"eta": eta, "lambda": lam, "w_0": 2.5, "t": t})
            assert_close(tensor(found["w_t"]), w.detach()[0])


@executed("3.1.3d", of="dlbook.losses.cross_entropy")
def test_minibatch_gradient_as_printed(formula):
    weight = random(3, 4).requires_grad_()
    x, target = random(6, 4), torch.tensor([0, 1, 2, 2, 1, 0])

    def gradient(chosen):
        return torch.autograd.grad(cross_entropy(x[chosen] @ weight.T, target[chosen]), weight)[0]

    each = torch.stack([gradient([n]) for n in range(6)])
    found = formula({"B": 4, "batch": {1, 3, 4, 6}, r"\frac{\partial \ell}{\partial w}": each})
    assert_close(tensor(found["g_B"]), gradient([0, 2, 3, 5]))


@executed("3.1.3c", of="dlbook.training.optim.Momentum")
def test_momentum_as_printed(formula):
    for g, before, after, earlier, memory in stepping(lambda ws: optim.Momentum(ws, lr=0.1, momentum=0.8)):
        velocity = earlier.get("velocity", torch.zeros(2))
        found = formula({"v": velocity, "w": before, "dL/dw": g, "mu": 0.8, "eta": 0.1})
        assert_close(tensor(found["v"]), memory["velocity"])
        assert_close(tensor(found["w"]), after)


def adam_stepping():
    """Step with Adam, as `stepping` does, with settings that all can be told from one another."""
    return stepping(lambda ws: optim.Adam(ws, lr=0.05, betas=(0.8, 0.7), eps=0.1))


@executed("3.1.3e", of="dlbook.training.optim.Adam")
def test_adam_mean_as_printed(formula):
    for g, _, _, earlier, memory in adam_stepping():
        found = formula({"m": earlier.get("mean", torch.zeros(2)), "g": g, "beta_1": 0.8})
        assert_close(tensor(found["m"]), memory["mean"])


@executed("3.1.3f", of="dlbook.training.optim.Adam")
def test_adam_square_as_printed(formula):
    for g, _, _, earlier, memory in adam_stepping():
        found = formula({"v": earlier.get("square", torch.zeros(2)), "g": g, "beta_2": 0.7})
        assert_close(tensor(found["v"]), memory["square"])


@executed("3.1.3g", of="dlbook.training.optim.Adam")
def test_adam_step_as_printed(formula):
    settings = {"eta": 0.05, "beta_1": 0.8, "beta_2": 0.7, r"\varepsilon": 0.1}
    for t, (_, before, after, _, memory) in enumerate(adam_stepping(), 1):
        found = formula(settings | {"w": before, "m": memory["mean"], "v": memory["square"], "t": t})
        assert_close(tensor(found["w"]), after)


@executed("3.1.3h", of="dlbook.training.optim.warmup_cosine")
def test_cosine_as_printed(formula):
    schedule = optim.warmup_cosine(10)
    assert_close(tensor(formula({"T": 10}, {"t": range(11)})["c"]), tensor([schedule(t) for t in range(11)]))


@executed("3.1.3i", of="dlbook.training.optim.AdamW")
def test_adamw_step_as_printed(formula):
    settings = {"eta": 0.05, "beta_1": 0.8, "beta_2": 0.7, r"\varepsilon": 0.1, "alpha": 0.3}
    made = stepping(lambda ws: optim.AdamW(ws, lr=0.05, betas=(0.8, 0.7), eps=0.1, weight_decay=0.3))
    for t, (_, before, after, _, memory) in enumerate(made, 1):
        found = formula(settings | {"w": before, "m": memory["mean"], "v": memory["square"], "t": t})
        assert_close(tensor(found["w"]), after)
