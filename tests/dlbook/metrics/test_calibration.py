"""Calibration: equal to scikit-learn and torchmetrics; a temperature that nothing beats."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn import metrics
from sklearn.calibration import calibration_curve
from torch.testing import assert_close
from torchmetrics.functional import classification

from dlbook.losses import cross_entropy
from dlbook.metrics import calibration
from tests.helpers.equations import equation
from tests.helpers.references import random, tensor


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_equal_to_scikit_learn_and_torchmetrics(examples, bins, seed, rough):
    torch.manual_seed(seed)
    probability, happened = torch.rand(examples).double(), torch.rand(examples) < 0.6
    if rough:  # many equal, and on the edges, where torchmetrics counts them to the bin above
        probability = (4 * probability).round() / 4
    said, was, count = calibration.calibration_curve(probability, happened, bins)
    theirs = calibration_curve(happened, probability, n_bins=bins) if happened.unique().numel() == 2 else (was, said)
    assert_close(was, tensor(theirs[0]))
    assert_close(said, tensor(theirs[1]))
    assert count.sum() == examples and count.min() >= 1
    error = calibration.expected_calibration_error(probability, happened, bins)
    if not rough:
        theirs = classification.binary_calibration_error(probability, happened.long(), n_bins=bins, norm="l1")
        assert error.item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = metrics.brier_score_loss(happened, probability, labels=[False, True])
    assert calibration.brier_score(probability, happened).item() == pytest.approx(theirs)


@given(st.integers(2, 5), st.integers(0, 99))
def test_several_classes(classes, seed):
    torch.manual_seed(seed)
    probability, target = (3 * random(30, classes)).softmax(1), torch.randint(classes, (30,))
    top, chosen = probability.max(1)
    theirs = classification.multiclass_calibration_error(probability, target, classes, n_bins=10, norm="l1")
    ours = calibration.expected_calibration_error(top, chosen == target)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = metrics.brier_score_loss(target, probability.numpy(), labels=range(classes), scale_by_half=False)
    ours = sum(calibration.brier_score(probability[:, k], target == k) for k in range(classes))
    assert ours.item() == pytest.approx(theirs)


def test_the_edges_of_bins():
    said, was, count = calibration.calibration_curve(tensor([0, 0.5, 0.75, 1]), torch.tensor([False, True, True, True]), 2)
    assert (said.tolist(), was.tolist(), count.tolist()) == ([0.25, 0.875], [0.5, 1], [2, 2])
    said, _, count = calibration.calibration_curve(torch.tensor([0.1, 0.95]), torch.tensor([False, True]))
    assert said.tolist() == pytest.approx([0.1, 0.95]) and count.tolist() == [1, 1]  # no row for an empty bin


def test_the_true_probability_has_the_best_brier_score_and_little_error():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(20_000, generator=generator).double()
    happened = torch.rand(20_000, generator=generator) < truth
    assert calibration.expected_calibration_error(truth, happened) < 0.015
    best = calibration.brier_score(truth, happened)
    for wrong in (truth.square(), truth.sqrt(), 0.9 * truth + 0.05, torch.full_like(truth, 0.5)):
        assert calibration.brier_score(wrong, happened) > best


def printed_error(p, y, B, weigh=True, mean=True):
    N, total = len(p), 0
    for b in range(1, B + 1):
        I = [i for i in range(N) if (b - 1) / B < p[i] <= b / B]  # noqa: E741
        if I:
            gap = abs(sum(y[i] for i in I) / len(I) - sum(p[i] for i in I) / len(I))
            total += (len(I) / N if weigh else 1 / B) * (gap if mean else gap**2)
    return total


@equation(
    "6.5e",
    "dlbook.metrics.calibration.expected_calibration_error",
    printed_error,
    lambda p, y, B: printed_error(p, y, B, weigh=False),  # each bin the same
    lambda p, y, B: printed_error(p, y, B, mean=False),  # squares
    lambda p, y, B: sum(abs(a - b) for a, b in zip(y, p, strict=True)) / len(p),  # without bins
)
def test_expected_calibration_error_as_printed(formula):
    torch.manual_seed(0)
    probability = random(60).sigmoid()
    happened = torch.rand(60) < probability.square()
    printed = formula(probability.tolist(), happened.tolist(), 5)
    assert_close(calibration.expected_calibration_error(probability, happened, bins=5), tensor(printed))


# --- temperature ------------------------------------------------------------------------------------------------------


@given(st.integers(2, 5), st.floats(0.2, 5), st.integers(0, 99))
def test_no_temperature_is_better(classes, factor, seed):
    torch.manual_seed(seed)
    scores = random(100, classes)
    target = torch.multinomial(scores.softmax(1), 1)[:, 0]
    scores = factor * scores
    found = calibration.fit_temperature(scores, target)
    by_scipy = minimize_scalar(
        lambda t: cross_entropy(scores / t, target).item(), bounds=(found / 5, found * 5), options={"xatol": 1e-9}
    )
    assert found == pytest.approx(by_scipy.x, rel=1e-4)
    assert calibration.fit_temperature(2 * scores, target) == pytest.approx(2 * found)
    assert calibration.fit_temperature(scores + 7, target) == pytest.approx(found)


def test_the_true_temperature_is_found():
    torch.manual_seed(0)
    scores = random(20_000, 3)
    target = torch.multinomial(scores.softmax(1), 1)[:, 0]
    assert calibration.fit_temperature(4 * scores, target) == pytest.approx(4, rel=0.05)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: calibration.calibration_curve(tensor([0.5]), torch.tensor([True]), 0), "bins must be at least 1: got 0"),
        (
            lambda: calibration.calibration_curve(tensor([]), torch.tensor([]).bool()),
            "one or more numbers .*: got none",
        ),
        (
            lambda: calibration.calibration_curve(tensor([0.2, 1.5]), torch.tensor([True] * 2)),
            "numbers from 0 to 1: got 0.2 to 1.5",
        ),
        (lambda: calibration.brier_score(tensor([float("nan")]), torch.tensor([True])), "got nan to nan"),
        (lambda: calibration.fit_temperature(random(0, 2), torch.tensor([]).long()), "at least one example: got none"),
        (lambda: calibration.fit_temperature(tensor([[1, 0]]), torch.tensor([0])), "no temperature fits: never wrong"),
        (lambda: calibration.fit_temperature(tensor([[1, 0]]), torch.tensor([1])), "no better than chance"),
        (lambda: calibration.fit_temperature(tensor([[1, 1]]), torch.tensor([1])), "no better than chance"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
