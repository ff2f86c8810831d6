"""Several threads at once, and a model that is explained within itself."""

from __future__ import annotations

import sys
import threading
from typing import Any

import networks
import pytest
import torch
from doing import GRADIENTS, Doing, head, usual
from states import assert_same_state, state_of

import fastxai

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


@pytest.mark.parametrize("shared", [True, False], ids=["one model", "two models"])
def test_threads_leave_models_and_random_numbers_alone(shared: bool, images: torch.Tensor) -> None:
    torch.compile(networks.plain_cnn(), backend="eager")  # there is a stance to be put back
    models = [networks.plain_cnn().train()]
    models += [models[0] if shared else networks.plain_cnn().train()]
    expected = [usual(images, name, target=4) for name in GRADIENTS]
    before = [state_of(model) for model in models]
    wrong: list[Any] = []

    def work(model: Any) -> None:
        for _ in range(3):
            out = fastxai.explain(model, images, GRADIENTS, layer="features", target=4)
            maps = [out[name].maps for name in GRADIENTS]
            if not all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True)):
                wrong.append(out)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(model,)) for model in models * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    for state, model in zip(before, models, strict=True):
        assert_same_state(state, model)
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_a_forward_of_another_thread_is_not_recorded(images: torch.Tensor) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        maps = module.net.features(x)
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=lambda: answers.append(model(x.detach())))
            thread.start()
            thread.join()
        return head(module.net, maps)

    model, answers = Doing(does), []
    maps = fastxai.GradCAM(model, layer="net.features")(images)
    assert torch.equal(maps, usual(images, "gradcam"))
    assert len(answers) == 1 and not answers[0].requires_grad


def test_a_target_that_explains_the_same_model_does_not_wait_for_itself(
    images: torch.Tensor,
) -> None:
    model = networks.plain_cnn()

    def target(output: torch.Tensor) -> torch.Tensor:
        fastxai.Saliency(model)(images[:1])
        return output[4]

    maps = fastxai.GradCAM(model, layer="features")(images[:1], target)
    assert torch.equal(maps, usual(images[:1], "gradcam", target=4))
