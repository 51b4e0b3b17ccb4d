"""Figures: what is drawn, where labels stand, and that bad arrays are refused."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from dlbook import plot


@pytest.fixture(autouse=True)
def styled():
    plot.style()
    yield
    plt.close("all")


def test_style_gives_a_clear_background_and_a_fixed_canvas():
    figure, axes = plt.subplots()
    axes.plot([0, 1e9])
    figure.canvas.draw()
    assert figure.get_facecolor()[3] == 0 and axes.get_facecolor()[3] == 0
    assert np.asarray(figure.canvas.buffer_rgba()).shape == (468, 936, 4)


def test_style_in_a_notebook_stops_cropping():
    config = pytest.importorskip("matplotlib_inline.config")
    plot.style()
    assert config.InlineBackend.instance().print_figure_kwargs == {"bbox_inches": None}


def test_images():
    axes = plot.images(np.arange(24.0).reshape(6, 2, 2), titles=list("abcdef"), columns=4)
    assert [a.get_title() for a in axes] == list("abcdef")
    assert {a.images[0].get_clim() for a in axes} == {(0, 23)}  # one scale for all
    assert len(axes[0].figure.axes) == 8
    assert plot.images(np.array([[[-3.0, 1.0]]]))[0].images[0].get_clim() == (-3, 3)


@pytest.mark.parametrize(
    "images, titles, message",
    [
        (np.zeros((2, 2)), None, r"images must have the shape \(n, height, width\) with n at least 1: got \(2, 2\)"),
        (np.zeros((0, 2, 2)), None, r"got \(0, 2, 2\)"),
        (np.zeros((2, 2, 2)), ["a"], "titles must be as many as images, 2: got 1"),
    ],
)
def test_images_refuses(images, titles, message):
    with pytest.raises(ValueError, match=message):
        plot.images(images, titles)


def test_labels_stand_at_the_ends_apart_and_in_order():
    _, axes = plt.subplots()
    for name, end in {"low": 0.0, "b": 1.0, "a": 0.999, "none": None}.items():
        axes.plot([0, 1], [0.5, end if end is not None else 0.5], label="_hidden" if end is None else name)
    plot.label_lines(axes)
    places = {t.get_text(): t.xy[1] for t in axes.texts}
    assert set(places) == {"low", "a", "b"}
    assert places["b"] - places["a"] >= 0.0649 and places["a"] - places["low"] > 0.5
    assert max(places.values()) <= 1


def test_labels_of_light_lines_are_darker_than_the_lines():
    _, axes = plt.subplots()
    axes.plot([0, 1], color=plot.ORANGE, label="x")
    plot.label_lines(axes)
    assert axes.texts[0].get_color() == plot.LEGIBLE[plot.ORANGE]


def test_dot_plot():
    _, axes = plt.subplots()
    plot.dot_plot(axes, {"ours": [1, 2, 3], "theirs": [5.0]}, unit="accuracy, %")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ours", "theirs"]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3] and list(axes.lines[1].get_xdata()) == [2, 2]
    assert axes.get_xlabel() == "accuracy, %"


def test_confusion_shows_the_counts_and_colours_only_the_errors():
    _, axes = plt.subplots()
    plot.confusion(axes, [[5, 1], [0, 7]], ["cat", "dog"])
    assert {t.get_text() for t in axes.texts} == {"5", "1", "7"}
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"a row and a column for each of 3 names: got \(2, 2\)"):
        plot.confusion(axes, [[5, 1], [0, 7]], ["cat", "dog", "cow"])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32])
def test_tensors_of_any_type_are_drawn_as_arrays_are(dtype):
    numbers = torch.arange(4).reshape(1, 2, 2).to(dtype)
    np.testing.assert_array_equal(plot.images(numbers)[0].images[0].get_array(), [[0, 1], [2, 3]])
    _, axes = plt.subplots()
    plot.dot_plot(axes, {"runs": numbers.flatten()})
    assert list(axes.lines[0].get_xdata()) == [0, 1, 2, 3]
    plot.confusion(axes, numbers[0], ["cat", "dog"])
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 1], [2, 0]])
    plot.images(torch.ones(1, 2, 2, requires_grad=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_would_not_be_drawn_is_refused(bad):
    _, axes = plt.subplots()
    with pytest.raises(ValueError, match="images must be finite: got NaN or infinity"):
        plot.images(np.full((1, 2, 2), bad))
    with pytest.raises(ValueError, match=r"groups\['a'\] must be finite: got NaN or infinity"):
        plot.dot_plot(axes, {"a": [1, bad]})
    with pytest.raises(ValueError, match="matrix must be finite: got NaN or infinity"):
        plot.confusion(axes, [[bad]], ["cat"])
    axes.plot([0, 1], [0, bad], label="x")
    with pytest.raises(ValueError, match="axes must have lines that end in a finite number: got .* for x"):
        plot.label_lines(axes)


def test_groups_and_columns_hold_something():
    _, axes = plt.subplots()
    for values in ([], [[1, 2]]):
        with pytest.raises(ValueError, match="groups must be one or more numbers each"):
            plot.dot_plot(axes, {"a": values})
    with pytest.raises(ValueError, match="columns must be at least 1: got 0"):
        plot.images(np.zeros((1, 2, 2)), columns=0)
