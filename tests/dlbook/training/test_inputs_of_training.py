"""Generated inputs of what training is built from: the right answer, or an error that names the argument."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dlbook.training import augment, optim
from dlbook.training.batches import Batches, BatchesByLength
from dlbook.training.regularize import EarlyStopping, regularized, soft_threshold_
from tests.helpers.inputs import (
    INTEGERS,
    assert_nan_or_refused,
    assert_refused,
    assert_right_or_refused,
    other_shapes,
    other_types,
    poisoned,
    public_names,
    tensors_in,
)

pytestmark = pytest.mark.usefixtures("unchecked")


def seeded(function):
    """Make a function that draws the same random numbers at each call."""

    def call(**arguments):
        torch.manual_seed(0)
        return function(**arguments)

    return call


def images(kind=torch.float32):
    return torch.linspace(-1, 2, 3 * 2 * 4 * 5).view(3, 2, 4, 5).to(kind)


def one_each(*values):
    return torch.tensor(values)


X, LABELS = images(), torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]])
POSITIONS = one_each(0, 2, 1)
AUGMENTATIONS = {  # each function with arguments that are right; those of one number an image, and others
    "flip": ({"x": X, "which": one_each(True, False, True)}, ["which"]),
    "random_flip": ({"x": X, "p": 0.5}, []),
    "crop": ({"x": X, "top": POSITIONS, "left": POSITIONS, "height": 2, "width": 2}, ["top", "left"]),
    "random_crop": ({"x": X, "height": 2, "width": 2}, []),
    "shift": ({"x": X, "down": one_each(0, 2, -1), "right": POSITIONS}, ["down", "right"]),
    "random_shift": ({"x": X, "max_pixels": 1}, []),
    "rotate": ({"x": X, "degrees": one_each(0.0, 90.0, -30.0)}, ["degrees"]),
    "random_rotate": ({"x": X, "max_degrees": 20.0}, []),
    "erase": ({"x": X, "top": POSITIONS, "left": POSITIONS, "height": 2, "width": 2}, ["top", "left"]),
    "random_erase": ({"x": X, "height": 2, "width": 2}, []),
    "mixup": (
        {"x": X, "target": LABELS, "lam": one_each(0.25, 0.5, 1.0), "order": one_each(1, 2, 0)},
        ["lam", "order", "target"],
    ),
    "random_mixup": ({"x": X, "target": LABELS, "alpha": 0.4}, ["target"]),
}
NUMBERS = {  # what each must be, by name: values that break its rule
    "p": (-0.1, 1.1, math.nan),
    "height": (0, -1, 9, 1.5, math.nan),
    "width": (0, -1, 9, 1.5, math.nan),
    "max_pixels": (-1, 0.5, math.nan, True),
    "max_degrees": (-1.0, math.nan, math.inf),
    "alpha": (0.0, -1.0, math.nan, math.inf),
}


def assert_not_finite_or_refused(function, arguments, name, value):
    try:
        found = function(**(arguments | {name: value}))
    except ValueError as error:
        assert name in str(error)
    else:
        assert not all(part.isfinite().all() for part in tensors_in(found))


def function(name):
    return seeded(getattr(augment, name))


def test_all_augmentations_are_here():
    assert public_names(augment) - {"Augmented"} == {*AUGMENTATIONS}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_must_be_a_batch_of_floating_point(name):
    arguments, _ = AUGMENTATIONS[name]
    for value in (X[0], X[..., None], X.flatten(1), X.numpy(), X.tolist(), X > 0):
        assert_refused(function(name), arguments, "x", value)
    for dtype in INTEGERS:
        assert_refused(function(name), arguments, "x", (X * 10).to(dtype))
    draws_in_the_type_of_x = name in ("random_rotate", "random_mixup")
    for value in other_types(X):
        if value.dtype == X.dtype or not draws_in_the_type_of_x:
            assert_right_or_refused(function(name), arguments, "x", value)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        found = function(name)(**(arguments | {"x": X.to(dtype)}))
        assert (found[0] if isinstance(found, tuple) else found).dtype == dtype


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_tensors_with_a_row_for_each_image(name):
    arguments, rows = AUGMENTATIONS[name]
    for argument in rows:
        value = arguments[argument]
        for other in other_shapes(value):
            assert_refused(function(name), arguments, argument, other)
        for other in (value.tolist(), value.numpy(), None):
            assert_refused(function(name), arguments, argument, other)
        for other in other_types(value):
            assert_right_or_refused(function(name), arguments, argument, other)
        if value.is_floating_point():
            nan, *infinite = poisoned(value)
            assert_nan_or_refused(function(name), arguments, argument, nan)
            for other in infinite:
                assert_not_finite_or_refused(function(name), arguments, argument, other)
            assert_refused(function(name), arguments, argument, value.long())
        elif value.dtype != torch.bool:
            assert_refused(function(name), arguments, argument, value > 0)
            assert_refused(function(name), arguments, argument, value.float())
        else:
            assert_refused(function(name), arguments, argument, value.to(torch.uint8))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_numbers_that_break_their_rule(name):
    arguments, _ = AUGMENTATIONS[name]
    for argument in {*arguments} & {*NUMBERS}:
        for value in NUMBERS[argument]:
            if "erase" in name and value == 9:
                continue  # may be larger than an image
            assert_refused(function(name), arguments, argument, value)
        kind = np.int64 if isinstance(arguments[argument], int) else np.float32
        assert_close(function(name)(**(arguments | {argument: kind(arguments[argument])})), function(name)(**arguments))


def test_positions_of_small_types_do_not_overflow():
    x = torch.arange(2.0 * 300).view(2, 1, 1, 300)
    zero, far = torch.zeros(2, dtype=torch.int8), torch.tensor([-100, 100], dtype=torch.int8)
    assert_close(augment.shift(x, zero, far), augment.shift(x, zero.long(), far.long()))
    top, left = torch.zeros(2, dtype=torch.uint8), torch.tensor([0, 1], dtype=torch.uint8)  # no masks
    assert_close(augment.crop(x, top, left, 1, 2), torch.tensor([[[[0.0, 1]]], [[[301.0, 302]]]]))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_nothing_is_made_on_another_device(name):
    if name in ("crop", "shift", "rotate"):
        pytest.skip("reads values: its errors and its padding depend on them")
    if name == "random_mixup":
        pytest.skip("draws from a distribution that PyTorch does not have for this device")
    arguments, _ = AUGMENTATIONS[name]
    moved = {key: value.to("meta") if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    found, expected = function(name)(**moved), function(name)(**arguments)
    for one, other in zip(tensors_in(found), tensors_in(expected), strict=True):
        assert one.device.type == "meta" and one.shape == other.shape and one.dtype == other.dtype


def test_augmented_needs_an_order_for_each_epoch():
    with pytest.raises(TypeError, match="batches must have set_epoch, such as Batches: got a list"):
        augment.Augmented([(X, LABELS)], lambda x, y: (x, y))


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_keep_types_and_devices(shuffle):
    for dtype in (*INTEGERS, torch.bool, torch.float16, torch.bfloat16, torch.float64):
        values = torch.arange(7).to(dtype)
        found = torch.cat([part for (part,) in Batches(values, batch_size=3, shuffle=shuffle)])
        assert found.dtype == dtype and torch.equal(found.sort().values, values.sort().values)
    wide = torch.arange(14).view(2, 7).t()  # not contiguous
    assert sorted(torch.cat([x for (x,) in Batches(wide, batch_size=3, shuffle=shuffle)]).tolist()) == wide.tolist()
    assert [x.shape for (x,) in Batches(torch.zeros(3, 0), batch_size=2, shuffle=shuffle)] == [(2, 0), (1, 0)]
    meta = torch.zeros(5, 2, device="meta")
    assert [x.device.type for (x,) in Batches(meta, batch_size=3, shuffle=shuffle)] == ["meta", "meta"]


@pytest.mark.parametrize("value", [0, -1, 2.0, math.nan, True, "2", None])
def test_counts_of_batches_are_whole_numbers(value):
    x, sequences = torch.zeros(4), [[1], [2, 3], [4], [5]]
    with pytest.raises((TypeError, ValueError), match="batch_size must be"):
        Batches(x, batch_size=value)
    if value != 0:
        for call in (
            lambda **v: Batches(x, batch_size=2, **v),
            lambda **v: BatchesByLength(sequences, batch_size=2, **v),
        ):
            with pytest.raises((TypeError, ValueError), match="seed must be"):
                call(seed=value)
    for name in ("batch_size", "max_tokens"):
        with pytest.raises((TypeError, ValueError), match=f"{name}.* must be"):
            BatchesByLength(sequences, **{name: value})
    if value is not None:
        with pytest.raises((TypeError, ValueError), match="max_length must be"):
            BatchesByLength(sequences, batch_size=2, max_length=value)


def test_batches_take_numpys_numbers():
    x, sequences = torch.arange(9), [[1], [2, 3], [4], [5]]
    one = Batches(x, batch_size=np.int8(4), shuffle=True, seed=np.uint8(3))
    other = Batches(x, batch_size=4, shuffle=True, seed=3)
    assert [part.tolist() for (part,) in one] == [part.tolist() for (part,) in other]
    kinds = {"max_length": np.int16(2), "shuffle": True, "seed": np.int64(3)}
    one = BatchesByLength(sequences, max_tokens=np.uint8(4), **kinds)
    other = BatchesByLength(sequences, max_tokens=4, max_length=2, shuffle=True, seed=3)
    assert [numbers.tolist() for numbers, _ in one] == [numbers.tolist() for numbers, _ in other]


@pytest.mark.parametrize("value", [np.zeros(4), [1, 2, 3, 4], None])
def test_batches_are_of_tensors(value):
    with pytest.raises(TypeError, match="tensors must be tensors: got .*" + type(value).__name__):
        Batches(torch.zeros(4), value, batch_size=2)


# --- optimisers and penalties -----------------------------------------------------------------------------------------


BAD_NUMBERS = [-0.1, math.nan, math.inf]


@pytest.mark.parametrize("make", [optim.GradientDescent, optim.Momentum, optim.Adam])
@pytest.mark.parametrize(
    "lr", [0.0, *BAD_NUMBERS, "0.1", None, [0.1], np.array([0.1, 0.2]), torch.tensor(0.1)], ids=repr
)
def test_learning_rates(make, lr):
    with pytest.raises((TypeError, ValueError), match="lr must be"):
        make([nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize("make", [optim.GradientDescent, optim.Momentum, optim.Adam])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_learning_rates_of_numpy(make, dtype, kind):
    def stepped(lr):
        w = nn.Parameter(torch.ones(3, dtype=dtype))
        optimizer = make([w], lr=lr)
        for _ in range(3):
            w.grad = torch.full_like(w, 0.5)
            optimizer.step()
        return w.detach()

    assert torch.equal(stepped(kind(0.125)), stepped(0.125)) and stepped(kind(0.125)).dtype == dtype


@pytest.mark.parametrize("value", [1.0, *BAD_NUMBERS])
def test_momentum_and_betas(value):
    weights = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(ValueError, match="momentum must be"):
        optim.Momentum(weights, lr=0.1, momentum=value)
    for betas in ((value, 0.9), (0.9, value), (0.9,), (0.9, 0.9, 0.9)):
        with pytest.raises(ValueError, match="betas must be"):
            optim.Adam(weights, betas=betas)
    if value != 1:
        with pytest.raises(ValueError, match="eps must be"):
            optim.Adam(weights, eps=value)
        with pytest.raises(ValueError, match="factor must be"):
            optim.step_decay(2, factor=value)
        with pytest.raises(ValueError, match="warmup must be"):
            optim.warmup_cosine(10, warmup=value)


def test_betas_of_zero_are_steps_of_the_learning_rate():
    w = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = optim.Adam([w], lr=0.1, betas=(0.0, 0.0), eps=0.0)
    for _ in range(3):
        w.grad = torch.tensor([3.0, -0.01])
        optimizer.step()
    assert_close(w.detach(), torch.tensor([0.7, 1.3]))


@pytest.mark.parametrize("value", [1.5, math.nan, "2", True])
def test_steps_of_a_decay_are_whole(value):
    with pytest.raises(TypeError, match="every must be a whole number"):
        optim.step_decay(value)
    with pytest.raises(TypeError, match="patience must be a whole number"):
        EarlyStopping(lambda model: {"loss": 0.0}, "loss", value)


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_strengths(value):
    for name in ("l1", "l2"):
        assert_refused(regularized, {"loss": nn.CrossEntropyLoss(), "model": nn.Linear(2, 2)}, name, value)
    assert_refused(soft_threshold_, {"weight": torch.ones(2)}, "threshold", value)


def test_only_floating_point_is_thresholded():
    for dtype in (*INTEGERS, torch.bool):
        assert_refused(soft_threshold_, {"threshold": 0.5}, "weight", torch.ones(2).to(dtype))
    for weight in poisoned(torch.ones(2)):
        soft_threshold_(weight, 0.5)
        assert not weight[0].isfinite() and weight[1] == 0.5
