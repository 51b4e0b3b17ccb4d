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
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


def example(batch=6, classes=4, scale=3.0):
    torch.manual_seed(batch + classes)
    return scale * torch.randn(batch, classes, dtype=torch.float64), torch.randint(classes, (batch,))


@reference(
    "dlbook.losses.cross_entropy", "dlbook.losses.cross_entropy_gradient", to="torch.nn.functional.cross_entropy"
)
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


@reference(
    "dlbook.losses.mean_squared_error", "dlbook.losses.mean_squared_error_gradient", to="torch.nn.functional.mse_loss"
)
def test_mean_squared_error_equals_torch():
    prediction, target = (
        torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    prediction.requires_grad_()
    loss = losses.mean_squared_error(prediction, target)
    assert_close(loss, functional.mse_loss(prediction, target))
    loss.backward()
    assert_close(losses.mean_squared_error_gradient(prediction.detach(), target), prediction.grad)


@reference(
    "dlbook.losses.mean_absolute_error", "dlbook.losses.mean_absolute_error_gradient", to="torch.nn.functional.l1_loss"
)
@reference("dlbook.losses.huber", "dlbook.losses.huber_gradient", to="torch.nn.functional.huber_loss")
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


@reference("dlbook.losses.huber", to="keras.losses.Huber")
@reference("dlbook.losses.mean_absolute_error", to="keras.losses.MeanAbsoluteError")
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


@reference("dlbook.losses.weighted_cross_entropy", to="torch.nn.functional.cross_entropy")
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


def batch():
    """Return logits and targets, and what the formulas take of them; classes are counted from 0."""
    scores, target = example()
    return scores, target, {"p": scores.softmax(1), "y": target}, {"p": (1, 0), "w": 0}


@executed("3.1.2a", of="dlbook.losses.cross_entropy")
def test_cross_entropy_as_printed(formula):
    scores, target, names, starts = batch()
    found = formula(names | {"B": 6}, starts=starts)
    assert_close(losses.cross_entropy(scores, target), tensor(found["L"]))


@executed("3.1.2b", of="dlbook.losses.cross_entropy_gradient")
def test_delta_as_printed(formula):
    scores, target, names, starts = batch()
    found = formula(names | {"B": 6}, {"n": 6, "i": range(4)}, starts=starts)
    assert_close(losses.cross_entropy_gradient(scores, target), tensor(found["delta"]))


@executed("6.4a", of="dlbook.losses.mean_absolute_error")
def test_absolute_error_as_printed(formula):
    prediction, target = 2 * random(9), 2 * random(9)
    found = formula({r"\hat y": prediction, "y": target, "N": 9})
    assert_close(losses.mean_absolute_error(prediction, target), tensor(found["MAE"]))


@executed("6.4b", of="dlbook.losses.huber")
def test_huber_as_printed(formula):
    e = tensor([-3.0, -1.3, -0.5, 0.2, 1.3, 2.0])  # two of them where the pieces meet
    each = torch.stack([losses.huber(one, torch.zeros_like(one), delta=1.3) for one in e])
    found = formula({"delta": 1.3}, {"e": e.tolist()})
    assert_close(each, tensor(found["h"]))


@executed("6.4d", of="dlbook.losses.weighted_cross_entropy")
def test_weighted_cross_entropy_as_printed(formula):
    scores, target, names, starts = batch()
    weight = tensor([1.0, 2.0, 5.0, 0.5])
    found = formula(names | {"w": weight}, {"n": 6}, starts=starts)
    assert_close(losses.weighted_cross_entropy(scores, target, weight), tensor(found["L"]))


@executed("6.4e", of="dlbook.losses.weighted_cross_entropy")
def test_weights_multiply_the_odds(formula):
    weight, p = tensor([0.5, 4.0]), 3 / 20  # 3 of 20 examples are of class 1
    target = (torch.arange(20) < 3).long()
    found = formula({"w_0": weight[0], "w_1": weight[1], "p": p})
    score = tensor(found[r"\frac{\tilde p}{1 - \tilde p}"]).log().requires_grad_()
    scores = torch.stack([torch.zeros_like(score), score]).expand(20, 2)
    losses.weighted_cross_entropy(scores, target, weight).backward()
    assert abs(score.grad.item()) < 1e-12  # lowest where the odds are as printed


@executed("6.4c", of="dlbook.losses.mean_squared_error_gradient")
def test_squared_error_behind_softmax_as_printed(formula):
    scores, truth = random(4).requires_grad_(), random(4).softmax(0)
    p = softmax(scores)
    p.backward(losses.mean_squared_error_gradient(p.detach(), truth))
    found = formula({"p": p, "t": truth, "C": 4}, {"i": 4})
    assert_close(scores.grad, tensor(found["dMSE/dz"]))
