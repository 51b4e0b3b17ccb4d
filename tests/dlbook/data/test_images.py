"""The images: read rightly from IDX and CSV, and split without loss."""

import hashlib
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data import images, store


@pytest.fixture(scope="module")
def fashion():
    return images.fashion_mnist()


@pytest.fixture(scope="module")
def digits():
    return images.mnist_subset()


def test_fashion_mnist_is_whole(fashion):
    assert fashion.train_images.shape == (60_000, 28, 28)
    assert fashion.test_images.shape == (10_000, 28, 28)
    assert fashion.train_labels.bincount().tolist() == [6_000] * 10
    assert fashion.test_labels.bincount().tolist() == [1_000] * 10
    assert fashion.train_labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert fashion.names[9] == "Ankle boot"
    assert len(set(fashion.names)) == 10


@pytest.mark.parametrize("name", ["fashion", "digits"])
def test_pixels_are_the_bytes_over_255(name, request):
    data = request.getfixturevalue(name)
    for pixels in (data.train_images, data.test_images):
        assert pixels.dtype == torch.float32
        assert pixels.min() == 0 and pixels.max() == 1
        steps = pixels[:100].double() * 255
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-5)
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64


def test_fashion_mnist_is_read_row_by_row(fashion):
    """Against the file itself, read by plain Python."""
    content = (store.folder_of("fashion-mnist") / "t10k-images-idx3-ubyte").read_bytes()
    for example, row, column in [(0, 14, 5), (0, 5, 14), (9_999, 20, 3), (1234, 9, 27)]:
        expected = content[16 + 784 * example + 28 * row + column] / 255
        assert fashion.test_images[example, row, column].item() == pytest.approx(expected, abs=1e-7)


def test_an_ankle_boot_stands_on_its_sole(fashion):
    """Upright and not transposed: a boot's sole is wider than its shaft."""
    boots = fashion.train_images[fashion.train_labels == 9].mean(0)
    assert boots[18:22].mean() > 2 * boots[4:8].mean()


def test_fashion_mnist_loads_fast(fashion):
    def seconds():
        start = time.perf_counter()
        images.fashion_mnist()
        return time.perf_counter() - start

    assert any(seconds() < 1 for _ in range(3))  # 0.15 s on a quiet machine


def test_the_mnist_subset_is_balanced_in_every_part(digits):
    assert digits.train_images.shape == (4_000, 28, 28)
    assert digits.test_images.shape == (1_000, 28, 28)
    assert digits.train_labels[:11].tolist() == [*range(10), 0]
    assert digits.train_labels.bincount().tolist() == [400] * 10
    assert digits.test_labels.bincount().tolist() == [100] * 10
    assert digits.names[3] == "3"


def test_the_mnist_subset_keeps_each_image_with_its_label(digits):
    rows = (store.folder_of("mnist-subset") / "mnist_5k.csv").read_text().splitlines()
    for line, example in [(0, 0), (1, 10), (500, 1), (4_499, 4_998), (4_999, 4_999)]:
        *pixels, label = map(int, rows[line].split(","))
        image = torch.cat([digits.train_images, digits.test_images])[example]
        assert torch.cat([digits.train_labels, digits.test_labels])[example] == label
        assert (image.flatten() * 255).round().int().tolist() == pixels


def test_no_digit_is_in_both_parts(digits):
    prints = [
        {hashlib.sha256(image.numpy()).digest() for image in part} for part in (digits.train_images, digits.test_images)
    ]
    assert not prints[0] & prints[1]


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist-subset"])
def test_the_catalogue_knows_the_sizes(name, fashion, digits):
    for member in store.find(name).members:
        assert (store.folder_of(name) / member.file).stat().st_size == member.bytes


def idx(array, sizes=None, kind=8):
    sizes = array.shape if sizes is None else sizes
    return bytes([0, 0, kind, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in sizes) + array.tobytes()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_idx_files_of_any_shape(tmp_path_factory, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path_factory.getbasetemp() / "array"
    path.write_bytes(idx(array))
    read = images.read_idx(path, dims=len(shape))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"must begin with 0, 0, 8, 2 and 2 sizes: got \[\]"),
        (b"\x1f\x8b\x08\x00" + bytes(20), r"must begin with 0, 0, 8, 2 and 2 sizes: got \[31, 139, 8, 0, 0,"),
        (idx(np.zeros((2, 3), np.uint8))[:9], "must begin with 0, 0, 8, 2 and 2 sizes: got"),
        (idx(np.zeros((2, 3), np.uint8), kind=13), "must begin with 0, 0, 8, 2 and 2 sizes: got"),
        (idx(np.zeros(6, np.uint8)), "must begin with 0, 0, 8, 2 and 2 sizes: got"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "must hold 2 × 3 values: got 5"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "must hold 2 × 3 values: got 7"),
        (
            idx(np.zeros((2, 3), np.uint8), sizes=(2**32 - 1, 2**32 - 1)),
            "must hold 4294967295 × 4294967295 values: got 6",
        ),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path, content, message):
    (tmp_path / "array").write_bytes(content)
    with pytest.raises(ValueError, match=f"^array {message}"):
        images.read_idx(tmp_path / "array", dims=2)
