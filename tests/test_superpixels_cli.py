"""`fastxai explain --method lime`, and LIME of a whole set."""

from __future__ import annotations

import sys
from pathlib import Path

import networks
import numpy as np
import pytest
from PIL import Image

import fastxai
from fastxai.cli import run

torch = pytest.importorskip("torch")

FEW = {"n_segments": 9, "n_samples": 60}
MODULE = "import networks\nbuild = networks.plain_cnn\n"


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parent)])
    Path("lime_nets.py").write_text(MODULE)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).resize((24, 24)).save("a.png")
    return "a.png"


def explained(photo: str, *more: str) -> np.ndarray:
    command = ["explain", photo, "--model", "lime_nets:build", "--preprocess", "size=24,crop=1"]
    assert run([*command, "--method", "lime,kernel-shap", "--maps", "maps.npz", *more]) == 0
    with np.load("maps.npz") as maps:
        return np.stack([maps["lime"], maps["kernel_shap"]])


def test_the_command_tells_fidelity_and_stability(
    photo: str, capfd: pytest.CaptureFixture[str]
) -> None:
    maps = explained(photo)
    assert maps.shape == (2, 1, 24, 24)
    shown = capfd.readouterr().err
    assert "  lime: R² " in shown
    assert "  kernel_shap: R² " in shown
    assert "halves of the masks agree to" in shown


def test_the_commands_seed_covers_the_masks(photo: str) -> None:
    first = explained(photo, "--quiet")
    assert np.array_equal(explained(photo, "--quiet"), first)
    assert not np.array_equal(explained(photo, "--quiet", "--seed", "1"), first)


def test_a_set_has_the_maps_of_its_images(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    images = networks.images(networks.plain_cnn, 6).numpy()
    methods = {"lime": FEW, "kernel_shap": {**FEW, "segments": "grid"}}
    model = networks.plain_cnn()
    fastxai.explain_dataset(model, images, methods, tmp_path / "run", batch_size=4)
    results = fastxai.open_results(tmp_path / "run")
    alone = fastxai.explain(model, images, methods)
    for name in methods:
        found = results.take(range(6), name)
        np.testing.assert_allclose(found.reshape(6, 24, 24), alone[name].maps, rtol=1e-4, atol=2e-6)
