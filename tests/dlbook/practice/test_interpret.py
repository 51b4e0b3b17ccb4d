"""Attribution methods: equal to captum and scikit-learn on an MLP, a CNN and a text model, and as their papers say."""

import itertools
import math

import captum.attr as captum
import numpy as np
import pytest
import torch
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LinearRegression
from torch import nn
from torch.testing import assert_close

from dlbook.practice import interpret
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor

# The convolution is followed by what has a gradient everywhere, so that the comparison does not depend on kinks.
MODELS = {
    "mlp": (nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.Tanh(), nn.Linear(7, 3)), (3, 4, 4)),
    "cnn": (
        nn.Sequential(nn.Conv2d(3, 5, 2), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(5, 3)),
        (3, 4, 4),
    ),
    # behind the embedding: six tokens of four numbers
    "text": (nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Flatten(), nn.Linear(30, 3)), (6, 4)),
}
TARGET = torch.tensor([2, 0])


@pytest.fixture(params=MODELS)
def case(request):
    """A model in float64, two inputs for it, and a baseline that is not zero."""
    model, shape = MODELS[request.param]
    return model.double().eval(), random(2, *shape), random(2, *shape)


@reference("dlbook.practice.interpret.saliency", to="captum.attr.Saliency")
@reference("dlbook.practice.interpret.gradient_times_input", to="captum.attr.InputXGradient")
def test_gradients_equal_captum(case):
    model, x, _ = case
    theirs = captum.Saliency(model).attribute(x, target=TARGET, abs=False)
    assert_close(interpret.saliency(model, x, TARGET), theirs)
    theirs = captum.InputXGradient(model).attribute(x, target=TARGET)
    assert_close(interpret.gradient_times_input(model, x, TARGET), theirs.detach())


@reference("dlbook.practice.interpret.integrated_gradients", to="captum.attr.IntegratedGradients")
@pytest.mark.parametrize("n_steps", [2, 7, 50])
def test_integrated_gradients_equal_captum(case, n_steps):
    model, x, baseline = case
    ours = interpret.integrated_gradients(model, x, TARGET, baseline, n_steps)
    theirs = captum.IntegratedGradients(model).attribute(
        x, baseline, target=TARGET, n_steps=n_steps, method="riemann_middle"
    )
    assert_close(ours, theirs.detach())
    assert_close(
        interpret.integrated_gradients(model, x, TARGET, n_steps=n_steps),
        interpret.integrated_gradients(model, x, TARGET, torch.zeros_like(x), n_steps),
    )


def test_integrated_gradients_are_complete(case):
    """They add up to the difference of the logits, the better the more steps: the middles' error falls as 1 / n²."""
    model, x, baseline = case
    with torch.no_grad():
        difference = (model(x) - model(baseline)).gather(1, TARGET[:, None])[:, 0]

    def gap(n_steps):
        attribution = interpret.integrated_gradients(model, x, TARGET, baseline, n_steps)
        return (attribution.flatten(1).sum(1) - difference).abs().max().item()

    assert gap(300) < 1e-4
    assert gap(300) < gap(10) / 100


def test_a_linear_model_is_explained_exactly():
    layer = nn.Linear(5, 3).double()
    x, baseline = random(2, 5), random(2, 5)
    exact = (x - baseline) * layer.weight.detach()[TARGET]
    assert_close(interpret.integrated_gradients(layer, x, TARGET, baseline, n_steps=1), exact)
    assert_close(interpret.gradient_times_input(layer, x, TARGET), x * layer.weight.detach()[TARGET])
    assert_close(interpret.smooth_grad(layer, x, TARGET, std=2.0), layer.weight.detach()[TARGET])


@reference("dlbook.practice.interpret.smooth_grad", to="captum.attr.NoiseTunnel")
def test_smooth_grad_equals_captum(case):
    """Both draw noise: captum all copies of an example side by side, so that it is compared copy by copy."""
    model, x, _ = case
    tunnel = captum.NoiseTunnel(captum.Saliency(model))
    theirs = torch.zeros_like(x)
    torch.manual_seed(0)
    for _ in range(4):
        noise = torch.empty_like(x).normal_()
        theirs += captum.Saliency(model).attribute(x + 0.3 * noise, target=TARGET, abs=False) / 4
    torch.manual_seed(0)
    assert_close(interpret.smooth_grad(model, x, TARGET, std=0.3, n_samples=4), theirs)
    one = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=1, stdevs=0.0, target=TARGET, abs=False)
    assert_close(interpret.smooth_grad(model, x, TARGET, std=0.0, n_samples=1), one)
    seeded = [interpret.smooth_grad(model, x, TARGET, 0.3, 2, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*seeded)
    many = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=1000, stdevs=0.3, target=TARGET, abs=False)
    ours = interpret.smooth_grad(model, x, TARGET, std=0.3, n_samples=1000)
    spread = interpret.smooth_grad(model, x, TARGET, std=0.3, n_samples=1) - ours
    assert (many - ours).abs().mean() < 0.1 * spread.abs().mean() + 1e-12  # by chance, near 0.045


@reference("dlbook.practice.interpret.grad_cam", to="captum.attr.LayerGradCam")
def test_grad_cam_equals_captum():
    model, shape = MODELS["cnn"]
    model, x = model.double().eval(), random(4, *shape)
    target = torch.tensor([2, 0, 1, 1])
    ours = interpret.grad_cam(model, model[0], x, target)
    theirs = captum.LayerGradCam(model, model[0]).attribute(x, target=target, relu_attributions=True)
    assert_close(ours, theirs[:, 0].detach())
    assert (ours >= 0).all() and ours.max() > 0
    assert not model[0]._forward_hooks  # nothing stays behind
    with torch.no_grad():
        assert_close(interpret.grad_cam(model, model[0], x, target), ours)


def test_grad_cam_is_safe_before_what_works_in_place():
    """An in-place ReLU behind the layer, or as the layer, gives the map of its twin, and the same prediction."""
    layer, head = nn.Conv2d(3, 5, 2).double(), nn.Sequential(nn.Flatten(), nn.Linear(45, 3)).double()
    x = random(2, 3, 4, 4)
    models = [nn.Sequential(layer, nn.ReLU(inplace=inplace), head) for inplace in (False, True)]
    for number in (0, 1):
        maps = [interpret.grad_cam(model, model[number], x, TARGET) for model in models]
        assert maps[0].max() > 0
        assert_close(*maps)


def test_a_baseline_with_a_gradient_gives_an_attribution_without_one(case):
    model, x, baseline = case
    ours = interpret.integrated_gradients(model, x, TARGET, baseline.requires_grad_(), n_steps=2)
    assert not ours.requires_grad


def test_grad_cam_needs_one_call_of_the_layer():
    model = MODELS["cnn"][0].double()
    x = random(1, 3, 4, 4)
    with pytest.raises(ValueError, match="layer must be called once: got 0 calls"):
        interpret.grad_cam(model, nn.Conv2d(3, 5, 2), x, TARGET[:1])
    with pytest.raises(ValueError, match="layer must be called once: got 2 calls"):
        interpret.grad_cam(Twice(model), model[0], x, TARGET[:1])
    with pytest.raises(ValueError, match="the output of layer must have the shape"):
        interpret.grad_cam(model, model[4], x, TARGET[:1])


class Twice(nn.Module):
    """A model that is called twice."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) + self.model(2 * x)


@reference("dlbook.practice.interpret.occlusion", to="captum.attr.Occlusion")
@pytest.mark.parametrize("window, stride", [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 3), (9, 9)])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_occlusion_equals_captum(name, window, stride):
    model, shape = MODELS[name]
    model, x = model.double().eval(), random(2, *shape)
    ours = interpret.occlusion(model, x, TARGET, window, stride, fill=0.5)
    size = min(window, 4)  # captum takes none that is larger than the image
    theirs = captum.Occlusion(model).attribute(
        x, (3, size, size), (3, stride, stride) if window < 4 else 1, baselines=0.5, target=TARGET
    )
    assert_close(ours, theirs[:, 0].double(), rtol=1e-5, atol=1e-5)  # captum adds in float32


@reference("dlbook.practice.interpret.permutation_importance", to="sklearn.inspection.permutation_importance")
def test_permutation_importance_equals_scikit_learn():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 4))
    y = x @ np.array([3.0, -1.0, 0.5, 0.0]) + generator.normal(size=40)
    model = LinearRegression().fit(x, y)
    theirs = sklearn_importance(model, x, y, n_repeats=3, random_state=7, scoring="r2")
    state = np.random.RandomState(np.random.RandomState(7).randint(np.iinfo(np.int32).max + 1))  # as it does
    shuffling, order, permutations = np.arange(40), np.arange(40), []
    for _ in range(3):
        state.shuffle(shuffling)
        order = order[shuffling]  # the column that was permuted before is permuted again
        permutations.append(order)
    ours = interpret.permutation_importance(
        lambda inputs: model.score(inputs.numpy(), y), torch.as_tensor(x), torch.as_tensor(np.array(permutations))
    )
    assert_close(ours, torch.as_tensor(theirs.importances))
    assert ours[0].min() > ours[3].abs().max()


def test_deletion_and_insertion_by_hand():
    """Two classes, whose logits are the sum of the inputs and its opposite: each deletion is known."""

    def model(x):
        return torch.stack([x.sum(1), -x.sum(1)], 1)

    x, zeros, zero = torch.tensor([[1.0, 3.0, 2.0]]).double(), torch.zeros(1, 3).double(), torch.tensor([0])
    sums = torch.tensor([[6.0, 3.0, 1.0, 0.0]]).double()
    assert_close(interpret.deletion_curve(model, x, zero, x, zeros, n_steps=3), (2 * sums).sigmoid())
    insertion = interpret.deletion_curve(model, zeros, zero, x, x, n_steps=3)
    assert_close(insertion, (2 * (6 - sums)).sigmoid())
    halves = interpret.deletion_curve(model, x, zero, x, zeros, n_steps=2)
    assert halves.shape == (1, 3) and halves[0, 0] == (2 * sums)[0, 0].sigmoid() and halves[0, 2] == 0.5


def test_no_ranking_falls_faster_than_the_contributions_to_a_linear_logit():
    layer = nn.Linear(12, 1).double()
    x, zeros, first = random(5, 12), torch.zeros(5, 12).double(), torch.zeros(5, dtype=torch.int64)

    def model(v):
        return torch.cat([layer(v), -layer(v)], 1)

    exact = interpret.gradient_times_input(model, x, first)
    best, other, worst = (
        interpret.deletion_curve(model, x, first, ranking, zeros, n_steps=12)
        for ranking in (exact, random(5, 12), -exact)
    )
    assert (best <= other + 1e-12).all() and (other <= worst + 1e-12).all()
    assert (best < worst).any()


# --- equations --------------------------------------------------------------------------------------------------------


def curved(x):
    """A function of three inputs without kinks, and where integrated gradients are exact with few points."""
    return x[:, :1] ** 2 + x[:, :1] * x[:, 1:2] - 2 * x[:, 1:2] * x[:, 2:] + 3 * x[:, 2:]


@executed("5.2a", of="dlbook.practice.interpret.integrated_gradients")
def test_completeness_as_printed(formula):
    x, b = random(1, 3), random(1, 3)
    a = interpret.integrated_gradients(curved, x, torch.tensor([0]), b, n_steps=1)[0]

    def f(at):
        return curved(tensor(at)[None]).item()

    (sides,) = formula({"f": f, "x": x[0], "b": b[0], "a": a}, {"i": 3}, sides=True).values()
    assert sides == pytest.approx([f(x[0]) - f(b[0]), a.sum().item()])
    assert sides[0] == pytest.approx(sides[1])


@executed("5.2b", of="dlbook.practice.interpret.integrated_gradients")
def test_integrated_gradients_as_printed(formula):
    model, _ = MODELS["text"]
    x, b, model = random(6, 4), random(6, 4), model.double()

    def g(i, at):
        return interpret.saliency(model, tensor(at).reshape(1, 6, 4), TARGET[:1]).flatten()[i - 1].item()

    names = {"x": x.flatten(), "b": b.flatten(), "g": g, "n": 3}
    found = formula(names, {"i": 24})["a"]
    ours = interpret.integrated_gradients(model, x[None], TARGET[:1], b[None], n_steps=3)
    assert_close(ours.flatten(), tensor(found))


@executed("5.2c", of="dlbook.practice.interpret.grad_cam")
def test_grad_cam_as_printed(formula):
    layer = nn.Conv2d(2, 3, 2).double()
    head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 3 * 2, 12)).double()
    x, shown = random(1, 2, 4, 3), 0
    maps, ranges = layer(x).detach(), {"c": 3, "p": 3, "q": 2}
    for target in torch.arange(12)[:, None]:
        gradient = interpret.saliency(head, maps, target)
        found = formula({"A": maps[0], "g": gradient[0], "N": 6}, ranges)
        ours = interpret.grad_cam(nn.Sequential(layer, head), layer, x, target)[0]
        assert_close(ours, tensor(found["m"]))
        shown += (ours > 0).sum()
    assert shown > 6


# --- games ------------------------------------------------------------------------------------------------------------


def game(present):
    """Four players whose worth is no sum: pairs help, and the last two are alike."""
    a, b, c, d = present.double().T
    return 1 + 2 * a - b + 3 * a * b + 1.5 * (c + d) + 4 * a * c * d


@reference("dlbook.practice.interpret.shapley_values", to="captum.attr.ShapleyValues")
@pytest.mark.parametrize("name", MODELS)
def test_shapley_values_equal_captum(name):
    model, shape = MODELS[name]
    model, x, baseline = model.double().eval(), random(1, *shape), random(1, *shape)
    group = torch.arange(x.numel()).reshape(x.shape) % 5  # five players, several inputs each

    def value(present):
        with torch.no_grad():
            return model(torch.where(present[:, group[0]], x, baseline))[:, 2]

    ours = interpret.shapley_values(value, 5)
    theirs = captum.ShapleyValues(model).attribute(x, baseline, target=2, feature_mask=group)
    for player in range(5):  # captum gives each input of a group the group's value, in float32
        expected = theirs[group == player].double()
        assert_close(ours[player].expand_as(expected), expected, rtol=1e-5, atol=1e-6)


def test_shapley_values_of_a_game_by_hand():
    values = interpret.shapley_values(game, 4)
    assert_close(values, torch.tensor([2 + 1.5 + 4 / 3, -1 + 1.5, 1.5 + 4 / 3, 1.5 + 4 / 3]).double())
    everyone, nobody = game(torch.tensor([[True] * 4, [False] * 4]))
    assert_close(values.sum(), everyone - nobody)
    assert_close(interpret.shapley_values(lambda present: 3 * present[:, 0].double(), 1), torch.tensor([3.0]).double())


def test_shapley_values_are_computed_in_float64():
    """Whatever PyTorch's dtype is, games in float64 are divided exactly, and those in float32 rounded once."""
    everyone, nobody = torch.tensor([[True] * 12, [False] * 12])

    def many(present):
        return (present.double() @ torch.arange(1.0, 13.0).double()).square().sin()

    values = interpret.shapley_values(many, 12)
    assert_close(values.sum(), many(everyone[None])[0] - many(nobody[None])[0], rtol=0, atol=1e-12)
    rounded = interpret.shapley_values(lambda present: many(present).float(), 12)
    assert rounded.dtype == torch.float32
    assert_close(rounded.double(), values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", ["meta", torch.device("meta")])
def test_coalitions_are_where_the_caller_wants_them(device):
    """On "meta", whatever is made elsewhere fails; the worths, too, may be on another device than the coalitions."""

    def value(present):
        assert present.is_meta and present.shape == (8, 3)
        return present.double().sum(1)

    assert interpret.shapley_values(value, 3, device=device).is_meta
    with torch.device("meta"):
        assert interpret.shapley_values(value, 3).is_meta
        assert interpret.shapley_values(game, 4, device="cpu").is_cpu
    moved = interpret.shapley_values(lambda present: torch.empty(8, device="meta"), 3)
    assert moved.is_meta


@executed("5.2d", of="dlbook.practice.interpret.shapley_values")
def test_shapley_values_as_printed(formula):
    orders = list(itertools.permutations((1, 2, 3, 4)))

    def before(i, order):
        return set(orders[order][: orders[order].index(i)])

    def worth(players):
        return game(torch.tensor([[player in players for player in (1, 2, 3, 4)]])).item()

    names = {"v": worth, "P": before, "Q": lambda i, order: before(i, order) | {i}, r"\Pi": range(24)}
    assert_close(interpret.shapley_values(game, 4), tensor(formula(names, {"i": 4})[r"\phi"]))


@reference("dlbook.practice.interpret.local_surrogate", to="sklearn.linear_model.LinearRegression")
def test_local_surrogate_equals_scikit_learn():
    present, worth, weight = random(30, 4) > 0, random(30), random(30).abs()
    theirs = LinearRegression().fit(present.numpy(), worth.numpy(), sample_weight=weight.numpy()).coef_
    assert_close(interpret.local_surrogate(present, worth, weight), torch.as_tensor(theirs))


def test_local_surrogate_with_the_shapley_kernel():
    present = torch.tensor(list(itertools.product((False, True), repeat=4)))
    size = present.sum(1).tolist()
    weight = tensor([1e9 if s in (0, 4) else 3 / (math.comb(4, s) * s * (4 - s)) for s in size])
    found = interpret.local_surrogate(present, game(present), weight)
    assert_close(found, interpret.shapley_values(game, 4), rtol=1e-5, atol=1e-5)
    flat = interpret.local_surrogate(present, game(present), torch.ones(16).double())
    assert (flat - found).abs().max() > 0.1


@pytest.mark.parametrize("large", [1e6, 1e9])
def test_local_surrogate_takes_large_weights_in_float32(large):
    """Players alone are worth 1 and 2, together 6: float32 within made 2.508 and 3.492 of 2.5 and 3.5."""
    present = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    worth, weight = torch.tensor([0.0, 1.0, 2.0, 6.0]), torch.tensor([large, 0.5, 0.5, large])
    found = interpret.local_surrogate(present, worth, weight)
    assert_close(found, torch.tensor([2.5, 3.5]), rtol=0, atol=1e-5)


# --- errors -----------------------------------------------------------------------------------------------------------


METHODS = {
    "saliency": interpret.saliency,
    "gradient_times_input": interpret.gradient_times_input,
    "integrated_gradients": interpret.integrated_gradients,
    "smooth_grad": lambda *three: interpret.smooth_grad(*three, std=0.1, n_samples=2),
    "occlusion": lambda *three: interpret.occlusion(*three, window=2),
    "grad_cam": lambda model, x, target: interpret.grad_cam(model, model[0], x, target),
    "deletion_curve": lambda model, x, target: interpret.deletion_curve(model, x, target, x, 0 * x, n_steps=2),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda model, x, target: (model, x, target + 1), ValueError, "target must lie between 0 and classes - 1 = 2"),
        (lambda model, x, target: (model, x, target - 1), ValueError, "target must lie between 0 and classes - 1 = 2"),
        (lambda model, x, target: (model, x, target[:1]), ValueError, r"target must have the shape \(2,\): got \(1,\)"),
        (lambda model, x, target: (model, x, target.double()), TypeError, "target must hold integers"),
        (lambda model, x, target: (model, x.long(), target), TypeError, "x must be floating point"),
    ],
)
def test_what_no_method_takes(method, change, error, message):
    model, x = MODELS["cnn"][0].double(), random(2, 3, 4, 4)
    method(model, x, TARGET)
    with pytest.raises(error, match=message):
        method(*change(model, x, TARGET))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda m, x: interpret.saliency(lambda v: m(v)[0], x, TARGET), ValueError, "the model's output must have the"),
        (
            lambda m, x: interpret.integrated_gradients(m, x, TARGET, n_steps=0),
            ValueError,
            "n_steps must be at least 1",
        ),
        (
            lambda m, x: interpret.integrated_gradients(m, x, TARGET, x[0]),
            ValueError,
            "baseline must have the shape of x",
        ),
        (lambda m, x: interpret.integrated_gradients(m, x, TARGET, x.long()), TypeError, "baseline must be floating"),
        (lambda m, x: interpret.smooth_grad(m, x, TARGET, std=-1.0), ValueError, "std must be at least 0: got -1.0"),
        (lambda m, x: interpret.smooth_grad(m, x, TARGET, std=float("nan")), ValueError, "std must be at least 0"),
        (lambda m, x: interpret.smooth_grad(m, x, TARGET, 1.0, n_samples=2.0), TypeError, "n_samples must be a whole"),
        (lambda m, x: interpret.occlusion(m, x, TARGET, 2, 3), ValueError, "stride must be at most window = 2: got 3"),
        (lambda m, x: interpret.occlusion(m, x[0], TARGET, 2), ValueError, "x must have the shape"),
        (
            lambda m, x: interpret.deletion_curve(m, x, TARGET, x, x, 49),
            ValueError,
            "n_steps must be at most 48: got 49",
        ),
        (
            lambda m, x: interpret.deletion_curve(m, x, TARGET, x[:, 0], x),
            ValueError,
            "attribution must have the shape",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(MODELS["mlp"][0].double(), random(2, 3, 4, 4))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "x, permutations, error, message",
    [
        (random(3, 2), torch.tensor([[0, 1, 1]]), ValueError, "permutations must hold each row of x once"),
        (random(3, 2), torch.tensor([[0, 1]]), ValueError, "permutations must have the shape"),
        (random(3, 2), torch.tensor([[0.0, 1, 2]]), TypeError, "permutations must hold integers"),
        (random(3), torch.tensor([[0, 1, 2]]), ValueError, "x must have the shape"),
        (torch.ones(3, 2).long(), torch.tensor([[0, 1, 2]]), TypeError, "x must be floating point"),
    ],
)
def test_errors_of_permutation_importance(x, permutations, error, message):
    with pytest.raises(error, match=message):
        interpret.permutation_importance(lambda inputs: 1.0, x, permutations)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: interpret.shapley_values(game, 0), ValueError, "players must be at least 1: got 0"),
        (lambda: interpret.shapley_values(game, 17), ValueError, "players must be at most 16: got 17"),
        (lambda: interpret.shapley_values(game, 2.0), TypeError, "players must be a whole"),
        (lambda: interpret.shapley_values(lambda p: p.sum(1), 3), TypeError, "worth must be floating point"),
        (lambda: interpret.shapley_values(lambda p: p.double(), 3), ValueError, "the worth of coalitions must have"),
        (lambda: surrogate(worth=random(7)), ValueError, "worth must have the shape"),
        (lambda: surrogate(weight=random(7).abs()), ValueError, "weight must have the shape"),
        (lambda: surrogate(weight=-random(8).abs()), ValueError, "weight must be finite and not negative"),
        (lambda: surrogate(weight=torch.full((8,), torch.inf)), ValueError, "weight must be finite and not negative"),
        (lambda: surrogate(weight=torch.zeros(8)), ValueError, "present must determine a slope for each player"),
        (lambda: surrogate(worth=torch.ones(8).long()), TypeError, "worth must be floating point"),
    ],
)
def test_errors_of_games(call, error, message):
    with pytest.raises(error, match=message):
        call()


def surrogate(**changed):
    """Call the surrogate on all coalitions of three players, with some arguments changed."""
    present = torch.tensor(list(itertools.product((False, True), repeat=3)))
    return interpret.local_surrogate(**({"present": present, "worth": random(8), "weight": torch.ones(8)} | changed))
