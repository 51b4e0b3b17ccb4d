"""Fairness between groups: rates by group, remedies at each stage, cards for a model.

Groups are numbered 0, 1, …; `selected` is the decision (a loan, a flag), `target` the
outcome that it should predict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_bool,
    check_floating,
    check_integer,
    check_no_nan,
    check_shape,
)
from dlbook._float64 import float64_on_cpu


@dataclass(frozen=True)
class GroupRates:
    """How often each group is selected, and how often rightly; NaN where nobody counts.

    Attributes:
        count: the number of people.
        base_rate: the part of them whose target is positive.
        selection_rate: the part of them that is selected.
        true_positive_rate: of those whose target is positive, the part selected.
        false_positive_rate: of those whose target is negative, the part selected.
        precision: of the selected, the part whose target is positive; also called the
            positive predictive value.
    """

    count: Float64[Tensor, " groups"]
    base_rate: Float64[Tensor, " groups"]
    selection_rate: Float64[Tensor, " groups"]
    true_positive_rate: Float64[Tensor, " groups"]
    false_positive_rate: Float64[Tensor, " groups"]
    precision: Float64[Tensor, " groups"]


@float64_on_cpu
def group_rates(
    selected: Bool[Tensor, " people"],
    target: Bool[Tensor, " people"],
    group: Int64[Tensor, " people"],
) -> GroupRates:
    """Count decisions and outcomes in each group, and return the rates.

    Args:
        selected: the decisions.
        target: the outcomes.
        group: the number of each person's group.

    Raises:
        TypeError: selected or target is not bool, or group holds no integers.
        ValueError: The shapes differ, nobody is there, or a group is negative.

    Source: book equations (5.5.1a) and (5.5.1b).
    """
    _check_people(group, selected=selected, target=target)
    groups = int(group.max()) + 1

    def count(which: Tensor) -> Tensor:
        return torch.bincount(group[which], minlength=groups).double()

    everyone = count(torch.ones_like(target))
    positive, chosen, hits = count(target), count(selected), count(selected & target)
    return GroupRates(
        count=everyone,
        base_rate=positive / everyone,
        selection_rate=chosen / everyone,
        true_positive_rate=hits / positive,
        false_positive_rate=(chosen - hits) / (everyone - positive),
        precision=hits / chosen,
    )


def demographic_parity_difference(
    selected: Bool[Tensor, " people"], group: Int64[Tensor, " people"]
) -> float:
    """Return the largest minus the smallest selection rate of the groups.

    Args:
        selected: the decisions.
        group: the number of each person's group.

    Raises:
        TypeError: selected is not bool, or group holds no integers.
        ValueError: The shapes differ, nobody is there, or a group is negative.

    Source: Barocas, Hardt and Narayanan 2023.
    """
    return _range(group_rates(selected, selected, group).selection_rate)


def equal_opportunity_difference(
    selected: Bool[Tensor, " people"],
    target: Bool[Tensor, " people"],
    group: Int64[Tensor, " people"],
) -> float:
    """Return the largest minus the smallest true positive rate of the groups.

    Args:
        selected: the decisions.
        target: the outcomes.
        group: the number of each person's group.

    Raises:
        TypeError: selected or target is not bool, or group holds no integers.
        ValueError: The shapes differ, nobody is there, a group is negative, or no
            target is positive.

    Source: Hardt, Price and Srebro 2016.
    """
    return _range(group_rates(selected, target, group).true_positive_rate)


def equalized_odds_difference(
    selected: Bool[Tensor, " people"],
    target: Bool[Tensor, " people"],
    group: Int64[Tensor, " people"],
) -> float:
    """Return the larger of two ranges: of true, and of false positive rates.

    Args:
        selected: the decisions.
        target: the outcomes.
        group: the number of each person's group.

    Raises:
        TypeError: selected or target is not bool, or group holds no integers.
        ValueError: The shapes differ, nobody is there, a group is negative, or all
            targets are the same.

    Source: Hardt, Price and Srebro 2016.
    """
    rates = group_rates(selected, target, group)
    return max(_range(rates.true_positive_rate), _range(rates.false_positive_rate))


def implied_false_positive_rate(
    base_rate: Float[Tensor, " groups"],
    true_positive_rate: Float[Tensor, " groups"],
    precision: Float[Tensor, " groups"],
) -> Float[Tensor, " groups"]:
    """Return the false positive rate that three other rates of a group leave.

    Args:
        base_rate: the part of the group whose target is positive, below 1.
        true_positive_rate: of these, the part that is selected.
        precision: of the selected, the part whose target is positive, above 0.

    Raises:
        TypeError: A rate is not floating point.
        ValueError: The shapes differ.

    Source: Chouldechova 2017; book equation (5.5.1c).
    """
    check_shape("base_rate", base_rate, "groups")
    rates = {"true_positive_rate": true_positive_rate, "precision": precision}
    for name, rate in rates.items():
        check_shape(name, rate, len(base_rate))
    check_floating(base_rate=base_rate, **rates)
    odds = base_rate / (1 - base_rate)
    return odds * (1 - precision) / precision * true_positive_rate


@float64_on_cpu
def reweighing(
    target: Bool[Tensor, " people"], group: Int64[Tensor, " people"]
) -> Float64[Tensor, " people"]:
    """Return weights under which group and target are independent.

    Args:
        target: the outcomes.
        group: the number of each person's group.

    Returns:
        A weight for each person, for the loss: how many people with that group and
        target there would be if the two were independent, divided by how many there
        are.

    Raises:
        TypeError: target is not bool, or group holds no integers.
        ValueError: The shapes differ, nobody is there, or a group is negative.

    Source: Kamiran and Calders 2012; book equation (5.5.1d).
    """
    _check_people(group, target=target)
    cell = 2 * group + target  # a number for each pair of group and target
    in_group, in_cell = group.bincount().double(), cell.bincount().double()
    with_target = target.long().bincount(minlength=2).double()
    expected = in_group[group] * with_target[target.long()] / len(target)
    return expected / in_cell[cell]


def parity_penalty(
    logits: Float[Tensor, " people"], group: Int64[Tensor, " people"]
) -> Float[Tensor, ""]:
    """Return how far the groups' mean probabilities lie apart, squared and summed.

    Args:
        logits: of each person; the probability is their sigmoid.
        group: the number of each person's group.

    Returns:
        The sum over the groups of (mean of the group - mean of all)^2; a group without
        people adds nothing. With the people of positive target alone, it is a penalty
        for unequal opportunity.

    Raises:
        TypeError: logits is not floating point, or group holds no integers.
        ValueError: The shapes differ, nobody is there, a group is negative, or a logit
            is NaN.

    Source: Kamishima, Akaho and Sakuma 2011 for the idea; book equation (5.5.1e).
    """
    check_shape("logits", logits, "people")
    check_floating(logits=logits)
    check_no_nan(logits=logits)
    _check_people(group, logits=logits)
    p = logits.sigmoid()
    members = F.one_hot(group).to(p)  # (people, groups)
    members = members[:, members.any(0)]
    means = p @ members / members.sum(0)
    return (means - p.mean()).square().sum()


def fit_fair_logistic(
    features: Float[Tensor, "people features"],
    target: Bool[Tensor, " people"],
    group: Int64[Tensor, " people"],
    strength: float = 0.0,
    l2: float = 1.0,
    weights: Float[Tensor, " people"] | None = None,
) -> nn.Linear:
    """Fit logistic regression with a penalty for unequal groups, by L-BFGS.

    Args:
        features: standardised numbers; the group need not be among them.
        target: the outcomes.
        group: the number of each person's group, used in training alone.
        strength: of `parity_penalty`; with 0 this is ordinary logistic regression.
        l2: the strength of the L2 penalty, 1 / C of scikit-learn.
        weights: of the people in the cross-entropy, such as `reweighing`; 1 if None.

    Returns:
        A layer that maps features to one logit.

    Raises:
        TypeError: A tensor has another type.
        ValueError: The shapes do not fit, nobody is there, or strength or l2 is
            negative.

    Source: Kamishima, Akaho and Sakuma 2011 for the idea; book equation (5.5.1e).
    """
    check_shape("features", features, len(target), "features")
    check_floating(features=features)
    _check_people(group, target=target)
    if weights is not None:
        check_shape("weights", weights, len(target))
    for name, value in {"strength": strength, "l2": l2}.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative: got {value}")
    model = nn.Linear(features.shape[1], 1).to(features)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=200,
        tolerance_grad=1e-6,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = model(features)[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, target.to(logits), weights)
        loss = loss + l2 / (2 * len(target)) * model.weight.square().sum()
        loss = loss + strength * parity_penalty(logits, group)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def group_thresholds(
    logits: Float[Tensor, " people"],
    group: Int64[Tensor, " people"],
    fraction: float,
    target: Bool[Tensor, " people"] | None = None,
) -> Float[Tensor, " groups"]:
    """Return a threshold for each group that selects the same fraction of each.

    Args:
        logits: or other scores, such as probabilities; who reaches the threshold of the
            group is selected. With equal scores these may be more than the fraction.
        group: the number of each person's group.
        fraction: how much of each group is selected.
        target: if given, the fraction is one of the people with positive target, so
            that the true positive rates are equal instead.

    Returns:
        The thresholds, infinite where nobody is to be selected.

    Raises:
        TypeError: logits is not floating point, target not bool, or group holds no
            integers.
        ValueError: The shapes differ, nobody is there, a group is negative, a logit is
            NaN, or fraction does not lie between 0 and 1.

    Source: Hardt, Price and Srebro 2016.
    """
    check_shape("logits", logits, "people")
    check_floating(logits=logits)
    check_no_nan(logits=logits)
    known = {"logits": logits} | ({} if target is None else {"target": target})
    _check_people(group, **known)
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie between 0 and 1: got {fraction}")
    counted = torch.ones_like(group).bool() if target is None else target
    thresholds = logits.new_full((int(group.max()) + 1,), torch.inf)
    for g in range(len(thresholds)):
        ranked = logits[counted & (group == g)].sort(descending=True).values
        wanted = round(fraction * len(ranked))
        if wanted > 0:
            thresholds[g] = ranked[wanted - 1]
    return thresholds


MODEL_CARD = (
    "Intended use",
    "Out of scope",
    "Training data",
    "Evaluation data",
    "Fairness criterion",
    "Limits",
)
DATA_SHEET = (
    "Motivation",
    "Composition",
    "Collection",
    "Preprocessing",
    "Uses",
    "Distribution",
    "Maintenance",
)


def model_card(
    title: str, answers: Mapping[str, str], table: Mapping[str, Sequence[str]]
) -> str:
    """Return a model card in Markdown: answers under fixed headings, and a table.

    Args:
        title: the name of the model.
        answers: a text for each heading of `MODEL_CARD`.
        table: the measured rates: by the title of a column, an entry for each group.

    Raises:
        ValueError: An answer is missing or empty, a heading is unknown, or the columns
            have different lengths.

    Source: Mitchell et al. 2019.
    """
    return _document(f"Model card: {title}", MODEL_CARD, answers, table)


def data_sheet(
    title: str, answers: Mapping[str, str], table: Mapping[str, Sequence[str]]
) -> str:
    """Return a data sheet in Markdown: answers under fixed headings, and a table.

    Args:
        title: the name of the data set.
        answers: a text for each heading of `DATA_SHEET`.
        table: who is in it: by the title of a column, an entry for each group.

    Raises:
        ValueError: An answer is missing or empty, a heading is unknown, or the columns
            have different lengths.

    Source: Gebru et al. 2021.
    """
    return _document(f"Data sheet: {title}", DATA_SHEET, answers, table)


def _document(
    title: str,
    headings: Sequence[str],
    answers: Mapping[str, str],
    table: Mapping[str, Sequence[str]],
) -> str:
    """Return a document with a paragraph for each heading, and a table at its end."""
    empty = [name for name in headings if not answers.get(name, "").strip()]
    unknown = [name for name in answers if name not in headings]
    if empty or unknown:
        raise ValueError(
            f"answers must hold a text for each of {', '.join(headings)}: "
            f"got none or another for {', '.join([*empty, *unknown])}"
        )
    if not table or len({len(column) for column in table.values()}) != 1:
        sizes = {name: len(column) for name, column in table.items()}
        raise ValueError(f"table must hold columns of one length: got {sizes}")
    rows = [list(table), ["---"] * len(table), *zip(*table.values(), strict=True)]
    parts = [f"{name}. {answers[name].strip()}" for name in headings]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return "\n\n".join([title, *parts, lines])


def _check_people(group: Tensor, **others: Tensor) -> None:
    """Refuse groups that are no numbers from 0, and decisions or outcomes of others."""
    check_shape("group", group, "people")
    check_integer(group=group)
    for name, tensor in others.items():
        check_shape(name, tensor, len(group))
        if name in ("selected", "target"):
            check_bool(**{name: tensor})
    if not len(group) or group.min() < 0:
        found = "none" if not len(group) else int(group.min())
        raise ValueError(
            f"group must hold numbers from 0 up, at least one: got {found}"
        )


def _range(rates: Tensor) -> float:
    """Return the largest minus the smallest rate, of the groups that have one."""
    known = rates[~rates.isnan()]
    if not len(known):
        raise ValueError("target must leave at least one group with a rate: got none")
    return (known.max() - known.min()).item()
