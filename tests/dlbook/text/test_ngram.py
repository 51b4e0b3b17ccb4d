"""N-grams: the recursions of Witten and Bell and of Kneser and Ney as printed; probabilities sum to one."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.data import corpora
from dlbook.text.ngram import NGrams
from dlbook.text.tokenize import Vocabulary
from tests.helpers.equations import executed
from tests.helpers.references import tensor

SEQUENCES = st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=4).filter(any)


def counted(sequences, longest):
    """Count how often each n-gram occurs."""
    grams = Counter()
    for sequence in sequences:
        for length in range(1, longest + 1):
            for start in range(len(sequence) - length + 1):
                grams[tuple(sequence[start : start + length])] += 1
    return grams


def witten_bell(w, h, grams, vocab_size):
    """p(w | h) = (c(h, w) + t(h) p(w | h')) / (c(h) + t(h)), below which all tokens are equally probable."""
    following = {u: grams[(*h, u)] for u in range(vocab_size)}
    c, t = sum(following.values()), sum(n > 0 for n in following.values())
    p = witten_bell(w, h[1:], grams, vocab_size) if h else 1 / vocab_size
    return (following[w] + t * p) / (c + t) if c else p


def continued(sequences, order):
    """Count n-grams of the full length, and of the shorter ones, the different tokens that came before."""
    grams = counted(sequences, order)
    before = Counter(gram[1:] for gram in grams if len(gram) > 1)
    return Counter({gram: n if len(gram) == order else before[gram] for gram, n in grams.items()})


def discount(grams, length):
    """Estimate the discount from how many n-grams of a length occur once, and how many twice."""
    counts = [n for gram, n in grams.items() if len(gram) == length]
    return (counts.count(1) + 0.5) / (counts.count(1) + 2 * counts.count(2) + 1)


def kneser_ney(w, h, grams, vocab_size):
    """p(w | h) = (max(c(h, w) - d, 0) + d t(h) p(w | h')) / c(h), below which all tokens are equally probable."""
    following = {u: grams[(*h, u)] for u in range(vocab_size)}
    c, t, d = sum(following.values()), sum(n > 0 for n in following.values()), discount(grams, len(h) + 1)
    p = kneser_ney(w, h[1:], grams, vocab_size) if h else 1 / vocab_size
    return (max(following[w] - d, 0) + d * t * p) / c if c else p


LONG = [[0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 1, 0, 1, 2, 0], [3, 1, 0, 2, 2, 0, 1], [2]]
HISTORIES = {1: [(2,), (0,)], 2: [(0, 1), (2, 2)]}  # by their lengths


def one_level(formula, model, grams, length, **names):
    """Compare the probabilities after histories of a length: the equation's, from the model's after h', the model's."""
    for h in HISTORIES[length]:
        after = {h[n:]: model.next_token_probabilities(h[n:]).tolist() for n in (0, 1)}
        names |= {
            "c": lambda h, w=None: grams[(*h, w)] if w is not None else sum(grams[(*h, u)] for u in range(5)),
            "t": lambda h: sum(grams[(*h, u)] > 0 for u in range(5)),
            "p": lambda w, h, after=after: after[h][w],
        }
        found = formula(names | {"h": h, "h'": h[1:]}, {"w": range(5)})
        assert_close(tensor(found["p"]), tensor(after[h]))


@executed("3.4.2d", of="dlbook.text.ngram.NGrams")
def test_witten_bell_as_printed(formula):
    model = NGrams(LONG, 5, order=3)
    for length in HISTORIES:
        one_level(formula, model, counted(LONG, 3), length)


@executed("3.4.2f", of="dlbook.text.ngram.NGrams")
def test_kneser_ney_as_printed(formula):
    model, grams = NGrams(LONG, 5, order=3, kneser_ney=True), continued(LONG, 3)
    for length in HISTORIES:
        one_level(formula, model, grams, length, d=discount(grams, length + 1))


@given(SEQUENCES, SEQUENCES, st.integers(1, 5), st.booleans())
def test_any_sequences_as_printed(sequences, held_out, order, after_kneser_ney):
    model = NGrams(sequences, 4, order, after_kneser_ney)
    order = min(order, max(map(len, sequences)))  # no n-gram is longer
    grams = (continued if after_kneser_ney else counted)(sequences, order)
    smoothed = kneser_ney if after_kneser_ney else witten_bell
    expected = [
        smoothed(w, tuple(sequence[max(0, n - order + 1) : n]), grams, 4)
        for sequence in held_out
        for n, w in enumerate(sequence)
    ]
    assert_close(model.probabilities(held_out), tensor(expected))
    assert model.bits_per_token(held_out) == pytest.approx(-sum(map(math.log2, expected)) / len(expected))


@given(SEQUENCES, st.lists(st.integers(0, 3), max_size=6), st.integers(1, 5), st.booleans())
def test_probabilities_sum_to_one(sequences, history, order, kneser_ney):
    model = NGrams(sequences, 4, order, kneser_ney)
    p = model.next_token_probabilities(history)
    assert p.shape == (4,) and (p > 0).all()
    assert p.sum().item() == pytest.approx(1)
    for token in range(4):
        assert model.probabilities([[*history, token]])[-1].item() == pytest.approx(p[token].item())


@given(SEQUENCES, st.integers(1, 4))
def test_only_the_last_tokens_count(sequences, order):
    model = NGrams(sequences, 4, order)
    tail = [1, 2, 0, 3][: order - 1]
    assert_close(model.next_token_probabilities([3, 3, 2, *tail]), model.next_token_probabilities([0, 1, *tail]))
    assert model.order == order and len(model.levels) == min(order, max(map(len, sequences)))


@given(SEQUENCES.filter(lambda sequences: len(sequences) > 1), st.integers(1, 4), st.booleans())
def test_no_ngram_reaches_over_a_border(sequences, order, kneser_ney):
    model, other = NGrams(sequences, 4, order, kneser_ney), NGrams(sequences[::-1], 4, order, kneser_ney)
    assert_close(model.probabilities(sequences[:1] + [[0, 1]]), other.probabilities(sequences[:1] + [[0, 1]]))


def test_order_one_is_the_frequencies_and_a_little_for_all():
    model = NGrams([[0, 0, 0, 1]], 4, order=1)
    assert_close(model.next_token_probabilities([1, 0]), tensor([3 + 2 / 4, 1 + 2 / 4, 2 / 4, 2 / 4]) / 6)


def test_what_was_learnt_by_heart_is_certain_in_the_end():
    bits = [NGrams([[0, 1, 2, 3] * 50], 4, order).bits_per_token([[0, 1, 2, 3] * 50]) for order in (1, 2, 3)]
    assert bits[0] == pytest.approx(2, abs=0.01)
    assert bits[1] < 0.1 and bits[2] < bits[1]


def test_tensors_and_lists():
    lists = [[0, 1, 1], [2]]
    tensors = [torch.tensor(sequence) for sequence in lists]
    assert NGrams(tensors, 3, 2).probabilities(lists).equal(NGrams(lists, 3, 2).probabilities(iter(tensors)))


# --- sampling ---------------------------------------------------------------------------------------------------------


def test_samples_follow_the_probabilities():
    model, generator = NGrams([[0, 1, 0, 2, 0, 1, 0, 0]], 3, order=2), torch.Generator().manual_seed(0)
    drawn = model.sample(1_500, generator, prefix=[0])
    assert len(drawn) == 1_501
    after_zero = torch.tensor([b for a, b in zip(drawn, drawn[1:], strict=False) if a == 0])
    shares = after_zero.bincount(minlength=3).double() / len(after_zero)
    assert_close(shares, model.next_token_probabilities([0]), atol=0.07, rtol=0)  # four standard errors


def test_samples_end():
    model = NGrams([[0, 1, 2]] * 9, 3, order=2)
    draws = [model.sample(50, torch.Generator().manual_seed(seed), prefix=[0], stop=2) for seed in range(20)]
    assert all(drawn[0] == 0 and drawn.count(2) == 1 and drawn[-1] == 2 for drawn in draws)
    assert model.sample(9, torch.Generator().manual_seed(1)) == model.sample(9, torch.Generator().manual_seed(1))
    assert model.sample(0, torch.Generator(), prefix=[1]) == [1]


# --- Shakespeare ------------------------------------------------------------------------------------------------------


def test_a_held_out_play_takes_fewer_bits_with_longer_histories():
    parts = corpora.shakespeare()
    plays, held_out = [parts.train[title] for title in ("Hamlet", "Othello", "King Lear")], parts.test["Macbeth"]
    vocabulary = Vocabulary.build(plays)
    texts = [vocabulary.encode(play) for play in plays]
    held_out = [vocabulary.encode(held_out)]
    bits = [NGrams(texts, len(vocabulary), order).bits_per_token(held_out) for order in (1, 2, 3, 4)]
    assert 4.5 < bits[0] < 5 and bits == sorted(bits, reverse=True) and bits[3] < 3.2
    assert NGrams(texts, len(vocabulary), 4, kneser_ney=True).bits_per_token(held_out) < bits[3] - 0.02


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: NGrams([[0]], 0, 1), "vocab_size must be at least 1: got 0"),
        (lambda: NGrams([[0]], 1, 0), "order must be at least 1: got 0"),
        (lambda: NGrams([], 1, 1), "sequences must hold at least one token: got none"),
        (lambda: NGrams([[], []], 1, 1), "sequences must hold at least one token: got none"),
        (lambda: NGrams([[0, 2], [3]], 3, 1), "sequences must hold tokens between 0 and 2: got 0 to 3"),
        (
            lambda: NGrams([[0]], 3, 1).probabilities([[1, -1]]),
            "sequences must hold tokens between 0 and 2: got -1 to 1",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
