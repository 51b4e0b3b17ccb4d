"""Gradient descent, momentum, Adam and AdamW, written out, and learning-rate schedules.

The optimisers are `torch.optim.Optimizer`s: they keep their state where PyTorch expects
it, so that checkpoints, schedulers and `zero_grad` work as with PyTorch's own.
"""

import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dlbook._check import check_whole


def _check_lr(lr: Any) -> None:
    """Refuse a learning rate that is no positive, finite number."""
    if not isinstance(lr, Real):
        raise TypeError(f"lr must be a number: got {lr!r}, a {type(lr).__name__}")
    if not 0 < float(lr) < math.inf:
        raise ValueError(f"lr must be positive and finite: got {lr}")


def _check_adam(lr: float, betas: tuple[float, float], eps: float) -> None:
    """Refuse settings with which Adam would divide by zero, or diverge."""
    _check_lr(lr)
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(
            f"betas must be two numbers, at least 0 and less than 1: got {betas}"
        )
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps must be at least 0, and finite: got {eps}")


class GradientDescent(Optimizer):
    """Step against the gradient: w ← w - η g (gradient descent, SGD on minibatches).

    Source: book equation (3.1.3a).
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        """Take the parameters and the learning rate.

        Args:
            params: to change at each step.
            lr: the learning rate η, above 0.

        Raises:
            TypeError: The learning rate is no number.
            ValueError: The learning rate is not positive, or not finite.
        """
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
    """Step along a decaying sum of gradients (SGD with momentum, heavy ball).

    Source: Polyak 1964, in the form of `torch.optim.SGD`; book equation (3.1.3c).
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.9
    ):
        """Take the parameters and the settings.

        Args:
            params: to change at each step.
            lr: the learning rate, above 0.
            momentum: the factor μ of the last velocity, from 0 to below 1.

        Raises:
            TypeError: The learning rate is no number.
            ValueError: A setting breaks its rule.
        """
        _check_lr(lr)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"momentum must be at least 0 and less than 1: got {momentum}"
            )
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
    """Step by the mean of gradients over the root of their mean square (Adam).

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
            params: to change at each step.
            lr: the learning rate, above 0.
            betas: β₁ and β₂, how much of the mean and of the mean square is kept at
                each step, from 0 to below 1.
            eps: ε, which keeps the divisor away from zero.
            eps_hat: False adds ε to the corrected root, as algorithm 1 and PyTorch do;
                True adds it to the uncorrected root, as the end of the paper's section
                2 and Keras do (Keras with eps=1e-7).

        Raises:
            TypeError: The learning rate is no number.
            ValueError: A setting breaks its rule.
        """
        _check_adam(lr, betas, eps)
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "eps_hat": eps_hat}
        )

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter that has a gradient."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    w -= group["lr"] * self.direction(w, group)

    def direction(self, w: nn.Parameter, group: dict) -> torch.Tensor:
        """Update the moving averages of one parameter; return its step for η = 1.

        Args:
            w: the parameter.
            group: the settings of its group.
        """
        state = self.state[w]
        if not state:
            state.update(step=0, mean=torch.zeros_like(w), square=torch.zeros_like(w))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].mul_(beta1).add_(w.grad, alpha=1 - beta1)
        state["square"].mul_(beta2).addcmul_(w.grad, w.grad, value=1 - beta2)
        # Both averages start at zero, and are too small at first:
        correction1 = 1 - beta1 ** state["step"]
        correction2 = 1 - beta2 ** state["step"]
        eps = (
            group["eps"] / math.sqrt(correction2) if group["eps_hat"] else group["eps"]
        )
        return (
            state["mean"] / correction1 / ((state["square"] / correction2).sqrt() + eps)
        )


class AdamW(Adam):
    """Step as Adam, and shrink each weight besides (decoupled weight decay, AdamW).

    Source: Loshchilov and Hutter 2019, algorithm 2, in the form of `torch.optim.AdamW`;
    book equation (3.1.3i).
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        """Take the parameters and the settings.

        Args:
            params: to change at each step.
            lr: the learning rate, above 0.
            betas: as for Adam.
            eps: as for Adam.
            weight_decay: what is taken off each weight, as a part of it, for a learning
                rate of one; at least 0.

        Raises:
            TypeError: The learning rate is no number.
            ValueError: A setting breaks its rule.
        """
        if not 0 <= weight_decay < math.inf:
            raise ValueError(
                f"weight_decay must be at least 0, and finite: got {weight_decay}"
            )
        super().__init__(params, lr, betas, eps)
        self.defaults["weight_decay"] = weight_decay
        for group in self.param_groups:
            group.setdefault("weight_decay", weight_decay)

    def direction(self, w: nn.Parameter, group: dict) -> torch.Tensor:
        """Return Adam's step for η = 1, plus the decay of the weight itself.

        Args:
            w: the parameter.
            group: the settings of its group.
        """
        return super().direction(w, group) + group["weight_decay"] * w


def warmup_cosine(total: int, warmup: int = 0) -> Callable[[int], float]:
    """Return a schedule: linear warm-up, then cosine annealing to zero.

    Args:
        total: the step at which the learning rate reaches zero.
        warmup: how many steps it rises.

    Returns:
        A function from the step, counted from 0, to the factor of the learning rate, as
        `torch.optim.lr_scheduler.LambdaLR` takes it.

    Raises:
        ValueError: Not 0 <= warmup < total.

    Source: Loshchilov and Hutter 2017, equation (5); book equation (3.1.3h).
    """
    if not 0 <= warmup < total:
        raise ValueError(
            f"warmup must be at least 0 and less than total: got {warmup=}, {total=}"
        )

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / (total - warmup))
        return (1 + math.cos(math.pi * progress)) / 2

    return factor


def step_decay(every: int, factor: float = 0.1) -> Callable[[int], float]:
    """Return a schedule that multiplies the learning rate by a factor now and then.

    Args:
        every: how many steps there are between two multiplications.
        factor: above 0.

    Returns:
        A function from the step, counted from 0, to the factor of the learning rate, as
        `torch.optim.lr_scheduler.LambdaLR` takes it.

    Raises:
        TypeError: `every` is not a whole number.
        ValueError: A number breaks its rule.
    """
    check_whole(1, every=every)
    if not 0 < factor < math.inf:
        raise ValueError(f"factor must be above 0, and finite: got {factor}")
    return lambda step: factor ** (step // every)
