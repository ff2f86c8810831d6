"""ReLU rules operation by operation: each form against its formula."""

import copy

import pytest
from activations_table import FORMS, backward, ids, same, sample

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fastxai.explain.relu_rules.rules import ReLURules  # noqa: E402

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
