"""Stability under noise: figures by hand, and noise that is each image's own."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.metrics import maps  # noqa: E402
from fastxai.metrics._map_models import noisy  # noqa: E402
from fastxai.metrics._map_result import rank_correlation  # noqa: E402
from fastxai.metrics._map_stability import relative_change  # noqa: E402

RNG = np.random.default_rng(6)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


BUILD = networks.plain_cnn


def test_figures_are_those_of_maps_made_by_hand() -> None:
    model, x = BUILD(), networks.images(BUILD, 3)
    found = maps.stability(model, x, ["gradcam", "guided_backprop"], noise=0.1, draws=2)
    before = fastxai.explain(model, x, ["gradcam", "guided_backprop"])
    classes = before.classes[:, 0]
    out = [
        fastxai.explain(model, noisy(x, 0.1, 0, draw), list(found), target=classes)
        for draw in range(2)
    ]
    for name, one in found.items():
        was = before[name].maps.double().numpy()
        now = [o[name].maps.double().numpy() for o in out]
        change = [
            [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(was, n, strict=True)]
            for n in now
        ]
        np.testing.assert_allclose(one.change.values, np.mean(change, axis=0))
        each = [m if m.ndim == 3 else np.abs(m).sum(1) for m in (was, *now)]
        ranked = [rank_correlation(each[0][:, None], n[:, None])[:, 0] for n in each[1:]]
        np.testing.assert_allclose(one.values, np.mean(ranked, axis=0))
        moved = [np.abs(o.scores - before.scores)[:, 0] for o in out]
        np.testing.assert_allclose(one.score_change.values, np.mean(moved, axis=0), atol=1e-7)


def test_without_noise_nothing_changes() -> None:
    found = maps.stability(BUILD(), networks.images(BUILD, 2), "saliency", noise=0, draws=1)
    one = found["saliency"]
    np.testing.assert_allclose(one.values, 1)
    np.testing.assert_allclose([one.change.values, one.score_change.values], 0, atol=1e-7)


def test_more_noise_changes_more() -> None:
    model, x = BUILD(), networks.images(BUILD, 4)
    little, much = (maps.stability(model, x, "saliency", noise=s)["saliency"] for s in (0.01, 0.3))
    assert (little.values > much.values).all()
    assert (little.change.values < much.change.values).all()


def test_a_random_map_is_not_stable_and_a_linear_network_is() -> None:
    x = torch.rand(4, 1, 12, 12)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 3))
    one = maps.stability(model, x, "saliency")["saliency"]
    assert one.estimate == pytest.approx(1)
    assert one.change.estimate == pytest.approx(0, abs=1e-6)
    noise = RNG.random((2, 4, 1, 12, 12))
    assert np.abs(rank_correlation(*noise)).max() < 0.5


def test_noise_is_each_images_own_and_in_parts_of_its_range() -> None:
    x = torch.rand(3, 2, 40, 40) * torch.tensor([1.0, 10, 0]).reshape(3, 1, 1, 1)
    added = noisy(x, 0.1, 0, 1) - x
    assert float(added[0].std()) == pytest.approx(0.1, rel=0.05)
    assert float(added[1].std()) == pytest.approx(1.0, rel=0.05)
    assert float(added[2].abs().max()) == 0
    alone = noisy(x[:1], 0.1, 0, 1) - x[:1]
    assert torch.equal(alone, added[:1])
    assert not torch.equal(noisy(x, 0.1, 0, 2) - x, added)
    assert not torch.equal(noisy(x, 0.1, 1, 1) - x, added)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([1.0, 2], [1.0, 2], 0, id="the same"),
        pytest.param([3.0, 4], [0.0, 0], 1, id="gone"),
        pytest.param([3.0, 4], [-3.0, -4], 2, id="reversed"),
        pytest.param([0.0, 0], [1.0, 2], np.nan, id="from nothing"),
        pytest.param([np.nan, 1], [1.0, 2], np.nan, id="NaN"),
        pytest.param([1e300, 0], [-1e300, 0], 2, id="huge"),
    ],
)
def test_relative_change(before: Any, after: Any, expected: float) -> None:
    a, b = (np.array(values).reshape(1, 1, 1, -1) for values in (before, after))
    np.testing.assert_allclose(relative_change(a, b), [[expected]])


def test_several_targets_and_numpy() -> None:
    model, x = BUILD(), networks.images(BUILD, 2).numpy()
    one = maps.stability(model, x, "gradcam", target="top3", draws=1)["gradcam"]
    assert one.values.shape == (2, 3)
    assert one.signed.values.shape == (2, 3)


def test_the_class_is_that_of_the_image_without_noise() -> None:
    """Two classes a hair apart: under noise the other one wins half of the time."""

    class Even(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            left, right = x[..., :3].sum((1, 2, 3)), x[..., 3:].sum((1, 2, 3))
            return torch.stack([left + 1e-3, right], 1)

    x = torch.ones(1, 1, 6, 6) + torch.linspace(0, 1e-6, 36).reshape(1, 1, 6, 6)
    x[..., 0, 0] = 0.5  # a range
    x[..., 0, 5] = 0.5
    one = maps.stability(Even(), x, "saliency", noise=0.5, draws=4)["saliency"]
    np.testing.assert_allclose(one.change.values, 0)


@pytest.mark.parametrize(
    ("build", "axes"), [(networks.cnn_1d, 1), (networks.cnn_3d, 3)], ids=["1-D", "3-D"]
)
def test_other_numbers_of_axes(build: Any, axes: int) -> None:
    found = maps.stability(build(), networks.images(build, 2), ["saliency", "gradcam"], draws=1)
    assert all(0 < one.estimate <= 1 for one in found.values())


@pytest.mark.parametrize("options", [{"noise": -1}, {"draws": 0}, {"random_state": 0.5}], ids=str)
def test_bad_options_are_refused(options: Any) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        maps.stability(BUILD(), networks.images(BUILD, 1), "saliency", **options)
