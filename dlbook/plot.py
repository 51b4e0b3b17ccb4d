"""The book's figures: one style, and the kinds of figure that several chapters share.

Backgrounds are transparent, so that the site can invert figures in dark mode; the
canvas is fixed, so that a figure has the same size on every machine; colours are those
of Okabe and Ito, which colour-blind readers can tell apart. Arrays may be tensors, on
any device.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.rcsetup import cycler
from numpy.typing import ArrayLike

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, RED, GREY = "#56B4E9", "#D55E00", "#777777"
COLOURS = [BLUE, ORANGE, GREEN, PINK, SKY, RED]
LEGIBLE = {  # darker, for letters
    ORANGE: "#9C6B00",
    SKY: "#1F77A8",
    GREEN: "#00745A",
    PINK: "#A8437F",
    RED: "#B04A00",
}


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
    if inline is not None:  # a notebook crops figures to what is drawn by default
        inline.InlineBackend.instance().print_figure_kwargs = {"bbox_inches": None}


def images(
    images: ArrayLike,
    titles: Sequence[str] | None = None,
    columns: int = 10,
    cmap: str = "gray_r",
) -> np.ndarray:
    """Plot greyscale images in rows, all on one scale.

    Args:
        images: (n, height, width).
        titles: one for each image.
        columns: images in a row.
        cmap: matplotlib's name of the colour map.

    Returns:
        The Axes, one for each image.

    Raises:
        ValueError: images does not have this shape or holds NaN or infinity, titles are
            not as many, or columns is less than 1.
    """
    images = _finite("images", images)
    if images.ndim != 3 or len(images) == 0:
        raise ValueError(
            "images must have the shape (n, height, width) with n at least 1: "
            f"got {images.shape}"
        )
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"titles must be as many as images, {len(images)}: got {len(titles)}"
        )
    if columns < 1:
        raise ValueError(f"columns must be at least 1: got {columns}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width = 7.2 / columns
    above = 0.28 if titles is not None else 0.04
    height = width * images.shape[1] / images.shape[2] + above
    _, grid = plt.subplots(rows, columns, figsize=(7.2, rows * height), squeeze=False)
    limit = np.abs(images).max()
    low = -limit if images.min() < 0 else 0
    for axes, image in zip(grid.flat, images, strict=False):
        axes.imshow(image, cmap=cmap, vmin=low, vmax=limit)
    for axes, title in zip(grid.flat, titles or [], strict=False):
        axes.set_title(title, fontsize=8, loc="center")
    for axes in grid.flat:
        axes.axis("off")
    return grid.ravel()[: len(images)]


def label_lines(axes: Axes, gap: float = 0.065) -> None:
    """Write each line's label at its right end, in its colour, instead of a legend.

    Args:
        axes: where lines with labels have been drawn.
        gap: the least distance of two labels, as a fraction of the height of the axes.

    Raises:
        ValueError: A line ends in NaN or infinity, where no label can be.
    """
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    ends = [np.asarray(line.get_xydata())[-1] for line in lines]
    for line, end in zip(lines, ends, strict=True):
        if not np.isfinite(end).all():
            raise ValueError(
                "axes must have lines that end in a finite number: "
                f"got {end} for {line.get_label()}"
            )
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = np.asarray([to_axes.transform(end)[1] for end in ends])
    order = np.argsort(heights)
    heights = heights[order]
    for i in range(1, len(heights)):  # push labels apart, upwards
        heights[i] = max(heights[i], heights[i - 1] + gap)
    top = 1.0
    for i in reversed(range(len(heights))):  # and back below the top of the axes
        heights[i] = min(heights[i], top)
        top = heights[i] - gap
    for height, i in zip(heights, order, strict=True):
        colour = lines[i].get_color()
        axes.annotate(
            str(lines[i].get_label()),
            (1, height),
            (6, 0),
            "axes fraction",
            textcoords="offset points",
            color=LEGIBLE.get(colour, colour),
            va="center",
            annotation_clip=False,
        )


def dot_plot(axes: Axes, groups: Mapping[str, ArrayLike], unit: str = "") -> None:
    """Draw a dot plot: a row for each group, with a dot for each run and their mean.

    Args:
        axes: where to draw.
        groups: the results of the runs, by the name of the group.
        unit: what is written below the axis.

    Raises:
        ValueError: A group is empty, or holds NaN or infinity.
    """
    for row, (name, runs) in enumerate(groups.items()):
        values = _finite(f"groups[{name!r}]", runs).astype(float)
        if values.ndim != 1 or not len(values):
            raise ValueError(
                f"groups must be one or more numbers each: got {values.shape} "
                f"for {name!r}"
            )
        colour, mean = COLOURS[row % len(COLOURS)], values.mean()
        axes.plot(
            values,
            np.full(len(values), row),
            "o",
            color=colour,
            alpha=0.55,
            markersize=6,
            markeredgewidth=0,
        )
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(unit)


def confusion(axes: Axes, matrix: ArrayLike, names: Sequence[str]) -> None:
    """Draw a confusion matrix with its counts; only errors are coloured.

    Args:
        axes: where to draw.
        matrix: counts, with the truth in rows and the prediction in columns.
        names: of the classes.

    Raises:
        ValueError: matrix is not of this shape, or holds NaN or infinity.
    """
    counts = _finite("matrix", matrix)
    if counts.shape != (len(names), len(names)):
        raise ValueError(
            f"matrix must have a row and a column for each of {len(names)} names: "
            f"got {counts.shape}"
        )
    errors = np.where(np.eye(len(names), dtype=bool), 0, counts)
    axes.imshow(errors, cmap="Oranges", vmax=1.3 * max(1, errors.max()))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            weight = "bold" if i == j else "normal"
            axes.text(
                j, i, str(count), ha="center", va="center", fontsize=8, weight=weight
            )
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _finite(name: str, values: Any) -> np.ndarray:
    """Return numbers as an array; refuse NaN and infinity, which would not be drawn.

    Args:
        name: of the argument, for the message.
        values: an array or a tensor, which may lie on a GPU or need gradients.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.dtype.itemsize < 4 and values.is_floating_point():
            values = values.float()  # NumPy has no bfloat16
    array = np.asarray(values)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite: got NaN or infinity")
    return array
