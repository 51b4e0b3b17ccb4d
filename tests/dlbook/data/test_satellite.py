"""The Landsat table: the image in it, and a split in which no pixel is in two parts."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data import store
from dlbook.data.satellite import PIXELS, SATELLITE, SOILS, _overlapping, find_positions, satellite
from dlbook.data.tables import _features_of, read_table, split_table
from tests.dlbook.data.examples import of


@pytest.fixture(scope="module")
def windows():
    return read_table(store.fetch("satellite") / "satimage.dat", SATELLITE, SOILS)


def test_the_image(windows):
    positions = find_positions(windows.numbers)
    assert len(windows) == 6_435 and (positions >= 0).all(1).sum() == 6_434
    assert (positions.min(0).values.tolist(), positions.max(0).values.tolist()) == ([-1, -1], [79, 97])
    seen = {}
    for (row, column), window in zip(positions.tolist(), windows.numbers.reshape(-1, 9, 4).tolist(), strict=True):
        for n, pixel in enumerate(window if row >= 0 else []):
            assert seen.setdefault((row + n // 3, column + n % 3), pixel) == pixel  # all windows agree
    assert len({tuple(position) for position in positions.tolist()}) == 6_435
    assert len(PIXELS) == 9 and Counter(windows.labels.tolist()).keys() == set(range(6))


def test_a_random_split_of_the_image_leaks(windows):
    positions = find_positions(windows.numbers)
    parts = split_table(windows, 0.2)
    assert sum(map(len, of(parts))) == 6_435  # no row is there twice
    position = dict(zip(_features_of(windows), map(tuple, positions.tolist()), strict=True))
    train = {position[row] for row in _features_of(parts.train)}
    near = [
        any((row + a, column + b) in train for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        for row, column in (position[row] for row in _features_of(parts.test))
    ]
    assert np.mean(near) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_no_pixel_is_in_two_parts(windows, seed):
    position = dict(zip(_features_of(windows), find_positions(windows.numbers).tolist(), strict=True))
    parts = satellite(seed=seed)
    pixels = [
        {(row + a, column + b) for row, column in map(position.get, rows) for a in range(3) for b in range(3)}
        for rows in map(_features_of, of(parts))
    ]
    assert not (pixels[0] & pixels[1] or pixels[0] & pixels[2] or pixels[1] & pixels[2])
    for part, (low, high) in zip(of(parts), ((2_900, 3_400), (1_000, 1_400), (1_100, 1_500)), strict=True):
        assert low < len(part) < high and (part.labels.bincount() > 0).tolist() == [True] * 6


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40), st.randoms())
def test_overlap(found, random):
    positions = torch.tensor(sorted(found))
    held_out = torch.tensor([random.random() < 0.3 for _ in found])
    expected = [any((position - other).abs().max() <= 2 for other in positions[held_out]) for position in positions]
    assert _overlapping(positions, held_out).tolist() == expected


def test_windows_that_hang_together_with_nothing():
    image = torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    windows = [image[row : row + 3, column : column + 3].reshape(-1) for row in range(2) for column in range(3)]
    order = [4, 0, 5, 2, 1, 3]
    lone = torch.zeros(36).double()
    found = find_positions(torch.stack([*(windows[n] for n in order), lone]))
    assert found.tolist() == [*([n // 3, n % 3] for n in order), [-1, -1]]
