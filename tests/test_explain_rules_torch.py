"""ReLU rules beside what torch does: in place, views, autocast, checkpoints, memory."""

import pytest
from activations_table import (
    FORMS,
    RELUS,
    PreActivation,
    backward,
    ids,
    photo,
    relative,
    same,
    sample,
)

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from fastxai.explain.relu_rules.rules import ReLURules  # noqa: E402

INPLACE = {name: form for name, form in FORMS.items() if "_" in name[-1] or "inplace" in name}


@pytest.mark.parametrize(("kind", "operation"), **ids(INPLACE))
def test_in_place_forms_overwrite(kind, operation):
    x = sample()[0].requires_grad_()
    z = x.clone()
    with ReLURules():
        y = operation(z)
    assert y is z
    assert same(z, operation(x.detach().clone()))


@pytest.mark.parametrize("rule", ["gradient", "guided", "deconvnet"])
@pytest.mark.parametrize(("kind", "operation"), **ids(INPLACE))
def test_in_place_forms_overwrite_views(kind, operation, rule):
    operation = nn.PReLU(2) if "by channel" in kind else operation
    x, R = sample()
    x.requires_grad_()
    z = x.clone()
    with ReLURules(rule):
        view = z[:, 1:3]
        y = operation(view)
        (gradient,) = torch.autograd.grad(z, x, R)
    assert y is view
    expected = R.clone()
    expected[:, 1:3] = backward(operation, x.detach()[:, 1:3], R[:, 1:3], rule)[1]
    assert same(gradient, expected)
    assert same(z[:, 1:3], operation(x.detach()[:, 1:3].clone()))


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_what_needs_no_gradient_stays_torchs(kind, operation):
    x = sample()[0]
    with ReLURules("guided") as rules:
        y = operation(x.clone())
        with torch.no_grad():
            operation(x.clone().requires_grad_())
        with torch.inference_mode():
            operation(x.clone())
    assert same(y, operation(x.clone()))
    assert not y.requires_grad
    assert not rules.covered


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_tensors_without_elements(kind, operation):
    operation = nn.PReLU(1).requires_grad_(False) if kind == "prelu" else operation
    x = torch.zeros(0, 4, 5)
    for rule in ("gradient", "guided", "deconvnet"):
        y, gradient = backward(operation, x, x, rule)
        assert y.shape == gradient.shape == x.shape


@pytest.mark.parametrize("form", ["F.relu", "F.relu6", "Tensor.clamp_", "nn.GELU", "nn.PReLU"])
def test_keeps_the_memory_format(form):
    x = photo((2, 3, 4, 4)).detach().to(memory_format=torch.channels_last).requires_grad_()
    for rule in ("gradient", "guided", "deconvnet"):
        with ReLURules(rule):
            y = FORMS[form][1](x.clone())
            (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rule", ["gradient", "guided", "deconvnet"])
@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.ReLU(True), nn.ReLU6(), nn.GELU(), nn.PReLU()]
)
def test_under_autocast(activation, rule):
    torch.manual_seed(0)
    x = photo()
    model = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Conv2d(4, 4, 3), activation)
    with ReLURules(rule):
        with torch.autocast("cpu", torch.bfloat16):
            half = model(x)
        (found,) = torch.autograd.grad(half.float().square().sum(), x)
        (expected,) = torch.autograd.grad(model(x).square().sum(), x)
    assert half.dtype == torch.bfloat16
    assert relative(found, expected) < 0.05


def test_slopes_of_prelu_have_their_gradient():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Conv2d(4, 2, 1), nn.PReLU())
    x = photo()
    with ReLURules():
        found = torch.autograd.grad(model(x).sum(), model.parameters())
    expected = torch.autograd.grad(model(x).sum(), model.parameters())
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(found, expected, strict=True))


def test_gradients_of_gradients():
    x = photo()
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())

    def second():
        (first,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    with ReLURules() as rules:
        found = second()
    assert torch.equal(found, second())
    assert rules.covered == {"relu": 2}


def test_leaves_are_not_overwritten():
    x = torch.randn(3, requires_grad=True)
    before = x.detach().clone()
    with ReLURules(), pytest.raises(RuntimeError, match="leaf"):
        x.relu_()
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_what_torch_lets_be_overwritten_afterwards_may_be(kind, operation):
    def overwritten(x):
        return operation(x).add_(1).mul_(2)

    x, R = sample()
    try:
        _, expected = backward(overwritten, x, R)
    except RuntimeError:  # torch keeps this output itself
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            backward(overwritten, x, R, "gradient")
    else:
        assert same(backward(overwritten, x, R, "gradient")[1], expected)


def test_torch_says_what_is_wrong_with_a_call():
    x = torch.randn(3, requires_grad=True)
    with ReLURules():
        with pytest.raises(TypeError):
            torch.relu(x, 1, 2)
        with pytest.raises(RuntimeError, match="out="):
            torch.clamp(x, 0, out=torch.empty(3))


CHECKPOINTED = ["F.relu", "nn.ReLU inplace", "F.relu6", "nn.ReLU6 inplace", "torch.clamp"]
CHECKPOINTED += ["Tensor.clamp_", "F.threshold", "nn.Threshold inplace", "nn.GELU"]
CHECKPOINTED += ["nn.SiLU inplace", "nn.ELU inplace", "nn.LeakyReLU"]


@pytest.mark.parametrize("rule", ["gradient", "guided", "deconvnet"])
@pytest.mark.parametrize("inside", [False, True], ids=["activation last", "activation inside"])
@pytest.mark.parametrize("form", CHECKPOINTED)
def test_checkpointed_segments(form, inside, rule):
    model, x = PreActivation(), photo()
    kind, operation = FORMS[form]

    def segment(x):
        h = operation(8 * model.a(x))
        return model.b(h) if inside else h

    with ReLURules(rule) as rules:
        score = model.score(checkpoint(segment, x, use_reentrant=False))
        (found,) = torch.autograd.grad(score.sum(), x)
        (expected,) = torch.autograd.grad(model.score(segment(x)).sum(), x)
    assert torch.equal(found, expected)
    assert rules.covered == {kind: 2}


def test_checkpointed_segments_by_another_way_back():
    model, x = PreActivation(), photo()
    with ReLURules("guided"):
        score = model.score(checkpoint(lambda x: F.relu6(8 * model.a(x)), x, use_reentrant=False))
        torch.autograd.backward(score.sum(), inputs=[x])  # which leaves the rules active
        (expected,) = torch.autograd.grad(model.score(F.relu6(8 * model.a(x))).sum(), x)
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize(("kind", "operation"), **ids(RELUS))
def test_relus_keep_their_output_or_a_byte_an_element(kind, operation):
    x = sample()[0].requires_grad_()
    with ReLURules():
        y = operation(x.clone())
    (kept,) = y.grad_fn.saved_tensors
    assert kept.data_ptr() == y.data_ptr() or (kept.dtype, kept.shape) == (torch.uint8, x.shape)


def test_other_modes_see_the_operations():
    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            names.append(func.__name__)
            return func(*args, **(kwargs or {}))

    names, x = [], photo()
    with ReLURules() as rules, Seen():
        y = F.relu(x)
    assert "relu" in names
    assert rules.covered == {"relu": 1}
    assert torch.equal(y, F.relu(x))
