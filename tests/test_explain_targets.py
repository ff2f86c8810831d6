"""Targets: every form that they are given in, and every task."""

import numpy as np
import pandas as pd
import pytest
from targeting import BOTH, LOGITS, ONE, PIXELS, ROW, C, N, close, margin, resolved

from fastxai import FastxaiWarning, InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import TASKS, read_target  # noqa: E402

PREDICTED = LOGITS.argmax(1)
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
