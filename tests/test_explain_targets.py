"""What may be explained of an output: targets of every form, for every task."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastxai import FastxaiWarning, InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import TASKS, check_task, read_target  # noqa: E402

N, C = 4, 6


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LOGITS = normal(N, C)
PREDICTED = LOGITS.argmax(1)
ONE = torch.tensor([[1.5], [-0.5], [0.0], [-3.0]])
PIXELS = normal(N, C, 4, 3, seed=1)


def resolved(target, output=LOGITS, task="softmax", size=(8, 6)):
    return read_target(target, len(output)).resolve(output, task, size)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


# --- forms -----------------------------------------------------------------------------------

ROW = [1, 3, 0, 5]
SAME = {
    "list": ROW,
    "tuple": tuple(ROW),
    "array": np.array(ROW),
    "uint8 array": np.array(ROW, np.uint8),
    "uint64 array": np.array(ROW, np.uint64),
    "array of objects": np.array(ROW, object),
    "array of whole floats": np.array(ROW, float),
    "tensor": torch.tensor(ROW),
    **{
        f"{kind} tensor": torch.tensor(ROW, dtype=kind)
        for kind in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)
    },
    "half-precision tensor": torch.tensor(ROW, dtype=torch.bfloat16),
    "list of NumPy integers": list(np.array(ROW)),
    "series": pd.Series(ROW, index=list("abcd")),
    "list of tensors": list(torch.tensor(ROW)),
    "list of whole floats": [1.0, np.float32(3), 0, 5],
    "strided tensor": torch.tensor(ROW).repeat_interleave(2)[::2],
    "signed": ["+1", "+3", "+0", "+5"],
    "mixed": [1, "+3", np.int8(0), torch.tensor(5)],
    "array of signed": np.array(["+1", "+3", "+0", "+5"]),
}


@pytest.mark.parametrize("target", SAME.values(), ids=SAME.keys())
def test_one_class_an_image(target):
    targets = resolved(target)
    assert targets.classes.dtype == torch.int64
    assert targets.classes.tolist() == [[1], [3], [0], [5]]
    assert targets.single
    assert torch.equal(targets.scores(LOGITS)[:, 0], LOGITS[range(N), ROW])


@pytest.mark.parametrize(
    "target",
    [2, np.int64(2), np.uint8(2), np.array(2), torch.tensor(2), 2.0, np.float32(2), "+2"],
    ids=lambda target: f"{type(target).__name__} {target}",
)
def test_one_class_for_all(target):
    targets = resolved(target)
    assert targets.classes.tolist() == [[2]] * N
    assert targets.single
    assert torch.equal(targets.scores(LOGITS), LOGITS[:, 2:3])


def test_none_is_the_predicted_class():
    targets = resolved(None)
    assert torch.equal(targets.classes[:, 0], PREDICTED)
    assert targets.single
    assert torch.equal(targets.scores(LOGITS)[:, 0], LOGITS.amax(1))


TWO_AXES = {
    "(1, K)": ([[4, 0]], [[4, 0]] * N),
    "(N, K)": ([[0, 1], [1, 2], [2, 3], [3, 4]], [[0, 1], [1, 2], [2, 3], [3, 4]]),
    "(N, 1)": (np.arange(4)[:, None], [[0], [1], [2], [3]]),
    "(1, 1)": (torch.tensor([[5]]), [[5]] * N),
    "(1, K) of strings": ([["+4", "-0"]], [[4, 0]] * N),
    "rows of tensors": ([torch.tensor([0, 1])] * N, [[0, 1]] * N),
    "two rows, two classes, as tuples": (((1, 2),), [[1, 2]] * N),
}


@pytest.mark.parametrize("target, classes", TWO_AXES.values(), ids=TWO_AXES.keys())
def test_several_classes_an_image(target, classes):
    targets = resolved(target)
    assert targets.classes.tolist() == classes
    assert not targets.single
    assert close(targets.scores(LOGITS), targets.signs * LOGITS.gather(1, torch.tensor(classes)))


@pytest.mark.parametrize("k", [1, 3, C, C + 1, 1000])
def test_top_k_is_capped_at_the_number_of_classes(k):
    targets = resolved(f"top{k}")
    order = LOGITS.argsort(1, descending=True)[:, :k]
    assert torch.equal(targets.classes, order)
    assert not targets.single
    assert torch.equal(targets.scores(LOGITS), LOGITS.gather(1, order))


def test_among_equals_the_first_is_predicted():
    assert resolved("top3", torch.zeros(2, 40)).classes.tolist() == [[0, 1, 2]] * 2
    assert resolved(None, torch.zeros(2, 40)).classes.tolist() == [[0]] * 2


def test_signed_columns():
    targets = resolved(["-2", "+2", 2, "-0"])
    assert targets.signs.tolist() == [[-1], [1], [1], [-1]]
    expected = LOGITS[range(N), [2, 2, 2, 0]] * torch.tensor([-1, 1, 1, -1])
    assert torch.equal(targets.scores(LOGITS)[:, 0], expected)


def test_a_target_of_two_is_a_class_for_each_of_two_images():
    pair = LOGITS[:2]
    for target in [(1, 2), (torch.tensor(1), torch.tensor(2)), ("+1", "+2"), (np.int64(1), 2)]:
        assert resolved(target, pair).classes.tolist() == [[1], [2]]
    for target in [([1, 2], [3, 4]), (np.array([1, 2]), np.array([3, 4]))]:
        assert resolved(target, pair).classes.tolist() == [[1, 2], [3, 4]]


# --- functions -------------------------------------------------------------------------------


def margin(output):
    return output[1] - output[2]


@pytest.mark.parametrize("task", TASKS[:1] + TASKS[2:])
@pytest.mark.parametrize(
    "target", [margin, [margin] * N, (margin,) * N], ids=["one", "list", "tuple"]
)
def test_functions(target, task):
    targets = resolved(target, task=task)
    assert targets.classes.tolist() == [[-1]] * N
    assert targets.single
    assert torch.equal(targets.scores(LOGITS), LOGITS[:, 1:2] - LOGITS[:, 2:3])
    assert torch.equal(targets.probabilities(LOGITS), targets.scores(LOGITS))


def test_a_function_an_image():
    targets = resolved([lambda output, k=k: output[k] for k in range(N)])
    assert torch.equal(targets.scores(LOGITS)[:, 0], LOGITS.diagonal())
    rows = torch.tensor([2, 0, 2])
    assert torch.equal(targets.repeat(rows).scores(LOGITS[:3])[:, 0], LOGITS[range(3), rows])


def test_a_function_gets_the_output_of_one_image():
    shapes = []
    resolved(lambda output: shapes.append(tuple(output.shape)) or output.sum(), PIXELS).scores(
        PIXELS
    )
    assert shapes == [(C, 4, 3)] * N


@pytest.mark.parametrize("task", TASKS)
def test_a_function_of_one_column(task):
    targets = resolved(lambda output: output.sum(), ONE, task)
    assert torch.equal(targets.scores(ONE), ONE)


@pytest.mark.parametrize(
    "value",
    [
        lambda z: z.sum(),
        lambda z: z.sum()[None],
        lambda z: z.sum().double(),
        lambda z: float(z.sum()),
        lambda z: np.float32(z.detach().sum()),
        lambda z: z.sum().detach().numpy(),
    ],
    ids=["scalar", "one entry", "another type", "float", "NumPy float", "NumPy array"],
)
def test_what_a_function_may_return(value):
    assert close(resolved(value).scores(LOGITS)[:, 0], LOGITS.sum(1))


BAD_FUNCTIONS = {
    "several numbers": (lambda z: z, r"returned a tensor \(6,\) of torch.float32"),
    "no number": (lambda z: z[:0], r"returned a tensor \(0,\)"),
    "complex": (lambda z: z.sum() + 1j, "complex64"),
    "nothing": (lambda z: None, "returned a NoneType"),
    "word": (lambda z: "3.0", "returned a str"),
    "array": (lambda z: z.detach().numpy(), r"returned a tensor \(6,\)"),
    "array of words": (lambda z: np.array("x"), "raised|returned"),
    "list": (lambda z: [z.sum()], "returned a list"),
    "that fails": (lambda z: z[99], "raised IndexError for row 0 of the output, of shape"),
    "that fails in torch": (lambda z: z.reshape(5), "raised RuntimeError"),
    "of two arguments": (lambda a, b: a, "raised TypeError"),
}


@pytest.mark.parametrize("function, message", BAD_FUNCTIONS.values(), ids=BAD_FUNCTIONS.keys())
def test_a_function_that_is_refused(function, message):
    with pytest.raises(InvalidInputError, match=message):
        resolved(function).scores(LOGITS)


def test_a_function_that_runs_out_of_memory_is_not_hidden():
    def full(output):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        resolved(full).scores(LOGITS)


# --- tasks -----------------------------------------------------------------------------------

BOTH = torch.cat([-ONE, ONE], 1)
P = torch.sigmoid(ONE)
UP, DOWN = ONE, -ONE

BINARY = {
    "predicted": (None, [1, 0, 0, 0], [1.5, 0.5, 0.0, 3.0]),
    "class 1": (1, [1] * 4, UP),
    "class 0": (0, [0] * 4, DOWN),
    "minus": (-1, [0] * 4, DOWN),
    "the column": ("+0", [1] * 4, UP),
    "minus the column": ("-0", [0] * 4, DOWN),
    "+1": ("+1", [1] * 4, UP),
    "-1": ("-1", [0] * 4, DOWN),
    "labels": ([1, 0, 1, 0], [1, 0, 1, 0], [1.5, 0.5, 0.0, 3.0]),
    "signs": (np.array([1, -1, -1, 1]), [1, 0, 0, 1], [1.5, 0.5, 0.0, -3.0]),
}


@pytest.mark.parametrize("target, classes, scores", BINARY.values(), ids=BINARY.keys())
def test_binary_of_one_column(target, classes, scores):
    targets = resolved(target, ONE, "binary")
    assert targets.classes[:, 0].tolist() == classes
    assert close(targets.scores(ONE), torch.as_tensor(scores).reshape(-1, 1))
    expected = torch.where(targets.classes == 1, P, 1 - P)
    assert close(targets.probabilities(ONE), expected)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_top_of_one_column_are_its_two_sides(k):
    targets = resolved(f"top{k}", ONE, "binary")
    assert targets.classes.tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]] or k == 1
    assert targets.classes.shape == (4, min(k, 2))
    assert close(targets.scores(ONE), BOTH.gather(1, targets.classes))


def test_binary_of_two_columns_is_softmax():
    for target in (None, 1, "top2", "-0"):
        binary, softmax = (resolved(target, BOTH, task) for task in ("binary", "softmax"))
        assert torch.equal(binary.classes, softmax.classes)
        assert torch.equal(binary.scores(BOTH), softmax.scores(BOTH))
        assert torch.equal(binary.probabilities(BOTH), softmax.probabilities(BOTH))


def test_softmax():
    targets = resolved("top6")
    expected = LOGITS.softmax(1).gather(1, targets.classes)
    assert close(targets.probabilities(LOGITS), expected)
    assert close(targets.probabilities(LOGITS).sum(1), torch.ones(N))


def test_multilabel():
    targets = resolved([[0, 5]], task="multilabel")
    assert close(targets.probabilities(LOGITS), LOGITS[:, [0, 5]].sigmoid())
    assert torch.equal(targets.scores(LOGITS), LOGITS[:, [0, 5]])
    assert torch.equal(resolved(None, task="multilabel").classes[:, 0], PREDICTED)
    assert torch.equal(resolved(None, ONE, "multilabel").scores(ONE), ONE)


REGRESSION = {
    "none": (None, UP),
    "column 0": (0, UP),
    "raises": (1, UP),
    "lowers": (-1, DOWN),
    "+0": ("+0", UP),
    "-0": ("-0", DOWN),
    "each": ([1, -1, 0, "-0"], [1.5, 0.5, 0.0, 3.0]),
    "top1": ("top1", UP),
    "top3": ("top3", UP),
}


@pytest.mark.parametrize("target, scores", REGRESSION.values(), ids=REGRESSION.keys())
def test_regression_of_one_column(target, scores):
    targets = resolved(target, ONE, "regression")
    assert targets.classes.tolist() == [[0]] * 4
    assert close(targets.scores(ONE), torch.as_tensor(scores).reshape(-1, 1))
    assert torch.equal(targets.probabilities(ONE), targets.scores(ONE))


def test_regression_of_several_columns():
    targets = resolved(["-2", 2, 5, "+0"], task="regression")
    expected = LOGITS[range(N), [2, 2, 5, 0]] * torch.tensor([-1, 1, 1, 1])
    assert torch.equal(targets.scores(LOGITS)[:, 0], expected)
    assert torch.equal(targets.probabilities(LOGITS)[:, 0], expected)


@pytest.mark.parametrize("task", ["softmax", "multilabel"])
def test_the_probability_of_what_a_minus_stands_before_is_its_opposite(task):
    plus, minus = (resolved(target, task=task).probabilities(LOGITS) for target in ("+2", "-2"))
    assert close(plus + minus, torch.ones(N, 1))


@pytest.mark.parametrize("task", ["softmax", "binary"])
def test_probabilities_are_recognised_once(task):
    output = BOTH.softmax(1)
    request = read_target("top2", 4)
    with pytest.warns(FastxaiWarning, match="probabilities already") as caught:
        for part in (request.part(0, 2), request.part(2, 4)):
            targets = part.resolve(output[part.start : part.stop], task, (8, 6))
    assert len(caught) == 1
    assert close(targets.probabilities(output[2:]), output[2:].gather(1, targets.classes))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.filterwarnings("error")
def test_probabilities_in_half_precision_are_recognised(kind):
    with pytest.raises(FastxaiWarning, match="probabilities already"):
        resolved(None, (30 * LOGITS).softmax(1).to(kind))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "output, task",
    [(LOGITS, "softmax"), (LOGITS.abs(), "softmax"), (LOGITS.softmax(1), "multilabel"),
     (LOGITS.log_softmax(1), "softmax"), (LOGITS.softmax(1) * 1.01, "softmax")],
    ids=["logits", "positive logits", "another task", "logarithms", "another sum"],
)  # fmt: skip
def test_what_is_not_probabilities_warns_of_nothing(output, task):
    resolved(None, output, task)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_single(task, kind):
    output = (ONE if task == "binary" else LOGITS).to(kind)
    targets = resolved(1, output, task)
    wide = torch.float64 if kind == torch.float64 else torch.float32
    assert targets.scores(output).dtype == wide
    assert targets.probabilities(output).dtype == torch.float32
    again = resolved(1, output.float(), task)
    assert close(targets.probabilities(output), again.probabilities(output.float()))


def test_an_output_that_is_nan_is_passed_on():
    output = LOGITS.clone()
    output[1] = torch.nan
    scores = resolved(None, output).scores(output)
    assert scores.isnan()[:, 0].tolist() == [False, True, False, False]


# --- refused ---------------------------------------------------------------------------------

UNREAD = {
    "truth value": (True, "target is boolean"),
    "truth values": ([True, False, True, True], "target is boolean"),
    "tensor of truth values": (torch.tensor([True] * 4), "boolean: .* or \\(class, mask\\)"),
    "truth among numbers": ([1, 2, True, 3], "boolean"),
    "fraction": (1.5, r"1\.5, which is no whole number"),
    "fractions": (torch.tensor([0.1, 0.9, 0, 0]), "no whole number.*argmax"),
    "NaN": (float("nan"), "holds nan"),
    "infinity": ([1, 2, np.inf, 3], "holds inf"),
    "complex": (1j, "complex128"),
    "negative": (-2, r"target -2 is negative: .* class 2 is written '-2'"),
    "negatives": ([0, 1, -7, 2], "target -7 is negative"),
    "far beyond": (10**30, "out of range"),
    "beyond 32 bits": (np.array([2**40] * 4), "target 1099511627776 is out of range"),
    "uint64 beyond": (torch.tensor(2**63, dtype=torch.uint64), "out of range"),
    "top 0": ("top0", "'top' and a whole number of 1 or more"),
    "top x": ("topx", "target='topx': write 'top'"),
    "top": ("top", "target='top'"),
    "top -1": ("top-1", "whole number"),
    "top 2.5": ("top2.5", "whole number"),
    "Top 5": ("Top5", "target='Top5': write"),
    "word": ("cat", r"target='cat' is unknown \(names of classes .* it may be None"),
    "bare digits": ("3", "target='3' is unknown"),
    "words": (["cat"] * 4, "target='cat' is unknown"),
    "too few": ([1, 2], r"\(2,\) for 4 images: give one index, \(4,\), \(4, K\).*give \(1, 2\)"),
    "too many": (np.zeros(5, int), r"\(5,\) for 4 images"),
    "one in a list": ([1], r"\(1,\) for 4 images"),
    "too few rows": ([[1, 2]] * 3, r"\(3, 2\) for 4 images"),
    "three axes": (np.zeros((4, 2, 2), int), r"\(4, 2, 2\) for 4 images"),
    "three axes of lists": ([[[1]]] * 4, "more than two axes"),
    "none": ([], "is empty"),
    "rows of none": ([[], [], [], []], "is empty"),
    "array of none": (np.zeros((4, 0), int), r"\(4, 0\)"),
    "rows of different lengths": ([[1, 2], [3], [4], [5]], "different lengths"),
    "rows and numbers": ([[1, 2], 3, 4, 5], "different lengths"),
    "dict": ({"class": 1}, "is unknown: it may be"),
    "None among numbers": ([1, None, 2, 3], "None in it is unknown"),
    "too few functions": ([margin] * 3, "3 functions for 4 images"),
    "functions and numbers": ([margin, 1, margin, margin], r"target\[1\] = 1 is no function"),
    "sparse": (torch.tensor([0, 1, 1, 1]).to_sparse(), "sparse"),
    "meta": (torch.tensor([0, 1, 1, 1], device="meta"), "meta"),
    "a mask for no class": ((None, None), r"beside a mask stands the index of a class"),
    "a mask and top": (("top5", None), "beside a mask"),
    "a mask and a function": ((margin, torch.ones(4, 3)), "beside a mask"),
    "an empty mask": ((1, torch.zeros(4, 3)), "the mask in target= is empty"),
    "a mask of minus 1": ((1, -torch.ones(4, 3)), "has negative weights.* a function of the out"),
    "a mask of NaN": ((1, torch.full((4, 3), torch.nan)), "NaN or infinity"),
    "a complex mask": ((1, torch.ones(4, 3) * 1j), "mask in target= is complex"),
    "a map of labels": ((1, torch.arange(12).reshape(4, 3)), "11 whole numbers .* labels == 3"),
    "a sparse mask": ((1, torch.ones(4, 3).to_sparse()), "mask in target= is sparse"),
    "a mask of no pixel": ((1, torch.ones(4, 0)), r"mask in target= has the shape \(4, 0\)"),
    "a mask of words": ((1, [["a"]]), "mask in target= is no array of numbers"),
    "a ragged mask": ((1, [[1, 0], [1]]), "mask in target= is no array of numbers"),
    "too many classes and a mask": (([1, 2], torch.ones(4, 3)), r"\(2,\) for 4 images"),
}


@pytest.mark.parametrize("target, message", UNREAD.values(), ids=UNREAD.keys())
def test_refused_before_any_work(target, message):
    with pytest.raises(InvalidInputError, match=message):
        read_target(target, N)


NAN = float("nan")
UNRESOLVED = {
    "out of range": (6, LOGITS, "softmax", r"target 6 is out of range.*6 classes: give 0 to 5"),
    "one out of range": ([0, 1, 9, 8], LOGITS, "softmax", r"target 9 is .* \(image 2\)"),
    "one of several": ([[0, 1, 77]], LOGITS, "multilabel", "target 77"),
    "signed out of range": ("-6", LOGITS, "softmax", "target 6 is out of range"),
    "negative": (-1, LOGITS, "softmax", "target -1 is negative.*written '-1'.*6 classes"),
    "negative of labels": (-1, ONE, "multilabel", "negative"),
    "negative of two columns": (-1, BOTH, "binary", "negative"),
    "negative of values": (-1, LOGITS, "regression", "negative"),
    "beyond one column": (2, ONE, "binary", "target 2 .* has one column: give -1 to 1"),
    "beyond one value": ("-5", ONE, "regression", "target 5 .* give -1 to 1"),
    "second label of one": (1, ONE, "multilabel", "has one column: give 0 to 0"),
    "softmax of one column": (None, ONE, "softmax", "one column.*task='binary'.*'regression'"),
    "class of one column": (0, ONE, "softmax", "task='binary'"),
    "binary of many": (None, LOGITS, "binary", "6 columns.*task='softmax'.*task='multilabel'"),
    "which value": (None, LOGITS, "regression", "6 columns: target= names one .* 0 to 5; '-0'"),
    "top values": ("top2", LOGITS, "regression", "names one by its index"),
    "unknown task": (None, LOGITS, "detection", "task='detection' is unknown; choose one of soft"),
    "task of no word": (None, LOGITS, None, "task=None is unknown"),
    "a mask of logits": ((1, torch.ones(6)), LOGITS, "softmax", "has no pixels"),
    "'predicted' of logits": ((1, "predicted"), LOGITS, "softmax", "has no pixels"),
    "predicted class of pixels": (None, PIXELS, "softmax", r"has pixels.*\(3, 'predicted'\)"),
    "top of pixels": ("top2", PIXELS, "multilabel", "has pixels"),
    "side of pixels": (None, PIXELS[:, :1], "binary", "has pixels"),
    "predicted values": ((1, "predicted"), PIXELS, "regression", "is for classes"),
    "a mask of another size": (
        (1, torch.ones(5, 5)),
        PIXELS,
        "softmax",
        r"shape \(5, 5\): give the size of the output, \(4, 3\), or of the images, \(8, 6\)",
    ),
    "masks for other images": ((1, torch.ones(3, 4, 3)), PIXELS, "softmax", "with 4 in front"),
    "a mask of one axis": ((1, torch.ones(4)), PIXELS, "softmax", "has the shape"),
    "a mask of four axes": ((1, torch.ones(4, 1, 4, 3)), PIXELS, "softmax", "has the shape"),
    "another batch": (None, LOGITS[:3], "softmax", "an output of 3 rows for 4 images"),
}


@pytest.mark.parametrize(
    "target, output, task, message", UNRESOLVED.values(), ids=UNRESOLVED.keys()
)
def test_refused_of_an_output(target, output, task, message):
    with pytest.raises(InvalidInputError, match=message):
        read_target(target, N).resolve(output, task, (8, 6))


@pytest.mark.parametrize("task", TASKS)
def test_tasks(task):
    check_task(task)
    with pytest.raises(InvalidInputError, match=r"task='x' is unknown; .* softmax, binary, multi"):
        check_task("x")


@pytest.mark.parametrize("method", ["scores", "probabilities"])
@pytest.mark.parametrize("target", [None, margin], ids=["class", "function"])
def test_scores_of_another_batch_are_refused(method, target):
    with pytest.raises(InvalidInputError, match="an output of 5 rows for 4 images"):
        getattr(resolved(target), method)(normal(5, C))


# --- pixels ----------------------------------------------------------------------------------

HALF = torch.zeros(4, 3, dtype=torch.bool)
HALF[:2] = True
EACH = torch.rand(N, 4, 3, generator=torch.Generator().manual_seed(3)) + 0.1

MASKS = {
    "boolean": (HALF, HALF.float()),
    "array": (HALF.numpy(), HALF.float()),
    "list": (HALF.tolist(), HALF.float()),
    "whole numbers": (HALF.long(), HALF.float()),
    "a mask read from a file": (HALF.numpy().astype(np.uint8) * 255, HALF.float()),
    "weights": (EACH[0], EACH[0]),
    "one an image": (EACH, EACH),
    "one in front": (EACH[:1], EACH[0]),
    "double precision": (EACH.double().numpy(), EACH),
    "all": (None, torch.ones(4, 3)),
    "at the size of the images": (HALF.repeat_interleave(2, 0).repeat_interleave(2, 1), HALF),
    "one an image at their size": (
        EACH.repeat_interleave(2, 1).repeat_interleave(2, 2),
        EACH,
    ),
}


@pytest.mark.parametrize("mask, weights", MASKS.values(), ids=MASKS.keys())
def test_masks(mask, weights):
    weights = weights.float().expand(N, 4, 3)
    targets = resolved((2, mask), PIXELS)
    assert targets.classes.tolist() == [[2]] * N
    assert targets.single
    expected = (PIXELS[:, 2] * weights).sum((1, 2))
    assert close(targets.scores(PIXELS)[:, 0], expected)
    mean = (PIXELS.softmax(1)[:, 2] * weights).sum((1, 2)) / weights.sum((1, 2))
    assert close(targets.probabilities(PIXELS)[:, 0], mean)


def test_a_class_alone_is_all_pixels():
    for target in (2, [2] * N, [[2]]):
        expected = resolved((2, None), PIXELS).scores(PIXELS)
        assert torch.equal(resolved(target, PIXELS).scores(PIXELS), expected)


def test_a_class_an_image_and_a_mask():
    targets = resolved((torch.tensor(ROW), HALF), PIXELS)
    assert targets.single
    assert close(targets.scores(PIXELS)[:, 0], PIXELS[range(N), ROW, :2].sum((1, 2)))
    targets = resolved(([["+1", "-2"]], HALF), PIXELS)
    assert not targets.single
    expected = PIXELS[:, 1:3, :2].sum((2, 3)) * torch.tensor([1, -1])
    assert close(targets.scores(PIXELS), expected)


def test_where_the_class_is_predicted():
    where = PIXELS.argmax(1) == 2
    targets = resolved((2, "predicted"), PIXELS)
    assert close(targets.scores(PIXELS)[:, 0], (PIXELS[:, 2] * where).sum((1, 2)))
    # The pixels stay those of the output that was resolved.
    other = normal(N, C, 4, 3, seed=9)
    assert close(targets.scores(other)[:, 0], (other[:, 2] * where).sum((1, 2)))


def test_where_several_classes_are_predicted():
    targets = resolved(([[0, 3]], "predicted"), PIXELS)
    for k, column in enumerate((0, 3)):
        where = PIXELS.argmax(1) == column
        assert close(targets.scores(PIXELS)[:, k], (PIXELS[:, column] * where).sum((1, 2)))


def test_where_nothing_is_predicted():
    output = torch.zeros(2, 3, 4, 4)
    output[:, 0] = 2
    targets = resolved((2, "predicted"), output)
    assert targets.scores(output).tolist() == [[0], [0]]
    assert targets.probabilities(output).tolist() == [[0], [0]]


@pytest.mark.parametrize("target, sign", [(1, 1), (0, -1), ("-0", -1), (-1, -1)], ids=str)
def test_pixels_of_one_column(target, sign):
    output = PIXELS[:, :1]
    targets = resolved((target, "predicted"), output, "binary")
    where = sign * output > 0
    assert close(targets.scores(output), sign * (output * where).sum((2, 3)))
    mean = (torch.sigmoid(sign * output) * where).sum((2, 3)) / where.sum((2, 3))
    assert close(targets.probabilities(output), mean)


def test_pixels_with_several_labels():
    where = PIXELS[:, 2:3] > 0
    targets = resolved((2, "predicted"), PIXELS, "multilabel")
    assert close(targets.scores(PIXELS), (PIXELS[:, 2:3] * where).sum((2, 3)))


def test_pixels_of_values():
    output = PIXELS[:, :1]
    assert close(resolved(None, output, "regression").scores(output), output.sum((2, 3)))
    assert close(resolved(None, output, "regression").probabilities(output), output.mean((2, 3)))
    assert close(resolved(("-0", HALF), output, "regression").scores(output)[:, 0], -output[
        :, 0, :2
    ].sum((1, 2)))  # fmt: skip


@pytest.mark.parametrize("target", [None, 2, "top3", "-1"], ids=str)
def test_a_single_pixel_is_none(target):
    for shape in [(N, C, 1, 1), (N, C, 1), (N, C, 1, 1, 1)]:
        output = LOGITS.reshape(shape)
        assert torch.equal(resolved(target, output).scores(output), resolved(target).scores(LOGITS))
        assert torch.equal(
            resolved(target, output).probabilities(output), resolved(target).probabilities(LOGITS)
        )


@pytest.mark.parametrize("spatial", [(7,), (4, 3), (2, 3, 2)], ids=str)
def test_masks_of_any_number_of_axes(spatial):
    output, images = normal(2, 3, *spatial), tuple(2 * size for size in spatial)
    mask = torch.zeros(images)
    mask[:2] = 1
    targets = read_target((1, mask), 2).resolve(output, "softmax", images)
    assert close(targets.scores(output)[:, 0], output[:, 1, 0].reshape(2, -1).sum(1))


def test_what_the_mask_leaves_out_is_out():
    output = PIXELS.clone()
    output[:, 2, 3] = torch.nan
    scores = resolved((2, HALF), output).scores(output)
    assert close(scores, resolved((2, HALF), PIXELS).scores(PIXELS))


def test_a_mask_that_vanishes_at_the_size_of_the_output():
    mask = torch.zeros(N, 64, 64)
    mask[:, :32] = 1
    mask[2] = 0
    mask[2, 0, 0] = 1
    with pytest.raises(InvalidInputError, match=r"mask of image 2 has no pixel left .* \(4, 4\)"):
        read_target((1, mask), N).resolve(normal(N, 3, 4, 4), "softmax", (64, 64))


def test_one_image_may_have_an_empty_mask():
    mask = EACH.clone()
    mask[1] = 0
    targets = resolved((1, mask), PIXELS)
    assert targets.scores(PIXELS)[1] == 0
    assert targets.probabilities(PIXELS)[1] == 0


# --- parts, rows and gradients ---------------------------------------------------------------

EVERY = {
    "none": (None, LOGITS, "softmax"),
    "one": (3, LOGITS, "softmax"),
    "signed": ("-3", LOGITS, "softmax"),
    "each": (ROW, LOGITS, "multilabel"),
    "several": ([[0, 1], [1, 2], [2, 3], [3, 4]], LOGITS, "regression"),
    "several for all": ([[0, 1]], LOGITS, "softmax"),
    "top3": ("top3", LOGITS, "softmax"),
    "function": (margin, LOGITS, "softmax"),
    "function that works in place": (lambda z: z.mul_(2).clamp_(-1)[2], LOGITS, "softmax"),
    "functions": ([lambda z, k=k: z[k] for k in range(N)], LOGITS, "softmax"),
    "binary": (None, ONE, "binary"),
    "side": ([1, 0, -1, "+0"], ONE, "binary"),
    "value": ("-0", ONE, "regression"),
    "mask": ((2, HALF), PIXELS, "softmax"),
    "mask as many as images": ((2, normal(4, 4).abs()), normal(4, 3, 4, 4), "softmax"),
    "masks": ((ROW, EACH), PIXELS, "softmax"),
    "predicted pixels": ((2, "predicted"), PIXELS, "softmax"),
    "predicted pixels of several": (([[1, 2]], "predicted"), PIXELS, "multilabel"),
}
every = pytest.mark.parametrize("target, output, task", EVERY.values(), ids=EVERY.keys())


@every
@pytest.mark.parametrize("edges", [(0, 1, 2, 3, 4), (0, 3, 9)], ids=["ones", "three and one"])
def test_parts_are_the_whole(target, output, task, edges):
    whole = resolved(target, output, task)
    request = read_target(target, N)
    for start, stop in itertools.pairwise(edges):
        part = request.part(start, stop)
        rows = output[start:stop]
        targets = part.resolve(rows, task, (8, 6))
        assert len(part) == len(targets) == len(rows)
        assert torch.equal(targets.classes, whole.classes[start:stop])
        assert targets.single == whole.single
        assert close(targets.scores(rows), whole.scores(output)[start:stop])
        assert close(targets.probabilities(rows), whole.probabilities(output)[start:stop])


@every
def test_a_part_of_a_part(target, output, task):
    whole = resolved(target, output, task).scores(output)
    part = read_target(target, N).part(1, 4).part(1, 2)
    assert close(part.resolve(output[2:3], task, (8, 6)).scores(output[2:3]), whole[2:3])


@every
def test_rows_repeated(target, output, task):
    rows = torch.tensor([3, 0, 0, 2, 1, 3, 3])
    whole = resolved(target, output, task)
    repeated = whole.repeat(rows)
    assert len(repeated) == 7
    assert torch.equal(repeated.classes, whole.classes[rows])
    assert close(repeated.scores(output[rows]), whole.scores(output)[rows])
    assert close(repeated.probabilities(output[rows]), whole.probabilities(output)[rows])


@every
@pytest.mark.parametrize("method", ["scores", "probabilities"])
def test_images_do_not_mix_and_gradients_are_those_of_each(target, output, task, method):
    output = output.clone().requires_grad_()
    found = getattr(resolved(target, output, task), method)(output)
    assert found.shape[0] == N
    for row in range(N):
        (gradient,) = torch.autograd.grad(found[row].sum(), output, retain_graph=True)
        elsewhere = torch.cat([gradient[:row], gradient[row + 1 :]])
        assert not elsewhere.any()
        assert gradient.isfinite().all()
    if method == "scores" and found.all():
        (gradient,) = torch.autograd.grad(found.sum(), output)
        assert gradient.flatten(1).any(1).all()


@every
@pytest.mark.parametrize("modes", ["inference_mode", "no_grad"])
def test_targets_made_under_any_mode_can_be_differentiated(target, output, task, modes):
    with getattr(torch, modes)():
        made = torch.tensor(target) if target is ROW else target
        targets = read_target(made, N).resolve(output.clone(), task, (8, 6))
        repeated = targets.repeat(torch.arange(N))
    output = output.clone().requires_grad_()
    for one in (targets, repeated):
        one.scores(output).sum().backward()
    assert output.grad is not None


@every
def test_the_output_is_not_changed(target, output, task):
    before = output.clone()
    targets = resolved(target, output, task)
    targets.scores(output)
    targets.probabilities(output)
    assert torch.equal(output, before)


def test_what_the_user_gave_may_change_afterwards():
    classes, mask = torch.tensor(ROW), EACH.clone()
    request = read_target((classes, mask), N)
    classes.zero_()
    mask.zero_()
    targets = request.resolve(PIXELS, "softmax", (8, 6))
    assert torch.equal(targets.scores(PIXELS), resolved((ROW, EACH), PIXELS).scores(PIXELS))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 5), columns=st.integers(2, 7), k=st.integers(1, 4))
def test_any_classes_against_plain_indexing(data, n, columns, k):
    one = st.one_of(
        st.integers(0, columns - 1),
        st.integers(0, columns - 1).map(lambda c: f"+{c}"),
        st.integers(0, columns - 1).map(lambda c: f"-{c}"),
        st.integers(0, columns - 1).map(np.int16),
        st.integers(0, columns - 1).map(torch.tensor),
    )
    k = min(k, columns)
    row = st.lists(one, min_size=k, max_size=k, unique_by=lambda c: abs(int(c)))
    rows = data.draw(st.lists(row, min_size=n, max_size=n))
    output = normal(n, columns)
    scores = resolved(rows, output).scores(output)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            text = str(int(value)) if not isinstance(value, str) else value
            sign = -1 if text.startswith("-") else 1
            assert scores[i, j] == sign * output[i, int(text.lstrip("+-"))]


@settings(max_examples=60, deadline=None)
@given(
    target=st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-3, 9),
            st.floats(),
            st.text(max_size=4),
            st.sampled_from(["top2", "+1", "-1", "predicted"]),
            st.binary(max_size=2),
        ),
        lambda inside: st.one_of(st.lists(inside, max_size=3), st.tuples(inside, inside)),
        max_leaves=6,
    ),
    task=st.sampled_from(TASKS),
    columns=st.integers(1, 3),
    n=st.integers(1, 3),
)
def test_anything_is_understood_or_refused_with_a_message(target, task, columns, n):
    output = normal(n, columns)
    try:
        scores = resolved(target, output, task).scores(output)
    except InvalidInputError as error:
        assert str(error)
        return
    assert scores.shape[0] == n
    assert scores.isfinite().all()
