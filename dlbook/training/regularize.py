"""Against overfitting: penalties on large weights, sparse weights, early stopping."""

import copy
import math
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlbook._check import check_floating, check_whole

Validate = Callable[[nn.Module], dict[str, float]]


def regularized_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters that penalties are for: weights, but no biases and no gains.

    A bias does not multiply an input, so that a large one makes no function steep.
    Biases, and the gains of a normalisation, are known by having fewer than two
    dimensions.

    Args:
        model: whose matrices and kernels are wanted.
    """
    return (parameter for parameter in model.parameters() if parameter.ndim >= 2)


def l1_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Return the sum of the absolute weights (L1 penalty, lasso).

    Args:
        model: whose `regularized_parameters` count.

    Raises:
        ValueError: The model has no weights.

    Source: Tibshirani 1996; book equation (6.3a).
    """
    return _total(weight.abs().sum() for weight in regularized_parameters(model))


def l2_penalty(model: nn.Module) -> Float[Tensor, ""]:
    """Return half the sum of the squared weights (L2 penalty, ridge, weight decay).

    Half, so that the gradient with respect to each weight is the weight itself.

    Args:
        model: whose `regularized_parameters` count.

    Raises:
        ValueError: The model has no weights.

    Source: Hoerl and Kennard 1970; book equation (6.3a).
    """
    return _total(weight.square().sum() / 2 for weight in regularized_parameters(model))


def regularized(
    loss: Callable[..., Tensor], model: nn.Module, l1: float = 0.0, l2: float = 0.0
) -> Callable[..., Float[Tensor, ""]]:
    """Return the loss plus `l1` times the L1 penalty plus `l2` times the L2 penalty.

    For `fit`, whose history then holds the regularised loss; validate with the loss
    alone.

    Args:
        loss: called as loss(logits, target).
        model: whose `regularized_parameters` count.
        l1: the strength of the L1 penalty.
        l2: the strength of the L2 penalty.

    Raises:
        ValueError: A strength is negative, or not finite; or, when the loss is called,
            the model has no weights.

    Source: book equation (6.3a).
    """
    _check_strength(l1=l1, l2=l2)

    def with_penalty(logits: Tensor, target: Tensor) -> Tensor:
        value = loss(logits, target)
        if l1 > 0:
            value = value + l1 * l1_penalty(model)
        if l2 > 0:
            value = value + l2 * l2_penalty(model)
        return value

    return with_penalty


@torch.no_grad()
def soft_threshold_(weight: Float[Tensor, "*shape"], threshold: float) -> None:
    """Move each weight towards zero by a threshold, in place (soft thresholding).

    A weight that is nearer to zero than that becomes zero. After each step of gradient
    descent, with the learning rate times the strength as the threshold, this minimises
    a loss with an L1 penalty (proximal gradient descent). The gradient of the penalty
    itself only makes weights swing about zero.

    Args:
        weight: changed in place.
        threshold: how far each is moved.

    Raises:
        TypeError: The weight is no floating-point tensor.
        ValueError: The threshold is negative, or not finite.

    Source: Daubechies, Defrise and De Mol 2004; book equation (6.3c).
    """
    check_floating(weight=weight)
    _check_strength(threshold=threshold)
    weight.copy_(weight.sign() * (weight.abs() - threshold).clamp(min=0))


class EarlyStopping:
    """Stop `fit` when validation no longer gets better; put the best weights back.

        with EarlyStopping(validate, "loss", patience=10) as stopping:
            fit(model, batches, loss, optimizer, epochs=1000, validate=stopping)

    The weights of the best epoch are put back too if all epochs were gone through. NaN
    is worse than any number; if no epoch had a number, nothing is put back. What was
    seen is not part of a checkpoint: a run that is resumed starts with a new memory.

    Attributes:
        history: what `validate` returned after each epoch.
        best: the epoch whose weights are kept, counted from 0.

    Source: Prechelt 1998, "Early stopping, but when?"
    """

    def __init__(self, validate: Validate, measure: str, patience: int):
        """Take what to watch, and how long to wait.

        Args:
            validate: as for `fit`: from a model to numbers by name.
            measure: the name of the number that is to become small.
            patience: how many epochs in a row may bring no better one.

        Raises:
            TypeError: The patience is not a whole number.
            ValueError: The patience is less than 1; or, when called, `validate` returns
                no such measure.
        """
        check_whole(1, patience=patience)
        self.validate, self.measure, self.patience = validate, measure, patience
        self.history: list[dict[str, float]] = []
        self.best, self.least = 0, math.inf
        self.model: nn.Module | None = None
        self.kept: dict[str, Any] = {}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Validate; keep the weights if they are the best, or stop if patience ends.

        Args:
            model: as `fit` hands it over.
        """
        values = self.validate(model)
        if self.measure not in values:
            raise ValueError(
                "measure must be one that validate returns, "
                f"{', '.join(values)}: got {self.measure}"
            )
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
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Restore the best weights; let any error but `Stopped` go on its way."""
        if self.model is not None and kind in (None, Stopped):
            self.model.load_state_dict(self.kept)
        return kind is Stopped


class Stopped(Exception):
    """Raised by `EarlyStopping` when its patience is at its end, and caught by it."""


def _total(penalties: Iterator[Tensor]) -> Tensor:
    """Return the sum of the penalties of all weights; refuse a model that has none."""
    values = list(penalties)
    if not values:
        raise ValueError(
            "model must have weights, parameters of two dimensions or more: got none"
        )
    return torch.stack(values).sum()


def _check_strength(**strengths: float) -> None:
    """Refuse what is not a finite number, zero or more, by the arguments' names."""
    for name, strength in strengths.items():
        if not 0 <= strength < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite: got {strength}")
