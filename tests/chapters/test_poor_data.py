"""What the chapter on poor data prints: label noise, robust losses, confident learning, the two-sample test."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from dlbook.practice import label_noise as noise
from dlbook.practice.data_checks import classifier_two_sample_test
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


@executed("5.1.2a", of="dlbook.practice.label_noise.flip_labels")
def test_probabilities_of_noisy_labels(formula):
    transition = random(3, 3).softmax(1)
    shares = tensor([0.5, 0.3, 0.2])
    true = torch.arange(3).repeat_interleave((200_000 * shares).round().long())
    found = tensor(formula({"p": shares, "T": transition}, {"i": 3, "j": 3})["tilde_p"])
    flipped = noise.flip_labels(true, transition).bincount(minlength=3) / len(true)
    assert (flipped - found).abs().max() < 0.005


@executed("5.1.2b", of="dlbook.practice.label_noise.uniform_noise")
def test_the_expected_loss_under_uniform_noise(formula):
    for classes, rate in itertools.product((3, 5), (0.1, 0.4)):
        transition, losses = noise.uniform_noise(classes, rate), random(classes)
        for y in range(classes):
            names = {"ell": losses, "ell_y": losses[y], "eta": rate, "C": float(classes)}
            found = formula(names, {"k": classes})
            assert_close(tensor(found["tilde_ell"]), transition[y] @ losses)


@executed("5.1.2c", of="dlbook.practice.label_noise.uniform_noise")
def test_the_noisy_accuracy_under_uniform_noise(formula):
    for classes, rate in itertools.product((3, 5), (0.1, 0.4)):
        transition = noise.uniform_noise(classes, rate)
        predicted, true = torch.randint(classes, (2, 50))
        accuracy = (predicted == true).double().mean()
        expected = transition[true, predicted].mean()  # how often a noisy label equals the prediction
        found = formula({"A": accuracy, "eta": rate, "C": float(classes)})
        assert_close(tensor(found["tilde_A"]), expected)


@executed("5.1.2d", of="dlbook.practice.label_noise.generalized_cross_entropy")
def test_generalized_cross_entropy_and_its_gradient(formula):
    for y, q in itertools.product(range(4), (0.3, 0.7, 1.0)):
        logits = random(1, 4).requires_grad_()
        loss = noise.generalized_cross_entropy(logits, torch.tensor([y]), q)
        loss.backward()
        p = logits.detach().softmax(1)[0]
        found = formula({"p": p, "p_y": p[y], "q": q, "y": y + 1}, {"j": 4})
        assert_close(tensor(found["ell"]), loss.detach())
        assert_close(tensor(found["dell/dz"]), logits.grad[0])


def labelled():
    """Return probabilities of 40 examples in 3 classes, and labels."""
    p, y = random(40, 3).mul(2).softmax(1), torch.randint(3, (40,))
    return p, y


@executed("5.1.2e", of="dlbook.practice.label_noise.confident_thresholds")
def test_thresholds(formula):
    p, y = labelled()
    found = formula({"p": p, "y": y + 1, "N": 40}, {"n": 40, "j": 3})
    assert_close(tensor(found["t"]), noise.confident_thresholds(p, y))


@executed("5.1.2f", of="dlbook.practice.label_noise.confident_joint")
def test_confident_joint(formula):
    p, y = labelled()
    c = noise.confident_classes(p, y)
    found = formula({"y": y + 1, "c": c + 1, "N": 40}, {"n": 40, "i": 3, "j": 3})
    assert_close(tensor(found["J"]), noise.confident_joint(p, y).double())


@executed("5.1.2g", of="dlbook.practice.label_noise.estimate_joint")
def test_estimated_joint(formula):
    p, y = labelled()
    counts = noise.confident_joint(p, y)
    assert counts.diagonal().min() > 0
    found = formula({"J": counts.double(), "y": y + 1, "N": 40}, {"n": 40, "i": 3, "j": 3, "k": 3})
    assert_close(tensor(found["Q"]), noise.estimate_joint(p, y))


@executed("5.1.2h", of="dlbook.practice.data_checks.classifier_two_sample_test")
def test_p_value_of_the_two_sample_test(formula):
    first, second = random(4000, 1), random(4000, 1)
    for share in (0.0, 0.01, 0.03):  # of the tested examples that the classifier has from elsewhere

        def fit_predict(x, y, others, share=share):
            guess = torch.arange(len(others)) % 2
            known = torch.arange(len(others)) < share * len(others)
            return torch.where(known, torch.arange(len(others)) >= len(others) // 2, guess)

        result = classifier_two_sample_test(first, second, fit_predict)
        found = formula({"m": float(result.tested), "a": result.accuracy})
        assert float(found["P"]) == pytest.approx(result.p_value, abs=0.008)
