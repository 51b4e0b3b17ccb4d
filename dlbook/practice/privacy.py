"""Privacy: attacks on membership, differentially private training, federated averaging.

An attack asks of a trained model whether it has seen a row. Differential privacy
bounds what any such attack can find out: DP-SGD clips the gradient of each example and
adds noise, and an accountant says what the training has spent. Federated averaging
trains on rows that stay where they are.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dlbook._check import (
    check_bool,
    check_floating,
    check_integer,
    check_no_nan,
    check_same_shape,
    check_shape,
    check_whole,
)
from dlbook._float64 import float64_on_cpu

Loss = Callable[[Tensor, Tensor], Tensor]
ORDERS = (*range(2, 65), *range(72, 257, 8))


def group_sizes(columns: Int[Tensor, "rows columns"]) -> Int64[Tensor, " rows"]:
    """Return, for each row, how many rows have the same values: its equivalence class.

    A table is k-anonymous with respect to these columns if the smallest is k. A row
    whose group has size one is unique.

    Args:
        columns: codes of the quasi-identifiers.

    Raises:
        TypeError: `columns` holds no integers.
        ValueError: It is not a table, or an empty one.

    Source: Sweeney 2002, definition 3.
    """
    check_integer(columns=columns)
    check_shape("columns", columns, "rows", "columns")
    if not columns.numel():
        raise ValueError("columns must hold at least one value: got none")
    _, group, sizes = columns.unique(dim=0, return_inverse=True, return_counts=True)
    return sizes[group]


# --- attacks --------------------------------------------------------------------------


def membership_logit(
    logits: Float[Tensor, "*models batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, "*models batch"]:
    """Return log(p / (1 - p)) of the probability p that a model gives the true class.

    It falls as the loss rises; over models that are trained on other rows it is closer
    to a normal distribution than the loss or the probability.

    Args:
        logits: before softmax, of one model or of several.
        labels: the true classes.

    Raises:
        TypeError: `logits` is not floating point, or `labels` holds no integers.
        ValueError: The shapes do not fit, or there are fewer than two classes.

    Source: Carlini et al. 2022, section IV-C.
    """
    check_floating(logits=logits)
    check_integer(labels=labels)
    check_shape("labels", labels, "batch")
    if logits.ndim < 2 or logits.shape[-2] != len(labels) or logits.shape[-1] < 2:
        rule = f"(..., {len(labels)}, classes), with two classes or more"
        raise ValueError(f"logits must have the shape {rule}: got {logits.shape}")
    true = labels.long().expand(logits.shape[:-1])[..., None]
    others = logits.scatter(-1, true, -math.inf).logsumexp(-1)
    return logits.gather(-1, true)[..., 0] - others


def likelihood_ratio(
    observed: Float[Tensor, " batch"],
    shadows: Float[Tensor, "models batch"],
    inside: Bool[Tensor, "models batch"],
) -> Float[Tensor, " batch"]:
    """Return the log likelihood ratio of membership: LiRA, with shared variances.

    For each example, the shadow models that saw it and those that did not give two
    means. The variances around them are shared by all examples, as is advised for few
    shadow models.

    Args:
        observed: membership logits of the model that is attacked.
        shadows: the same of the shadow models.
        inside: which examples each of these was trained on.

    Raises:
        TypeError: A tensor has another type.
        ValueError: The shapes do not fit, or some example is in all shadow models, or
            in none.

    Source: Carlini et al. 2022, algorithm 1 and section VI-B.
    """
    check_floating(observed=observed, shadows=shadows)
    check_bool(inside=inside)
    check_shape("observed", observed, "batch")
    check_shape("shadows", shadows, "models", len(observed))
    check_same_shape(shadows=shadows, inside=inside)
    if (inside.all(0) | ~inside.any(0)).any():
        raise ValueError("inside must hold, for each example, both True and False")
    log_density = []
    for chosen in (inside, ~inside):
        mean = (shadows * chosen).sum(0) / chosen.sum(0)
        deviation = ((shadows - mean) * chosen).square()
        variance = deviation.sum() / (chosen.sum() - shadows.shape[1])
        log_density.append(
            -(observed - mean).square() / variance / 2 - variance.log() / 2
        )
    return log_density[0] - log_density[1]


@float64_on_cpu
def tpr_at_fpr(
    evidence: Float[Tensor, " batch"], members: Bool[Tensor, " batch"], fpr: float
) -> float:
    """Return which part of the members an attack finds at a low false positive rate.

    The threshold is the lowest that flags at most the part `fpr` of the non-members.

    Args:
        evidence: high where the attack believes in membership.
        members: which examples were trained on.
        fpr: the false positive rate that is allowed.

    Raises:
        TypeError: A tensor has another type.
        ValueError: The shapes do not fit, some evidence is NaN, members or others are
            missing, or `fpr` is not from 0 to below 1.
    """
    check_floating(evidence=evidence)
    check_bool(members=members)
    check_shape("evidence", evidence, "batch")
    check_same_shape(evidence=evidence, members=members)
    check_no_nan(evidence=evidence)
    if not 0 <= fpr < 1:
        raise ValueError(f"fpr must be from 0 to below 1: got {fpr}")
    if members.all() or not members.any():
        raise ValueError("members must hold both True and False")
    outside = evidence[~members].sort(descending=True).values
    allowed = math.floor(fpr * len(outside) + 1e-9)
    return (evidence[members] > outside[allowed]).double().mean().item()


def tpr_bound(
    fpr: Float[Tensor, "*points"], epsilon: float, delta: float = 0.0
) -> Float[Tensor, "*points"]:
    """Return the highest true positive rate of any attack on an (ε, δ)-private method.

    Args:
        fpr: false positive rates.
        epsilon: at least zero.
        delta: from 0 to 1.

    Raises:
        TypeError: `fpr` is not floating point.
        ValueError: `epsilon` or `delta` is out of its range.

    Source: Kairouz, Oh and Viswanath 2015, theorem 2.1.
    """
    check_floating(fpr=fpr)
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be at least 0: got {epsilon}")
    if not 0 <= delta <= 1:
        raise ValueError(f"delta must be from 0 to 1: got {delta}")
    low = math.exp(epsilon) * fpr + delta
    high = 1 - math.exp(-epsilon) * (1 - delta - fpr)
    return torch.minimum(low, high).clamp(max=1)


# --- differentially private training --------------------------------------------------


def per_sample_gradients(
    model: nn.Module, loss: Loss, x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """Return the gradient of each example's own loss, for all weights that are trained.

    Args:
        model: without layers that mix the examples of a batch, as batch normalisation
            does. Dropout is drawn anew for each example.
        loss: of the model's output and the target, for a batch of one.
        x: a batch of inputs.
        y: their targets.

    Returns:
        By the names of the weights: a tensor of shape (batch, *shape of the weight).

    Raises:
        ValueError: `x` and `y` differ in length.
    """
    if len(x) != len(y):
        raise ValueError(f"y must have a target for each x: got {len(y)} for {len(x)}")
    weights = {
        name: weight.detach()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }

    def loss_of_one(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, weights, (x[None],)), y[None])

    if not len(x):
        return {name: w.new_zeros(0, *w.shape) for name, w in weights.items()}
    each = vmap(grad(loss_of_one), in_dims=(None, 0, 0), randomness="different")
    return each(weights, x, y)


def clipped_sum(gradients: Mapping[str, Tensor], max_norm: float) -> dict[str, Tensor]:
    """Scale each example's gradient to at most a norm, and add up the examples.

    The norm is that over all weights together. An example whose gradient is not finite
    counts as zero: no factor brings it to a norm.

    Args:
        gradients: from `per_sample_gradients`.
        max_norm: C, the most that one example can change the sum.

    Raises:
        ValueError: `max_norm` is not positive, or there is no gradient.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive: got {max_norm}")
    if not gradients:
        raise ValueError("gradients must hold at least one weight: got none")
    flat = torch.cat([g.flatten(1) for g in gradients.values()], 1)
    norms = flat.norm(dim=1).clamp(min=1e-12)
    factors = torch.where(norms.isfinite(), (max_norm / norms).clamp(max=1), 0)
    finite = {n: g.nan_to_num(0, 0, 0) for n, g in gradients.items()}
    return {n: torch.tensordot(factors, g, 1) for n, g in finite.items()}


def private_gradients_(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    max_norm: float,
    noise: float,
    batch_size: int | float,
    generator: torch.Generator,
) -> None:
    """Set each weight's gradient to a clipped and noisy mean: an update of DP-SGD.

    Any optimiser may use it: what is computed from a private gradient stays private.

    Args:
        model: gets `.grad`, which is overwritten.
        loss: as for `per_sample_gradients`.
        x: a batch, drawn by `poisson_sample`; it may be empty.
        y: its targets.
        max_norm: C, to which each example's gradient is clipped.
        noise: σ, the noise multiplier: the noise has the standard deviation σ C.
        batch_size: the expected one, the same in each update.
        generator: of the noise; that of a deployment needs a secure one.

    Raises:
        ValueError: `noise` is negative, or another argument out of its range.

    Source: Abadi et al. 2016, algorithm 1.
    """
    if not noise >= 0:
        raise ValueError(f"noise must be at least 0: got {noise}")
    if not batch_size > 0:
        raise ValueError(f"batch_size must be positive: got {batch_size}")
    total = clipped_sum(per_sample_gradients(model, loss, x, y), max_norm)
    for name, weight in model.named_parameters():
        if name in total:
            drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            blurred = total[name] + noise * max_norm * drawn.to(weight.device)
            weight.grad = blurred / batch_size


def poisson_sample(
    count: int, sample_rate: float, generator: torch.Generator
) -> Int64[Tensor, " chosen"]:
    """Draw each of so many rows independently with the same probability.

    Args:
        count: of the rows.
        sample_rate: q, the probability of each.
        generator: of the draws.

    Returns:
        The chosen rows; how many varies from call to call, and none is possible.

    Raises:
        ValueError: `sample_rate` is not from 0 to 1, or `count` below 1.
    """
    check_whole(1, count=count)
    _check_rate(sample_rate)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64)
    return (drawn < sample_rate).nonzero()[:, 0]


def rdp_subsampled_gaussian(
    sample_rate: float, noise: float, orders: Sequence[int] = ORDERS
) -> Float64[Tensor, " orders"]:
    """Return the Rényi differential privacy of a noisy sum over a Poisson sample.

    Args:
        sample_rate: q, the probability with which each row is drawn.
        noise: σ, the noise multiplier.
        orders: α, whole numbers from 2.

    Returns:
        For each order, a bound on the Rényi divergence of one step; those of several
        updates add up.

    Raises:
        ValueError: `sample_rate` is not from 0 to 1, `noise` is not positive, or an
            order is below 2.

    Source: Mironov, Talwar and Zhang 2019, section 3.3.
    """
    _check_rate(sample_rate)
    if not noise > 0:
        raise ValueError(f"noise must be positive: got {noise}")
    q = torch.tensor(sample_rate, dtype=torch.float64)
    found = []
    for alpha in orders:
        check_whole(2, orders=alpha)
        k = torch.arange(alpha + 1, dtype=torch.float64)
        log_binomial = (
            math.lgamma(alpha + 1) - torch.lgamma(k + 1) - torch.lgamma(alpha - k + 1)
        )
        log_chance = torch.xlogy(k, q) + torch.xlogy(alpha - k, 1 - q)
        terms = log_binomial + log_chance + (k.square() - k) / (2 * noise**2)
        found.append(terms.logsumexp(0) / (alpha - 1))
    return torch.stack(found)


def epsilon_from_rdp(
    rdp: Float[Tensor, " orders"], delta: float, orders: Sequence[int] = ORDERS
) -> float:
    """Return the smallest epsilon that Rényi differential privacy proves for a delta.

    Args:
        rdp: of the whole training, for each order.
        delta: above 0, below 1.
        orders: α, as for `rdp_subsampled_gaussian`.

    Raises:
        TypeError: `rdp` is not floating point.
        ValueError: The shapes do not fit, or `delta` is out of its range.

    Source: Balle et al. 2020, theorem 21.
    """
    check_floating(rdp=rdp)
    check_shape("rdp", rdp, len(orders))
    if not 0 < delta < 1:
        raise ValueError(f"delta must be above 0 and below 1: got {delta}")
    alpha = torch.tensor(orders, dtype=torch.float64)
    proved = rdp + (1 - 1 / alpha).log() - (delta * alpha).log() / (alpha - 1)
    return max(proved.min().item(), 0.0)


def epsilon_spent(
    sample_rate: float, noise: float, updates: int, delta: float
) -> float:
    """Return the epsilon of so many updates of DP-SGD.

    Args:
        sample_rate: q, as in `poisson_sample`.
        noise: σ, as in `private_gradients_`.
        updates: how many.
        delta: above 0, below 1; less than one over the number of rows.

    Raises:
        ValueError: One of them is out of its range.
    """
    check_whole(0, updates=updates)
    if not updates:
        return 0.0
    return epsilon_from_rdp(
        updates * rdp_subsampled_gaussian(sample_rate, noise), delta
    )


def noise_for_epsilon(
    epsilon: float, sample_rate: float, updates: int, delta: float
) -> float:
    """Return the noise multiplier with which training spends at most an epsilon.

    Found by bisection, to a thousandth of it; spends no more than asked for.

    Args:
        epsilon: above 0.
        sample_rate: q, as in `poisson_sample`.
        updates: how many.
        delta: above 0, below 1.

    Raises:
        ValueError: One of them is out of its range, or no noise up to 1000 is enough.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0: got {epsilon}")
    low, high = 1e-2, 1e3
    if epsilon_spent(sample_rate, high, updates, delta) > epsilon:
        raise ValueError(f"epsilon must be attainable with noise {high}: got {epsilon}")
    while high > 1.001 * low:
        middle = math.sqrt(low * high)
        if epsilon_spent(sample_rate, middle, updates, delta) > epsilon:
            low = middle
        else:
            high = middle
    return high


# --- federated learning ---------------------------------------------------------------


def federated_average(
    states: Sequence[Mapping[str, Tensor]], counts: Sequence[int]
) -> dict[str, Tensor]:
    """Return the mean of clients' weights, each client weighted by its rows.

    Args:
        states: of each client, its weights by name, as from `state_dict`.
        counts: how many rows each has.

    Raises:
        TypeError: A state holds something else than floating-point numbers, such as the
            counter of batch normalisation.
        ValueError: There is no client, a client has other names, or a count for each is
            missing or negative, or none is above 0.

    Source: McMahan et al. 2017, algorithm 1.
    """
    if not states or len(states) != len(counts):
        got = f"{len(counts)} for {len(states)}"
        raise ValueError(f"counts must have one for each client: got {got}")
    for count in counts:
        check_whole(0, counts=count)
    if not sum(counts):
        raise ValueError("counts must add up to more than 0")
    if any(state.keys() != states[0].keys() for state in states):
        raise ValueError("states must have the same names")
    for state in states:
        check_floating(**state)
    weights = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    return {
        name: torch.tensordot(
            weights.to(first), torch.stack([state[name] for state in states]), 1
        )
        for name, first in states[0].items()
    }


def _check_rate(sample_rate: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= sample_rate <= 1:
        raise ValueError(f"sample_rate must be from 0 to 1: got {sample_rate}")
