"""Insertion and deletion against a plain loop in double precision, and on known evidence."""

from __future__ import annotations

import itertools
from typing import Any

import networks
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError, ModelError  # noqa: E402
from fastxai.metrics import maps  # noqa: E402

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def loop(
    score: Any, image: Any, order: Any, baseline: Any, steps: int, insert: bool
) -> list[float]:
    """The curve by the book: copy, change some pixels, ask; one image (C, *spatial), float64."""
    flat, fill = image.reshape(len(image), -1), baseline.reshape(len(image), -1)
    pixels, found = flat.shape[1], []
    for step in range(min(steps, pixels) + 1):
        now = order[: round(step * pixels / min(steps, pixels))]
        changed = (fill if insert else flat).copy()
        changed[:, now] = (flat if insert else fill)[:, now]
        found.append(float(score(changed.reshape(image.shape))))
    return found


def area(curve: list[float]) -> float:
    """RISE's: the mean of neighbours, step by step of the same width."""
    return float(np.mean([(a + b) / 2 for a, b in itertools.pairwise(curve)]))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(networks.plain_cnn, id="2-D"),
        pytest.param(networks.cnn_1d, id="1-D"),
        pytest.param(networks.cnn_3d, id="3-D"),
    ],
)
@pytest.mark.parametrize("score", ["probability", "logit"])
def test_curves_are_those_of_a_plain_loop(build: Any, score: str) -> None:
    model, x = build().double(), networks.images(build, 3).double()
    size = tuple(x.shape[2:])
    values = RNG.permuted(np.arange(3 * np.prod(size)).reshape(3, -1), axis=1)
    target, steps = [1, 4, 0], 8  # which divides the pixels of all three
    both = maps.insertion_deletion(
        model, x, values.reshape(3, *size), target=target, steps=steps, score=score,
        insertion_baseline=0.25, deletion_baseline="mean",
    )  # fmt: skip

    for row in range(3):

        def answer(image: Any, k: int = target[row]) -> Any:
            with torch.no_grad():
                logits = model(torch.from_numpy(image)[None])[0]
            return (logits.softmax(0) if score == "probability" else logits)[k]

        image, order = x[row].numpy(), np.argsort(-values[row])
        flat = image.reshape(len(image), -1)
        low, grey = (
            np.full_like(image, 0.25),
            np.broadcast_to(flat.mean(1, keepdims=True), flat.shape),
        )
        for name, curve, fill in (("insertion", both[0], low), ("deletion", both[1], grey)):
            expected = loop(answer, image, order, np.array(fill), steps, name == "insertion")
            np.testing.assert_allclose(curve.scores[row], expected, rtol=2e-6, atol=1e-6)
            np.testing.assert_allclose(curve.values[row], area(expected), rtol=2e-6, atol=1e-6)
    assert both.insertion.shares.tolist() == [step / 8 for step in range(9)]


def linear(weights: Any) -> Any:
    """A network whose evidence is known: the score is the sum of weight times pixel."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(weights.size, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(np.stack([weights.ravel(), -weights.ravel()])))
    return model


@pytest.fixture
def known() -> Any:
    """Linear network, images, and what each pixel adds to the score."""
    weights = RNG.normal(size=(1, 8, 8)).astype(np.float32)
    x = torch.from_numpy(RNG.uniform(0.5, 1, (6, 1, 8, 8)).astype(np.float32))
    return linear(weights), x, (x.numpy() * weights)[:, 0]


def test_the_true_evidence_beats_noise_and_its_reverse(known: Any) -> None:
    model, x, evidence = known

    def areas(values: Any) -> Any:
        both = maps.insertion_deletion(
            model, x, values, target=0, score="logit", insertion_baseline=0.0
        )
        return both.insertion.values, both.deletion.values

    true, noise = areas(evidence), areas(RNG.random(evidence.shape))
    reverse = areas(-evidence)
    assert (true[0] > noise[0]).all() and (noise[0] > reverse[0]).all()
    assert (true[1] < noise[1]).all() and (noise[1] < reverse[1]).all()


def test_curves_begin_and_end_where_they_must() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 3)
    both = maps.insertion_deletion(model, x, RNG.random((3, 24, 24)), target=2, steps=7)
    with torch.no_grad():
        as_is = model(x).softmax(1)[:, 2].numpy()
        black = model(torch.zeros_like(x)).softmax(1)[:, 2].numpy()
        from fastxai.explain.black_box.baselines import blurred

        blur = model(blurred(x)).softmax(1)[:, 2].numpy()
    np.testing.assert_allclose(both.insertion.scores[:, -1], as_is, rtol=1e-5)
    np.testing.assert_allclose(both.deletion.scores[:, 0], as_is, rtol=1e-5)
    np.testing.assert_allclose(both.deletion.scores[:, -1], black, rtol=1e-5)
    np.testing.assert_allclose(both.insertion.scores[:, 0], blur, rtol=1e-5)


def test_each_alone_is_as_both_together() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    values = RNG.random((2, 24, 24))
    both = maps.insertion_deletion(model, x, values, steps=5)
    np.testing.assert_allclose(maps.insertion(model, x, values, steps=5).scores, both[0].scores)
    np.testing.assert_allclose(maps.deletion(model, x, values, steps=5).scores, both[1].scores)


def test_several_targets_each_by_its_own_map() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    values = RNG.random((2, 3, 24, 24))
    together = maps.deletion(model, x, values, target="top3", steps=5)
    assert together.scores.shape == (2, 3, 6)
    classes = fastxai.explain(model, x, "gradcam", target="top3").classes
    for k in range(3):
        alone = maps.deletion(model, x, values[:, k], target=classes[:, k], steps=5)
        np.testing.assert_allclose(together.scores[:, k], alone.scores, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(together.values[:, k], alone.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_does_not_matter(batch_size: int) -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 3)
    values = np.zeros((3, 24, 24))  # all tied
    free = maps.insertion_deletion(model, x, values, steps=5)
    told = maps.insertion_deletion(model, x, values, steps=5, batch_size=batch_size)
    for one, other in zip(free, told, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-6)


def test_many_images_each_by_its_own_map(known: Any) -> None:
    model, _, _ = known
    x, values = torch.rand(70, 1, 8, 8), RNG.random((70, 8, 8))  # more than run together
    found = maps.deletion(model, x, values, target=0, score="logit", steps=4)
    for row in (0, 31, 32, 69):
        alone = maps.deletion(
            model, x[row : row + 1], values[row : row + 1], target=0, score="logit", steps=4
        )
        np.testing.assert_allclose(found.scores[row], alone.scores[0], rtol=1e-4, atol=1e-5)


def test_a_faster_copy_gives_the_same_curves() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    values = RNG.random((2, 24, 24))
    usual, fast = (maps.deletion(model, x, values, steps=5, fast=f).scores for f in (False, True))
    np.testing.assert_allclose(fast, usual, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("build", [networks.two_inputs, networks.mapping_inputs])
def test_models_with_other_inputs(build: Any) -> None:
    model, inputs = build(), networks.images(build, 2)
    key = "pixels" if isinstance(inputs, dict) else 0
    found = maps.deletion(model, inputs, RNG.random((2, 24, 24)), steps=3, wrt=key, target=1)
    with torch.no_grad():
        output = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    as_is = output.softmax(1)[:, 1].numpy()
    np.testing.assert_allclose(found.scores[:, 0], as_is, rtol=1e-4)


def test_a_map_of_pixels_is_scored_over_its_mask() -> None:
    model, x = networks.unet(), networks.images(networks.unet, 2)
    found = maps.deletion(model, x, RNG.random((2, 24, 24)), steps=3, target=(1, None))
    with torch.no_grad():
        as_is = model(x).softmax(1)[:, 1].mean((1, 2)).numpy()
    np.testing.assert_allclose(found.scores[:, 0], as_is, rtol=1e-4)


def test_equal_pixels_change_in_an_order_by_lot(known: Any) -> None:
    model, x, evidence = known
    flat = np.ones_like(evidence)

    def curve(seed: int) -> Any:
        return maps.deletion(model, x, flat, target=0, score="logit", random_state=seed).scores

    assert np.array_equal(curve(0), curve(0))
    assert not np.array_equal(curve(0), curve(1))
    # Each image's own: the first alone has the order that it had among six.
    alone = maps.deletion(model, x[:1], flat[:1], target=0, score="logit").scores
    np.testing.assert_allclose(alone, curve(0)[:1], rtol=1e-5, atol=1e-5)


def test_only_equal_pixels_are_drawn_by_lot(known: Any) -> None:
    model, x, evidence = known
    cut = np.maximum(evidence, 0)
    positive = int((cut[0] > 0).sum())
    scores = maps.deletion(model, x[:1], cut[:1], target=0, score="logit", steps=64).scores[0]
    left = evidence[0].sum() - np.cumsum(np.sort(cut[0].ravel())[::-1])
    np.testing.assert_allclose(scores[1 : positive + 1], left[:positive], rtol=1e-4, atol=1e-4)


def test_maps_by_channel_are_added_up() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    values = RNG.normal(size=(2, 3, 24, 24))
    for channels, summed in (("absolute", np.abs(values).sum(1)), ("sum", values.sum(1))):
        one = maps.deletion(model, x, values, steps=5, channels=channels).scores
        np.testing.assert_array_equal(one, maps.deletion(model, x, summed, steps=5).scores)


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
def test_maps_that_are_no_numbers_do_not_count(bad: float) -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 3)
    values = RNG.random((3, 24, 24))
    values[1, 5, 5] = bad
    found = maps.deletion(model, x, values, steps=4)
    assert np.isnan(found.values).tolist() == [False, True, False]
    assert np.isnan(found.scores[1]).all()
    assert found.n == 2
    assert found.estimate == pytest.approx(found.values[[0, 2]].mean())
    assert "2 of 3 images" in repr(found)


def test_more_steps_than_pixels_are_one_a_pixel(known: Any) -> None:
    model, x, evidence = known
    found = maps.deletion(model, x, evidence, target=0, steps=1000)
    assert found.scores.shape == (6, 65)


def test_any_function_tensors_and_half_precision() -> None:
    def brightness(images: Any) -> Any:
        return images.float().mean((1, 2, 3))[:, None]

    x = torch.rand(2, 1, 6, 6, dtype=torch.float16)
    found = maps.insertion(brightness, x, x[:, 0], task="regression", baseline=0.0, steps=6)
    assert (np.diff(found.scores, axis=1) >= 0).all()
    assert not np.isfinite(found.estimate.low) or found.estimate.low <= found.estimate


def test_the_model_and_the_images_are_as_they_were() -> None:
    model, x = networks.plain_cnn().train(), networks.images(networks.plain_cnn, 2)
    before, pixels = {k: v.clone() for k, v in model.state_dict().items()}, x.clone()
    maps.insertion_deletion(model, x, RNG.random((2, 24, 24)), steps=3)
    assert model.training
    assert torch.equal(x, pixels)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


SHAPE = (2, 24, 24)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        pytest.param(np.ones((2, 12, 12)), {}, r"\(24, 24\) pixels: enlarge", id="another size"),
        pytest.param(np.ones((3, 24, 24)), {}, "for 2 images", id="another number"),
        pytest.param(np.ones((2, 2, 24, 24)), {"target": "top3"}, "names 3", id="other targets"),
        pytest.param(np.ones(SHAPE), {"target": "top3"}, "names 3", id="no axis of targets"),
        pytest.param({"a": np.ones(SHAPE)}, {}, "maps of one layer", id="several layers"),
        pytest.param(np.ones(SHAPE), {"steps": 0}, "steps=0", id="no step"),
        pytest.param(np.ones(SHAPE), {"score": "loss"}, "score='loss'", id="score"),
        pytest.param(np.ones(SHAPE), {"channels": "max"}, "channels='max'", id="channels"),
        pytest.param(np.ones(SHAPE), {"deletion_baseline": "noise"}, "baseline", id="baseline"),
        pytest.param(np.full(SHAPE, "a"), {}, "give numbers", id="text"),
    ],
)
def test_bad_input_is_refused(values: Any, options: Any, message: str) -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    with pytest.raises(InvalidInputError, match=message):
        maps.insertion_deletion(model, x, values, **options)


def test_an_explanation_is_not_its_maps() -> None:
    model, x = networks.plain_cnn(), networks.images(networks.plain_cnn, 2)
    found = fastxai.GradCAM(model).explain(x)
    with pytest.raises(InvalidInputError, match=r"give its \.maps"):
        maps.deletion(model, x, found)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="stepz"):
        maps.deletion(networks.plain_cnn(), torch.rand(1, 3, 24, 24), np.ones((1, 24, 24)), stepz=3)


def test_what_the_model_raises_is_told() -> None:
    def broken(images: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ModelError, match="no"):
        maps.deletion(broken, torch.rand(1, 3, 8, 8), np.ones((1, 8, 8)))
