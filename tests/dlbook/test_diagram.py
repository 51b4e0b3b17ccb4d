"""Schematic drawings: where boxes and arrows lie, and what is refused."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from dlbook import plot
from dlbook.diagram import Box, Diagram

# Whole numbers are inches, too, which beartype would refuse
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def styled():
    plot.style()
    yield
    plt.close("all")


def test_the_page_is_measured_in_inches():
    drawing = Diagram(5, 2)
    figure = drawing.axes.figure
    assert figure.get_size_inches().tolist() == [5, 2]
    figure.canvas.draw()
    first, second = drawing.axes.transData.transform([(0, 0), (1, 1)])
    assert (second - first).tolist() == pytest.approx([figure.dpi, figure.dpi])


@pytest.mark.parametrize(
    "towards, edge",
    [
        ((9, 1), (4, 1)),  # to the right: half the width
        ((3, 9), (3, 2)),  # up: half the height
        ((5, 3), (4, 2)),  # to the corner
        ((1, 0), (1 + 2 / 2, 0.5)),  # down and left: the line leaves through the left side
        ((3, 1), (3, 1)),  # to itself
    ],
)
def test_a_line_leaves_a_box_at_its_edge(towards, edge):
    assert Box((3, 1), width=2, height=2).edge(towards) == pytest.approx(edge)


def test_a_box_holds_its_name_and_its_shape():
    drawing = Diagram()
    box = drawing.box((1, 1), "encoder", "32 × 384", width=1.4, height=0.8, colour=plot.BLUE)
    assert box == Box((1, 1), 1.4, 0.8)
    (frame,) = [patch for patch in drawing.axes.patches if isinstance(patch, FancyBboxPatch)]
    assert frame.get_bbox().bounds == pytest.approx((0.3, 0.6, 1.4, 0.8))
    name, shape = drawing.axes.texts
    assert (name.get_text(), shape.get_text()) == ("encoder", "32 × 384")
    assert name.get_position()[1] > 1 > shape.get_position()[1]


def test_a_name_without_a_shape_stands_in_the_middle():
    drawing = Diagram()
    drawing.box((2, 1), "loss")
    assert [text.get_position() for text in drawing.axes.texts] == [(2, 1)]


def test_an_arrow_goes_from_edge_to_edge_with_its_label_above():
    drawing = Diagram()
    first, second = drawing.box((1, 1), "a", width=1), drawing.box((4, 1), "b", width=1)
    drawing.arrow(first, second, "logits", dashed=True)
    (line,) = [patch for patch in drawing.axes.patches if isinstance(patch, FancyArrowPatch)]
    tail, head = line._posA_posB
    assert (tail, head) == (pytest.approx((1.5, 1)), pytest.approx((3.5, 1)))
    assert line.get_linestyle() == "--"
    label = drawing.axes.texts[-1]
    assert label.get_text() == "logits" and label.get_position() == pytest.approx((2.5, 1.13))


def test_arrows_between_points():
    drawing = Diagram()
    drawing.arrow((0.5, 0.5), (1.5, 0.5))
    (line,) = drawing.axes.patches
    assert line._posA_posB == [(0.5, 0.5), (1.5, 0.5)] and not drawing.axes.texts


@pytest.mark.parametrize("sizes, name", [({"width": 0}, "width"), ({"height": -1}, "height")])
def test_a_page_without_area_is_refused(sizes, name):
    with pytest.raises(ValueError, match=f"^{name} must be above zero: got"):
        Diagram(**sizes)
