"""The equations of the first chapter: what a network is judged by, what it learns by, and what a word says."""

import math

import torch
from torch.testing import assert_close

from dlbook.losses import cross_entropy
from dlbook.metrics.classification import accuracy
from dlbook.network import Dense
from tests.helpers.by_index import softmax
from tests.helpers.equations import equation
from tests.helpers.references import random


def accuracy_by_index(s, y):
    best = [max(range(len(row)), key=lambda k: row[k]) for row in s]
    return sum(int(k == right) for k, right in zip(best, y, strict=True)) / len(y)


def lowest_score_wins(s, y):
    return accuracy_by_index([[-v for v in row] for row in s], y)


def share_of_wrong_answers(s, y):
    return 1 - accuracy_by_index(s, y)


@equation(
    "1.1a", "dlbook.metrics.classification.accuracy", accuracy_by_index, lowest_score_wins, share_of_wrong_answers
)
def test_accuracy_counts_right_answers(formula):
    torch.manual_seed(0)
    s, y = random(40, 3), torch.randint(3, (40,))
    s[torch.arange(25), y[:25]] += 3  # more often right than wrong
    assert_close(accuracy(s, y).double(), torch.tensor(formula(s.tolist(), y.tolist())).double(), atol=1e-7, rtol=0)


def loss_by_index(s, y, sign=-1, count=None, right=lambda row, k: row[k]):
    total = 0.0
    for row, k in zip(s, y, strict=True):
        total += math.log(right(softmax(row), k))
    return sign * total / (count or len(y))


def with_plus(s, y):
    return loss_by_index(s, y, sign=1)


def summed(s, y):
    return loss_by_index(s, y, count=1)


def of_the_best_answer(s, y):
    return loss_by_index(s, y, right=lambda row, _: max(row))


@equation("1.1b", "dlbook.losses.cross_entropy", loss_by_index, with_plus, summed, of_the_best_answer)
def test_the_loss_is_the_mean_surprise_at_the_right_answers(formula):
    torch.manual_seed(0)
    s, y = random(7, 4), torch.randint(4, (7,))
    assert_close(cross_entropy(s, y).item(), formula(s.tolist(), y.tolist()))


def words_by_index(e, u, b, scale=True, constant=1):
    verdicts = [sum((u[1][c] - u[0][c]) * word[c] for c in range(len(word))) for word in e]
    return constant * (b[1] - b[0]) + sum(verdicts) / (len(e) if scale else 1)


def not_averaged(e, u, b):
    return words_by_index(e, u, b, scale=False)


def other_way_round(e, u, b):
    return words_by_index(e, u[::-1], b)


def without_constants(e, u, b):
    return words_by_index(e, u, b, constant=0)


@equation("1.1c", "dlbook.network.Dense", words_by_index, not_averaged, other_way_round, without_constants)
def test_the_score_of_an_average_is_the_average_of_scores(formula):
    torch.manual_seed(0)
    output, e = Dense(5, 2).double(), random(6, 5)  # five numbers for each of six words
    torch.nn.init.normal_(output.bias)
    scores = output(e.mean(0))
    expected = formula(e.tolist(), output.weight.tolist(), output.bias.tolist())
    assert_close((scores[1] - scores[0]).item(), expected)
