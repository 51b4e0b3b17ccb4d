"""A table that is a picture: windows of a satellite's view, put together again, and split without overlap."""

from collections import deque

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.nn.functional import max_pool2d

from dlbook.data.splits import Parts, stratify
from dlbook.data.store import fetch
from dlbook.data.tables import Table, read_table

PIXELS = ("north-west", "north", "north-east", "west", "centre", "east", "south-west", "south", "south-east")
BANDS = ("green", "red", "infrared 1", "infrared 2")
SATELLITE = {f"{pixel}, {band}": True for pixel in PIXELS for band in BANDS}
SOILS = {
    "1": "red soil",
    "2": "cotton",
    "3": "grey soil",
    "4": "damp grey soil",
    "5": "vegetation stubble",
    "7": "very damp grey soil",
}
TILE = (16, 14)  # of rows and columns of the picture, which has 80 and 98


def satellite(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load the Landsat table: what covers a spot of the earth, by the light of nine pixels in four bands.

    Each row is a window of three by three pixels; the label is what its centre is. The windows are one picture, cut up
    with overlap: it can be put together again from the numbers alone, all but one window. In a random split, therefore,
    19 of 20 rows of the test have a neighbour in training that shows six of its nine pixels, and learning by heart
    pays. Here the picture is cut into 35 tiles, and whole tiles go to each part. Training and validation lose the
    windows that overlap what is held out, so that no pixel is in two parts: some 3,100, 1,200 and 1,300 rows remain,
    with other shares of the classes in each part.

    Args:
        test_fraction: how much of the tiles goes to validation, and as much to the test; at most a third.
        seed: decides which.

    Raises:
        OSError: The data can neither be found nor fetched; see `dlbook.data.store.fetch`.

    Source: Srinivasan 1993, doi:10.24432/C55887.
    """
    table = read_table(fetch("satellite") / "satimage.dat", SATELLITE, SOILS)
    places = places_of(table.numbers)
    tiles = places[:, 0] // TILE[0] * 7 + places[:, 1] // TILE[1]  # (rows,)
    placed = (places >= 0).all(1)
    drawn = stratify([0] * 35, test_fraction, seed)
    train, validation, test = (
        placed & torch.isin(tiles, torch.tensor(part)) for part in (drawn.train, drawn.validation, drawn.test)
    )
    validation &= ~overlapping(places, test)
    train &= ~overlapping(places, validation | test)
    return Parts(*(table.choose(part.nonzero()[:, 0].tolist()) for part in (train, validation, test)))


def places_of(windows: Float64[Tensor, "rows 36"]) -> Int64[Tensor, "rows 2"]:
    """Put a picture together again: give row and column of each window, or -1 where it does not hang together.

    Two windows are neighbours if six pixels of one are six pixels of the other, in all four bands.
    """
    pixels = windows.reshape(-1, 3, 3, 4).numpy()
    neighbours: list[list[tuple[int, int, int]]] = [[] for _ in pixels]
    for down, right in ((0, 1), (1, 0)):
        starts = {window[: 3 - down, : 3 - right].tobytes(): n for n, window in enumerate(pixels)}
        for n, window in enumerate(pixels):
            near = starts.get(window[down:, right:].tobytes(), n)
            if near != n:
                neighbours[n].append((near, down, right))
                neighbours[near].append((n, -down, -right))
    places = {0: (0, 0)}
    queue = deque([0])
    while queue:
        n = queue.popleft()
        for near, down, right in neighbours[n]:
            if near not in places:
                places[near] = (places[n][0] + down, places[n][1] + right)
                queue.append(near)
    found = torch.tensor(list(places.values()))
    result = torch.full((len(pixels), 2), -1)
    result[list(places)] = found - found.min(0).values
    return result


def overlapping(places: Int64[Tensor, "rows 2"], held: Bool[Tensor, " rows"]) -> Bool[Tensor, " rows"]:
    """Find the windows that share a pixel with one of those held: at most two rows and columns apart."""
    picture = torch.zeros(1, 1, *(places.max(0).values + 1).tolist())
    picture[0, 0, places[held, 0], places[held, 1]] = 1
    return max_pool2d(picture, 5, stride=1, padding=2)[0, 0, places[:, 0], places[:, 1]] > 0
