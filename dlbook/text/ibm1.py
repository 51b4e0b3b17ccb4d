"""IBM Model 1: translation probabilities of words, learnt from pairs of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dlbook._check import check_floating, check_integer, check_shape, check_whole

Sentences = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Links:
    """All possible alignments of single words in pairs of sentences.

    A link joins a source word and a target word of the same pair; an entry is a pair of
    words that is linked somewhere. Each source sentence also holds the NULL word, for
    target words without a counterpart; its number is one above all source words.

    Args:
        source: the source word of each entry.
        target: the target word of each entry.
        entry: the entry of each link.
        position: the target word of each link, counted over all sentences.
        choices: the number of source words that each target word may be aligned with,
            NULL included.
    """

    source: Int[Tensor, " entries"]
    target: Int[Tensor, " entries"]
    entry: Int[Tensor, " links"]
    position: Int[Tensor, " links"]
    choices: Int[Tensor, " positions"]

    @property
    def null(self) -> int:
        """The number of the NULL word."""
        return int(self.source.max())


def link(sources: Sentences, targets: Sentences) -> Links:
    """Return all links between the words of paired sentences, and their entries.

    Args:
        sources: the numbers of the words of each sentence, 0 or more.
        targets: the same for their translations; an empty one has no links.

    Raises:
        TypeError: A word is no integer.
        ValueError: There are not equally many sources and targets, all targets are
            empty, or a number is negative.
    """
    _check_pairs(sources, targets)
    null = 1 + max((max(sentence) for sentence in sources if len(sentence)), default=-1)
    source = torch.tensor([word for sentence in sources for word in (*sentence, null)])
    target = torch.tensor([word for sentence in targets for word in sentence])
    _check_words(sources=source, targets=target)
    source_lengths = torch.tensor([len(sentence) + 1 for sentence in sources])
    target_lengths = torch.tensor([len(sentence) for sentence in targets])
    begins = source_lengths.cumsum(0) - source_lengths  # of sentences, in `source`
    choices = source_lengths.repeat_interleave(target_lengths)  # (positions)
    begin = begins.repeat_interleave(target_lengths)
    position = torch.arange(len(target)).repeat_interleave(choices)  # (links)
    nth = torch.arange(len(position)) - (choices.cumsum(0) - choices)[position]
    words = int(target.max()) + 1
    pairs = source[begin[position] + nth] * words + target[position]
    entries, entry = pairs.unique(return_inverse=True)
    return Links(entries // words, entries % words, entry, position, choices)


def em_step(
    probability: Float[Tensor, " entries"], links: Links
) -> tuple[Float[Tensor, " entries"], Float[Tensor, ""]]:
    """One step of the EM algorithm for the translation probabilities t(f|e).

    E-step: the responsibility of each source word for a target word is its share in the
    sum of t(f|e) over the source words of the sentence, and the expected count c(f|e)
    is the sum of responsibilities over all sentences. M-step: the new t(f|e) is c(f|e)
    divided by the sum of the counts of e.

    Args:
        probability: t(f|e) of each entry.
        links: of all sentences.

    Returns:
        The new probabilities, which make the targets no less likely, and the
        log-likelihood of the old ones in nats, given the lengths of the sentences.

    Raises:
        TypeError: `probability` is not floating point.
        ValueError: `probability` does not have one number for each entry.

    Source: Brown et al. 1993, section 4.1; book equation (3.4.6a).
    """
    check_floating(probability=probability)
    check_shape("probability", probability, len(links.source))
    t = probability[links.entry]  # (links)
    total = torch.bincount(links.position, t)  # (positions), over a sentence's words
    responsibility = t / total[links.position]  # (links)
    counts = torch.bincount(links.entry, responsibility)  # (entries), c(f|e)
    likelihood = (total / links.choices).log().sum()
    return counts / torch.bincount(links.source, counts)[links.source], likelihood


class IBMModel1:
    """IBM Model 1: translation probabilities t(f|e), and the best f for each e."""

    def __init__(self, sources: Sentences, targets: Sentences, iterations: int = 5):
        """Learn from pairs of sentences by the EM algorithm, from equal probabilities.

        Args:
            sources: the numbers of the words of each sentence.
            targets: the same for their translations.
            iterations: number of steps.

        Raises:
            TypeError: A word is no integer.
            ValueError: `iterations` is less than 1, or sources and targets do not fit.
        """
        check_whole(1, iterations=iterations)
        self.links = link(sources, targets)
        uniform = 1 / len(self.links.target.unique())
        size = len(self.links.source)
        self.probability = torch.full((size,), uniform, dtype=torch.float64)
        self.likelihoods: list[float] = []  # before each step, in nats
        for _ in range(iterations):
            self.probability, likelihood = em_step(self.probability, self.links)
            self.likelihoods.append(float(likelihood))
        order = self.probability.argsort(descending=True, stable=True)
        best_last = order.flip(0)  # of equal keys, a dictionary keeps the last
        source, target = self.links.source[best_last], self.links.target[best_last]
        self.best = dict(zip(source.tolist(), target.tolist(), strict=True))
        del self.best[self.links.null]

    def translate(self, source: Sequence[int]) -> list[int]:
        """Return the most probable target word of each source word, in the same order.

        Args:
            source: the numbers of the words of a sentence. Words that were never seen
                are left out.
        """
        return [self.best[word] for word in source if word in self.best]


def _check_pairs(sources: Sentences, targets: Sentences) -> None:
    """Refuse unequal numbers of sentences, and targets without a word."""
    if len(sources) != len(targets) or not any(len(target) for target in targets):
        rule = "sources and targets must be equally many, with a word in some target"
        raise ValueError(f"{rule}: got {len(sources)}, {len(targets)}")


def _check_words(**words: Tensor) -> None:
    """Refuse words that are no integers, or negative."""
    check_integer(**words)
    for name, numbers in words.items():
        if numbers.min() < 0:
            raise ValueError(f"{name} must be at least 0: got {int(numbers.min())}")
