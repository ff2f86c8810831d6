"""The sanity check: rank correlations by hand, the order of layers, a model left as it came."""

from __future__ import annotations

import warnings
from typing import Any

import networks
import networks_attention
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError, ModelError  # noqa: E402
from fastxai.metrics import maps  # noqa: E402
from fastxai.metrics._map_models import RandomWeights  # noqa: E402
from fastxai.metrics._map_reading import per_pixel  # noqa: E402
from fastxai.metrics._map_result import rank_correlation  # noqa: E402

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def ranks(values: Any) -> Any:
    """The mean place among all, by counting."""
    flat = np.asarray(values, np.float64).ravel()
    return np.array([(flat < v).sum() + ((flat == v).sum() - 1) / 2 for v in flat])


def spearman(one: Any, other: Any) -> float:
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize("size", [(40,), (6, 7), (3, 4, 5)], ids=str)
def test_rank_correlation_is_that_of_counted_ranks(size: Any) -> None:
    one, other = RNG.integers(0, 6, (2, 3, *size)), RNG.integers(0, 6, (2, 3, *size))
    found = rank_correlation(one.astype(float), other.astype(float))
    expected = [[spearman(one[n, k], other[n, k]) for k in range(3)] for n in range(2)]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda m: m, 1.0, id="itself"),
        pytest.param(lambda m: -m, -1.0, id="its reverse"),
        pytest.param(np.exp, 1.0, id="a growing function"),
        pytest.param(np.zeros_like, np.nan, id="the same everywhere"),
        pytest.param(lambda m: np.where(m > 1, np.nan, m), np.nan, id="NaN"),
        pytest.param(lambda m: np.where(m > 1, np.inf, m), np.nan, id="infinity"),
    ],
)
def test_rank_correlation_of_a_map_with(change: Any, expected: float) -> None:
    one = RNG.normal(size=(1, 1, 9, 9))
    np.testing.assert_allclose(rank_correlation(one, change(one)), [[expected]])


def weights(model: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(before: Any, model: Any) -> set[str]:
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def copy_of(build: Any, **options: Any) -> tuple[Any, RandomWeights]:
    from fastxai.explain.inputs import read_inputs

    model = build()
    return model, RandomWeights(model, read_inputs(networks.images(build, 2)), 0, **options)


def test_weights_become_random_from_the_output_down() -> None:
    model, copy = copy_of(networks.plain_cnn)
    before, seen = weights(model), []
    for name in copy.stages(100):
        now = changed(before, copy.model)
        seen.append((name, {parameter.rsplit(".", 1)[0] for parameter in now}))
    order = ["fc", *(f"features.{k}" for k in (7, 6, 4, 3, 1, 0))]
    assert [name for name, _ in seen] == order
    assert [names for _, names in seen] == [set(order[: k + 1]) for k in range(len(order))]
    assert not changed(before, model)


def test_few_stages_are_evenly_spread_between_the_output_and_all() -> None:
    _, copy = copy_of(networks.plain_cnn)
    assert list(copy.stages(3)) == ["fc", "features.4", "features.0"]


class OtherOrder(torch.nn.Module):
    """Its last layer is defined first."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Linear(4, 3)
        self.first = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.first(x).relu().mean((2, 3)))


def test_the_order_is_that_of_running() -> None:
    from fastxai.explain.inputs import read_inputs

    copy = RandomWeights(OtherOrder(), read_inputs(torch.rand(2, 3, 8, 8)), 0)
    assert list(copy.stages(9)) == ["last", "first"]


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(networks.residual, id="residual"),
        pytest.param(networks.reused_block, id="reused"),
        pytest.param(networks.cnn_1d, id="1-D"),
        pytest.param(networks.cnn_3d, id="3-D"),
        pytest.param(networks_attention.vit, id="transformer"),
    ],
)
def test_at_the_end_every_weight_is_random(build: Any) -> None:
    _, copy = copy_of(build)
    varied = {n for n, p in copy.model.named_parameters() if p.numel() > 1 and p.std() > 0}
    before = weights(copy.model)
    list(copy.stages(4))
    assert changed(before, copy.model) == varied


def test_random_weights_have_the_size_of_those_they_replace() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 500))
    with torch.no_grad():
        model[1].weight.normal_(0.3, 0.05)
    from fastxai.explain.inputs import read_inputs

    copy = RandomWeights(model, read_inputs(torch.rand(2, 3, 8, 8)), 0)
    list(copy.stages(1))
    assert float(copy.model[1].weight.mean()) == pytest.approx(0.3, abs=1e-3)
    assert float(copy.model[1].weight.std()) == pytest.approx(0.05, rel=0.02)


def run(model: Any, x: Any, methods: Any, target: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty maps
        return fastxai.explain(model, x, methods, target=target)


def test_figures_are_those_of_maps_made_by_hand() -> None:
    build = networks.plain_cnn
    model, x = build(), networks.images(build, 3)
    found = maps.randomisation(model, x, ["gradcam", "guided_backprop"], stages=3)
    _, copy = copy_of(build)
    out = run(model, x, list(found))
    for stage, _ in enumerate(copy.stages(3)):
        for name, one in found.items():
            after = run(copy.model, x, [name], out.classes[:, 0])[name].maps
            a, b = (per_pixel(m[:, None].numpy(), 2, "sum") for m in (out[name].maps, after))
            np.testing.assert_allclose(one.signed[:, stage], rank_correlation(a, b)[:, 0])
            a, b = (
                np.abs(per_pixel(m[:, None].numpy(), 2, "absolute"))
                for m in (out[name].maps, after)
            )
            np.testing.assert_allclose(one.absolute[:, stage], rank_correlation(a, b)[:, 0])
    for one in found.values():
        np.testing.assert_allclose(one.values, np.nanmean(one.absolute, axis=1))
        assert one.layers == ("fc", "features.4", "features.0")
        assert len(one.by_stage()) == 3


def test_a_map_of_the_image_alone_survives_and_a_gradient_does_not() -> None:
    """A linear network: the gradient is the weights; times the image it shows both."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(576, 4))
    x = torch.rand(8, 1, 24, 24).exp().pow(4)  # a wide range of pixels
    methods = {"saliency": {}, "integrated_gradients": {"n_samples": 2}}
    found = maps.randomisation(model, x, methods, stages=1)
    assert abs(found["saliency"].estimate) < 0.2
    assert found["integrated_gradients"].estimate.low > 0.4


def test_guided_backprop_survives_the_upper_layers() -> None:
    found = maps.randomisation(
        networks.vgg_like(), networks.images(networks.vgg_like, 4),
        ["guided_backprop", "saliency"], stages=9,
    )  # fmt: skip
    at_output = {name: one.by_stage()[0] for name, one in found.items()}
    assert at_output["guided_backprop"] > at_output["saliency"]


def test_several_targets_and_layers() -> None:
    model, x = networks.residual(), networks.images(networks.residual, 2)
    layers = ["layer1", model.layer2]
    found = maps.randomisation(model, x, "gradcam", target="top2", layer=layers, stages=2)
    assert sorted(found) == ["gradcam@layer1", "gradcam@layer2"]
    assert found["gradcam@layer2"].absolute.shape == (2, 2, 2)
    assert found["gradcam@layer2"].values.shape == (2, 2)


def test_maps_that_are_empty_do_not_count() -> None:
    """Grad-CAM of one feature map is that map, or empty where its random weight is negative."""
    fc = torch.nn.Linear(1, 2)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), fc,
    )  # fmt: skip
    with torch.no_grad():
        model[0].weight.fill_(1), model[0].bias.fill_(1), fc.weight.copy_(torch.tensor([[1], [-1]]))
    x, counts = torch.rand(3, 1, 6, 6), set()
    for seed in range(8):
        found = maps.randomisation(model, x, target=0, stages=1, random_state=seed)["gradcam"]
        counts.add(found.n)
        assert np.isnan(found.estimate) if found.n == 0 else found.estimate == pytest.approx(1)
    assert counts == {0, 3}


def test_the_seed_decides() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)

    def once(seed: int) -> Any:
        found = maps.randomisation(model, x, "saliency", stages=2, random_state=seed)
        return found["saliency"].absolute

    np.testing.assert_array_equal(once(0), once(0))
    assert not np.array_equal(once(0), once(1))


def test_the_model_is_untouched() -> None:
    model, x = networks.plain_cnn().train(), networks.images(networks.plain_cnn, 2)
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    maps.randomisation(model, x, "gradcam", stages=2)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert torch.equal(state, torch.get_rng_state())


def test_black_boxes_and_other_inputs() -> None:
    model, inputs = networks.mapping_inputs(), networks.images(networks.mapping_inputs, 2)
    methods = {"occlusion": {"window": 8, "stride": 8}, "gradcam": {}}
    found = maps.randomisation(model, inputs, methods, stages=2, wrt="pixels")
    assert found["occlusion"].absolute.shape == (2, 2)


def test_what_has_no_weights_is_refused() -> None:
    x = torch.rand(2, 3, 8, 8)
    with pytest.raises(InvalidInputError, match=r"no torch.nn.Module"):
        maps.randomisation(lambda x: x.mean((2, 3)), x, {"occlusion": {"window": 4}})
    with pytest.raises(InvalidInputError, match="no parameters"):
        maps.randomisation(torch.nn.Flatten(), x, {"occlusion": {"window": 4}})


def test_what_can_not_be_copied_is_told() -> None:
    model = networks.plain_cnn()
    model.lock = (i for i in range(3))
    with pytest.raises(ModelError, match="deepcopy"):
        maps.randomisation(model, networks.images(networks.plain_cnn, 2), "gradcam")


@pytest.mark.parametrize("options", [{"stages": 0}, {"random_state": -1}, {"methods": "magic"}])
def test_bad_options_are_refused(options: Any) -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    with pytest.raises(InvalidInputError, match=str(next(iter(options)))[:6]):
        maps.randomisation(model, x, **options)
