"""ReLU rules of whole networks against backward passes written out by hand."""

import pytest
from activations_table import ByHand, PreActivation, photo, relative, textbook, through

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fastxai import InvalidInputError  # noqa: E402
from fastxai.explain.relu_rules.rules import ReLURules  # noqa: E402


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
