"""What test_train.py runs under torchrun: examples/train.py on made data, of which a process may be killed."""

import os
import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path

import torch
from torch.nn import functional

from dlbook.data.images import Images

spec = spec_from_file_location("train", Path(__file__).parents[2] / "examples" / "train.py")
train = module_from_spec(spec)
spec.loader.exec_module(train)


def made_images() -> Images:
    """Return 101 images to train with, and 20 to validate with, of two classes that brightness tells apart."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (121,), generator=draw)
    images = torch.rand(121, 28, 28, generator=draw) * (1 + labels[:, None, None]) / 2
    return Images(images, labels, images[:0], labels[:0], ["dark", "bright"])


def main(kill_at: int, *arguments: str) -> None:
    """Train; the second process is killed, as a machine fails, when it computes its loss for the given time."""
    calls = count(1)

    def cross_entropy(logits, target):
        if next(calls) == kill_at and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return functional.cross_entropy(logits, target)

    train.fashion_mnist, train.VALIDATION, train.cross_entropy = made_images, 20, cross_entropy
    train.main(list(arguments))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), *sys.argv[2:])
