"""`FeatureBank`: which features it holds, of which images, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
import example_banks  # noqa: E402
import networks  # noqa: E402
import networks_attention  # noqa: E402, F401  (registers its networks)
import torch.nn.functional as F  # noqa: E402
from example_banks import Means, bank_of, dots  # noqa: E402
from small_sets import CLASSES, images, small_net  # noqa: E402
from torch import nn  # noqa: E402

import fastxai  # noqa: E402
from fastxai import FastxaiWarning, FeatureBank, InvalidInputError, StorageError  # noqa: E402
from fastxai.explain.networks import Preprocess  # noqa: E402
from fastxai.image_sets.lock import only_writer  # noqa: E402


def values(bank: FeatureBank) -> Any:
    return np.asarray(bank.features)


# --- which features ----------------------------------------------------------------------


class Functional(nn.Module):
    """Its last matrix is no module's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.matrix = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Any) -> Any:
        return F.relu(self.conv(x)).mean((2, 3)) @ self.matrix


class ConvHead(nn.Module):
    """Its classes are means of a last convolution, as SqueezeNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1)

    def forward(self, x: Any) -> Any:
        return self.head(F.relu(self.conv(x))).mean((2, 3))


class Nested(nn.Module):
    """Its head is a Sequential that ends in a linear layer and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Dropout())

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x).flatten(1))


def _relu_means(net: Any, x: Any) -> Any:
    return F.relu(net.conv(x)).mean((2, 3))


DEFAULTS = [
    pytest.param(small_net, lambda n, x: n[:-1](x), "input of 7", id="linear layer"),
    pytest.param(Functional, _relu_means, "input of matmul[0]", id="functional product"),
    pytest.param(ConvHead, _relu_means, "input of head", id="convolution: channel means"),
    pytest.param(
        Nested,
        lambda n, x: n.head[:2](n.body(x).flatten(1)),
        "input of head.2",
        id="linear inside a head",
    ),
]


@pytest.mark.parametrize(("build", "expected", "name"), DEFAULTS)
def test_default_features_are_the_input_of_the_last_matrix(
    tmp_path: Path, build: Any, expected: Any, name: str
) -> None:
    torch.manual_seed(0)
    net, x = build().eval(), images(5)
    bank = FeatureBank.build(net, x, out=tmp_path / "bank")
    with torch.no_grad():
        wanted = expected(net, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(values(bank), wanted, rtol=1e-5, atol=1e-6)
    assert bank.layer == name


@pytest.mark.parametrize(
    ("layer", "pool", "expected"),
    [
        pytest.param("0", "mean", lambda n, x: n[0](x).mean((2, 3)), id="map: channel means"),
        pytest.param("0", "flatten", lambda n, x: n[0](x).flatten(1), id="map: all numbers"),
        pytest.param("6", "mean", lambda n, x: n[:7](x), id="layer without space"),
        pytest.param("7", "mean", lambda n, x: n(x), id="logits"),
        pytest.param(
            "relu[1]", "mean", lambda n, x: n[:5](x).mean((2, 3)), id="operation by number"
        ),
    ],
)
def test_features_of_a_named_layer(tmp_path: Path, layer: str, pool: str, expected: Any) -> None:
    net, x = small_net(), images(5)
    bank = FeatureBank.build(net, x, layer, tmp_path / "bank", pool=pool)
    with torch.no_grad():
        wanted = expected(net, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(values(bank), wanted, rtol=1e-5, atol=1e-6)


def test_a_module_is_as_good_as_its_name(tmp_path: Path) -> None:
    net = small_net()
    by_module = FeatureBank.build(net, images(3), net[3], tmp_path / "bank")
    again = FeatureBank.build(net, images(3), "3", tmp_path / "bank")
    np.testing.assert_array_equal(by_module, again)


@pytest.mark.parametrize("name", ["vit", "vit_mean", "swin_like", "cnn_1d", "cnn_3d", "residual"])
def test_every_kind_of_network_has_default_features(tmp_path: Path, name: str) -> None:
    build = networks.NETWORKS[name]
    net, x = build(), networks.images(build, 4)
    bank = FeatureBank.build(net, x, out=tmp_path / "bank")
    head = next(m for m in reversed(list(net.modules())) if isinstance(m, nn.Linear))
    with torch.no_grad():
        np.testing.assert_allclose(head(torch.tensor(values(bank))), net(x), rtol=1e-4, atol=1e-5)


def test_means_over_tokens(tmp_path: Path) -> None:
    build = networks.NETWORKS["vit"]
    net, x = build(), networks.images(build, 3)
    norm = next(name for name, m in net.named_modules() if isinstance(m, nn.LayerNorm))
    kept: list[Any] = []
    hook = net.get_submodule(norm).register_forward_hook(lambda *call: kept.append(call[-1]))
    with torch.no_grad():
        net(x)
    hook.remove()
    bank = FeatureBank.build(net, x, norm, tmp_path / "bank")
    np.testing.assert_allclose(values(bank), kept[0].mean(1), rtol=1e-4, atol=1e-6)


def test_what_works_in_place_after_the_layer_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2),
    ).eval()  # fmt: skip
    bank = FeatureBank.build(net, images(3), "0", tmp_path / "bank", pool="flatten")
    with torch.no_grad():
        wanted = net[0](torch.from_numpy(images(3))).flatten(1)
    np.testing.assert_allclose(values(bank), wanted, rtol=1e-5, atol=1e-6)


def test_the_model_is_left_as_it_came(tmp_path: Path) -> None:
    net = small_net().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    FeatureBank.build(net, images(3), out=tmp_path / "bank")
    assert net.training and all(module.training for module in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(not module._forward_hooks for module in net.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_the_model_is_left_as_it_came_when_it_raises(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2)).train()
    with pytest.raises(fastxai.ModelError, match="forward raised"):
        FeatureBank.build(net, images(3), out=tmp_path / "bank")
    assert net.training and all(not module._forward_hooks for module in net.modules())


# --- what stands beside them ---------------------------------------------------------------


def test_table_holds_labels_and_what_the_network_says(tmp_path: Path) -> None:
    net, x = small_net(), images(6)
    labels = ["cat", "dog", None, "fish", "cat", "bird"]
    bank = FeatureBank.build(net, x, out=tmp_path / "bank", labels=labels, names=CLASSES)
    with torch.no_grad():
        scores, best = torch.softmax(net(torch.from_numpy(x)), 1).max(1)
    assert bank.labels == labels
    assert bank.predictions == [CLASSES[k] for k in best]
    np.testing.assert_allclose(bank.table["score"], scores, rtol=1e-5)
    assert bank.table["correct"].isna().tolist() == [label is None for label in labels]


def test_features_are_mapped_and_estimators_take_the_bank(tmp_path: Path) -> None:
    bank = FeatureBank.build(small_net(), images(20), out=tmp_path / "bank")
    opened = FeatureBank.open(tmp_path / "bank")
    assert isinstance(opened.features, np.memmap) and not opened.features.flags.writeable
    assert opened.features.dtype == np.float32
    np.testing.assert_array_equal(
        fastxai.PCA(2).fit_transform(opened), fastxai.PCA(2).fit_transform(values(bank))
    )


def test_neighbors_are_those_of_the_features(tmp_path: Path) -> None:
    bank = FeatureBank.build(small_net(), images(20), out=tmp_path / "bank")
    graph, expected = bank.neighbors(4), fastxai.neighbors(values(bank), 4)
    np.testing.assert_array_equal(graph.indices, expected.indices)
    assert "cosine" in repr(bank.neighbors(4, metric="cosine"))


def test_more_neighbours_than_images(tmp_path: Path) -> None:
    bank = FeatureBank.build(small_net(), images(5), out=tmp_path / "bank")
    with pytest.warns(FastxaiWarning, match="4 are taken"):
        assert bank.neighbors(10).indices.shape == (5, 4)


def photo_folder(folder: Path) -> Path:
    """Five photos in two folders, one of them damaged, and a text."""
    rng = np.random.default_rng(0)
    for k in range(5):
        group = folder / ("dog" if k % 2 else "cat")
        group.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(group / f"{k}.png")
    (folder / "cat" / "2.png").write_bytes(b"no image")
    return folder


def test_photos_that_can_not_be_read_are_recorded_and_left_out(tmp_path: Path) -> None:
    source = photo_folder(tmp_path / "photos")
    prepare = Preprocess((16, 16), 1.0)
    with pytest.warns(FastxaiWarning, match="1 of 5 images failed"):
        bank = FeatureBank.build(
            small_net(), source, out=tmp_path / "bank", labels="folder", names=CLASSES,
            preprocess=prepare,
        )  # fmt: skip
    assert [bank.title(row) for row in range(len(bank))] == ["0.png", "4.png", "1.png", "3.png"]
    assert bank.labels == ["cat", "cat", "dog", "dog"]
    assert bank.failed["image"].tolist() == [1] and "no image" in bank.failed["reason"][0]
    assert bank.thumbnails is not None and len(bank.thumbnails) == 4
    good = FeatureBank.build(
        small_net(), [str(p) for p in bank.table["path"]], out=tmp_path / "good", preprocess=prepare
    )
    np.testing.assert_allclose(bank, good, rtol=1e-5)
    assert (bank.thumbnails == good.thumbnails).all()


def test_shown_is_read_from_the_file_and_from_the_small_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(file)
    bank = FeatureBank.build(
        small_net(), [file], out=tmp_path / "bank", preprocess=Preprocess((16, 16), 1.0),
        thumbnail=8,
    )  # fmt: skip
    shown = bank.shown(0)
    assert shown is not None and shown.shape == (16, 16, 3)
    file.unlink()
    shown = bank.shown(0)
    assert shown is not None and shown.shape == (8, 8, 3)
    assert len(bank.images) == 1 and bank.images[0].shape == (8, 8, 3)


def test_a_dataset_brings_its_labels(tmp_path: Path) -> None:
    items = [(torch.from_numpy(x), k % 4) for k, x in enumerate(images(5))]
    bank = FeatureBank.build(small_net(), items, out=tmp_path / "bank")
    assert bank.labels == ["0", "1", "2", "3", "0"]


def test_images_whose_features_are_not_finite_fail(tmp_path: Path) -> None:
    places = [[0, 1], [2, 0], [3e38, 1], [1, 1]]
    x = dots(places)
    with pytest.warns(FastxaiWarning, match="1 of 4 images failed.*not finite"):
        bank = FeatureBank.build(_Squared(), x, out=tmp_path / "bank")
    assert bank.table["image"].tolist() == [0, 1, 3]
    np.testing.assert_allclose(values(bank), [[0, 1], [4, 0], [1, 1]])


class _Squared(Means):
    def forward(self, x: Any) -> Any:
        return self.head(self.pool(x) ** 2)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch_size", [3, 8])
def test_batches_and_threads_that_read_change_nothing(
    tmp_path: Path, workers: int, batch_size: int
) -> None:
    bank = FeatureBank.build(
        small_net(), images(10), out=tmp_path / "bank", batch_size=batch_size, workers=workers
    )
    whole = FeatureBank.build(small_net(), images(10), out=tmp_path / "whole")
    np.testing.assert_allclose(bank, whole, rtol=1e-5, atol=1e-7)


def test_memory_that_does_not_suffice_halves_what_runs_together(tmp_path: Path) -> None:
    net, sizes = small_net(), []

    def hook(module: Any, given: Any) -> None:
        sizes.append(len(given[0]))
        if sizes[-1] > 3:
            raise MemoryError

    net.register_forward_pre_hook(hook)
    bank = FeatureBank.build(net, images(8), out=tmp_path / "bank", batch_size=8)
    assert max(sizes[-4:]) == 2
    assert json.loads((bank.path / "bank.json").read_text())["halved"] == {"0": 2}


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"out": None}, "name the folder", id="no folder"),
        pytest.param({"source": images(0)}, "no image", id="empty set"),
        pytest.param({"layer": "8"}, "no layer", id="no such layer"),
        pytest.param({"layer": ["0", "1"]}, "one layer", id="two layers"),
        pytest.param({"layer": "relu[7]"}, "relu runs 2 times", id="no such operation"),
        pytest.param({"pool": "max"}, "'mean' or 'flatten'", id="no such pool"),
        pytest.param({"task": "softmin"}, "task", id="no such task"),
        pytest.param({"batch_size": 0}, "batch_size", id="empty batches"),
        pytest.param({"thumbnail": -1}, "thumbnail", id="negative picture"),
        pytest.param({"workers": 0}, "workers", id="no threads"),
        pytest.param({"labels": [0, 1]}, "2 labels for 4 images", id="too few labels"),
        pytest.param({"labels": [0, 1, 2, 9]}, "class that is not there", id="no such class"),
        pytest.param({"names": ["a"]}, "1 names of classes", id="too few names"),
        pytest.param({"weights": "file"}, "weights=", id="weights of a module"),
        pytest.param({"model": len}, "no torch.nn.Module", id="no network"),
        pytest.param({"source": images(4) * np.nan}, "none of the 4 images", id="all corrupt"),
    ],
)
def test_refused_before_any_work(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    given = {"model": small_net(), "source": images(4), "out": tmp_path / "bank", **options}
    with pytest.raises(InvalidInputError, match=message):
        FeatureBank.build(**given)
    assert not (tmp_path / "bank" / "bank.json").exists()


class Whole(nn.Module):
    """A layer whose output has no row an image, one of whole numbers, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.whole, self.unused = _Total(), _Whole(), nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        self.total(x), self.whole(x)
        return self.head(x.mean((2, 3)))


class _Total(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.sum((0, 2, 3))


class _Whole(nn.Module):
    def forward(self, x: Any) -> Any:
        return (x > 0).flatten(1).int()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        pytest.param("total", "first axis should", id="no row an image"),
        pytest.param("whole", "int32", id="whole numbers"),
        pytest.param("unused", "did not run", id="never runs"),
    ],
)
def test_layers_that_give_no_features(tmp_path: Path, layer: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        FeatureBank.build(Whole(), dots([[0, 1]] * 4), layer, tmp_path / "bank")


def test_a_network_without_any_matrix_needs_a_layer(tmp_path: Path) -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(InvalidInputError, match="give layer="):
        FeatureBank.build(net, images(3), out=tmp_path / "bank")
    assert FeatureBank.build(net, images(3), "1", tmp_path / "bank").features.shape == (3, 3)


@pytest.mark.parametrize("use", ["neighbors", "embed", "prototypes"])
def test_features_that_are_all_the_same(tmp_path: Path, use: str) -> None:
    with pytest.warns(FastxaiWarning, match="same features"):
        bank = bank_of([[1, 2]] * 5, tmp_path / "bank")
    with pytest.raises(InvalidInputError, match="choose another layer"):
        getattr(bank, use)()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"model": small_net(1)}, "layers or weights differ", id="other weights"),
        pytest.param({"layer": "0"}, "layer was null", id="other layer"),
        pytest.param({"source": images(4, seed=1)}, "values of the array", id="other images"),
        pytest.param({"pool": "flatten"}, "pool was", id="other pooling"),
    ],
)
def test_another_bank_is_there(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    given = {"model": small_net(), "source": images(4), "out": tmp_path / "bank"}
    FeatureBank.build(**given)
    with pytest.raises(InvalidInputError, match=message):
        FeatureBank.build(**{**given, **options})


def test_the_same_again_opens_what_is_there(tmp_path: Path) -> None:
    first = example_banks.run(tmp_path / "bank")
    stamp = (first.path / "features.npy").stat().st_mtime_ns
    again = example_banks.run(tmp_path / "bank")
    assert (again.path / "features.npy").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first, again)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    with only_writer(tmp_path / "bank"), pytest.raises(StorageError, match="writes there"):
        FeatureBank.build(small_net(), images(3), out=tmp_path / "bank")


def _not_empty(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("x")


def _a_file(folder: Path) -> None:
    folder.write_text("x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(_not_empty, "is not empty", id="other things"),
        pytest.param(_a_file, "is a file", id="a file"),
    ],
)
def test_what_is_there_is_not_overwritten(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "bank")
    with pytest.raises(InvalidInputError, match=message):
        FeatureBank.build(small_net(), images(3), out=tmp_path / "bank")


def _damaged(folder: Path) -> None:
    (folder / "bank.json").write_text("{")


def _newer(folder: Path) -> None:
    content = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps({**content, "version": 9}))


def _cut(folder: Path) -> None:
    np.save(folder / "features.npy", np.zeros((2, 8), np.float32))


def _gone(folder: Path) -> None:
    (folder / "features.npy").unlink()


def _table(folder: Path) -> None:
    (folder / "table.parquet").write_bytes(b"PAR1")


def _unfinished(folder: Path) -> None:
    (folder / "table.parquet").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda folder: (folder / "bank.json").unlink(), "no feature bank", id="none"),
        pytest.param(_damaged, "is damaged", id="manifest damaged"),
        pytest.param(_newer, "upgrade fastxai", id="newer version"),
        pytest.param(_cut, "build the bank again", id="features of others"),
        pytest.param(_gone, "is missing", id="features missing"),
        pytest.param(_table, "is damaged", id="table damaged"),
        pytest.param(_unfinished, "is not finished", id="not finished"),
    ],
)
def test_what_can_not_be_opened(tmp_path: Path, change: Any, message: str) -> None:
    FeatureBank.build(small_net(), images(4), out=tmp_path / "bank")
    change(tmp_path / "bank")
    with pytest.raises(InvalidInputError, match=message):
        FeatureBank.open(tmp_path / "bank")
