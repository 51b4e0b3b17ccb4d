"""Transfer learning: what to keep of a trained network, what to train, and heads.

A feature extractor is frozen, or fine-tuned with smaller learning rates in its early
layers, or changed by matrices of low rank (LoRA). On its features stands a head: a
linear one, prototypes, or vectors that describe classes (zero-shot).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_seed,
    check_shape,
    check_whole,
)
from dlbook._float64 import float64_on_cpu


class Frozen(nn.Module):
    """A module that stays as it is: in evaluation mode, and without gradients.

    To switch `requires_grad` off is not enough. In training mode, batch normalisation
    would still replace its running averages by those of the new data, and dropout would
    still drop.
    """

    def __init__(self, module: nn.Module):
        """Freeze a module in place.

        Args:
            module: the feature extractor; its weights get no gradients any more.
        """
        super().__init__()
        self.module = module.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Frozen":
        """Leave the module in evaluation mode, whatever is asked for.

        Args:
            mode: is that of this wrapper alone.
        """
        super().train(mode)
        self.module.eval()
        return self

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:
        """Return what the module returns, without a graph.

        Args:
            inputs: those of the module.
        """
        return self.module(*inputs)


def replace_head_(model: nn.Module, name: str, classes: int) -> nn.Linear:
    """Replace a model's linear head by a new one for other classes.

    Its weights and biases are zero: all classes are equally likely at first, and the
    gradient that reaches the features grows with what the head has learnt.

    Args:
        model: is changed in place.
        name: the attribute that holds the head, such as "output" or "blocks.head".
        classes: how many logits the new one returns.

    Returns:
        The new head, of the old one's inputs, device and type.

    Raises:
        ValueError: The model has no such module, or its weight is no matrix.
    """
    check_whole(1, classes=classes)
    found = dict(model.named_modules()).get(name) if name else None
    weight = getattr(found, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise ValueError(f"name must be that of a linear layer: got {name!r}")
    head = nn.Linear(weight.shape[1], classes).to(weight)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    owner, _, last = name.rpartition(".")
    setattr(model.get_submodule(owner), last, head)
    return head


def discriminative_groups(
    layers: Sequence[nn.Module], lr: float, decay: float = 2.6
) -> list[dict[str, Any]]:
    """Return groups for an optimiser whose learning rates fall towards the input.

    The last layer gets lr, the one before it lr / decay, and so on: what is general
    shall change less than what is special to the old task.

    Args:
        layers: from the input to the output; they must not share weights.
        lr: the learning rate of the last.
        decay: by what it is divided from layer to layer; 1 treats all alike.

    Returns:
        For each layer that has weights to train, a group with "params" and "lr".

    Raises:
        ValueError: lr is not positive, decay is below 1, two layers share a weight, or
            none has any to train.

    Source: Howard and Ruder 2018, section 3.2.
    """
    if not lr > 0:
        raise ValueError(f"lr must be positive: got {lr}")
    if not decay >= 1:
        raise ValueError(f"decay must be at least 1: got {decay}")
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(reversed(layers)):
        weights = [weight for weight in layer.parameters() if weight.requires_grad]
        if weights:
            groups.insert(0, {"params": weights, "lr": lr / decay**depth})
    every = [id(weight) for group in groups for weight in group["params"]]
    if not every:
        raise ValueError("layers must have weights to train: got none")
    if len(set(every)) < len(every):
        raise ValueError("layers must not share weights: got one in two of them")
    return groups


class LoRA(nn.Module):
    """Low-rank adaptation: a frozen linear layer plus a product of two thin matrices.

    The output is W x + b + (alpha / rank) B A x, where A is (rank, inputs) and B
    (outputs, rank). B begins at zero, so that nothing changes at first. Only A and B
    are trained: rank · (inputs + outputs) weights for inputs · outputs.

    Source: Hu et al. 2021, section 4.1.
    """

    def __init__(self, layer: nn.Linear, rank: int, alpha: float | None = None):
        """Create the matrices, and freeze the layer.

        Args:
            layer: is frozen in place.
            rank: of the change.
            alpha: scales the change; twice the rank, if not given.

        Raises:
            TypeError: `layer` is no linear layer.
            ValueError: `rank` is below 1, or above the layer's inputs or outputs.
        """
        super().__init__()
        _check_linear(layer)
        check_whole(1, rank=rank)
        outputs, inputs = layer.weight.shape
        if rank > min(inputs, outputs):
            raise ValueError(f"rank must be at most {min(inputs, outputs)}: got {rank}")
        self.layer = layer.requires_grad_(False)
        self.in_features, self.out_features = inputs, outputs
        self.a = nn.Parameter(layer.weight.new_empty(rank, inputs))
        self.b = nn.Parameter(layer.weight.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))  # as a linear layer begins
        self.scale = (2 * rank if alpha is None else alpha) / rank

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch out"]:
        """Return the layer's output, changed.

        Args:
            x: what the layer takes.
        """
        return self.layer(x) + self.scale * F.linear(F.linear(x, self.a), self.b)

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that computes the same: the change costs no time.

        Returns:
            A new layer, whose weights can be trained; this one is left alone.
        """
        outputs, inputs = self.layer.weight.shape
        merged = nn.Linear(inputs, outputs, self.layer.bias is not None)
        merged = merged.to(self.layer.weight)
        merged.weight.copy_(self.layer.weight + self.scale * self.b @ self.a)
        if self.layer.bias is not None:
            merged.bias.copy_(self.layer.bias)
        return merged


def add_lora_(
    model: nn.Module, names: Iterable[str], rank: int, alpha: float | None = None
) -> list[LoRA]:
    """Freeze a model, and give some of its linear layers a change of low rank.

    Args:
        model: is changed in place. All of its weights are frozen, but those that come.
        names: how the names of these layers end, such as "query" and "value".
        rank, alpha: as in `LoRA`.

    Returns:
        The new layers, in the model's order.

    Raises:
        TypeError: A layer of such a name is not linear.
        ValueError: There is none of some name, or `rank` does not fit.
    """
    model.requires_grad_(False)
    endings = tuple(names)
    found = [
        (name, module)
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in endings
    ]
    missing = set(endings) - {name.rpartition(".")[2] for name, _ in found}
    if missing or not endings:
        got = sorted(missing) or "none"
        raise ValueError(f"names must be those of layers in the model: got {got}")
    changed = []
    for name, layer in found:
        owner, _, last = name.rpartition(".")
        changed.append(LoRA(layer, rank, alpha))
        setattr(model.get_submodule(owner), last, changed[-1])
    return changed


@float64_on_cpu
def linear_probe(
    features: Float[Tensor, "batch dim"],
    labels: Int[Tensor, " batch"],
    strength: float = 1.0,
    classes: int | None = None,
) -> nn.Linear:
    """Fit a linear probe: multinomial logistic regression with an L2 penalty.

    Minimises the sum of the cross-entropies plus strength / 2 times the squared norm of
    the weights, the biases left out, by L-BFGS in float64. The minimum is unique but
    for a constant that all biases share; they add up to zero.

    Args:
        features: what a frozen network says of each example.
        labels: their classes, of any integer type.
        strength: of the penalty, 1 / C in scikit-learn.
        classes: how many there are; the largest label and one, if not given.

    Returns:
        The fitted layer, of the features' device and type.

    Raises:
        TypeError: `features` is not floating point, or `labels` holds no integers.
        ValueError: The shapes do not fit, a label is no class, a feature is NaN,
            there is no example, or `strength` is not positive.
    """
    _check_examples(features, labels)
    if not strength > 0:
        raise ValueError(f"strength must be positive: got {strength}")
    if not len(labels):
        raise ValueError("features must hold at least one example: got none")
    classes = _count_classes(labels, classes)
    x, answers = features.detach().double(), labels.long()
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=1000,
        tolerance_grad=1e-8 * len(x),
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(x, weight, bias), answers, reduction="sum")
        loss = loss + strength / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    probe = nn.Linear(x.shape[1], classes).to(features)
    with torch.no_grad():
        probe.weight.copy_(weight)
        probe.bias.copy_(bias - bias.mean())
    return probe


def prototypes(
    features: Float[Tensor, "batch dim"],
    labels: Int[Tensor, " batch"],
    classes: int | None = None,
) -> Float[Tensor, "classes dim"]:
    """Return the prototype of each class: the mean of its examples' features.

    Args:
        features: of the examples, a few of each class.
        labels: their classes, of any integer type.
        classes: how many there are; the largest label and one, if not given.

    Raises:
        TypeError: `features` is not floating point, or `labels` holds no integers.
        ValueError: The shapes do not fit, a label is no class, a feature is NaN,
            or a class has no example.

    Source: Snell et al. 2017, equation (1).
    """
    _check_examples(features, labels)
    classes = _count_classes(labels, classes)
    counts = torch.bincount(labels, minlength=classes)
    if (counts == 0).any():
        missing = (counts == 0).nonzero().flatten().tolist()
        raise ValueError(f"each class must have an example: got none of {missing}")
    sums = features.new_zeros(classes, features.shape[1])
    return sums.index_add(0, labels.long(), features) / counts[:, None]


def prototype_logits(
    features: Float[Tensor, "batch dim"], centres: Float[Tensor, "classes dim"]
) -> Float[Tensor, "batch classes"]:
    """Return minus the squared distance of each example to each prototype.

    Softmax makes probabilities of them; the nearest prototype is the likeliest class.

    Args:
        features: of the examples.
        centres: from `prototypes`.

    Raises:
        TypeError: One of them is not floating point.
        ValueError: The shapes do not fit.

    Source: Snell et al. 2017, equation (2).
    """
    check_floating(features=features, centres=centres)
    check_shape("features", features, "batch", "dim")
    check_shape("centres", centres, "classes", features.shape[1])
    return -(features[:, None] - centres).square().sum(2)


def zero_shot_logits(
    features: Float[Tensor, "batch dim"],
    descriptions: Float[Tensor, "classes dim"],
    temperature: float = 0.07,
) -> Float[Tensor, "batch classes"]:
    """Return the cosine of each example to each class's description, sharpened.

    A class needs no example: only a vector in the space of the features, such as the
    embedding of its name.

    Args:
        features: of the examples.
        descriptions: of the classes.
        temperature: by what the cosines are divided; it changes no likeliest class.

    Raises:
        TypeError: One of them is not floating point.
        ValueError: The shapes do not fit, or `temperature` is not positive.

    Source: Radford et al. 2021, section 3.1.
    """
    check_floating(features=features, descriptions=descriptions)
    check_shape("features", features, "batch", "dim")
    check_shape("descriptions", descriptions, "classes", features.shape[1])
    if not temperature > 0:
        raise ValueError(f"temperature must be positive: got {temperature}")
    unit, centres = F.normalize(features, dim=1), F.normalize(descriptions, dim=1)
    return unit @ centres.T / temperature


def info_nce(
    first: Float[Tensor, "pairs dim"],
    second: Float[Tensor, "pairs dim"],
    temperature: float = 0.07,
) -> Float[Tensor, ""]:
    """Return InfoNCE, the contrastive loss of pairs that belong together.

    Each vector must find its partner among all partners in the batch, by cosine: the
    mean cross-entropy of both directions. A batch of one pair costs nothing, and a
    batch of n vectors that are all alike costs log n.

    Args:
        first, second: row i of one belongs to row i of the other.
        temperature: by what the cosines are divided.

    Raises:
        TypeError: One of them is not floating point.
        ValueError: The shapes do not fit, there is no pair, or `temperature` is not
            positive.

    Source: van den Oord et al. 2018, equation (4); Radford et al. 2021, figure 3.
    """
    check_floating(first=first, second=second)
    check_shape("first", first, "pairs", "dim")
    check_shape("second", second, *first.shape)
    if not len(first):
        raise ValueError("first must hold at least one pair: got none")
    logits = zero_shot_logits(first, second, temperature)
    partner = torch.arange(len(first), device=first.device)
    forth, back = F.cross_entropy(logits, partner), F.cross_entropy(logits.T, partner)
    return (forth + back) / 2


def harmonic_mean(known: float, novel: float) -> float:
    """Return the harmonic mean of two accuracies, as of seen and unseen classes.

    It is near the smaller one: a model that knows only one kind gets no credit.

    Args:
        known, novel: the accuracies, from 0 to 1.

    Raises:
        ValueError: One of them is outside 0 ... 1.

    Source: Xian et al. 2018, section 4.2.
    """
    for name, value in (("known", known), ("novel", novel)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1: got {value}")
    return 2 * known * novel / (known + novel) if known + novel else 0.0


def episode(
    labels: Int[Tensor, " examples"], ways: int, shots: int, queries: int, seed: int
) -> tuple[Int64[Tensor, "ways shots"], Int64[Tensor, "ways queries"]]:
    """Draw an episode of few-shot learning: N ways, K shots.

    Args:
        labels: of all examples.
        ways: how many classes are drawn.
        shots: how many examples of each are shown.
        queries: how many others of each are asked.
        seed: of the draw.

    Returns:
        The rows that are shown and those that are asked, by drawn class.

    Raises:
        TypeError: `labels` holds no integers.
        ValueError: A number is below 1, or fewer classes than `ways` have enough
            examples.

    Source: Vinyals et al. 2016, section 4.1.
    """
    check_integer(labels=labels)
    check_shape("labels", labels, "examples")
    check_whole(1, ways=ways, shots=shots, queries=queries)
    check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    labels = labels.cpu()
    values, counts = labels.unique(return_counts=True)
    values = values[counts >= shots + queries]
    if len(values) < ways:
        rule = f"labels must have {ways} classes of {shots + queries} examples or more"
        raise ValueError(f"{rule}: got {len(values)}")
    rows = []
    for value in values[torch.randperm(len(values), generator=generator)[:ways]]:
        mine = (labels == value).nonzero()[:, 0]
        order = torch.randperm(len(mine), generator=generator)
        rows.append(mine[order[: shots + queries]])
    drawn = torch.stack(rows)
    return drawn[:, :shots], drawn[:, shots:]


def _check_linear(layer: object) -> None:
    """Refuse what has no matrix of weights to be changed."""
    if not isinstance(layer, nn.Linear):
        got = type(layer).__name__
        raise TypeError(f"layer must be a torch.nn.Linear: got {got}")


def _check_examples(features: Tensor, labels: Tensor) -> None:
    """Refuse what are no features with a label each."""
    check_floating(features=features)
    check_shape("features", features, "batch", "dim")
    check_no_nan(features=features)
    check_integer(labels=labels)
    check_shape("labels", labels, len(features))


def _count_classes(labels: Tensor, classes: int | None) -> int:
    """Return the number of classes; refuse labels that are none of them."""
    if classes is not None:
        check_whole(1, classes=classes)
    if not len(labels):
        return 0 if classes is None else classes
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or (classes is not None and most >= classes):
        rule = "at least 0" if classes is None else f"from 0 to {classes - 1}"
        raise ValueError(f"labels must be {rule}: got {least} to {most}")
    return most + 1 if classes is None else classes
