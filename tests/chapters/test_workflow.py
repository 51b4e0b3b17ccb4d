"""What the chapter on the workflow prints: standardising, one-hot columns, the standard error of a proportion."""

import itertools
import math
from functools import cache

import pytest
import torch
from torch.testing import assert_close

from dlbook.data.encoder import TableEncoder
from dlbook.data.tables import Table
from dlbook.metrics.resample import bootstrap_interval
from dlbook.network import Dense
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


@executed("1.2a", of="dlbook.data.encoder.TableEncoder")
def test_numbers_are_standardised_by_the_training_part(formula):
    x, training = random(6, 2) * tensor([2, 5]) + tensor([1, 7]), [0, 1, 3, 4]

    def table(values):
        labels = torch.zeros(len(values), dtype=torch.long)
        return Table(values, labels[:, None][:, :0], labels, ["a", "b"], {}, ["no", "yes"])

    with_gaps = torch.cat([x[training], tensor([[math.nan, math.nan]])])
    encoder = TableEncoder.fit(table(with_gaps))
    encoded = encoder.transform(table(x))
    for n, j in itertools.product(range(6), (1, 2)):
        found = formula({"x": x, "x_j": x[n, j - 1], "A": {place + 1 for place in training}}, {"j": [j], "n": 6})
        assert_close(tensor(found["tilde_x"]).float(), encoded[n, j - 1 : j])
        assert_close(tensor(found["m"]), encoder.mean[j - 1 : j])
        assert_close(tensor(found["s"]), encoder.std[j - 1 : j])


@executed("1.2b", of="dlbook.network.Dense")
def test_a_dense_layer_looks_up_the_column_of_a_category(formula):
    layer = Dense(4, 3).double()
    for c in range(4):
        for side in formula({"w": layer.weight, "c": c + 1}, {"i": 3, "l": 4})["z"]:
            assert_close(layer(torch.eye(4).double()[c]), tensor(side))


@cache
def resampled():
    """Return half of the bootstrap interval of 80 % of 2000, and its middle."""
    low, high = bootstrap_interval((torch.arange(2000) % 5 > 0).double())
    return (high - low) / 2, (high + low) / 2


@executed("1.2c", of="dlbook.metrics.resample.bootstrap_interval")
def test_the_standard_error_of_a_proportion(formula):
    half, middle = resampled()
    assert half == pytest.approx(1.96 * formula({"p": 0.8, "n": 2000})["value"], rel=0.05)
    assert middle == pytest.approx(0.8, abs=0.002)
