"""What a ReLU rule covered, what it did not, and what it could not see."""

import pytest
from activations_table import photo

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fastxai import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.explain.relu_rules.coverage import opaque_modules, unreached  # noqa: E402
from fastxai.explain.relu_rules.rules import ReLURules  # noqa: E402


def test_partial_cover_warns():
    x = photo()
    with ReLURules("guided") as rules:
        torch.tanh(torch.relu(torch.relu(x)))
    assert rules.report() == "covered: 2 relu; not covered: 1 tanh"
    with pytest.warns(FastxaiWarning, match="covered: 2 relu; not covered: 1 tanh"):
        rules.check()


def test_full_cover_is_silent(recwarn):
    with ReLURules("guided") as rules:
        torch.sigmoid(F.relu6(torch.relu(photo())))
    rules.check()
    assert rules.report() == "covered: 1 relu, 1 relu6"
    assert not recwarn


@pytest.mark.parametrize("operation", [torch.tanh, torch.sigmoid], ids=["tanh", "sigmoid"])
def test_no_cover_is_refused(operation):
    with ReLURules("guided") as rules:
        operation(photo())
    with pytest.raises(InvalidInputError, match="Saliency"):
        rules.check()


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, R):
        return R


@pytest.fixture(scope="module")
def half_scripted():
    inner = torch.jit.script(nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())))
    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), inner, nn.Sequential(nn.ReLU(), inner))


def test_names_scripted_modules(half_scripted):
    assert opaque_modules(half_scripted) == ["2"]
    assert opaque_modules(half_scripted[2]) == [""]
    assert opaque_modules(half_scripted[3]) == ["1"]
    assert opaque_modules(half_scripted[:2]) == []


def test_finds_activations_that_were_not_reached(half_scripted):
    with ReLURules() as rules:
        y = half_scripted(photo())
        own = Own.apply(torch.relu(y))
    assert rules.covered == {"relu": 3}
    missed = unreached([own])
    assert missed.pop("function Own") == 1
    assert missed and set(missed) <= {"relu", "scripted part"}
    assert not unreached(torch.relu(photo()).detach())


@pytest.mark.parametrize("module", [nn.ReLU6(), nn.GELU(), nn.ELU(), nn.LeakyReLU()], ids=repr)
def test_finds_torchs_own_nodes(module):
    assert unreached(module(photo())).total() == 1
    assert not unreached(nn.Threshold(1, 0)(nn.Hardtanh()(photo())))


def test_hooks_are_no_functions_of_the_model():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    model[0].register_full_backward_hook(lambda module, R_in, R: None)
    with ReLURules():
        assert not unreached(model(photo()))


def test_exported_programs():
    x = photo()
    layers = nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU6(inplace=True), nn.GELU()
    model = nn.Sequential(*layers).eval()
    exported = torch.export.export(model, (x.detach(),)).module()
    with ReLURules("guided") as rules:
        (found,) = torch.autograd.grad(exported(x).sum(), x)
        (expected,) = torch.autograd.grad(model(x).sum(), x)
    assert torch.allclose(found, expected)
    assert rules.covered == {"relu": 2, "relu6": 2, "gelu": 2}


def test_finds_nothing_where_all_were_reached():
    x = photo()
    with ReLURules():
        y = nn.Sequential(*(nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.GELU(), nn.PReLU()))(x)
    assert not unreached(y)
