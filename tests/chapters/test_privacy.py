"""What the chapter on privacy prints: LiRA, the bound on attacks, DP-SGD and its accountant, federated averaging."""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.practice import privacy
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


@executed("5.5.2a", of="dlbook.practice.privacy.likelihood_ratio")
def test_the_likelihood_ratio_as_printed(formula):
    inside = torch.rand(30, 6) < 0.5
    inside[0], inside[1] = True, False
    shadows, observed = random(30, 6) * (1 + inside) + inside, random(6)
    names = {"phi": observed[0]}
    for name, chosen in (("in", inside), ("out", ~inside)):
        groups = [shadows[chosen[:, n], n] for n in range(6)]
        pooled = sum(g.var(correction=0) * len(g) for g in groups) / sum(len(g) - 1 for g in groups)
        names |= {f"mu_{name}": groups[0].mean(), f"sigma_{name}": pooled.sqrt()}
    found = formula(names)
    assert_close(tensor(found["Lambda"]), privacy.likelihood_ratio(observed, shadows, inside)[0])


@executed("5.5.2b", of="dlbook.practice.privacy.tpr_bound")
def test_the_bound_as_printed(formula):
    for f, epsilon, delta in ((0.05, 0.7, 0.01), (0.6, 0.7, 0.01), (0.3, 1.5, 0.1), (0.9, 0.2, 0.05)):
        found = formula({"f": f, "varepsilon": epsilon, "delta": delta})
        expected = privacy.tpr_bound(torch.tensor([f], dtype=torch.float64), epsilon, delta)[0]
        assert_close(tensor(found["t_max"]), expected.clamp(max=1))


@executed("5.5.2c", of="dlbook.practice.privacy.private_gradients_")
def test_a_private_gradient_as_printed(formula):
    model = nn.Linear(4, 1, bias=False).double()
    x, y = random(5, 4), random(5)

    def loss(output, target):
        return F.mse_loss(output[:, 0], target)

    each = privacy.per_sample_gradients(model, loss, x, y)["weight"][:, 0]
    for norm, noise in ((0.5, 0.0), (0.5, 1.5), (3.0, 0.5)):
        privacy.private_gradients_(model, loss, x, y, norm, noise, 4.0, torch.Generator().manual_seed(0))
        xi = torch.randn(1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[0]
        names = {"g": each, "C": norm, "sigma": noise, "xi": xi, "B": 4.0}
        found = formula(names, {"n": 5, "j": 4})
        assert_close(tensor(found[r"\tilde g"]), model.weight.grad[0])


@executed("5.5.2d", of="dlbook.practice.privacy.rdp_subsampled_gaussian")
def test_the_divergence_as_printed(formula):
    for q, sigma, alpha in ((0.1, 1.2, 5), (0.3, 0.8, 3), (0.02, 2.0, 8)):
        found = formula({"q": q, "sigma": sigma, "alpha": float(alpha)})
        assert_close(tensor(found["rho_alpha"]), privacy.rdp_subsampled_gaussian(q, sigma, [alpha])[0])


@executed("5.5.2e", of="dlbook.practice.privacy.epsilon_from_rdp")
def test_the_conversion_as_printed(formula):
    for steps, delta in ((10.0, 1e-5), (40.0, 1e-3)):
        found = []
        for alpha in (2, 6, 20):
            rho = privacy.rdp_subsampled_gaussian(0.1, 1.1, [alpha])[0]
            names = {"T": steps, "rho_alpha": rho, "alpha": float(alpha), "delta": delta}
            found.append(float(formula(names)["varepsilon_alpha"]))
        rdp = steps * privacy.rdp_subsampled_gaussian(0.1, 1.1, (2, 6, 20))
        assert math.isclose(min(found), privacy.epsilon_from_rdp(rdp, delta, (2, 6, 20)), rel_tol=1e-9)
        for one, alpha in zip(found, (2, 6, 20), strict=True):
            rho = steps * privacy.rdp_subsampled_gaussian(0.1, 1.1, [alpha])
            assert math.isclose(one, privacy.epsilon_from_rdp(rho, delta, [alpha]), rel_tol=1e-9)


@executed("5.5.2f", of="dlbook.practice.privacy.federated_average")
def test_the_average_as_printed(formula):
    weights, counts = random(3, 4), [1, 5, 2]
    states = [{"w": row} for row in weights]
    found = formula({"w": weights, "n": torch.tensor(counts).double()}, {"k": 3, "j": 4})
    assert_close(tensor(found[r"\bar w"]), privacy.federated_average(states, counts)["w"])
