"""The scan against all activations at once, continued after it was ended, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed_units
import networks
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from small_sets import digests, images, small_net
from states import assert_same_state, state_of
from torch import nn

import fastxai
from fastxai.errors import FastxaiWarning, InvalidInputError, ModelError, StorageError
from fastxai.units import passing

_HERE = Path(__file__).resolve().parent
K = 4


def activations(net: nn.Module, layer: str, batch: Any) -> NDArray[np.float32]:
    """(N, C, positions) of a layer, all at once."""
    found: list[Any] = []
    hook = net.get_submodule(layer).register_forward_hook(lambda _, __, y: found.append(y.detach()))
    with torch.no_grad():
        net(torch.from_numpy(batch))
    hook.remove()
    return found[0].reshape(*found[0].shape[:2], -1).numpy()


def expected(maps: NDArray[np.float32], k: int) -> tuple[Any, Any, Any]:
    """Values, images and places of the k strongest images of each unit, one unit after another."""
    values, numbers, places = [], [], []
    for unit in range(maps.shape[1]):
        peaks = maps[:, unit].max(1)
        best = sorted(range(len(peaks)), key=lambda i, peaks=peaks: (-peaks[i], i))[:k]
        values.append(peaks[best])
        numbers.append(best)
        places.append(maps[best, unit].argmax(1))
    return np.array(values), np.array(numbers), np.array(places)


@pytest.fixture(scope="module")
def scan() -> Any:
    return fastxai.scan_units(small_net(), images(50), ["1", "4", "7"], k=K, batch_size=8)


@pytest.mark.parametrize("layer", ["1", "4", "7"])
def test_the_strongest_are_those_of_all_activations(scan: Any, layer: str) -> None:
    maps = activations(small_net(), layer, images(50))
    values, numbers, places = expected(maps, K)
    found = scan[layer]
    np.testing.assert_array_equal(found.images, numbers)
    np.testing.assert_allclose(found.values, values, rtol=1e-5)
    if found.shape:
        wide = found.shape[1]
        np.testing.assert_array_equal(
            found.positions[..., 0] * wide + found.positions[..., 1], places
        )
    else:
        assert found.positions.shape == (len(numbers), K, 0)


@pytest.mark.parametrize("layer", ["1", "4", "7"])
def test_the_figures_are_those_of_all_activations(scan: Any, layer: str) -> None:
    maps, found = activations(small_net(), layer, images(50)).astype(np.float64), scan[layer]
    np.testing.assert_allclose(found.mean, maps.mean((0, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.maximum, maps.max((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.minimum, maps.min((0, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.active, (maps > 0).mean((0, 2)), atol=1e-4)
    np.testing.assert_allclose(found.active_images, (maps > 0).any(2).mean(0))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batches_do_not_matter(scan: Any, batch_size: int) -> None:
    other = fastxai.scan_units(small_net(), images(50), "4", k=K, batch_size=batch_size)
    np.testing.assert_array_equal(other["4"].images, scan["4"].images)
    np.testing.assert_array_equal(other["4"].positions, scan["4"].positions)
    np.testing.assert_allclose(other["4"].mean, scan["4"].mean, rtol=1e-6)


def test_of_equal_activations_the_lower_image_comes_first() -> None:
    same = np.repeat(images(3), 4, axis=0)  # 0 0 0 0 1 1 1 1 2 2 2 2
    found = fastxai.scan_units(small_net(), same, "1", k=6, batch_size=5)["1"]
    for values, numbers in zip(found.values, found.images, strict=True):
        order = sorted(zip(-values, numbers, strict=True))
        assert [number for _, number in order] == numbers.tolist()


def test_a_constant_unit_has_the_first_images_and_the_first_position() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    nn.init.zeros_(net[0].weight)
    found = fastxai.scan_units(net, images(9), "0", k=3, batch_size=2)
    assert found["0"].images.tolist() == [[0, 1, 2]] * 2
    assert not found["0"].positions.any()
    assert found.dead_units()["0"].constant.size + found.dead_units()["0"].dead.size == 2


def test_more_images_are_asked_for_than_there_are() -> None:
    scan = fastxai.scan_units(small_net(), images(3), "4", k=9)
    found = scan["4"]
    assert (found.images[:, 3:] == -1).all() and np.isneginf(found.values[:, 3:]).all()
    assert sorted(found.images[0, :3].tolist()) == [0, 1, 2]
    assert len(scan.strongest("4", 0)) == 3
    scan.figure("4", [0, 1])


def test_the_box_holds_what_excites_the_unit(scan: Any) -> None:
    net = small_net()
    for found in scan.strongest("4", 2):
        cut = np.zeros((1, 3, 16, 16), np.float32)
        box = tuple(slice(*edges) for edges in found.box)
        cut[(0, slice(None), *box)] = images(50)[(found.image, slice(None), *box)]
        maps = net[:5](torch.from_numpy(cut)).detach()
        assert float(maps[0, 2][found.position]) == pytest.approx(found.value, rel=1e-4)


# --- not finite ---------------------------------------------------------------------------


class Breaks(nn.Module):
    """Unit 0 is NaN at the first position of bright images, unit 1 everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unit = nn.Conv2d(3, 3, 1), nn.Identity()

    def forward(self, x: Any) -> Any:
        maps = self.conv(x)
        bright = x[:, 0, 0, 0] > 0.5
        maps[bright, 0, 0, 0] = torch.nan
        maps[:, 1] = torch.inf
        return self.unit(maps)


def test_activations_that_are_not_finite_are_left_out_and_told() -> None:
    with pytest.warns(FastxaiWarning, match="unit: activations of 2 units were NaN or infinite"):
        scan = fastxai.scan_units(Breaks(), images(20), "unit", k=3, batch_size=6)
    found, bright = scan["unit"], int((images(20)[:, 0, 0, 0] > 0.5).sum())
    assert found.nonfinite.tolist() == [bright, 20, 0]
    assert np.isfinite(found.values[[0, 2]]).all() and np.isfinite(found.mean[[0, 2]]).all()
    assert found.images[1].tolist() == [-1] * 3 and np.isnan(found.mean[1])
    assert scan.dead_units()["unit"].nonfinite.tolist() == [0, 1]
    assert scan.strongest("unit", 1) == []
    scan.figure("unit", [0, 1])


# --- on the disk, ended and continued -----------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.warns(FastxaiWarning, match="1 of 44 images failed"):
        killed_units.run(out)
    return out


def test_what_was_written_is_read_back(whole: Path) -> None:
    there = fastxai.open_units(whole)
    with pytest.warns(FastxaiWarning):
        made = killed_units.run(None)
    assert there.complete and there.layers == ("1", "4", "6")
    assert there.failed == {7: "the dataset raised ValueError: a bad image"}
    for layer in there.layers:
        for ours, theirs in zip(there[layer], made[layer], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        unit = there.pictured(layer)[0]
        np.testing.assert_array_equal(
            there.portrait(layer, unit).patches, made.portrait(layer, unit).patches
        )
        np.testing.assert_array_equal(
            there.portrait(layer, unit).projections, made.portrait(layer, unit).projections
        )
    assert there.table.equals(made.table)


def test_a_bad_image_excites_nothing(whole: Path) -> None:
    there = fastxai.open_units(whole)
    assert all(7 not in there[layer].images for layer in there.layers)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_continued_it_is_the_same_to_the_byte(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    path = os.pathsep.join([str(_HERE.parent), str(_HERE.parent / "kernels"), str(_HERE)])
    done = subprocess.run(
        [sys.executable, "-c", f"import killed_units; killed_units.killed({str(out)!r})"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    there = fastxai.open_units(out)
    assert not there.complete and 0 < there.done < killed_units.FATAL
    with pytest.warns(FastxaiWarning, match="1 of 44 images failed"):
        killed_units.run(out)
    assert digests(out) == digests(whole)


def test_interrupted_it_keeps_what_was_done(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        killed_units.run(tmp_path / "run", "interrupt")
    assert 0 < fastxai.open_units(tmp_path / "run").done < killed_units.FATAL
    with pytest.warns(FastxaiWarning):
        killed_units.run(tmp_path / "run")
    assert digests(tmp_path / "run") == digests(whole)


def test_a_scan_that_is_complete_is_not_made_again(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(whole)
    monkeypatch.setattr(passing, "look", None)
    with pytest.warns(FastxaiWarning):
        killed_units.run(whole)
    assert digests(whole) == before


def test_pictures_of_other_units_are_added(tmp_path: Path) -> None:
    net = small_net()
    first = fastxai.scan_units(net, images(12), "4", tmp_path / "run", k=2, units=0)
    assert first.pictured("4") == []
    with pytest.raises(InvalidInputError, match="no picture of unit 3"):
        fastxai.open_units(tmp_path / "run").portrait("4", 3)
    fastxai.scan_units(net, images(12), "4", tmp_path / "run", k=2, units=[3, 5], project=False)
    assert fastxai.open_units(tmp_path / "run").portrait("4", 3).projections is None
    fastxai.scan_units(net, images(12), "4", tmp_path / "run", k=2, units={"4": [3]})
    assert fastxai.open_units(tmp_path / "run").portrait("4", 3).projections is not None
    fastxai.scan_units(net, images(12), "4", tmp_path / "run", k=2, units="all")
    assert fastxai.open_units(tmp_path / "run").pictured("4") == list(range(8))


def test_memory_that_does_not_suffice_halves_what_runs_together(
    monkeypatch: pytest.MonkeyPatch, scan: Any
) -> None:
    sizes = []

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, x: Any) -> Any:
            sizes.append(len(x))
            if len(x) > 3 and not torch.isnan(x).any():
                raise RuntimeError("not enough memory: you tried to allocate 9 bytes")
            return self.net(x)

    found = fastxai.scan_units(Small(), images(50), "net.4", k=K, batch_size=8)
    np.testing.assert_array_equal(found["net.4"].images, scan["4"].images)
    assert sizes.count(8) == 1  # known from then on


# --- sources and models -------------------------------------------------------------------


def test_a_folder_with_a_file_that_is_no_image(tmp_path: Path) -> None:
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    from fastxai.explain.networks import Preprocess

    with pytest.warns(FastxaiWarning, match="1 of 5 images failed"):
        scan = fastxai.scan_units(
            small_net(), tmp_path, "4", k=2, preprocess=Preprocess((16, 16), 1.0)
        )
    assert list(scan.failed) == [3]
    assert Path(scan.strongest("4", 0)[0].path).parent == tmp_path


@pytest.mark.parametrize("name", ["plain_cnn", "residual", "functional_cnn", "cnn_1d", "vit"])
def test_the_model_is_left_as_it_came(name: str) -> None:
    build = networks.NETWORKS[name] if name in networks.NETWORKS else _attention(name)
    model = build().train()
    batch = networks.images(build, n=4).numpy()
    before = state_of(model)
    scan = fastxai.scan_units(model, batch, k=2)
    fastxai.dead_units(model, batch)
    fastxai.feature_maps(model, batch[0])
    if batch.ndim == 4:
        scan.figure(units=[0])
    assert_same_state(before, model)


def _attention(name: str) -> Any:
    import networks_attention  # noqa: F401  (adds to networks.NETWORKS)

    return networks.NETWORKS[name]


def test_the_model_is_left_as_it_came_when_it_raises() -> None:
    class Raises(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.runs = small_net(), 0

        def forward(self, x: Any) -> Any:
            if len(x) == 5 and not torch.isnan(x).any():
                raise ValueError("five")
            return self.net(x)

    model = Raises().train()
    before = state_of(model)
    with pytest.raises(ModelError, match="five"):
        fastxai.scan_units(model, images(10), "net.1", batch_size=5)
    assert_same_state(before, model)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("plain_cnn", ("features.2", "features.5", "features")),
        ("functional_cnn", ("relu[0]", "relu[1]")),
        ("residual", ("layer1", "layer2")),
        ("unet", ("middle", "up")),
        ("vit", ("encoder.layers.2.ln_1",)),
    ],
)
def test_layers_by_default(name: str, layers: tuple[str, ...]) -> None:
    build = networks.NETWORKS[name] if name in networks.NETWORKS else _attention(name)
    batch = networks.images(build).numpy()
    assert fastxai.scan_units(build(), batch, k=1).layers == layers


def test_a_network_without_convolutions_shows_its_activations() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 5), nn.Tanh(), nn.Linear(5, 2))
    scan = fastxai.scan_units(net, images(4), k=2)
    assert scan.layers == ("2",) and scan["2"].field == (16, 16)


def test_before_an_activation_with_an_upper_end() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 2, 3))
    assert fastxai.scan_units(net, images(4), k=2).layers == ("1",)


def test_a_module_that_runs_twice_has_two_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act, self.head = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 2, 5)

        def forward(self, x: Any) -> Any:
            return self.act(self.head(self.act(self.conv(x))))

    net = Twice()
    assert fastxai.scan_units(net, images(4), "act", k=2)["act"].field == (1, 1)
    second = fastxai.scan_units(net, images(4), "act", k=2, call=1)
    assert second["act (call=1)"].field == (5, 5)
    again = fastxai.scan_units(net, images(4), "act (call=1)", k=2)
    np.testing.assert_array_equal(again["act (call=1)"].images, second["act (call=1)"].images)


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": np.zeros((0, 3, 16, 16), np.float32)}, "there is no image"),
        ({"source": np.zeros((2, 16), np.float32)}, "floats are the model's input"),
        ({"layers": "5.relu"}, "no layer '5.relu'"),
        ({"layers": []}, "names no layer"),
        ({"layers": "1", "call": 4}, "ran 1 times"),
        ({"k": 0}, "k=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"threshold": float("nan")}, "threshold"),
        ({"units": "some"}, "units='some'"),
        ({"units": [99]}, "unit 99, and layer '1' has units 0 to 5"),
        ({"units": {"9": [0]}}, "names the layer '9'"),
        ({"project": 1}, "project=1"),
        ({"field": "near"}, "field='near'"),
        ({"out": 3}, "name the folder"),
        ({"weights": "file.pth"}, "weights= belongs to a model that is given by its name"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_bad_input(options: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"source": images(4), "layers": "1", **options}
    with pytest.raises(InvalidInputError, match=says):
        fastxai.scan_units(small_net(), **given)


def test_a_folder_of_photos_that_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no photo"):
        fastxai.scan_units(small_net(), tmp_path)


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda out: out.parent.joinpath("run").write_text(""), "is a file"),
        (lambda out: (out.mkdir(), (out / "notes.txt").write_text("")), "not empty"),
        (lambda out: fastxai.explain_dataset(small_net(), images(3), out=out), "not empty"),
        (lambda out: fastxai.scan_units(small_net(), images(6), "1", out, k=3), "k was 3 and is 2"),
        (lambda out: fastxai.scan_units(small_net(1), images(6), "1", out, k=2), "weights differ"),
        (lambda out: fastxai.scan_units(small_net(), images(7), "1", out, k=2), "source.n was 7"),
        (lambda out: fastxai.scan_units(small_net(), images(6), "4", out, k=2), "layers was"),
        (lambda out: (out.mkdir(), (out / "units.json").write_text("{")), "damaged"),
    ],
    ids=["file", "other-things", "explained-set", "k", "weights", "images", "layers", "damaged"],
)
def test_an_output_of_something_else(
    fill: Callable[[Path], Any], says: str, tmp_path: Path
) -> None:
    fill(tmp_path / "run")
    with pytest.raises(InvalidInputError, match=says):
        fastxai.scan_units(small_net(), images(6), "1", tmp_path / "run", k=2)


def test_explaining_into_a_scan_is_refused(whole: Path) -> None:
    with pytest.raises(InvalidInputError, match="not empty"):
        fastxai.explain_dataset(small_net(), images(3), out=whole)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    from fastxai.image_sets.lock import only_writer

    fastxai.scan_units(small_net(), images(6), "1", tmp_path / "run", k=2, units=0)
    with only_writer(tmp_path / "run"), pytest.raises(StorageError, match="writes there"):
        fastxai.scan_units(small_net(), images(6), "1", tmp_path / "run", k=2, units=0)


@pytest.mark.parametrize("name", ["units.json", "state.npz", "items.parquet"])
def test_a_damaged_scan_says_so(name: str, whole: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes((whole / name).read_bytes()[:40])
    with pytest.raises(InvalidInputError, match=f"{name} is damaged"):
        fastxai.open_units(tmp_path / "run")


def test_a_folder_that_holds_no_scan(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no scan of units"):
        fastxai.open_units(tmp_path)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda scan: scan["2"], "'2' was not scanned: 1, 4, 7 were"),
        (lambda scan: scan.strongest("1", 6), "units 0 to 5"),
        (lambda scan: scan.portrait("1", True), "unit=True"),
        (lambda scan: scan.figure("1", []), "names no unit"),
        (lambda scan: scan.figure("1", page=1), "page=1: there are pages 0 to 0"),
    ],
)
def test_what_there_is_not(scan: Any, ask: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ask(scan)
