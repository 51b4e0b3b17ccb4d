"""A table that is an image: overlapping windows of it, split without leakage."""

from collections import deque

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.nn.functional import max_pool2d

from dlbook._check import check_shape
from dlbook.data.splits import Parts, stratify
from dlbook.data.store import fetch
from dlbook.data.tables import Table, read_table

PIXELS = (
    "north-west",
    "north",
    "north-east",
    "west",
    "centre",
    "east",
    "south-west",
    "south",
    "south-east",
)
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
TILE = (16, 14)  # rows and columns of a tile; the image has 80 rows and 98 columns


def satellite(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load the Landsat table: land cover, by the nine pixels around it in four bands.

    Each row is a window of three by three pixels; the label is what its centre shows.
    The windows are one image, cut up with overlap: it can be put together again from
    the numbers alone, all but one window. In a random split, therefore, 19 of 20 rows
    of the test set have a neighbour in the training set that shows six of its nine
    pixels, and memorising pays. Here the image is cut into 35 tiles, and whole tiles go
    to each part. Training and validation set lose the windows that overlap what is held
    out, so that no pixel is in two parts: some 3,100, 1,200 and 1,300 rows remain, with
    other proportions of the classes in each part.

    Args:
        test_fraction: how much of the tiles goes to the validation set, and as much to
            the test set; at most a third.
        seed: of the split.

    Returns:
        The three tables.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Srinivasan 1993, doi:10.24432/C55887.
    """
    table = read_table(fetch("satellite") / "satimage.dat", SATELLITE, SOILS)
    positions = find_positions(table.numbers)
    tiles = positions[:, 0] // TILE[0] * 7 + positions[:, 1] // TILE[1]  # (rows,)
    placed = (positions >= 0).all(1)
    drawn = stratify([0] * 35, test_fraction, seed)
    train, validation, test = (
        placed & torch.isin(tiles, torch.tensor(part))
        for part in (drawn.train, drawn.validation, drawn.test)
    )
    validation &= ~_overlapping(positions, test)
    train &= ~_overlapping(positions, validation | test)
    return Parts(
        *(
            table.choose(part.nonzero()[:, 0].tolist())
            for part in (train, validation, test)
        )
    )


def find_positions(windows: Float64[Tensor, "rows 36"]) -> Int64[Tensor, "rows 2"]:
    """Find the row and column of each window in the image that they make up.

    Two windows are neighbours if six pixels of one are six pixels of the other, in all
    four bands. A breadth-first search follows neighbours from the first window.

    Args:
        windows: three by three pixels in four bands, row by row.

    Returns:
        Rows and columns, the least of them 0; -1 for a window that the search did not
        reach.

    Raises:
        ValueError: There are no windows, or they have another number of values.
    """
    _check_windows(windows)
    pixels = windows.reshape(-1, 3, 3, 4).numpy()
    neighbours: list[list[tuple[int, int, int]]] = [[] for _ in pixels]
    for down, right in ((0, 1), (1, 0)):
        corners = {
            window[: 3 - down, : 3 - right].tobytes(): n
            for n, window in enumerate(pixels)
        }
        for n, window in enumerate(pixels):
            near = corners.get(window[down:, right:].tobytes(), n)
            if near != n:
                neighbours[n].append((near, down, right))
                neighbours[near].append((n, -down, -right))
    positions = {0: (0, 0)}
    queue = deque([0])
    while queue:
        n = queue.popleft()
        for near, down, right in neighbours[n]:
            if near not in positions:
                positions[near] = (positions[n][0] + down, positions[n][1] + right)
                queue.append(near)
    found = torch.tensor(list(positions.values()))
    result = torch.full((len(pixels), 2), -1)
    result[list(positions)] = found - found.min(0).values
    return result


def _check_windows(windows: Tensor) -> None:
    """Refuse no windows, and windows of another shape."""
    check_shape("windows", windows, "rows", 36)
    if len(windows) == 0:
        raise ValueError("windows must hold at least one: got none")


def _overlapping(
    at: Int64[Tensor, "rows 2"], excluded: Bool[Tensor, " rows"]
) -> Bool[Tensor, " rows"]:
    """Find windows, by their positions, that share a pixel with an excluded one.

    Those are at most two rows and two columns apart.
    """
    image = torch.zeros(1, 1, *(at.max(0).values + 1).tolist())
    image[0, 0, at[excluded, 0], at[excluded, 1]] = 1
    return max_pool2d(image, 5, stride=1, padding=2)[0, 0, at[:, 0], at[:, 1]] > 0
