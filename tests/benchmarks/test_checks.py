"""The cost of the checks of arguments: without them nothing is refused, and everything else is the same."""

import pytest
import torch

from benchmarks import checks
from dlbook.losses import cross_entropy
from dlbook.network import Dense


def test_unchecked_functions_refuse_nothing():
    logits, target, a = torch.zeros(2, 3), torch.tensor([0, 3]), torch.zeros(1, 2).double()
    with pytest.raises(ValueError, match="target must lie between 0 and"):
        cross_entropy(logits, target)
    with pytest.raises(RuntimeError, match="out of bounds"):  # what PyTorch says of it
        checks.unchecked(lambda: cross_entropy(logits, target))
    with pytest.raises(TypeError, match="a must have the type of the weights"):
        Dense(2, 1)(a)
    with pytest.raises(RuntimeError, match="same dtype"):
        checks.unchecked(lambda: Dense(2, 1)(a))
    with pytest.raises(ValueError, match="target must lie between 0 and"):  # the checks are back
        cross_entropy(logits, target)


def test_both_train_alike():
    with_checks, without = (checks.epoch(steps=3)().steps, [])
    checks.unchecked(lambda: without.extend(checks.epoch(steps=3)().steps))
    assert with_checks == without and len(without) == 3


def test_a_short_measurement():
    assert checks.measure(count=2, steps=2).keys() == {"first", "second", "ratio", "pairs"}
