"""Making sequences from a model that scores the next token: greedy, by sampling, and by beam search.

A model enters as a function `step(state, token) -> (scores, state)`: given the last token of each sequence of a batch,
it scores all tokens as the next. The state is a tensor, None, or a tuple or list of states; the first axis of each
tensor in it is the batch. It stands for all that was read before, a translator's source included.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Step = Callable[[Any, Tensor], tuple[Tensor, Any]]
Choose = Callable[[Tensor], Tensor]


def apply_temperature(logits: Float[Tensor, "*batch tokens"], temperature: float) -> Float[Tensor, "*batch tokens"]:
    """Divide the scores: softmax then prefers the best tokens more, below 1, or less, above it.

    Source: book equation (3.4.2c).
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be greater than 0, and finite: got {temperature}")
    return logits / temperature


def top_k(logits: Float[Tensor, "*batch tokens"], k: int) -> Float[Tensor, "*batch tokens"]:
    """Rule out all tokens but the k best: their scores become minus infinity.

    Source: Fan, Lewis and Dauphin 2018.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1: got {k}")
    best = logits.topk(min(k, logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values)


def top_p(logits: Float[Tensor, "*batch tokens"], p: float) -> Float[Tensor, "*batch tokens"]:
    """Rule out all but the nucleus: the fewest best tokens whose probabilities add up to p or more.

    Source: Holtzman et al. 2020, equation (2); book equation (3.4.2e).
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be greater than 0 and at most 1: got {p}")
    ranked, order = logits.sort(dim=-1, descending=True)
    probability = ranked.softmax(-1)
    _better = probability.cumsum(-1) - probability  # what the tokens before it have together
    ranked = ranked.masked_fill(_better >= p, -math.inf)
    return torch.full_like(logits, -math.inf).scatter(-1, order, ranked)


def greedy(logits: Float[Tensor, "batch tokens"]) -> Int[Tensor, " batch"]:
    """Choose the best token of each row."""
    return logits.argmax(-1)


def sample(
    logits: Float[Tensor, "batch tokens"],
    temperature: float = 1.0,
    k: int | None = None,
    p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """Draw a token for each row, as likely as softmax of its scores says.

    Args:
        temperature: by which scores are divided first.
        k: how many of the best tokens may be drawn, all if not given.
        p: how much probability the nucleus of what is left must have.
        generator: decides what is drawn; the same state of it gives the same tokens.
    """
    logits = apply_temperature(logits, temperature)
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
    choose: Callable[[Tensor], Tensor] = greedy,
    stop: int | None = None,
) -> Int[Tensor, "batch length"]:
    """Continue each sequence of a batch, one token after another.

    Args:
        state: what the model knows before it reads `token`.
        token: the last token of each beginning, or the one that means the beginning.
        max_length: how many tokens to make at most.
        choose: picks the next token from its scores: `greedy`, or `functools.partial(sample, temperature=0.8)`.
        stop: the token that ends a sequence; it fills what comes after it, and no step is made when all have ended.

    Returns:
        The new tokens.
    """
    _check_max_length(max_length)
    tokens: list[Tensor] = []
    over = torch.zeros_like(token, dtype=torch.bool)
    while len(tokens) < max_length and not over.all():
        logits, state = step(state, token)
        token = choose(logits)  # (batch)
        if stop is not None:
            token = torch.where(over, stop, token)
            over = over | (token == stop)
        tokens.append(token)
    return torch.stack(tokens, 1)


def length_penalty(length: int, alpha: float) -> float:
    """Return what the log-probability of a sequence of this length, its stop included, is divided by.

    Every token makes a sequence less likely, so that without it (alpha = 0) short ones win.

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
) -> tuple[Int[Tensor, "batch steps"], Float[Tensor, " batch"]]:
    """Follow the most likely beginnings side by side, and return the best sequence of each row with its score.

    Of all sequences that a beam met, it is the one whose log-probability over `length_penalty` is greatest; those that
    have not ended after `max_length` tokens count as they stand.

    Args:
        max_length, stop: as in `generate`; `stop` fills what comes after it.
        beams: how many beginnings to follow; 1 follows what is most likely at each step.
        alpha: the power of the length penalty.

    Source: Graves 2012; Wu et al. 2016, section 7.
    """
    _check_max_length(max_length)
    if beams < 1 or not alpha >= 0:
        raise ValueError(f"beams must be at least 1, and alpha at least 0: got {beams=}, {alpha=}")
    batch, row = len(token), torch.arange(len(token), device=token.device)
    state, token = _select_rows(state, row.repeat_interleave(beams)), token.repeat_interleave(beams)
    tokens = token.new_full((batch, beams, max_length), stop)
    total = torch.full((batch, beams), -math.inf, device=token.device)
    total[:, 0] = 0  # all beams begin alike: one counts
    best, best_score = tokens[:, 0], total[:, 0] - math.inf
    for length in range(1, max_length + 1):
        logits, state = step(state, token)
        candidates = total[:, :, None] + logits.log_softmax(-1).view(batch, beams, -1)  # (batch, beams, tokens)
        best, best_score = _better(best, best_score, tokens, candidates[:, :, stop] / length_penalty(length, alpha))
        candidates[:, :, stop] = -math.inf
        total, chosen = candidates.flatten(1).topk(beams)  # (batch, beams)
        origin, token = chosen // candidates.shape[2], chosen % candidates.shape[2]
        tokens = tokens.gather(1, origin[:, :, None].expand_as(tokens))
        tokens[:, :, length - 1] = token
        if (best_score >= total[:, 0] / length_penalty(max_length, alpha)).all():  # what goes on can only lose
            break
        state, token = _select_rows(state, (beams * row[:, None] + origin).flatten()), token.flatten()
    return _better(best, best_score, tokens, total / length_penalty(max_length, alpha))


def _better(
    best: Int[Tensor, "batch steps"],
    best_score: Float[Tensor, " batch"],
    tokens: Int[Tensor, "batch beams steps"],
    scores: Float[Tensor, "batch beams"],
) -> tuple[Int[Tensor, "batch steps"], Float[Tensor, " batch"]]:
    """Return the best of the beams where it is better than the best so far."""
    score, beam = scores.max(1)
    found = tokens[torch.arange(len(tokens), device=tokens.device), beam]
    return torch.where((score > best_score)[:, None], found, best), torch.maximum(score, best_score)


def _select_rows(state: Any, rows: Int[Tensor, " rows"]) -> Any:
    """Pick rows of the batch from every tensor of a state."""
    if isinstance(state, Tensor):
        return state.index_select(0, rows)
    if isinstance(state, (tuple, list)):
        return type(state)(_select_rows(part, rows) for part in state)
    return state


def _check_max_length(max_length: int) -> None:
    """Refuse to make no token."""
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1: got {max_length}")
