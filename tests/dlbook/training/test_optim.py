"""Optimisers: equal to PyTorch's and Keras' step for step, and to the printed formulas; schedules too."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dlbook.losses import cross_entropy
from dlbook.training import optim
from tests.helpers.equations import equation


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
    ],
)
def test_equal_to_torch(ours, theirs):
    assert_close(steps(ours), steps(theirs))


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


def test_cosine_equals_torch():
    w = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=1.0)
    theirs, ours = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20), optim.warmup_cosine(20)
    for step in range(20):
        assert theirs.get_last_lr()[0] == pytest.approx(ours(step))
        optimizer.step()
        theirs.step()


# --- the equations, as printed ----------------------------------------------------------------------------------------


def on_scalar(make, gradients):
    """Apply an optimiser to one weight that starts at 2, with given gradients, and return its path."""
    w = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer, path = make([w]), []
    for g in gradients:
        w.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        path.append(w.item())
    return torch.tensor(path, dtype=torch.float64)


GRADIENTS = [1.0, -0.5, 2.0, 0.3, 0.0, -1.0]


@equation(
    "3.1.3a",
    "dlbook.training.optim.GradientDescent",
    lambda w, eta, g: w - eta * g,
    lambda w, eta, g: w + eta * g,  # uphill
    lambda w, eta, g: w - eta * math.copysign(1, g),  # only the sign of the gradient
)
def test_descent_as_printed(formula):
    w, path = 2.0, []
    for g in GRADIENTS:
        w = formula(w, 0.1, g)
        path.append(w)
    assert_close(
        on_scalar(lambda ws: optim.GradientDescent(ws, lr=0.1), GRADIENTS), torch.tensor(path, dtype=torch.float64)
    )


@equation(
    "3.1.3b",
    "dlbook.training.optim.GradientDescent",
    lambda eta, lam, t, w: (1 - eta * lam) ** t * w,
    lambda eta, lam, t, w: (1 + eta * lam) ** t * w,  # a sign
    lambda eta, lam, t, w: (1 - eta * lam) ** (t + 1) * w,  # an index shift
    lambda eta, lam, t, w: (1 - eta * lam * t) * w,  # a product instead of a power
)
def test_descent_in_a_bowl_as_printed(formula):
    for eta, lam in [(0.1, 3.0), (0.05, 20.0), (0.11, 20.0)]:  # straight down, across the floor, exploding
        w = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
        optimizer = optim.GradientDescent([w], lr=eta)
        for t in range(1, 6):
            optimizer.zero_grad()
            (lam * w**2 / 2).sum().backward()
            optimizer.step()
            assert_close(w.detach(), torch.tensor([formula(eta, lam, t, 2.0)], dtype=torch.float64))


@equation(
    "3.1.3d",
    "dlbook.losses.cross_entropy",
    lambda gradients: sum(gradients) / len(gradients),
    lambda gradients: sum(gradients),  # a sum instead of a mean
    lambda gradients: sum(gradients[1:]) / len(gradients),  # an index shift
)
def test_minibatch_gradient_as_printed(formula):
    torch.manual_seed(0)
    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    x, target = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])

    def gradient(chosen):
        return torch.autograd.grad(cross_entropy(x[chosen] @ weight.T, target[chosen]), weight)[0]

    assert_close(gradient(slice(None)), formula([gradient([n]) for n in range(6)]))


@equation(
    "3.1.3c",
    "dlbook.training.optim.Momentum",
    lambda v, mu, g: mu * v + g,
    lambda v, mu, g: mu * v + (1 - mu) * g,  # an average instead of a sum
    lambda v, mu, g: mu * v - g,  # a sign
)
def test_momentum_as_printed(formula):
    w, v, path = 2.0, 0.0, []
    for g in GRADIENTS:
        v = formula(v, 0.9, g)
        w = w - 0.1 * v
        path.append(w)
    assert_close(on_scalar(lambda ws: optim.Momentum(ws, lr=0.1), GRADIENTS), torch.tensor(path, dtype=torch.float64))


def adam_path(mean=None, square=None, step=None):
    """Work out Adam in scalars, one of its three formulas replaced."""
    mean = mean or (lambda m, g: 0.9 * m + (1 - 0.9) * g)
    square = square or (lambda v, g: 0.999 * v + (1 - 0.999) * g**2)
    step = step or (lambda w, m, v, t: w - 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8))
    w, m, v, path = 2.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = mean(m, g), square(v, g)
        w = step(w, m, v, t)
        path.append(w)
    return torch.tensor(path, dtype=torch.float64)


def adam():
    return on_scalar(lambda ws: optim.Adam(ws, lr=0.1), GRADIENTS)


@equation(
    "3.1.3e",
    "dlbook.training.optim.Adam",
    lambda m, g: 0.9 * m + (1 - 0.9) * g,
    lambda m, g: 0.9 * m + g,  # a sum instead of an average
    lambda m, g: (1 - 0.9) * m + 0.9 * g,  # the two shares swapped
)
def test_adam_mean_as_printed(formula):
    assert_close(adam(), adam_path(mean=formula))


@equation(
    "3.1.3f",
    "dlbook.training.optim.Adam",
    lambda v, g: 0.999 * v + (1 - 0.999) * g**2,
    lambda v, g: 0.999 * v + (1 - 0.999) * abs(g),  # without the square
    lambda v, g: 0.999 * v + (1 - 0.999) * (g + 1) ** 2,  # of something else
)
def test_adam_square_as_printed(formula):
    assert_close(adam(), adam_path(square=formula))


@equation(
    "3.1.3g",
    "dlbook.training.optim.Adam",
    lambda w, m, v, t: w - 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8),
    lambda w, m, v, t: w - 0.1 * m / (math.sqrt(v) + 1e-8),  # without the corrections
    lambda w, m, v, t: (
        w - 0.1 * (m / (1 - 0.9 ** (t - 1 or 1))) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    ),  # an index shift
    lambda w, m, v, t: w - 0.1 * (m / (1 - 0.9**t)) / (v / (1 - 0.999**t) + 1e-8),  # without the root
)
def test_adam_step_as_printed(formula):
    assert_close(adam(), adam_path(step=formula))


@equation(
    "3.1.3h",
    "dlbook.training.optim.warmup_cosine",
    lambda t, total: (1 + math.cos(math.pi * t / total)) / 2,
    lambda t, total: (1 + math.cos(2 * math.pi * t / total)) / 2,  # a whole wave
    lambda t, total: (1 - math.cos(math.pi * t / total)) / 2,  # a sign
)
def test_cosine_as_printed(formula):
    schedule = optim.warmup_cosine(40)
    ours, printed = ([f(t) for t in range(41)] for f in (schedule, lambda t: formula(t, 40)))
    assert_close(torch.tensor(ours, dtype=torch.float64), torch.tensor(printed, dtype=torch.float64))
