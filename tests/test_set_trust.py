"""The maps of a set put to the test, on its own images, by its own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_sets import CLASSES, images, small_net

import fastxai
from fastxai.errors import InvalidInputError
from fastxai.explain.networks.photos import Preprocess
from fastxai.image_sets.trust import TRUST, network_of, read_trust, trust_of

METHODS = {"gradcam": {}, "occlusion": {"window": 8, "stride": 8}}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Six photos explained by two methods."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / f"{i}.png")
    return fastxai.explain_dataset(
        small_net(),
        folder,
        METHODS,
        folder.parent / f"{folder.name}-run",
        names=CLASSES,
        preprocess=Preprocess((16, 16), 1.0, (0.5,) * 3, (0.25,) * 3),
    )


def test_every_method_has_its_curves_and_those_with_gradients_the_rest(results: Any) -> None:
    found = trust_of(results, small_net(), sample=4)
    measures = {row.measure for row in found.rows if row.method == "occlusion"}
    assert measures == {"insertion", "deletion"}
    assert {row.measure for row in found.rows if row.method == "gradcam"} > measures


def test_the_figures_are_kept_beside_the_maps(results: Any) -> None:
    found = trust_of(results, small_net(), sample=3)
    assert (results.path / TRUST).is_file()
    assert read_trust(results.path) == found


def test_the_same_seed_gives_the_same_figures(results: Any) -> None:
    first = trust_of(results, small_net(), sample=3, random_state=1)
    assert trust_of(results, small_net(), sample=3, random_state=1) == first


def test_another_network_is_refused(results: Any) -> None:
    with pytest.raises(InvalidInputError, match="other weights"):
        trust_of(results, small_net(1))


def test_a_network_without_a_name_can_not_be_built_again(results: Any) -> None:
    with pytest.raises(InvalidInputError, match="has no name"):
        network_of(results)


def test_images_that_were_no_files_can_not_be_read_again(tmp_path: Path) -> None:
    found = fastxai.explain_dataset(small_net(), images(4), "gradcam", tmp_path / "run")
    with pytest.raises(InvalidInputError, match="0 explained images from files"):
        trust_of(found, small_net())


def test_files_that_have_gone_are_named(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        Image.new("RGB", (16, 16), "red").save(file)
    prepare = Preprocess((16, 16), 1.0)
    found = fastxai.explain_dataset(
        small_net(), files, "gradcam", tmp_path / "run", preprocess=prepare
    )
    files[1].unlink()
    with pytest.raises(InvalidInputError, match=r"1\.png can no longer be read"):
        trust_of(found, small_net())
