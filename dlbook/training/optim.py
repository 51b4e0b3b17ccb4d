"""Gradient descent, momentum and Adam, written out, and schedules for the learning rate.

The optimisers are `torch.optim.Optimizer`s: they keep their state where PyTorch expects it, so that
checkpoints, learning-rate schedulers and `zero_grad` work as with PyTorch's own.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer


def _check_lr(lr: float) -> None:
    """Raise unless the learning rate is a positive, finite number."""
    if not 0 < lr < math.inf:
        raise ValueError(f"lr must be positive and finite: got {lr}")


class GradientDescent(Optimizer):
    """Step against the gradient, by the learning rate times its length.

    Source: book equation (3.1.3a).
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        """Take the parameters to change and the learning rate."""
        _check_lr(lr)
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter that has a gradient."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    w -= group["lr"] * w.grad


class Momentum(Optimizer):
    """Step along a running sum of gradients, in which older ones fade.

    Source: Polyak 1964, in the form of `torch.optim.SGD`; book equation (3.1.3c).
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.9):
        """Take the parameters, the learning rate, and the share of the last velocity that is kept."""
        _check_lr(lr)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be at least 0 and less than 1: got {momentum}")
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter that has a gradient."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    state = self.state[w]
                    velocity = state.setdefault("velocity", torch.zeros_like(w))
                    velocity.mul_(group["momentum"]).add_(w.grad)
                    w -= group["lr"] * velocity


class Adam(Optimizer):
    """Step by the running mean of the gradient, divided by the root of its running square.

    Source: Kingma and Ba 2015, algorithm 1; book equations (3.1.3e) to (3.1.3g).
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_hat: bool = False,
    ):
        """Take the parameters and the settings.

        Args:
            betas: how much of the mean, and of the square, is kept at each step.
            eps: keeps the divisor away from zero.
            eps_hat: False adds eps to the corrected root, as algorithm 1 and PyTorch do; True adds it to the
                uncorrected root, as the end of the paper's section 2 and Keras do (Keras with eps=1e-7).
        """
        _check_lr(lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be at least 0 and less than 1: got {betas}")
        if eps < 0:
            raise ValueError(f"eps must not be negative: got {eps}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "eps_hat": eps_hat})

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter that has a gradient."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    w -= group["lr"] * self.direction(w, group)

    def direction(self, w: nn.Parameter, group: dict) -> torch.Tensor:
        """Update the running averages of one parameter and return its step for a learning rate of 1."""
        state = self.state[w]
        if not state:
            state.update(step=0, mean=torch.zeros_like(w), square=torch.zeros_like(w))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].mul_(beta1).add_(w.grad, alpha=1 - beta1)
        state["square"].mul_(beta2).addcmul_(w.grad, w.grad, value=1 - beta2)
        correction1 = 1 - beta1 ** state["step"]  # both averages start at zero and are too small at first
        correction2 = 1 - beta2 ** state["step"]
        eps = group["eps"] / math.sqrt(correction2) if group["eps_hat"] else group["eps"]
        return state["mean"] / correction1 / ((state["square"] / correction2).sqrt() + eps)


def warmup_cosine(total: int, warmup: int = 0) -> Callable[[int], float]:
    """Return a schedule that rises straight for `warmup` steps and falls along a cosine to zero at `total`.

    Returns:
        A function from the step, counted from 0, to the factor of the learning rate, as
        `torch.optim.lr_scheduler.LambdaLR` takes it.

    Source: Loshchilov and Hutter 2017, equation (5); book equation (3.1.3h).
    """
    if not 0 <= warmup < total:
        raise ValueError(f"warmup must be at least 0 and less than total: got {warmup=}, {total=}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / (total - warmup))
        return (1 + math.cos(math.pi * progress)) / 2

    return factor


def step_decay(every: int, factor: float = 0.1) -> Callable[[int], float]:
    """Return a schedule that multiplies the learning rate by `factor` after every `every` steps."""
    if every < 1:
        raise ValueError(f"every must be at least 1: got {every}")
    return lambda step: factor ** (step // every)
