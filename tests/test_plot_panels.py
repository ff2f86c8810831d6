"""Small multiples: equal frames and dots, shared colours, one legend, and what is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastxai.errors import InvalidInputError
from fastxai.plot import panels, scatter

RNG = np.random.default_rng(0)
KINDS = RNG.integers(0, 3, 200)
PLACES = RNG.normal(size=(200, 2)) + KINDS[:, None] * [6.0, 2.0]
NOISE = RNG.normal(size=(90, 2))


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def colours_of(figure: Figure, number: int) -> Any:
    return np.unique(figure.axes[number].collections[0].get_facecolor(), axis=0)


def test_frames_are_equal_squares() -> None:
    figure = panels([PLACES, 3 * PLACES, PLACES[:50]], ["a", "b", "c\nd"], size=2.0)
    boxes = [axes.get_window_extent() for axes in figure.axes[:3]]
    for box in boxes:
        np.testing.assert_allclose([box.width, box.height], 2.0 * figure.dpi)
        np.testing.assert_allclose(box.y0, boxes[0].y0)


@pytest.mark.parametrize(("limits", "alike"), [("each", False), ("shared", True)])
def test_limits(limits: Any, alike: bool) -> None:
    figure = panels([PLACES, 3 * PLACES], limits=limits)
    one, other = (np.ptp(axes.get_xlim()) for axes in figure.axes[:2])
    assert (one == pytest.approx(other)) == alike
    for axes in figure.axes[:2]:
        assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(axes.get_ylim()))


def test_every_point_is_inside_its_frame() -> None:
    figure = panels([PLACES, 1e-6 * PLACES, np.zeros((4, 2))])
    for axes, places in zip(figure.axes, (PLACES, 1e-6 * PLACES, np.zeros((4, 2))), strict=True):
        low, high = places.min(axis=0), places.max(axis=0)
        assert (low >= [axes.get_xlim()[0], axes.get_ylim()[0]]).all()
        assert (high <= [axes.get_xlim()[1], axes.get_ylim()[1]]).all()


def test_dots_are_as_large_in_every_panel() -> None:
    figure = panels([PLACES, PLACES[:20]])
    sizes = {float(axes.collections[0].get_sizes()[0]) for axes in figure.axes}
    assert len(sizes) == 1


def test_a_mapping_brings_its_titles() -> None:
    figure = panels({"one": PLACES, "two": PLACES})
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]


def test_classes_are_named_once_and_coloured_alike() -> None:
    figure = panels([PLACES, -PLACES], labels=KINDS, names=["x", "y", "z"])
    assert legend_of(figure) == ["x", "y", "z"]
    np.testing.assert_array_equal(colours_of(figure, 0), colours_of(figure, 1))
    assert len(colours_of(figure, 0)) == 3


def test_plain_panels_are_grey_and_may_have_other_points() -> None:
    figure = panels([PLACES, NOISE], labels=KINDS, plain=[1])
    assert len(colours_of(figure, 1)) == 1
    assert legend_of(figure) == ["0", "1", "2"]


def test_points_without_a_class_are_grey_and_named() -> None:
    figure = panels([PLACES], labels=np.where(KINDS == 2, -1, KINDS))
    assert legend_of(figure) == ["0", "1", "unlabelled"]


def test_values_have_one_bar() -> None:
    figure = panels([PLACES, -PLACES], values=PLACES[:, 0], value_label="x")
    assert len(figure.axes) == 3
    assert figure.axes[2].get_ylabel() == "x"


def test_rows_without_places_are_counted_in_the_caption() -> None:
    lost = PLACES.copy()
    lost[:3] = np.nan
    figure = panels([lost, PLACES], captions=["kept 1%", "kept 2%"], labels=KINDS)
    assert figure.axes[0].get_xlabel() == "kept 1%\n3 isolated points not shown"
    assert figure.axes[1].get_xlabel() == "kept 2%"


def test_an_empty_frame_and_an_empty_place() -> None:
    figure = panels([PLACES, None, None], ["a", "failed", ""])
    assert [axes.get_visible() for axes in figure.axes] == [True, True, False]
    assert figure.axes[1].get_title() == "failed"


def test_the_legend_takes_an_empty_place() -> None:
    full = panels([PLACES] * 4, labels=KINDS, columns=2)
    spared = panels([PLACES, None, PLACES, PLACES], labels=KINDS, columns=2)
    assert spared.get_size_inches()[0] < full.get_size_inches()[0]


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (3, 3), (4, 4), (6, 3), (8, 4), (9, 3), (10, 5), (16, 4)]
)
def test_columns_by_default(count: int, columns: int) -> None:
    figure = panels([NOISE] * count)
    tops = [round(axes.get_position().y0, 6) for axes in figure.axes]
    assert tops.count(tops[0]) == columns


@pytest.mark.parametrize(
    ("title", "written"),
    [
        pytest.param("short", "short", id="short"),
        pytest.param("one two three four five", "one two three\nfour five", id="words"),
        pytest.param("first 12345 · second 2", "first 12345\nsecond 2", id="items"),
        pytest.param("a b c d e " * 9, "a b c d e a b\nc d e a b c …", id="too long"),
    ],
)
def test_titles_are_broken(title: str, written: str) -> None:
    assert panels([NOISE], [title], size=1.0).axes[0].get_title() == written


def test_many_points_are_drawn_as_densities() -> None:
    many = RNG.normal(size=(15_000, 2))
    figure = panels([many, NOISE], labels=RNG.integers(0, 3, 15_000), plain=[1])
    assert [len(axes.images) for axes in figure.axes] == [1, 1]
    assert not any(axes.collections for axes in figure.axes)
    assert len(scatter(many).axes[0].collections) == 1  # as large a map shows dots


def test_of_many_classes_the_largest_are_named() -> None:
    labels = np.arange(200) % 70
    figure = panels([PLACES], labels=labels)
    assert len(legend_of(figure)) == 60
    assert figure.legends[0].get_title().get_text() == "the 60 largest classes"
    assert legend_of(panels([PLACES], labels=labels, legend=False)) == []


def test_the_same_input_draws_the_same_picture() -> None:
    one, other = (panels([PLACES, PLACES], labels=KINDS, title="t") for _ in range(2))
    assert png(one) == png(other)
    assert png(one) != png(panels([PLACES, PLACES], labels=KINDS, title="t", random_state=1))


@pytest.mark.parametrize(
    ("embeddings", "options", "message"),
    [
        pytest.param([], {}, "nothing to draw", id="none"),
        pytest.param([None], {}, "nothing to draw", id="only empty ones"),
        pytest.param([np.zeros((4, 3))], {}, "embedding 0", id="three columns"),
        pytest.param([NOISE, np.full((4, 2), np.nan)], {}, "of embedding 1", id="all NaN"),
        pytest.param([NOISE], {"titles": ["a", "b"]}, "2 titles for 1", id="titles"),
        pytest.param([NOISE], {"captions": "a"}, "1 captions", id="captions"),
        pytest.param({"a": NOISE}, {"titles": ["a"]}, "leave titles out", id="two titles"),
        pytest.param([PLACES, NOISE], {"labels": KINDS}, "in plain", id="other points"),
        pytest.param([NOISE], {"values": [1.0]}, "in plain", id="values"),
        pytest.param([PLACES], {"labels": KINDS, "values": KINDS}, "one of them", id="both"),
        pytest.param([NOISE], {"names": ["a"]}, "give labels", id="names"),
        pytest.param([NOISE], {"value_label": "x"}, "give values", id="value_label"),
        pytest.param([NOISE], {"limits": "all"}, "'shared'", id="limits"),
        pytest.param([NOISE], {"density": "no"}, "density", id="density"),
        pytest.param([NOISE], {"density": True, "point_size": 2}, "point_size", id="size"),
        pytest.param([NOISE], {"columns": 0}, "columns=0", id="columns"),
        pytest.param([NOISE], {"size": 0.1}, "inches", id="inches"),
    ],
)
def test_refused(embeddings: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        panels(embeddings, **options)
