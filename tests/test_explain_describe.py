"""`describe()`: sentences against maps and networks whose right description is known by hand."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain import Explanation  # noqa: E402
from fastxai.explain.description import Descriptions, Teller, answers  # noqa: E402
from fastxai.explain.description.places import (  # noqa: E402
    Box,
    boxes_elsewhere,
    place_name,
    strongest_box,
)

nn = torch.nn
NAN = float("nan")


def of(values: Any, method: str = "gradcam", status: str = "ok", **fields: Any) -> Explanation:
    """An explanation of one image by hand."""
    maps = np.asarray(values, np.float32)[None]
    ends = {"minimum": np.array([maps.min()]), "maximum": np.array([maps.max()])}
    return Explanation(method, maps, np.array([status]), **{**ends, "signed": False, **fields})


def blocks(*rows: list[float]) -> Any:
    """A 9 x 9 map of nine equal blocks with these sums."""
    return np.kron(np.array(rows) / 9, np.ones((3, 3)))


def texts(found: Descriptions) -> list[str]:
    return [sentence.text for sentence in found[0].sentences]


# --- maps --------------------------------------------------------------------------------

CORNER = blocks([1, 0, 0], [0, 0, 0], [0, 0, 0])
TWO = blocks([6, 0, 0], [0, 0, 0], [0, 0, 4])
UNCHECKED = "Not checked, since no model was given"

CASES = [
    pytest.param(
        of(CORNER),
        [
            "By gradcam, the evidence for the target is strongest in the upper left: a "
            "box of 11% of the image there holds 100% of it.",
            "Of nine equal parts of the image, the upper left holds most of it, 100%; the "
            "strongest 10% of the pixels hold 89%.",
            "Its centre of mass lies 17% of the width from the left and 17% of the height from "
            "the top; it spreads 32% as far around it as an even map does.",
            "The map has no values below zero, so it shows nothing that speaks against the target.",
        ],
        id="corner",
    ),
    pytest.param(
        of(TWO),
        [
            "By gradcam, the evidence for the target is strongest in the upper left: a "
            "box of 11% of the image there holds 60% of it.",
            "Of nine equal parts of the image, the upper left holds most of it, 60%, followed by "
            "the lower right with 40%; the strongest 10% of the pixels hold 53%.",
        ],
        id="two places",
    ),
    pytest.param(
        of(blocks([10, 11, 11], [11, 12, 11], [11, 11, 12]), "rise"),
        [
            "By rise, no place stands out in the evidence for the target: even the "
            "strongest box, in the centre, holds 12% of it on 11% of the image."
        ],
        id="nearly even",
    ),
    pytest.param(
        of(blocks([3, 0, 0], [0, 0, 0], [0, 0, -1]), "occlusion", signed=True),
        [
            "the evidence for the target is strongest in the upper left",
            "Of all values of the map by their size, 75% speak for the target and 25% against it.",
        ],
        id="both signs",
    ),
    pytest.param(
        of(-TWO, "occlusion", signed=True),
        [
            "the evidence against the target is strongest in the upper left",
            "0% speak for the target and 100% against it.",
        ],
        id="all against",
    ),
    pytest.param(
        of(TWO, minimum=np.array([-2.5])),
        ["Values below zero, down to -2.5, were cut off: what speaks against"],
        id="cut off",
    ),
    pytest.param(
        of(TWO, "saliency"),
        [
            "By saliency, the sensitivity of the score of the target is strongest",
            "Saliency shows sizes only: what speaks for and what against is not told apart.",
        ],
        id="sizes",
    ),
    pytest.param(
        of(np.stack([TWO, -TWO]), "guided_backprop", signed=True),
        [
            "By guided_backprop, the signal for the target is strongest in the upper left",
            "50% are above zero (by the method, the score rises with the pixel) and 50% below",
        ],
        id="by channel, where a sum would be zero",
    ),
    pytest.param(
        of(TWO, "attention_rollout"),
        [
            "By attention_rollout, the attention is strongest in the upper left",
            "and not whether it speaks for or against the target.",
        ],
        id="attention",
    ),
    pytest.param(
        of(TWO, layers=("features.3",)),
        ["By gradcam at layer features.3, the evidence"],
        id="layer",
    ),
    pytest.param(
        of([0, 0, 0, 0, 0, 0, 1, 1, 1]),
        [
            "strongest in the end: a box of 33%",
            "Of three equal parts of the image, the end holds most of it, 100%",
            "Its centre of mass lies 83% of the way along",
        ],
        id="1-D",
    ),
    pytest.param(
        of(np.stack([0 * TWO] * 4 + [CORNER] * 2)),
        [
            "strongest in the upper left of the last third of the slices: a box of 4% of the image",
            "Of twenty-seven equal parts",
            "and 83% of the slices from the first",
        ],
        id="3-D",
    ),
    pytest.param(
        of(0 * TWO),
        ["By gradcam, the map is zero everywhere: it relates no place to the score of the target."],
        id="zero",
    ),
    pytest.param(
        of(0 * TWO, status="empty_after_relu", maximum=np.array([-0.5])),
        [
            "By gradcam, the map is zero everywhere: before negative values were cut off, its "
            "highest value was -0.5, so nothing in it speaks for the target."
        ],
        id="empty after ReLU",
    ),
    pytest.param(
        of(0 * TWO + 0.5),
        ["By gradcam, the map has the same value, 0.5, everywhere: it points at no place."],
        id="constant",
    ),
    pytest.param(
        of(TWO * NAN, status="zero_gradient"),
        ["By gradcam, there is no map: the score of the target does not depend on"],
        id="zero gradient",
    ),
    pytest.param(
        of(TWO * NAN, status="nonfinite"),
        ["There is no map by gradcam: NaN or infinity came out."],
        id="nonfinite",
    ),
    pytest.param(
        of(np.where(TWO > 0.5, np.inf, TWO)),
        ["There is no map by gradcam: NaN or infinity came out."],
        id="infinity within",
    ),
    pytest.param(
        of([[3.0]]),
        ["By gradcam, the map has the same value, 3, everywhere"],
        id="one pixel",
    ),
]


@pytest.mark.parametrize(("explanation", "expected"), CASES)
def test_a_map_is_told_as_by_hand(explanation: Explanation, expected: list[str]) -> None:
    found = texts(explanation.describe())
    for one in expected:
        assert any(one in text for text in found), (one, found)
    assert found[-1].startswith(UNCHECKED)


@pytest.mark.parametrize(("explanation", "expected"), CASES)
def test_every_number_of_a_map_is_a_fact(explanation: Explanation, expected: list[str]) -> None:
    check_numbers(explanation.describe())


def test_facts_have_full_precision() -> None:
    facts = of(TWO).describe()[0].facts
    assert facts["box_share"] == pytest.approx(0.6, abs=1e-7)
    assert facts["top_share"] == pytest.approx(8 / 9 * 0.6, abs=1e-7)
    assert facts["top_pixels"] == 8 / 81
    assert facts["centre_x"] == pytest.approx((0.6 * 1.5 + 0.4 * 7.5) / 9)
    assert facts["share_lower_right"] == pytest.approx(0.4)
    assert (facts["box_start"], facts["box_size"]) == ([0, 0], [3, 3])


def test_an_even_map_has_the_spread_one() -> None:
    nearly = np.full((9, 9), 1.0)
    nearly[4, 4] += 1e-6
    assert of(nearly).describe()[0].facts["spread"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((0.0, 0.0), "upper left"),
        ((0.5, 0.5), "centre"),
        ((0.5, 0.99), "middle right"),
        ((0.9, 0.5), "lower middle"),
        ((0.1,), "beginning"),
        ((0.5, 0.5, 0.5), "centre of the middle third of the slices"),
    ],
)
def test_names_of_places(place: Any, name: str) -> None:
    assert place_name(place) == name


@pytest.mark.parametrize("shape", [(7,), (6, 11), (4, 5, 6), (1, 1), (2, 9)])
def test_the_strongest_box_is_that_of_a_plain_loop(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape)
    box = strongest_box(values)
    room = [pixels - size + 1 for pixels, size in zip(shape, box.size, strict=True)]
    sums = {start: values[Box(start, box.size).slices].sum() for start in np.ndindex(*room)}
    assert box.start == max(sums, key=lambda start: sums[start])


def test_boxes_elsewhere_do_not_touch_the_strongest() -> None:
    box = Box((2, 3), (3, 3))
    found = boxes_elsewhere(box, (9, 9), 100, np.random.default_rng(0))
    assert len(set(found)) == len(found) == 49 - 25  # starts, less those that overlap
    for one in found:
        both = np.zeros((9, 9), int)
        both[box.slices] += 1
        both[one.slices] += 1
        assert both.max() == 1


# --- the network -------------------------------------------------------------------------


class Corners(nn.Module):
    """Two classes: light in the upper left third, and in the lower right one."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        weights = np.stack([blocks([1, 0, 0], [0] * 3, [0] * 3), blocks(*[[0] * 3] * 2, [0, 0, 1])])
        self.linear = nn.Linear(81, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(scale * weights.reshape(2, 81)))
            self.linear.bias.zero_()

    def forward(self, x: Any) -> Any:
        return self.linear(x.flatten(1))


IMAGE = torch.ones(1, 1, 9, 9)
IMAGE[:, :, :3, :3] = 3.0  # logits 3 and 1: probabilities 0.88 and 0.12


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


# --- real maps ---------------------------------------------------------------------------


def small() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        ).eval()  # fmt: skip


METHODS = ["gradcam", "saliency", "guided_backprop", "occlusion", "integrated_gradients", "lime"]


def check_numbers(found: Descriptions) -> None:
    """Every number in a sentence is one of its facts, rounded; names of classes are left out."""
    pattern = re.compile(r"([<>]?)(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(%?)")
    for description in found:
        assert facts_of(description) <= set(description.facts)
        for text, facts in description.sentences:
            given = [value for value in facts.values() if isinstance(value, (int, float))]
            words = " ".join(value for value in facts.values() if isinstance(value, str))
            given += [float(number) for _, number, _ in pattern.findall(words)]
            for sign, number, percent in pattern.findall(text.replace("R²", "")):
                values = [value * 100 for value in given] if percent else given
                assert any(is_rounded(value, number, sign) for value in values), (number, text)


def facts_of(description: Any) -> set[str]:
    return {name for _, facts in description.sentences for name in facts}


def is_rounded(value: float, told: str, sign: str) -> bool:
    """Whether a number in a text is a value to the digits that it has, or bounds it."""
    if sign:
        return value < float(told) if sign == "<" else value > float(told)
    if "e" in told:
        return bool(np.isclose(value, float(told), rtol=5e-3))
    digits = len(told.partition(".")[2])
    return abs(value - float(told)) <= 0.5000001 * 10.0**-digits


@pytest.fixture(scope="module")
def explained() -> Any:
    images = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(2))
    return small(), fastxai.explain(small(), images, METHODS, target="top2")


def test_every_number_in_the_texts_is_a_fact(explained: Any) -> None:
    net, out = explained
    found = out.describe(net, target="top2")
    assert len(found) == 3 * 2 * len(METHODS)
    check_numbers(found)
    order = [(one.image, one.target, one.method) for one in found]
    assert order == [(i, k, m) for i in range(3) for k in range(2) for m in METHODS]


def test_sentences_are_sentences(explained: Any) -> None:
    net, out = explained
    for one in out.describe(net):
        for text, _ in one.sentences:
            assert text[0].isupper() or text[0] in "'\""
            assert text.endswith(".")
            assert "{" not in text and "  " not in text


def test_the_same_call_tells_the_same(explained: Any) -> None:
    net, out = explained
    assert json.dumps([one.to_dict() for one in out.describe(net)]) == json.dumps(
        [one.to_dict() for one in out.describe(net)]
    )


def test_an_image_is_told_alike_in_any_batch(explained: Any) -> None:
    net, out = explained
    both = fastxai.explain(net, out.images[1:], "gradcam").describe(net)
    alone = fastxai.explain(net, out.images[2:], "gradcam").describe(net)
    assert str(both[1]) == str(alone[0])


def test_recorded_scores_are_told_without_a_model(explained: Any) -> None:
    _, out = explained
    found = out.describe(names=list("vwxyz"))
    name = "vwxyz"[out.classes[0, 0]]
    assert f"The recorded score of '{name}' is {out.scores[0, 0]:.2f}" in str(found[0])
    assert UNCHECKED in str(found[0])
    assert found[0].facts["score"] == float(out.scores[0, 0])


def test_several_layers_are_told_one_by_one() -> None:
    net, images = small(), torch.rand(1, 3, 24, 24)
    found = fastxai.explain(net, images, "gradcam", layer=["1", "4"]).describe(net)
    assert [one.layer for one in found] == ["1", "4"]
    assert "at layer 1," in str(found[0])
    assert all("sanity" in str(one).lower() for one in found)


def test_numpy_and_explainers_of_one_method() -> None:
    net, images = small(), np.random.default_rng(0).random((2, 3, 24, 24), np.float32)
    found = fastxai.GradCAM(net).explain(images).describe(net, images)
    by_all = fastxai.explain(net, images, "gradcam").describe(net)
    assert [str(one) for one in found] == [str(one) for one in by_all]


def test_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def forward(self, x: Any, scale: Any) -> Any:
            return self.net(x) * scale

    given = (torch.rand(2, 3, 24, 24), torch.tensor([[1.0], [3.0]]))
    net = Two()
    out = fastxai.explain(net, given, "saliency", wrt=0)
    assert len(out.describe(net, given, wrt=0)) == 2


def test_outputs_with_pixels_have_no_ranking() -> None:
    net = nn.Conv2d(3, 4, 3, padding=1)
    images = torch.rand(1, 3, 12, 12)
    out = fastxai.explain(net, images, "saliency", target=(2, None))
    text = str(out.describe(net, target=(2, None)))
    assert text.startswith("The score of class 2 is ")
    assert "Sanity check" in text


def test_the_model_is_left_as_it_came() -> None:
    net = small().train()
    net[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    fastxai.explain(net, images, "gradcam").describe(net)
    assert all(module.training for module in net.modules())
    assert not net[0].weight.requires_grad and net[3].weight.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), generator)


def test_to_dict_is_fit_for_json(explained: Any) -> None:
    net, out = explained
    given = [one.to_dict() for one in out.describe(net)] + [of(TWO * NAN).describe()[0].to_dict()]
    assert json.loads(json.dumps(given, allow_nan=False)) == given


def test_printed_it_is_the_text(explained: Any) -> None:
    _, out = explained
    found = out.describe()
    assert str(found).split("\n\n") == [str(one) for one in found]
    assert str(found[0]) in repr(found[0])


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda out, net: out["gradcam"].describe(net), "no images", id="no images"),
        pytest.param(
            lambda out, net: out.describe(nn.Sequential(nn.Flatten(), nn.Linear(1728, 5))),
            "was recorded: give the same model",
            id="another model",
        ),
        pytest.param(
            lambda out, net: out["gradcam"].describe(net, out.images[:1], target="top2"),
            "for 1 images",
            id="fewer images",
        ),
        pytest.param(
            lambda out, net: out["gradcam"].describe(net, torch.rand(3, 3, 12, 12)), "enlarge",
            id="another size",
        ),
        pytest.param(
            lambda out, net: out["gradcam"].describe(net, out.images, target=1),
            "the maps are of 2 targets an image, and target= names 1",
            id="another number of targets",
        ),
        pytest.param(lambda out, net: out.describe(net, boxes=0), "boxes=0", id="no boxes"),
        pytest.param(lambda out, net: out.describe(net, sanity="yes"), "sanity='yes'", id="sanity"),
        pytest.param(lambda out, net: out.describe(net, baseline="no"), "unknown", id="baseline"),
        pytest.param(
            lambda out, net: out.describe(net, method_options={"rise": {}}), "names 'rise'",
            id="options of another method",
        ),
        pytest.param(
            lambda out, net: Explanation(
                "gradcam", np.zeros((1, 0, 4)), np.array(["ok"]), NAN, NAN, False
            ).describe(),
            "there is no map",
            id="no pixels",
        ),
        pytest.param(
            lambda out, net: of(np.zeros((1,) * 6)).describe(), "reads", id="too many axes"
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_described_is_refused(explained: Any, call: Any, message: str) -> None:
    net, out = explained
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call(out, net)


def test_a_function_as_target_must_be_given_again() -> None:
    def target(y: Any) -> Any:
        return y[0] - y[1]

    net, images = small(), torch.rand(1, 3, 24, 24)
    out = fastxai.explain(net, images, "gradcam", target=target)
    with pytest.raises(InvalidInputError, match="give describe\\(\\) the same target="):
        out.describe(net)
    assert "The score of the target is" in str(out.describe(net, target=target))
