"""Calibration: equal to scikit-learn and torchmetrics; a temperature that nothing beats."""

import math

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
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


@reference("dlbook.metrics.calibration.calibration_curve", to="sklearn.calibration.calibration_curve")
@reference(
    "dlbook.metrics.calibration.expected_calibration_error",
    to="torchmetrics.functional.classification.binary_calibration_error",
)
@reference("dlbook.metrics.calibration.brier_score", to="sklearn.metrics.brier_score_loss")
@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_equal_to_scikit_learn_and_torchmetrics(examples, bins, seed, rough):
    torch.manual_seed(seed)
    confidence, outcome = torch.rand(examples).double(), torch.rand(examples) < 0.6
    if rough:  # many equal, and on the edges, where torchmetrics counts them to the bin above
        confidence = (4 * confidence).round() / 4
    mean, frequency, count = calibration.calibration_curve(confidence, outcome, bins)
    theirs = calibration_curve(outcome, confidence, n_bins=bins) if outcome.unique().numel() == 2 else (frequency, mean)
    assert_close(frequency, tensor(theirs[0]))
    assert_close(mean, tensor(theirs[1]))
    assert count.sum() == examples and count.min() >= 1
    error = calibration.expected_calibration_error(confidence, outcome, bins)
    if not rough:
        theirs = classification.binary_calibration_error(confidence, outcome.long(), n_bins=bins, norm="l1")
        assert error.item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = metrics.brier_score_loss(outcome, confidence, labels=[False, True])
    assert calibration.brier_score(confidence, outcome).item() == pytest.approx(theirs)


@given(st.integers(2, 5), st.integers(0, 99))
def test_several_classes(classes, seed):
    torch.manual_seed(seed)
    confidence, target = (3 * random(30, classes)).softmax(1), torch.randint(classes, (30,))
    top, chosen = confidence.max(1)
    theirs = classification.multiclass_calibration_error(confidence, target, classes, n_bins=10, norm="l1")
    ours = calibration.expected_calibration_error(top, chosen == target)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = metrics.brier_score_loss(target, confidence.numpy(), labels=range(classes), scale_by_half=False)
    ours = sum(calibration.brier_score(confidence[:, k], target == k) for k in range(classes))
    assert ours.item() == pytest.approx(theirs)


def test_the_edges_of_bins():
    mean, frequency, count = calibration.calibration_curve(
        tensor([0, 0.5, 0.75, 1]), torch.tensor([False, True, True, True]), 2
    )
    assert (mean.tolist(), frequency.tolist(), count.tolist()) == ([0.25, 0.875], [0.5, 1], [2, 2])
    mean, _, count = calibration.calibration_curve(torch.tensor([0.1, 0.95]), torch.tensor([False, True]))
    assert mean.tolist() == pytest.approx([0.1, 0.95]) and count.tolist() == [1, 1]  # no row for an empty bin


def test_the_true_probability_has_the_best_brier_score_and_little_error():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(20_000, generator=generator).double()
    outcome = torch.rand(20_000, generator=generator) < truth
    assert calibration.expected_calibration_error(truth, outcome) < 0.015
    best = calibration.brier_score(truth, outcome)
    for wrong in (truth.square(), truth.sqrt(), 0.9 * truth + 0.05, torch.full_like(truth, 0.5)):
        assert calibration.brier_score(wrong, outcome) > best


@executed("6.5e", of="dlbook.metrics.calibration.expected_calibration_error")
def test_expected_calibration_error_as_printed(formula):
    confidence = torch.cat([tensor([0.25, 0.5, 0.75]), random(12).sigmoid()])  # two of them on the edges of bins
    outcome = torch.rand(15) < confidence.square()
    found = formula({"p": confidence, "y": outcome, "B": 4, "N": 15}, {"b": 4, "i": 15})
    assert_close(calibration.expected_calibration_error(confidence, outcome, n_bins=4), tensor(found["ECE"]))
    _, _, count = calibration.calibration_curve(confidence, outcome, 4)
    assert list(map(len, found["I"])) == count.tolist()


# --- temperature ------------------------------------------------------------------------------------------------------


@reference("dlbook.metrics.calibration.fit_temperature", to="scipy.optimize.minimize_scalar")
@given(st.integers(2, 5), st.floats(0.2, 5), st.integers(0, 99))
def test_no_temperature_is_better(classes, factor, seed):
    torch.manual_seed(seed)
    logits = random(100, classes)
    target = torch.multinomial(logits.softmax(1), 1)[:, 0]
    logits = factor * logits
    found = calibration.fit_temperature(logits, target)
    by_scipy = minimize_scalar(
        lambda t: cross_entropy(logits / t, target).item(), bounds=(found / 5, found * 5), options={"xatol": 1e-9}
    )
    assert found == pytest.approx(by_scipy.x, rel=1e-4)
    assert calibration.fit_temperature(2 * logits, target) == pytest.approx(2 * found)
    assert calibration.fit_temperature(logits + 7, target) == pytest.approx(found)


def test_the_true_temperature_is_found():
    torch.manual_seed(0)
    logits = random(20_000, 3)
    target = torch.multinomial(logits.softmax(1), 1)[:, 0]
    assert calibration.fit_temperature(4 * logits, target) == pytest.approx(4, rel=0.05)


def test_a_class_may_be_ruled_out_and_logits_may_be_of_any_scale():
    logits, target = tensor([[2, 0, -5], [0, 2, -5], [3, 0, -5]]), torch.tensor([0, 1, 1])
    found = calibration.fit_temperature(logits, target)
    for factor in (1e-12, 1e5, 1e100):
        assert calibration.fit_temperature(factor * logits, target) == pytest.approx(factor * found)
    ruled_out = logits.masked_fill(logits == -5, -math.inf)
    two_classes = calibration.fit_temperature(logits[:, :2], target)
    assert calibration.fit_temperature(ruled_out, target) == pytest.approx(two_classes)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert calibration.fit_temperature(logits.to(dtype), target.int()) == pytest.approx(found)


@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_the_reason_is_the_true_one(scale):
    logits, target = scale * tensor([[2, 0, -5], [0, 2, -5]]), torch.tensor([0, 1])
    for wrong, message in (
        (math.nan, r"logits must not hold NaN: got one at \(0, 0\)"),
        (math.inf, r"logits must not hold \+inf"),
        (-math.inf, "target must not be a class that a logit of -inf rules out: got one in row 0"),
    ):
        other = logits.clone()
        other[0, 0] = wrong
        with pytest.raises(ValueError, match=message):
            calibration.fit_temperature(other, target)
    with pytest.raises(ValueError, match="never wrong"):
        calibration.fit_temperature(logits, target)
    with pytest.raises(ValueError, match="no better than chance"):
        calibration.fit_temperature(logits, torch.tensor([2, 2]))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: calibration.calibration_curve(tensor([0.5]), torch.tensor([True]), 0),
            "n_bins must be at least 1: got 0",
        ),
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
        (
            lambda: calibration.fit_temperature(tensor([[1, 0]]), torch.tensor([0])),
            "no temperature is best: got never wrong",
        ),
        (lambda: calibration.fit_temperature(tensor([[1, 0]]), torch.tensor([1])), "no better than chance"),
        (lambda: calibration.fit_temperature(tensor([[1, 1]]), torch.tensor([1])), "no better than chance"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
