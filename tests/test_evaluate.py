"""Evaluation: equal to scikit-learn; intervals that cover the truth as often as they say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from torch.testing import assert_close

from dlbook import evaluate


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_equal_to_scikit_learn(examples, classes, seed):
    torch.manual_seed(seed)
    scores, target = torch.randn(examples, classes), torch.randint(classes, (examples,))
    predicted = scores.argmax(1)
    assert evaluate.accuracy(scores, target).item() == pytest.approx(metrics.accuracy_score(target, predicted))
    expected = torch.tensor(metrics.confusion_matrix(target, predicted, labels=range(classes)))
    assert_close(evaluate.confusion_matrix(target, predicted, classes), expected)


def test_confusion_matrix_of_labels_that_do_not_exist():
    with pytest.raises(ValueError, match="labels must lie between 0 and classes - 1 = 1: got 0 to 2"):
        evaluate.confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), 2)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for trial in range(200):
        values = (torch.rand(100, generator=generator) < 0.7).float()
        low, high = evaluate.bootstrap_interval(values, resamples=200, seed=trial)
        covered += low <= 0.7 <= high
    assert 180 <= covered <= 199


def test_bootstrap_interval_narrows_with_the_root_of_the_number_of_examples():
    values = torch.arange(2).repeat(200).double()
    wide, narrow = (evaluate.bootstrap_interval(v) for v in (values[:100], values))
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(
    "values, level, message",
    [([1.0], 0.95, "at least 2 examples: got 1"), ([0.0, 1.0], 1.0, "between 0 and 1: got 1.0")],
)
def test_errors(values, level, message):
    with pytest.raises(ValueError, match=message):
        evaluate.bootstrap_interval(torch.tensor(values), level)
