"""Decoding: on Markov chains whose best sequence is known by enumeration, and on histories that a state carries."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.text.decode import apply_temperature, beam_search, generate, greedy, length_penalty, sample, top_k, top_p
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor

few = settings(max_examples=15)


def chain(logits):
    """Make a model of a table: the logits of what follows each token."""
    return lambda state, token: (logits[token], state)


def remembering(tokens, seed=0):
    """Make a model whose logits depend on all that was read, which its state (a list, and a tuple in it) holds."""
    weights = torch.randn(30, tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def step(state, token):
        (history, (count,), nothing), row = state, torch.arange(len(token))
        history = 0.5 * history + torch.sin(3.0 * token + 1 + count)
        features = torch.sin(torch.arange(1, 31) * history[row, None])
        return features @ weights, [history, (count + 1,), nothing]

    return step, lambda batch: [torch.arange(batch).double(), (torch.zeros(batch, dtype=torch.float64),), None]


def log_probability(step, state, token, sequence):
    """Add up log p of each token of a sequence, one row at a time."""
    total = 0.0
    for following in sequence:
        logits, state = step(state, torch.tensor([token]))
        total += logits.log_softmax(-1)[0, following].item()
        token = following
    return total


def all_sequences(tokens, max_length, stop):
    """List what can be made: sequences that end in `stop`, and those of full length without it."""
    others = [token for token in range(tokens) if token != stop]
    for length in range(max_length):
        yield from ((*beginning, stop) for beginning in itertools.product(others, repeat=length))
    yield from itertools.product(others, repeat=max_length)


# --- choosing one token -----------------------------------------------------------------------------------------------


@few
@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 9))
def test_top_k_keeps_the_k_best(batch, tokens, k):
    logits = random(batch, tokens)
    kept = top_k(logits, k)
    assert ((kept == logits) | (kept == -math.inf)).all()
    assert (kept > -math.inf).sum(1).tolist() == [min(k, tokens)] * batch
    lowest = torch.where(kept > -math.inf, logits, math.inf).amin(1)
    assert (logits > lowest[:, None]).sum(1).max() < k
    assert (top_k(torch.zeros(batch, tokens), k) == 0).sum(1).tolist() == [min(k, tokens)] * batch  # all alike


@executed("3.4.2e", of="dlbook.text.decode.top_p")
def test_nucleus_as_printed(formula):
    halved = tensor([0.125, 0.5, 0.0625, 0.25, 0.0625]).log()  # sums that are exactly P
    for logits, P in [(halved, 0.75), (halved, 0.5), (2 * random(5), 0.9), (2 * random(5), 0.3), (random(5), 0.6)]:
        names = {"p": logits.softmax(0), "i_": logits.argsort(descending=True) + 1, "P": P}
        found = formula(names, {"i": 5, "n": 5})
        nucleus = top_p(logits, P)
        assert_close(tensor(found["p'"]), nucleus.softmax(0))
        kept = (nucleus > -math.inf).nonzero()[:, 0] + 1
        assert set(found["N"]) == set(kept.tolist()) and found["m"] == len(kept)


@few
@given(st.floats(0.01, 1), st.integers(1, 3), st.integers(1, 7))
def test_the_nucleus_is_enough_and_no_token_too_many(p, batch, tokens):
    logits = random(batch, tokens)
    kept, probability = top_p(logits, p) > -math.inf, logits.softmax(-1)
    mass = torch.where(kept, probability, 0).sum(1)
    worst = torch.where(kept, probability, 2).amin(1)
    assert (mass >= p - 1e-12).all() and (mass - worst < p + 1e-12).all()


@executed("3.4.2c", of="dlbook.text.decode.apply_temperature")
def test_temperature_as_printed(formula):
    logits = random(4)
    for temperature in (0.3, 2.5):
        found = formula({"s": logits, "tau": temperature}, {"i": 4, "j": 4})
        assert_close(apply_temperature(logits, temperature).softmax(0), tensor(found["p"]))


def test_frequencies_are_probabilities():
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    for options, expected in [
        ({}, logits),
        ({"temperature": 0.5}, 2 * logits),
        ({"k": 2}, torch.tensor([1.0, -math.inf, -math.inf, 2.0])),
        ({"k": 3, "p": 0.6}, torch.tensor([-math.inf, -math.inf, -math.inf, 2.0])),
        ({"temperature": 4.0, "p": 0.6}, torch.tensor([0.25, -math.inf, -math.inf, 0.5])),
    ]:
        drawn = sample(logits.expand(20_000, -1), **options, generator=generator)
        assert_close(drawn.bincount(minlength=4) / 20_000, expected.softmax(-1), rtol=0, atol=0.02)


# --- whole sequences --------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 20), st.integers(1, 3), st.integers(1, 6), st.booleans())
def test_greedy_takes_the_best_each_time(seed, batch, max_length, stops):
    step, begin = remembering(4, seed)
    token = torch.arange(batch) % 4
    made = generate(step, begin(batch), token, max_length, stop=3 if stops else None)
    for row in range(batch):
        state, last, expected = [part[row : row + 1] for part in (begin(batch)[0],)], token[row : row + 1], []
        state = [state[0], (torch.zeros(1, dtype=torch.float64),), None]
        for _ in range(made.shape[1]):
            logits, state = step(state, last)
            last = logits.argmax(1) if not (stops and 3 in expected) else torch.tensor([3])
            expected.append(last.item())
        assert made[row].tolist() == expected
    assert made.shape[1] == max_length or (made == 3).any(1).all()


def test_all_ended():
    made = generate(chain(torch.tensor([[0.0, 9, 0], [0, 0, 9], [9, 0, 0]])), None, torch.tensor([0, 1]), 9, stop=2)
    assert made.tolist() == [[1, 2], [2, 2]]


def test_a_seed_decides():
    step, begin = remembering(4)

    def text(seed):
        choose = partial(sample, temperature=2.0, generator=torch.Generator().manual_seed(seed))
        return generate(step, begin(3), torch.tensor([0, 1, 2]), 20, choose).tolist()

    assert text(0) == text(0) != text(1)


@few
@given(st.integers(0, 30), st.integers(1, 3), st.floats(0, 2))
def test_a_full_beam_finds_the_best(seed, max_length, alpha):
    step, begin = remembering(3, seed)
    token = torch.tensor([0, 1])
    found, scores = beam_search(step, begin(2), token, max_length, stop=2, beams=2**max_length, alpha=alpha)
    for row in range(2):
        state = [torch.tensor([float(row)]).double(), (torch.zeros(1, dtype=torch.float64),), None]
        ranked = {
            sequence: log_probability(step, state, row, sequence) / length_penalty(len(sequence), alpha)
            for sequence in all_sequences(3, max_length, stop=2)
        }
        best = max(ranked, key=ranked.get)
        assert found[row].tolist() == [*best, *[2] * (max_length - len(best))]
        assert scores[row].item() == pytest.approx(ranked[best])


def test_greedy_does_not_always():
    probability = tensor([[0.0, 0.6, 0.4, 0], [0, 0.4, 0.2, 0.4], [0, 0.05, 0.05, 0.9], [0.0, 0, 0, 1]])
    step, token = chain(probability.log()), torch.tensor([0])
    assert generate(step, None, token, 2, stop=3).tolist() == [[1, 1]]  # 0.6 · 0.4, and it has not ended
    found, score = beam_search(step, None, token, 2, stop=3, beams=2, alpha=0.0)
    assert found.tolist() == [[2, 3]] and score.exp().item() == pytest.approx(0.4 * 0.9)
    found, score = beam_search(step, None, token, 2, stop=3, beams=1, alpha=0.0)
    assert found.tolist() == [[1, 3]] and score.exp().item() == pytest.approx(0.6 * 0.4)


@few
@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 5), st.floats(0, 2))
def test_a_beams_score_is_that_of_its_sequence(seed, max_length, beams, alpha):
    step, begin = remembering(4, seed)
    found, scores = beam_search(step, begin(3), torch.tensor([0, 1, 2]), max_length, stop=3, beams=beams, alpha=alpha)
    for row, sequence in enumerate(found.tolist()):
        length = sequence.index(3) + 1 if 3 in sequence else max_length
        assert set(sequence[length:]) <= {3}
        state = [torch.tensor([float(row)]).double(), (torch.zeros(1, dtype=torch.float64),), None]
        expected = log_probability(step, state, row, sequence[:length]) / length_penalty(length, alpha)
        assert scores[row].item() == pytest.approx(expected)
        state = [state[0].clone(), state[1], None]  # and alone it is found as in the batch
        alone, _ = beam_search(step, state, torch.tensor([row]), max_length, stop=3, beams=beams, alpha=alpha)
        assert alone[0].tolist() == sequence


def test_it_stops_when_what_goes_on_can_only_lose():
    calls = []

    def step(state, token):
        calls.append(len(token))
        return tensor([[0.01, 0.99]]).log().expand(len(token), -1), state

    found, score = beam_search(step, None, torch.tensor([0, 0]), 100, stop=1, beams=2, alpha=0.6)
    assert found[:, 0].tolist() == [1, 1] and calls == [4]
    assert_close(score, tensor([math.log(0.99)] * 2))


def test_more_length_penalty_makes_longer_sequences():
    step, lengths = chain(tensor([[0.5, 0.5], [0.5, 0.5]]).log()), []
    for alpha in (0.0, 1.0, 4.0):
        found, _ = beam_search(step, None, torch.tensor([0]), 10, stop=1, beams=2, alpha=alpha)
        lengths.append(int((found == 0).sum()))
    assert lengths == sorted(lengths) and lengths[0] == 0 and lengths[-1] == 9


@executed("3.4.6d", of="dlbook.text.decode.beam_search")
def test_score_as_printed(formula):
    step, _ = remembering(4, seed=1)

    def begin(x):
        return [tensor([x]), (tensor([0.0]),), None]

    def p(following, before, x):
        state, token = begin(x), 0
        for read in before:
            _, state = step(state, torch.tensor([token]))
            token = int(read)
        return math.exp(log_probability(step, state, token, [following]))

    for alpha in (0.6, 1.5):
        (found,), (score,) = beam_search(step, begin(2.0), torch.tensor([0]), 5, stop=3, alpha=alpha)
        length = (*found.tolist(), 3).index(3) + 1
        printed = formula({"p": p, "y": found[:length], "T": length, "x": 2.0, "alpha": alpha})
        assert_close(score, tensor(printed["score"]))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: apply_temperature(s, 0.0), "temperature must be greater than 0, and finite: got 0.0"),
        (lambda s: sample(s, temperature=-1.0), "temperature must be .*: got -1.0"),
        (lambda s: sample(s, temperature=math.inf), "temperature must be .*: got inf"),
        (lambda s: sample(s, temperature=math.nan), "temperature must be .*: got nan"),
        (lambda s: sample(s, k=0), "k must be at least 1: got 0"),
        (lambda s: sample(s, p=0.0), "p must be greater than 0 and at most 1: got 0.0"),
        (lambda s: top_p(s, 1.1), "p must be .*: got 1.1"),
        (lambda s: top_p(s, math.nan), "p must be .*: got nan"),
        (lambda s: generate(chain(s), None, torch.tensor([0]), 0), "max_length must be at least 1: got 0"),
        (lambda s: beam_search(chain(s), None, torch.tensor([0]), 0, stop=1), "max_length must be at least 1: got 0"),
        (lambda s: beam_search(chain(s), None, torch.tensor([0]), 1, 1, beams=0), "beams must be at least 1: got 0"),
        (lambda s: beam_search(chain(s), None, torch.tensor([0]), 1, 1, alpha=-1.0), "alpha must be at least 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 2))


def test_greedy_breaks_ties_by_the_first():
    assert greedy(torch.tensor([[0.0, 1, 1], [2, 0, 2]])).tolist() == [1, 0]
