"""Classification metrics: equal to scikit-learn and torchmetrics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch.testing import assert_close
from torchmetrics.functional import classification as torchmetrics

from dlbook.metrics import classification
from tests.helpers.equations import executed
from tests.helpers.references import reference, tensor


@reference("dlbook.metrics.classification.accuracy", to="sklearn.metrics.accuracy_score")
@reference("dlbook.metrics.classification.confusion_matrix", to="sklearn.metrics.confusion_matrix")
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_equal_to_scikit_learn(examples, classes, seed):
    torch.manual_seed(seed)
    logits, target = torch.randn(examples, classes), torch.randint(classes, (examples,))
    predicted = logits.argmax(1)
    assert classification.accuracy(logits, target).item() == pytest.approx(metrics.accuracy_score(target, predicted))
    expected = torch.tensor(metrics.confusion_matrix(target, predicted, labels=range(classes)))
    assert_close(classification.confusion_matrix(target, predicted, classes), expected)


def test_confusion_matrix_of_labels_that_do_not_exist():
    with pytest.raises(ValueError, match="target must lie between 0 and classes - 1 = 1: got 0 to 2"):
        classification.confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), 2)


# --- from the confusion matrix ----------------------------------------------------------------------------------------

LABELS = st.integers(1, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes), st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=30)
    )
)


@reference(
    "dlbook.metrics.classification.precision",
    "dlbook.metrics.classification.macro_average",
    to="sklearn.metrics.precision_score",
)
@reference("dlbook.metrics.classification.recall", to="sklearn.metrics.recall_score")
@reference("dlbook.metrics.classification.f1", to="sklearn.metrics.f1_score")
@settings(max_examples=20)
@given(LABELS)
def test_each_class_equals_scikit_learn_and_torchmetrics(drawn):
    classes, pairs = drawn
    target, predicted = torch.tensor(pairs).T
    matrix = classification.confusion_matrix(target, predicted, classes)
    for ours, name in (
        (classification.precision, "precision"),
        (classification.recall, "recall"),
        (classification.f1, "f1"),
    ):
        of_sklearn = getattr(metrics, f"{name}_score")
        options = {"average": None, "labels": range(classes), "zero_division": 0}
        assert_close(ours(matrix), tensor(of_sklearn(target, predicted, **options)))
        for average in ("macro", "weighted"):
            theirs = of_sklearn(target, predicted, average=average, zero_division=0)
            mine = classification.macro_average(ours(matrix), matrix, weighted=average == "weighted")
            assert mine.item() == pytest.approx(theirs)
            if classes > 1:
                of_torchmetrics = getattr(torchmetrics, f"multiclass_{'f1_score' if name == 'f1' else name}")
                theirs = of_torchmetrics(predicted, target, classes, average=average)
                assert mine.item() == pytest.approx(theirs.item(), abs=1e-6)
        if classes > 1:
            theirs = of_torchmetrics(predicted, target, classes, average="none")
            assert_close(ours(matrix).float(), theirs)
        micro = of_sklearn(target, predicted, average="micro")
        assert matrix.trace().item() / len(pairs) == pytest.approx(micro)  # as `macro_average` says: the accuracy


@reference("dlbook.metrics.classification.balanced_accuracy", to="sklearn.metrics.balanced_accuracy_score")
@reference("dlbook.metrics.classification.matthews_correlation", to="sklearn.metrics.matthews_corrcoef")
@given(LABELS)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
def test_one_number_for_all_classes_equals_scikit_learn(drawn):
    classes, pairs = drawn
    target, predicted = torch.tensor(pairs).T
    matrix = classification.confusion_matrix(target, predicted, classes)
    theirs = metrics.balanced_accuracy_score(target, predicted)
    assert classification.balanced_accuracy(matrix).item() == pytest.approx(theirs)
    theirs = metrics.matthews_corrcoef(target, predicted)
    assert classification.matthews_correlation(matrix).item() == pytest.approx(theirs, abs=1e-12)
    if (
        len(target.unique()) > 1 and len(predicted.unique()) > 1
    ):  # elsewhere 0/0, where torchmetrics has rules of its own
        theirs = torchmetrics.multiclass_matthews_corrcoef(predicted, target, classes).item()
        assert classification.matthews_correlation(matrix).item() == pytest.approx(theirs, abs=1e-5)


def test_matthews_correlation_of_two_classes_is_pearsons():
    torch.manual_seed(0)
    target, predicted = torch.randint(2, (2, 50))
    matrix = classification.confusion_matrix(target, predicted, 2)
    assert_close(
        classification.matthews_correlation(matrix), torch.corrcoef(torch.stack([target, predicted]).double())[0, 1]
    )


def test_what_is_0_by_0_is_0():
    matrix = torch.tensor([[3, 0, 1], [2, 0, 0], [0, 0, 0]])  # nothing was taken for 1, and 2 does not occur
    assert classification.precision(matrix).tolist() == [0.6, 0, 0]
    assert classification.recall(matrix).tolist() == [0.75, 0, 0]
    assert classification.f1(matrix).tolist() == [pytest.approx(2 / 3), 0, 0]
    assert classification.balanced_accuracy(matrix).item() == 0.375  # of the two classes that occur
    assert classification.matthews_correlation(torch.tensor([[4, 0], [2, 0]])).item() == 0
    empty = torch.zeros(2, 2).long()
    assert not any(
        measure(empty).any() for measure in (classification.precision, classification.recall, classification.f1)
    )


@pytest.mark.parametrize(
    "average",
    [
        classification.balanced_accuracy,
        classification.matthews_correlation,
        lambda m: classification.macro_average(torch.ones(2), m),
    ],
)
def test_nothing_has_no_average(average):
    with pytest.raises(ValueError, match="matrix must count at least one example: got none in 2 classes"):
        average(torch.zeros(2, 2).long())


MATRIX = torch.tensor([[5, 2, 1], [1, 4, 3], [2, 6, 7]])


@executed("6.5a", of="dlbook.metrics.classification.precision")
def test_precision_and_recall_as_printed(formula):
    found = formula({"M": MATRIX}, {"i": 3, "j": 3, "k": 3})
    assert_close(classification.precision(MATRIX), tensor(found["precision"]))
    assert_close(classification.recall(MATRIX), tensor(found["recall"]))


@executed("6.5b", of="dlbook.metrics.classification.f1")
def test_f1_as_printed(formula):
    names = {"M": MATRIX, "precision": classification.precision(MATRIX), "recall": classification.recall(MATRIX)}
    for side in formula(names, {"i": 3, "j": 3, "k": 3})["F1"]:
        assert_close(classification.f1(MATRIX), tensor(side))
