"""IBM model 1: equal to counting index by index, never less likely from step to step, right on a made-up language."""

import math
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.text.ibm1 import IBMModel1, em_step, link
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor

sentences = st.lists(
    st.tuples(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(0, 3), max_size=4)), min_size=1, max_size=5
)


def counted(t, pairs):
    """Share out each target word among the words of its source; divide the counts by their sum over target words.

    `t` is a dictionary by (e, f), where e is None for the NULL word.
    """
    counts, totals = defaultdict(float), defaultdict(float)
    for source, target in pairs:
        source = [*source, None]
        for f in target:
            for e in source:
                counts[e, f] += t[e, f] / sum(t[other, f] for other in source)
    for (e, _), count in counts.items():
        totals[e] += count
    return {(e, f): count / totals[e] for (e, f), count in counts.items()}


def as_table(links, probability):
    words = [None if e == links.null else e for e in links.source.tolist()]
    return dict(zip(zip(words, links.target.tolist(), strict=True), probability.tolist(), strict=True))


def log_likelihood(t, pairs):
    return sum(
        math.log(sum(t[e, f] for e in [*source, None]) / (len(source) + 1)) for source, target in pairs for f in target
    )


@settings(max_examples=30)
@given(sentences.filter(lambda pairs: any(target for _, target in pairs)), st.integers(0, 5))
def test_equals_counting_index_by_index(pairs, seed):
    links = link(*zip(*pairs, strict=True))
    torch.manual_seed(seed)
    probability = torch.rand(len(links.source), dtype=torch.float64) + 0.01
    probability /= torch.bincount(links.source, probability)[links.source]
    t = as_table(links, probability)
    last = -math.inf
    for _ in range(3):
        probability, likelihood = em_step(probability, links)
        assert likelihood.item() == pytest.approx(log_likelihood(t, pairs))
        assert likelihood >= last - 1e-9
        last = likelihood
        t = counted(t, pairs)
        assert as_table(links, probability) == pytest.approx(t)
        sums = torch.bincount(links.source, probability)
        assert_close(sums[links.source.unique()], torch.ones(len(links.source.unique()), dtype=torch.float64))


@cache
def reestimated():
    """Return pairs of sentences, probabilities, expected counts and new probabilities: tables by target and source."""
    pairs = [([0, 1], [0, 1, 1]), ([1], [1]), ([0, 2, 2], [2, 0]), ([], [2])]
    links = link(*zip(*pairs, strict=True))
    probability = random(len(links.source)).exp()
    new, _ = em_step(probability, links)
    # The likelihood grows by the expected count with the logarithm of a probability.
    steps = 1e-5 * torch.eye(len(probability), dtype=torch.float64)
    up, down = ([em_step(probability * (sign * step).exp(), links)[1] for step in steps] for sign in (1, -1))
    counts = (torch.stack(up) - torch.stack(down)) / 2e-5
    where = links.target, (links.source + 1) % (links.null + 1)  # the NULL word first
    tables = [torch.zeros(3, links.null + 1).double().index_put(where, each) for each in (probability, counts, new)]
    return pairs, tables


@executed("3.4.6a", of="dlbook.text.ibm1.em_step")
def test_reestimation_as_printed(formula):
    pairs, (t, counts, new) = reestimated()
    each = [{"e_": [0, *(e + 1 for e in source)], "f_": target, "m": len(source)} for source, target in pairs]
    found = formula(
        {"t": lambda f, e: t[f, e]},
        {
            "f": range(3),
            "e": range(4),
            "f'": range(3),
            "pairs": each,
            "j": lambda find: len(find("f_")),
            "i": lambda find: range(len(find("e_"))),
        },
        starts={"e_": 0},
    )
    assert_close(tensor(found["t"]), new)
    assert_close(tensor(found["c"]), counts, rtol=1e-6, atol=1e-6)


def made_up_language(pairs=300):
    """Translate word e as f = 10 - e, turn the order around, and begin each sentence with 0, which means nothing."""
    generator = torch.Generator().manual_seed(0)
    sources = [
        (1 + torch.randperm(9, generator=generator)[: int(torch.randint(2, 6, (), generator=generator))]).tolist()
        for _ in range(pairs)
    ]
    return sources, [[0, *(10 - word for word in reversed(source))] for source in sources]


def test_learns_a_made_up_language():
    sources, targets = made_up_language()
    lexicon = IBMModel1(sources, targets, iterations=20)
    assert lexicon.translate([3, 1, 2, 9]) == [7, 9, 8, 1]
    assert lexicon.likelihoods == sorted(lexicon.likelihoods) and len(lexicon.likelihoods) == 20
    assert as_table(lexicon.links, lexicon.probability)[None, 0] > 0.9  # the NULL word explains it
    assert as_table(lexicon.links, lexicon.probability)[3, 7] > 0.9


def test_words_that_were_never_seen_are_left_out():
    lexicon = IBMModel1([[0, 1], [1]], [[5, 6], [6]])
    assert lexicon.translate([1, 2, 0, 99]) == [6, 5]  # 2 is how the NULL word is numbered, and is none
    assert lexicon.translate([]) == []


def test_the_first_of_equals_is_the_best():
    assert IBMModel1([[0]], [[3, 1, 2]]).translate([0]) == [1]
    assert IBMModel1([[0]], [[3, 1, 2]], iterations=1).likelihoods == [pytest.approx(3 * math.log(1 / 3))]


LINKS = link([[0]], [[1]])


def test_nan_stays_nan():
    probability, likelihood = em_step(torch.tensor([math.nan, 1.0]), LINKS)
    assert probability.isnan().all() and likelihood.isnan()


def test_words_of_any_kind(unchecked):
    expected = IBMModel1([[0, 1], [1]], [[5, 6], [6]]).probability
    sources, targets = [np.array([0, 1]), np.array([1])], [torch.tensor([5, 6]), torch.tensor([6])]
    assert_close(IBMModel1(sources, targets).probability, expected)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: IBMModel1([[0]], [[1]], iterations=0), "iterations must be at least 1: got 0"),
        (lambda: link([[0]], [[1], [2]]), "sources and targets must be equally many, .*: got 1, 2"),
        (lambda: link([[0], [1]], [[], []]), "with a word in some target: got 2, 2"),
        (lambda: IBMModel1([], []), "with a word in some target: got 0, 0"),
        (lambda: link([[0, -1]], [[1]]), "sources must be at least 0: got -1"),
        (lambda: link([[0]], [[-2]]), "targets must be at least 0: got -2"),
        (lambda: link([[0.5]], [[1]]), "sources must hold integers: got torch.float32"),
        (lambda: link([[0]], [[1.0]]), "targets must hold integers: got torch.float32"),
        (lambda: em_step(torch.ones(2, 1), LINKS), r"probability must have the shape \(2,\): got \(2, 1\)"),
        (lambda: em_step(torch.ones(3), LINKS), r"probability must have the shape \(2,\): got \(3,\)"),
        (
            lambda: em_step(torch.ones(2, dtype=torch.int64), LINKS),
            "probability must be floating point: got torch.int64",
        ),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
