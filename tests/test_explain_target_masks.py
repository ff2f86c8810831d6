"""Targets of outputs with pixels: a class and a mask."""

import numpy as np
import pytest
from targeting import EACH, HALF, LOGITS, PIXELS, ROW, C, N, close, normal, resolved

from fastxai import InvalidInputError

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import read_target  # noqa: E402

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
