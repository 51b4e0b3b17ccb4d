"""Comparing the package with a trusted implementation: random float64 inputs, values and gradients.

`reference` says which test compares what with what; the lock `reference_tests` asks for one for each public name.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.testing import assert_close

Test = TypeVar("Test", bound=Callable)


def reference(*names: str, to: str) -> Callable[[Test], Test]:
    """Mark a test that compares public names of the package with a trusted implementation; it stays as it is.

    Args:
        names: the dotted names of what it compares, such as "dlbook.network.Dense".
        to: the dotted name of what it compares them with, such as "torch.nn.Linear".
    """
    if not names or "." not in to:
        raise ValueError(f"a reference test must name what it compares, and with what: got {names} and {to!r}")
    return lambda test: test


def random(*shape):
    """Draw a float64 tensor of normal numbers."""
    return torch.randn(*shape, dtype=torch.float64)


def assert_same(ours, theirs, *inputs):
    """Compare two functions of the same tensors in value and in the gradient of each."""
    results = []
    for function in (ours, theirs):
        leaves = [value.clone().requires_grad_() for value in inputs]
        y = function(*leaves)
        torch.manual_seed(1)
        (y * torch.randn(y.shape, dtype=y.dtype)).sum().backward()
        results.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for mine, yours in zip(*results, strict=True):
        assert_close(mine, yours)


def tensor(values):
    """Make a float64 tensor of what a printed formula gave."""
    return torch.as_tensor(values, dtype=torch.float64)
