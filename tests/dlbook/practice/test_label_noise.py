"""Label noise and confident learning: equal to cleanlab and scikit-learn, and as the papers say."""

import numpy as np
import pytest
import torch
from cleanlab import count, rank
from cleanlab import filter as cleanlab_filter
from cleanlab.benchmarking.noise_generation import generate_noise_matrix_from_trace
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.practice import label_noise as noise
from tests.helpers.references import assert_same, random, reference


def case(examples=600, classes=4, seed=0, strength=2.0):
    """Probabilities that know something of the true class, and labels of which a fifth is wrong."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(classes, (examples,), generator=generator)
    logits = torch.randn(examples, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(examples), true] += strength
    labels = noise.flip_labels(true, noise.uniform_noise(classes, 0.2), seed)
    return logits.softmax(1), labels


CASES = [case(), case(50, 2, 1), case(900, 10, 2, 1.0), case(300, 3, 3, 0.1)]


@reference("dlbook.practice.label_noise.confident_thresholds", to="cleanlab.count.get_confident_thresholds")
@pytest.mark.parametrize("p, y", CASES)
def test_thresholds_equal_cleanlab(p, y):
    theirs = count.get_confident_thresholds(y.numpy(), p.numpy())
    assert_close(noise.confident_thresholds(p, y), torch.tensor(theirs))


@reference(
    "dlbook.practice.label_noise.confident_joint",
    "dlbook.practice.label_noise.confident_classes",
    to="cleanlab.count.compute_confident_joint",
)
@pytest.mark.parametrize("p, y", CASES)
def test_joint_equals_cleanlab(p, y):
    theirs = count.compute_confident_joint(y.numpy(), p.numpy(), calibrate=False)
    ours = noise.confident_joint(p, y)
    assert_close(ours, torch.tensor(theirs))
    confident = noise.confident_classes(p, y)
    assert int((confident >= 0).sum()) == int(ours.sum())


@reference("dlbook.practice.label_noise.estimate_joint", to="cleanlab.count.estimate_joint")
@pytest.mark.parametrize("p, y", CASES)
def test_estimate_equals_cleanlab_up_to_its_rounding_to_whole_examples(p, y):
    theirs = torch.tensor(count.estimate_joint(y.numpy(), p.numpy()))
    ours = noise.estimate_joint(p, y)
    assert ((ours - theirs).abs() * len(y) < 1).all()
    assert_close(ours.sum(1), y.bincount(minlength=p.shape[1]) / len(y), check_dtype=False)


@reference("dlbook.practice.label_noise.find_label_issues", to="cleanlab.filter.find_label_issues")
@pytest.mark.parametrize("p, y", CASES)
def test_issues_equal_cleanlab(p, y):
    theirs = cleanlab_filter.find_label_issues(y.numpy(), p.numpy(), filter_by="confident_learning", n_jobs=1)
    ours = noise.find_label_issues(p, y)
    assert (ours.numpy() == theirs).all()
    assert 0 < ours.sum() < len(y)


@reference("dlbook.practice.label_noise.self_confidence", to="cleanlab.rank.get_label_quality_scores")
@reference("dlbook.practice.label_noise.normalized_margin", to="cleanlab.rank.get_label_quality_scores")
@pytest.mark.parametrize("p, y", CASES)
def test_scores_equal_cleanlab(p, y):
    for name, ours in (("self_confidence", noise.self_confidence), ("normalized_margin", noise.normalized_margin)):
        theirs = rank.get_label_quality_scores(y.numpy(), p.numpy(), method=name)
        assert_close(ours(p, y), torch.tensor(theirs))
    assert_close(noise.self_confidence(p, y), torch.exp(-F.nll_loss(p.log(), y, reduction="none")))


def test_a_class_without_labels_is_never_confident():
    p = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]).double()
    y = torch.tensor([0, 0, 1])
    assert noise.confident_thresholds(p, y)[2] == torch.inf
    assert noise.confident_classes(p, y).tolist() == [-1, 0, 1]
    assert noise.confident_joint(p, y).sum(0)[2] == 0


def test_the_hand_example():
    p = torch.tensor([0.1, 0.2, 0.6, 0.7, 0.6, 0.2]).double()
    p, y = torch.stack([1 - p, p], 1), torch.tensor([0, 0, 0, 1, 1, 1])
    assert noise.confident_joint(p, y).tolist() == [[2, 1], [1, 2]]
    assert noise.find_label_issues(p, y).tolist() == [False, False, True, False, False, True]
    assert 1 - noise.estimate_joint(p, y).trace().item() == pytest.approx(1 / 3)


@reference("dlbook.practice.label_noise.out_of_fold", to="sklearn.model_selection.cross_val_predict")
def test_out_of_fold_equals_scikit_learn_with_the_same_folds():
    x, y = random(60, 3), torch.arange(60) % 3
    fold = torch.full((60,), -1)
    calls = []

    def fit_predict(train, labels, test):
        rows = (x[:, None] == test).all(2).any(1)
        fold[rows] = len(calls)
        calls.append(labels.bincount().tolist())
        return torch.tensor(LogisticRegression().fit(train.numpy(), labels.numpy()).predict_proba(test.numpy()))

    ours = noise.out_of_fold(fit_predict, x, y, folds=4, seed=1)
    theirs = cross_val_predict(
        LogisticRegression(), x.numpy(), y.numpy(), cv=PredefinedSplit(fold.numpy()), method="predict_proba"
    )
    assert_close(ours, torch.tensor(theirs))
    assert calls == [[15, 15, 15]] * 4  # stratified
    assert not torch.equal(ours, noise.out_of_fold(fit_predict, x, y, folds=4, seed=2))


@reference("dlbook.practice.label_noise.flip_labels", to="sklearn.metrics.confusion_matrix")
def test_labels_flip_as_often_as_the_matrix_says():
    true = torch.arange(4).repeat_interleave(20_000)
    rng = np.random.default_rng(0)
    transition = torch.tensor(generate_noise_matrix_from_trace(4, 2.4, py=np.full(4, 0.25), seed=0)).T.contiguous()
    transition = transition / transition.sum(1, keepdim=True)
    noisy = noise.flip_labels(true, transition, seed=int(rng.integers(9)))
    found = torch.tensor(confusion_matrix(true, noisy)) / 20_000
    assert (found - transition).abs().max() < 0.015
    assert torch.equal(noise.flip_labels(true, torch.eye(4).double()), true)


def test_matrices():
    uniform = noise.uniform_noise(5, 0.4)
    assert_close(uniform.sum(1), torch.ones(5).double())
    assert_close(uniform.diagonal(), torch.full((5,), 0.6).double())
    assert uniform[0, 1] == pytest.approx(0.1)
    pairs = noise.pair_noise(4, 0.3, [(0, 2)])
    assert_close(pairs[0], torch.tensor([0.7, 0.0, 0.3, 0.0]).double())
    assert_close(pairs[[1, 3]], torch.eye(4).double()[[1, 3]])


@reference("dlbook.practice.label_noise.generalized_cross_entropy", to="torch.nn.functional.cross_entropy")
def test_generalized_cross_entropy_between_its_limits():
    y = torch.tensor([0, 2, 1, 1])
    assert_same(lambda z: noise.generalized_cross_entropy(z, y, 1e-10), lambda z: F.cross_entropy(z, y), random(4, 3))
    one_hot = F.one_hot(y, 3).double()
    assert_same(
        lambda z: noise.generalized_cross_entropy(z, y, 1.0),
        lambda z: (z.softmax(1) - one_hot).abs().sum(1).mean() / 2,
        random(4, 3),
    )
    assert_same(
        lambda z: noise.generalized_cross_entropy(z, y, 0.7),
        lambda z: ((1 - z.softmax(1).gather(1, y[:, None]) ** 0.7) / 0.7).mean(),
        random(4, 3),
    )
    extreme = torch.tensor([[800.0, 0.0]]).double().requires_grad_()
    noise.generalized_cross_entropy(extreme, torch.tensor([1])).backward()
    assert extreme.grad.isfinite().all()


@reference("dlbook.practice.label_noise.forward_corrected_cross_entropy", to="torch.nn.functional.cross_entropy")
def test_forward_correction():
    y, transition = torch.tensor([0, 2, 1, 1]), noise.pair_noise(3, 0.2, [(0, 1)])
    assert_same(
        lambda z: noise.forward_corrected_cross_entropy(z, y, torch.eye(3).double()),
        lambda z: F.cross_entropy(z, y),
        random(4, 3),
    )
    assert_same(
        lambda z: noise.forward_corrected_cross_entropy(z, y, transition),
        lambda z: F.nll_loss((z.softmax(1) @ transition).log(), y),
        random(4, 3),
    )


def nothing(*_):
    raise AssertionError


@pytest.mark.parametrize(
    "error, call, message",
    [
        (ValueError, lambda: noise.uniform_noise(1, 0.1), "classes must be at least 2: got 1"),
        (ValueError, lambda: noise.uniform_noise(3, 1.5), "p must lie between 0 and 1: got 1.5"),
        (ValueError, lambda: noise.pair_noise(3, 0.1, [(0, 1), (1, 2)]), "pairs must hold each class"),
        (ValueError, lambda: noise.pair_noise(3, 0.1, [(0, 3)]), "pairs must hold each class"),
        (ValueError, lambda: noise.flip_labels(torch.tensor([3]), torch.eye(3)), "labels must be at least 0 and"),
        (ValueError, lambda: noise.flip_labels(torch.tensor([0]), 2 * torch.eye(3)), "add up to 1"),
        (ValueError, lambda: noise.flip_labels(torch.tensor([0]), torch.ones(2, 3) / 3), "must be square"),
        (ValueError, lambda: noise.generalized_cross_entropy(random(1, 2), torch.tensor([0]), 0.0), "q must be above"),
        (ValueError, lambda: noise.generalized_cross_entropy(random(1, 2), torch.tensor([2])), "target must be at"),
        (
            TypeError,
            lambda: noise.self_confidence(random(1, 2).softmax(1), torch.tensor([0], dtype=torch.int32)),
            "labels must be int64",
        ),
        (ValueError, lambda: noise.out_of_fold(nothing, random(3, 1), torch.tensor([0, 0, 1]), 2), "got one 1 times"),
        (ValueError, lambda: noise.find_label_issues(random(2, 2), torch.tensor([0, 1])), "add up to 1 in each row"),
        (ValueError, lambda: noise.find_label_issues(torch.zeros(0, 2), torch.zeros(0).long()), "at least one"),
        (ValueError, lambda: noise.confident_thresholds(torch.ones(1, 1), torch.tensor([-1])), "at least 0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(error, call, message):
    with pytest.raises(error, match=message):
        call()
