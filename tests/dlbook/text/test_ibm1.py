"""IBM model 1: equal to counting index by index, never less likely from step to step, right on a made-up language."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from dlbook.text.ibm1 import IBMModel1, em_step, link
from tests.helpers.equations import equation
from tests.helpers.references import tensor

sentences = st.lists(
    st.tuples(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(0, 3), max_size=4)), min_size=1, max_size=5
)


def counted(t, pairs, over="source", null=True, of="target"):
    """Share out each target word among the words of its source; divide the counts by their sum over target words.

    `t` is a dictionary by (e, f), where e is None for the NULL word.
    """
    counts = defaultdict(float)
    for source, target in pairs:
        source = [*source, None] if null else source
        for f in target:
            for e in source:
                whole = sum(t[other, f] for other in source) if over == "source" else sum(t[e, g] for g in target)
                counts[e, f] += t[e, f] / whole
    totals = defaultdict(float)
    for (e, f), count in counts.items():
        totals[e if of == "target" else f] += count
    return {(e, f): count / totals[e if of == "target" else f] for (e, f), count in counts.items()}


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


@equation(
    "3.4.6a",
    "dlbook.text.ibm1.em_step",
    counted,
    lambda t, pairs: counted(t, pairs, over="target"),  # shared among the target words
    lambda t, pairs: counted(t, pairs, of="source"),  # divided by the sum over source words
    lambda t, pairs: counted(t, pairs, null=False),  # without the NULL word
)
def test_reestimation_as_printed(formula):
    pairs = [([0, 1], [0, 1, 1]), ([1], [1]), ([0, 2, 2], [2, 0]), ([], [2])]
    links = link(*zip(*pairs, strict=True))
    torch.manual_seed(0)
    probability = torch.rand(len(links.source), dtype=torch.float64)
    expected = formula(as_table(links, probability), pairs)
    found = as_table(links, em_step(probability, links)[0])
    assert set(found) == set(expected)
    assert_close(
        tensor([found[key] for key in sorted(found, key=str)]), tensor([expected[k] for k in sorted(found, key=str)])
    )


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
