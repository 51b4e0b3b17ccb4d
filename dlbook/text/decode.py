"""Decoding from a model of the next token: greedy, by sampling, and by beam search.

A model enters as a function `step(state, token) -> (logits, state)`: given the last
token of each sequence of a batch, it returns the logits of the next, (batch, vocab).
The state stands for all that was read before, a translator's source included. In beam
search it is None, a tensor whose first axis is the batch, or a tuple, named tuple,
list, dict or dataclass of states.
"""

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dlbook._check import (
    check_floating,
    check_integer,
    check_last_axes,
    check_shape,
    check_whole,
)

Step = Callable[[Any, Tensor], tuple[Tensor, Any]]
Choose = Callable[[Tensor], Tensor]


def apply_temperature(
    logits: Float[Tensor, "*batch vocab"], temperature: float
) -> Float[Tensor, "*batch vocab"]:
    """Divide logits by a temperature: below 1 softmax is sharper, above it flatter.

    Args:
        logits: of the next token.
        temperature: T in the equation.

    Raises:
        TypeError: logits are not floating point.
        ValueError: temperature is not positive and finite.

    Source: book equation (3.4.2c).
    """
    _check_last_axis(logits)
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature must be greater than 0, and finite: got {temperature}"
        )
    return logits / temperature


def top_k(
    logits: Float[Tensor, "*batch vocab"], k: int
) -> Float[Tensor, "*batch vocab"]:
    """Set all logits but the k largest to minus infinity (top-k filtering).

    Args:
        logits: of the next token.
        k: how many to keep, all if there are fewer.

    Raises:
        TypeError: logits are not floating point, or k is no integer.
        ValueError: k is less than 1.

    Source: Fan, Lewis and Dauphin 2018.
    """
    _check_last_axis(logits)
    check_whole(1, k=k)
    best = logits.topk(min(int(k), logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values)


def top_p(
    logits: Float[Tensor, "*batch vocab"], p: float
) -> Float[Tensor, "*batch vocab"]:
    """Set all logits outside the nucleus to minus infinity (nucleus, top-p filtering).

    The nucleus is the fewest most probable tokens whose probabilities sum to p or more.

    Args:
        logits: of the next token.
        p: the probability of the nucleus.

    Raises:
        TypeError: logits are not floating point.
        ValueError: p is not greater than 0 and at most 1.

    Source: Holtzman et al. 2020, equation (2); book equation (3.4.2e).
    """
    _check_last_axis(logits)
    if not 0 < p <= 1:
        raise ValueError(f"p must be greater than 0 and at most 1: got {p}")
    ranked, order = logits.sort(dim=-1, descending=True)
    probability = _widen(ranked).softmax(-1)
    before = probability.cumsum(-1) - probability  # of the more probable tokens
    ranked = ranked.masked_fill(before >= p, -math.inf)
    return torch.full_like(logits, -math.inf).scatter(-1, order, ranked)


def greedy(logits: Float[Tensor, "batch vocab"]) -> Int[Tensor, " batch"]:
    """Return the most probable token of each row.

    Args:
        logits: of the next token.

    Raises:
        TypeError: logits are not floating point.
        ValueError: logits are NaN, or all minus infinity, or not (batch, vocab).
    """
    _check_logits("logits", logits)
    return logits.argmax(-1)


def sample(
    logits: Float[Tensor, "batch vocab"],
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """Draw a token for each row from the softmax of its logits.

    Args:
        logits: of the next token.
        temperature: by which logits are divided first.
        k: how many of the largest may be drawn, all if not given.
        p: the probability of the nucleus of what is left, all if not given.
        generator: decides what is drawn; its same state gives the same tokens.

    Raises:
        TypeError: logits are not floating point, or k is no integer.
        ValueError: One of the arguments is out of range, or logits are NaN, or all
            minus infinity, or not (batch, vocab).
    """
    _check_last_axis(logits)
    logits = apply_temperature(_widen(logits), temperature)
    _check_logits("logits / temperature", logits)
    if k is not None:
        logits = top_k(logits, k)
    if p is not None:
        logits = top_p(logits, p)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@torch.no_grad()
def generate(
    step: Step,
    state: Any,
    token: Int[Tensor, " batch"],
    max_length: int,
    choose: Choose = greedy,
    stop: int | None = None,
) -> Int[Tensor, "batch length"]:
    """Generate a continuation of each sequence of a batch, token by token.

    Args:
        step: the model; its state may be anything here.
        state: what the model knows before it reads `token`.
        token: the last token of each prompt, or the one that means the beginning.
        max_length: how many tokens to generate at most.
        choose: picks the next token by its logits: `greedy`, or
            `functools.partial(sample, temperature=0.8)`.
        stop: the token that ends a sequence and fills what comes after it; no step is
            made when all have ended.

    Returns:
        The new tokens.

    Raises:
        TypeError: token or max_length holds no integers.
        ValueError: max_length is less than 1, or token, or what `step` or `choose`
            returns, has another shape.
    """
    check_whole(1, max_length=max_length)
    token, tokens = _as_tokens("token", token, "batch"), []
    over = torch.zeros_like(token, dtype=torch.bool)
    for _ in range(max_length):
        logits, state = step(state, token)
        check_shape("the logits of step", logits, len(token), "vocab")
        token = _as_tokens("the tokens of choose", choose(logits), len(token))
        if stop is not None:
            token = torch.where(over, stop, token)
            over = over | (token == stop)
        tokens.append(token)
        if stop is not None and over.all():
            break
    return torch.stack(tokens, 1)


def length_penalty(length: int, alpha: float) -> float:
    """Return what the log-probability of a sequence of this length is divided by.

    Every token makes a sequence less probable, so that without it (alpha = 0) short
    ones win.

    Args:
        length: tokens of the sequence, its stop included.
        alpha: the power of the penalty.

    Source: Wu et al. 2016, equation (14); book equation (3.4.6d).
    """
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def beam_search(
    step: Step,
    state: Any,
    token: Int[Tensor, " batch"],
    max_length: int,
    stop: int,
    beams: int = 4,
    alpha: float = 0.6,
) -> tuple[Int[Tensor, "batch length"], Float[Tensor, " batch"]]:
    """Search for the most probable sequence of each row with several beams.

    Args:
        step: the model.
        state: what the model knows before it reads `token`: None, a tensor whose first
            axis is the batch, or a tuple, named tuple, list, dict or dataclass of
            states.
        token: the last token of each prompt, or the one that means the beginning.
        max_length: how many tokens a sequence has at most.
        stop: the token that ends a sequence and fills what comes after it.
        beams: how many prefixes to follow; 1 follows what is most probable each time.
        alpha: the power of the length penalty.

    Returns:
        Of all sequences that a beam met, the one with the greatest score, and its
        score: log-probability over `length_penalty`. Those that have not ended after
        `max_length` tokens count as they stand.

    Raises:
        TypeError: A state holds something else, or an integer is none.
        ValueError: A number is out of range, or token, logits or state has another
            shape, or logits are NaN, or all minus infinity.

    Source: Graves 2012; Wu et al. 2016, section 7.
    """
    _check_search(max_length, stop, beams, alpha)
    token = _as_tokens("token", token, "batch")
    batch, row = len(token), torch.arange(len(token), device=token.device)
    state = _select_rows(state, row.repeat_interleave(beams), batch)
    token = token.repeat_interleave(beams)
    tokens = token.new_full((batch, beams, max_length), stop)
    total = torch.zeros(batch, beams, dtype=torch.float32, device=token.device)
    total[:, 1:] = -math.inf  # all beams begin alike: one counts
    best, best_score = tokens[:, 0], total[:, 0] - math.inf
    for length in range(1, max_length + 1):
        logits, state = step(state, token)
        _check_beams(logits, batch * beams, stop)
        log_p = _widen(logits).log_softmax(-1).view(batch, beams, logits.shape[1])
        candidates = total[:, :, None] + log_p  # (batch, beams, vocab)
        ended = candidates[:, :, stop] / length_penalty(length, alpha)
        best, best_score = _better(best, best_score, tokens, ended)
        candidates[:, :, stop] = -math.inf
        total, chosen = candidates.flatten(1).topk(beams)  # (batch, beams)
        origin, token = chosen // logits.shape[1], chosen % logits.shape[1]
        tokens = tokens.gather(1, origin[:, :, None].expand_as(tokens))
        tokens[:, :, length - 1] = token
        bound = total[:, 0] / length_penalty(max_length, alpha)
        if (best_score >= bound).all():  # what goes on can only lose
            break
        rows, token = (beams * row[:, None] + origin).flatten(), token.flatten()
        state = _select_rows(state, rows, batch * beams)
    return _better(best, best_score, tokens, total / length_penalty(max_length, alpha))


def _better(
    best: Int[Tensor, "batch length"],
    best_score: Float[Tensor, " batch"],
    tokens: Int[Tensor, "batch beams length"],
    totals: Float[Tensor, "batch beams"],
) -> tuple[Int[Tensor, "batch length"], Float[Tensor, " batch"]]:
    """Return the best of the beams where it is better than the best so far."""
    score, beam = totals.max(1)
    found = tokens[torch.arange(len(tokens), device=tokens.device), beam]
    better = (score > best_score)[:, None]
    return torch.where(better, found, best), torch.maximum(score, best_score)


def _select_rows(state: Any, rows: Int[Tensor, " rows"], batch_size: int) -> Any:
    """Return a state with these rows of the batch, in every tensor of it."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        check_shape("state", state, batch_size, *state.shape[1:])
        return state.index_select(0, rows)
    if isinstance(state, tuple | list):
        parts = [_select_rows(part, rows, batch_size) for part in state]
        return state._make(parts) if hasattr(state, "_make") else type(state)(parts)
    if isinstance(state, dict):
        selected = copy.copy(state)
        for key, part in state.items():
            selected[key] = _select_rows(part, rows, batch_size)
        return selected
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        chosen: Any = copy.copy(state)
        for field in dataclasses.fields(state):
            part = _select_rows(getattr(state, field.name), rows, batch_size)
            object.__setattr__(chosen, field.name, part)  # also where it is frozen
        return chosen
    raise TypeError(
        "state must be None, a tensor whose first axis is the batch, or a tuple, list, "
        f"dict or dataclass of these: got {type(state).__name__}"
    )


def _widen(logits: Tensor) -> Tensor:
    """Return logits in float32 at least: sums of many probabilities need it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _as_tokens(name: str, tokens: Tensor, rows: int | str) -> Tensor:
    """Refuse what is not one token for each row; return them in int64."""
    check_shape(name, tokens, rows)
    check_integer(**{name: tokens})
    return tokens.long()


def _check_search(max_length: int, stop: int, beams: int, alpha: float) -> None:
    """Refuse numbers that are out of range for a beam search."""
    check_whole(1, max_length=max_length, beams=beams)
    check_whole(0, stop=stop)
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be at least 0, and finite: got {alpha}")


def _check_beams(logits: Tensor, rows: int, stop: int) -> None:
    """Refuse logits for other rows than the beams, or without the stop token."""
    _check_logits("the logits of step", logits)
    check_shape("the logits of step", logits, rows, "vocab")
    if not stop < logits.shape[1]:
        raise ValueError(f"stop must be less than {logits.shape[1]}: got {stop}")


def _check_last_axis(logits: Tensor) -> None:
    """Refuse logits that are not floating point, or have no axis of tokens."""
    check_floating(logits=logits)
    check_last_axes("logits", logits, "vocab")


def _check_logits(name: str, logits: Tensor) -> None:
    """Refuse logits from which no token follows; this looks at the values."""
    check_floating(**{name: logits})
    check_shape(name, logits, "batch", "vocab")
    if logits.shape[1] < 1:
        raise ValueError(f"{name} must have a token: got {tuple(logits.shape)}")
    maximum = logits.amax(-1)
    if not maximum.isfinite().all():
        row = int((~maximum.isfinite()).nonzero()[0])
        raise ValueError(
            f"{name} must have a finite maximum in each row, no NaN and not all minus "
            f"infinity: got {maximum[row].item()} in row {row}"
        )
