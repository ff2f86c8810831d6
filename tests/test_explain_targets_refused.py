"""Targets that are refused, and what the message says."""

import numpy as np
import pytest
from targeting import BOTH, LOGITS, ONE, PIXELS, C, N, margin, normal, resolved

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import TASKS, check_task, read_target  # noqa: E402

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
