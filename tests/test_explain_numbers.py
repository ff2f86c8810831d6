"""NaN, other precisions, other devices by default, the same bits again."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import torch
from doing import GRADIENTS, LAYERED, METHODS, usual

import fastxai
from fastxai import ModelError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


@pytest.mark.parametrize("what", ["score", "activations"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_has_a_status(method: str, what: str, images: torch.Tensor) -> None:
    model = networks.plain_cnn()
    with torch.no_grad():
        where = model.fc.bias if what == "score" else model.features[0].bias
        (where if where is not None else model.features[1].bias).fill_(torch.nan)
    out = fastxai.explain(model, images, {method: METHODS[method]}, target=4)
    assert (out[method].status == "nonfinite").all()


@pytest.mark.parametrize("value", [-torch.inf, torch.inf, torch.nan])
@pytest.mark.parametrize("method", ["gradcam", "cam", "saliency"])
def test_a_score_that_is_not_asked_for_need_not_be_finite(
    method: str, value: float, images: torch.Tensor
) -> None:
    model = networks.plain_cnn()
    with torch.no_grad():
        model.fc.bias[2] = value
    out = fastxai.explain(model, images, method, target=[[0], [4]])
    assert (out[method].status != "nonfinite").all()
    torch.testing.assert_close(
        out[method].maps, usual(images, method, target=[[0], [4]]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numpy_images_of_models_in_other_precisions(dtype: Any, images: torch.Tensor) -> None:
    model = networks.plain_cnn().to(dtype)
    out = fastxai.explain(model, images.numpy(), GRADIENTS, layer="features", target=4)
    assert all(out[name].maps.dtype == np.float32 for name in GRADIENTS)
    torch.testing.assert_close(
        torch.tensor(out["saliency"].maps), usual(images, "saliency", target=4), rtol=0.1, atol=0.02
    )


def test_images_of_another_precision_than_the_model_are_told(images: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"perhaps images\.to\(torch\.float32\)"):
        fastxai.Saliency(networks.plain_cnn())(images.double())


@pytest.mark.parametrize("method", LAYERED + GRADIENTS[2:])
def test_new_tensors_on_another_device_by_default(method: str, images: torch.Tensor) -> None:
    model, expected = networks.plain_cnn(), usual(images, method, target=[[4, 2], [0, 3]])
    with torch.device("meta"):
        out = fastxai.explain(model, images, method, target=[[4, 2], [0, 3]])
    assert torch.equal(out[method].maps, expected)


@pytest.mark.parametrize("method", GRADIENTS)
def test_anomaly_mode_and_deterministic_algorithms(method: str, images: torch.Tensor) -> None:
    expected = usual(images, method)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autograd.set_detect_anomaly(True):
            assert torch.equal(usual(images, method), expected)
    finally:
        torch.use_deterministic_algorithms(False)


_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import test_explain_numbers, torch
torch.rand(5)
print(test_explain_numbers.checksums())
"""


def checksums() -> list[int]:
    methods = ["gradcam", "guided_gradcam", "smoothgrad"]
    images = networks.images(networks.plain_cnn)
    out = fastxai.explain(networks.plain_cnn(), images, methods, target="top2")
    return [zlib.crc32(out[name].maps.numpy().tobytes()) for name in methods]


def test_another_process_gives_the_same_bits() -> None:
    script = _SCRIPT.format(tests=str(Path(__file__).parent))
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == str(checksums())
