"""The operations that ReLU rules reach, and what they are compared with."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

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


def photo(shape=(2, 3, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)).requires_grad_()


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()
