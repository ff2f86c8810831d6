"""Portraits of units, filters, feature maps, dead units: what is in the pictures, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_sets import images, small_net
from torch import nn

import fastxai
from fastxai.errors import FastxaiWarning, InvalidInputError
from fastxai.explain.explainer import Explainer, opened
from fastxai.units.choosing import units_of
from fastxai.units.drawing import mosaic
from fastxai.units.portraits import Portrait, load, save, tile_size
from fastxai.units.projecting import projected
from fastxai.units.reach import Field

LAYERS = ["1", "4", "7"]


@pytest.fixture(scope="module")
def scan() -> Any:
    return fastxai.scan_units(small_net(), images(20), LAYERS, k=4)


def layer_of(net: nn.Module, name: str) -> Any:
    with opened(Explainer(net), torch.rand(1, 3, 16, 16)) as (inputs, _):
        return units_of(net, name, inputs)[name]


# --- projections --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1", "2", "4"])
def test_the_projection_is_that_of_deconvnet(name: str) -> None:
    net, batch = small_net(), images(6)
    deconv = fastxai.DeconvNet(net).project(torch.from_numpy(batch), name, unit=2)
    wide = fastxai.scan_units(net, batch, name, k=1)[name].shape[1]
    places = (deconv.position[:, 0] * wide + deconv.position[:, 1]).tolist()
    found = projected(net, batch, layer_of(net, name), 2, places)
    np.testing.assert_allclose(found, deconv.maps.numpy(), rtol=1e-4, atol=1e-6)


def test_a_projection_of_a_layer_without_space() -> None:
    net, batch = small_net(), images(3)
    found = projected(net, batch, layer_of(net, "7"), 1, [0, 0, 0])
    logits = net(torch.from_numpy(batch))[:, 1].detach().numpy()
    seeded = fastxai.DeconvNet(net)(batch, target=1)
    np.testing.assert_allclose(found, seeded * logits[:, None, None, None], rtol=1e-3, atol=1e-6)


def test_a_projection_stays_within_what_the_unit_reads(scan: Any) -> None:
    net, best = small_net(), scan.strongest("4", 3)[0]
    place = best.position[0] * 8 + best.position[1]
    batch = images(20)[best.image : best.image + 1]
    map = projected(net, batch, layer_of(net, "4"), 3, [place])[0]
    outside = np.ones((16, 16), bool)
    outside[tuple(slice(*edges) for edges in best.box)] = False
    assert not map[:, outside].any() and map.any()


def test_a_network_that_cuts_the_graph_has_patches_alone() -> None:
    class Cuts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.act(self.conv(x).detach())

    scan = fastxai.scan_units(Cuts(), images(6), "act", k=2)
    with pytest.warns(FastxaiWarning, match="no projections: no gradient leads"):
        portrait = scan.portrait("act", 0)
    assert portrait.projections is None and portrait.patches.shape == (2, 3, 3, 3)
    assert "projections" not in texts(scan.figure("act", [0, 1]))


# --- portraits ----------------------------------------------------------------------------


def test_a_patch_is_cut_from_the_image(scan: Any) -> None:
    portrait, shown = scan.portrait("4", 1), np.rint(images(20) * 255).transpose(0, 2, 3, 1)
    for tile, best in zip(portrait.patches, scan.strongest("4", 1), strict=True):
        box = tuple(slice(*edges) for edges in best.box)
        cut = shown[best.image][box]
        high, wide = cut.shape[:2]
        top = tile.shape[0] - high if best.box[0][0] == 0 else 0
        left = tile.shape[1] - wide if best.box[1][0] == 0 else 0
        np.testing.assert_array_equal(tile[top : top + high, left : left + wide], cut)


def test_a_unit_that_reads_everything_shows_whole_images(scan: Any) -> None:
    portrait, shown = scan.portrait("7", 0), np.rint(images(20) * 255).transpose(0, 2, 3, 1)
    for tile, best in zip(portrait.patches, scan.strongest("7", 0), strict=True):
        np.testing.assert_array_equal(tile, shown[best.image])


@pytest.mark.parametrize("projections", [True, False])
def test_a_portrait_comes_back_from_its_file(projections: bool, tmp_path: Any) -> None:
    draw = np.random.default_rng(0).integers(0, 255, (2, 3, 5, 7, 3), np.uint8)
    made = Portrait(draw[0], draw[1] if projections else None)
    save(made, tmp_path / "unit.png")
    field = Field((np.zeros(1, int),) * 2, (np.array([5]), np.array([7])), (9, 9))
    found = load(tmp_path / "unit.png", field, 3)
    np.testing.assert_array_equal(found.patches, made.patches)
    assert (found.projections is None) == (not projections)
    (tmp_path / "unit.png").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="is damaged"):
        load(tmp_path / "unit.png", field, 3)


@pytest.mark.parametrize(
    ("size", "tile"), [((5, 5), (5, 5)), ((300, 150), (96, 48)), ((1, 400), (1, 96))]
)
def test_large_patches_are_made_smaller(size: tuple[int, int], tile: tuple[int, int]) -> None:
    assert tile_size(Field.of_everything(size, ())) == tile


@pytest.mark.parametrize(("k", "shape"), [(1, (4, 6)), (4, (9, 13)), (9, (14, 20)), (5, (9, 20))])
def test_a_mosaic_is_a_square(k: int, shape: tuple[int, int]) -> None:
    assert mosaic(np.zeros((k, 4, 6, 3), np.uint8)).shape == (*shape, 3)


def texts(figure: Any) -> str:
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


def test_the_figure_says_what_it_shows(scan: Any) -> None:
    found = texts(scan.figure("4", [2, 5]))
    assert "4: 8 units, each reads 8 × 8 pixels; the 4 strongest of 20 images" in found
    assert "unit 2 · max" in found and "unit 5" in found and "patches" in found


def test_of_many_units_there_are_pages(scan: Any) -> None:
    found = texts(scan.figure("4", range(8), page=1, per_page=5))
    assert "page 2 of 2" in found and "unit 5" in found and "unit 4 " not in found


def test_units_of_signals_have_no_pictures(tmp_path: Any) -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU())
    signals = np.random.default_rng(0).random((5, 2, 20), np.float32)
    scan = fastxai.scan_units(net, signals, "1", tmp_path / "run", k=2)
    assert scan["1"].positions.shape == (3, 2, 1) and scan.pictured("1") == []
    with pytest.raises(InvalidInputError, match="of two axes"):
        scan.figure("1")


def test_units_are_chosen_among_those_that_are_active() -> None:
    net = small_net()
    with torch.no_grad():
        net[3].bias[[0, 3]] = -100.0
    scan = fastxai.scan_units(net, images(10), "4", k=2)
    assert set(scan.chosen("4", 4)) <= {1, 2, 4, 5, 6, 7} and len(scan.chosen("4", 4)) == 4
    assert "never active" in texts(scan.figure("4", [0]))


# --- dead units ---------------------------------------------------------------------------


@pytest.fixture
def half_dead() -> Any:
    """Of six units 0 is dead, 1 always on, 2 constant, and on, too."""
    net = small_net()
    with torch.no_grad():
        net[0].bias[:2] = torch.tensor([-100.0, 100.0])
        net[0].weight[2], net[0].bias[2] = 0.0, 3.0
    return net


@pytest.mark.parametrize("source", ["batch", "tensor", "scan"])
def test_dead_units_are_listed(half_dead: Any, source: str) -> None:
    batch = images(10)
    found = {
        "batch": lambda: fastxai.dead_units(half_dead, batch),
        "tensor": lambda: fastxai.dead_units(half_dead, torch.from_numpy(batch), batch_size=3),
        "scan": lambda: fastxai.dead_units(fastxai.scan_units(half_dead, batch, "activations")),
    }[source]()
    assert list(found) == ["1", "4"] and found.images == 10
    one = found["1"]
    assert one.dead.tolist() == [0] and one.always_on.tolist() == [1, 2]
    assert one.constant.tolist() == [2] and one.units == 6
    assert found.lines()[0] == "1: of 6 units 1 dead (0); 2 always on (1, 2); 1 constant (2)"


def test_dead_units_as_a_table(half_dead: Any) -> None:
    table = fastxai.dead_units(half_dead, images(4), "1").table
    assert table["state"].tolist() == ["dead", "always on", "always on", "constant"]
    assert table["unit"].tolist() == [0, 1, 2, 2]


def test_of_one_value_nothing_is_constant() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 3), nn.ReLU())
    assert fastxai.dead_units(net, images(1))["2"].constant.size == 0


def test_a_threshold_of_ones_own(half_dead: Any) -> None:
    assert 2 in fastxai.dead_units(half_dead, images(4), "1", threshold=3.5)["1"].dead


def test_functions_and_calls_are_activations() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()

        def forward(self, x: Any) -> Any:
            x = self.act(self.two(self.act(self.one(x))))
            return torch.sigmoid(x.mean((2, 3)))

    found = fastxai.dead_units(Functional(), images(3))
    assert list(found) == ["act (call=0)", "act (call=1)", "sigmoid[0]"]
    assert found["sigmoid[0]"].always_on.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda net: fastxai.dead_units(net), "images= is a batch"),
        (lambda net: fastxai.dead_units(net, "photos"), "fastxai.scan_units"),
        (lambda net: fastxai.dead_units(net, images(3), "nothing"), "no layer 'nothing'"),
        (lambda net: fastxai.dead_units(net, images(3), threshold="0"), "threshold="),
        (
            lambda net: fastxai.dead_units(fastxai.scan_units(net, images(3), "1"), images(3)),
            "a scan knows its images",
        ),
        (
            lambda net: fastxai.dead_units(fastxai.scan_units(net, images(3), "1"), layers="4"),
            "'4' was not scanned",
        ),
    ],
    ids=["no-images", "a-folder", "no-layer", "threshold", "images-twice", "layer-of-scan"],
)
def test_dead_units_refuse(ask: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ask(small_net())


# --- filters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "pictures"),
    [
        (nn.Conv2d(3, 8, 5), None, (8, 5, 5, 3)),
        (nn.Conv2d(1, 8, (3, 5)), None, (8, 3, 5, 3)),
        (nn.Conv2d(4, 2, 3), None, (2, 7, 7, 3)),
        (nn.Conv2d(6, 6, 3, groups=6), None, (6, 3, 3, 3)),
        (nn.Conv1d(2, 4, 9), None, (4, 2, 9, 3)),
        (nn.Linear(48, 5), (3, 4, 4), (5, 4, 4, 3)),
        (nn.Linear(16, 5), (1, 4, 4), (5, 4, 4, 3)),
    ],
    ids=["colours", "grey", "four-channels", "depthwise", "signals", "linear", "linear-grey"],
)
def test_filters_as_pictures(layer: nn.Module, shape: Any, pictures: tuple[int, ...]) -> None:
    found = fastxai.filters(nn.Sequential(layer), shape=shape)
    assert found.layer == "0" and found.pictures().shape == pictures
    found.figure()


def test_zero_is_grey_and_the_largest_weight_is_black_or_white() -> None:
    conv = nn.Conv2d(1, 2, 2)
    with torch.no_grad():
        conv.weight[0, 0] = torch.tensor([[0.0, 1.0], [-2.0, 0.5]])
        conv.weight[1] = 0.0
    each = fastxai.filters(nn.Sequential(conv)).pictures()[..., 0]
    assert each[0].tolist() == [[128, 191], [0, 159]] and (each[1] == 128).all()
    assert "1: all 0" in texts(fastxai.filters(nn.Sequential(conv)).figure())


def test_one_contrast_for_all() -> None:
    conv = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        conv.weight[:] = torch.tensor([1.0, 4.0]).reshape(2, 1, 1, 1)
    pictures = fastxai.filters(nn.Sequential(conv)).pictures("shared")
    assert pictures[:, 0, 0, 0].tolist() == [159, 255]


def test_weights_that_are_not_finite_say_so() -> None:
    conv = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        conv.weight[1, 0, 0, 0] = torch.nan
    assert "1: NaN" in texts(fastxai.filters(nn.Sequential(conv)).figure())


@pytest.mark.parametrize(
    ("net", "options", "says"),
    [
        (nn.Sequential(nn.ReLU()), {}, "no convolution and no linear layer"),
        (nn.Sequential(nn.Linear(8, 2)), {}, "reads 8 numbers.*none was given"),
        (nn.Sequential(nn.Linear(8, 2)), {"shape": (3, 2, 2)}, r"\(3, 2, 2\) was given"),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), {"shape": (3, 2, 2)}, "shape= is for linear layers"),
        (nn.Sequential(nn.Conv3d(3, 2, 3)), {}, "of 3 axes"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), {"layer": "1"}, "is a ReLU"),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), {"layer": "conv"}, "no layer 'conv'"),
        (nn.Sequential(nn.LazyConv2d(3, 2)), {}, "run it once"),
        ("resnet", {}, "is a str and no torch.nn.Module"),
    ],
)
def test_filters_refuse(net: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        fastxai.filters(net, **options)


def test_filters_of_many_channels_are_no_picture() -> None:
    found = fastxai.filters(nn.Sequential(nn.Conv2d(65, 2, 3)))
    with pytest.raises(InvalidInputError, match="65 channels"):
        found.figure()
    with pytest.raises(InvalidInputError, match="filters 0 to 1"):
        found.figure([2])


# --- feature maps -------------------------------------------------------------------------


@pytest.mark.parametrize("one", [True, False], ids=["C H W", "1 C H W"])
def test_feature_maps_are_the_layers(one: bool) -> None:
    net, batch = small_net(), torch.from_numpy(images(1))
    found = fastxai.feature_maps(net, batch[0] if one else batch, "4")
    np.testing.assert_allclose(found.maps, net[:5](batch)[0].detach().numpy(), rtol=1e-5)
    assert "4: 8 feature maps of 8 × 8" in texts(found.figure())


def test_what_works_in_place_after_the_layer_changes_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    found = fastxai.feature_maps(net, images(1)[0], ["0", "1"])
    assert (found["0"].maps < 0).any() and not (found["1"].maps < 0).any()
    assert "white is 0" in texts(found["0"].figure())


def test_the_strongest_feature_maps_come_first() -> None:
    found = fastxai.feature_maps(small_net(), images(1)[0], "4")
    order = np.argsort(-found.maps.max((1, 2)), kind="stable")
    lines = texts(found.figure(order="strongest", scale="layer")).split("\n")
    assert [int(line.split(":")[0]) for line in lines[2:]] == order.tolist()


def test_a_map_that_is_constant_or_not_finite_says_so() -> None:
    found = fastxai.feature_maps(small_net(), images(1)[0], "4")
    found.maps[0], found.maps[1] = 0.0, np.nan
    assert "0: all 0" in texts(found.figure()) and "1: not finite" in texts(found.figure())


@pytest.mark.parametrize("layer", [None, "resolutions", "activations"])
def test_feature_maps_by_default(layer: Any) -> None:
    found = fastxai.feature_maps(small_net(), images(1)[0], layer)
    names = [found.layer] if layer is None else list(found)
    assert names == (["4"] if layer is None else ["1", "4"])


@pytest.mark.parametrize(
    ("image", "layer", "says"),
    [
        (images(2), "1", "one image"),
        (images(1)[0], "7", "has no space: it gives 4 numbers"),
        (images(1)[0], "x", "no layer 'x'"),
        (images(1)[0, 0], "1", "(16, 16)"),
    ],
    ids=["two-images", "without-space", "no-layer", "no-channels"],
)
def test_feature_maps_refuse(image: Any, layer: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        fastxai.feature_maps(small_net(), image, layer)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"units": [8]}, "units 0 to 7"),
        ({"order": "random"}, "order='random'"),
        ({"scale": "set"}, "scale='set'"),
    ],
)
def test_the_grid_refuses(options: dict[str, Any], says: str) -> None:
    found = fastxai.feature_maps(small_net(), images(1)[0], "4")
    with pytest.raises(InvalidInputError, match=says):
        found.figure(**options)
