"""The book's figures: one style, and the few kinds of picture that chapters share. Arrays in, Axes out.

Backgrounds are transparent, so that the site can turn figures over in dark mode; the canvas is fixed, so that a figure
has the same size on every machine; colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

import sys
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.rcsetup import cycler
from numpy.typing import ArrayLike

BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#777777"
COLOURS = [BLUE, ORANGE, GREEN, PINK, SKY, RED]
LEGIBLE = {ORANGE: "#9C6B00", SKY: "#1F77A8", GREEN: "#00745A", PINK: "#A8437F", RED: "#B04A00"}  # darker, for letters


def style() -> None:
    """Set matplotlib to the book's style, for all figures that follow."""
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.6),
            "figure.dpi": 130,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "font.size": 10,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
        }
    )
    inline = sys.modules.get("matplotlib_inline.config")
    if inline is not None:  # a notebook crops figures to what is drawn, unless told otherwise
        inline.InlineBackend.instance().print_figure_kwargs = {"bbox_inches": None}


def images(
    pictures: ArrayLike, titles: Sequence[str] | None = None, columns: int = 10, cmap: str = "gray_r"
) -> np.ndarray:
    """Show pictures of shape (n, height, width) in rows, all on one scale of grey.

    Returns:
        The Axes, one for each picture.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 3 or len(pictures) == 0:
        raise ValueError(f"pictures must have the shape (n, height, width) with n at least 1: got {pictures.shape}")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"titles must be as many as pictures, {len(pictures)}: got {len(titles)}")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width = 7.2 / columns
    height = width * pictures.shape[1] / pictures.shape[2] + (0.28 if titles is not None else 0.04)
    _, grid = plt.subplots(rows, columns, figsize=(7.2, rows * height), squeeze=False)
    limit = np.abs(pictures).max()
    low = -limit if pictures.min() < 0 else 0
    for axes, picture in zip(grid.flat, pictures, strict=False):
        axes.imshow(picture, cmap=cmap, vmin=low, vmax=limit)
    for axes, title in zip(grid.flat, titles or [], strict=False):
        axes.set_title(title, fontsize=8, loc="center")
    for axes in grid.flat:
        axes.axis("off")
    return grid.ravel()[: len(pictures)]


def label_lines(axes: Axes, gap: float = 0.065) -> None:
    """Write each line's label at its right end, in its colour, instead of a legend.

    Args:
        gap: the least distance between two labels, as a share of the height of the axes.
    """
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform(np.asarray(line.get_xydata())[-1]))[1]
        for line in lines
    ]
    order = np.argsort(heights)
    places = np.asarray(heights)[order]
    for i in range(1, len(places)):  # push apart upwards, then let the top ones sink back into the frame
        places[i] = max(places[i], places[i - 1] + gap)
    top = 1.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], top)
        top = places[i] - gap
    for place, i in zip(places, order, strict=True):
        colour = lines[i].get_color()
        axes.annotate(
            str(lines[i].get_label()), (1, place), (6, 0), "axes fraction", textcoords="offset points",
            color=LEGIBLE.get(colour, colour), va="center", annotation_clip=False,
        )  # fmt: skip


def dots(axes: Axes, groups: Mapping[str, ArrayLike], unit: str = "") -> None:
    """Draw one row for each group: a dot for each run, and a bar at their mean."""
    for row, runs in enumerate(groups.values()):
        values, colour = np.asarray(runs, dtype=float), COLOURS[row % len(COLOURS)]
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.55, markersize=6, markeredgewidth=0)
        axes.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(unit)


def confusion(axes: Axes, matrix: ArrayLike, names: Sequence[str]) -> None:
    """Draw a confusion matrix with its counts, rows the truth, columns the prediction; only errors are coloured."""
    counts = np.asarray(matrix)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"matrix must have a row and a column for each of {len(names)} names: got {counts.shape}")
    errors = np.where(np.eye(len(names), dtype=bool), 0, counts)
    axes.imshow(errors, cmap="Oranges", vmax=1.3 * max(1, errors.max()))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(j, i, str(count), ha="center", va="center", fontsize=8, weight="bold" if i == j else "normal")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
