"""Tests of equations: the formula as the book prints it must agree with the package, and wrong variants must not."""

from collections.abc import Callable

import pytest


def equation(tag: str, of: str, printed: Callable, *wrong: Callable) -> Callable:
    """Decorate a test of an equation; its argument `formula` is the printed formula, then each wrong variant.

    The printed formula must pass. Each wrong variant (a sign, a transpose, an index shift) must fail by an assertion:
    one that passes, or that fails otherwise, is a fault of the test.

    Args:
        tag: the equation's number in the book, such as "3.1.1a".
        of: the dotted name of what it describes, such as "dlbook.network.Dense".
        printed: the formula, index by index.
        wrong: variants that the test must reject; at least one.
    """
    if not wrong:
        raise ValueError(f"wrong must hold at least one variant that the test rejects: got none for equation {tag}")
    must_fail = pytest.mark.xfail(strict=True, raises=AssertionError, reason="a wrong variant")
    variants = [pytest.param(printed, id="printed")]
    variants += [pytest.param(variant, id=f"wrong{n}", marks=must_fail) for n, variant in enumerate(wrong, 1)]

    def decorate(test: Callable) -> Callable:
        return pytest.mark.equation(tag, of=of)(pytest.mark.parametrize("formula", variants)(test))

    return decorate
