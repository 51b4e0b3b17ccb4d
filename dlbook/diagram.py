"""Schematic drawings: boxes with names and shapes, and the arrows between them.

A drawing has inches as its unit, from the lower left corner, so that text, boxes and
the page are measured alike.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from dlbook.plot import GREY

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle of a drawing.

    Args:
        centre: its middle, in inches.
        width: in inches.
        height: in inches.
    """

    centre: Point
    width: float
    height: float

    def edge(self, towards: Point) -> Point:
        """Return where the line from the centre to another point leaves the box.

        Args:
            towards: the other point, in inches.
        """
        dx, dy = (other - own for own, other in zip(self.centre, towards, strict=True))
        reaches = [
            half / abs(step)
            for half, step in ((self.width / 2, dx), (self.height / 2, dy))
            if step
        ]
        share = min(reaches, default=0.0)
        return self.centre[0] + share * dx, self.centre[1] + share * dy


class Diagram:
    """A schematic drawing on an empty page.

    Args:
        width: of the page, in inches; the book's figures have 7.2.
        height: of the page, in inches.

    Raises:
        ValueError: width or height is not above zero.
    """

    def __init__(self, width: float = 7.2, height: float = 2.4):
        for name, value in (("width", width), ("height", height)):
            if not value > 0:
                raise ValueError(f"{name} must be above zero: got {value}")
        figure = plt.figure(figsize=(width, height), layout="none")
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(0, height)
        self.axes.axis("off")

    def box(
        self,
        centre: Point,
        text: str,
        shape: str = "",
        width: float = 1.3,
        height: float = 0.6,
        colour: str = GREY,
    ) -> Box:
        """Draw a box with a name, and return it for arrows.

        Args:
            centre: its middle, in inches.
            text: what stands in it.
            shape: what it holds or returns, such as "32 × 384", in small letters below.
            width: in inches.
            height: in inches.
            colour: of its frame; it is filled with a light tint of it.
        """
        x, y = centre
        frame = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            edgecolor=colour,
            facecolor=(colour, 0.12),
            linewidth=1.4,
        )
        self.axes.add_patch(frame)
        above = 0.1 if shape else 0
        self.text((x, y + above), text)
        if shape:
            self.text((x, y - 0.14), shape, size=8, colour="0.35")
        return Box(centre, width, height)

    def arrow(
        self,
        first: Box | Point,
        last: Box | Point,
        label: str = "",
        dashed: bool = False,
        bend: float = 0.0,
        colour: str = "0.3",
    ) -> None:
        """Draw an arrow from the edge of a box, or a point, to another.

        Args:
            first: where it begins.
            last: where its head is.
            label: written above its middle.
            dashed: for what is not always there, such as a gradient.
            bend: how far it curves to the right of its way, as a part of its length.
            colour: of the line.
        """
        begin = first.centre if isinstance(first, Box) else first
        goal = last.centre if isinstance(last, Box) else last
        tail = first.edge(goal) if isinstance(first, Box) else first
        head = last.edge(begin) if isinstance(last, Box) else last
        line = FancyArrowPatch(
            tail,
            head,
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=1,
            shrinkB=1,
            linewidth=1.2,
            linestyle="--" if dashed else "-",
            connectionstyle=f"arc3,rad={bend}",
            color=colour,
        )
        self.axes.add_patch(line)
        if label:
            middle = ((tail[0] + head[0]) / 2, (tail[1] + head[1]) / 2 + 0.13)
            self.text(middle, label, size=8, colour="0.35")

    def text(
        self, at: Point, text: str, size: float = 9.5, colour: str = "0.1"
    ) -> None:
        """Write text around a point.

        Args:
            at: its middle, in inches.
            text: in several lines, perhaps.
            size: of the letters, in points.
            colour: of the letters.
        """
        self.axes.text(*at, text, size=size, color=colour, ha="center", va="center")
