"""Each test draws the same numbers, whatever ran before it and in whichever process."""

import random

import numpy as np
import torch

from tests.conftest import seed


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_what_a_test_draws_depends_on_its_name(request):
    here = draw()
    assert draw() != here
    seed(request.node.nodeid)
    assert draw() == here
    seed("another")
    assert not set(draw()) & set(here)
