"""Parts and repeated rows of targets; scores that can be differentiated."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targeting import EACH, HALF, LOGITS, ONE, PIXELS, ROW, N, close, margin, normal, resolved

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import TASKS, read_target  # noqa: E402

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
