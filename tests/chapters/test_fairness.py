"""What the chapter on fairness prints: rates by group, the rate that three others leave, weights, a penalty."""

import torch
from torch.testing import assert_close

from dlbook.practice import fairness
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor

PEOPLE = 36


def people(groups=3):
    """Return decisions, outcomes and groups; in each group, all four pairs of the first two occur."""
    order = torch.randperm(PEOPLE)
    four, group = torch.arange(PEOPLE) % 4, torch.arange(PEOPLE) // 4 % groups
    rest = torch.rand(2, PEOPLE) > 0.5
    first = torch.arange(PEOPLE) < 4 * groups
    selected, target = (
        torch.where(first, part, some) for part, some in zip((four > 1, four % 2 > 0), rest, strict=True)
    )
    return selected[order], target[order], group[order]


def names(selected, target, group):
    return {"a": group + 1, "y": target.double(), "d": selected.double(), "N": float(len(group))}


@executed("5.5.1a", of="dlbook.practice.fairness.group_rates")
def test_selection_rate_and_true_positive_rate(formula):
    for _ in range(4):
        everyone = people()
        found, rates = formula(names(*everyone), {"g": 3}), fairness.group_rates(*everyone)
        assert_close(tensor(found["s"]), rates.selection_rate)
        assert_close(tensor(found["t"]), rates.true_positive_rate)


@executed("5.5.1b", of="dlbook.practice.fairness.group_rates")
def test_false_positive_rate_and_precision(formula):
    for _ in range(4):
        everyone = people()
        found, rates = formula(names(*everyone), {"g": 3}), fairness.group_rates(*everyone)
        assert_close(tensor(found["f"]), rates.false_positive_rate)
        assert_close(tensor(found["v"]), rates.precision)


@executed("5.5.1c", of="dlbook.practice.fairness.implied_false_positive_rate")
def test_the_rate_that_three_others_leave(formula):
    for _ in range(4):
        rates = fairness.group_rates(*people())
        known = rates.base_rate, rates.true_positive_rate, rates.precision
        left = fairness.implied_false_positive_rate(*known)
        assert_close(left, rates.false_positive_rate)
        for g in range(3):
            found = formula({name: rate[g] for name, rate in zip(("pi", "t", "v"), known, strict=True)})
            assert_close(tensor(found["f"]), left[g])


@executed("5.5.1d", of="dlbook.practice.fairness.reweighing")
def test_weights_of_group_and_outcome(formula):
    _, target, group = people()
    weights, table = fairness.reweighing(target, group), torch.zeros(3, 2)
    for g, y in zip(group, target.long(), strict=True):
        table[g, y] += 1
    for g, y, weight in zip(group, target.long(), weights, strict=True):
        counts = {"N_g": table[g].sum(), "N_y": table[:, y].sum(), "N_gy": table[g, y], "N": float(PEOPLE)}
        found = formula(counts)
        assert_close(tensor(found["w_gy"]), weight)


@executed("5.5.1e", of="dlbook.practice.fairness.parity_penalty")
def test_the_penalty(formula):
    _, _, group = people()
    logits = random(PEOPLE)
    p = logits.sigmoid()
    found = formula({"a": group + 1, "p": p, "bar_p": p.mean(), "N": float(PEOPLE)}, {"g": 3})
    assert_close(tensor(found["R"]), fairness.parity_penalty(logits, group))
