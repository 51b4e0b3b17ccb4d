"""A dictionary learnt from translated sentences alone: IBM model 1, and translation word by word."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Sentences = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Links:
    """Every way in which a source word could have produced a target word of the same pair of sentences.

    Each sentence also holds the empty word, for what has no counterpart; its number is one above all source words.
    """

    source: Int[Tensor, " entries"]  # the pairs of words that occur together, each once: the dictionary's entries
    target: Int[Tensor, " entries"]
    entry: Int[Tensor, " links"]  # to which entry a link belongs
    position: Int[Tensor, " links"]  # which target word it explains, counted over all sentences
    choices: Int[Tensor, " positions"]  # how many source words could have produced it, the empty one included

    @property
    def empty(self) -> int:
        """The number of the empty word."""
        return int(self.source.max())


def link(sources: Sentences, targets: Sentences) -> Links:
    """List all links between the words of paired sentences, given as numbers of words, and the entries they belong to.

    A pair whose target is empty has none.
    """
    if len(sources) != len(targets) or not any(len(target) for target in targets):
        raise ValueError(
            f"sources and targets must be equally many, with a word in some target: got {len(sources)}, {len(targets)}"
        )
    empty = 1 + max((max(sentence) for sentence in sources if len(sentence)), default=-1)
    source = torch.tensor([word for sentence in sources for word in (*sentence, empty)])
    target = torch.tensor([word for sentence in targets for word in sentence])
    source_lengths = torch.tensor([len(sentence) + 1 for sentence in sources])
    target_lengths = torch.tensor([len(sentence) for sentence in targets])
    begins = source_lengths.cumsum(0) - source_lengths  # where each sentence begins in `source`
    choices, begin = (each.repeat_interleave(target_lengths) for each in (source_lengths, begins))
    position = torch.arange(len(target)).repeat_interleave(choices)
    nth = torch.arange(len(position)) - (choices.cumsum(0) - choices)[position]  # of the words of its sentence
    words = int(target.max()) + 1
    pairs, entry = (source[begin[position] + nth] * words + target[position]).unique(return_inverse=True)
    return Links(pairs // words, pairs % words, entry, position, choices)


def em_step(
    probability: Float[Tensor, " entries"], links: Links
) -> tuple[Float[Tensor, " entries"], Float[Tensor, ""]]:
    """Improve t(f|e) by one step of expectation and maximisation: share each target word out, count the shares.

    Args:
        probability: t(f|e) for each entry.

    Returns:
        The new probabilities, which make the targets no less likely, and the log-likelihood of the old ones, in nats:
        each target word comes from any word of its source, all equally likely. How long a sentence is, is left out.

    Source: Brown et al. 1993, section 4.1; book equation (3.4.6a).
    """
    t = probability[links.entry]  # (links)
    whole = torch.bincount(links.position, t)  # (positions), what all words of a sentence make of one target word
    counts = torch.bincount(links.entry, t / whole[links.position])  # (entries), the expected counts c(f|e)
    likelihood = (whole / links.choices).log().sum()
    return counts / torch.bincount(links.source, counts)[links.source], likelihood


class IBMModel1:
    """Probabilities t(f|e) that the source word e stands for the target word f, and the best f for each e."""

    def __init__(self, sources: Sentences, targets: Sentences, iterations: int = 5):
        """Learn from pairs of sentences, starting with all translations alike.

        Args:
            sources, targets: the numbers of the words of each sentence.
            iterations: how often to re-estimate.
        """
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1: got {iterations}")
        self.links = link(sources, targets)
        alike = 1 / len(self.links.target.unique())
        self.probability = torch.full((len(self.links.source),), alike, dtype=torch.float64)
        self.likelihoods: list[float] = []  # before each step, in nats
        for _ in range(iterations):
            self.probability, likelihood = em_step(self.probability, self.links)
            self.likelihoods.append(float(likelihood))
        order = self.probability.argsort(descending=True, stable=True).flip(0)  # what comes last remains
        source, target = (words[order].tolist() for words in (self.links.source, self.links.target))
        self.best = dict(zip(source, target, strict=True))
        del self.best[self.links.empty]

    def translate(self, source: Sequence[int]) -> list[int]:
        """Put the best target word for each source word, in the same order; leave out words that were never seen."""
        return [self.best[word] for word in source if word in self.best]
