"""Few labels: scores equal to SciPy and NumPy, pseudo-labels to scikit-learn, and formulas as printed."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.practice import few_labels
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor


def predicted(rows=6, classes=4):
    return random(rows, classes).softmax(1)


# --- uncertainty ------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.few_labels.entropy", to="scipy.stats.entropy")
def test_entropy_equals_scipy():
    p = torch.cat([predicted(), torch.eye(4).double()])
    assert_close(few_labels.entropy(p), tensor(entropy(p.numpy(), axis=1)))


@reference("dlbook.practice.few_labels.margin", to="numpy.sort")
@reference("dlbook.practice.few_labels.least_confidence", to="numpy.sort")
def test_scores_equal_those_of_a_sort():
    p = predicted()
    ordered = np.sort(p.numpy(), axis=1)
    assert_close(few_labels.least_confidence(p), tensor(1 - ordered[:, -1]))
    assert_close(few_labels.margin(p), tensor(1 - (ordered[:, -1] - ordered[:, -2])))


@executed("5.1.1a", of="dlbook.practice.few_labels.least_confidence")
def test_least_confidence_as_printed(formula):
    for p in predicted():
        assert_close(few_labels.least_confidence(p[None])[0], tensor(formula({"p": p}, {"k": 4})["u"]))


@executed("5.1.1b", of="dlbook.practice.few_labels.margin")
def test_margin_as_printed(formula):
    for p in predicted():
        found = formula({"p": p}, {"k": 4, "j": 4})
        assert found["c"] == int(p.argmax()) + 1
        assert_close(few_labels.margin(p[None])[0], tensor(found["u"]))


@executed("5.1.1c", of="dlbook.practice.few_labels.entropy")
def test_entropy_as_printed(formula):
    for p in predicted():
        assert_close(few_labels.entropy(p[None])[0], tensor(formula({"p": p}, {"k": 4})["u"]))


def test_with_two_classes_all_scores_give_one_order():
    p = predicted(50, 2)
    orders = [score(p).argsort() for score in (few_labels.least_confidence, few_labels.margin, few_labels.entropy)]
    assert torch.equal(orders[0], orders[1]) and torch.equal(orders[0], orders[2])


@pytest.mark.parametrize("score", [few_labels.least_confidence, few_labels.margin, few_labels.entropy])
@pytest.mark.parametrize(
    "p, error",
    [
        (torch.ones(3, 2), "probabilities must be at least 0 and sum to 1: got others"),
        (torch.tensor([[1.5, -0.5]]), "probabilities must be at least 0 and sum to 1: got others"),
        (torch.ones(3, 1), "probabilities must be of at least 2 classes: got 1"),
    ],
)
def test_what_are_no_probabilities(score, p, error):
    with pytest.raises(ValueError, match=error):
        score(p)


@pytest.mark.parametrize("score", [few_labels.least_confidence, few_labels.margin, few_labels.entropy])
def test_no_examples_have_no_scores(score):
    assert score(torch.zeros(0, 3)).shape == (0,)


def test_no_examples_have_no_pseudo_labels():
    rows, labels = few_labels.pseudo_labels(torch.zeros(0, 3), 0.9)
    assert rows.shape == labels.shape == (0,)


# --- core-set ---------------------------------------------------------------------------------------------------------


@executed("5.1.1d", of="dlbook.practice.few_labels.k_center_greedy")
def test_core_set_as_printed(formula):
    x, labelled = random(9, 3), {2, 5}
    mask = torch.tensor([i + 1 in labelled for i in range(9)])
    for chosen in few_labels.k_center_greedy(x, mask, 4):
        assert formula({"x": x, "S": set(labelled)}, {"i": 9})["i"] == int(chosen) + 1
        labelled.add(int(chosen) + 1)


@reference("dlbook.practice.few_labels.k_center_greedy", to="scipy.spatial.distance.cdist")
def test_core_set_equals_a_loop_over_distances():
    x, chosen = random(12, 2), [3]
    mask = torch.arange(12) == 3
    distances = cdist(x.numpy(), x.numpy())
    for new in few_labels.k_center_greedy(x, mask, 11).tolist():
        left = [i for i in range(12) if i not in chosen]
        assert new == max(left, key=lambda i: distances[i, chosen].min())
        chosen.append(new)


def test_core_set_takes_each_once_where_all_coincide():
    mask = torch.tensor([True, False, False, False])
    assert sorted(few_labels.k_center_greedy(torch.zeros(4, 2), mask, 3).tolist()) == [1, 2, 3]


@pytest.mark.parametrize("labelled, count", [([False] * 3, 1), ([True, False, False], 3), ([True] * 3, 1)])
def test_core_set_without_enough(labelled, count):
    with pytest.raises(ValueError, match=f"labelled must hold an example, and leave at least count = {count}"):
        few_labels.k_center_greedy(torch.zeros(3, 2), torch.tensor(labelled), count)


# --- pseudo-labels ----------------------------------------------------------------------------------------------------


@reference("dlbook.practice.few_labels.pseudo_labels", to="sklearn.semi_supervised.SelfTrainingClassifier")
def test_pseudo_labels_equal_scikit_learn():
    x = random(40, 3)
    y = (x[:, 0] > 0).long()
    y[10:] = -1
    training = SelfTrainingClassifier(LogisticRegression(), threshold=0.7, max_iter=1).fit(x.numpy(), y.numpy())
    teacher = LogisticRegression().fit(x[:10].numpy(), y[:10].numpy())
    rows, labels = few_labels.pseudo_labels(tensor(teacher.predict_proba(x[10:].numpy())), 0.7)
    assert rows.tolist() == np.flatnonzero(training.labeled_iter_[10:] == 1).tolist()
    assert labels.tolist() == training.transduction_[10:][rows].tolist()
    assert 0 < len(rows) < 30


@executed("5.1.1e", of="dlbook.practice.few_labels.pseudo_labels")
def test_the_loss_with_pseudo_labels_as_printed(formula):
    p, y, student = predicted(3), torch.tensor([0, 3, 1]), predicted(8)
    teacher = torch.softmax(2 * random(8, 4), 1)
    teacher[0] = tensor([0.6, 0.2, 0.1, 0.1])  # reaches the threshold, and does not exceed it
    rows, labels = few_labels.pseudo_labels(teacher, 0.6)
    assert 0 < len(rows) < 8
    expected = F.nll_loss(p.log(), y, reduction="sum") + 0.3 * F.nll_loss(student[rows].log(), labels, reduction="sum")
    names = {"p": p, "y": y + 1, "s": student, "q": teacher, "tau": 0.6, "lambda": 0.3}
    found = formula(names, {"n": 3, "m": 8, "k": 4})
    assert_close(tensor(found["L"]), expected)


@pytest.mark.parametrize("threshold", [1.0, -0.1])
def test_a_threshold_that_cannot_be(threshold):
    with pytest.raises(ValueError, match="threshold must be at least 0 and below 1"):
        few_labels.pseudo_labels(predicted(), threshold)


# --- rotations --------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.few_labels.rotations", to="numpy.rot90")
def test_rotations_equal_numpy():
    images = random(2, 3, 5, 5)
    turned, quarters = few_labels.rotations(images)
    assert quarters.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for number, (image, k) in enumerate(zip(turned, quarters.tolist(), strict=True)):
        assert_close(image, tensor(np.rot90(images[number % 2].numpy(), k, axes=(1, 2)).copy()))
