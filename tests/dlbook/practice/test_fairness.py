"""Fairness: equal to fairlearn's rates, gaps and thresholds, to scikit-learn's fit, to published weights."""

import dataclasses

import numpy as np
import pytest
import torch
from fairlearn import metrics
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from dlbook.practice import fairness
from dlbook.practice.fairness import DATA_SHEET, MODEL_CARD
from tests.helpers.references import reference, tensor

PEOPLE = 400


@pytest.fixture
def people():
    """Return scores, decisions, outcomes and one of three groups of different sizes and base rates."""
    generator = torch.Generator().manual_seed(0)
    group = torch.multinomial(tensor([0.6, 0.3, 0.1]), PEOPLE, True, generator=generator)
    score = torch.randn(PEOPLE, generator=generator, dtype=torch.float64) - 0.4 * group
    noise = torch.randn(PEOPLE, generator=generator, dtype=torch.float64)
    return score, score > 0, score + noise > 0, group


def numpy(*tensors):
    return [one.numpy() for one in tensors]


@reference("dlbook.practice.fairness.group_rates", to="fairlearn.metrics.MetricFrame")
def test_rates_equal_fairlearns(people):
    _, selected, target, group = people
    y, d, g = numpy(target, selected, group)
    rates = fairness.group_rates(selected, target, group)
    theirs = {
        "count": metrics.count,
        "selection_rate": metrics.selection_rate,
        "true_positive_rate": metrics.true_positive_rate,
        "false_positive_rate": metrics.false_positive_rate,
        "base_rate": lambda y_true, y_pred: metrics.mean_prediction(y_pred, y_true),
        "precision": lambda y_true, y_pred: y_true[y_pred].mean(),
    }
    frame = metrics.MetricFrame(metrics=theirs, y_true=y, y_pred=d, sensitive_features=g).by_group
    for name in (field.name for field in dataclasses.fields(rates)):
        assert_close(getattr(rates, name), tensor(frame[name].to_numpy().astype(float)))


@reference(
    "dlbook.practice.fairness.demographic_parity_difference", to="fairlearn.metrics.demographic_parity_difference"
)
def test_demographic_parity_equals_fairlearns(people):
    _, selected, target, group = people
    y, d, g = numpy(target, selected, group)
    theirs = metrics.demographic_parity_difference(y, d, sensitive_features=g)
    assert fairness.demographic_parity_difference(selected, group) == pytest.approx(theirs)


@reference("dlbook.practice.fairness.equal_opportunity_difference", to="fairlearn.metrics.equal_opportunity_difference")
def test_equal_opportunity_equals_fairlearns(people):
    _, selected, target, group = people
    y, d, g = numpy(target, selected, group)
    theirs = metrics.equal_opportunity_difference(y, d, sensitive_features=g)
    assert fairness.equal_opportunity_difference(selected, target, group) == pytest.approx(theirs)


@reference("dlbook.practice.fairness.equalized_odds_difference", to="fairlearn.metrics.equalized_odds_difference")
def test_equalized_odds_equal_fairlearns(people):
    _, selected, target, group = people
    y, d, g = numpy(target, selected, group)
    theirs = metrics.equalized_odds_difference(y, d, sensitive_features=g)
    assert fairness.equalized_odds_difference(selected, target, group) == pytest.approx(theirs)


def test_groups_without_a_rate_are_left_out_of_a_gap():
    selected = torch.tensor([True, False, True, False])
    target = torch.tensor([True, True, True, False])
    group = torch.tensor([0, 0, 1, 3])  # nobody is in 2, nobody of 3 has a positive target
    rates = fairness.group_rates(selected, target, group)
    assert rates.true_positive_rate.isnan().tolist() == [False, False, True, True]
    assert fairness.equal_opportunity_difference(selected, target, group) == 0.5
    with pytest.raises(ValueError, match="target must leave at least one group with a rate: got none"):
        fairness.equal_opportunity_difference(selected, ~target & False, group)


def test_weights_equal_those_of_the_paper():
    # Kamiran and Calders 2012: ten applicants, of five men four were hired, of five women two
    hired = torch.tensor([True] * 4 + [False] + [True] * 2 + [False] * 3)
    weights = fairness.reweighing(hired, torch.tensor([0] * 5 + [1] * 5))
    assert_close(weights, tensor([0.75] * 4 + [2.0] + [1.5] * 2 + [2 / 3] * 3))


def test_weights_make_group_and_outcome_independent(people):
    _, _, target, group = people
    weights = fairness.reweighing(target, group)
    assert weights.sum().item() == pytest.approx(PEOPLE)
    for g in range(3):
        rate = (weights * target)[group == g].sum() / weights[group == g].sum()
        assert rate.item() == pytest.approx(target.double().mean().item())


def test_the_penalty_is_zero_for_equal_means_and_passes_gradients(people):
    score, _, _, group = people
    logits = score.clone().requires_grad_()
    fairness.parity_penalty(logits, group).backward()
    assert (logits.grad != 0).all()
    equal = torch.tensor([0.3, -1.0, -1.0, 0.3], dtype=torch.float64)
    assert fairness.parity_penalty(equal, torch.tensor([0, 0, 2, 2])).item() == pytest.approx(0)  # nobody is in 1
    assert torch.autograd.gradcheck(
        lambda z: fairness.parity_penalty(z, group[:6]), logits[:6].detach().requires_grad_()
    )


@reference("dlbook.practice.fairness.fit_fair_logistic", to="sklearn.linear_model.LogisticRegression")
def test_without_a_penalty_the_fit_equals_sklearns(people):
    score, _, target, group = people
    features = torch.stack([score, group.double(), score.square()], 1)
    for weights in (None, fairness.reweighing(target, group)):
        ours = fairness.fit_fair_logistic(features, target, group, l2=2.0, weights=weights)
        theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000)
        theirs.fit(*numpy(features, target), sample_weight=None if weights is None else weights.numpy())
        assert_close(ours.weight.detach(), tensor(theirs.coef_), atol=1e-4, rtol=1e-4)
        assert_close(ours.bias.detach(), tensor(theirs.intercept_), atol=1e-4, rtol=1e-4)


def test_a_stronger_penalty_narrows_the_gap(people):
    score, _, target, group = people
    features = torch.stack([score, group.double()], 1)
    gaps = []
    for strength in (0.0, 1.0, 100.0):
        logits = fairness.fit_fair_logistic(features, target, group, strength)(features)[:, 0].detach()
        gaps.append(fairness.parity_penalty(logits, group).item())
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.05 * gaps[0]


@reference("dlbook.practice.fairness.group_thresholds", to="numpy.quantile")
def test_thresholds_are_quantiles(people):
    score, _, target, group = people
    for fraction in (0.1, 0.37, 1.0):
        for rows in (torch.ones_like(target), target):
            cuts = fairness.group_thresholds(score, group, fraction, rows)
            for g in range(3):
                ranked = score[rows & (group == g)]
                wanted = round(fraction * len(ranked))
                level = (len(ranked) - wanted) / (len(ranked) - 1)
                assert cuts[g] == np.quantile(ranked.numpy(), level, method="nearest")
                assert (ranked >= cuts[g]).sum() == wanted
    assert fairness.group_thresholds(score, group, 0.0).isposinf().all()
    tied = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)  # who ties with the threshold is selected
    cuts = fairness.group_thresholds(tied, torch.zeros(4).long(), 0.25)
    assert (tied >= cuts[0]).double().mean() == 0.75


def test_thresholds_decide_as_fairlearns_optimizer(people):
    score, _, target, group = people

    class Score(LogisticRegression):  # its decision function is the score itself
        def decision_function(self, x):
            return x[:, 0]

    x, y, g = numpy(score[:, None], target, group)
    optimizer = ThresholdOptimizer(
        estimator=Score().fit(x, y), constraints="demographic_parity", prefit=True, predict_method="decision_function"
    ).fit(x, y, sensitive_features=g)
    theirs = torch.from_numpy(optimizer.predict(x, sensitive_features=g, random_state=0)).bool()
    ours = score >= fairness.group_thresholds(score, group, theirs.double().mean().item())[group]
    assert (ours == theirs).double().mean() > 0.98


def test_cards_answer_each_heading():
    table = {"group": ["a", "b"], "people": ["10", "5"]}
    for write, headings, title in (
        (fairness.model_card, MODEL_CARD, "Model card: x"),
        (fairness.data_sheet, DATA_SHEET, "Data sheet: x"),
    ):
        answers = dict.fromkeys(headings, " An answer. ")
        text = write("x", answers, table)
        assert text.split("\n\n")[0] == title and text.endswith(
            "| group | people |\n| --- | --- |\n| a | 10 |\n| b | 5 |"
        )
        assert all(f"{heading}. An answer." in text for heading in headings)
        with pytest.raises(ValueError, match=f"answers must hold a text .* got none or another for {headings[0]}"):
            write("x", answers | {headings[0]: " "}, table)
        with pytest.raises(ValueError, match="another for Price"):
            write("x", answers | {"Price": "none"}, table)
        with pytest.raises(ValueError, match="table must hold columns of one length: got {'group': 2, 'people': 1}"):
            write("x", answers, table | {"people": ["10"]})


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be():
    yes, group = torch.tensor([True, False]), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="group must hold numbers from 0 up, at least one: got -1"):
        fairness.group_rates(yes, yes, group - 1)
    with pytest.raises(ValueError, match="got none"):
        fairness.reweighing(yes[:0], group[:0])
    with pytest.raises(ValueError, match="selected must have"):
        fairness.demographic_parity_difference(yes[:1], group)
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1: got 1.5"):
        fairness.group_thresholds(yes.double(), group, 1.5)
    with pytest.raises(ValueError, match="strength must not be negative: got -1"):
        fairness.fit_fair_logistic(torch.ones(2, 1), yes, group, strength=-1.0)
    with pytest.raises(ValueError, match="precision must have"):
        fairness.implied_false_positive_rate(torch.ones(2), torch.ones(2), torch.ones(1))
