"""The scalar engine: equal to PyTorch on random expressions, and to finite differences; deep graphs do not break it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.autograd import Value, backward, topological_order
from tests.helpers.equations import executed
from tests.helpers.references import reference

NUMBERS = st.floats(0.1, 3)


def expression(a, b, c, log, exp, relu):
    """Use every operation, and `a` and `b` several times."""
    d = a * b + log(c) - 2 * a
    e = relu(d) + relu(-d) / c + exp(-b) * a**3
    return (e - a) * e + 1 / b + (1 - c) + 3.0 / a + (2.0 - b)


@reference("dlbook.autograd.Value", "dlbook.autograd.backward", to="torch.Tensor.backward")
@given(NUMBERS, NUMBERS, NUMBERS)
def test_equals_torch(a, b, c):
    numbers = [a, b, c]
    ours = [Value(n) for n in numbers]
    theirs = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
    result = expression(*ours, Value.log, Value.exp, Value.relu)
    expected = expression(*theirs, torch.log, torch.exp, torch.relu)
    backward(result)
    expected.backward()
    assert result.data == pytest.approx(expected.item())
    assert [v.grad for v in ours] == pytest.approx([t.grad.item() for t in theirs], rel=1e-8, abs=1e-8)


def test_equals_finite_differences():
    numbers, h = [0.7, 1.3, 2.1], 1e-6
    values = [Value(n) for n in numbers]
    backward(expression(*values, Value.log, Value.exp, Value.relu))
    for i, value in enumerate(values):
        ends = [
            expression(*[n + s * (i == j) for j, n in enumerate(numbers)], math.log, math.exp, lambda x: max(x, 0.0))
            for s in (h, -h)
        ]
        assert value.grad == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)


def test_a_number_used_twice_is_counted_twice():
    a = Value(3.0)
    backward(a + a)
    assert a.grad == 2


def test_gradients_add_up_over_calls():
    a = Value(3.0)
    result = a * a
    backward(result)
    backward(result)
    assert a.grad == 12


def test_a_deep_chain_does_not_exhaust_the_stack():
    a = total = Value(1.0)
    for _ in range(5_000):
        total = total + 1.0
    backward(total)
    assert a.grad == 1 and len(topological_order(total)) == 10_001


def test_parents_come_before_what_is_made_from_them():
    a, b = Value(1.0), Value(2.0)
    product = a * b
    result = product + a
    order = topological_order(result)
    assert order[-1] is result and order.index(product) > max(order.index(a), order.index(b)) and len(order) == 4


@executed("3.1.2g", of="dlbook.autograd.backward")
def test_accumulation_as_printed(formula):
    a, b = Value(0.7), Value(1.3)
    product = a * b
    result = (product + b.exp()) * (product + a * a)
    backward(result)
    order = topological_order(result)

    def slope(j, i):
        return sum(s for parent, s in zip(j.parents, j.slopes, strict=True) if parent is i) or math.nan  # no arrow

    found = formula(
        {
            r"\bar v": [node.grad for node in order],
            r"\frac{\partial v}{\partial v}": [[slope(j, i) for i in order] for j in order],
            "to": lambda i, j: order[i - 1] in order[j - 1].parents,
        },
        {"i": len(order) - 1, "j": len(order)},
    )
    assert list(found[r"\bar v"]) == pytest.approx([node.grad for node in order[:-1]])
    assert order[-1].grad == 1
