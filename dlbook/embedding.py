"""Word embeddings by skip-gram, with full softmax or with negative sampling.

Words are numbers from 0 on, in int64. A pair is a centre word and one word of its
context.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_same_shape,
    check_shape,
    check_whole,
)
from dlbook._float64 import float64_on_cpu
from dlbook.activations import log_softmax, softmax


class SkipGram(nn.Module):
    """The skip-gram model: each word has a vector v as centre and u as context.

    The embedding of a word is its v.

    Source: Mikolov et al. 2013a; book equation (3.4.1a).
    """

    def __init__(self, vocab_size: int, dim: int):
        """Create the vectors: v uniform, as in the authors' program, and u zero.

        Args:
            vocab_size: how many words there are.
            dim: the width of the vectors; v lies between -1/(2 dim) and 1/(2 dim).

        Raises:
            TypeError: One of them is no whole number.
            ValueError: One of them is less than 1.
        """
        super().__init__()
        check_whole(1, vocab_size=vocab_size, dim=dim)
        self.centre = nn.Parameter(
            torch.empty(vocab_size, dim).uniform_(-0.5 / dim, 0.5 / dim)
        )  # v
        self.context = nn.Parameter(torch.zeros(vocab_size, dim))  # u

    def forward(self, centre: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Return the logits of every word as context of each centre word.

        Args:
            centre: words.

        Raises:
            TypeError: centre is not int64.
            ValueError: centre has another shape.
        """
        _check_words(centre=centre)
        return F.embedding(centre, self.centre) @ self.context.T


def softmax_loss(
    model: SkipGram, centre: Int[Tensor, " batch"], context: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the context words, in nats.

    Each pair costs a product with the vectors of all words.

    Args:
        model: makes the logits.
        centre: the centre word of each pair.
        context: the context word of each pair.

    Raises:
        TypeError: centre or context is not int64.
        ValueError: They have different shapes.

    Source: book equation (3.4.1b).
    """
    _check_words(centre=centre, context=context)
    return -log_softmax(model(centre)).gather(1, context[:, None]).mean()


@torch.no_grad()
def softmax_gradient(
    model: SkipGram, centre: Int[Tensor, " batch"], context: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "vocab dim"], Float[Tensor, "vocab dim"]]:
    """Return the gradients of `softmax_loss` by the vectors v and u, by hand.

    Each is the sum of (probability - target) times the other vector.

    Args:
        model: makes the logits.
        centre: the centre word of each pair.
        context: the context word of each pair.

    Raises:
        TypeError: centre or context is not int64.
        ValueError: They have different shapes.

    Source: book equation (3.4.1c).
    """
    _check_words(centre=centre, context=context)
    error = softmax(model(centre))  # (batch, vocab)
    error[torch.arange(len(context), device=context.device), context] -= 1
    error /= len(context)
    of_centre = torch.zeros_like(model.centre).index_add(
        0, centre, error @ model.context
    )
    return of_centre, error.T @ model.centre[centre]


def negative_sampling_loss(
    model: SkipGram,
    centre: Int[Tensor, " batch"],
    context: Int[Tensor, " batch"],
    negatives: Int[Tensor, " shared"],
    k: int = 5,
) -> Float[Tensor, ""]:
    """Return the mean negative-sampling loss, k random words to a pair, in nats.

    All pairs share the random words. Each counts k / shared, which leaves the expected
    loss as if each pair drew k.

    Args:
        model: holds the vectors.
        centre: the centre word of each pair.
        context: the context word of each pair.
        negatives: words drawn at random, shared by all pairs.
        k: negatives that count for each pair.

    Raises:
        TypeError: centre, context or negatives are not int64.
        ValueError: centre and context have different shapes, or there is no negative.

    Source: Mikolov et al. 2013b, equation (4); book equation (3.4.1d).
    """
    _check_words(centre=centre, context=context)
    _check_negatives(negatives)
    v, u, u_n = (
        F.embedding(centre, model.centre),
        F.embedding(context, model.context),
        model.context[negatives],
    )
    true, false = (v * u).sum(1), v @ u_n.T  # (batch), (batch, shared)
    return -(
        F.logsigmoid(true) + k / len(negatives) * F.logsigmoid(-false).sum(1)
    ).mean()


@torch.no_grad()
def sgd_step_(
    model: SkipGram,
    centre: Int[Tensor, " batch"],
    context: Int[Tensor, " batch"],
    negatives: Int[Tensor, " shared"],
    lr: float,
    k: int = 5,
) -> None:
    """Take one SGD step on the summed `negative_sampling_loss`, in place.

    Only the vectors that occur in it change. A centre word of many pairs meets the
    shared negatives once, weighted by the number of its pairs.

    Args:
        model: holds the vectors.
        centre: the centre word of each pair.
        context: the context word of each pair.
        negatives: words drawn at random, shared by all pairs.
        lr: the learning rate of one pair.
        k: negatives that count for each pair.

    Raises:
        TypeError: centre, context or negatives are not int64.
        ValueError: centre and context have different shapes, or there is no negative.
    """
    _check_words(centre=centre, context=context)
    _check_negatives(negatives)
    words, pair, occurrences = centre.unique(return_inverse=True, return_counts=True)
    v, u, u_n = model.centre[words], model.context[context], model.context[negatives]
    v_pair = v.index_select(0, pair)  # (batch, dim)
    # The derivatives by the logits, (batch, 1) and (words, shared):
    true = torch.sigmoid((v_pair * u).sum(1, keepdim=True)) - 1
    false = torch.sigmoid(v @ u_n.T) * (k / len(negatives) * occurrences)[:, None]
    of_v = (false @ u_n).index_add_(0, pair, true * u)
    model.centre.index_add_(0, words, of_v, alpha=-lr)
    model.context.index_add_(0, context, true * v_pair, alpha=-lr)
    model.context.index_add_(0, negatives, false.T @ v, alpha=-lr)


@float64_on_cpu
def keep_probability(
    counts: Int[Tensor, " vocab"], threshold: float = 1e-3
) -> Float[Tensor, " vocab"]:
    """Return the probability that subsampling keeps an occurrence of each word.

    Frequent words say little about their context.

    Args:
        counts: how often each word occurs.
        threshold: the relative frequency, roughly, above which a word is subsampled.

    Raises:
        TypeError: counts are not integers.
        ValueError: threshold is not positive, or counts are negative or all zero.

    Source: the authors' program word2vec.c (the paper has the square root alone); book
    equation (3.4.1e).
    """
    _check_counts(counts)
    if not threshold > 0:
        raise ValueError(f"threshold must be greater than 0: got {threshold}")
    rarity = threshold * counts.sum() / counts.double()  # infinite if it never occurs
    return (rarity.sqrt() + rarity).clamp(max=1)


@float64_on_cpu
def noise_distribution(
    counts: Int[Tensor, " vocab"], power: float = 0.75
) -> Float[Tensor, " vocab"]:
    """Return the distribution of negatives: frequencies to a power, normalised.

    Args:
        counts: how often each word occurs.
        power: 1 draws words by frequency, 0 all alike.

    Raises:
        TypeError: counts are not integers.
        ValueError: counts are negative or all zero.

    Source: Mikolov et al. 2013b, section 2.2; book equation (3.4.1f).
    """
    _check_counts(counts)
    weights = counts.double() ** power
    return weights / weights.sum()


def draw_pairs(
    tokens: Int[Tensor, " tokens"],
    sentences: Int[Tensor, " tokens"],
    window: int,
    generator: torch.Generator,
    keep: Float[Tensor, " vocab"] | None = None,
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Draw the pairs of one epoch in random order: centre words and their contexts.

    Each centre sees as many words on either side as is drawn between 1 and `window`, so
    that near words count more than far ones.

    Args:
        tokens: the words of the text.
        sentences: the number of the sentence of each token; no window reaches into
            another sentence.
        window: the largest distance.
        generator: decides what is drawn.
        keep: the probability that an occurrence of each word is kept; the words around
            one left out move together. All are kept if not given.

    Returns:
        The centre words, and the context words.

    Raises:
        TypeError: tokens are not int64.
        ValueError: window is less than 1, or tokens and sentences differ in shape.
    """
    _check_words(tokens=tokens)
    if window < 1 or len(tokens) != len(sentences):
        sizes = f"{window=}, {len(sentences)} for {len(tokens)}"
        raise ValueError(
            f"window must be at least 1, and sentences one for each token: got {sizes}"
        )
    check_shape("sentences", sentences, len(tokens))
    if keep is not None:
        kept = (
            torch.rand(len(tokens), generator=generator, device=tokens.device)
            < keep[tokens]
        )
        tokens, sentences = tokens[kept], sentences[kept]
    reach = torch.randint(
        1, window + 1, (len(tokens),), generator=generator, device=tokens.device
    )
    centres, contexts = [tokens[:0]], [tokens[:0]]
    for distance in range(1, min(window, len(tokens) - 1) + 1):
        left, right = tokens[:-distance], tokens[distance:]
        together = sentences[:-distance] == sentences[distance:]
        sees_right, sees_left = (
            together & (reach[:-distance] >= distance),
            together & (reach[distance:] >= distance),
        )
        centres += [left[sees_right], right[sees_left]]
        contexts += [right[sees_right], left[sees_left]]
    centre, context = torch.cat(centres), torch.cat(contexts)
    order = torch.randperm(len(centre), generator=generator, device=tokens.device)
    return centre[order], context[order]


def train_skip_gram(
    model: SkipGram,
    tokens: Int[Tensor, " tokens"],
    sentences: Int[Tensor, " tokens"],
    counts: Int[Tensor, " vocab"],
    epochs: int = 5,
    window: int = 5,
    lr: float = 0.025,
    batch_size: int = 2048,
    shared_negatives: int = 64,
    threshold: float = 1e-3,
    seed: int = 0,
) -> int:
    """Train by negative sampling, as the authors' program, but in batches of pairs.

    All pairs of a batch move each shared negative at once, by up to
    lr × k × batch_size / shared_negatives, with k = 5: at lr 0.025 on WikiText-2,
    training was stable at 8 of these and diverged at 16; at 0.2 it diverged at 8.

    Args:
        model: trained in place.
        tokens: the words of the text.
        sentences: the number of the sentence of each token.
        counts: how often each word occurs, which decides what is drawn as a negative
            and, with the threshold, what is subsampled.
        epochs: how often the pairs are drawn from the text.
        window: the largest distance of a pair.
        lr: the learning rate of one pair at first, decaying linearly to zero.
        batch_size: pairs in an update.
        shared_negatives: negatives that they share.
        threshold: as in `keep_probability`.
        seed: decides what is drawn.

    Returns:
        How many pairs it trained on.

    Raises:
        TypeError: tokens are not int64, or counts are not integers.
        ValueError: A number is out of range, or a tensor has another shape.
        FloatingPointError: The training diverged.
    """
    _check_training(model, counts, lr, batch_size, shared_negatives)
    generator = torch.Generator(tokens.device).manual_seed(seed)
    keep, noise, pairs = (
        keep_probability(counts, threshold),
        noise_distribution(counts),
        0,
    )
    for epoch in range(epochs):
        centre, context = draw_pairs(tokens, sentences, window, generator, keep)
        pairs += len(centre)
        for first in range(0, len(centre), batch_size):
            progress = (epoch + first / len(centre)) / epochs
            negatives = torch.multinomial(
                noise, shared_negatives, replacement=True, generator=generator
            )
            chosen = slice(first, first + batch_size)
            sgd_step_(
                model, centre[chosen], context[chosen], negatives, lr * (1 - progress)
            )
        if not model.context.isfinite().all():
            raise FloatingPointError(
                "lr or batch_size / shared_negatives is too large: "
                f"got {lr=}, {batch_size=}, {shared_negatives=}"
            )
    return pairs


def most_similar(
    vectors: Float[Tensor, "vocab dim"], word: int, count: int = 10
) -> tuple[Int[Tensor, " count"], Float[Tensor, " count"]]:
    """Return the words of the greatest cosine similarity to a word, and the cosines.

    Args:
        vectors: the embedding of each word.
        word: the one to compare with; it is left out.
        count: how many to return, best first.

    Raises:
        TypeError: vectors are not floating point.
        ValueError: vectors hold NaN or have another shape, or word or count is out of
            range.
    """
    _check_vectors(vectors)
    if not 0 <= word < len(vectors) or not 1 <= count < len(vectors):
        raise ValueError(
            f"word must be less than the number of words, {len(vectors)}, and count be "
            f"1 to {len(vectors) - 1}: got {word=}, {count=}"
        )
    unit = F.normalize(vectors)
    cosines = unit @ unit[word]
    cosines[word] = -torch.inf
    best = cosines.topk(count)
    return best.indices, best.values


def complete_analogies(
    vectors: Float[Tensor, "vocab dim"], questions: Int[Tensor, "questions 3"]
) -> Int[Tensor, " questions"]:
    """Return the answers of analogies "a is to b as c is to ..." (3CosAdd).

    That is the word nearest to b - a + c, of vectors of norm 1, other than these three:
    without that exception it would often be b or c itself.

    Args:
        vectors: the embedding of each word.
        questions: a, b and c in each row.

    Raises:
        TypeError: vectors are not floating point, or questions are not int64.
        ValueError: vectors hold NaN or fewer than 4 words, or one of them has another
            shape.

    Source: Mikolov, Yih and Zweig 2013, section 4; book equation (3.4.1g).
    """
    _check_vectors(vectors)
    _check_questions(vectors, questions)
    unit, answers = F.normalize(vectors), []
    for part in questions.split(512):
        a, b, c = unit[part].unbind(1)
        cosines = (b - a + c) @ unit.T  # times the norm of b - a + c, the same for all
        answers.append(cosines.scatter(1, part, -torch.inf).argmax(1))
    return torch.cat(answers)


@float64_on_cpu
def rank_correlation(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Return Spearman's rank correlation of two lists of numbers.

    It is 1 if both order alike, -1 if they order the other way. Equal numbers share the
    mean of their ranks.

    Args:
        x: numbers.
        y: as many.

    Returns:
        The correlation; NaN if all numbers of one list are equal.

    Raises:
        ValueError: x or y holds NaN, which has no rank, or they have different shapes.
    """
    _check_ranked(x, y)
    ranks = []
    for values in (x, y):
        _, place, counts = values.unique(return_inverse=True, return_counts=True)
        ranks.append((counts.cumsum(0) - (counts - 1) / 2).double()[place])
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()


def _check_words(**words: Tensor) -> None:
    """Refuse what is not one row of int64, or several of one shape."""
    check_same_shape(**words)
    for name, value in words.items():
        check_shape(name, value, "batch")
        if value.dtype != torch.int64:
            raise TypeError(f"{name} must be int64: got {value.dtype}")


def _check_negatives(negatives: Tensor) -> None:
    """Refuse what is not one row of int64, with a negative at least."""
    _check_words(negatives=negatives)
    if len(negatives) < 1:
        raise ValueError("negatives must hold a word: got none")


def _check_counts(counts: Tensor) -> None:
    """Refuse what does not count words; this looks at the values."""
    check_shape("counts", counts, "vocab")
    check_integer(counts=counts)
    if (counts < 0).any() or not (counts > 0).any():
        raise ValueError("counts must be at least 0, and one of them more: got others")


def _check_training(
    model: SkipGram, counts: Tensor, lr: float, batch_size: int, shared_negatives: int
) -> None:
    """Refuse arguments of a training that are out of range."""
    check_shape("counts", counts, len(model.centre))
    if not lr > 0 or min(batch_size, shared_negatives) < 1:
        raise ValueError(
            "lr must be greater than 0, batch_size and shared_negatives at least 1: "
            f"got {lr=}, {batch_size=}, {shared_negatives=}"
        )


def _check_vectors(vectors: Tensor) -> None:
    """Refuse what is not a table of vectors; this looks at the values."""
    check_shape("vectors", vectors, "vocab", "dim")
    check_floating(vectors=vectors)
    check_no_nan(vectors=vectors)


def _check_questions(vectors: Tensor, questions: Tensor) -> None:
    """Refuse questions that are not three words each, or cannot be answered."""
    check_shape("questions", questions, "questions", 3)
    if questions.dtype != torch.int64:
        raise TypeError(f"questions must be int64: got {questions.dtype}")
    if len(vectors) < 4:
        raise ValueError(f"vectors must hold 4 words or more: got {len(vectors)}")


def _check_ranked(x: Tensor, y: Tensor) -> None:
    """Refuse what has no ranks to correlate; this looks at the values."""
    check_shape("x", x, "n")
    check_same_shape(x=x, y=y)
    check_no_nan(x=x, y=y)
