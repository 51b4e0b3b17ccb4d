"""Skip-gram: gradients by hand equal to autograd, pairs equal to counting, and a made-up language that is learnt."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.embedding import (
    SkipGram,
    complete_analogies,
    draw_pairs,
    keep_probability,
    most_similar,
    negative_sampling_loss,
    noise_distribution,
    rank_correlation,
    sgd_step_,
    softmax_gradient,
    softmax_loss,
    train_skip_gram,
)
from tests.helpers.equations import executed
from tests.helpers.models import fill
from tests.helpers.references import random, reference, tensor

few = settings(max_examples=20)


def make(vocab_size=5, dim=3):
    """Make a model in float64, with no vector zero."""
    return fill(SkipGram(vocab_size, dim))


def draw(words, batch, seed=1):
    return torch.randint(words, (batch,), generator=torch.Generator().manual_seed(seed))


# --- full softmax -----------------------------------------------------------------------------------------------------


COUNTED_FROM_ZERO = {"u": 0, "v": 0, "v_": 0, "p": 0}  # words are numbered from 0


@executed("3.4.1a", of="dlbook.embedding.SkipGram")
def test_probability_as_printed(formula):
    model = make()
    vectors = {"u": model.context, "v_": model.centre}  # w itself is a word
    p = formula(vectors, {"w": range(5), "c": range(5), "j": range(5)}, starts=COUNTED_FROM_ZERO)
    assert_close(model(torch.arange(5)).softmax(1).T, tensor(p["p"]))


def probability(model):
    """Return the model's p(c | w), as a function."""
    p = model(torch.arange(5)).softmax(1).tolist()
    return lambda c, w: p[w][c]


@executed("3.4.1b", of="dlbook.embedding.softmax_loss")
def test_loss_as_printed(formula):
    model, w, c = make(), draw(5, 8), draw(5, 8, seed=2)
    loss = softmax_loss(model, w, c)
    assert_close(loss, tensor(formula({"p": probability(model), "w": w, "c": c, "N": 8})["L"]))
    assert_close(loss, nn.functional.cross_entropy(model.centre[w] @ model.context.T, c))


@executed("3.4.1c", of="dlbook.embedding.softmax_gradient")
def test_gradient_as_printed(formula):
    model, w, c = make(), draw(5, 8), draw(5, 8, seed=2)
    names = {"p": probability(model), "u": model.context, "v": model.centre, "w_": w, "c": c, "N": 8}
    found = formula(names, {"w": range(5), "j": range(5), "n": 8}, starts=COUNTED_FROM_ZERO)
    assert_close(softmax_gradient(model, w, c), (tensor(found["dL/dv"]), tensor(found["dL/du"])))


@reference("dlbook.embedding.softmax_loss", "dlbook.embedding.softmax_gradient", to="torch.autograd.grad")
@few
@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 10))
def test_the_gradient_by_hand_equals_autograd(words, dim, batch):
    model, w, c = make(words, dim), draw(words, batch), draw(words, batch, seed=2)
    expected = torch.autograd.grad(softmax_loss(model, w, c), [model.centre, model.context])
    assert_close(softmax_gradient(model, w, c), expected)


# --- negative sampling ------------------------------------------------------------------------------------------------


@executed("3.4.1d", of="dlbook.embedding.negative_sampling_loss")
def test_negative_sampling_as_printed(formula):
    model, w, c, negatives = make(), draw(5, 8), draw(5, 8, seed=2), draw(5, 7, seed=3)
    vectors = {"u": model.context, "v": model.centre}
    expected = formula(vectors | {"w": w, "c": c, "r": negatives, "k": 4, "S": 7, "N": 8}, starts=COUNTED_FROM_ZERO)
    assert_close(negative_sampling_loss(model, w, c, negatives, k=4), tensor(expected["L"]))


@reference("dlbook.embedding.negative_sampling_loss", "dlbook.embedding.sgd_step_", to="torch.autograd.grad")
@few
@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 10), st.integers(1, 6), st.integers(1, 6))
def test_a_step_goes_down_the_gradient(words, dim, batch, shared, k):
    model, w, c, negatives = make(words, dim), draw(words, batch), draw(words, batch, 2), draw(words, shared, 3)
    loss = batch * negative_sampling_loss(model, w, c, negatives, k)
    gradients = torch.autograd.grad(loss, [model.centre, model.context])
    expected = [p.detach() - 0.1 * g for p, g in zip(model.parameters(), gradients, strict=True)]
    sgd_step_(model, w, c, negatives, 0.1, k)
    assert_close([p.detach() for p in model.parameters()], expected)


def test_shared_negatives_leave_the_expected_loss_as_it_is():
    model, w, c = make(vocab_size=4), draw(4, 6), draw(4, 6, seed=2)
    noise = tensor([0.1, 0.2, 0.3, 0.4])
    v, u = model.centre[w], model.context[c]
    false = nn.functional.logsigmoid(-v @ model.context.T) @ noise  # the mean over the noise
    published = -(nn.functional.logsigmoid((v * u).sum(1)) + 5 * false).mean()
    each = torch.stack([negative_sampling_loss(model, w, c, torch.tensor([n]), k=5) for n in range(4)])
    assert_close(each @ noise, published)  # one word alone is k times itself; N of them are the mean of such losses
    together = negative_sampling_loss(model, w, c, torch.tensor([0, 1, 1, 3]), k=5)
    assert_close(together, each[[0, 1, 1, 3]].mean())


# --- the pairs --------------------------------------------------------------------------------------------------------

COUNTS = [1000, 300, 40, 5, 1]


@executed("3.4.1e", of="dlbook.embedding.keep_probability")
def test_subsampling_as_printed(formula):
    expected = [formula({"f": count / sum(COUNTS), "t": 0.02})["p_keep"] for count in COUNTS]
    assert_close(keep_probability(torch.tensor(COUNTS), 0.02), tensor(expected))


@executed("3.4.1f", of="dlbook.embedding.noise_distribution")
def test_noise_as_printed(formula):
    expected = formula({"count": COUNTS}, {"i": 5, "j": 5})
    assert_close(noise_distribution(torch.tensor(COUNTS)), tensor(expected["p_noise"]))


def test_rare_words_are_kept():
    keep = keep_probability(torch.tensor([10**6, 100, 0]))
    assert keep[1:].tolist() == [1, 1] and keep[0] == pytest.approx(math.sqrt(1e-3) + 1e-3, rel=1e-3)


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 5), st.integers(0, 3))
def test_pairs_stay_in_the_window_and_in_the_sentence(lengths, window, seed):
    sentences = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    tokens = torch.arange(len(sentences))  # every token another word
    centre, context = draw_pairs(tokens, sentences, window, torch.Generator().manual_seed(seed))
    found = Counter(zip(centre.tolist(), context.tolist(), strict=True))
    assert set(found.values()) <= {1}
    for w in tokens.tolist():
        reach = max([abs(c - w) for v, c in found if v == w], default=0)
        same = [c for c in tokens.tolist() if c != w and sentences[c] == sentences[w]]
        assert reach <= window
        assert {c for v, c in found if v == w} == {c for c in same if abs(c - w) <= reach}
        assert reach >= 1 or not same  # a neighbour at distance 1 is always seen
    again = draw_pairs(tokens, sentences, window, torch.Generator().manual_seed(seed))
    assert torch.equal(again[0], centre) and torch.equal(again[1], context)


def test_near_words_count_more():
    tokens = torch.arange(20_000)
    centre, context = draw_pairs(tokens, torch.zeros_like(tokens), 4, torch.Generator().manual_seed(0))
    shares = (centre - context).abs().bincount()[1:] / (2 * len(tokens))
    assert_close(shares, torch.tensor([1, 0.75, 0.5, 0.25]), rtol=0, atol=0.02)
    assert centre[:100].sort().values[-1] > 10_000  # in random order


def test_frequent_words_are_subsampled_first():
    tokens = torch.arange(10_000) % 2
    pairs = draw_pairs(tokens, torch.zeros_like(tokens), 1, torch.Generator().manual_seed(0), torch.tensor([0.5, 0.0]))
    assert pairs[0].shape == pytest.approx((10_000 / 2,), rel=0.05)  # a quarter is left, with a neighbour on each side
    assert not pairs[0].any() and not pairs[1].any()  # and those around a word left out have become neighbours
    none = draw_pairs(tokens, torch.zeros_like(tokens), 1, torch.Generator(), torch.tensor([0.0, 0.0]))
    assert [len(part) for part in none] == [0, 0]


# --- learning ---------------------------------------------------------------------------------------------------------


def two_topics(sentences=400, length=10):
    """Make sentences of words 0 to 4 and of words 5 to 9, never mixed."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(5, (sentences, length), generator=generator) + 5 * (torch.arange(sentences) % 2)[:, None]
    return words.flatten(), torch.arange(sentences).repeat_interleave(length)


def test_words_of_one_topic_come_together():
    tokens, sentences = two_topics()
    torch.manual_seed(0)
    model, counts = SkipGram(10, 8), tokens.bincount()
    pairs = train_skip_gram(model, tokens, sentences, counts, epochs=5, batch_size=256, threshold=1.0)
    assert pairs / (5 * len(tokens)) == pytest.approx(
        2 * sum((6 - n) / 5 * (10 - n) / 10 for n in range(1, 6)), rel=0.02
    )
    for word in range(10):
        found, cosines = most_similar(model.centre.detach(), word, count=4)
        assert set(found.tolist()) == set(range(5 * (word // 5), 5 * (word // 5) + 5)) - {word}
        assert (cosines > 0.8).all()


def test_divergence_is_said():
    tokens, sentences = two_topics()
    options = dict(lr=1e20, batch_size=64, shared_negatives=1)
    with pytest.raises(FloatingPointError, match="is too large: got lr=1e.20, batch_size=64, shared_negatives=1"):
        train_skip_gram(SkipGram(10, 8), tokens, sentences, tokens.bincount(), threshold=1.0, **options)


def test_a_seed_decides():
    tokens, sentences = two_topics(20)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = SkipGram(10, 4)
        train_skip_gram(model, tokens, sentences, tokens.bincount(), epochs=3, threshold=1.0, seed=seed)
        results.append(model.centre.detach())
    assert torch.equal(*results[:2]) and not torch.equal(*results[1:])


def test_overfits_a_tiny_batch():
    torch.manual_seed(0)
    model, w, c = SkipGram(6, 8), torch.arange(6), torch.tensor([3, 4, 5, 0, 1, 2])
    assert softmax_loss(model, w, c).item() == pytest.approx(math.log(6))  # before learning all are alike
    for _ in range(300):
        for parameter, gradient in zip(model.parameters(), softmax_gradient(model, w, c), strict=True):
            parameter.data -= 3 * gradient
    assert softmax_loss(model, w, c).item() < 0.05


def test_vectors_are_initialised_as_in_the_authors_program():
    torch.manual_seed(0)
    model = SkipGram(1000, 50)
    assert model.centre.abs().max().item() == pytest.approx(0.01, rel=0.01) and not model.context.any()
    assert abs(model.centre.mean().item()) < 1e-4


# --- what vectors are good for ----------------------------------------------------------------------------------------


def cosine(x, y):
    return np.dot(x, y) / math.sqrt(np.dot(x, x) * np.dot(y, y))


@executed("3.4.1g", of="dlbook.embedding.complete_analogies")
def test_analogies_as_printed(formula):
    vectors, questions = random(12, 4) * torch.rand(12, 1) * 5, torch.randint(12, (30, 3))
    vectors[1:3] = vectors[0] + random(2, 4) / 10  # so that a would be the answer to a, b, c, were it allowed
    questions[0] = torch.tensor([0, 1, 2])
    expected = [
        formula({"v": vectors, "a": a, "b": b, "c": c}, {"d": range(12)}, starts={"v": 0})["d"]
        for a, b, c in questions.tolist()
    ]
    found = complete_analogies(vectors, questions)
    assert torch.equal(found, torch.tensor(expected))  # to show how long lists differ takes pytest half a minute


def test_most_similar_are_those_of_greatest_cosine():
    vectors = random(20, 4)
    found, cosines = most_similar(vectors, 3, count=5)
    expected = [cosine(vectors[3].tolist(), vector) for vector in vectors.tolist()]
    assert 3 not in found.tolist()
    assert found.tolist() == sorted((n for n in range(20) if n != 3), key=lambda n: -expected[n])[:5]
    assert_close(cosines, tensor([expected[n] for n in found.tolist()]))


@reference("dlbook.embedding.most_similar", to="torch.nn.functional.cosine_similarity")
def test_most_similar_equals_torch():
    vectors = random(20, 4)
    theirs = torch.nn.functional.cosine_similarity(vectors, vectors[3:4]).topk(6)  # the first is the word itself
    found, cosines = most_similar(vectors, 3, count=5)
    assert found.tolist() == theirs.indices[1:].tolist()
    assert_close(cosines, theirs.values[1:])


@reference("dlbook.embedding.rank_correlation", to="scipy.stats.spearmanr")
@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=12))
def test_rank_correlation_equals_scipy(pairs):
    stats = pytest.importorskip("scipy.stats")
    x, y = tensor(pairs).T
    if len(set(x.tolist())) == 1 or len(set(y.tolist())) == 1:
        assert math.isnan(rank_correlation(x, y))
    else:
        assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: SkipGram(0, 3), "vocab_size must be at least 1: got 0"),
        (lambda t: SkipGram(3, 0), "dim must be at least 1: got 0"),
        (lambda t: keep_probability(t, 0.0), "threshold must be greater than 0: got 0.0"),
        (lambda t: draw_pairs(t, t, 0, torch.Generator()), "window must be at least 1, .*: got window=0, 3 for 3"),
        (lambda t: draw_pairs(t, t[1:], 1, torch.Generator()), "sentences one for each token: got window=1, 2 for 3"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(torch.arange(3))
