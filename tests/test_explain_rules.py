"""Guided backprop's and DeconvNet's rules for ReLUs, operation by operation."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from fastxai import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.explain.relu_rules.coverage import opaque_modules, unreached  # noqa: E402
from fastxai.explain.relu_rules.rules import ReLURules  # noqa: E402

ZERO = torch.zeros(())

RELUS = {  # name: (kind, operation on a tensor that it may overwrite)
    "torch.relu": ("relu", torch.relu),
    "torch.relu_": ("relu", torch.relu_),
    "Tensor.relu": ("relu", lambda x: x.relu()),
    "Tensor.relu_": ("relu", lambda x: x.relu_()),
    "F.relu": ("relu", F.relu),
    "F.relu keyword": ("relu", lambda x: F.relu(input=x)),
    "F.relu inplace": ("relu", lambda x: F.relu(x, inplace=True)),
    "F.relu inplace, by position": ("relu", lambda x: F.relu(x, True)),
    "nn.ReLU": ("relu", nn.ReLU()),
    "nn.ReLU inplace": ("relu", nn.ReLU(inplace=True)),
    "nn.ReLU6": ("relu6", nn.ReLU6()),
    "nn.ReLU6 inplace": ("relu6", nn.ReLU6(inplace=True)),
    "F.relu6": ("relu6", F.relu6),
    "F.relu6 inplace": ("relu6", lambda x: F.relu6(x, inplace=True)),
    "F.hardtanh": ("hardtanh", lambda x: F.hardtanh(x, 0, 2)),
    "F.hardtanh_": ("hardtanh", lambda x: F.hardtanh_(x, 0, 2)),
    "nn.Hardtanh": ("hardtanh", nn.Hardtanh(0, 2)),
    "torch.clamp": ("clamp", lambda x: torch.clamp(x, min=0)),
    "torch.clamp by position": ("clamp", lambda x: torch.clamp(x, 0, 6)),
    "torch.clamp_": ("clamp", lambda x: torch.clamp_(x, min=0)),
    "Tensor.clamp": ("clamp", lambda x: x.clamp(0.0)),
    "Tensor.clamp to 6": ("clamp", lambda x: x.clamp(0, max=6)),
    "Tensor.clamp by tensors": ("clamp", lambda x: x.clamp(ZERO, 6 + ZERO)),
    "Tensor.clamp_": ("clamp", lambda x: x.clamp_(0, 6)),
    "Tensor.clip": ("clamp", lambda x: x.clip(0)),
    "Tensor.clip_": ("clamp", lambda x: x.clip_(min=0)),
    "torch.clip": ("clamp", lambda x: torch.clip(x, 0, 2)),
    "torch.clamp_min": ("clamp", lambda x: torch.clamp_min(x, 0)),
    "Tensor.clamp_min": ("clamp", lambda x: x.clamp_min(min=0)),
    "Tensor.clamp_min_": ("clamp", lambda x: x.clamp_min_(0)),
    "F.threshold": ("threshold", lambda x: F.threshold(x, 0, 0)),
    "F.threshold_": ("threshold", lambda x: F.threshold_(x, 0, 0)),
    "torch.threshold": ("threshold", lambda x: torch.threshold(x, threshold=0, value=0)),
    "nn.Threshold": ("threshold", nn.Threshold(0, 0)),
    "nn.Threshold inplace": ("threshold", nn.Threshold(0, 0, inplace=True)),
    "torch.maximum": ("maximum", lambda x: torch.maximum(x, ZERO)),
    "torch.maximum, zero first": ("maximum", lambda x: torch.maximum(ZERO, x)),
    "torch.maximum of zeros": ("maximum", lambda x: torch.maximum(x, torch.zeros_like(x))),
    "Tensor.maximum": ("maximum", lambda x: x.maximum(ZERO)),
    "torch.max": ("maximum", lambda x: torch.max(x, ZERO)),
    "torch.max by keyword": ("maximum", lambda x: torch.max(x, other=ZERO)),
    "Tensor.max": ("maximum", lambda x: x.max(ZERO)),
    "torch.fmax": ("maximum", lambda x: torch.fmax(x, ZERO)),
    "torch.fmax, zero first": ("maximum", lambda x: torch.fmax(ZERO, x)),
    "Tensor.fmax": ("maximum", lambda x: x.fmax(ZERO)),
}
SOFTENED = {
    "nn.LeakyReLU": ("leaky_relu", nn.LeakyReLU(0.2)),
    "nn.LeakyReLU inplace": ("leaky_relu", nn.LeakyReLU(0.2, inplace=True)),
    "F.leaky_relu_": ("leaky_relu", lambda x: F.leaky_relu_(x, 0.2)),
    "nn.PReLU": ("prelu", nn.PReLU().requires_grad_(False)),
    "nn.PReLU by channel": ("prelu", nn.PReLU(4).requires_grad_(False)),
    "nn.RReLU": ("rrelu", nn.RReLU().eval()),
    "nn.RReLU inplace": ("rrelu", nn.RReLU(inplace=True).eval()),
    "torch.rrelu": ("rrelu", torch.rrelu),
    "nn.ELU": ("elu", nn.ELU(0.7)),
    "nn.ELU inplace": ("elu", nn.ELU(0.7, inplace=True)),
    "F.elu_": ("elu", F.elu_),
    "nn.SELU": ("selu", nn.SELU()),
    "nn.SELU inplace": ("selu", nn.SELU(inplace=True)),
    "torch.selu": ("selu", torch.selu),
    "nn.CELU": ("celu", nn.CELU(0.7)),
    "nn.CELU inplace": ("celu", nn.CELU(0.7, inplace=True)),
    "nn.GELU": ("gelu", nn.GELU()),
    "nn.GELU tanh": ("gelu", nn.GELU("tanh")),
    "nn.SiLU": ("silu", nn.SiLU()),
    "nn.SiLU inplace": ("silu", nn.SiLU(inplace=True)),
    "nn.Hardswish": ("hardswish", nn.Hardswish()),
    "nn.Hardswish inplace": ("hardswish", nn.Hardswish(inplace=True)),
    "nn.Mish": ("mish", nn.Mish()),
    "nn.Mish inplace": ("mish", nn.Mish(inplace=True)),
    "nn.Softplus": ("softplus", nn.Softplus(2.0, 10.0)),
}
FORMS = {**RELUS, **SOFTENED}
UNCOVERED = {
    "tanh": ("tanh", torch.tanh),
    "Tensor.tanh_": ("tanh", lambda x: x.tanh_()),
    "nn.Tanh": ("tanh", nn.Tanh()),
    "softsign": ("softsign", F.softsign),
    "hardshrink": ("hardshrink", nn.Hardshrink()),
    "softshrink": ("softshrink", nn.Softshrink()),
    "tanhshrink": ("tanhshrink", nn.Tanhshrink()),
    "glu": ("glu", nn.GLU(1)),
    "logsigmoid": ("logsigmoid", nn.LogSigmoid()),
    "hardtanh from -1": ("hardtanh", nn.Hardtanh()),
    "threshold at 1": ("threshold", nn.Threshold(1, 0)),
    "rrelu in training": ("rrelu in training", nn.RReLU()),
    "maximum, broadcast": (
        "maximum that broadcasts",
        lambda x: torch.max(x[:1], torch.zeros(3, 4, 5)),
    ),
}
NO_ACTIVATION = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "clamp of a norm": lambda x: x / x.norm(dim=1, keepdim=True).clamp_min(1e-6),
    "clamp from above": lambda x: x.clamp(max=0),
    "clamp between": lambda x: x.clamp(-1, 1),
    "maximum of two": lambda x: torch.maximum(x, -x),
    "maximum with ones": lambda x: torch.maximum(x, torch.ones(())),
    "max over an axis": lambda x: x.max(1).values,
    "max of all": torch.max,
}


def ids(table):
    return {"argvalues": table.values(), "ids": table.keys()}


def sample(dtype=torch.float32):
    """Values of both signs, and those where derivatives jump."""
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)) * 4
    x[0, :, :3] = torch.tensor([0.0, 6.0, -0.0])
    x[1, :, :3] = torch.tensor([2.0, 7.0, -3.0])
    R = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    return x.to(dtype), R.to(dtype)


def backward(operation, x, R, rule=None):
    """An operation's output and the gradient at its input, by torch or by a rule."""
    x = x.clone().requires_grad_()
    if rule is None:
        y = operation(x.clone())
        return y.detach(), torch.autograd.grad(y, x, R)[0]
    with ReLURules(rule):
        y = operation(x.clone())
        return y.detach(), torch.autograd.grad(y, x, R)[0]


def same(a, b):
    return a.dtype == b.dtype and torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_the_plain_rule_is_autograd(kind, operation, dtype):
    operation = copy.deepcopy(operation).to(dtype) if kind == "prelu" else operation
    x, R = sample(dtype)
    y, gradient = backward(operation, x, R)
    by_rule, plain = backward(operation, x, R, "gradient")
    assert same(by_rule, y)
    assert same(plain, gradient)


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_the_guided_rule(kind, operation):
    x, R = sample()
    y, guided = backward(operation, x, R, "guided")
    _, expected = backward(operation, x, R.clamp(min=0))
    assert same(guided, torch.where(x > 0, expected, 0))
    assert same(y, operation(x.clone()))


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_the_deconvnet_rule(kind, operation):
    x, R = sample()
    assert same(backward(operation, x, R, "deconvnet")[1], R.clamp(min=0))


@pytest.mark.parametrize(("kind", "operation"), **ids(FORMS))
def test_counts_what_is_covered(kind, operation):
    x = sample()[0].requires_grad_()
    with ReLURules() as rules:
        operation(x.clone())
    assert dict(rules.covered) == {kind: 1}
    assert not rules.uncovered


@pytest.mark.parametrize(("kind", "operation"), **ids(UNCOVERED))
def test_counts_what_is_not_covered(kind, operation):
    x = sample()[0].requires_grad_()
    with ReLURules("guided") as rules:
        y = operation(x.clone())
        (gradient,) = torch.autograd.grad(y.sum(), x)
    assert dict(rules.uncovered) == {kind: 1}
    assert not rules.covered
    if "rrelu" not in kind:
        assert same(gradient, torch.autograd.grad(operation(x.clone()).sum(), x)[0])


@pytest.mark.parametrize("operation", **ids(NO_ACTIVATION))
def test_leaves_what_is_no_activation(operation):
    x = sample()[0].requires_grad_()
    with ReLURules("guided") as rules:
        y = operation(x.clone())
        (gradient,) = torch.autograd.grad(y.sum(), x)
    assert not rules.covered and not rules.uncovered
    assert same(gradient, torch.autograd.grad(operation(x.clone()).sum(), x)[0])


# Networks whose backward pass is written out by hand: R is the gradient of the score at the
# tensor it is named after.


def textbook(R, x, rule, high=float("inf")):
    """A ReLU's rule as the papers have it."""
    on = (x > 0) & (x < high)
    if rule == "gradient":
        return R * on
    return R * (R > 0) * on if rule == "guided" else R * (R > 0)


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, 1, 1), nn.Conv2d(6, 6, 1)
        self.head = nn.Parameter(torch.randn(6, 6, 6))
        self.relu = nn.ReLU()

    def score(self, h):
        return (h * self.head).sum((1, 2, 3))

    def at_output(self, x):
        return self.head.expand(len(x), -1, -1, -1)


def through(conv, R, like):
    return nn.grad.conv2d_input(like.shape, conv.weight, R, conv.stride, conv.padding)


class Chain(ByHand):
    def forward(self, x):
        return self.score(self.relu(self.b(self.relu(self.a(x)))))

    def by_hand(self, x, rule):
        p = self.a(x)
        q = self.b(p.clamp(min=0))
        R = textbook(self.at_output(x), q, rule)
        R = textbook(through(self.b, R, p), p, rule)
        return through(self.a, R, x)


class Functional(Chain):
    def forward(self, x):
        h = self.b(F.relu(self.a(x)))
        return self.score(h.relu_())


class Clamped(Chain):
    def forward(self, x):
        h = self.b(self.a(x).clamp_(min=0))
        return self.score(torch.maximum(torch.zeros(()), h))


class PreActivation(ByHand):
    """The ReLU's input also feeds the skip path."""

    def forward(self, x):
        h = self.a(x)
        h = h + self.c(self.relu(self.b(self.relu(h))))
        return self.score(self.relu(h))

    def by_hand(self, x, rule):
        p = self.a(x)
        q = self.b(p.clamp(min=0))
        R = textbook(self.at_output(x), p + self.c(q.clamp(min=0)), rule)
        inner = textbook(through(self.c, R, q), q, rule)
        inner = textbook(through(self.b, inner, p), p, rule)
        return through(self.a, R + inner, x)


class Branches(ByHand):
    """The ReLU's output feeds two branches."""

    def forward(self, x):
        h = self.relu(self.a(x))
        return self.score(self.relu(self.b(h)) - self.c(h))

    def by_hand(self, x, rule):
        p = self.a(x)
        q = self.b(p.clamp(min=0))
        R = self.at_output(x)
        both = through(self.b, textbook(R, q, rule), p) - through(self.c, R, p)
        return through(self.a, textbook(both, p, rule), x)


class Reused(ByHand):
    """One ReLU6 module in two places, in place."""

    def __init__(self):
        super().__init__()
        self.relu6 = nn.ReLU6(inplace=True)

    def forward(self, x):
        return self.score(self.relu6(self.b(self.relu6(8 * self.a(x)))))

    def by_hand(self, x, rule):
        p = 8 * self.a(x)
        q = self.b(p.clamp(0, 6))
        R = textbook(self.at_output(x), q, rule, 6)
        R = textbook(through(self.b, R, p), p, rule, 6)
        return through(self.a, 8 * R, x)


NETWORKS = [Chain, Functional, Clamped, PreActivation, Branches, Reused]


def photo(shape=(2, 3, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)).requires_grad_()


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("rule", ["gradient", "guided", "deconvnet"])
@pytest.mark.parametrize("network", NETWORKS)
def test_equals_the_textbook(network, rule):
    model, x = network(), photo()
    with ReLURules(rule):
        (found,) = torch.autograd.grad(model(x).sum(), x)
    with torch.no_grad():
        expected = model.by_hand(x, rule)
    assert relative(found, expected) < 1e-6


@pytest.mark.parametrize("network", NETWORKS)
def test_the_plain_rule_of_a_network_is_autograd(network):
    model, x = network(), photo()
    of = [x, model.head, *model.a.parameters(), *model.b.parameters()]
    with ReLURules():
        found = torch.autograd.grad(model(x).sum(), of)
    expected = torch.autograd.grad(model(x).sum(), of)
    assert all(map(torch.equal, found, expected))


def test_one_forward_serves_every_rule():
    model, x = PreActivation(), photo()
    found = {}
    with ReLURules() as rules:
        score = model(x).sum()
        for rule in ("guided", "deconvnet", "gradient", "guided"):
            with rules.using(rule):
                (found[rule],) = torch.autograd.grad(score, x, retain_graph=True)
    for rule, gradient in found.items():
        with ReLURules(rule):
            assert torch.equal(torch.autograd.grad(model(x).sum(), x)[0], gradient)
    assert rules.covered == {"relu": 3}


def test_using_restores_the_rule():
    rules = ReLURules("deconvnet")
    with pytest.raises(ZeroDivisionError), rules.using("guided"):
        raise ZeroDivisionError
    assert rules.rule == "deconvnet"


@pytest.mark.parametrize("make", [lambda: ReLURules("guide"), lambda: ReLURules().using("x")])
def test_refuses_unknown_rules(make):
    with pytest.raises(InvalidInputError, match="gradient, guided, deconvnet"), make():
        pass


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
