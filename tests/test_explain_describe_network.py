"""`describe()` with a network: hidden places, competing classes and the sanity check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from describing import CORNER, IMAGE, NAN, TWO, Corners, check_numbers, of, small  # noqa: E402

import fastxai  # noqa: E402
from fastxai.explain.description import Teller, answers  # noqa: E402

nn = torch.nn


def test_the_score_when_the_place_is_hidden_is_that_of_the_hidden_image() -> None:
    found = of(CORNER).describe(Corners(), IMAGE, target=0, sanity=False)
    facts = found[0].facts
    hidden = IMAGE.clone()
    hidden[:, :, :3, :3] = 0
    with torch.no_grad():
        expected = Corners()(hidden).softmax(1)[0, 0]
    assert facts["score_before"] == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-6)
    assert facts["score_hidden"] == pytest.approx(float(expected), rel=1e-6)
    assert len(facts["hidden_elsewhere_all"]) == facts["boxes_elsewhere"] == 8
    text = str(found)
    assert "(replaced by 0), the probability of class 0 goes from 0.88 to 0.27" in text
    assert "The score depends on this box more than on any of the others." in text
    check_numbers(found)


@pytest.mark.parametrize(
    ("values", "signed", "target", "scale", "expected"),
    [
        pytest.param(CORNER, False, 0, 1, "more than on any of the others.", id="found"),
        pytest.param(CORNER[:, ::-1], False, 0, 1, "more than on others: hiding does", id="beside"),
        pytest.param(CORNER, False, 1, 1, "The score rises when the box is hidden", id="wrong"),
        pytest.param(-CORNER, True, 1, 1, "more than on any of the others.", id="against"),
        pytest.param(-CORNER, True, 0, 1, "The score falls when the box is", id="wrong, against"),
        pytest.param(CORNER, False, 0, 1e-4, "none of this changes", id="nothing"),
    ],
)
def test_the_verdict_on_hiding(
    values: Any, signed: bool, target: int, scale: float, expected: str
) -> None:
    one = of(values, "occlusion", signed=signed)
    text = str(one.describe(Corners(scale), IMAGE, target=target, boxes=26))
    assert expected.lower() in text.lower()


def test_more_than_on_average() -> None:
    tell = Teller()
    tell.know(class_name="class 0", score_is_probability=True, baseline=0.0, method="occlusion")
    answers.tell_hidden(tell, 0.8, 0.5, np.array([0.4, 0.8, 0.8]), against=False)
    assert "but not more than on each" in tell.sentences[-1].text


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (0.25, "replaced by 0.25"),
        ("blur", "(blurred)"),
        ("mean", "replaced by its mean colour"),
        (np.zeros((1, 9, 9)), "replaced by the given baseline"),
    ],
)
def test_the_baseline_is_told(baseline: Any, words: str) -> None:
    assert words in str(of(CORNER).describe(Corners(), IMAGE, baseline=baseline, sanity=False))


def test_an_image_without_room_for_another_box() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    one = of([[0.0, 1.0]])
    found = one.describe(net, torch.rand(1, 1, 1, 2), sanity=False)
    assert found[0].facts["boxes_elsewhere"] == 1
    one = of([[1.0, 0.0]])
    tell = Teller()
    tell.know(class_name="x", score_is_probability=True, baseline=0.0, method="gradcam")
    answers.tell_hidden(tell, 0.5, 0.1, np.array([]), against=False)
    assert "no room for another box" in tell.sentences[0].text


@pytest.mark.parametrize(
    ("logits", "target", "task", "expected"),
    [
        pytest.param(
            [0, 9, 1, 0], 1, "softmax",
            "The network's answer is 'b', with a probability of >0.99. No other class comes near: "
            "'c' (<0.01) and 'a' (<0.01) follow; the margin is >0.99. The entropy over all 4 "
            "classes is 0.01 bits.",
            id="sure",
        ),
        pytest.param(
            [2, 2.1, -9, -9], 1, "softmax",
            "with a probability of 0.52. That is close: 'a' (0.48) and 'c' (<0.01) follow; the "
            "margin is 0.05. The entropy over all 4 classes is 1.00 bits, that of an even choice "
            "among 2.0.",
            id="close",
        ),
        pytest.param(
            [0, 9, 1, 0], 2, "softmax",
            "'c', which is explained, is not the network's answer: of 4 classes it comes 2nd, with "
            "a probability of <0.01. The highest probabilities are those of 'b' (>0.99), 'c' "
            "(<0.01) and 'a' (<0.01).",
            id="not the answer",
        ),
        pytest.param([0, 9, 1, 0], ["-2"], "softmax", "of anything but 'c' goes from", id="minus"),
        pytest.param(
            [0, 9], 1, "softmax", "'a' (<0.01) follows; the margin is >0.99.", id="two classes"
        ),
        pytest.param(
            [0, 9, 1, 0], 0, "multilabel",
            "Each class has a probability of its own: 'a' has 0.50, the 3rd highest of 4. The "
            "highest probabilities are those of 'b' (>0.99), 'c' (0.73) and 'a' (0.50).",
            id="multilabel",
        ),
        pytest.param([-2], None, "binary", "The network's answer is 'a', with a probability of "
                     "0.88. 'b' (0.12) follows; the margin is 0.76.", id="binary"),
        pytest.param([3.25], 0, "regression", "The score of 'a' is 3.25.", id="regression"),
        pytest.param(
            [1, 2, 3, 4], lambda y: y[1] + y[2], "softmax",
            "The score of the target is 5.", id="function",
        ),
        pytest.param([NAN, 1, 2, 3], 0, "softmax", "score of 'a' is no finite number", id="NaN"),
    ],
)  # fmt: skip
def test_how_sure_and_which_classes(logits: Any, target: Any, task: str, expected: str) -> None:
    def net(x: Any) -> Any:
        return x.sum((1, 2, 3))[:, None] * 0 + torch.tensor(logits, dtype=torch.float32)

    found = of(CORNER).describe(net, IMAGE, target=target, task=task, names="abcd")
    assert expected in str(found)
    check_numbers(found)


@pytest.mark.parametrize(
    ("last", "whole", "expected"),
    [
        (0.05, 0.1, "it holds: the map changes"),
        (0.5, 0.1, "it holds in part"),
        (0.9, 0.1, "it fails in part"),
        (0.9, 0.8, "it fails: a network"),
        (0.1, -0.9, "it fails: a network"),
        (-0.4, -0.5, "it holds: the map changes"),
        (NAN, 0.1, "correlation of 0.10 with random weights everywhere; it holds"),
        (NAN, 0.9, "it fails: a network"),
        (0.9, NAN, "it fails in part"),
        (NAN, NAN, "no map that could be compared"),
    ],
)
def test_the_verdict_of_the_sanity_check(last: float, whole: float, expected: str) -> None:
    tell = Teller()
    answers.tell_sanity(tell, last, whole, "fc")
    assert expected in tell.sentences[0].text


@pytest.mark.parametrize(
    ("explain", "options", "expected"),
    [
        pytest.param("saliency", {}, "Sanity check: this map has a rank correlation of", id="made"),
        pytest.param("saliency", {"sanity": False}, "it was not asked for", id="not wanted"),
        pytest.param("occlusion", {}, "have to ask the network as often again", id="black box"),
        pytest.param("occlusion", {"sanity": True}, "Sanity check: this map has", id="wanted"),
    ],
)
def test_the_sanity_check_of_real_maps(explain: str, options: Any, expected: str) -> None:
    images = torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    net = Corners()
    out = fastxai.explain(net, images, explain)
    found = out.describe(net, **options)
    assert [one.image for one in found] == [0, 1]
    assert all(expected in str(one) for one in found)
    check_numbers(found)


def test_maps_of_other_options_are_not_checked_as_if_they_were_the_same() -> None:
    net, images = small(), torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    own = {"occlusion": {"window": 11, "stride": 3}}
    out = fastxai.explain(net, images, own)
    text = str(out.describe(net, sanity=True))
    assert "the method, made again, gives another map" in text
    assert "method_options=" in text
    assert "Sanity check:" in str(out.describe(net, sanity=True, method_options=own))


def test_a_function_has_no_weights_to_make_random() -> None:
    out = fastxai.explain(lambda x: x.flatten(1)[:, :3], torch.rand(1, 1, 9, 9), "occlusion")
    text = str(out.describe(lambda x: x.flatten(1)[:, :3], sanity=True))
    assert "only its answers can be had" in text


def test_a_model_that_can_not_be_copied_is_described_all_the_same() -> None:
    class Single(Corners):
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("there is only one")

    net = Single()
    text = str(fastxai.explain(net, IMAGE, "saliency").describe(net))
    assert "the map could not be made again" in text
    assert "there is only one" in text


def test_maps_without_a_place_are_told_with_the_network() -> None:
    found = of(0 * TWO).describe(Corners(), IMAGE)
    text = str(found)
    assert "The network's answer is class 0" in text
    assert "Nothing was hidden, since the map has no strongest place." in text
    assert "there is nothing to compare" in text
