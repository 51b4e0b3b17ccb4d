"""Spoken digits: every frame where the archive has it, padding after the end, parts that are alike and apart."""

import hashlib
import io

import numpy as np
import pytest
import torch

from dlbook.data import speech, store


@pytest.fixture(scope="module")
def digits():
    return speech.spoken_digits()


@pytest.fixture(scope="module")
def whole():
    return speech._read_sequences(store.folder_of("spoken-digits") / "digits.npz")


def test_the_parts_are_balanced(digits):
    for part, each in ((digits.train, 200), (digits.validation, 50), (digits.test, 50)):
        assert part.labels.bincount().tolist() == [each] * 10
        assert len(part) == 10 * each and part.features.shape == (10 * each, 92, 13)
        assert part.features.dtype == torch.float32
        assert part.lengths.dtype == part.labels.dtype == torch.int64
        assert part.labels[:40].unique().numel() > 5  # the digits come mixed


def test_lengths(whole):
    assert (whole.lengths.min(), whole.lengths.max(), whole.lengths.sum()) == (6, 92, 53_999)
    assert whole.lengths.median() == 17


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_padding_is_zero_and_nothing_else_is(digits, name):
    part = getattr(digits, name)
    assert not part.features[~part.real].any()
    assert part.features[part.real].any(-1).all()
    assert part.real.sum(1).equal(part.lengths)


def test_every_frame_is_that_of_the_archive(whole):
    with np.load(store.folder_of("spoken-digits") / "digits.npz", allow_pickle=False) as archive:
        frames, labels, lengths = archive["X"], archive["y"], archive["lengths"]
    assert whole.labels.tolist() == labels.tolist() and whole.lengths.tolist() == lengths.tolist()
    begin = 0
    for n, length in enumerate(lengths.tolist()):
        if n % 100 == 0 or n == len(lengths) - 1:
            assert whole.features[n, :length].tolist() == frames[begin : begin + length].tolist()
        begin += length


def test_no_recording_is_in_two_parts(digits, whole):
    def prints(part):
        return {hashlib.sha256(features.numpy()).digest() for features in part.features}

    parts = [prints(part) for part in (digits.train, digits.validation, digits.test)]
    assert [len(part) for part in parts] == [2_000, 500, 500]  # and none is there twice
    assert set.union(*parts) == prints(whole) and len(prints(whole)) == 3_000


def test_the_same_seed_gives_the_same_parts(digits):
    again, other = speech.spoken_digits(), speech.spoken_digits(test_per_class=30, seed=1)
    assert again.test.features.equal(digits.test.features)
    assert len(other.test) == len(other.validation) == 300 and len(other.train) == 2_400
    assert not other.test.features[:50].equal(digits.test.features[:50])


def test_the_catalogue_knows_the_size(whole):
    for member in store.find("spoken-digits").members:
        assert (store.folder_of("spoken-digits") / member.file).stat().st_size == member.bytes


# --- reading ----------------------------------------------------------------------------------------------------------


def written(tmp_path, **arrays):
    lengths = arrays.pop("lengths", np.array([2, 1]))
    contents = {"X": np.arange(39, dtype=np.float32).reshape(3, 13), "y": np.array([4, 7]), "lengths": lengths}
    contents |= arrays
    np.savez(tmp_path / "some.npz", **{name: array for name, array in contents.items() if array is not None})
    return tmp_path / "some.npz"


def test_a_small_archive(tmp_path):
    read = speech._read_sequences(written(tmp_path, X=np.arange(39, dtype=np.float64).reshape(3, 13)))
    assert read.features.shape == (2, 2, 13)
    assert read.features[0].flatten().tolist() == list(range(26))
    assert read.features[1].flatten().tolist() == [*range(26, 39), *[0] * 13]
    assert (read.lengths.tolist(), read.labels.tolist()) == ([2, 1], [4, 7])
    assert read.real.tolist() == [[True, True], [True, False]]


BAD = np.full((3, 13), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dict(y=None, lengths=None), "^some.npz must hold X, y and lengths: got no lengths, y$"),
        (dict(X=np.zeros((3, 12))), r"^X in some.npz must hold rows of 13 finite numbers: got shape \(3, 12\)"),
        (dict(X=np.zeros(39)), r"must hold rows of 13 finite numbers: got shape \(39,\)"),
        (dict(X=BAD), "must hold rows of 13 finite numbers"),
        (dict(y=np.array([1, 2, 3])), r"^y and lengths in some.npz must be of one length: got \(3,\), \(2,\)"),
        (dict(y=np.zeros(0, int), lengths=np.zeros(0, int)), r"must be of one length: got \(0,\), \(0,\)"),
        (dict(lengths=np.array([2, 2])), "add up to the 3 rows of X: got a least of 2 and a sum of 4"),
        (dict(lengths=np.array([3, 0])), "must be at least 1 .*: got a least of 0 and a sum of 3"),
    ],
)
def test_what_is_no_such_archive_is_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        speech._read_sequences(written(tmp_path, **arrays))


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_nothing_is_unpickled(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle=False"):
        speech._read_sequences(written(tmp_path, X=np.array([Harmful()], dtype=object)))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Harmful()], dtype=object), allow_pickle=True)
    (tmp_path / "array.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        speech._read_sequences(tmp_path / "array.npy")
