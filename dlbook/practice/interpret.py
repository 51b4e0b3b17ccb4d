"""Attribution: how much each input contributed to a model's score of a class.

Each method takes any model that maps a batch of examples to logits, each example by
itself: batch normalisation must be in evaluation mode. Where inputs are token numbers,
pass the part of the model behind the embedding, and the embedded tokens as x.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from dlbook._check import (
    check_floating,
    check_integer,
    check_same_shape,
    check_shape,
    check_whole,
)

Model = Callable[[Tensor], Tensor]


def saliency(
    model: Model, x: Float[Tensor, "batch *features"], target: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch *features"]:
    """Return the gradient of the target's logit with respect to the input.

    Saliency maps show its absolute value; times the input it attributes the logit of a
    linear model exactly.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the examples.
        target: the class of each example whose logit is explained.

    Raises:
        TypeError: x is not floating point, or target holds no integers.
        ValueError: The shapes do not fit, or a target is no class.

    Source: Simonyan et al. 2013.
    """
    check_floating(x=x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_logits(model, x, target).sum(), x)
    return gradient


def gradient_times_input(
    model: Model, x: Float[Tensor, "batch *features"], target: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch *features"]:
    """Return gradient × input: the first-order contribution of each input.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the examples.
        target: the class of each example whose logit is explained.

    Raises:
        TypeError: x is not floating point, or target holds no integers.
        ValueError: The shapes do not fit, or a target is no class.

    Source: Shrikumar et al. 2016.
    """
    return x.detach() * saliency(model, x, target)


def integrated_gradients(
    model: Model,
    x: Float[Tensor, "batch *features"],
    target: Int64[Tensor, " batch"],
    baseline: Float[Tensor, "batch *features"] | None = None,
    n_steps: int = 50,
) -> Float[Tensor, "batch *features"]:
    """Return integrated gradients: the mean gradient on the way from a baseline to x.

    It is taken at the middles of `n_steps` equal parts of the way, times the way. The
    attributions of an example add up to the difference between its logit and that of
    the baseline (completeness), but for the error of the sum.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the examples.
        target: the class of each example whose logit is explained.
        baseline: where the way begins; zeros, if None.
        n_steps: how many gradients are averaged.

    Raises:
        TypeError: x or baseline is not floating point, target holds no integers, or
            n_steps is no whole number.
        ValueError: The shapes do not fit, a target is no class, or n_steps is below 1.

    Source: Sundararajan et al. 2017.
    """
    check_whole(1, n_steps=n_steps)
    check_floating(x=x)
    x = x.detach()
    baseline = torch.zeros_like(x) if baseline is None else baseline
    check_same_shape(x=x, baseline=baseline)
    check_floating(baseline=baseline)
    baseline = baseline.detach()
    total = torch.zeros_like(x)
    for step in range(n_steps):
        fraction = (step + 0.5) / n_steps
        total += saliency(model, baseline + fraction * (x - baseline), target)
    return (x - baseline) * total / n_steps


def smooth_grad(
    model: Model,
    x: Float[Tensor, "batch *features"],
    target: Int64[Tensor, " batch"],
    std: float,
    n_samples: int = 25,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch *features"]:
    """Return SmoothGrad: the mean gradient over noisy copies of the input.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the examples.
        target: the class of each example whose logit is explained.
        std: the standard deviation of the Gaussian noise, in the input's unit.
        n_samples: how many copies are averaged.
        generator: of the noise, on the device of x; PyTorch's own, if None.

    Raises:
        TypeError: x is not floating point, target holds no integers, or n_samples is no
            whole number.
        ValueError: The shapes do not fit, a target is no class, std is negative, or
            n_samples is below 1.

    Source: Smilkov et al. 2017.
    """
    check_whole(1, n_samples=n_samples)
    check_floating(x=x)
    x = x.detach()
    if not std >= 0:
        raise ValueError(f"std must be at least 0: got {std}")
    total = torch.zeros_like(x)
    for _ in range(n_samples):
        noise = torch.empty_like(x).normal_(generator=generator)
        total += saliency(model, x + std * noise, target)
    return total / n_samples


def grad_cam(
    model: nn.Module,
    layer: nn.Module,
    x: Float[Tensor, "batch *features"],
    target: Int64[Tensor, " batch"],
) -> Float[Tensor, "batch height width"]:
    """Return the Grad-CAM heat map of a convolutional layer.

    Each channel of the layer's output is weighted by the mean of the logit's gradient
    over its places; of the weighted sum, negative values are cut off.

    Args:
        model: maps a batch to logits, (batch, classes), through the layer.
        layer: one of its layers, whose output is (batch, channels, height, width).
        x: the examples.
        target: the class of each example whose logit is explained.

    Returns:
        The map, as large as the layer's output.

    Raises:
        TypeError: x is not floating point, or target holds no integers.
        ValueError: The shapes do not fit, a target is no class, or the model did not
            call the layer exactly once.

    Source: Selvaraju et al. 2017.
    """
    check_floating(x=x)
    outputs: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        check_shape(
            "the output of layer", output, len(x), "channels", "height", "width"
        )
        outputs.append(output)
        return output.clone()  # what follows may change its input in place

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = _logits(model, x.detach().requires_grad_(), target).sum()
    finally:
        handle.remove()
    if len(outputs) != 1:
        raise ValueError(f"layer must be called once: got {len(outputs)} calls")
    (a,) = outputs
    (gradient,) = torch.autograd.grad(logit, a)
    weight = gradient.mean((2, 3), keepdim=True)  # (batch, channels, 1, 1)
    return (weight * a.detach()).sum(1).relu()


@torch.no_grad()
def occlusion(
    model: Model,
    x: Float[Tensor, "batch channels height width"],
    target: Int64[Tensor, " batch"],
    window: int,
    stride: int = 1,
    fill: float = 0.0,
) -> Float[Tensor, "batch height width"]:
    """Return by how much the logit falls when a square window is covered.

    The window moves over the image; each pixel gets the mean over the windows that
    covered it. Windows at the lower and right edge are cut off, so that each pixel is
    covered.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the images.
        target: the class of each example whose logit is explained.
        window: its height and width in pixels.
        stride: by how many pixels it moves, at most its size.
        fill: the value that covers.

    Raises:
        TypeError: x is not floating point, target holds no integers, or window or
            stride is no whole number.
        ValueError: The shapes do not fit, a target is no class, or stride is not from 1
            to window.

    Source: Zeiler and Fergus 2014.
    """
    check_whole(1, window=window, stride=stride)
    if stride > window:
        raise ValueError(f"stride must be at most window = {window}: got {stride}")
    check_floating(x=x)
    check_shape("x", x, "batch", "channels", "height", "width")
    height, width = x.shape[2:]
    before = _logits(model, x, target)  # (batch,)
    total = torch.zeros_like(x[:, 0])  # (batch, height, width)
    covered = torch.zeros_like(total[:1])
    for top in _starts(height, window, stride):
        for left in _starts(width, window, stride):
            here = (..., slice(top, top + window), slice(left, left + window))
            hidden = x.clone()
            hidden[here] = fill
            fall = before - _logits(model, hidden, target)
            total[here] += fall[:, None, None]
            covered[here] += 1
    return total / covered


def permutation_importance(
    metric: Callable[[Tensor], float],
    x: Float[Tensor, "examples features"],
    permutations: Int[Tensor, "repeats examples"],
) -> Float[Tensor, "features repeats"]:
    """Return by how much a metric falls when one feature is permuted over the examples.

    Args:
        metric: how good the predictions for some inputs are, higher is better: it knows
            the model and the answers.
        x: the inputs, one example a row.
        permutations: the order of the examples in each repetition, such as
            `torch.rand(repeats, examples).argsort()`; the same for each feature.

    Returns:
        The fall for each feature and repetition, in float64.

    Raises:
        TypeError: x is not floating point, or permutations holds no integers.
        ValueError: The shapes do not fit, or a row of permutations is none.

    Source: Breiman 2001; Fisher et al. 2019.
    """
    check_floating(x=x)
    check_shape("x", x, "examples", "features")
    check_integer(permutations=permutations)
    check_shape("permutations", permutations, "repeats", len(x))
    everyone = torch.arange(len(x), device=permutations.device)
    if not (permutations.sort().values == everyone).all():
        raise ValueError("permutations must hold each row of x once in each repetition")
    before = float(metric(x))
    falls = torch.zeros(x.shape[1], len(permutations), dtype=torch.float64)
    for feature in range(x.shape[1]):
        for repeat, order in enumerate(permutations):
            shuffled = x.clone()
            shuffled[:, feature] = x[order, feature]
            falls[feature, repeat] = before - float(metric(shuffled))
    return falls


@torch.no_grad()
def deletion_curve(
    model: Model,
    x: Float[Tensor, "batch *features"],
    target: Int64[Tensor, " batch"],
    attribution: Float[Tensor, "batch *features"],
    baseline: Float[Tensor, "batch *features"],
    n_steps: int = 20,
) -> Float[Tensor, "batch points"]:
    """Return the target's probability as the inputs are replaced, largest first.

    A faithful attribution makes it fall fast. With x and baseline exchanged this is the
    insertion curve, which a faithful attribution makes rise fast.

    Args:
        model: maps a batch to logits, (batch, classes).
        x: the examples.
        target: the class of each example whose probability is followed.
        attribution: of each input; equal ones are replaced in their order.
        baseline: what inputs are replaced by.
        n_steps: in how many steps all are replaced, as equal as whole numbers can be.

    Returns:
        The probabilities with nothing replaced, after each step, and with all replaced.

    Raises:
        TypeError: x is not floating point, target holds no integers, or n_steps is no
            whole number.
        ValueError: The shapes do not fit, a target is no class, or n_steps is not from
            1 to the number of features.

    Source: Petsiuk et al. 2018.
    """
    check_floating(x=x)
    check_same_shape(x=x, attribution=attribution, baseline=baseline)
    check_whole(1, n_steps=n_steps)
    flat, other = x.flatten(1), baseline.flatten(1)
    features = flat.shape[1]
    if n_steps > features:
        raise ValueError(f"n_steps must be at most {features}: got {n_steps}")
    order = attribution.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)  # 0 for the largest
    curve = []
    for step in range(n_steps + 1):
        replaced = rank < round(step * features / n_steps)
        mixed = torch.where(replaced, other, flat).view_as(x)
        probability = _all_logits(model, mixed, target).softmax(1)
        curve.append(probability.gather(1, target[:, None])[:, 0])
    return torch.stack(curve, 1)


def shapley_values(
    value: Callable[[Tensor], Tensor],
    players: int,
    device: torch.device | str | None = None,
) -> Float[Tensor, " players"]:
    """Return the exact Shapley values of a game, from all of its coalitions.

    The value of a player is its mean contribution when it joins those that came before
    it, over all orders of the players. The values add up to the worth of all players
    minus that of none (efficiency). They are computed in float64.

    Args:
        value: the worth of coalitions: called once with a boolean matrix that has a row
            for each coalition and a column for each player, true where the player is
            in; returns a number for each row.
        players: how many there are, at most 16, since there are 2 ** players
            coalitions.
        device: of the coalitions, such as that of the model; PyTorch's own, if None.

    Returns:
        The values, in the dtype of the worths and on their device.

    Raises:
        TypeError: players is no whole number, or value returns no floating point.
        ValueError: players is not from 1 to 16, or value does not return one number for
            each coalition.

    Source: Shapley 1953; Lundberg and Lee 2017.
    """
    check_whole(1, players=players)
    if players > 16:
        raise ValueError(f"players must be at most 16: got {players}")
    number = torch.arange(2**players, device=device)
    present = (number[:, None] >> torch.arange(players, device=device)) % 2 == 1
    worth = value(present)
    check_floating(worth=worth)
    check_shape("the worth of coalitions", worth, len(present))
    exact = _exact(worth)
    size = present.sum(1).to(exact.device)
    weights = [1 / (players * math.comb(players - 1, s)) for s in range(players)]
    weight = exact.new_tensor(weights)  # of a coalition without the player, by its size
    result = []
    for player in range(players):  # (…, without or with the player, …)
        pairs = exact.reshape(-1, 2, 2**player)
        others = size.reshape(-1, 2, 2**player)[:, 0]
        result.append((weight[others] * (pairs[:, 1] - pairs[:, 0])).sum())
    return torch.stack(result).to(worth)


def local_surrogate(
    present: Bool[Tensor, "coalitions players"],
    worth: Float[Tensor, " coalitions"],
    weight: Float[Tensor, " coalitions"],
) -> Float[Tensor, " players"]:
    """Return the slopes of a linear model of a game: weighted least squares.

    With weights that fall with the number of missing players this is LIME's
    explanation, without its choice of features. It is solved in float64.

    The Shapley kernel gives the empty and the full coalition infinite weights. With
    large ones in their place, the slopes are nearly the Shapley values: they differ by
    about the inverse of these weights. In float64, a million is large enough for five
    digits, and above `1e12` rounding takes them away again.

    Args:
        present: which players are in each coalition.
        worth: of each coalition, such as the model's logit when the features of absent
            players are replaced.
        weight: of each coalition, finite and not negative.

    Returns:
        The slopes, in the dtype of the worths.

    Raises:
        TypeError: worth or weight is not floating point.
        ValueError: The shapes do not fit, a weight is negative or not finite, or the
            coalitions with a weight do not determine the slopes.

    Source: Ribeiro et al. 2016; Lundberg and Lee 2017.
    """
    check_floating(worth=worth, weight=weight)
    check_shape("present", present, "coalitions", "players")
    check_shape("worth", worth, len(present))
    check_shape("weight", weight, len(present))
    if not ((weight >= 0) & weight.isfinite()).all():
        raise ValueError(f"weight must be finite and not negative: got {weight}")
    exact = _exact(worth)
    weights = weight.to(exact)
    design = torch.cat([torch.ones_like(exact)[:, None], present.to(exact)], 1)
    if torch.linalg.matrix_rank(design[weights > 0]) < design.shape[1]:
        raise ValueError("present must determine a slope for each player")
    root = weights.sqrt()
    slopes = torch.linalg.lstsq(root[:, None] * design, root * exact).solution[1:]
    return slopes.to(worth)


def _exact(numbers: Tensor) -> Tensor:
    """Return numbers in float64, on the CPU if they are on a device without it."""
    where = "cpu" if numbers.device.type == "mps" else numbers.device
    return numbers.to(where).to(torch.float64)


def _all_logits(model: Model, x: Tensor, target: Tensor) -> Tensor:
    """Return the logits, after a look at their shape and at the targets."""
    check_integer(target=target)
    check_shape("target", target, len(x))
    logits = model(x)
    check_shape("the model's output", logits, len(x), "classes")
    if target.is_cpu and ((target < 0) | (target >= logits.shape[1])).any():
        rule = f"target must lie between 0 and classes - 1 = {logits.shape[1] - 1}"
        raise ValueError(f"{rule}: got {target.min()} to {target.max()}")
    return logits


def _logits(model: Model, x: Tensor, target: Tensor) -> Tensor:
    """Return the logit of each example's target."""
    return _all_logits(model, x, target).gather(1, target[:, None])[:, 0]


def _starts(length: int, window: int, stride: int) -> range:
    """Return where windows begin, until the last reaches the edge."""
    return range(0, max(length - window + stride, 1), stride)
