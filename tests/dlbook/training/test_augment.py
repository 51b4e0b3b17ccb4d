"""Augmentation: exact on whole batches, picture by picture; random forms drawn from the seed; clear errors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.losses import cross_entropy
from dlbook.network import MLP
from dlbook.training import augment
from dlbook.training.augment import Augmented
from dlbook.training.batches import Batches
from dlbook.training.fit import fit
from tests.helpers.equations import executed
from tests.helpers.references import random, reference, tensor

sizes = {
    "batch": st.integers(0, 4),
    "channels": st.integers(1, 3),
    "height": st.integers(1, 6),
    "width": st.integers(1, 6),
}


def equal(a, b):
    assert_close(a, b, rtol=0, atol=0)


def ints(*values):
    return torch.tensor(values)


# --- flip -------------------------------------------------------------------------------------------------------------


@reference("dlbook.training.augment.flip", to="torch.Tensor.flip")
@given(**sizes)
def test_a_flip_twice_is_the_identity(batch, channels, height, width):
    torch.manual_seed(0)
    x, which = random(batch, channels, height, width), torch.rand(batch) < 0.5
    once = augment.flip(x, which)
    equal(augment.flip(once, which), x)
    for picture, mirrored, chosen in zip(x, once, which, strict=True):
        equal(mirrored, picture.flip(-1) if chosen else picture)


def test_random_flips_are_as_frequent_as_asked():
    torch.manual_seed(0)
    x = random(4000, 1, 1, 2)
    for probability in (0.0, 0.3, 1.0):
        flipped = (augment.random_flip(x, probability) != x).any((1, 2, 3)).double().mean().item()
        assert flipped == pytest.approx(probability, abs=0.03 if 0 < probability < 1 else 0)


# --- shift and crop ---------------------------------------------------------------------------------------------------


@given(**sizes, most=st.integers(0, 8))
def test_shift_moves_each_picture_by_its_own_number(batch, channels, height, width, most):
    torch.manual_seed(0)
    x = random(batch, channels, height, width)
    down, right = torch.randint(-most, most + 1, (2, batch))
    moved = augment.shift(x, down, right, fill=7.0)
    for picture, result, by, across in zip(x, moved, down.tolist(), right.tolist(), strict=True):
        for i in range(height):
            for j in range(width):
                inside = 0 <= i - by < height and 0 <= j - across < width
                equal(
                    result[:, i, j], picture[:, i - by, j - across] if inside else torch.full_like(picture[:, 0, 0], 7)
                )


def test_a_shift_there_and_back_keeps_the_middle():
    torch.manual_seed(0)
    x, down, right = random(5, 2, 9, 9), torch.randint(-2, 3, (5,)), torch.randint(-2, 3, (5,))
    back = augment.shift(augment.shift(x, down, right), -down, -right)
    equal(back[..., 2:-2, 2:-2], x[..., 2:-2, 2:-2])


@given(batch=st.integers(0, 4), height=st.integers(1, 5), width=st.integers(1, 5))
def test_crop_cuts_each_picture_at_its_own_place(batch, height, width):
    torch.manual_seed(0)
    x = random(batch, 2, 5, 5)
    top, left = torch.randint(0, 6 - height, (batch,)), torch.randint(0, 6 - width, (batch,))
    cut = augment.crop(x, top, left, height, width)
    assert cut.shape == (batch, 2, height, width)
    for picture, part, i, j in zip(x, cut, top, left, strict=True):
        equal(part, picture[:, i : i + height, j : j + width])


def test_random_crops_and_shifts_reach_every_place_equally():
    torch.manual_seed(0)
    x = torch.arange(9.0).view(1, 1, 3, 3).repeat(9000, 1, 1, 1)
    corner = augment.random_crop(x, 2, 2)[:, 0, 0, 0].long().bincount(minlength=9)
    assert corner[[0, 1, 3, 4]].sum() == 9000 and corner[[0, 1, 3, 4]].min() > 2100
    centre = augment.random_shift(x, 1)[:, 0, 1, 1].long().bincount(minlength=9)
    assert centre.sum() == 9000 and centre.min() > 850
    equal(augment.random_shift(x[:2], 0), x[:2])


# --- rotate and erase -------------------------------------------------------------------------------------------------


@reference("dlbook.training.augment.rotate", to="torch.Tensor.rot90")
@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3])
def test_right_angles_are_exact(turns):
    torch.manual_seed(0)
    x = random(3, 2, 6, 6)
    assert_close(augment.rotate(x, torch.full((3,), 90.0 * turns, dtype=torch.float64)), x.rot90(turns, (2, 3)))


def test_each_picture_turns_by_its_own_angle_and_half_a_turn_fits_any_rectangle():
    torch.manual_seed(0)
    x = random(2, 1, 4, 7)
    turned = augment.rotate(x, tensor([0.0, 180.0]))
    assert_close(turned[0], x[0])
    assert_close(turned[1], x[1].flip(1, 2))


def test_rotation_turns_anticlockwise_and_keeps_lengths():
    rows, columns = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(61.0) - 30, indexing="ij")

    def blob(row, column):
        return torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)[None, None]

    turned = augment.rotate(blob(0.0, 12.0), torch.tensor([30.0]))  # to the right of the centre → up, in any rectangle
    assert (turned - blob(-6.0, 12 * 3**0.5 / 2)).abs().max() < 0.03


def test_random_rotations_stay_within_their_limit():
    torch.manual_seed(0)
    x = torch.zeros(500, 1, 21, 21, dtype=torch.float64)
    x[:, :, 10, 18] = 1
    rows, columns = (torch.arange(21.0) - 10).double(), (torch.arange(21.0) - 10).double()
    turned = augment.random_rotate(x, 20.0).squeeze(1)
    mass = turned.sum((1, 2))
    angle = torch.rad2deg(torch.atan2(-(turned.sum(2) @ rows) / mass, (turned.sum(1) @ columns) / mass))
    assert 17 < angle.max() < 21 and -21 < angle.min() < -17 and angle.mean().abs() < 2


@given(**sizes)
def test_erase_paints_a_rectangle_and_nothing_else(batch, channels, height, width):
    torch.manual_seed(0)
    x = random(batch, channels, height, width)
    top, left = torch.randint(-3, 7, (2, batch))
    painted = augment.erase(x, top, left, 2, 3, fill=9.0)
    for picture, result, i, j in zip(x, painted, top.tolist(), left.tolist(), strict=True):
        expected = picture.clone()
        expected[:, max(0, i) : max(0, i + 2), max(0, j) : max(0, j + 3)] = 9
        equal(result, expected)


def test_random_erasing_hits_every_pixel():
    torch.manual_seed(0)
    x = torch.ones(5000, 1, 6, 6)
    painted = augment.random_erase(x, 3, 3)
    hit = (painted == 0).double().mean((0, 1))
    assert hit[2:-2, 2:-2].sub(9 / 36).abs().max() < 0.03  # nine of thirty-six centres reach a pixel in the middle
    assert hit[0, 0].item() == pytest.approx(4 / 36, abs=0.02)


# --- mixup ------------------------------------------------------------------------------------------------------------


@given(batch=st.integers(0, 5), classes=st.integers(1, 4))
def test_mixup_keeps_the_mass_of_labels_and_of_pixels(batch, classes):
    torch.manual_seed(0)
    x, target = random(batch, 2, 3, 3), random(batch, classes).softmax(1)
    share, order = torch.full((batch,), 0.3, dtype=torch.float64), torch.randperm(batch)
    mixed, labels = augment.mixup(x, target, share, order)
    assert_close(labels.sum(1), torch.ones(batch, dtype=torch.float64))
    assert_close(labels.sum(0), target.sum(0))  # one share for all: what one picture gives, another gets
    assert_close(mixed.sum(0), x.sum(0))


def test_mixup_with_share_one_changes_nothing():
    torch.manual_seed(0)
    x, target = random(4, 1, 2, 2), random(4, 3).softmax(1)
    for share, index in [(torch.ones(4).double(), ints(0, 1, 2, 3)), (torch.zeros(4).double(), ints(3, 0, 1, 2))]:
        mixed, labels = augment.mixup(x, target, share, ints(3, 0, 1, 2))
        equal(mixed, x[index])
        equal(labels, target[index])


def test_random_mixup_draws_from_beta():
    torch.manual_seed(0)
    x = torch.arange(4000.0).view(-1, 1, 1, 1)
    target = F.one_hot(torch.arange(4000) % 2, 2).float()
    mixed, labels = augment.random_mixup(x, target, alpha=0.4)
    assert_close(labels.sum(1), torch.ones(4000))
    own = labels.gather(1, (torch.arange(4000) % 2)[:, None])[:, 0]
    own = own[own < 1]  # those that met a picture of the other class
    assert own.var().item() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.05) and own.mean() == pytest.approx(
        0.5, abs=0.02
    )


@executed("4.2c", of="dlbook.training.augment.mixup")
def test_mixup_as_printed(formula):
    x, target, share, order = random(3, 1, 2, 2), random(3, 5).softmax(1), tensor([0.2, 0.7, 0.9]), ints(2, 0, 1)
    mixed, labels = augment.mixup(x, target, share, order)
    for a, b in enumerate(order):
        pair = {"x_a": x[a].flatten(), "x_b": x[b].flatten(), "y_a": target[a], "y_b": target[b]}
        found = formula(pair | {"lambda": share[a]})
        assert_close(tensor(found["tilde_x"]), mixed[a].flatten())
        assert_close(tensor(found["tilde_y"]), labels[a])


# --- in training ------------------------------------------------------------------------------------------------------


def test_augmented_batches_are_drawn_anew_and_by_the_seed():
    x, y = torch.randn(6, 1, 4, 4), torch.arange(6)
    batches = Augmented(Batches(x, y, batch_size=4, shuffle=True), lambda x, y: (augment.random_flip(x), y))

    def draw(seed, epoch=0):
        torch.manual_seed(seed)
        batches.set_epoch(epoch)
        return [(pictures.clone(), target) for pictures, target in batches]

    assert len(batches) == 2 and [len(target) for _, target in draw(0)] == [4, 2]
    for (a, b), (c, d) in zip(draw(0), draw(0), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    assert not torch.equal(draw(0)[0][0], draw(1)[0][0])
    assert not torch.equal(draw(0)[0][1], draw(0, epoch=1)[0][1])  # another epoch, another order
    for pictures, target in draw(0):
        for picture, number in zip(pictures, target, strict=True):
            assert torch.equal(picture, x[number]) or torch.equal(picture, x[number].flip(-1))


def test_an_interrupted_training_draws_the_same_changes(tmp_path):
    x, y = torch.randn(20, 1, 4, 4), torch.arange(20) % 2
    batches = Augmented(Batches(x, y, batch_size=8, shuffle=True), lambda x, y: (augment.random_shift(x, 1), y))

    def run(epochs, checkpoint=None):
        torch.manual_seed(0)
        model = MLP([16, 8, 2])
        optimizer = torch.optim.Adam(model.parameters())
        fit(model, batches, cross_entropy, optimizer, epochs=epochs, checkpoint=checkpoint)
        return model

    run(1, tmp_path / "run.pt")
    for a, b in zip(run(3, tmp_path / "run.pt").parameters(), run(3).parameters(), strict=True):
        assert torch.equal(a, b)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: augment.flip(x[0], torch.ones(1).bool()), r"x must have the shape .*got \(1, 4, 5\)"),
        (lambda x: augment.flip(x, torch.ones(3).bool()), r"which must have one number for each of 2 .*got \(3,\)"),
        (lambda x: augment.random_flip(x, 1.5), "p must lie between 0 and 1: got 1.5"),
        (lambda x: augment.random_flip(x, float("nan")), "p must lie between 0 and 1: got nan"),
        (
            lambda x: augment.crop(x, ints(0, 0), ints(0, 0), 5, 2),
            "height must be 1 to 4 and width 1 to 5: got height=5",
        ),
        (lambda x: augment.crop(x, ints(0, 3), ints(0, 0), 2, 2), "top must lie between 0 and 2: got 0 to 3"),
        (lambda x: augment.crop(x, ints(0, 0), ints(-1, 0), 2, 2), "left must lie between 0 and 3: got -1 to 0"),
        (lambda x: augment.random_crop(x, 0, 2), "height must be at least 1: got 0"),
        (lambda x: augment.random_crop(x[0], 1, 2), "x must have the shape"),
        (lambda x: augment.shift(x, ints(0), ints(0, 1)), "down must have one number"),
        (lambda x: augment.random_shift(x, -1), "max_pixels must be at least 0: got -1"),
        (lambda x: augment.rotate(x, tensor([1.0])), "degrees must have one number"),
        (lambda x: augment.erase(x, ints(0, 0), ints(0, 0), 0, 2), "height must be at least 1: got 0"),
        (
            lambda x: augment.mixup(x, random(3, 2), tensor([1, 1]), ints(0, 1)),
            r"target must have the shape \(2, classes\): got \(3, 2\)",
        ),
        (lambda x: augment.random_mixup(x, random(2, 2), 0.0), "alpha must be above 0, and finite: got 0.0"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(random(2, 1, 4, 5))
