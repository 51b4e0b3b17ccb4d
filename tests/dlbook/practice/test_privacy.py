"""Privacy: attacks, DP-SGD and its accountant as in opacus, SciPy and scikit-learn, federated averaging."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from opacus import GradSampleModule
from opacus.accountants import RDPAccountant
from opacus.accountants.analysis import rdp as opacus_rdp
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer
from scipy import stats
from sklearn.metrics import roc_curve
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.practice import privacy
from tests.helpers.references import random, reference


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def examples(count=8):
    return 2 * random(count, 5), torch.randint(3, (count,))


# --- tables -----------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.privacy.group_sizes", to="pandas.DataFrame")
def test_group_sizes_as_in_pandas():
    columns = torch.randint(3, (60, 3))
    frame = pd.DataFrame(columns.numpy())
    expected = frame.groupby([0, 1, 2])[0].transform("size")
    assert privacy.group_sizes(columns).tolist() == expected.tolist()
    assert privacy.group_sizes(torch.arange(4)[:, None]).tolist() == [1] * 4


# --- attacks ----------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.privacy.membership_logit", to="torch.special.logit")
@pytest.mark.parametrize("leading", [(), (4,)])
def test_membership_logit(leading):
    logits, labels = random(*leading, 6, 3), torch.randint(3, (6,))
    chances = logits.softmax(-1)[..., torch.arange(6), labels]
    assert_close(privacy.membership_logit(logits, labels), torch.special.logit(chances))
    two = privacy.membership_logit(torch.tensor([[0.0, 50.0]]), torch.tensor([1]))
    assert two.item() == 50  # where the probability would be rounded to one


@reference("dlbook.practice.privacy.likelihood_ratio", to="scipy.stats.norm")
def test_likelihood_ratio_as_in_scipy():
    inside = torch.rand(20, 7) < 0.4
    inside[0], inside[1] = True, False
    shadows, observed = random(20, 7) + 2.0 * inside, random(7)
    groups = [[shadows[chosen[:, n], n].numpy() for n in range(7)] for chosen in (inside, ~inside)]
    expected = []
    for n in range(7):
        densities = []
        for group in groups:
            pooled = sum(((values - values.mean()) ** 2).sum() for values in group) / sum(len(v) - 1 for v in group)
            densities.append(stats.norm(group[n].mean(), math.sqrt(pooled)).logpdf(observed[n].item()))
        expected.append(densities[0] - densities[1])
    assert_close(privacy.likelihood_ratio(observed, shadows, inside).numpy(), np.array(expected))


@reference("dlbook.practice.privacy.tpr_at_fpr", to="sklearn.metrics.roc_curve")
@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("ties", [False, True])
def test_tpr_as_in_scikit_learn(fpr, ties):
    members = torch.rand(400) < 0.5
    scores = random(400) + members
    scores = scores.round() if ties else scores
    false, true, _ = roc_curve(members.numpy(), scores.numpy(), drop_intermediate=False)
    assert privacy.tpr_at_fpr(scores, members, fpr) == pytest.approx(true[false <= fpr].max())


@reference("dlbook.practice.privacy.tpr_bound", to="scipy.stats.norm")
def test_no_test_of_a_gaussian_mechanism_crosses_the_bound():
    """The best attack on one noisy number, by the lemma of Neyman and Pearson, against the exact delta of its noise."""
    fpr = torch.linspace(0, 1, 501, dtype=torch.float64)
    for sigma in (0.7, 2.0):
        best = torch.from_numpy(stats.norm.sf(stats.norm.isf(fpr.numpy()) - 1 / sigma))
        nearest = []
        for epsilon in (0.1, 0.5, 1.0, 2.0):
            tails = (
                stats.norm.cdf(1 / (2 * sigma) - epsilon * sigma),
                stats.norm.cdf(-1 / (2 * sigma) - epsilon * sigma),
            )
            delta = tails[0] - math.exp(epsilon) * tails[1]
            bound = privacy.tpr_bound(fpr, epsilon, delta)
            assert (best <= bound + 1e-12).all()
            nearest.append((bound - best).min().item())
        assert max(nearest) < 1e-3  # and the bound is touched
    assert_close(privacy.tpr_bound(fpr, 0.0), fpr)
    assert_close(privacy.tpr_bound(fpr, 0.0, 1.0), torch.ones_like(fpr))
    assert privacy.tpr_bound(torch.tensor([0.5]), 1.0).item() == pytest.approx(1 - 0.5 / math.e)


# --- differentially private training ----------------------------------------------------------------------------------


@reference("dlbook.practice.privacy.per_sample_gradients", to="opacus.GradSampleModule")
def test_per_sample_gradients_as_in_opacus_and_in_a_loop():
    (x, y), model = examples(), network()
    ours = privacy.per_sample_gradients(model, F.cross_entropy, x, y)
    wrapped = GradSampleModule(network(), loss_reduction="sum")
    F.cross_entropy(wrapped(x), y, reduction="sum").backward()
    for (name, weight), theirs in zip(model.named_parameters(), wrapped.parameters(), strict=True):
        assert_close(ours[name], theirs.grad_sample)
        loop = [torch.autograd.grad(F.cross_entropy(model(x[n : n + 1]), y[n : n + 1]), weight)[0] for n in range(8)]
        assert_close(ours[name], torch.stack(loop))
    model[0].requires_grad_(False)
    frozen = privacy.per_sample_gradients(model, F.cross_entropy, x, y)
    assert list(frozen) == ["2.weight", "2.bias"]
    assert privacy.per_sample_gradients(model, F.cross_entropy, x[:0], y[:0])["2.bias"].shape == (0, 3)


def test_dropout_is_drawn_for_each_example():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(40, 1, bias=False))
    each = privacy.per_sample_gradients(model, lambda output, _: output.sum(), torch.ones(6, 40), torch.zeros(6))
    masks = each["1.weight"][:, 0]
    assert set(masks.flatten().tolist()) == {0, 2} and len(masks.unique(dim=0)) == 6


def optimizer_of_opacus(max_norm, noise, seed):
    wrapped = GradSampleModule(network(), loss_reduction="sum")
    inner = torch.optim.SGD(wrapped.parameters(), lr=1.0)
    settings = {"noise_multiplier": noise, "max_grad_norm": max_norm, "expected_batch_size": 6}
    return wrapped, DPOptimizer(inner, **settings, loss_reduction="mean", generator=generator(seed))


@reference("dlbook.practice.privacy.clipped_sum", to="opacus.optimizers.DPOptimizer")
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 100.0])
def test_clipping_as_in_opacus(max_norm):
    x, y = examples()
    ours = privacy.clipped_sum(privacy.per_sample_gradients(network(), F.cross_entropy, x, y), max_norm)
    wrapped, optimizer = optimizer_of_opacus(max_norm, 0.0, 0)
    F.cross_entropy(wrapped(x), y, reduction="sum").backward()
    optimizer.clip_and_accumulate()
    for found, weight in zip(ours.values(), wrapped.parameters(), strict=True):
        assert_close(found, weight.summed_grad, rtol=1e-4, atol=1e-5)  # opacus adds 1e-6 to each norm


def test_one_example_moves_the_sum_by_the_norm_at_most():
    x, y = examples()
    model = network()

    def total(n):
        gradients = privacy.per_sample_gradients(model, F.cross_entropy, x[:n], y[:n])
        return torch.cat([g.flatten() for g in privacy.clipped_sum(gradients, 0.3).values()])

    for n in range(8):
        assert (total(n + 1) - total(n)).norm() <= 0.3 + 1e-12


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, 1e30])
def test_a_gradient_that_is_not_finite_counts_as_zero(wrong):
    """Also one whose norm overflows: it cannot be brought to a norm, and must not spoil the sum."""
    gradients = {"w": torch.tensor([[wrong, 1.0], [0.3, 0.4]]), "b": torch.tensor([[5.0], [0.0]])}
    ours = privacy.clipped_sum(gradients, 1.0)
    assert_close(ours, {"w": torch.tensor([0.3, 0.4]), "b": torch.tensor([0.0])})


@reference("dlbook.practice.privacy.private_gradients_", to="opacus.optimizers.DPOptimizer")
def test_a_private_step_as_in_opacus():
    """Without noise the same step; with it, noise of the same size, whose order of drawing is opacus' own."""
    (x, y), model = examples(), network()
    privacy.private_gradients_(model, F.cross_entropy, x, y, 0.5, 0.0, 6, generator())
    wrapped, optimizer = optimizer_of_opacus(0.5, 0.0, 0)
    F.cross_entropy(wrapped(x), y, reduction="sum").backward()
    optimizer.pre_step()
    for ours, theirs in zip(model.parameters(), wrapped.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    spreads = []
    for seed in range(200):
        wrapped, optimizer = optimizer_of_opacus(0.5, 2.0, seed)
        F.cross_entropy(wrapped(x), y, reduction="sum").backward()
        optimizer.pre_step()
        privacy.private_gradients_(model, F.cross_entropy, x, y, 0.5, 2.0, 6, generator(seed))
        both = (model.parameters(), wrapped.parameters())
        spreads.append(torch.stack([torch.cat([w.grad.flatten() for w in weights]) for weights in both]))
    ours, theirs = torch.stack(spreads).std(0).mean(1)
    assert ours.item() == pytest.approx(2.0 * 0.5 / 6, rel=0.03) and theirs.item() == pytest.approx(1 / 6, rel=0.03)


def test_an_empty_batch_is_noise():
    model = network()
    privacy.private_gradients_(model, F.cross_entropy, *examples(0), 1.0, 1.0, 6, generator())
    assert model[0].weight.grad.std().item() == pytest.approx(1 / 6, rel=0.5)


@reference("dlbook.practice.privacy.poisson_sample", to="scipy.stats.binom")
def test_poisson_samples():
    drawn = generator()
    samples = [privacy.poisson_sample(50, 0.1, drawn) for _ in range(2000)]
    sizes = np.bincount([len(rows) for rows in samples], minlength=16)[:16]
    expected = 2000 * stats.binom(50, 0.1).pmf(np.arange(16))
    assert (abs(sizes - expected) < 5 * np.sqrt(expected + 1)).all()
    each = torch.cat(samples).bincount(minlength=50)
    assert (abs(each - 200) < 5 * math.sqrt(180)).all()
    assert privacy.poisson_sample(5, 1.0, drawn).tolist() == [0, 1, 2, 3, 4]
    assert len(privacy.poisson_sample(5, 0.0, drawn)) == 0


@reference("dlbook.practice.privacy.rdp_subsampled_gaussian", to="opacus.accountants.analysis.rdp.compute_rdp")
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.1, 1.0])
@pytest.mark.parametrize("noise", [0.6, 1.1, 8.0])
def test_rdp_as_in_opacus(rate, noise):
    theirs = opacus_rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=privacy.ORDERS)
    ours = privacy.rdp_subsampled_gaussian(rate, noise)
    assert_close(ours.numpy(), np.array(theirs, dtype=float), rtol=1e-7, atol=1e-12)


@reference("dlbook.practice.privacy.epsilon_from_rdp", to="opacus.accountants.analysis.rdp.get_privacy_spent")
def test_epsilon_from_rdp_as_in_opacus():
    rdp = 50 * privacy.rdp_subsampled_gaussian(0.02, 1.3)
    for delta in (1e-7, 1e-5, 1e-3):
        theirs, _ = opacus_rdp.get_privacy_spent(orders=privacy.ORDERS, rdp=rdp.numpy(), delta=delta)
        assert privacy.epsilon_from_rdp(rdp, delta) == pytest.approx(theirs, rel=1e-9)


@reference("dlbook.practice.privacy.epsilon_spent", to="opacus.accountants.RDPAccountant")
@pytest.mark.parametrize("rate, noise, steps", [(0.01, 1.0, 1000), (0.1, 5.0, 150), (0.004, 0.8, 300), (1.0, 20.0, 10)])
def test_epsilon_as_in_opacus(rate, noise, steps):
    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=noise, sample_rate=rate)
    ours = privacy.epsilon_spent(rate, noise, steps, 1e-5)
    same = accountant.get_privacy_spent(delta=1e-5, alphas=privacy.ORDERS)[0]
    assert ours == pytest.approx(same, rel=1e-6)
    assert ours == pytest.approx(
        accountant.get_epsilon(1e-5), rel=0.05
    )  # with opacus' own orders, fractions among them


def test_epsilon_is_monotone():
    by_noise = [privacy.epsilon_spent(0.05, noise, 100, 1e-5) for noise in (0.7, 1.0, 2.0, 4.0, 8.0)]
    by_steps = [privacy.epsilon_spent(0.05, 1.0, steps, 1e-5) for steps in (0, 1, 10, 100, 1000)]
    by_rate = [privacy.epsilon_spent(rate, 1.0, 100, 1e-5) for rate in (0.0, 0.001, 0.01, 0.1, 1.0)]
    by_delta = [privacy.epsilon_spent(0.05, 1.0, 100, delta) for delta in (1e-2, 1e-4, 1e-6)]
    assert by_noise == sorted(by_noise, reverse=True) and len(set(by_noise)) == 5
    for values in (by_steps, by_rate, by_delta):
        assert values == sorted(values)
    assert by_steps[0] == 0


@reference("dlbook.practice.privacy.noise_for_epsilon", to="opacus.accountants.utils.get_noise_multiplier")
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_noise_as_in_opacus(epsilon):
    ours = privacy.noise_for_epsilon(epsilon, 0.02, 200, 1e-5)
    settings = {"target_epsilon": epsilon, "target_delta": 1e-5, "sample_rate": 0.02, "steps": 200}
    theirs = get_noise_multiplier(**settings, accountant="rdp", epsilon_tolerance=1e-3)
    assert ours == pytest.approx(theirs, rel=0.02)  # opacus tries fractional orders, too
    spent = privacy.epsilon_spent(0.02, ours, 200, 1e-5)
    assert epsilon * 0.99 < spent <= epsilon


# --- federated learning -----------------------------------------------------------------------------------------------


@reference("dlbook.practice.privacy.federated_average", to="torch.optim.SGD")
def test_one_full_batch_step_is_central_gradient_descent():
    x, y = examples(30)
    clients = torch.arange(30).split([1, 4, 25])

    def stepped(rows):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        return model.state_dict()

    averaged = privacy.federated_average([stepped(rows) for rows in clients], [1, 4, 25])
    for name, central in stepped(torch.arange(30)).items():
        assert_close(averaged[name], central)
    alike = privacy.federated_average([stepped(rows) for rows in clients], [1, 1, 1])
    assert not torch.allclose(alike["0.weight"], averaged["0.weight"])


def test_a_client_without_rows_counts_nothing():
    states = [{"w": torch.ones(2)}, {"w": torch.full((2,), 7.0)}]
    assert privacy.federated_average(states, [3, 0])["w"].tolist() == [1, 1]


# --- errors -----------------------------------------------------------------------------------------------------------

X, Y = torch.zeros(4, 3), torch.tensor([0, 1, 1, 2])
B = torch.tensor([True, True, False, False])
G = {"w": torch.ones(2, 3)}


def private(**changed):
    settings = {"max_norm": 1.0, "noise": 1.0, "batch_size": 4.0, "generator": generator()}
    return privacy.private_gradients_(nn.Linear(3, 3), F.cross_entropy, X, Y, **(settings | changed))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: privacy.group_sizes(X), TypeError, "columns must hold integers"),
        (lambda: privacy.group_sizes(Y), ValueError, "columns must have the shape"),
        (lambda: privacy.group_sizes(Y[:, None][:0]), ValueError, "columns must hold at least one value"),
        (lambda: privacy.membership_logit(Y, Y), TypeError, "logits must be floating point"),
        (lambda: privacy.membership_logit(X, X), TypeError, "labels must hold integers"),
        (lambda: privacy.membership_logit(X[:, :1], Y), ValueError, "with two classes or more"),
        (lambda: privacy.membership_logit(X[:3], Y), ValueError, "logits must have the shape"),
        (lambda: privacy.likelihood_ratio(X[0], X, X > 1), ValueError, "inside must hold, for each example, both"),
        (lambda: privacy.likelihood_ratio(X[0], X, X), TypeError, "inside must"),
        (lambda: privacy.likelihood_ratio(X[:, 0], X, X > 1), ValueError, "shadows must have the shape"),
        (lambda: privacy.tpr_at_fpr(X[:, 0], B, 1.0), ValueError, "fpr must be from 0 to below 1: got 1.0"),
        (lambda: privacy.tpr_at_fpr(X[:, 0], B, math.nan), ValueError, "fpr must be"),
        (lambda: privacy.tpr_at_fpr(X[:, 0] / 0, B, 0.1), ValueError, "evidence must not hold NaN"),
        (lambda: privacy.tpr_at_fpr(X[:, 0], B & ~B, 0.1), ValueError, "members must hold both"),
        (lambda: privacy.tpr_bound(X, -1.0), ValueError, "epsilon must be at least 0: got -1.0"),
        (lambda: privacy.tpr_bound(X, 1.0, 2.0), ValueError, "delta must be from 0 to 1: got 2.0"),
        (lambda: privacy.tpr_bound(Y, 1.0), TypeError, "fpr must be floating point"),
        (lambda: privacy.per_sample_gradients(nn.Linear(3, 3), F.cross_entropy, X, Y[:2]), ValueError, "for each x"),
        (lambda: privacy.clipped_sum(G, 0.0), ValueError, "max_norm must be positive: got 0.0"),
        (lambda: privacy.clipped_sum({}, 1.0), ValueError, "gradients must hold at least one weight"),
        (lambda: private(noise=-1.0), ValueError, "noise must be at least 0: got -1.0"),
        (lambda: private(batch_size=0.0), ValueError, "batch_size must be positive: got 0.0"),
        (lambda: privacy.poisson_sample(0, 0.5, generator()), ValueError, "count must be at least 1: got 0"),
        (lambda: privacy.poisson_sample(5, 1.5, generator()), ValueError, "sample_rate must be from 0 to 1: got 1.5"),
        (
            lambda: privacy.rdp_subsampled_gaussian(math.nan, 1.0),
            ValueError,
            "sample_rate must be from 0 to 1: got nan",
        ),
        (lambda: privacy.rdp_subsampled_gaussian(0.1, 0.0), ValueError, "noise must be positive: got 0.0"),
        (lambda: privacy.rdp_subsampled_gaussian(0.1, 1.0, [1]), ValueError, "orders must be at least 2: got 1"),
        (lambda: privacy.epsilon_from_rdp(X[0], 0.1), ValueError, "rdp must have the shape"),
        (lambda: privacy.epsilon_from_rdp(X[0], 1.0, (2, 3, 4)), ValueError, "delta must be above 0 and below 1"),
        (lambda: privacy.epsilon_spent(0.1, 1.0, -1, 0.1), ValueError, "updates must be at least 0: got -1"),
        (lambda: privacy.noise_for_epsilon(0.0, 0.1, 10, 1e-5), ValueError, "epsilon must be above 0: got 0.0"),
        (lambda: privacy.noise_for_epsilon(1e-9, 1.0, 10, 1e-5), ValueError, "epsilon must be attainable with noise"),
        (lambda: privacy.federated_average([], []), ValueError, "counts must have one for each client: got 0 for 0"),
        (lambda: privacy.federated_average([G], [1, 2]), ValueError, "counts must have one for each client"),
        (lambda: privacy.federated_average([G], [-1]), ValueError, "counts must be at least 0: got -1"),
        (lambda: privacy.federated_average([G], [0]), ValueError, "counts must add up to more than 0"),
        (lambda: privacy.federated_average([G, {}], [1, 1]), ValueError, "states must have the same names"),
        (lambda: privacy.federated_average([G, {"w": Y}], [1, 1]), TypeError, "w must be floating point"),
    ],
)
def test_errors(unchecked, call, error, words):
    with pytest.raises(error, match=words):
        call()
