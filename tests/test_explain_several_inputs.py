"""Models with several inputs, of which one is explained."""

import itertools
from collections import OrderedDict, UserDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import AGE, X, ones

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.inputs import read_inputs  # noqa: E402

Pair = namedtuple("Pair", "pixels age")


SEVERAL = {
    "tuple": ((X, AGE), 0),
    "the second": ((AGE, X), 1),
    "named tuple": (Pair(X, AGE), 0),
    "mapping": ({"age": AGE, "pixels": X}, "pixels"),
    "ordered mapping": (OrderedDict(pixels=X, age=AGE), "pixels"),
    "own mapping": (UserDict(pixels=X, age=AGE), "pixels"),
    "read-only mapping": (MappingProxyType({"pixels": X}), "pixels"),
    "arrays": ((X.numpy(), AGE.double().numpy()), 0),
    "indices beside": ((X, torch.zeros(4, 6, dtype=torch.int64)), 0),
    "an index map beside": ((X, torch.zeros(4, 3, 6, 5, dtype=torch.uint8)), 0),
    "no tensors beside": ((X, None, "mode", 3, [1, 2]), 0),
    "a tuple of one": ((X,), 0),
}


@pytest.mark.parametrize("given, key", SEVERAL.values(), ids=SEVERAL.keys())
def test_the_only_image_batch_among_several_inputs(given, key):
    inputs = read_inputs(given)
    assert inputs.key == key
    assert torch.equal(inputs.images, X)


def test_models_are_called_as_they_are_written():
    def model(*arguments, **named):
        return arguments, named

    (x,), named = read_inputs(X).call(model)
    assert torch.equal(x, X) and not named
    (age, x, mode), named = read_inputs((AGE, X, "mode")).call(model)
    assert torch.equal(x, X) and torch.equal(age, AGE) and mode == "mode" and not named
    arguments, named = read_inputs({"pixels": X, "age": AGE, "mode": None}).call(model)
    assert not arguments and list(named) == ["pixels", "age", "mode"]
    assert torch.equal(named["pixels"], X) and torch.equal(named["age"], AGE)


@pytest.mark.parametrize(
    "given, wrt, key",
    [
        ((X, X + 1), 1, 1),
        ((X, X + 1), -1, 1),
        ((X, X + 1), np.int64(0), 0),
        ({"left": X, "right": X + 1}, "right", "right"),
    ],
    ids=["place", "from the end", "NumPy integer", "name"],
)
def test_wrt_names_the_explained_input(given, wrt, key):
    inputs = read_inputs(given, wrt)
    assert inputs.key == key
    assert torch.equal(inputs.images, given[key])


def test_one_tensor_is_input_0():
    assert torch.equal(read_inputs(X, wrt=0).images, X)


WRONG_SEVERAL = {
    "which of two": (
        (X, X),
        None,
        r"wrt= names it; they are 0: a tensor \(4, 3, 6, 5\) of float32",
    ),
    "which of three by name": ({"a": X, "b": X[:, :1], "c": AGE}, None, "'b': a tensor"),
    "a name that is none": ({"pixels": X}, "image", r"wrt='image' names none .* 'pixels': a"),
    "a place beyond": ((X, AGE), 2, r"wrt=2 names none of the inputs, which are 0: .*; 1: "),
    "a place too far back": ((X, AGE), -3, "wrt=-3 names none"),
    "a name in a tuple": ((X, AGE), "pixels", "wrt='pixels' names none"),
    "a place in a mapping": ({"pixels": X}, 0, "wrt=0 names none"),
    "wrt that is true": ((X, AGE), True, "wrt=True: name one input"),
    "wrt that is a tensor": ((X, AGE), X, "name one input by its place or its name"),
    "wrt of one tensor": (X, "pixels", "wrt='pixels' names one of several inputs"),
    "wrt of one tensor by a tensor": (X, X, "names one of several inputs"),
    "true of one tensor": (X, False, "wrt=False names one of several inputs"),
    "sparse beside": ((X, AGE.to_sparse()), None, "input 1 is a sparse or nested tensor"),
    "wrt of whole numbers": (
        (X, torch.zeros(4, 3, 6, 5, dtype=torch.uint8)),
        1,
        r"images\[1\] is of torch.uint8",
    ),
    "wrt of no tensor": ((X, "mode"), 1, r"images\[1\] is a str"),
    "no images": ((AGE, AGE), None, "none of the inputs is an image batch"),
    "whole numbers alone": ((X.byte(),), None, r"images\[0\] is of torch.uint8: convert"),
    "fewer beside": ((X, AGE[:3]), None, r"input 1 has the shape \(3, 1\), but there are 4 images"),
    "one for all": ((X, ones(1, 7)), None, r"first axis should be 4 \(expand"),
    "fewer by name": ({"x": X, "age": AGE[:2]}, None, "input 'age' .* in input 'x'"),
    "fewer in an array": ((X, np.ones((3, 2))), None, r"input 1 has the shape \(3, 2\)"),
    "a key that is no name": ({0: X}, None, "has the key 0: .* keyword arguments"),
    "NaN": ({"pixels": X * torch.nan, "age": AGE}, None, r"images\['pixels'\]: 4 of 4"),
}


@pytest.mark.parametrize("given, wrt, message", WRONG_SEVERAL.values(), ids=WRONG_SEVERAL.keys())
def test_refused_among_several(given, wrt, message):
    with pytest.raises(InvalidInputError, match=message):
        read_inputs(given, wrt)


def test_what_is_beside_may_hold_infinity():
    mask = torch.full((4, 9), -torch.inf)
    assert torch.equal(read_inputs((X, mask)).arguments[1], mask)


def test_arrays_beside_become_tensors_of_the_models_type():
    beside = (np.ones((4, 2)), np.ones(4, np.int32), np.array(["a", "b", "c", "d"]), np.array(2.0))
    found = read_inputs((X, *beside), dtype=torch.float16).arguments
    assert found[1].dtype == torch.float16
    assert found[2].dtype == torch.int32
    assert found[3] is beside[2]
    assert found[4] is beside[3]


def everything():
    return {
        "x": X,
        "row": torch.arange(4),
        "scale": torch.tensor(2.0),
        "mode": "mode",
    }


def test_a_part():
    part = read_inputs(everything()).part(1, 3)
    assert len(part) == 2
    assert torch.equal(part.images, X[1:3])
    assert part.arguments["row"].tolist() == [1, 2]
    assert part.arguments["scale"] == 2
    assert part.arguments["mode"] == "mode"
    assert part.images.data_ptr() == X[1:].data_ptr()


def test_a_part_of_a_part_and_beyond_the_end():
    part = read_inputs((X, torch.arange(4))).part(1, 4).part(2, 9)
    assert torch.equal(part.images, X[3:])
    assert part.arguments[1].tolist() == [3]


@pytest.mark.parametrize("given", [(X, torch.arange(4)), X], ids=["two inputs", "one input"])
def test_rows_repeated(given):
    rows = torch.tensor([3, 3, 0, 2, 3])
    repeated = read_inputs(given).repeat(rows, ones(5, 3, 6, 5))
    assert len(repeated) == 5
    assert torch.equal(repeated.images, ones(5, 3, 6, 5))
    if repeated.arguments:
        assert torch.equal(repeated.arguments[1], rows)


def test_other_images():
    inputs = read_inputs((X, torch.arange(4)))
    assert torch.equal(inputs.with_images(X + 1).images, X + 1)
    with pytest.raises(ValueError, match="3 images in the place of 4"):
        inputs.with_images(X[:3])
    with pytest.raises(ValueError, match="2 rows for 3 images"):
        inputs.repeat(torch.tensor([0, 1]), X[:3])


def test_nothing_of_the_users_changes():
    given = everything() | {"x": X.clone().requires_grad_(), "weight": AGE.clone().requires_grad_()}
    before = dict(given)
    inputs = read_inputs(given)
    inputs.part(0, 2).call(lambda x, **others: x.zero_())
    assert given.keys() == before.keys()
    assert all(given[key] is before[key] for key in given)
    assert torch.equal(given["x"], X)
    assert given["weight"].requires_grad and not inputs.arguments["weight"].requires_grad


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 5),
    axes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    kind=st.sampled_from([np.float16, np.float32, np.float64, ">f8"]),
    step=st.sampled_from([1, -1, 2]),
)
def test_parts_put_together_are_the_whole(n, axes, cuts, kind, step):
    if not 2 <= len(axes) <= 4:
        axes = [*axes, 2][:4] if len(axes) < 2 else axes[:4]
    rng = np.random.default_rng(0)
    array = rng.standard_normal((n * abs(step), *axes)).astype(kind)[::step]
    inputs = read_inputs((array, np.arange(len(array))))
    edges = sorted({0, len(array), *(min(cut, len(array)) for cut in cuts)})
    parts = [inputs.part(a, b) for a, b in itertools.pairwise(edges)]
    assert torch.equal(torch.cat([part.images for part in parts]), inputs.images)
    assert np.array_equal(inputs.images.numpy(), array.astype(np.float32))
    assert torch.cat([p.arguments[1] for p in parts]).tolist() == list(range(len(array)))
