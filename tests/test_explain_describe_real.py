"""`describe()` of real maps: traceable, repeatable, and the model left as it came."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from describing import NAN, TWO, UNCHECKED, check_numbers, of, small  # noqa: E402

import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain import Explanation  # noqa: E402

nn = torch.nn
METHODS = ["gradcam", "saliency", "guided_backprop", "occlusion", "integrated_gradients", "lime"]


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


def test_an_unknown_option_is_refused_with_and_without_a_model(explained: Any) -> None:
    net, out = explained
    for model in (None, net):
        with pytest.raises(TypeError, match="no option 'box'"):
            out.describe(model, box=3)


def test_a_function_as_target_must_be_given_again() -> None:
    def target(y: Any) -> Any:
        return y[0] - y[1]

    net, images = small(), torch.rand(1, 3, 24, 24)
    out = fastxai.explain(net, images, "gradcam", target=target)
    with pytest.raises(InvalidInputError, match="give describe\\(\\) the same target="):
        out.describe(net)
    assert "The score of the target is" in str(out.describe(net, target=target))
