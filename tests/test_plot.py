"""Pictures: what is drawn, what is named, what repeats, and what is refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

import fastxai
from fastxai.errors import InvalidInputError
from fastxai.plot import biplot, colours, density, maps, names, scatter, scree
from fastxai.plot.categories import read_categories

RNG = np.random.default_rng(0)
KINDS = RNG.integers(0, 3, 300)
PLACES = RNG.normal(size=(300, 2)) + KINDS[:, None] * [6.0, 2.0]
IRIS = load_iris()


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred points are many."""
    monkeypatch.setattr(maps, "DENSE", 200)


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def written_on(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def dots_of(figure: Figure) -> Any:
    return figure.axes[0].collections[0]


# The sheet


@pytest.mark.parametrize("density", [False, True], ids=["dots", "density"])
@pytest.mark.parametrize("colours", ["labels", "values", "nothing"])
def test_axes_are_equal_and_bare(density: bool, colours: str) -> None:
    given = {} if colours == "nothing" else {colours: KINDS}
    axes = scatter(PLACES, density=density, **given).axes[0]
    assert axes.get_aspect() == 1
    assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0
    assert not any(spine.get_visible() for spine in axes.spines.values())


def test_pyplot_holds_no_figure() -> None:
    import matplotlib.pyplot as plt

    scatter(PLACES)
    assert plt.get_fignums() == []


def test_notebooks_get_a_sharp_png() -> None:
    image, size = scatter(PLACES)._repr_png_()  # type: ignore[attr-defined]
    width, height = struct.unpack(">II", image[16:24])
    assert image.startswith(b"\x89PNG")
    assert (size["width"], size["height"]) == (width // 2, height // 2)
    assert 400 < size["width"] < 700


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_picture_makes_the_same_file(tmp_path: Any, kind: str) -> None:
    files = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for file in files:
        scatter(PLACES, labels=KINDS, legend="medians", title="three").savefig(file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_seed_orders_the_dots() -> None:
    pictures = [png(scatter(PLACES, labels=KINDS, random_state=seed)) for seed in (0, 0, 1)]
    assert pictures[0] == pictures[1] != pictures[2]


def test_many_dots_stay_a_small_pdf(tmp_path: Any) -> None:
    places = RNG.normal(size=(20_000, 2))
    scatter(places).savefig(tmp_path / "map.pdf")
    assert (tmp_path / "map.pdf").stat().st_size < 500_000


def test_title_and_size() -> None:
    figure = scatter(PLACES, title="A map", figsize=(3, 2))
    assert figure.axes[0].get_title() == "A map"
    assert figure.get_size_inches().tolist() == [3, 2]


def test_given_axes_are_drawn_on() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert scatter(PLACES, ax=right) is figure
    assert len(right.collections) == 1
    assert len(left.collections) == 0


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(np.full((5, 2), 3.0), id="all the same"),
        pytest.param(np.zeros((1, 2)), id="one"),
        pytest.param(np.stack([np.arange(9), np.zeros(9)], axis=1), id="on a line"),
        pytest.param(PLACES * 1e-12, id="tiny"),
        pytest.param(PLACES.astype(np.float16), id="float16"),
        pytest.param(pd.DataFrame(PLACES), id="data frame"),
    ],
)
@pytest.mark.parametrize("density", [False, True], ids=["dots", "density"])
def test_unusual_places_are_drawn(places: Any, density: bool) -> None:
    figure = scatter(places, density=density)
    width, height = figure.get_size_inches()
    assert 0.4 < width / height < 2.5
    assert png(figure)


def test_points_without_coordinates_are_left_out_and_counted() -> None:
    places = PLACES.copy()
    places[[3, 5]] = np.nan
    figure = scatter(places, labels=KINDS)
    assert len(dots_of(figure).get_offsets()) == 298
    assert written_on(figure) == ["2 isolated points not shown"]


def test_three_columns_are_drawn_in_space() -> None:
    figure = scatter(np.column_stack([PLACES, KINDS]), labels=KINDS, title="space")
    space: Any = figure.axes[0]
    assert space.name == "3d"
    assert legend_of(figure) == ["0", "1", "2"]
    assert len(space.get_zticks()) == 0


# Dots


def test_dots_are_shuffled_and_keep_their_colours() -> None:
    order = np.argsort(KINDS, kind="stable")
    dots = dots_of(scatter(PLACES[order], labels=KINDS[order]))
    drawn = [tuple(np.round(colour[:3], 6)) for colour in dots.get_facecolors()]
    changes = sum(a != b for a, b in pairwise(drawn))
    assert changes > 100
    by_place = {tuple(place): kind for place, kind in zip(PLACES, KINDS, strict=True)}
    for place, colour in zip(dots.get_offsets(), drawn, strict=True):
        expected = to_rgb(colours.PALETTE[by_place[tuple(place)]])
        assert colour == pytest.approx(expected, abs=1e-5)


def test_unlabelled_dots_lie_beneath() -> None:
    labels = KINDS.copy()
    labels[::2] = -1
    drawn = dots_of(scatter(PLACES, labels=labels)).get_facecolors()[:, :3]
    grey = np.isclose(drawn, to_rgb(colours.UNLABELLED)).all(axis=1)
    assert grey[:150].all()
    assert not grey[150:].any()


def test_dots_shrink_as_they_get_more() -> None:
    sizes = [dots_of(scatter(RNG.normal(size=(n, 2)))).get_sizes()[0] for n in (100, 1000, 10_000)]
    assert sizes[0] > sizes[1] > sizes[2] > 0.5
    assert dots_of(scatter(PLACES, point_size=3)).get_sizes()[0] == 3
    assert dots_of(scatter(PLACES)).get_rasterized()


# Density


def grid_of(places: np.ndarray, pixels: int = 50) -> density.Grid:
    return density.lay_grid(places, (-5.0, 5.0, -5.0, 5.0), pixels)


def test_many_points_become_a_picture(dense: None) -> None:
    axes = scatter(PLACES, labels=KINDS).axes[0]
    assert len(axes.images) == 1
    assert len(axes.collections) == 0
    assert scatter(PLACES, density=False).axes[0].collections
    assert scatter(PLACES[:100], density=True).axes[0].images


@pytest.mark.parametrize("where", ["among its like", "all in one pixel"])
def test_one_point_of_a_rare_class_shows_under_a_hundred_thousand(where: str) -> None:
    n = 100_000
    crowd = RNG.normal(size=(n, 2)) if where == "among its like" else np.zeros((n, 2))
    places = np.concatenate([crowd, [[0.0, 0.0]]])
    codes = np.zeros(n + 1, np.int64)
    shades = colours.rgb(colours.PALETTE[:2])
    alone = density.shade_classes(grid_of(places, 400), codes, shades)
    codes[-1] = 1
    both = density.shade_classes(grid_of(places, 400), codes, shades)
    differs = np.abs(alone - both)[..., :3].max(axis=2)
    assert (differs > 0).sum() == 1
    assert differs.max() > 3 / 255  # seen in eight bits


def test_the_order_of_the_points_changes_no_pixel(dense: None) -> None:
    order = np.random.default_rng(1).permutation(300)
    figures = [scatter(PLACES, labels=KINDS), scatter(PLACES[order], labels=KINDS[order])]
    first, second = (np.asarray(figure.axes[0].images[0].get_array()) for figure in figures)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_pixel_of_one_class_has_its_colour_and_crowds_are_opaque() -> None:
    places = np.repeat([[-3.0, 0.0], [0.0, 0.0], [3.0, 0.0]], [1, 10, 2000], axis=0)
    codes = np.repeat([0, 1, 2], [1, 10, 2000])
    grid = grid_of(places)._replace(spread=False)
    shades = colours.rgb(colours.PALETTE[:3])
    picture = density.shade_classes(grid, codes, shades)
    at = [np.unravel_index(grid.pixels[k], grid.shape) for k in (0, 1, -1)]
    for where, shade in zip(at, shades, strict=True):
        np.testing.assert_allclose(picture[where][:3], shade, atol=1e-6)
    few, more, most = (picture[where][3] for where in at)
    assert 0.3 < few < more < most == 1


def test_empty_pixels_are_clear() -> None:
    picture = density.shade_classes(grid_of(np.zeros((9, 2))), np.zeros(9, int), np.zeros((1, 3)))
    corner = picture[0, 0]
    assert corner.tolist() == [1, 1, 1, 0]


def test_colours_mix_by_light_and_number() -> None:
    places = np.zeros((1000, 2))
    codes = (np.arange(1000) < 250).astype(np.int64)
    grid = grid_of(places)._replace(spread=False)
    picture = density.shade_classes(grid, codes, np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    grey = picture[np.unravel_index(grid.pixels[0], grid.shape)][:3].astype(np.float64)
    # A quarter of the points are white; a tenth of the mix is shared evenly.
    np.testing.assert_allclose(colours.to_light(grey), 0.9 * 0.25 + 0.1 * 0.5, atol=1e-6)


@pytest.mark.parametrize("n", [5, 50, 500])
def test_spreading_loses_no_point(n: int) -> None:
    plane = np.zeros((40, 30))
    np.add.at(plane, (RNG.integers(1, 39, n), RNG.integers(1, 29, n)), 1.0)
    assert density._spread(plane).sum() == pytest.approx(n)


def test_values_of_a_pixel_are_averaged() -> None:
    places = np.zeros((4, 2))
    grid = grid_of(places)._replace(spread=False)
    values = np.array([0.0, 0.0, 1.0, 1.0])
    picture = density.shade_values(grid, values, lambda mean: np.stack([mean] * 4, axis=-1))
    assert picture[np.unravel_index(grid.pixels[0], grid.shape)][0] == 0.5


def test_pixels_lie_where_their_points_are(dense: None) -> None:
    figure = scatter(PLACES + [100, -50], labels=KINDS)
    image = figure.axes[0].images[0]
    left, right, bottom, top = image.get_extent()
    alpha = np.asarray(image.get_array())[..., 3]
    rows, columns = np.nonzero(alpha)
    x = left + (columns + 0.5) / alpha.shape[1] * (right - left)
    y = bottom + (rows + 0.5) / alpha.shape[0] * (top - bottom)
    low, high = PLACES.min(axis=0) + [100, -50], PLACES.max(axis=0) + [100, -50]
    assert [x.min(), y.min()] == pytest.approx(low.tolist(), abs=0.35)
    assert [x.max(), y.max()] == pytest.approx(high.tolist(), abs=0.35)


def test_unlabelled_points_are_a_picture_beneath(dense: None) -> None:
    labels = np.where(np.arange(300) < 100, None, KINDS.astype(object))
    beneath, above = scatter(PLACES, labels=labels).axes[0].images
    grey, shades = (np.asarray(image.get_array()) for image in (beneath, above))
    np.testing.assert_allclose(grey[grey[..., 3] > 0][0, :3], to_rgb(colours.UNLABELLED), atol=0.01)
    assert shades[shades[..., 3] > 0][:, :3].std() > 0.1


# Classes


@pytest.mark.parametrize(
    ("labels", "expected", "unlabelled"),
    [
        pytest.param(["b", "a", "b"], ["a", "b"], 0, id="strings"),
        pytest.param(["k 10", "k 9", "K 1"], ["K 1", "k 9", "k 10"], 0, id="as people sort"),
        pytest.param(np.array([10, 9, 2]), ["2", "9", "10"], 0, id="integers"),
        pytest.param([1.0, 0.0, np.nan], ["0", "1"], 1, id="floats with NaN"),
        pytest.param([0.5, 1.5, 0.5], ["0.5", "1.5"], 0, id="fractions"),
        pytest.param([-1, 4, 4], ["4"], 1, id="-1"),
        pytest.param([True, False, True], ["False", "True"], 0, id="booleans"),
        pytest.param(["a", None, float("nan")], ["a"], 2, id="None and NaN"),
        pytest.param(np.array([2, "a", None], object), ["2", "a"], 1, id="mixed"),
        pytest.param(
            np.array([np.int64(3), np.float32(-1), 5], object), ["3", "5"], 1, id="NumPy scalars"
        ),
        pytest.param(
            pd.Categorical(["lo", "hi", None], categories=["lo", "mid", "hi"]),
            ["lo", "hi"],
            1,
            id="categorical",
        ),
        pytest.param(pd.Series(["lo", "hi", "lo"], dtype="category"), ["hi", "lo"], 0, id="series"),
        pytest.param(pd.array([1, None, 2], dtype="Int64"), ["1", "2"], 1, id="nullable"),
        pytest.param(np.array([[1], [2], [1]]), ["1", "2"], 0, id="one column"),
    ],
)
def test_labels_of_any_kind(labels: Any, expected: list[str], unlabelled: int) -> None:
    found = read_categories(labels, 3)
    assert found.names == expected
    assert (found.codes < 0).sum() == unlabelled
    assert set(found.codes[found.codes >= 0]) == set(range(len(expected)))
    figure = scatter(PLACES[:3], labels=labels)
    assert legend_of(figure) == expected + ["unlabelled"] * (unlabelled > 0)


@pytest.mark.parametrize("given", [["no", "one", "two"], {0: "no", 1: "one", 2: "two"}])
def test_names_instead_of_labels(given: Any) -> None:
    assert legend_of(scatter(PLACES, labels=KINDS, names=given)) == ["no", "one", "two"]


def test_long_names_are_cut() -> None:
    labels = np.array(["x" * 200, "short", "z"])[KINDS]
    assert max(map(len, legend_of(scatter(PLACES, labels=labels)))) == 32


@pytest.mark.parametrize("n_classes", [2, 12, 13, 40])
def test_up_to_twelve_classes_have_a_legend_and_more_are_named_on_the_map(n_classes: int) -> None:
    labels = np.arange(300) % n_classes
    expected = [str(k) for k in range(n_classes)]
    figure = scatter(PLACES, labels=labels)
    shown, hidden = (legend_of, written_on) if n_classes <= 12 else (written_on, legend_of)
    assert shown(figure) == expected
    assert hidden(figure) == []
    assert legend_of(scatter(PLACES, labels=labels, legend="legend")) == expected
    assert written_on(scatter(PLACES, labels=labels, legend="medians")) == expected
    silent = scatter(PLACES, labels=labels, legend=False)
    assert legend_of(silent) == written_on(silent) == []


def test_of_very_many_classes_the_largest_are_named() -> None:
    labels = np.concatenate([np.arange(100), np.repeat(np.arange(60), 3), [0] * 20])
    texts = written_on(scatter(PLACES, labels=labels))
    assert texts[0] == "the 60 largest of 100 classes are named"
    assert texts[1:] == [str(k) for k in range(60)]


def test_names_on_the_map_do_not_overlap_nor_leave_it() -> None:
    labels = np.array([f"class {k}" for k in range(20)])[np.arange(300) % 20]
    figure = scatter(PLACES, labels=labels)  # all medians are about the same
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 20
    for a, b in combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b.padded(-1))
    frame = figure.axes[0].get_window_extent().padded(2)
    assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in boxes)
    assert all(frame.containsy(box.y0) and frame.containsy(box.y1) for box in boxes)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=12),
    st.tuples(st.floats(1, 12), st.floats(1, 5)),
)
@settings(max_examples=60, deadline=None)
def test_boxes_move_apart(centres: list[tuple[float, float]], size: tuple[float, float]) -> None:
    sizes = np.tile(size, (len(centres), 1))
    moved = names.move_apart(np.array(centres), sizes, (0.0, 100.0, 0.0, 100.0))
    for a, b in combinations(moved, 2):
        assert (np.abs(a - b) > np.array(size) - 0.1).any()


def test_boxes_with_room_stay() -> None:
    centres = np.array([[20.0, 20.0], [60.0, 20.0], [20.0, 60.0]])
    moved = names.move_apart(centres, np.full((3, 2), 10.0), (0.0, 100.0, 0.0, 100.0))
    np.testing.assert_array_equal(moved, centres)


def test_a_name_lies_on_its_class() -> None:
    ring = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1], [0.9, 0.1]])
    codes = np.array([0, 0, 0, 0, 0])
    place = names.class_places(ring, codes)
    assert (ring == place[0]).all(axis=1).any()


def test_the_whole_legend_is_in_the_picture() -> None:
    labels = np.array([f"a rather long name {k}" for k in range(50)])[np.arange(300) % 50]
    figure = scatter(PLACES, labels=labels, legend="legend")
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend()
    assert legend is not None
    box, page = legend.get_window_extent(), figure.bbox
    assert box.x1 <= page.x1 + 1
    assert page.y0 - 1 <= box.y0
    assert box.y1 <= page.y1 + 1


# Colours

# Machado, Oliveira and Fernandes (2009), severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_colours_differ_for_everybody(vision: str) -> None:
    shades = colours.rgb([*colours.PALETTE, colours.UNLABELLED])
    seen = colours.to_light(shades) @ np.array(VISIONS[vision]).T
    lab = colours.to_oklab(colours.from_light(seen))
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 0.075


def test_oklab_of_known_colours() -> None:
    lab = colours.to_oklab(np.array([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]]))
    expected = [[1, 0, 0], [0.628, 0.2249, 0.1258], [0.452, -0.0325, -0.3115]]
    np.testing.assert_allclose(lab, expected, atol=1e-3)


def test_more_classes_keep_the_first_colours_and_differ() -> None:
    few, many = (colours.class_colours([str(k) for k in range(n)]) for n in (5, 60))
    np.testing.assert_array_equal(few, many[:5])
    lab = colours.to_oklab(many)
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 0.07


def test_names_can_be_read_on_white() -> None:
    shades = colours.readable(colours.class_colours([str(k) for k in range(60)]))
    luminance = colours.to_light(shades) @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() > 4.5  # WCAG 2.1, contrast of text


@pytest.mark.parametrize(
    ("palette", "first"),
    [
        pytest.param(["red", "#00FF00", (0, 0, 1)], (1, 0, 0), id="sequence"),
        pytest.param({"2": "blue", "0": "lime", "1": "red"}, (0, 1, 0), id="mapping"),
        pytest.param("tab20", matplotlib.colormaps["tab20"](0)[:3], id="list of matplotlib"),
        pytest.param("viridis", matplotlib.colormaps["viridis"](0)[:3], id="ramp of matplotlib"),
    ],
)
def test_palettes(palette: Any, first: tuple[float, ...]) -> None:
    figure = scatter(PLACES, labels=KINDS, palette=palette)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    marker: Any = legend.legend_handles[0]
    assert to_rgb(marker.get_markerfacecolor()) == pytest.approx(first)


# Values


@pytest.mark.parametrize("density", [False, True], ids=["dots", "density"])
def test_values_have_a_colour_bar_with_robust_ends(density: bool) -> None:
    values = np.linspace(0, 1, 300)
    values[[0, 299]] = -1e9, np.inf
    bar = scatter(PLACES, values=values, value_label="age", density=density).axes[1]
    low, high = np.percentile(values[np.isfinite(values)], [1, 99])
    assert bar.get_ylim() == pytest.approx((low, high))
    assert bar.get_ylabel() == "age"


@pytest.mark.parametrize(
    ("values", "extend"),
    [
        pytest.param(np.arange(300.0), "both", id="both ends"),
        pytest.param(np.arange(300) == 5, "neither", id="one that differs"),
        pytest.param(np.full(300, 2.0), "neither", id="all the same"),
        pytest.param(np.arange(300) % 2, "neither", id="two values"),
    ],
)
def test_arrows_say_that_values_lie_beyond(values: Any, extend: str) -> None:
    scale = fastxai.plot.inks.read_inks(None, values, np.ones(300, bool), None, None, "viridis")
    assert scale.extend == extend  # type: ignore[union-attr]
    assert png(scatter(PLACES, values=values))


@pytest.mark.parametrize("density", [False, True], ids=["dots", "density"])
def test_points_without_a_value_are_grey_and_counted(density: bool) -> None:
    values = np.arange(300.0)
    values[:7] = np.nan
    figure = scatter(PLACES, values=values, density=density)
    assert written_on(figure) == ["7 points without a value in grey"]
    if not density:
        drawn = dots_of(figure).get_facecolors()[:7, :3]
        np.testing.assert_allclose(drawn, [to_rgb(colours.UNLABELLED)] * 7, atol=1e-6)


# Refused


def _space() -> Any:
    return Figure().add_subplot(projection="3d")


FOUR = np.zeros((300, 4))
THREE = np.zeros((300, 3))


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        pytest.param(PLACES[:, 0], {}, r"\(300,\)", id="1-D"),
        pytest.param(PLACES[:, :1], {}, r"\(300, 1\)", id="one column"),
        pytest.param(FOUR, {}, r"embedding\[:, :2\]", id="four columns"),
        pytest.param(PLACES.astype(str), {}, "numbers", id="text"),
        pytest.param(np.empty((0, 2)), {}, "none of 0", id="empty"),
        pytest.param(PLACES * np.nan, {}, "all are NaN", id="all isolated"),
        pytest.param(PLACES, {"labels": KINDS[:-1]}, "299 labels .* 300", id="labels' length"),
        pytest.param(PLACES, {"values": KINDS[:-1]}, "299 values .* 300", id="values' length"),
        pytest.param(PLACES, {"labels": KINDS, "values": KINDS}, "one of them", id="both"),
        pytest.param(PLACES, {"labels": PLACES}, "one column", id="2-D labels"),
        pytest.param(PLACES, {"labels": PLACES[:, 0]}, "values=", id="numbers as labels"),
        pytest.param(PLACES, {"labels": [[1]] * 299 + [[1, 2]]}, "strings", id="ragged labels"),
        pytest.param(
            PLACES, {"labels": np.zeros(300, "M8[D]")}, "make them strings", id="dates as labels"
        ),
        pytest.param(PLACES, {"values": KINDS.astype(str)}, "labels=", id="text as values"),
        pytest.param(PLACES, {"values": KINDS * np.nan}, "finite", id="no values"),
        pytest.param(PLACES, {"values": KINDS, "cmap": "no"}, "'no'", id="cmap"),
        pytest.param(PLACES, {"labels": KINDS, "palette": "no"}, "'no'", id="palette"),
        pytest.param(PLACES, {"labels": KINDS, "palette": ["red"]}, "1 colours for 3", id="short"),
        pytest.param(PLACES, {"labels": KINDS, "palette": {"0": "red"}}, "1, 2", id="lacking"),
        pytest.param(PLACES, {"labels": KINDS, "palette": ["x"] * 3}, "palette", id="no colour"),
        pytest.param(PLACES, {"labels": KINDS, "names": ["a", "b"]}, "label 2", id="names short"),
        pytest.param(PLACES, {"labels": KINDS, "names": {0: "a"}}, "label 1", id="names lacking"),
        pytest.param(PLACES, {"names": ["a"]}, "names is for", id="names alone"),
        pytest.param(PLACES, {"palette": ["red"]}, "palette is for", id="palette alone"),
        pytest.param(PLACES, {"value_label": "x"}, "value_label", id="value_label alone"),
        pytest.param(PLACES, {"legend": "medians"}, "give labels", id="legend alone"),
        pytest.param(PLACES, {"legend": "below"}, "'below'", id="legend unknown"),
        pytest.param(PLACES, {"density": "yes"}, "'yes'", id="density unknown"),
        pytest.param(PLACES, {"density": True, "point_size": 3}, "point_size", id="point_size"),
        pytest.param(THREE, {"density": True}, "two columns", id="density in space"),
        pytest.param(
            THREE, {"labels": KINDS, "legend": "medians"}, "two columns", id="names in space"
        ),
        pytest.param(
            PLACES, {"ax": Figure().add_subplot(), "figsize": (3, 3)}, "figsize", id="figsize"
        ),
        pytest.param(PLACES, {"ax": _space()}, "3-D", id="plane in space"),
        pytest.param(THREE, {"ax": Figure().add_subplot()}, "projection", id="space in plane"),
    ],
)
def test_refused(places: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        scatter(places, **options)


def test_too_many_points_in_space(dense: None) -> None:
    with pytest.raises(InvalidInputError, match="two columns"):
        scatter(THREE)


# Principal components


def _ours() -> Any:
    return fastxai.PCA(n_components=4).fit(IRIS.data.astype(np.float32))


MODELS = [
    pytest.param(lambda: PCA(4).fit(IRIS.data), id="scikit-learn"),
    pytest.param(_ours, id="fastxai"),
]


@pytest.mark.parametrize("fit", MODELS)
def test_scree_shows_each_component_and_all_up_to_it(fit: Callable[[], Any]) -> None:
    pca = fit()
    axes = scree(pca).axes[0]
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(heights, pca.explained_variance_ratio_)
    line = axes.lines[0].get_ydata()
    np.testing.assert_allclose(line, np.cumsum(pca.explained_variance_ratio_))
    assert axes.texts[0].get_text() == "100%"


def test_scree_on_given_axes() -> None:
    axes = Figure().add_subplot()
    assert scree(PCA(2).fit(IRIS.data), ax=axes) is axes.figure


def _arrows(axes: Axes) -> np.ndarray:
    """Tips of the arrows that begin at the origin."""
    arrows: list[Any] = [text for text in axes.texts if text.get_text() == ""]
    return np.array([arrow.xy for arrow in arrows])


@pytest.mark.parametrize("fit", MODELS)
def test_biplot_draws_scores_and_loadings(fit: Callable[[], Any]) -> None:
    pca = fit()
    X = IRIS.data.astype(np.float32)
    figure = biplot(pca, X, feature_names=IRIS.feature_names, labels=IRIS.target)
    axes = figure.axes[0]
    drawn = np.asarray(dots_of(figure).get_offsets())
    scores = np.asarray(pca.transform(X))[:, :2]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(scores, axis=0), atol=1e-5)
    assert [text for text in written_on(figure) if text] == [
        IRIS.feature_names[k] for k in np.argsort(-_lengths(pca))
    ]
    tips = _arrows(axes)
    loadings = (pca.components_[:2].T * np.sqrt(pca.explained_variance_[:2]))[
        np.argsort(-_lengths(pca))
    ]
    np.testing.assert_allclose(tips / tips[0, 0], loadings / loadings[0, 0], rtol=1e-4)
    assert axes.get_xlabel() == "component 1 (92.5% of the variance)"
    assert legend_of(figure) == ["0", "1", "2"]


def _lengths(pca: Any) -> np.ndarray:
    return np.hypot(*(pca.components_[:2] * np.sqrt(pca.explained_variance_[:2, None])))


def test_biplot_takes_scores_and_the_top_features() -> None:
    pca = PCA(3).fit(IRIS.data)
    figure = biplot(pca, pca.transform(IRIS.data), top=2)
    named = [text for text in written_on(figure) if text]
    assert named == [f"feature {k}" for k in np.argsort(-_lengths(pca))[:2]]


def test_biplot_takes_the_names_that_the_model_saw() -> None:
    frame = pd.DataFrame(IRIS.data, columns=list("abcd"))
    figure = biplot(PCA(2).fit(frame), frame)
    assert sorted(text for text in written_on(figure) if text) == list("abcd")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: scree(PCA()), "fitted", id="not fitted"),
        pytest.param(lambda: biplot(PCA(), IRIS.data), "fitted", id="not fitted, biplot"),
        pytest.param(lambda: scree(SimpleNamespace()), "SimpleNamespace", id="no PCA"),
        pytest.param(
            lambda: biplot(PCA(1).fit(IRIS.data), IRIS.data), "two components", id="one component"
        ),
        pytest.param(
            lambda: biplot(PCA(2).fit(IRIS.data), IRIS.data[:, :3]), "4 columns", id="columns"
        ),
        pytest.param(
            lambda: biplot(PCA(2).fit(IRIS.data), IRIS.data, feature_names=["a"]),
            "1 feature_names for 4",
            id="names",
        ),
        pytest.param(lambda: biplot(PCA(2).fit(IRIS.data), IRIS.data, top=-1), "top=-1", id="top"),
    ],
)
def test_components_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
