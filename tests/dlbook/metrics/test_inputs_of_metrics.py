"""Metrics with inputs of other shapes, types and values: the right answer, or an error that names an argument."""

import math

import pytest
import torch
from torch.testing import assert_close

from dlbook.metrics import calibration, classification, ranking, resample
from tests.helpers.inputs import (
    assert_misfit_refused,
    assert_nan_or_refused,
    assert_right_or_refused,
    other_shapes,
    other_types,
    poisoned,
    public_names,
)

LOGITS = torch.tensor([[2.0, 0, -1], [0, 1, 0.5], [0.5, 0, 1], [1, -2, 0], [0, 1, 3]], dtype=torch.float64)
TARGET = torch.tensor([0, 1, 1, 2, 2])
PREDICTED = torch.tensor([0, 1, 2, 0, 2])
MATRIX = torch.tensor([[5, 2, 0], [1, 4, 3], [2, 0, 7]])
SCORES = torch.tensor([0.25, 0.75, 0.5, 0.125, 0.5], dtype=torch.float64)
POSITIVE = torch.tensor([False, True, True, False, False])
VALUES = torch.tensor([1.0, 0, 1, 0.5, 0.25, 1, 0, 0.75], dtype=torch.float64)
LABELS = {"target": TARGET, "predicted": PREDICTED}

CASES = {
    "accuracy": (classification.accuracy, {"logits": LOGITS, "target": TARGET}),
    "confusion_matrix": (lambda **labels: classification.confusion_matrix(**labels, classes=3), LABELS),
    "precision": (classification.precision, {"matrix": MATRIX}),
    "recall": (classification.recall, {"matrix": MATRIX}),
    "f1": (classification.f1, {"matrix": MATRIX}),
    "macro_average": (
        classification.macro_average,
        {"values": torch.tensor([0.5, 1, 0.25], dtype=torch.float64), "matrix": MATRIX},
    ),
    "balanced_accuracy": (classification.balanced_accuracy, {"matrix": MATRIX}),
    "matthews_correlation": (classification.matthews_correlation, {"matrix": MATRIX}),
    "counts_above": (ranking.counts_above, {"scores": SCORES, "positive": POSITIVE}),
    "roc_curve": (ranking.roc_curve, {"scores": SCORES, "positive": POSITIVE}),
    "roc_auc": (ranking.roc_auc, {"scores": SCORES, "positive": POSITIVE}),
    "precision_recall_curve": (ranking.precision_recall_curve, {"scores": SCORES, "positive": POSITIVE}),
    "average_precision": (ranking.average_precision, {"scores": SCORES, "positive": POSITIVE}),
    "calibration_curve": (calibration.calibration_curve, {"confidence": SCORES, "outcome": POSITIVE}),
    "expected_calibration_error": (calibration.expected_calibration_error, {"confidence": SCORES, "outcome": POSITIVE}),
    "brier_score": (calibration.brier_score, {"confidence": SCORES, "outcome": POSITIVE}),
    "fit_temperature": (calibration.fit_temperature, {"logits": LOGITS, "target": TARGET}),
    "bootstrap_interval": (resample.bootstrap_interval, {"values": VALUES}),
    "block_bootstrap_interval": (lambda values: resample.block_bootstrap_interval(values, 2), {"values": VALUES}),
}
ARGUMENTS = [(case, name) for case, (_, arguments) in CASES.items() for name in arguments]
FREE_LENGTH = {"bootstrap_interval", "block_bootstrap_interval"}  # there is nothing that `values` must fit

pytestmark = pytest.mark.usefixtures("unchecked")


def test_every_public_function_is_tried():
    assert public_names(calibration, classification, ranking, resample) == set(CASES)


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_other_shapes_are_refused(case, name):
    function, arguments = CASES[case]
    for value in other_shapes(arguments[name]):
        if case in FREE_LENGTH and value.ndim == 1 and len(value):
            continue
        assert_misfit_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_other_types_give_the_same_or_are_refused(case, name):
    function, arguments = CASES[case]
    for value in other_types(arguments[name]):
        assert_right_or_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_what_is_no_such_tensor_is_refused(case, name):
    function, arguments = CASES[case]
    original = arguments[name]
    wrong = [original.tolist(), original.numpy(), original.to(torch.complex64)]
    if original.dtype != torch.bool and case not in FREE_LENGTH:
        wrong.append(original > 0)
    if not original.is_floating_point():
        wrong.append(original.double())
    for value in wrong:
        assert_misfit_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", [pair for pair in ARGUMENTS if CASES[pair[0]][1][pair[1]].is_floating_point()])
def test_nan_is_refused_or_stays_nan(case, name):
    function, arguments = CASES[case]
    nan, *_ = poisoned(arguments[name])
    assert_nan_or_refused(function, arguments, name, nan)


@pytest.mark.parametrize("case", [case for case, (_, arguments) in CASES.items() if "scores" in arguments])
def test_infinite_scores_are_ordered_as_numbers_are(case):
    function, arguments = CASES[case]
    for sign in (1, -1):
        finite, infinite = SCORES.clone(), SCORES.clone()
        finite[0], infinite[0] = 9 * sign, math.inf * sign
        of_finite = function(**{**arguments, "scores": finite})
        of_infinite = function(**{**arguments, "scores": infinite})
        if not isinstance(of_finite, tuple):
            of_finite, of_infinite = (of_finite,), (of_infinite,)
        for mine, yours in zip(of_infinite, of_finite, strict=True):
            at_9 = yours == 9 * sign
            assert_close(torch.where(at_9, 0, mine.double()), torch.where(at_9, 0, yours.double()))


@pytest.mark.parametrize("case", ["confusion_matrix", "accuracy", "fit_temperature"])
@pytest.mark.parametrize("label", [-100, -1, 3])
def test_labels_that_do_not_exist_are_named(case, label):
    labels = TARGET.clone()
    labels[2] = label
    function, arguments = CASES[case]
    with pytest.raises(ValueError, match=r"target must lie between 0 and classes - 1 = 2: got"):
        function(**{**arguments, "target": labels})


def test_infinite_logits_have_a_largest():
    logits = torch.tensor([[math.inf, 0.0, 1.0], [-math.inf, -math.inf, 0.0]])
    assert classification.accuracy(logits, torch.tensor([0, 2])) == 1


def test_counts_are_not_negative_and_classes_not_none():
    with pytest.raises(ValueError, match="matrix must not be negative: got -1"):
        classification.f1(torch.tensor([[1, -1], [0, 2]]))
    with pytest.raises(ValueError, match="classes must be at least 1: got 0"):
        classification.confusion_matrix(TARGET[:0], TARGET[:0], 0)
    assert not classification.confusion_matrix(TARGET[:0], TARGET[:0], 2).any()


def test_half_precision_does_not_change_a_mean_over_many():
    """70,000 examples: their sum is above the largest number of float16."""
    confidence, outcome = torch.full((70_000,), 0.5), torch.ones(70_000).bool()
    for dtype in (torch.float16, torch.bfloat16):
        assert calibration.brier_score(confidence.to(dtype), outcome) == 0.25
        assert calibration.expected_calibration_error(confidence.to(dtype), outcome) == 0.5
        assert resample.bootstrap_interval(confidence.to(dtype), resamples=2) == (0.5, 0.5)
