"""Activations, losses, dense and convolutional networks with inputs of other shapes, types and values."""

import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from dlbook import activations, autograd, cnn, conv, losses, network
from tests.helpers.inputs import (
    assert_misfit_refused,
    assert_nan_or_refused,
    assert_right_or_refused,
    other_shapes,
    other_types,
    poisoned,
    public_names,
)

pytestmark = pytest.mark.usefixtures("unchecked")

Z = torch.tensor([[2.0, 0.5, -1], [0, 1, 0.5], [0.5, -3, 1], [1, -2, 0.25]], dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 2])
PREDICTION, TRUTH = Z[:, 0].contiguous(), Z[:, 1].contiguous()
CLASSES = {"logits": Z, "target": TARGET}
NUMBERS = {"prediction": PREDICTION, "target": TRUTH}
IMAGES = (torch.arange(2 * 2 * 5 * 5) % 7 / 4).double().reshape(2, 2, 5, 5)
KERNELS = (torch.arange(3 * 2 * 2 * 2) % 5 / 2 - 1).double().reshape(3, 2, 2, 2)
SMALL = torch.linspace(0, 1, 2 * 28 * 28).double().reshape(2, 1, 28, 28)


def made(make):
    """Make a model of fixed float64 weights, in evaluation mode."""
    torch.manual_seed(0)
    return make().double().eval()


def passes(**changed):
    """Return the arguments of `backpropagate` for two layers."""
    weights, biases = [Z, Z.T.contiguous()], [Z[:, 0], Z[0]]
    zs, kept = network.propagate(Z, weights, biases, torch.tanh)
    return {"delta": Z, "weights": weights, "zs": zs, "activations": kept, "derivative": torch.cos} | changed


FAMILY = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu")
ELEMENTWISE = [*FAMILY, *(f"{name}_derivative" for name in FAMILY), "normal_cdf"]
CASES = {
    **{name: (getattr(activations, name), {"z": Z}) for name in ELEMENTWISE},
    "softmax": (activations.softmax, {"logits": Z}),
    "log_softmax": (activations.log_softmax, {"logits": Z}),
    "cross_entropy": (losses.cross_entropy, CLASSES),
    "cross_entropy_gradient": (losses.cross_entropy_gradient, CLASSES),
    "weighted_cross_entropy": (losses.weighted_cross_entropy, CLASSES | {"weight": Z[0].abs()}),
    "mean_squared_error": (losses.mean_squared_error, NUMBERS),
    "mean_squared_error_gradient": (losses.mean_squared_error_gradient, NUMBERS),
    "mean_absolute_error": (losses.mean_absolute_error, NUMBERS),
    "mean_absolute_error_gradient": (losses.mean_absolute_error_gradient, NUMBERS),
    "huber": (losses.huber, NUMBERS),
    "huber_gradient": (losses.huber_gradient, NUMBERS),
    "quantile_loss": (partial(losses.quantile_loss, levels=(0.25, 0.5, 0.75)), {"prediction": Z, "target": TRUTH}),
    "Dense": (made(lambda: network.Dense(3, 2)), {"a": Z}),
    "Dropout": (network.Dropout(0.5).eval(), {"a": Z}),
    "MLP": (made(lambda: network.MLP([3, 4, 2])), {"x": Z}),
    "propagate": (lambda x: network.propagate(x, [Z], [Z[:, 0]], torch.tanh)[0], {"x": Z}),
    "backpropagate": (lambda delta: network.backpropagate(**passes(delta=delta))[0], {"delta": Z}),
    "unfold": (partial(conv.unfold, kernel=2), {"x": IMAGES}),
    "conv2d": (conv.conv2d, {"x": IMAGES, "weight": KERNELS, "bias": Z[0]}),
    "max_pool2d": (partial(conv.max_pool2d, kernel=2), {"x": IMAGES}),
    "avg_pool2d": (partial(conv.avg_pool2d, kernel=2), {"x": IMAGES}),
    "global_avg_pool": (conv.global_avg_pool, {"x": IMAGES}),
    "BatchNorm2d": (made(lambda: cnn.BatchNorm2d(2)), {"x": IMAGES}),
    "CNN": (made(cnn.CNN), {"x": SMALL}),
    "ResNet": (made(lambda: cnn.ResNet(widths=(2, 2), residual=(0, 1))), {"x": SMALL}),
}
ELSEWHERE = {
    "he_normal_": "below",
    "glorot_uniform_": "below",
    "finite_difference": "below",
    "output_size": "takes no tensor; below",
    "receptive_field": "takes no tensor; below",
    "ConvBlock": "a sequence of PyTorch's layers, inside a network that checks",
    "LocallyConnected2d": "test_cnn.py tries its inputs, all but an empty batch",
    "ResidualBlock": "layers of PyTorch's, inside a network that checks",
    **dict.fromkeys(("Arithmetic", "Value", "as_value", "backward", "topological_order"), "scalars"),
}
ARGUMENTS = [(case, name) for case, (_, arguments) in CASES.items() for name in arguments]
ANY_SHAPE = {*ELEMENTWISE, "Dropout"}
ANY_BATCH = {"softmax", "log_softmax", "Dense"}  # any shape with the right last axis
ROWS = {"MLP", "propagate", "CNN", "ResNet", "BatchNorm2d", *("unfold", "max_pool2d", "avg_pool2d", "global_avg_pool")}


def test_every_public_name_is_tried():
    assert public_names(activations, autograd, cnn, conv, losses, network) == CASES.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_other_shapes(case, name):
    function, arguments = CASES[case]
    original = arguments[name]
    longer, more, less, none, batch = other_shapes(original)
    if case in ANY_SHAPE:
        for value in (longer, more, less, none, batch):
            assert function(value).shape == value.shape
        assert_close(function(longer)[..., 0], function(original))
        return
    allowed = []
    if case in ANY_BATCH:
        assert_close(function(batch)[0], function(original))
        allowed = [more, less, none, batch] if case == "Dense" else [longer, more, less, none, batch]
    elif case in ROWS or (case, name) == ("conv2d", "x"):
        allowed = [more, less, none] + ([longer] if case == "MLP" else [])  # which flattens it
    for value in allowed:
        function(**{**arguments, name: value})
    for value in (longer, more, less, none, batch):
        if not any(value is one for one in allowed):
            assert_misfit_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_other_types_give_the_same_or_are_refused(case, name):
    function, arguments = CASES[case]
    for value in other_types(arguments[name]):
        assert_right_or_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", ARGUMENTS)
def test_what_is_no_such_tensor_is_refused(case, name):
    function, arguments = CASES[case]
    original = arguments[name]
    wrong = [original.tolist(), original.numpy(), original.to(torch.complex64), original > 0]
    if original.is_floating_point():
        wrong += [original.to(dtype) for dtype in (torch.int8, torch.int32, torch.int64)]
    else:
        wrong += [original.double()]
    for value in wrong:
        assert_misfit_refused(function, arguments, name, value)


@pytest.mark.parametrize("case, name", [pair for pair in ARGUMENTS if CASES[pair[0]][1][pair[1]].is_floating_point()])
def test_nan_stays_nan(case, name):
    function, arguments = CASES[case]
    nan, *infinite = poisoned(arguments[name])
    assert_nan_or_refused(function, arguments, name, nan)
    if case in losses.__dict__ and not case.endswith("_gradient") and name == "prediction":
        for value in infinite:
            assert not function(**{**arguments, name: value}).isfinite()


def test_logits_of_half_precision():
    logits = torch.tensor([[65504.0, 0, -65504], [1, 2, 3]]).half()
    assert_close(activations.softmax(logits), logits.double().softmax(-1).half())
    assert losses.cross_entropy(logits[:1], torch.tensor([0])) == 0
    many, target = torch.zeros(10_000, 1000).half(), torch.zeros(10_000).long()
    assert losses.cross_entropy(many, target).item() == pytest.approx(math.log(1000), rel=1e-3)


def test_a_class_that_minus_infinity_rules_out_counts_for_nothing():
    logits = torch.tensor([[1.0, 2.0, -math.inf]])
    assert_close(
        losses.cross_entropy(logits, torch.tensor([1])), losses.cross_entropy(logits[:, :2], torch.tensor([1]))
    )
    assert activations.softmax(torch.full((2,), -math.inf)).isnan().all()
    assert torch.full((2,), -math.inf).softmax(0).isnan().all()


@pytest.mark.parametrize("label", [-100, -1, 3])
@pytest.mark.parametrize("case", ["cross_entropy", "cross_entropy_gradient", "weighted_cross_entropy"])
def test_targets_that_do_not_exist_are_named(case, label):
    target = TARGET.clone()
    target[2] = label
    function, arguments = CASES[case]
    with pytest.raises(ValueError, match=r"target must lie between 0 and classes - 1 = 2: got"):
        function(**{**arguments, "target": target})


def test_losses_and_dense_networks_work_example_by_example():
    """Under vmap, as for gradients of single examples, no value can be looked at."""
    model = made(lambda: network.MLP([3, 4, 3]))
    parameters = dict(model.named_parameters())

    def loss(parameters, x, target):
        return losses.cross_entropy(torch.func.functional_call(model, parameters, x[None]), target[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, Z, TARGET)
    losses.cross_entropy(model(Z), TARGET).backward()
    for name, parameter in parameters.items():
        assert_close(each[name].mean(0), parameter.grad)


def test_autocast_may_mix_types():
    model = network.MLP([3, 4, 3])
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses.cross_entropy(model(Z.float()), TARGET)
    assert loss.item() == pytest.approx(losses.cross_entropy(model(Z.float()), TARGET).item(), rel=0.02)


def test_weights_are_not_negative():
    with pytest.raises(ValueError, match=r"weight must not be negative: got \[1.0, -1.0, 1.0\]"):
        losses.weighted_cross_entropy(Z, TARGET, torch.tensor([1.0, -1.0, 1.0]))


def test_a_level_is_a_number_between_0_and_1():
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match=rf"levels must lie between 0 and 1: got \[0.25, 0.5, {level}\]"):
            losses.quantile_loss(Z, TRUTH, [0.25, 0.5, level])


# --- sizes and weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [conv.conv2d, conv.max_pool2d, conv.avg_pool2d, conv.unfold])
@pytest.mark.parametrize("name", ["kernel", "stride", "padding"])
@pytest.mark.parametrize("size", ["same", "valid", True, 2.0, (1, 1, 1), (1,), (1, 2.0), None])
def test_sizes_are_one_int_or_two(function, name, size):
    sizes = {} if function is conv.conv2d else {"kernel": 2}
    if (function, name) == (conv.conv2d, "kernel") or (name, size) == ("stride", None) and "pool" in function.__name__:
        return
    arguments = {"x": IMAGES, "weight": KERNELS} if function is conv.conv2d else {"x": IMAGES}
    with pytest.raises(TypeError, match=rf"{name} must be an int, or two .*words such as 'same' are not supported"):
        function(**arguments, **(sizes | {name: size}))


def test_types_of_images_and_kernels_are_not_mixed():
    with pytest.raises(TypeError, match=r"x must have the type of the weights, torch.float64: got torch.float32"):
        conv.conv2d(IMAGES.float(), KERNELS)
    with pytest.raises(TypeError, match=r"bias must have the type of the weights, torch.float64: got torch.float32"):
        conv.conv2d(IMAGES, KERNELS, torch.zeros(3))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conv.output_size(5.5, 3), "size must be an int: got 5.5"),
        (lambda: conv.output_size(5, True), "kernel must be an int: got True"),
        (lambda: conv.receptive_field([(3, 1.5)]), "stride must be an int: got 1.5"),
        (lambda: conv.conv2d(IMAGES, KERNELS, groups=1.0), "groups must be an int: got 1.0"),
        (lambda: autograd.backward(3.0), "result must be a Value: got float"),
    ],
)
def test_types_of_numbers(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("init", [network.he_normal_, network.glorot_uniform_])
def test_initialisers_need_outputs_and_inputs(init):
    for shape in ((3,), (), (0, 3), (3, 0)):
        with pytest.raises(ValueError, match=r"weight must have the shape \(outputs, inputs, ...\)"):
            init(torch.empty(shape))
    with pytest.raises(TypeError, match="weight must be floating point: got torch.int64"):
        init(torch.zeros(2, 2).long())
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        init(weight := torch.full((200, 300), math.nan, dtype=dtype))
        assert weight.float().std().item() == pytest.approx(
            math.sqrt(2 / (300 if init is network.he_normal_ else 500)), rel=0.02
        )


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"weights": [Z]}, r"as many as each other, at least 1: got 1, 2 and 2"),
        ({"delta": Z[:, :2]}, r"delta must have the shape of zs\[-1\]"),
        ({"zs": [Z, Z]}, r"zs\[0\] must have the shape \(4, 4\): got \(4, 3\)"),
        ({"activations": [Z, Z]}, r"activations\[1\] must have the shape \(4, 4\): got \(4, 3\)"),
    ],
)
def test_both_passes_fit_together(changed, message):
    with pytest.raises(ValueError, match=message):
        network.backpropagate(**passes(**changed))


def test_a_bias_is_not_broadcast():
    with pytest.raises(ValueError, match=r"biases\[0\] must have the shape \(4,\): got \(4, 1\)"):
        network.propagate(Z, [Z], [Z[:, :1]], torch.tanh)
    with pytest.raises(ValueError, match="weights and biases must be as many as each other, at least 1: got 1 and 0"):
        network.propagate(Z, [Z], [], torch.tanh)


def test_finite_differences_need_float64():
    def loss():
        return torch.zeros(())

    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.int64):
        with pytest.raises(TypeError, match="parameter must be f"):
            network.finite_difference(loss, Z.to(dtype), 0)
    with pytest.raises(ValueError, match="parameter must be contiguous"):
        network.finite_difference(loss, Z.T, 0)
    with pytest.raises(ValueError, match="step must be positive: got 0.0"):
        network.finite_difference(loss, Z, 0, 0.0)


@pytest.mark.parametrize(
    "model, shape", [(cnn.ResNet(side=28), (2, 1, 32, 32)), (cnn.ResNet(channels=3), (2, 1, 28, 28))]
)
def test_a_resnet_is_made_for_images_of_one_size(model, shape):
    with pytest.raises(ValueError, match="x must have"):
        model(torch.zeros(shape))


def test_batch_normalisation_does_not_overflow():
    layer = cnn.BatchNorm2d(2).half()
    with pytest.raises(TypeError, match="x must be float32 or float64: got torch.float16"):
        layer(300 * IMAGES.half())


def test_blocks_inside_of_networks_refuse_other_channels():
    for block in (cnn.ConvBlock(2, 2), cnn.ResidualBlock(2)):
        for shape in ((2, 3, 8, 8), (2, 8, 8)):
            with pytest.raises((RuntimeError, ValueError)):
                block(torch.zeros(shape))
