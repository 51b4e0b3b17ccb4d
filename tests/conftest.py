"""Settings for all unit tests: one thread, Keras on PyTorch, the same examples on every run, no deadlines."""

import os

import jaxtyping
import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the number of threads decides the last bits
os.environ["KERAS_BACKEND"] = "torch"  # before Keras is
settings.register_profile("book", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("book")


@pytest.fixture
def unchecked(monkeypatch):
    """Switch the checks of shapes off, which only tests have on: a reader meets the package's own errors."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
