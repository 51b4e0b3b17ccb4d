"""Word embeddings by skip-gram: full softmax for small vocabularies, negative sampling for real ones.

Words are numbers from 0 on. A pair is a centre word and one word of its context.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.activations import log_softmax, softmax


class SkipGram(nn.Module):
    """Two vectors for each word: v where it is the centre, which is its embedding, and u where it is context.

    Source: Mikolov et al. 2013a; book equation (3.4.1a).
    """

    def __init__(self, vocab_size: int, dim: int):
        """Make the vectors: v uniform between -1/(2 dim) and 1/(2 dim) as in the authors' program, u zero."""
        super().__init__()
        if min(vocab_size, dim) < 1:
            raise ValueError(f"vocab_size and dim must be at least 1: got {vocab_size=}, {dim=}")
        self.centre = nn.Parameter(torch.empty(vocab_size, dim).uniform_(-0.5 / dim, 0.5 / dim))  # v
        self.context = nn.Parameter(torch.zeros(vocab_size, dim))  # u

    def forward(self, centre: Int[Tensor, " batch"]) -> Float[Tensor, "batch words"]:
        """Score every word as context of each centre word; softmax makes probabilities of the scores."""
        return F.embedding(centre, self.centre) @ self.context.T


def softmax_loss(model: SkipGram, centre: Int[Tensor, " batch"], context: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Average how surprised the model is by the context words, in nats; each pair costs a pass over all words.

    Source: book equation (3.4.1b).
    """
    return -log_softmax(model(centre)).gather(1, context[:, None]).mean()


@torch.no_grad()
def softmax_gradient(
    model: SkipGram, centre: Int[Tensor, " batch"], context: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "words dim"], Float[Tensor, "words dim"]]:
    """Return the derivative of `softmax_loss` by the vectors v and u: probability minus truth meets the other vector.

    Source: book equation (3.4.1c).
    """
    error = softmax(model(centre))  # (batch, words)
    error[torch.arange(len(context)), context] -= 1
    error /= len(context)
    of_centre = torch.zeros_like(model.centre).index_add(0, centre, error @ model.context)
    return of_centre, error.T @ model.centre[centre]


def negative_sampling_loss(
    model: SkipGram,
    centre: Int[Tensor, " batch"],
    context: Int[Tensor, " batch"],
    negatives: Int[Tensor, " shared"],
    k: int = 5,
) -> Float[Tensor, ""]:
    """Average how badly the model tells each pair from k pairs of the same centre with a word drawn at random, in nats.

    All pairs share the random words. Each counts k / shared, which leaves the expected loss as if each pair drew k.

    Source: Mikolov et al. 2013b, equation (4); book equation (3.4.1d).
    """
    v, u, u_n = F.embedding(centre, model.centre), F.embedding(context, model.context), model.context[negatives]
    true, false = (v * u).sum(1), v @ u_n.T  # (batch), (batch, shared)
    return -(F.logsigmoid(true) + k / len(negatives) * F.logsigmoid(-false).sum(1)).mean()


@torch.no_grad()
def sgd_step_(
    model: SkipGram,
    centre: Int[Tensor, " batch"],
    context: Int[Tensor, " batch"],
    negatives: Int[Tensor, " shared"],
    lr: float,
    k: int = 5,
) -> None:
    """Step down the gradient of the summed `negative_sampling_loss`, changing only the vectors that occur in it.

    A centre word that occurs in many pairs meets the shared negatives once, with the number of its pairs as weight.
    """
    words, pair, occurrences = centre.unique(return_inverse=True, return_counts=True)
    v, u, u_n = model.centre[words], model.context[context], model.context[negatives]
    v_pair = v.index_select(0, pair)  # (batch, dim)
    true = torch.sigmoid((v_pair * u).sum(1, keepdim=True)) - 1  # (batch, 1), the derivatives by the scores
    false = torch.sigmoid(v @ u_n.T) * (k / len(negatives) * occurrences)[:, None]  # (words, shared)
    of_v = (false @ u_n).index_add_(0, pair, true * u)
    model.centre.index_add_(0, words, of_v, alpha=-lr)
    model.context.index_add_(0, context, true * v_pair, alpha=-lr)
    model.context.index_add_(0, negatives, false.T @ v, alpha=-lr)


def keep_probability(counts: Int[Tensor, " words"], threshold: float = 1e-3) -> Float[Tensor, " words"]:
    """Return how likely an occurrence of each word is kept: frequent words say little about their neighbours.

    Args:
        counts: how often each word occurs.
        threshold: the share of all words, roughly, from which on a word is thinned out.

    Source: the authors' program word2vec.c (the paper has the square root alone); book equation (3.4.1e).
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be greater than 0: got {threshold}")
    rarity = threshold * counts.sum() / counts.double()  # infinite for a word that never occurs
    return (rarity.sqrt() + rarity).clamp(max=1)


def noise_distribution(counts: Int[Tensor, " words"], power: float = 0.75) -> Float[Tensor, " words"]:
    """Return the probability that a word is drawn as a negative: between its frequency and the same for all.

    Source: Mikolov et al. 2013b, section 2.2; book equation (3.4.1f).
    """
    weights = counts.double() ** power
    return weights / weights.sum()


def draw_pairs(
    tokens: Int[Tensor, " tokens"],
    sentences: Int[Tensor, " tokens"],
    window: int,
    generator: torch.Generator,
    keep: Float[Tensor, " words"] | None = None,
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Draw the pairs of one pass over a text, in random order: its centre words and what stands around them.

    Each centre sees a number of neighbours on either side that is drawn between 1 and `window`, so that near words
    count more than far ones.

    Args:
        sentences: the number of the sentence of each token; no window reaches into another sentence.
        keep: how likely an occurrence of each word is kept; the words around one left out move together.
    """
    if window < 1 or len(tokens) != len(sentences):
        sizes = f"{window=}, {len(sentences)} for {len(tokens)}"
        raise ValueError(f"window must be at least 1, and sentences one for each token: got {sizes}")
    if keep is not None:
        kept = torch.rand(len(tokens), generator=generator, device=tokens.device) < keep[tokens]
        tokens, sentences = tokens[kept], sentences[kept]
    reach = torch.randint(1, window + 1, (len(tokens),), generator=generator, device=tokens.device)
    centres, contexts = [tokens[:0]], [tokens[:0]]
    for distance in range(1, min(window, len(tokens) - 1) + 1):
        left, right = tokens[:-distance], tokens[distance:]
        together = sentences[:-distance] == sentences[distance:]
        sees_right, sees_left = together & (reach[:-distance] >= distance), together & (reach[distance:] >= distance)
        centres += [left[sees_right], right[sees_left]]
        contexts += [right[sees_right], left[sees_left]]
    centre, context = torch.cat(centres), torch.cat(contexts)
    order = torch.randperm(len(centre), generator=generator, device=tokens.device)
    return centre[order], context[order]


def train_skip_gram(
    model: SkipGram,
    tokens: Int[Tensor, " tokens"],
    sentences: Int[Tensor, " tokens"],
    counts: Int[Tensor, " words"],
    epochs: int = 5,
    window: int = 5,
    lr: float = 0.025,
    batch_size: int = 2048,
    shared_negatives: int = 64,
    threshold: float = 1e-3,
    seed: int = 0,
) -> int:
    """Train by negative sampling, as the authors' program does, but many pairs at a time; return how many it took.

    Args:
        tokens, sentences, window: as in `draw_pairs`.
        counts: how often each word occurs, which decides what is drawn as a negative and, with the threshold, what is
            thinned out.
        lr: the learning rate of one pair at the start, from where it falls straight to zero.
        batch_size: pairs in a step.
        shared_negatives: negatives that they share. All pairs move each of them at once, by up to rate × k × batch / shared, the
            k being 5: at a rate of 0.025 on WikiText-2, learning was stable at 8 of these and diverged at 16; at 0.2 it
            diverged at 8.

    Raises:
        FloatingPointError: it diverged.
    """
    generator = torch.Generator(tokens.device).manual_seed(seed)
    keep, noise, pairs = keep_probability(counts, threshold), noise_distribution(counts), 0
    for epoch in range(epochs):
        centre, context = draw_pairs(tokens, sentences, window, generator, keep)
        pairs += len(centre)
        for first in range(0, len(centre), batch_size):
            progress = (epoch + first / len(centre)) / epochs
            negatives = torch.multinomial(noise, shared_negatives, replacement=True, generator=generator)
            chosen = slice(first, first + batch_size)
            sgd_step_(model, centre[chosen], context[chosen], negatives, lr * (1 - progress))
        if not model.context.isfinite().all():
            raise FloatingPointError(f"rate or batch / shared is too large: got {lr=}, {batch_size=}, {shared_negatives=}")
    return pairs


def most_similar(
    vectors: Float[Tensor, "words dim"], word: int, count: int = 10
) -> tuple[Int[Tensor, " count"], Float[Tensor, " count"]]:
    """Return the words whose vectors point most nearly the same way as that of a word, and the cosines, best first."""
    unit = F.normalize(vectors)
    cosines = unit @ unit[word]
    cosines[word] = -torch.inf
    best = cosines.topk(count)
    return best.indices, best.values


def complete_analogies(
    vectors: Float[Tensor, "words dim"], questions: Int[Tensor, "questions 3"]
) -> Int[Tensor, " questions"]:
    """Answer "a is to b as c is to ...": the word nearest to b - a + c, of vectors of length 1, other than these three.

    Without that exception the answer would often be b or c itself.

    Source: Mikolov, Yih and Zweig 2013, section 4; book equation (3.4.1g).
    """
    unit, answers = F.normalize(vectors), []
    for part in questions.split(512):
        a, b, c = unit[part].unbind(1)
        cosines = (b - a + c) @ unit.T  # but for the length of b - a + c, which ranks all words alike
        answers.append(cosines.scatter(1, part, -torch.inf).argmax(1))
    return torch.cat(answers)


def rank_correlation(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Correlate the ranks of two lists of numbers (Spearman): 1 if both order alike, -1 if they order the other way.

    Equal numbers share the mean of their ranks.
    """
    ranks = []
    for values in (x, y):
        _, place, counts = values.unique(return_inverse=True, return_counts=True)
        ranks.append((counts.cumsum(0) - (counts - 1) / 2).double()[place])
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()
