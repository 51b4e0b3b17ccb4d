"""The equations of the first chapter: what a network is judged by, what it learns by, and what a word says."""

import torch
from torch.testing import assert_close

from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.network import Dense
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


def judged(examples):
    """Return scores of three classes, the right answers, of which all but two score best, and the equations' names."""
    layer, x = Dense(2, 3).double(), random(examples, 2)
    scores = layer(x)
    y = scores.argmax(1)
    y[1:3] = scores[1:3].argmin(1)
    return scores, y, {"s": lambda k, x: layer(tensor(x))[..., range(1, 4).index(k)], "x": x, "y": y + 1}


@executed("1.1a", of="dlbook.metrics.classification.accuracy")
def test_accuracy_counts_right_answers(formula):
    scores, y, names = judged(7)
    found = formula(names | {"M": 7}, {"k": 3})
    assert_close(tensor(found["A"]), accuracy(scores, y).double(), atol=1e-7, rtol=0)


@executed("1.1b", of="dlbook.losses.cross_entropy")
def test_the_loss_is_the_mean_surprise_at_the_right_answers(formula):
    scores, y, names = judged(5)
    found = formula(names | {"N": 5}, {"k": 3, "j": 3})
    assert_close(tensor(found["L"]), cross_entropy(scores, y))
    assert_close(tensor(found["p"]).T, scores.softmax(1))


@executed("1.1c", of="dlbook.network.Dense")
def test_the_score_of_an_average_is_the_average_of_scores(formula):
    output, E, words = Dense(5, 2).double(), random(6, 5), [3, 1, 6, 3]  # five numbers for each of six words
    torch.nn.init.normal_(output.bias)
    names = {"u": output.weight, "b": output.bias, "E": E, "w_": words, "T": 4}
    found = formula(names, {"c": 5, "w": 6}, starts={"u": (0, 1), "b": 0})
    scores = output(E[tensor(words).long() - 1].mean(0))
    assert_close(tensor(found["s_1-s_0"]), scores[1] - scores[0])
    of_each = output(E) - output.bias
    assert_close(tensor(found["v"]), of_each[:, 1] - of_each[:, 0])
