"""Which tensor of what a model returned is explained."""

import dataclasses
from collections import namedtuple
from types import SimpleNamespace

import pytest

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.outputs import describe, select_output  # noqa: E402

ones = torch.ones


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


L = normal(4, 10)
F = normal(4, 64)


@dataclasses.dataclass
class Output:
    logits: object = None
    loss: object = None
    hidden: object = None


Named = namedtuple("Named", "logits aux")

FOUND = {
    "a tensor": (L, None),
    "a tuple of one": ((L,), None),
    "a list of one": ([L], None),
    "a dict of one": ({"out": L}, None),
    "logits among others": ({"features": F, "logits": L}, None),
    "an object with logits": (Output(L, None, (F, F)), None),
    "any object with logits": (SimpleNamespace(logits=L, x=F), None),
    "a named tuple with logits": (Named(L, F), None),
    "nested, one tensor": (({"out": L}, None), None),
    "beside whole numbers": ((L, torch.zeros(4, dtype=torch.int64)), None),
    "beside a loss": ((torch.tensor(1.0), L), None),
    "by place": ((F, L), 1),
    "from the end": ((F, L), -1),
    "by key": ({"a": F, "b": L}, "b"),
    "by a key that is a number": ({0: F, 1: L}, 1),
    "by attribute": (SimpleNamespace(a=F, b=L), "b"),
    "by the name in a tuple": (Named(F, L), "aux"),
    "by path": (({"logits": F, "more": [F, L]}, F), (0, "more", 1)),
    "by path to a dict with logits": (({"logits": L, "x": F}, F), 0),
    "by path through an object": (SimpleNamespace(a=(F, L)), ("a", 1)),
    "by function": ((F, {"x": L}), lambda found: found[1]["x"]),
    "by function that computes": (L / 2, lambda found: found + found),
}


@pytest.mark.parametrize("found, output", FOUND.values(), ids=FOUND.keys())
def test_the_logits_are_found(found, output):
    assert torch.equal(select_output(found, output, 4), L)


def test_one_axis_becomes_a_column():
    assert select_output(L[:, 0], None, 4).shape == (4, 1)
    assert select_output(L[0, :1], None, 1).shape == (1, 1)


def test_pixels_stay():
    assert select_output(ones(4, 5, 8, 8), None, 4).shape == (4, 5, 8, 8)


def test_the_graph_stays():
    x = L.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(select_output({"y": x[:, 0]}, None, 4).sum(), x)
    assert torch.equal(gradient[:, 0], ones(4))


TWO = ({"logits": L, "aux": L}, F)
NOT_FOUND = {
    "two tensors": (
        (L, F),
        None,
        r"which tensor .* output\[0\]: \(4, 10\) float32; output\[1\]: \(4, 64\) float32",
    ),
    "two in a dict": ({"a": L, "b": F}, None, r"output\['a'\]: \(4, 10\).*output\['b'\]: "),
    "nested": (
        TWO,
        None,
        r"output\[0\]\['logits'\]: \(4, 10\) float32; output\[0\]\['aux'\]: .*; output\[1\]: ",
    ),
    "a tensor among nested ones": ((L, [F, F]), None, r"output\[1\]\[1\]: \(4, 64\)"),
    "an object without logits": (SimpleNamespace(a=L, b=None), None, r"output\.a: \(4, 10\)"),
    "nothing": (None, None, "there is no tensor of logits. The model returned output: None"),
    "a number": (3.0, None, "output: a float"),
    "an empty tuple": ((), None, "output: a tuple"),
    "logits that are none": (Output(None, L), None, r"output\.logits: None; output\.loss: \(4"),
    "only whole numbers": ((L.long(), L.long()), None, "which tensor"),
    "a place beyond": ((L, F), 2, r"output=2: there is no 2\. The model returned output\[0\]: \(4"),
    "a place too far back": ((L, F), -3, "there is no -3"),
    "an unknown key": ({"a": L}, "logits", r"there is no 'logits'. .* output\['a'\]"),
    "a method as attribute": ({"a": L}, "keys", "there is no 'keys'"),
    "a truth value": ((L, F), True, "there is no True"),
    "a wrong path": (TWO, (0, "features"), r"output=\(0, 'features'\): there is no 'features'"),
    "an unhashable key": ({"a": L}, ["a"], "there is no"),
    "an item of a tensor": (L, 0, "output=0: there is one tensor at 0 and nothing to choose"),
    "a path into a tensor": (TWO, (1, 0), "nothing to choose"),
    "an ambiguous part": (((L, F), F), 0, "which tensor"),
    "a function that fails": (TWO, lambda found: found["x"], "output= raised TypeError.*The model"),
    "a function of no tensor": (TWO, lambda found: found[0], "is a dict and no tensor. The model"),
    "whole numbers": (L.long(), None, "is of torch.int64, which has no gradient"),
    "truth values": ({"a": L > 0}, None, "which tensor"),
    "chosen whole numbers": ((L.long(), L), 0, "is of torch.int64"),
    "complex": (L + 1j, None, "is of torch.complex64"),
    "sparse": (L.to_sparse(), None, "to_dense"),
    "a scalar": (L.sum(), None, r"has the shape \(\): \(N, classes\)"),
    "no classes": (ones(4, 0), None, r"has the shape \(4, 0\)"),
    "another batch": (L[:3], None, r"\(3, 10\) for 4 images: its first axis should be 4"),
    "one axis of classes": (L[0], None, r"\(10,\) for 4 images"),
}


@pytest.mark.parametrize("found, output, message", NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_not_found(found, output, message):
    with pytest.raises(InvalidInputError, match=message):
        select_output(found, output, 4)


def test_a_model_that_drops_the_batch_axis():
    with pytest.raises(InvalidInputError, match=r"for 1 image: .* squeeze"):
        select_output(L[0], None, 1)


def test_a_function_that_runs_out_of_memory_is_not_hidden():
    def full(found):
        raise MemoryError

    with pytest.raises(MemoryError):
        select_output(L, full, 4)


def test_long_lists_are_cut():
    text = describe([L] * 100)
    assert text.count("(4, 10)") == 20
    assert text.endswith("and 80 more")


def test_what_holds_itself_is_described():
    found = [L]
    found.append(found)
    assert "output[1][1]" in describe(found)
