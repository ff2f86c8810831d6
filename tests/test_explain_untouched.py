"""Models that compute, store and change things on the way leave as they came."""

from __future__ import annotations

import copy
from typing import Any

import networks
import pytest
import torch
from doing import GRADIENTS, METHODS, Doing, _raise, found, head, usual
from states import assert_same_state, state_of
from torch import nn
from torch.nn import utils
from torch.utils.checkpoint import checkpoint

import fastxai
from fastxai import InvalidInputError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


def checkpointed(part: str, reentrant: bool) -> Doing:
    def does(module: Any, x: torch.Tensor) -> torch.Tensor:
        if part in ("trunk", "both"):
            x = checkpoint(module.net.features, x, use_reentrant=reentrant)
        else:
            x = module.net.features(x)
        if part in ("head", "both"):
            return checkpoint(lambda y: head(module.net, y), x, use_reentrant=reentrant)
        return head(module.net, x)

    return Doing(does)


@pytest.mark.parametrize("layer", ["features", "features.5"], ids=["at the end", "inside"])
@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("part", ["trunk", "head", "both"])
@pytest.mark.parametrize("reentrant", [False, True], ids=["not reentrant", "reentrant"])
def test_checkpointed_segments_change_nothing(
    reentrant: bool, part: str, method: str, layer: str, images: torch.Tensor
) -> None:
    maps = found(checkpointed(part, reentrant), images, method, f"net.{layer}")
    assert torch.equal(maps, usual(images, method, layer))


def test_reentrant_checkpoints_are_themselves_again_afterwards(images: torch.Tensor) -> None:
    apply = torch.utils.checkpoint.CheckpointFunction.apply
    fastxai.Saliency(checkpointed("both", True))(images)
    assert torch.utils.checkpoint.CheckpointFunction.apply == apply
    assert "apply" not in vars(torch.utils.checkpoint.CheckpointFunction)


@pytest.mark.parametrize(
    "normalise",
    [
        utils.weight_norm,
        utils.spectral_norm,
        utils.parametrizations.weight_norm,
        utils.parametrizations.spectral_norm,
    ],
    ids=["old weight norm", "old spectral norm", "weight norm", "spectral norm"],
)
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_computed_weights_are_as_they_were(normalise: Any, images: torch.Tensor) -> None:
    model = networks.plain_cnn().train()
    for layer in (model.features[3], model.fc):
        normalise(layer)
    model(images)
    before = state_of(model)
    weights = [vars(layer).get("weight") for layer in (model.features[3], model.fc)]
    out = fastxai.explain(model, images, GRADIENTS, layer="features", target=4)
    assert all((out[name].status != "nonfinite").all() for name in GRADIENTS)
    assert_same_state(before, model)
    after = [vars(layer).get("weight") for layer in (model.features[3], model.fc)]
    assert all(a is b for a, b in zip(weights, after, strict=True))


def test_tied_weights_stay_tied(images: torch.Tensor) -> None:
    model = networks.plain_cnn()
    model.twin = nn.Linear(16, 5)
    model.twin.weight = model.fc.weight
    before = state_of(model)
    fastxai.explain(model, images, ["gradcam", "guided_backprop"])
    assert_same_state(before, model)
    assert model.twin.weight is model.fc.weight


@pytest.mark.parametrize("method", ["gradcam", "saliency", "occlusion"])
def test_lazy_modules_that_never_ran_are_told(method: str, images: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    with pytest.raises(InvalidInputError, match=r"3\.weight.*run the model once"):
        fastxai.explain(model, images, {method: METHODS[method]})
    assert isinstance(model[3], nn.LazyLinear)


def test_a_trainable_tensor_below_the_layer_does_not_keep_the_trunk(images: torch.Tensor) -> None:
    """It is no parameter, and nobody put its requires_grad off."""
    scale = torch.ones(1, requires_grad=True)
    model = Doing(lambda module, x: head(module.net, module.net.features(x * scale)))
    nodes: list[Any] = []
    model.net.pool.register_forward_pre_hook(lambda m, given: nodes.append(given[0].grad_fn))
    maps = found(model, images, "gradcam")
    before, _ = nodes[0].next_functions[0]
    assert before.name().endswith("AccumulateGrad")
    assert torch.equal(maps, usual(images, "gradcam"))
    assert scale.grad is None


def stores_maps(module: Any, x: torch.Tensor) -> Any:
    module.maps = module.net.features(x)
    module.log = {"maps": module.maps}
    return head(module.net, module.maps)


def changes_its_mode(module: Any, x: torch.Tensor) -> Any:
    module.train()
    module.net.eval()
    return module.net(x)


def replaces_a_module(module: Any, x: torch.Tensor) -> Any:
    module.net.fc = copy.deepcopy(module.net.fc)
    return module.net(x)


def adds_a_module(module: Any, x: torch.Tensor) -> Any:
    module.net.extra = nn.Identity()
    return module.net(x)


def wants_gradients(module: Any, x: torch.Tensor) -> Any:
    module.requires_grad_(True)
    return module.net(x)


@pytest.mark.parametrize(
    "does",
    [stores_maps, changes_its_mode, replaces_a_module, adds_a_module, wants_gradients],
    ids=lambda does: does.__name__,
)
def test_models_that_change_themselves_are_as_they_were(does: Any, images: torch.Tensor) -> None:
    model = Doing(does).train().requires_grad_(False)
    before, attributes = state_of(model), set(vars(model))
    assert torch.equal(found(model, images, "gradcam"), usual(images, "gradcam"))
    assert_same_state(before, model)
    assert set(vars(model)) == attributes


def test_stored_activations_do_not_keep_the_graph(images: torch.Tensor) -> None:
    model = Doing(stores_maps)
    with torch.no_grad():
        model(images)
    stored = model.maps
    fastxai.explain(model, images, ["gradcam", "saliency"])
    assert model.maps is stored and model.log["maps"] is stored


def test_a_list_of_stored_activations_does_not_grow(images: torch.Tensor) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        module.kept.append(module.net.features(x))
        return head(module.net, module.kept[-1])

    model = Doing(does)
    model.kept = kept = []
    fastxai.Saliency(model)(images)
    assert model.kept is kept and kept == []


def test_counters_of_a_model_go_on(images: torch.Tensor) -> None:
    """A number that a forward counts up is not ours to turn back."""

    def does(module: Any, x: torch.Tensor) -> Any:
        module.runs += 1
        return module.net(x)

    model = Doing(does)
    model.runs = 0
    found(model, images, "gradcam")
    assert model.runs == 1


def test_train_and_eval_of_the_model_are_never_called(images: torch.Tensor) -> None:
    class Own(Doing):
        def train(self, mode: bool = True) -> Any:
            raise AssertionError("train() was called")

    model = Own(lambda module, x: module.net(x))
    assert torch.equal(found(model, images, "gradcam"), usual(images, "gradcam"))


def test_hooks_of_the_user_fire_and_stay(images: torch.Tensor) -> None:
    model, log = networks.plain_cnn(), []
    model.features.register_forward_pre_hook(lambda *_: log.append("before"))
    model.features.register_forward_hook(lambda *_: log.append("after"))
    model.fc.register_full_backward_hook(lambda *_: log.append("backward"))
    fastxai.GradCAM(model, layer="features")(images)
    assert log == ["before", "after", "backward"]
    model(images).sum().backward()
    assert log == ["before", "after", "backward"] * 2


def test_what_a_hook_of_the_user_makes_of_the_layer_is_explained(images: torch.Tensor) -> None:
    model, doubled = networks.plain_cnn(), networks.plain_cnn()
    model.features.register_forward_hook(lambda module, given, maps: maps * 2)
    with torch.no_grad():
        doubled.features[7].weight *= 2
        doubled.features[7].bias *= 2
    torch.testing.assert_close(
        fastxai.GradCAM(model, layer="features")(images, 4),
        fastxai.GradCAM(doubled, layer="features")(images, 4),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ZeroDivisionError("no"), ModelError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["ZeroDivisionError", "Ctrl-C"],
)
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_the_model_is_as_it_was_when_a_hook_raises(
    error: BaseException, raised: Any, where: str, images: torch.Tensor
) -> None:
    model = networks.plain_cnn().train()
    on = model.fc
    hook = _raise(error)
    _ = (
        on.register_forward_hook(hook)
        if where == "forward"
        else on.register_full_backward_hook(hook)
    )
    before = state_of(model)
    with pytest.raises(raised):
        fastxai.explain(model, images, ["gradcam", "guided_backprop"], layer="features")
    assert_same_state(before, model)
    assert torch.is_grad_enabled()
