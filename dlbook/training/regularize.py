"""Against overfitting: a price on large weights, weights that reach zero, and a halt when validation gets worse."""

import copy
import math
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Validate = Callable[[nn.Module], dict[str, float]]


def regularized_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """Go through what penalties are for: matrices and kernels, but no biases and no gains of a normalisation.

    A bias does not multiply an input, so that a large one makes no function steep. What is left out is told by its
    shape: it has fewer than two dimensions.
    """
    return (parameter for parameter in model.parameters() if parameter.ndim >= 2)


def l1_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Add up how large the weights are, whatever their sign.

    Errors: ValueError if the model has no weights.

    Source: Tibshirani 1996; book equation (6.3a).
    """
    return _total(weight.abs().sum() for weight in regularized_parameters(model))


def l2_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Add up half the squares of the weights, so that the gradient of each weight is the weight itself.

    Errors: ValueError if the model has no weights.

    Source: Hoerl and Kennard 1970; book equation (6.3a).
    """
    return _total(weight.square().sum() / 2 for weight in regularized_parameters(model))


def regularized(
    loss: Callable[..., Tensor], model: nn.Module, l1: float = 0.0, l2: float = 0.0
) -> Callable[..., Float[Tensor, ""]]:
    """Put a price on the weights of a model: return the loss plus `l1` times the one penalty, `l2` times the other.

    For `fit`, whose history then holds the penalised loss; validate with the loss alone.

    Args:
        loss: called as loss(scores, target).

    Errors: ValueError if a price is negative, or not finite.

    Source: book equation (6.3a).
    """
    _check_strength(l1=l1, l2=l2)

    def with_penalty(scores: Tensor, target: Tensor) -> Tensor:
        value = loss(scores, target)
        if l1 > 0:
            value = value + l1 * l1_penalty(model)
        if l2 > 0:
            value = value + l2 * l2_penalty(model)
        return value

    return with_penalty


@torch.no_grad()
def soft_threshold_(weight: Float[Tensor, "*shape"], threshold: float) -> None:
    """Move each weight towards zero by an amount, in place; a weight that is nearer than that becomes zero.

    After each step of gradient descent, with the learning rate times the price as the amount, it minimises a loss with
    an L1 penalty (proximal gradient descent). The gradient of the penalty itself only makes weights swing about zero.

    Errors: ValueError if the amount is negative, or not finite.

    Source: Daubechies, Defrise and De Mol 2004; book equation (6.3c).
    """
    _check_strength(amount=threshold)
    weight.copy_(weight.sign() * (weight.abs() - threshold).clamp(min=0))


class EarlyStopping:
    """Stop `fit` when validation no longer gets better, and put back the weights of the best epoch.

        with EarlyStopping(validate, "loss", patience=10) as stopping:
            fit(model, batches, loss, optimizer, epochs=1000, validate=stopping)

    The weights are put back too if all epochs were gone through. It remembers only what it has seen itself: a run that
    is resumed from a checkpoint starts with a new memory.

    Attributes:
        history: what `validate` returned after each epoch.
        best: the epoch whose weights are kept, counted from 0.

    Source: Prechelt 1998, "Early stopping, but when?"
    """

    def __init__(self, validate: Validate, measure: str, patience: int):
        """Say what to watch.

        Args:
            validate: as for `fit`: from a model to numbers by name.
            measure: the name of the number that is to become small.
            patience: how many epochs in a row may bring no better one.
        """
        if patience < 1:
            raise ValueError(f"patience must be at least 1: got {patience}")
        self.validate, self.measure, self.patience = validate, measure, patience
        self.history: list[dict[str, float]] = []
        self.best, self.least = 0, math.inf
        self.model: nn.Module | None = None
        self.kept: dict[str, Any] = {}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Validate; keep a copy of the weights if they are the best so far, or stop if the patience is at its end."""
        values = self.validate(model)
        if self.measure not in values:
            raise ValueError(f"measure must be one that validate returns, {', '.join(values)}: got {self.measure}")
        self.history.append(values)
        if values[self.measure] < self.least:
            self.best, self.least = len(self.history) - 1, values[self.measure]
            self.model, self.kept = model, copy.deepcopy(model.state_dict())
        elif len(self.history) - 1 - self.best >= self.patience:
            raise Stopped
        return values

    def __enter__(self) -> "EarlyStopping":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Put the best weights back, and end the training that was stopped; any other error goes on its way."""
        if self.model is not None and kind in (None, Stopped):
            self.model.load_state_dict(self.kept)
        return kind is Stopped


class Stopped(Exception):
    """The patience of `EarlyStopping` is at its end."""


def _total(penalties: Iterator[Tensor]) -> Tensor:
    """Add the penalties of all weights; refuse a model that has none."""
    values = list(penalties)
    if not values:
        raise ValueError("model must have weights, parameters of two dimensions or more: got none")
    return torch.stack(values).sum()


def _check_strength(**prices: float) -> None:
    """Raise unless each price is a finite number, zero or more."""
    for name, price in prices.items():
        if not 0 <= price < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite: got {price}")
