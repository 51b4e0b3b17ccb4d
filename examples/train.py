"""Train a network on Fashion-MNIST, in one process or in several that train together.

    python examples/train.py
    torchrun --nproc-per-node 2 examples/train.py --checkpoint run.pt

The processes share each batch, so that the MLP learns the same, up to rounding, however
many there are; the ResNet's batch normalisation sees a process's part of a batch only.
What is started again with the same --checkpoint goes on from there.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from dlbook.cnn import ResNet
from dlbook.data.images import fashion_mnist
from dlbook.metrics.classification import accuracy
from dlbook.network import MLP
from dlbook.training.batches import Batches
from dlbook.training.devices import device, rank_and_world_size
from dlbook.training.fit import evaluate, fit
from dlbook.training.sharded import fit_sharded, shard

VALIDATION = 5_000  # images, the last of the training set


def main(arguments: list[str] | None = None) -> None:
    """Train, and print how it went: once, however many processes there are."""
    options = read_options(arguments)
    where, data = device(), fashion_mnist()
    images, labels = data.train_images[:, None].to(where), data.train_labels.to(where)
    batches = Batches(
        images[:-VALIDATION],
        labels[:-VALIDATION],
        batch_size=options.batch_size,
        shuffle=True,
        seed=options.seed,
    )
    held_out = Batches(images[-VALIDATION:], labels[-VALIDATION:], batch_size=1000)

    torch.manual_seed(options.seed)
    model, layers = build(options.network)
    model.to(where)
    if options.shard:
        shard(model, layers)

    def validate(model: nn.Module) -> dict[str, float]:
        row = evaluate(model, held_out, loss=cross_entropy, accuracy=accuracy)
        say(f"validation loss {row['loss']:.3f}, accuracy {row['accuracy']:.1%}")
        return row

    history = (fit_sharded if options.shard else fit)(
        model,
        batches,
        cross_entropy,
        Adam(model.parameters(), lr=options.lr),
        epochs=options.epochs,
        validate=validate,
        checkpoint=options.checkpoint,
        checkpoint_every=options.every if options.checkpoint else None,
    )
    say(f"processes: {rank_and_world_size()[1]}, training loss {history.loss[-1]:.3f}")


def build(network: str) -> tuple[nn.Module, Iterable[nn.Module]]:
    """Return a network, and the layers to gather one after another when sharded."""
    if network == "resnet":
        resnet = ResNet()
        return resnet, [*resnet.blocks, resnet.output]
    mlp = MLP([784, 64, 64, 10])
    return mlp, mlp.layers


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--network", choices=["mlp", "resnet"], default="mlp", help="which to train")
    add("--epochs", type=whole, default=3, help="how often to go through the data")
    add("--batch-size", type=whole, default=64, help="examples, of all processes")
    add("--lr", type=float, default=1e-3, help="the learning rate of Adam")
    add("--seed", type=int, default=0, help="of the weights and of the data's order")
    add("--checkpoint", type=Path, help="a file to write, and to go on from")
    add("--every", type=whole, default=200, help="steps from checkpoint to checkpoint")
    add("--shard", action="store_true", help="each process holds a part of the model")
    return parser.parse_args(arguments)


def whole(text: str) -> int:
    """Read a number that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1: got {text}")
    return int(text)


def say(text: str) -> None:
    """Print a line, in the first process only."""
    if rank_and_world_size()[0] == 0:
        print(text, flush=True)


if __name__ == "__main__":
    main()
