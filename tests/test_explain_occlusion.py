"""Occlusion: windows, maps and baselines, however models and images come."""

import networks
import networks_attention  # noqa: F401  (registers the transformers)
import numpy as np
import pytest
from occluding import X, agree

import fastxai
from fastxai import RISE, FastxaiWarning, InvalidInputError, Occlusion

torch = pytest.importorskip("torch")
nn = torch.nn
from fastxai.explain.black_box.baselines import read_baseline  # noqa: E402
from fastxai.explain.black_box.windows import window_table  # noqa: E402

OPTIONS = {  # what the builders' outputs need
    "binary": {"task": "binary"},
    "regression": {"task": "regression"},
    "two_inputs": {"wrt": 0},
    "mapping_inputs": {"wrt": "pixels"},
}


def by_hand(model, images, window, stride, baseline, target, probability=False):
    """The mean drop, window by window and image by image."""

    def scores(x):
        with torch.no_grad():
            output = model(x).double()
        return (output.softmax(1) if probability else output)[0, target]

    windows, _ = window_table(images.shape[2:], window, stride)
    total, count = torch.zeros(images.shape[2:]).double(), torch.zeros(images.shape[2:])
    for spans in windows:
        where = tuple(slice(*span) for span in spans.tolist())
        covered = images.clone()
        covered[(slice(None), slice(None), *where)] = baseline[(slice(None), slice(None), *where)]
        total[where] += scores(images) - scores(covered)
        count[where] += 1
    return (total / count).float()


def test_as_many_windows_as_published():
    windows, grid = window_table((224, 224), 32, 16)
    assert grid == (13, 13)
    assert windows.shape == (169, 2, 2)


@pytest.mark.parametrize("size", [(7,), (10, 7), (5, 6, 7)], ids=str)
@pytest.mark.parametrize("window, stride", [(3, 2), (5, 5), (1, 1), (4, 3)], ids=str)
def test_every_pixel_is_covered_and_the_border_cuts(size, window, stride):
    windows, grid = window_table(size, window, stride)
    covered = np.zeros(size, int)
    for spans in windows:
        covered[tuple(slice(*span) for span in spans)] += 1
    assert covered.min() >= 1
    assert len(windows) == np.prod(grid)
    sides = windows[:, :, 1] - windows[:, :, 0]
    assert sides.max() == window
    assert sides.min() >= 1
    assert (windows[:, :, 1] <= size).all()


def test_one_number_an_axis():
    windows, grid = window_table((10, 20), (10, 5), np.array([10, 5]))
    assert grid == (1, 4)
    assert windows[1].tolist() == [[0, 10], [5, 10]]


def test_windows_by_default():
    assert window_table((224, 224))[1] == (13, 13)
    assert window_table((3, 1))[1] == (3, 1)


WRONG_WINDOWS = {
    "window larger than the image": (25, 5, r"window=25 is larger .* axis 0 .*\(24, 20\).*most 24"),
    "larger on one axis": (21, 5, "axis 1 .* at most 20"),
    "stride of zero": (5, 0, "stride=0: choose whole numbers of 1 or more"),
    "negative stride": (5, -2, "stride=-2"),
    "no window": (0, 1, "window=0"),
    "half a window": (2.5, 1, "window=2.5"),
    "gaps": (4, 5, "stride=5 is larger than the window of 4 .* at most 4"),
    "three axes": ((4, 4, 4), 2, "2 spatial axes"),
    "a word": ("large", 2, "window='large'"),
    "true": (True, 1, "window=True"),
}


@pytest.mark.parametrize("window, stride, message", WRONG_WINDOWS.values(), ids=WRONG_WINDOWS)
def test_wrong_windows_are_refused(window, stride, message):
    with pytest.raises(InvalidInputError, match=message):
        Occlusion(networks.plain_cnn(), window=window, stride=stride)(X[..., :20])


@pytest.mark.parametrize("local", [False, True], ids=["whole", "local"])
@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("window, stride", [(6, 3), (5, 4), (1, 1), ((4, 7), (3, 5))], ids=str)
def test_maps_are_those_of_a_plain_loop(window, stride, score, local):
    if window == 1:
        images, size = X[:1, :, :9, :8], 1
    else:
        images, size = X, 3
    model = networks.plain_cnn()
    explainer = Occlusion(model, window=window, stride=stride, score=score, local=local)
    found = explainer(images, target=[1] * size)
    for image, one in zip(images, found, strict=True):
        zero = torch.zeros_like(image[None])
        expected = by_hand(model, image[None], window, stride, zero, 1, score == "probability")
        agree(one, expected)


def test_the_drop_is_that_of_the_predicted_class():
    model = networks.plain_cnn()
    classes = model(X).argmax(1)
    found = Occlusion(model, window=8)(X)
    assert torch.equal(found, Occlusion(model, window=8)(X, target=classes))


def test_several_targets_from_the_same_forwards():
    model, calls = networks.plain_cnn(), []
    model.register_forward_hook(lambda *args: calls.append(1))
    found = Occlusion(model, window=8, stride=8, local=False)(X, target="top3")
    assert found.shape == (3, 3, 24, 24)
    several, _ = len(calls), calls.clear()
    classes = fastxai.explain(model, X, "gradcam", target="top3").classes
    calls.clear()
    for k in range(3):
        one = Occlusion(model, window=8, stride=8, local=False)(X, target=classes[:, k])
        agree(found[:, k], one)
    assert several == len(calls) / 3


@pytest.mark.parametrize("build", networks.NETWORKS.values(), ids=networks.NETWORKS)
def test_every_kind_of_network(build):
    model, images = build(), networks.images(build)
    target = (1, None) if build.__name__ in ("unet", "fully_convolutional") else None
    options = OPTIONS.get(build.__name__, {})
    if build.__name__ in ("cnn_1d", "cnn_3d"):
        options = options | {"window": 4, "stride": 3}
    whole = Occlusion(model, local=False, **options)(images, target)
    local = Occlusion(model, **options)(images, target)
    assert whole.shape == (2, *build.shape[1:])
    assert whole.abs().max() > 0
    agree(local, whole, rtol=1e-3)


def test_the_score_of_a_mask_of_pixels():
    model = networks.unet()
    mask = torch.zeros(24, 24, dtype=torch.bool)
    mask[:8] = True
    found = Occlusion(model, window=4)(X, target=(2, mask))
    with torch.no_grad():
        covered = X[:1].clone()
        covered[:, :, :4, :4] = 0
        drop = (model(X[:1]) - model(covered))[0, 2][mask].sum()
    agree(found[0, 0, 0], drop)


def test_one_axis_and_three():
    for build, window in ((networks.cnn_1d, 6), (networks.cnn_3d, (4, 5, 6))):
        model, images = build(), networks.images(build, 1)
        found = Occlusion(model, window=window)(images, target=2)
        agree(found[0], by_hand(model, images, window, None, torch.zeros_like(images), 2))


def test_other_inputs_stay_beside_their_image():
    build = networks.two_inputs
    model, inputs = build(), networks.images(build, 3)
    found = Occlusion(model, wrt=0, window=8)(inputs, target=1)
    for i in range(3):
        one = Occlusion(model, wrt=0, window=8)(tuple(x[i : i + 1] for x in inputs), target=1)
        agree(found[i : i + 1], one)


def _blurred(images):
    from scipy.ndimage import gaussian_filter

    sigma = [0, 0, *(n / 20 for n in images.shape[2:])]
    return torch.from_numpy(gaussian_filter(images.double().numpy(), sigma, mode="nearest")).float()


BASELINES = {
    "a value": (0.7, lambda x: torch.full_like(x, 0.7)),
    "one a channel": ([1.0, 2.0, 3.0], lambda x: torch.tensor([1.0, 2, 3])[:, None, None]),
    "an array": (np.array([1, 2, 3]), lambda x: torch.tensor([1.0, 2, 3])[:, None, None]),
    "an image": (X[1], lambda x: X[1]),
    "mean": ("mean", lambda x: x.mean((2, 3), keepdim=True)),
    "blur": ("blur", _blurred),
}


@pytest.mark.parametrize("baseline, expected", BASELINES.values(), ids=BASELINES)
def test_baselines(baseline, expected):
    found = read_baseline(baseline, X)
    tolerance = 2e-3 if isinstance(baseline, str) else 1e-6
    torch.testing.assert_close(found, expected(X).expand_as(X), rtol=0, atol=tolerance)
    model = networks.plain_cnn()
    map_ = Occlusion(model, window=9, baseline=baseline)(X[:1], target=0)[0]
    agree(map_, by_hand(model, X[:1], 9, None, read_baseline(baseline, X[:1]), 0))


@pytest.mark.parametrize(
    "baseline, message",
    [
        ("grey", "baseline='grey' is unknown"),
        (float("nan"), "NaN"),
        ([1.0, 2.0], r"shape \(2,\) for images \(3, 3, 24, 24\)"),
        (torch.zeros(1, 9, 9), r"shape \(1, 9, 9\)"),
        (None, "NoneType"),
    ],
    ids=["a word", "NaN", "two channels", "another size", "nothing"],
)
def test_wrong_baselines_are_refused(baseline, message):
    with pytest.raises(InvalidInputError, match=message):
        Occlusion(networks.plain_cnn(), window=8, baseline=baseline)(X)


@pytest.mark.parametrize(
    "options, message",
    [({"score": "loss"}, "score='loss'"), ({"fast": "yes"}, "fast='yes'"), ({"local": 3}, "local")],
    ids=lambda value: str(value),
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        Occlusion(networks.plain_cnn(), **options)


def test_numpy_in_numpy_out():
    found = Occlusion(networks.plain_cnn(), window=8)(X.numpy())
    assert isinstance(found, np.ndarray)
    agree(found, Occlusion(networks.plain_cnn(), window=8)(X))


def test_scripted_models_and_functions():
    model = networks.plain_cnn()
    expected = Occlusion(model, window=8)(X)
    for other in (torch.jit.trace(model, X), torch.jit.script(model), lambda x: model(x)):
        agree(Occlusion(other, window=8)(X), expected)
    agree(RISE(lambda x: model(x), n_masks=20)(X), RISE(model, n_masks=20)(X))


def test_what_can_not_be_called_is_refused():
    with pytest.raises(InvalidInputError, match="can not be called"):
        Occlusion("resnet50")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_models_of_another_precision(dtype):
    expected = Occlusion(networks.plain_cnn(), window=8)(X, target=1)
    found = Occlusion(networks.plain_cnn().to(dtype), window=8)(X.to(dtype), target=1)
    assert found.dtype == torch.float32
    exact = 1e-5 if dtype is torch.float64 else 0.1 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=exact)


def test_images_in_double_precision_are_not_rounded():
    seen = []

    def model(x):
        seen.append(x.clone())
        return x.flatten(1)[:, :5]

    images = X.double() + 1e-12
    Occlusion(model, window=12, stride=12)(images)
    first = seen[1][0]  # the first image with its first window covered
    assert torch.equal(first[:, 12:], images[0, :, 12:])
    assert (first[:, :12, :12] == 0).all()


def test_channels_last_models_and_images():
    model = networks.plain_cnn()
    expected = Occlusion(model, window=8)(X)
    last = {"memory_format": torch.channels_last}
    agree(Occlusion(networks.plain_cnn().to(**last), window=8)(X.contiguous(**last)), expected)


class Views(nn.Module):
    """Flattens by view(), which channels-last maps refuse."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 22 * 22, 5)

    def forward(self, x):
        return self.fc(self.conv(x).view(len(x), -1))


def test_a_model_that_can_not_have_channels_last():
    model = Views()
    agree(
        Occlusion(model, window=8)(X[:1], target=0)[0],
        by_hand(model, X[:1], 8, None, torch.zeros_like(X[:1]), 0),
    )


def test_the_model_is_left_as_it_came():
    model = networks.plain_cnn().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Occlusion(model, window=8)(X)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_images_are_left_as_they_came():
    images = X.clone()
    Occlusion(lambda x: x.mul_(2).flatten(1)[:, :5], window=8)(images)
    assert torch.equal(images, X)


def test_together_with_a_gradient_method():
    model = networks.plain_cnn()
    out = fastxai.explain(model, X, {"occlusion": {"window": 8}, "guided_gradcam": {}})
    agree(out["occlusion"].maps, Occlusion(model, window=8)(X))
    assert torch.equal(out["guided_gradcam"].maps, fastxai.GuidedGradCAM(model)(X))


def test_nan_is_a_status_and_no_number_beside_it():
    model = networks.plain_cnn()

    def sometimes(x):
        output = model(x)
        return torch.where((x[:, :, :4, :4] == 0).all((1, 2, 3))[:, None], torch.nan, output)

    with pytest.warns(FastxaiWarning, match="nonfinite"):
        found = Occlusion(sometimes, window=6, stride=6)(X)
    assert torch.isnan(found[:, :6, :6]).all()
    assert torch.isfinite(found[:, 6:]).all()
