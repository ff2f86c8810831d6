"""A copy of the model made for the purpose: norms folded into convolutions."""

import copy

import networks
import numpy as np
import pytest
from local_nets import X, seeded

from fastxai import RISE, FastxaiWarning, Occlusion

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional
from fastxai.explain.black_box.folding import fast_copy, folding_pairs  # noqa: E402
from fastxai.explain.inputs import Inputs  # noqa: E402


def names_of(model, images=X):
    modules = {module: name for name, module in model.named_modules()}
    with torch.no_grad():
        pairs = folding_pairs(model, Inputs(images[:1]))
    return {(modules[conv], modules[norm]) for conv, norm in pairs}


def test_norms_that_follow_a_convolution_are_folded():
    expected = {("features.0", "features.1"), ("features.3", "features.4")}
    assert names_of(networks.plain_cnn()) == expected | {("features.6", "features.7")}


class Twice(nn.Module):
    """The convolution's output goes elsewhere, too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)

    def forward(self, x):
        x = self.conv(x)
        return (self.norm(x) + x).mean((2, 3))


class Reused(Twice):
    """One norm behind two calls."""

    def forward(self, x):
        x = self.norm(self.conv(x))
        return self.norm(x).mean((2, 3))


class Between(Twice):
    """Something stands between."""

    def forward(self, x):
        return self.norm(torch.relu(self.conv(x))).mean((2, 3))


class Looked(Twice):
    """The convolution's output is only looked at."""

    def forward(self, x):
        x = self.conv(x)
        assert x.shape[1] == x.size(1) == 5
        return self.norm(x).mean((2, 3))


def parametrised():
    model = Looked()
    torch.nn.utils.parametrizations.weight_norm(model.conv)
    return model


def hooked():
    model = Looked()
    model.conv.register_forward_hook(lambda module, args, output: output * 2)
    return model


class Derived(nn.Conv2d):
    """A convolution that only pads by itself."""

    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Standardised(nn.Conv2d):
    """A convolution whose weights are not what is stored."""

    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


@pytest.mark.parametrize("kind, folded", [(Derived, True), (Standardised, False)])
def test_derived_convolutions_are_tried(kind, folded):
    torch.manual_seed(0)
    model = networks.settle(nn.Sequential(kind(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()))
    made, forward = fast_copy(model, Inputs(X), model(X).detach(), None)
    assert isinstance(made[1], nn.Identity) == folded
    with torch.no_grad():
        torch.testing.assert_close(forward(Inputs(X)), model(X), rtol=1e-4, atol=1e-5)


FOLDED = {
    "output used twice": (Twice, False),
    "norm used twice": (Reused, False),
    "operation between": (Between, False),
    "only looked at": (Looked, True),
    "parametrised": (parametrised, False),
    "hooked": (hooked, False),
}


@pytest.mark.parametrize("build, folded", FOLDED.values(), ids=FOLDED)
def test_only_what_the_trial_run_allows_is_folded(build, folded):
    assert bool(names_of(seeded(build))) == folded


@pytest.mark.parametrize("build, _", FOLDED.values(), ids=FOLDED)
def test_a_copy_gives_the_same_and_the_model_stays(build, _):
    model = seeded(build)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        expected = model(X)
        made, forward = fast_copy(model, Inputs(X), expected, None)
        torch.testing.assert_close(forward(Inputs(X)), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(model(X), expected)
    assert made is not model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", [Occlusion, RISE], ids=["occlusion", "rise"])
@pytest.mark.parametrize(
    "name", ["plain_cnn", "residual", "preactivation", "densenet_like", "relu6_mobile"]
)
def test_fast_maps_are_the_maps(name, method):
    build = networks.NETWORKS[name]
    model, images = build(), networks.images(build)
    options = {"n_masks": 30} if method is RISE else {"window": 6}
    expected = method(model, **options)(images, target="top2")
    found = method(model, fast=True, **options)(images, target="top2")
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


class Uncopied(Looked):
    """Refuses to be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("a lock can not be copied")


class Asks(Looked):
    """Reads its norm's parameters, which the copy has not got."""

    def forward(self, x):
        return super().forward(x) * self.norm.running_mean


class Counts(Looked):
    """Gives something else each time."""

    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x) + self.calls


WARNINGS = {
    "no copy": (Uncopied, "can stand for the model .a lock can not be copied"),
    "norm asked for": (Asks, "can stand for the model .*running_mean"),
    "other outputs": (Counts, "can stand for the model .its outputs are others"),
}


@pytest.mark.parametrize("build, message", WARNINGS.values(), ids=WARNINGS)
def test_what_can_not_be_made_faster_runs_as_it_is_and_says_so(build, message):
    model = seeded(build)
    with pytest.warns(FastxaiWarning, match=message):
        found = Occlusion(model, window=12, fast=True)(X, target=1)
    assert found.shape == (3, 24, 24)


def test_functions_have_nothing_to_fold():
    model = networks.plain_cnn()
    with pytest.warns(FastxaiWarning, match="wants a torch module, not a function"):
        found = Occlusion(lambda x: model(x), window=12, fast=True)(X)
    np.testing.assert_allclose(found, Occlusion(model, window=12)(X), atol=1e-6)


def test_outputs_that_are_all_nan_are_compared():
    model = networks.plain_cnn()
    torch.nn.init.constant_(model.fc.bias, float("nan"))
    found = Occlusion(model, window=12, fast=True).explain(X, target=0)
    assert set(found.status) == {"nonfinite"}
