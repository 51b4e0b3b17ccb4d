"""Losses: equal to PyTorch's in value and gradient, and their gradients by hand equal to autograd's."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from dlbook import losses
from dlbook.activations import softmax
from tests.helpers.by_index import softmax as softmax_by_index
from tests.helpers.equations import equation


def example(batch=6, classes=4, scale=3.0):
    torch.manual_seed(batch + classes)
    return scale * torch.randn(batch, classes, dtype=torch.float64), torch.randint(classes, (batch,))


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 300))
def test_cross_entropy_equals_torch(batch, classes, scale):
    scores, target = example(batch, classes, scale)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss, expected = losses.cross_entropy(ours, target), functional.cross_entropy(theirs, target)
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad)
    assert_close(losses.cross_entropy_gradient(scores, target), theirs.grad)


def test_a_uniform_guess_costs_the_logarithm_of_the_number_of_classes():
    assert losses.cross_entropy(torch.zeros(3, 10), torch.tensor([0, 4, 9])).item() == pytest.approx(math.log(10))


def test_mean_squared_error_equals_torch():
    prediction, target = (
        torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    prediction.requires_grad_()
    loss = losses.mean_squared_error(prediction, target)
    assert_close(loss, functional.mse_loss(prediction, target))
    loss.backward()
    assert_close(losses.mean_squared_error_gradient(prediction.detach(), target), prediction.grad)


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 5))
def test_absolute_error_and_huber_equal_torch(rows, columns, delta):
    generator = torch.Generator().manual_seed(rows + 10 * columns)
    target, prediction = (3 * torch.randn(rows, columns, dtype=torch.float64, generator=generator) for _ in range(2))
    prediction[0, 0] = target[0, 0]  # the corner of the absolute error
    prediction[-1, -1] = target[-1, -1] + delta  # where Huber's square meets the line
    for ours, by_hand, theirs in (
        (losses.mean_absolute_error, losses.mean_absolute_error_gradient, functional.l1_loss),
        (
            partial(losses.huber, delta=delta),
            partial(losses.huber_gradient, delta=delta),
            partial(functional.huber_loss, delta=delta),
        ),
    ):
        mine, yours = prediction.clone().requires_grad_(), prediction.clone().requires_grad_()
        loss, expected = ours(mine, target), theirs(yours, target)
        assert_close(loss, expected)
        loss.backward()
        expected.backward()
        assert_close(mine.grad, yours.grad)
        assert_close(by_hand(prediction, target), yours.grad)


def test_regression_losses_equal_keras():
    keras = pytest.importorskip("keras")
    generator = torch.Generator().manual_seed(0)
    target, prediction = (3 * torch.randn(6, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    target, prediction = target.float(), prediction.float()  # Keras computes losses in float32
    assert_close(losses.huber(prediction, target, delta=1.5), keras.losses.Huber(delta=1.5)(target, prediction))
    theirs = keras.losses.MeanAbsoluteError()(target, prediction)
    assert_close(losses.mean_absolute_error(prediction, target), theirs)


def test_at_its_corner_the_absolute_error_has_gradient_zero():
    prediction = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    losses.mean_absolute_error(prediction, torch.zeros(2, dtype=torch.float64)).backward()
    assert_close(prediction.grad, torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("function", [losses.huber, losses.huber_gradient])
@pytest.mark.parametrize("delta", [0.0, -1.0, math.nan])
def test_huber_refuses_a_delta_that_is_not_positive(function, delta):
    with pytest.raises(ValueError, match=r"delta must be positive: got (0|-1|nan)"):
        function(torch.zeros(2), torch.ones(2), delta=delta)


@given(st.integers(1, 8), st.integers(2, 6))
def test_weighted_cross_entropy_equals_torch(batch, classes):
    scores, target = example(batch, classes)
    weight = torch.arange(classes, dtype=torch.float64) + 0.5
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss, expected = (
        losses.weighted_cross_entropy(ours, target, weight),
        functional.cross_entropy(theirs, target, weight),
    )
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad)
    equal = losses.weighted_cross_entropy(scores, target, torch.full((classes,), 3.0, dtype=torch.float64))
    assert_close(equal, losses.cross_entropy(scores, target))


def test_keras_divides_weighted_cross_entropy_by_the_number_of_examples():
    keras = pytest.importorskip("keras")
    scores, target = example()
    scores, weight = scores.float(), torch.tensor([1.0, 2.0, 5.0, 0.5])
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(target, scores, sample_weight=weight[target])
    ours = losses.weighted_cross_entropy(scores, target, weight)
    assert_close(ours * weight[target].sum() / len(target), theirs)


def loss_by_index(scores, target):
    return sum(-math.log(softmax_by_index(z)[y]) for z, y in zip(scores, target, strict=True)) / len(target)


@equation(
    "3.1.2a",
    "dlbook.losses.cross_entropy",
    loss_by_index,
    lambda scores, target: loss_by_index(scores, target) * len(target),  # the sum instead of the mean
    lambda scores, target: -loss_by_index(scores, target),  # a sign
    lambda scores, target: loss_by_index(scores, [(y + 1) % 4 for y in target]),  # the next class
)
def test_cross_entropy_as_printed(formula):
    scores, target = example()
    expected = torch.tensor(formula(scores.tolist(), target.tolist()), dtype=torch.float64)
    assert_close(losses.cross_entropy(scores, target), expected)


def delta_by_index(p, target):
    return [[(p_i - float(i == y)) / len(p) for i, p_i in enumerate(row)] for row, y in zip(p, target, strict=True)]


@equation(
    "3.1.2b",
    "dlbook.losses.cross_entropy_gradient",
    delta_by_index,
    lambda p, target: [[-d for d in row] for row in delta_by_index(p, target)],  # truth minus probability
    lambda p, target: [[p_i / len(p) for p_i in row] for row in p],  # the truth left out
)
def test_delta_as_printed(formula):
    scores, target = example()
    expected = torch.tensor(formula(softmax(scores).tolist(), target.tolist()), dtype=torch.float64)
    assert_close(losses.cross_entropy_gradient(scores, target), expected)


def errors():
    generator = torch.Generator().manual_seed(2)
    return [2 * torch.randn(9, dtype=torch.float64, generator=generator) for _ in range(2)]


@equation(
    "6.4a",
    "dlbook.losses.mean_absolute_error",
    lambda prediction, y: sum(abs(p - t) for p, t in zip(prediction, y, strict=True)) / len(y),
    lambda prediction, y: sum((p - t) ** 2 for p, t in zip(prediction, y, strict=True)) / len(y),  # the square
    lambda prediction, y: abs(sum(p - t for p, t in zip(prediction, y, strict=True))) / len(y),  # of the mean
)
def test_absolute_error_as_printed(formula):
    prediction, target = errors()
    expected = torch.tensor(formula(prediction.tolist(), target.tolist()), dtype=torch.float64)
    assert_close(losses.mean_absolute_error(prediction, target), expected)


@equation(
    "6.4b",
    "dlbook.losses.huber",
    lambda e, delta: e**2 / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2),
    lambda e, delta: e**2 if abs(e) <= delta else delta * (abs(e) - delta / 2),  # without the half
    lambda e, delta: e**2 / 2 if abs(e) <= delta else delta * (abs(e) - delta),  # the pieces do not meet
    lambda e, delta: e**2 / 2 if abs(e) > delta else delta * (abs(e) - delta / 2),  # the pieces exchanged
)
def test_huber_as_printed(formula):
    prediction, target = errors()
    each = [formula(p - t, 1.3) for p, t in zip(prediction.tolist(), target.tolist(), strict=True)]
    assert_close(losses.huber(prediction, target, delta=1.3).item(), sum(each) / len(each))


def weighted_by_index(scores, target, w, weighted=True):
    each = [w[y] * -math.log(softmax_by_index(z)[y]) for z, y in zip(scores, target, strict=True)]
    return sum(each) / (sum(w[y] for y in target) if weighted else len(target))


@equation(
    "6.4d",
    "dlbook.losses.weighted_cross_entropy",
    weighted_by_index,
    lambda scores, target, w: weighted_by_index(scores, target, w, weighted=False),  # over the number of examples
    lambda scores, target, w: weighted_by_index(scores, target, [1 / v for v in w]),  # the weights upside down
    lambda scores, target, w: weighted_by_index(scores, target, w[1:] + w[:1]),  # the next class's weight
)
def test_weighted_cross_entropy_as_printed(formula):
    scores, target = example()
    weight = torch.tensor([1.0, 2.0, 5.0, 0.5], dtype=torch.float64)
    expected = torch.tensor(formula(scores.tolist(), target.tolist(), weight.tolist()), dtype=torch.float64)
    assert_close(losses.weighted_cross_entropy(scores, target, weight), expected)


@equation(
    "6.4e",
    "dlbook.losses.weighted_cross_entropy",
    lambda p, w: w[1] / w[0] * p / (1 - p),
    lambda p, w: w[0] / w[1] * p / (1 - p),  # upside down
    lambda p, w: p / (1 - p),  # without the weights
)
def test_weights_multiply_the_odds(formula):
    weight, p = torch.tensor([0.5, 4.0], dtype=torch.float64), 3 / 20  # 3 of 20 examples are of class 1
    target = (torch.arange(20) < 3).long()
    odds = formula(p, weight.tolist())
    score = torch.tensor(math.log(odds), dtype=torch.float64, requires_grad=True)
    scores = torch.stack([torch.zeros_like(score), score]).expand(20, 2)
    losses.weighted_cross_entropy(scores, target, weight).backward()
    assert abs(score.grad.item()) < 1e-12  # lowest where the odds are as printed


def slope_by_index(p, truth):
    mean = sum(p_j * (p_j - t_j) for p_j, t_j in zip(p, truth, strict=True))
    return [2 / len(p) * p_i * (p_i - t_i - mean) for p_i, t_i in zip(p, truth, strict=True)]


@equation(
    "6.4c",
    "dlbook.losses.mean_squared_error_gradient",
    slope_by_index,
    lambda p, truth: [2 / len(p) * (p_i - t_i) for p_i, t_i in zip(p, truth, strict=True)],  # without softmax's slope
    lambda p, truth: [2 / len(p) * p_i * (p_i - t_i) for p_i, t_i in zip(p, truth, strict=True)],  # without the others
    lambda p, truth: [-slope for slope in slope_by_index(p, truth)],  # a sign
)
def test_squared_error_behind_softmax_as_printed(formula):
    scores, target = example(batch=1)
    truth = functional.one_hot(target, 4).double()
    scores.requires_grad_()
    p = softmax(scores)
    p.backward(losses.mean_squared_error_gradient(p.detach(), truth))
    assert_close(scores.grad[0].tolist(), formula(p[0].tolist(), truth[0].tolist()))
