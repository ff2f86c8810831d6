"""Maps over images, and sheets of them: what is drawn where, in which colours, what is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastxai.errors import InvalidInputError
from fastxai.plot import contact_sheet, overlay, pictures
from fastxai.plot.overlay import evidence_colours
from fastxai.plot.strips import method_lines, score_text

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (20, 30, 3), np.uint8)
SIGNED = np.linspace(-2.0, 1.0, 12).reshape(3, 4)
COLOURS = RNG.normal(size=(3, 20, 30))
IMAGES = RNG.random((2, 3, 16, 16))
MAPS = RNG.random((2, 3, 16, 16))
CLASSES = np.array([[4, 1, 0], [2, 3, 9]])
SCORES = np.array([[0.9, 0.05, 0.001], [0.5, 0.4, 0.05]])


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def written(figure: Figure) -> list[str]:
    """Texts beside, above and below the panels."""
    return [text.get_text() for text in figure.texts]


def statuses(figure: Figure) -> list[str]:
    """Texts on panels."""
    return [text.get_text().replace("\n", " ") for axes in figure.axes for text in axes.texts]


def panel_axes(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.images]


# One map


def test_the_map_is_drawn_to_the_extent_of_the_image() -> None:
    axes = overlay(PHOTO, SIGNED).axes[0]
    below, above = axes.images
    for drawn in (below, above):
        assert tuple(drawn.get_extent()) == (-0.5, 29.5, 19.5, -0.5)
    np.testing.assert_array_equal(above.get_array(), SIGNED)


@pytest.mark.parametrize(
    ("map", "options", "limits"),
    [
        pytest.param(SIGNED, {}, (-2.0, 2.0), id="signed is centred"),
        pytest.param(np.abs(SIGNED), {}, (0.0, 2.0), id="unsigned begins at zero"),
        pytest.param(np.abs(SIGNED), {"signed": True}, (-2.0, 2.0), id="said to be signed"),
        pytest.param(np.array([[0.7, 1.0]]), {}, (0.7, 1.0), id="far from zero"),
        pytest.param(np.abs(SIGNED), {"scale": (0.5, 3.0)}, (0.5, 3.0), id="given"),
        pytest.param(SIGNED, {"scale": (-1, 5)}, (-5.0, 5.0), id="given, centred"),
    ],
)
def test_ends_of_the_colours(map: Any, options: Any, limits: tuple[float, float]) -> None:
    drawn = overlay(PHOTO, map, **options).axes[0].images[1]
    np.testing.assert_allclose(drawn.get_clim(), limits, rtol=0.02)


def test_a_wild_pixel_does_not_turn_the_others_pale() -> None:
    map = np.ones((40, 40))
    map[3, 3] = 1e9
    assert overlay(None, map).axes[0].images[0].get_clim() == (0.0, 1.0)


def test_red_is_for_and_blue_against_and_zero_transparent() -> None:
    colours = evidence_colours(True, 0.8)(np.array([0.0, 0.5, 1.0]))
    assert colours[0, 2] > 2 * colours[0, 0]
    assert colours[2, 0] > 2 * colours[2, 2]
    np.testing.assert_allclose(colours[:, 3], [0.8, 0.0, 0.8], atol=0.05)
    np.testing.assert_allclose(evidence_colours(False, 0.8)(1.0), colours[2], atol=1e-6)


def test_a_colour_map_of_ones_own_is_opaque_everywhere() -> None:
    alphas = evidence_colours(True, 0.7, "viridis")(np.linspace(0, 1, 9))[:, 3]
    np.testing.assert_allclose(alphas, 0.7)


def test_nan_is_transparent() -> None:
    map = SIGNED.copy()
    map[1, 1] = np.nan
    drawn = overlay(PHOTO, map).axes[0].images[1]
    pixels = drawn.to_rgba(drawn.get_array())
    assert pixels[1, 1, 3] == 0
    assert (pixels[0, 0, 3]) > 0


def test_three_channels_are_colours_around_mid_grey() -> None:
    map = np.zeros((3, 10, 10))
    map[0, :5], map[2, 5:] = 4.0, -4.0
    axes = overlay(PHOTO, map).axes[0]
    (drawn,) = axes.images
    pixels = np.asarray(drawn.get_array())
    np.testing.assert_allclose(pixels[0, 0], [1.0, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(pixels[9, 0], [0.5, 0.5, 0.0, 1.0])


def test_one_scale_serves_all_channels() -> None:
    map = np.stack([np.full((9, 9), 1.0), np.full((9, 9), 2.0), np.full((9, 9), -4.0)])
    pixels = np.asarray(overlay(None, map).axes[0].images[0].get_array())
    np.testing.assert_allclose(pixels[0, 0, :3], [0.625, 0.75, 0.0])


def test_nan_in_a_channel_is_transparent() -> None:
    map = COLOURS.copy()
    map[1, 2, 3] = np.nan
    pixels = np.asarray(overlay(None, map).axes[0].images[0].get_array())
    assert pixels[2, 3, 3] == 0
    assert pixels[..., 3].sum() == 20 * 30 - 1


@pytest.mark.parametrize("channels", ["sum", "absmax"])
def test_other_numbers_of_channels_are_folded(channels: Any) -> None:
    map = RNG.normal(size=(5, 4, 6))
    drawn = np.asarray(overlay(PHOTO, map, channels=channels).axes[0].images[1].get_array())
    expected = map.sum(0)
    if channels == "absmax":
        largest = np.abs(map).argmax(0)
        expected = np.take_along_axis(map, largest[None], 0)[0]
    np.testing.assert_allclose(drawn, expected)


@pytest.mark.parametrize(
    ("map", "status", "text"),
    [
        pytest.param(SIGNED, "empty_after_relu", "nothing positive", id="empty"),
        pytest.param(SIGNED, "zero_gradient", "zero gradient", id="zero gradient"),
        pytest.param(SIGNED, "nonfinite", "not finite", id="nonfinite"),
        pytest.param(SIGNED, "lost_it", "lost it", id="another"),
        pytest.param(np.full((3, 3), np.nan), None, "not finite", id="found: all NaN"),
        pytest.param(np.zeros((3, 3)), None, "zero everywhere", id="found: all zero"),
    ],
)
def test_what_is_no_map_is_written(map: Any, status: Any, text: str) -> None:
    figure = overlay(PHOTO, map, status=status)
    assert statuses(figure) == [text]
    assert len(figure.axes) == 1  # no colour bar
    assert len(figure.axes[0].images) == 1


def test_title_bar_and_given_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert overlay(PHOTO, SIGNED, title="tabby", label="logit", ax=right) is figure
    assert right.get_title() == "tabby"
    assert figure.axes[-1].get_ylabel() == "logit"
    assert not left.images
    assert len(overlay(PHOTO, SIGNED, colorbar=False).axes) == 1


def test_backgrounds() -> None:
    shown = pictures.read_image(PHOTO)
    grey = pictures.faded(shown, "grey")
    assert (grey[..., 0] == grey[..., 2]).all()
    assert (pictures.faded(shown, "faded") >= grey).all()
    np.testing.assert_array_equal(pictures.faded(shown, "colour"), shown)


# Images


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(np.array([[0, 255]], np.uint8), [0.0, 1.0], id="uint8"),
        pytest.param(np.array([[0, 65535]], np.uint16), [0.0, 1.0], id="uint16"),
        pytest.param(np.array([[0, 51]]), [0.0, 0.2], id="whole numbers"),
        pytest.param(np.array([[False, True]]), [0.0, 1.0], id="bool"),
        pytest.param(np.array([[0.25, 0.5]], np.float32), [0.25, 0.5], id="0..1"),
        pytest.param(np.array([[-2.0, 2.0]]), [0.0, 1.0], id="stretched"),
        pytest.param(np.array([[np.nan, 0.5]]), [0.0, 0.5], id="NaN"),
    ],
)
def test_values_of_images(image: Any, expected: list[float]) -> None:
    np.testing.assert_allclose(pictures.read_image(image)[0, :, 0], expected)


@pytest.mark.parametrize("shape", [(8, 9), (1, 8, 9), (8, 9, 1), (3, 8, 9), (8, 9, 3), (8, 9, 4)])
def test_shapes_of_images(shape: tuple[int, ...]) -> None:
    assert pictures.read_image(RNG.random(shape)).shape == (8, 9, 3)


def test_normalisation_is_undone() -> None:
    image = RNG.random((3, 5, 6))
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    normal = (image - mean[:, None, None]) / std[:, None, None]
    shown = pictures.read_image(normal, mean, std)
    np.testing.assert_allclose(shown, np.moveaxis(image, 0, 2), atol=1e-12)


def test_transparent_pixels_are_white() -> None:
    shown = pictures.read_image(np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8))
    np.testing.assert_array_equal(shown[0, :, 0], [1.0, 0.0])


def test_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    image = torch.rand(3, 8, 8, requires_grad=True)
    map = torch.randn(8, 8, dtype=torch.bfloat16, requires_grad=True)
    drawn = overlay(image, map).axes[0].images[1].get_array()
    np.testing.assert_array_equal(drawn, map.detach().float().numpy())


# Sheets


def sheet(maps: Any = None, **options: Any) -> Figure:
    given = {"gradcam": MAPS, "occlusion": MAPS - 0.5} if maps is None else maps
    return contact_sheet(IMAGES, given, CLASSES, SCORES, **options)


def test_a_row_an_image_and_class_and_a_column_a_method() -> None:
    figure = sheet(names=[f"kind {k}" for k in range(10)])
    panels = panel_axes(figure)[: 6 * 3]
    tops = {round(axes.get_position().y0, 5) for axes in panels}
    lefts = {round(axes.get_position().x0, 5) for axes in panels}
    assert (len(tops), len(lefts)) == (6, 3)
    for row in range(6):
        image, gradcam, occlusion = panels[3 * row : 3 * row + 3]
        n, k = divmod(row, 3)
        np.testing.assert_allclose(image.images[0].get_array(), np.moveaxis(IMAGES[n], 0, 2))
        np.testing.assert_allclose(gradcam.images[1].get_array(), MAPS[n, k])
        np.testing.assert_allclose(occlusion.images[1].get_array(), MAPS[n, k] - 0.5)
    texts = written(figure)
    assert texts[:2] == ["kind 4", "0.90"]
    assert {"Grad-CAM", "Occlusion", "kind 9", "< 0.01"} <= set(texts)


def test_one_method_lays_the_classes_side_by_side() -> None:
    figure = sheet({"cam": MAPS}, names={4: "dome", 1: "palace"})
    panels = panel_axes(figure)[: 2 * 4]
    assert len({round(axes.get_position().y0, 5) for axes in panels}) == 2
    np.testing.assert_allclose(panels[3].images[1].get_array(), MAPS[0, 2])
    texts = written(figure)
    assert texts[1:7] == ["dome", "0.90", "palace", "0.05", "class 0", "< 0.01"]
    assert texts[0] == "CAM"


def test_several_methods_across_classes() -> None:
    panels = panel_axes(sheet(across="classes"))
    np.testing.assert_allclose(panels[4 + 2].images[1].get_array(), MAPS[0, 1] - 0.5)


@pytest.mark.parametrize("scale", ["image", "set", (0.0, 2.0)], ids=str)
def test_scales(scale: Any) -> None:
    maps = np.stack([MAPS[0], 10 * MAPS[1]])
    figure = sheet({"gradcam": maps, "occlusion": maps - 5}, scale=scale)
    panels = panel_axes(figure)
    first, last = (panels[3 * row + 1].images[1].get_clim()[1] for row in (0, 5))
    if scale == "image":
        assert first < 1.01 < 9 < last
    else:
        assert first == last
    low, high = panels[2].images[1].get_clim()
    assert low == -high


def test_bars_name_their_ends() -> None:
    figure = sheet()
    bars = [axes for axes in figure.axes if not axes.images]
    names = [[label.get_text() for label in axes.get_xticklabels()] for axes in bars]
    assert names == [["0", "max"], ["against", "0", "for"]]
    assert not [axes for axes in sheet(colorbar=False).axes if not axes.images]


def test_bars_of_a_set_have_numbers() -> None:
    figure = sheet({"gradcam": MAPS, "b": MAPS}, scale=(0, 0.25))
    bar = next(axes for axes in figure.axes if not axes.images)
    assert [label.get_text() for label in bar.get_xticklabels()] == ["0", "0.25"]


def test_statuses_are_written_on_their_panels() -> None:
    status = np.full((2, 3), "ok", dtype="U20")
    status[1, 2] = "empty_after_relu"
    figure = sheet(status={"gradcam": status})
    assert statuses(figure) == ["nothing positive"]
    assert panel_axes(figure)[5 * 3 + 1].texts


def test_channels_of_colours_and_their_note() -> None:
    maps = {"guided_backprop": RNG.normal(size=(2, 3, 3, 16, 16)), "gradcam": MAPS}
    figure = sheet(maps)
    assert np.asarray(panel_axes(figure)[1].images[0].get_array()).shape == (16, 16, 4)
    assert "grey is 0" in written(figure)


def test_without_classes_maps_have_no_axis_of_them() -> None:
    figure = contact_sheet(IMAGES, {"a": MAPS[:, 0], "b": RNG.normal(size=(2, 3, 16, 16))})
    assert len(panel_axes(figure)) == 6
    assert written(figure)[:2] == ["a", "b"]


def test_images_of_other_sizes_than_their_maps() -> None:
    images = [PHOTO, RNG.random((50, 40))]
    figure = contact_sheet(images, {"a": MAPS[:, 0]}, image_names=["one.jpg", "two.png"])
    wide, high = panel_axes(figure)[1], panel_axes(figure)[3]
    assert tuple(wide.images[1].get_extent()) == (-0.5, 29.5, 19.5, -0.5)
    assert tuple(high.images[1].get_extent()) == (-0.5, 39.5, 49.5, -0.5)
    assert {"one.jpg", "two.png"} <= set(written(figure))


def test_callables_have_no_class_but_a_score() -> None:
    figure = contact_sheet(IMAGES, {"a": MAPS[:, :1]}, [[-1], [-1]], [[12.3456], [-0.5]])
    assert sorted(written(figure)) == ["12.3", "a", "\N{MINUS SIGN}0.5"]


def test_long_names_are_shortened() -> None:
    names = ["a very long name of a class that nobody can read at once, and longer still"] * 10
    beside = [line for line in written(sheet(names=names)) if "name" in line or "…" in line]
    assert beside
    assert max(map(len, beside)) <= 16


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_the_file_is_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sheet{ending}"
    sheet(path=path)
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_sheet_makes_the_same_file() -> None:
    assert png(sheet(title="t")) == png(sheet(title="t"))


def test_pyplot_holds_no_figure() -> None:
    import matplotlib.pyplot as plt

    overlay(PHOTO, SIGNED)
    sheet()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("gradcam", ["Grad-CAM"]),
        ("gradcam++", ["Grad-CAM++"]),
        ("gradcam\nlayer4", ["Grad-CAM", "layer4"]),
        ("guided_gradcam: features.7", ["Guided", "Grad-CAM", "features.7"]),
        ("my method", ["my method"]),
    ],
)
def test_titles_of_methods(name: str, lines: list[str]) -> None:
    assert [line for line, _ in method_lines(name, 12)] == lines


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.5, "0.50"), (1.0, "1.00"), (0.0, "0.00"), (0.004, "< 0.01"), (0.9999, "> 0.99"),
     (12.3456, "12.3"), (-2.0, "\N{MINUS SIGN}2"), (float("nan"), "")],
)  # fmt: skip
def test_scores(score: float, text: str) -> None:
    assert score_text(score) == text


# What is refused


@pytest.mark.parametrize(
    ("image", "map", "options", "message"),
    [
        pytest.param(PHOTO, np.zeros(4), {}, "map of shape", id="1-D map"),
        pytest.param(PHOTO, np.zeros((2, 2, 2, 2)), {}, "slice", id="volume"),
        pytest.param(PHOTO, np.zeros((0, 3)), {}, "nothing", id="empty map"),
        pytest.param(PHOTO, np.array([["a"]]), {}, "numbers", id="text"),
        pytest.param(np.zeros((5, 8, 9)), SIGNED, {}, "display=", id="five channels"),
        pytest.param(np.array([[300, 1]]), SIGNED, {}, "0 to 255", id="whole numbers"),
        pytest.param(COLOURS, SIGNED, {"mean": [1, 2]}, "2 values of mean", id="mean"),
        pytest.param(PHOTO, SIGNED, {"scale": "set"}, "scale", id="scale"),
        pytest.param(PHOTO, SIGNED, {"scale": (1, 1)}, "low < high", id="limits"),
        pytest.param(PHOTO, SIGNED, {"scale": (0, np.inf)}, "low < high", id="infinite"),
        pytest.param(PHOTO, SIGNED, {"alpha": 0}, "alpha", id="alpha"),
        pytest.param(PHOTO, SIGNED, {"background": "red"}, "background", id="background"),
        pytest.param(PHOTO, SIGNED, {"channels": "mean"}, "channels", id="channels"),
        pytest.param(PHOTO, SIGNED, {"cmap": "nothing"}, "cmap", id="cmap"),
    ],
)
def test_overlay_refuses(image: Any, map: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        overlay(image, map, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"panels": {}}, "one at least", id="no methods"),
        pytest.param({"images": []}, "images", id="no images"),
        pytest.param({"images": None}, "images", id="None"),
        pytest.param({"panels": {"a": MAPS[:, :2]}}, r"maps of a .*\(2, 3, H, W\)", id="maps"),
        pytest.param({"classes": CLASSES[:1]}, "one row an image", id="classes"),
        pytest.param({"classes": CLASSES + 0.5}, "whole numbers", id="fractions"),
        pytest.param({"scores": SCORES[:, :2]}, "scores", id="scores"),
        pytest.param({"classes": None}, "give classes", id="scores alone"),
        pytest.param({"status": {"a": ["ok"]}}, "status of a", id="status"),
        pytest.param({"status": {"b": ["ok"]}}, "status names b", id="status of nothing"),
        pytest.param({"signed": {"b": True}}, "signed names b", id="signed of nothing"),
        pytest.param({"image_names": ["x"]}, "image_names", id="image names"),
        pytest.param({"scale": "all"}, "'set'", id="scale"),
        pytest.param({"across": "rows"}, "across", id="across"),
        pytest.param({"size": 0.1}, "inches", id="size"),
        pytest.param({"path": "sheet.doc"}, "ending", id="path"),
    ],
)
def test_sheet_refuses(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"images": IMAGES, "panels": {"a": MAPS}}
    given |= {"classes": CLASSES, "scores": SCORES} | changes
    with pytest.raises(InvalidInputError, match=message):
        contact_sheet(**given)


def test_too_many_rows_are_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInputError, match="several sheets"):
        contact_sheet(np.zeros((61, 4, 4)), {"a": np.ones((61, 4, 4))})
