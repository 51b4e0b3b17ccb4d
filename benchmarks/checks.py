"""What the checks of arguments cost: `fit` on the article's MLP, with them and without them, in turns.

python -m benchmarks.checks [fit]

An epoch of 200 batches of 32 random images, one thread; the learning rate is so small that the images are not learnt by
heart, since the tiny gradients of that would slow both down. Without them means that the functions which look at the
arguments in each step do nothing; the rest is the same code, the same weights and the same batches.
"""

from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

import torch

from benchmarks.pairs import pairs
from benchmarks.store import run
from dlbook.losses import cross_entropy
from dlbook.network import MLP
from dlbook.training.batches import Batches
from dlbook.training.fit import fit
from dlbook.training.optim import Adam

STEPS, SIZE = 200, 32
IN_EACH_STEP = ("dlbook.network._check_examples", "dlbook.network.check_features", "dlbook.losses._check_classes")


def unchecked(function: Callable[[], object]) -> None:
    """Call a function while the checks of each step do nothing."""
    with ExitStack() as without:
        for name in IN_EACH_STEP:
            without.enter_context(patch(name, lambda *_, **__: None))
        function()


def epoch(steps: int = STEPS) -> Callable[[], object]:
    """Return a function that trains an MLP for an epoch, from where it was."""
    torch.manual_seed(0)
    model = MLP([784, 64, 64, 10])
    optimizer = Adam(model.parameters(), lr=1e-6)
    x, y = torch.rand(steps * SIZE, 784), torch.randint(10, (steps * SIZE,))
    batches = Batches(x, y, batch_size=SIZE)
    return lambda: fit(model, batches, cross_entropy, optimizer, epochs=1)


def measure(count: int = 301, steps: int = STEPS) -> dict[str, float]:
    """Time epochs with the checks (first) and without (second)."""
    train = epoch(steps)
    return pairs(train, lambda: unchecked(train), count)


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"fit": measure}, arguments)


if __name__ == "__main__":
    main()
