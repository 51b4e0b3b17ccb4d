"""What the chapter on the workflow prints: standardising, one-hot columns, the standard error of a proportion."""

import math

import torch
from torch.testing import assert_close

from dlbook.data.encoder import TableEncoder
from dlbook.data.tables import Table
from dlbook.metrics.resample import bootstrap_interval
from dlbook.network import Dense
from tests.helpers.equations import equation
from tests.helpers.references import tensor


def standard(x, A, power=0.5, less=0):
    m = sum(A) / len(A)
    return (x - m) / (sum((v - m) ** 2 for v in A) / (len(A) - less)) ** power


@equation(
    "1.2a",
    "dlbook.data.encoder.TableEncoder",
    lambda x, A, others: standard(x, A),
    lambda x, A, others: standard(x, A + others),  # the other rows were looked at
    lambda x, A, others: standard(x, others),  # each part by its own mean
    lambda x, A, others: standard(x, A, less=1),  # the deviation of a sample
    lambda x, A, others: standard(x, A, power=1),  # by the variance
)
def test_numbers_are_standardised_by_the_training_part(formula):
    A, others = [1.0, 4.0, 4.5, 9.0], [2.0, 30.0]

    def table(values):
        labels = torch.zeros(len(values), dtype=torch.long)
        return Table(tensor(values)[:, None], labels[:, None][:, :0], labels, ["x"], {}, ["no", "yes"])

    encoded = TableEncoder.fit(table([*A[:2], math.nan, *A[2:]])).transform(table(others))[:, 0]
    assert_close(encoded, tensor([formula(x, A, others) for x in others]).float())


@equation(
    "1.2b",
    "dlbook.network.Dense",
    lambda w, c: [row[c] for row in w],
    lambda w, c: w[c],  # a row: a unit instead of a level
    lambda w, c: [row[c - 1] for row in w],  # an index shift
    lambda w, c: [sum(row) for row in w],  # all levels at once
)
def test_a_dense_layer_looks_up_the_column_of_a_category(formula):
    torch.manual_seed(0)
    layer = Dense(4, 4).double()
    for c in range(4):
        assert_close(layer(torch.eye(4).double()[c]), tensor(formula(layer.weight.tolist(), c)))


@equation(
    "1.2c",
    "dlbook.metrics.resample.bootstrap_interval",
    lambda p, n: math.sqrt(p * (1 - p) / n),
    lambda p, n: math.sqrt(p * (1 - p)) / n,  # n outside of the root
    lambda p, n: math.sqrt(p / n),  # without 1 - p
    lambda p, n: p * (1 - p) / n,  # the variance
)
def test_the_standard_error_of_a_proportion(formula):
    right = torch.arange(2000) % 5 > 0  # 80 %
    low, high = bootstrap_interval(right.double())
    error = formula(0.8, 2000)
    assert abs((high - low) / 2 - 1.96 * error) < 0.05 * 1.96 * error
    assert abs((high + low) / 2 - 0.8) < 0.002
