"""Settings for all unit tests: one thread, Keras on PyTorch, the same numbers and examples on every run, no deadlines.

What a test or a fixture draws depends on its name alone, not on the tests that ran before it in the same process: a
comparison of two samples then passes always or never.
"""

import gc
import os
import random
import zlib

import jaxtyping
import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the number of threads decides the last bits
os.environ["KERAS_BACKEND"] = "torch"  # before Keras is
gc.disable()  # while all is imported and collected, hardly anything of which is garbage
settings.register_profile("book", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("book")


def seed(name):
    """Seed all global generators; Keras draws its seeds from Python's."""
    import torch  # here, where OMP_NUM_THREADS is set

    number = zlib.crc32(name.encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def pytest_fixture_setup(fixturedef):
    """A fixture for many tests is made by whichever comes first."""
    seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    """After the fixtures, just before the test."""
    seed(item.nodeid)


def pytest_collection_finish():
    """What was imported and collected stays to the end: the garbage collector need not look at it ever again."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """The site's file comes first: it is the longest, and at the end a worker would be idle beside it."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/site/"))  # the others keep their order


@pytest.fixture
def unchecked(monkeypatch):
    """Switch the checks of shapes off, which only tests have on: a reader meets the package's own errors."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
