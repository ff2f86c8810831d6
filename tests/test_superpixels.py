"""LIME and KernelSHAP from images to maps."""

import networks
import numpy as np
import pytest
from occluding import X, agree

import fastxai
from fastxai import LIME, FastxaiWarning, InvalidInputError, KernelSHAP
from fastxai.explain.superpixels.sampling import lime_masks, shapley_masks
from fastxai.explain.superpixels.slic import grid, slic
from fastxai.explain.superpixels.solve import constrained, ridge

torch = pytest.importorskip("torch")
nn = torch.nn

BOTH = pytest.mark.parametrize("method", [LIME, KernelSHAP], ids=["lime", "kernel_shap"])
FEW = {"segments": "grid", "n_segments": 9, "n_samples": 60}
GRID = grid((24, 24), 9)


def model():
    return networks.plain_cnn()


def scores_by_hand(net, image, shown, segments, baseline=0.0, score="probability", target=1):
    """Image by image, one mask of pixels each."""
    found = []
    with torch.no_grad():
        for row in shown:
            mask = torch.from_numpy(row[segments])
            output = net(torch.where(mask, image, torch.as_tensor(baseline))[None])[0]
            found.append((output.softmax(0) if score == "probability" else output)[target])
    return torch.stack(found).double().numpy()[:, None]


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_lime_is_the_ridge_of_its_masks(score):
    found = LIME(model(), **FEW, score=score, random_state=2).explain(X[:1], target=1)
    masks = lime_masks(60, 9, 2 * 1_000_003, 0.25)
    scores = scores_by_hand(model(), X[0], masks.shown, GRID, score=score)
    fit = ridge(masks.shown, scores, masks.weights, 1.0)
    agree(found.maps[0], fit.coefficients[0][GRID].astype(np.float32))
    detail = found.details[0]
    assert detail.intercept == pytest.approx(fit.intercept[0], rel=1e-4)
    assert detail.score == pytest.approx(scores[0, 0], rel=1e-5)
    assert detail.predicted == pytest.approx(fit.at(masks.shown[:1])[0, 0], rel=1e-4)


@pytest.mark.parametrize("n_samples", [60, 512], ids=["drawn", "all"])
def test_kernel_shap_is_the_constrained_fit_of_its_masks(n_samples):
    found = KernelSHAP(model(), **{**FEW, "n_samples": n_samples}).explain(X[:1], target=1)
    masks = shapley_masks(n_samples, 9, 0)
    scores = scores_by_hand(model(), X[0], masks.shown, GRID)
    fit = constrained(masks.shown, scores, masks.weights)
    agree(found.maps[0], fit.coefficients[0][GRID].astype(np.float32))
    detail = found.details[0]
    assert detail.exact == (n_samples == 512)
    assert detail.n_samples == len(masks)
    assert abs(detail.predicted - detail.score) < 1e-12
    assert detail.intercept == pytest.approx(scores[1, 0], rel=1e-5)


def test_kernel_shap_of_a_linear_model_is_what_each_segment_adds():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    images = torch.randn(2, 3, 16, 16)
    method = KernelSHAP(net, n_segments=12, n_samples=50, score="logit", baseline=0.5)
    for row, detail in enumerate(method.explain(images, target=2).details):
        adds = ((images[row] - 0.5) * net[1].weight[2].reshape(3, 16, 16)).sum(0).detach().numpy()
        expected = np.bincount(detail.segments.ravel(), adds.ravel())
        np.testing.assert_allclose(detail.coefficients, expected, rtol=1e-4, atol=1e-5)
        assert detail.r2 == pytest.approx(1, abs=1e-6)


@BOTH
def test_what_matters_is_found(method):
    """Only one quarter of the image says anything."""

    def net(x):
        inside = x[:, 0, :12, 12:].mean((1, 2))
        return torch.stack([10 * inside, torch.zeros_like(inside)], 1)

    explainer = method(net, segments="grid", n_segments=16, n_samples=300, score="logit")
    detail = explainer.explain(torch.rand(1, 1, 24, 24), target=0).details[0]
    inside = np.zeros(16, bool)
    inside[[2, 3, 6, 7]] = True
    others = np.abs(detail.coefficients[~inside]).max()
    assert detail.coefficients[inside].min() > 10 * others
    assert detail.r2 > 0.99


# --- surface -----------------------------------------------------------------------------------


@BOTH
def test_maps_are_weights_of_the_pixels_segments(method):
    found = method(model(), n_segments=9, n_samples=80).explain(X)
    assert found.maps.shape == (3, 24, 24)
    assert found.signed
    assert (found.status == "ok").all()
    assert found.layers == ()
    for image, values, detail in zip(X, found.maps, found.details, strict=True):
        assert np.array_equal(detail.segments, slic(image.numpy(), 9))
        assert np.array_equal(values, detail.coefficients[detail.segments].astype(np.float32))
        assert detail.std.shape == detail.coefficients.shape == (len(detail),)
        assert all(isinstance(v, float) for v in (detail.r2, detail.intercept, detail.stability))


@BOTH
def test_several_targets_share_the_masks(method):
    found = method(model(), **FEW).explain(X, target="top3")
    assert found.maps.shape == (3, 3, 24, 24)
    detail = found.details[1]
    assert detail.coefficients.shape == detail.std.shape == (3, 9)
    for value in (detail.intercept, detail.r2, detail.r2_held_out, detail.stability, detail.score):
        assert value.shape == (3,)
    out = fastxai.explain(model(), X, {method.name: FEW}, target="top3")
    one = method(model(), **FEW).explain(X, target=out.classes[:, 1])
    agree(one.maps, found.maps[:, 1])
    assert "and 2 more" in repr(detail)


@BOTH
@pytest.mark.parametrize("spelling", ["name", "class"])
def test_explain_knows_both(method, spelling):
    given = {"name": method.name.replace("_", "-").upper(), "class": method.__name__}[spelling]
    out = fastxai.explain(model(), X, {given: FEW, "gradcam": {}})
    agree(out[method.name].maps, method(model(), **FEW)(X))
    assert len(out[method.name].details) == 3
    assert out["gradcam"].details == ()


@BOTH
def test_masks_are_each_images_own(method):
    options = {"n_segments": 9, "n_samples": 60}
    together = method(model(), **options)(X)
    agree(method(model(), **options, batch_size=7)(X), together)
    agree(method(model(), **options)(X[:2]), together[:2])
    again = method(model(), **options).explain(X)
    assert torch.equal(again.maps, together)
    assert not torch.allclose(method(model(), **options, random_state=1)(X), together)


@BOTH
def test_a_part_of_a_set_has_the_masks_of_the_set(method):
    from fastxai.explain.engine import run

    options = {"n_segments": 9, "n_samples": 60}
    part = run([method(model(), **options)], X[1:], first=1).explanations[method.name]
    agree(part.maps, method(model(), **options)(X)[1:])


@BOTH
def test_numpy_images_give_numpy_maps(method):
    found = method(model(), **FEW)(X.numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32


@BOTH
@pytest.mark.parametrize(
    "build", ["one axis", "three axes", "one channel", "many channels", "channels last", "double"]
)
def test_any_images(method, build):
    torch.manual_seed(0)
    shape = {
        "one axis": (2, 3, 40),
        "three axes": (2, 2, 6, 7, 8),
        "one channel": (2, 1, 16, 16),
        "many channels": (2, 11, 16, 16),
    }.get(build, (2, 3, 16, 16))
    images = torch.randn(shape)
    net = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 4))
    if build == "channels last":
        images = images.contiguous(memory_format=torch.channels_last)
    if build == "double":
        net, images = net.double(), images.double()
    found = method(net, **FEW, baseline=torch.randn(shape[1]).tolist()).explain(images, target=1)
    assert found.maps.shape == (shape[0], *shape[2:])
    row = found.details[1]
    draw = {"lime": lambda: lime_masks(60, len(row), 1, 0.25)}.get(
        method.name, lambda: shapley_masks(60, len(row), 1)
    )
    assert row.n_samples == len(draw())
    alike = method(lambda x: net(x), **FEW, baseline=0.0).explain(images, target=1)
    assert alike.maps.shape == found.maps.shape


@BOTH
def test_the_same_maps_whatever_the_order_of_memory(method):
    net = networks.plain_cnn().to(memory_format=torch.channels_last)
    last = X.contiguous(memory_format=torch.channels_last)
    agree(method(net, **FEW)(last), method(model(), **FEW)(X))


def test_segments_may_be_hidden_by_their_own_colour():
    method = KernelSHAP(model(), **FEW, baseline="segment")
    found = method.explain(X[:1], target=1).details[0]
    hidden = X[:1].clone()
    for k in range(9):
        inside = torch.from_numpy(np.equal(GRID, k))
        hidden[0, :, inside] = X[0, :, inside].mean(1, keepdim=True)
    with torch.no_grad():
        assert found.intercept == pytest.approx(float(model()(hidden).softmax(1)[0, 1]), rel=1e-4)


@BOTH
@pytest.mark.parametrize("baseline", ["mean", "blur", 0.3, [0.1, 0.2, 0.3]], ids=str)
def test_baselines_are_those_of_occlusion(method, baseline):
    found = method(model(), **FEW, baseline=baseline)(X)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, method(model(), **FEW)(X))


def test_few_segments_only_have_a_weight():
    found = LIME(model(), **FEW, n_features=3).explain(X)
    assert [(d.coefficients != 0).sum() for d in found.details] == [3, 3, 3]


@BOTH
def test_the_model_is_left_as_it_came(method):
    net = model().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    given = X.clone().requires_grad_()
    method(net, **FEW)(given)
    assert net.training
    assert given.grad is None
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@BOTH
def test_folded_copies_say_the_same(method):
    slow, fast = (method(model(), **FEW, fast=fast)(X) for fast in (False, True))
    torch.testing.assert_close(slow, fast, rtol=1e-3, atol=1e-4)


# --- what can go wrong -------------------------------------------------------------------------


@BOTH
def test_one_segment_holds_everything(method):
    found = method(model(), segments=np.zeros((24, 24), int), n_samples=30).explain(X, target=1)
    assert found.maps.std((1, 2)).max() == 0
    detail = found.details[0]
    assert len(detail) == 1
    assert np.isnan(detail.stability) or detail.exact
    if method is KernelSHAP:
        assert detail.n_samples == 2
        assert detail.coefficients[0] == pytest.approx(detail.score - detail.intercept)


@pytest.mark.parametrize(
    "method, n_samples, message",
    [
        (LIME, 50, r"n_samples=50 masks for 64 segments.* give n_samples=640, 66 at least"),
        (KernelSHAP, 129, r"n_samples=129 masks for 64 segments: give n_samples=1280, 130 at"),
    ],
)
def test_more_segments_than_masks_can_tell_apart_are_refused(method, n_samples, message):
    with pytest.raises(InvalidInputError, match=message):
        method(model(), segments=grid((24, 24), 64), n_samples=n_samples)(X)


def test_masks_that_tell_too_little_are_refused():
    """As few as could do, and some of them drawn twice."""
    with pytest.raises(InvalidInputError, match="do not tell all 9 segments apart"):
        KernelSHAP(model(), segments="grid", n_segments=9, n_samples=20)(X)


@BOTH
def test_a_score_that_never_changes_has_no_fidelity(method):
    found = method(lambda x: torch.ones(len(x), 3), **FEW).explain(X, target=1)
    assert (found.maps.abs() < 1e-6).all()
    assert all(np.isnan(detail.r2) for detail in found.details)
    assert (found.status == "ok").all()


@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_answers_that_are_not_finite_have_a_status(method, value):
    def net(x):
        output = x.flatten(1)[:, :3].clone()
        output[x[:, 0, 0, 0] == 0, 1] = value  # wherever the first segment is hidden
        return output

    with pytest.warns(FastxaiWarning, match="nonfinite"):
        method(net, **FEW, score="logit")(X, target=1)
    found = method(net, **FEW, score="logit").explain(X, target=[[1, 2]] * 3)
    assert (found.status == [["nonfinite", "ok"]] * 3).all()
    assert np.isnan(found.details[0].coefficients[0]).all()
    assert np.isfinite(found.details[0].coefficients[1]).all()
    assert np.isnan(found.details[0].r2[0])


@pytest.mark.parametrize(
    "method, options, message",
    [
        (LIME, {"n_samples": 0}, "n_samples=0"),
        (LIME, {"n_segments": 2.5}, "n_segments=2.5"),
        (LIME, {"kernel_width": 0}, "kernel_width=0"),
        (LIME, {"alpha": -1}, "alpha=-1"),
        (LIME, {"n_features": 0}, "n_features=0"),
        (LIME, {"n_features": 3, "feature_selection": "none"}, "leave one of them out"),
        (LIME, {"feature_selection": "lasso"}, "feature_selection='lasso'"),
        (KernelSHAP, {"n_samples": None}, "n_samples=None"),
        (KernelSHAP, {"score": "x"}, "score='x'"),
        (KernelSHAP, {"baseline": "colour"}, "baseline='colour'.*or 'segment'"),
        (KernelSHAP, {"baseline": [1.0, 2.0]}, r"shape \(2,\)"),
        (KernelSHAP, {"random_state": -1}, "random_state=-1"),
        (KernelSHAP, {"fast": 1}, "fast=1"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_wrong_options_are_refused(method, options, message):
    with pytest.raises(InvalidInputError, match=message):
        method(model(), **options)(X)


def test_options_of_the_other_are_unknown():
    with pytest.raises(TypeError, match="KernelSHAP has no option 'alpha'; it has segments"):
        KernelSHAP(model(), alpha=1.0)


def test_the_summary_tells_fidelity_and_stability():
    lime = LIME(model(), **FEW).explain(X).details[0]
    assert lime.summary().startswith(f"lime: R² {lime.r2:.2f} ({lime.r2_held_out:.2f} held out)")
    assert lime.summary().endswith("9 segments, 60 masks")
    shap = KernelSHAP(model(), **{**FEW, "n_samples": 512}).explain(X).details[0]
    assert "every mask there is; 9 segments, 512 masks" in repr(shap)
