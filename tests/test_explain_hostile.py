"""Models and callers that do what they should not: right maps, or an error that says what to do."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
import zlib
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import networks_attention
import numpy as np
import pytest
import torch
from test_explain_recorder import assert_same_state, state_of
from torch import nn
from torch.nn import utils
from torch.utils.checkpoint import checkpoint

import fastxai
from fastxai import FastxaiWarning, InvalidInputError, ModelError, NoGradientError
from fastxai.explain.halving import Batches
from fastxai.progress import Progress

METHODS: Any = {
    **{name: {} for name in ("gradcam", "gradcam++", "hirescam", "layercam", "cam")},
    **{name: {} for name in ("guided_gradcam", "saliency", "guided_backprop", "deconvnet")},
    "occlusion": {"window": 8},
    "rise": {"n_masks": 6},
}
LAYERED = list(METHODS)[:6]
GRADIENTS = ["gradcam", "guided_gradcam", "saliency", "guided_backprop", "deconvnet"]
pytestmark = pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")


@pytest.fixture
def images() -> torch.Tensor:
    found: torch.Tensor = networks.images(networks.plain_cnn)
    return found


def head(net: Any, maps: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = net.fc(net.pool(maps).flatten(1))
    return found


class Doing(nn.Module):
    """A plain CNN, `net`, whose forward is a function of the module and the images."""

    def __init__(self, does: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.net, self.does = networks.plain_cnn(), does

    def forward(self, x: torch.Tensor) -> Any:
        return self.does(self, x)


def usual(images: torch.Tensor, method: str, layer: str = "features", **options: Any) -> Any:
    given = {"layer": layer} if method in LAYERED else {}
    return fastxai.explain(networks.plain_cnn(), images, method, **given, **options)[method].maps


def found(model: Any, images: torch.Tensor, method: str, layer: str = "net.features") -> Any:
    given: Any = {"layer": layer} if method in LAYERED else {}
    return fastxai.explain(model, images, method, **given)[method].maps


# --- checkpointing -----------------------------------------------------------------------------


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


# --- parameters that are computed, shared, not there yet ------------------------------------------


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


# --- models that change themselves ----------------------------------------------------------------


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


# --- hooks ----------------------------------------------------------------------------------------


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


def _raise(error: BaseException) -> Any:
    def hook(*_: Any) -> None:
        raise error

    return hook


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


# --- what layers return ---------------------------------------------------------------------------

Pair = namedtuple("Pair", "flag maps")


class Wrapped(nn.Module):
    """Feature maps in something else."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.inner, self.wrap = networks.plain_cnn().features, wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda maps: (maps, None), lambda y: y[0]),
        (lambda maps: (None, maps), lambda y: y[1]),
        (lambda maps: [torch.ones(2).long(), maps], lambda y: y[1]),
        (lambda maps: Pair(True, maps), lambda y: y.maps),
        (lambda maps: {"flag": 1, "maps": maps}, lambda y: y["maps"]),
        (lambda maps: OrderedDict(maps=maps), lambda y: y["maps"]),
    ],
    ids=["tuple", "second of a tuple", "list", "named tuple", "dict", "ordered dict"],
)
def test_the_first_tensor_of_floats_that_a_layer_returns_counts(
    wrap: Any, unwrap: Any, images: torch.Tensor
) -> None:
    model = Doing(lambda module, x: head(module.net, unwrap(module.layer(x))))
    model.layer = Wrapped(wrap)
    assert torch.equal(found(model, images, "gradcam", "layer"), usual(images, "gradcam"))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda maps: {"maps": [maps]}, "returns a dict without a tensor"),
        (lambda maps: (maps > 0).long(), "torch.int64 numbers, which have no gradient"),
    ],
    ids=["too deep", "whole numbers"],
)
def test_layers_without_feature_maps_are_told(
    wrap: Any, message: str, images: torch.Tensor
) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        module.layer(x)
        return module.net(x)

    model = Doing(does)
    model.layer = Wrapped(wrap)
    with pytest.raises(InvalidInputError, match=message):
        fastxai.GradCAM(model, layer="layer")(images)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_layer_is_told(images: torch.Tensor) -> None:
    model = Doing(lambda module, x: module.net(x))
    model.net.features = torch.jit.script(model.net.features)
    with pytest.raises(InvalidInputError, match="is scripted or traced"):
        fastxai.GradCAM(model, layer="net.features")(images)


def test_the_recorded_maps_outlive_what_follows_in_place(images: torch.Tensor) -> None:
    def does(module: Any, x: torch.Tensor) -> Any:
        maps = module.net.features(x)
        scores = head(module.net, maps.clone())
        maps.zero_()
        return scores

    assert torch.equal(found(Doing(does), images, "gradcam"), usual(images, "gradcam"))


# --- graphs that the model cuts -------------------------------------------------------------------


@pytest.mark.parametrize("method", GRADIENTS[1:])
def test_images_that_the_model_detaches_are_told_in_company_too(
    method: str, images: torch.Tensor
) -> None:
    model = Doing(lambda module, x: module.net(x.detach()))
    with pytest.raises(NoGradientError, match="back to the images"):
        fastxai.explain(model, images, ["gradcam", method], layer="net.features")


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["score", "activations"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_has_a_status(method: str, what: str, images: torch.Tensor) -> None:
    model = networks.plain_cnn()
    with torch.no_grad():
        where = model.fc.bias if what == "score" else model.features[0].bias
        (where if where is not None else model.features[1].bias).fill_(torch.nan)
    out = fastxai.explain(model, images, {method: METHODS[method]}, target=4)
    assert (out[method].status == "nonfinite").all()


@pytest.mark.parametrize("value", [-torch.inf, torch.inf, torch.nan])
@pytest.mark.parametrize("method", ["gradcam", "cam", "saliency"])
def test_a_score_that_is_not_asked_for_need_not_be_finite(
    method: str, value: float, images: torch.Tensor
) -> None:
    model = networks.plain_cnn()
    with torch.no_grad():
        model.fc.bias[2] = value
    out = fastxai.explain(model, images, method, target=[[0], [4]])
    assert (out[method].status != "nonfinite").all()
    torch.testing.assert_close(
        out[method].maps, usual(images, method, target=[[0], [4]]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numpy_images_of_models_in_other_precisions(dtype: Any, images: torch.Tensor) -> None:
    model = networks.plain_cnn().to(dtype)
    out = fastxai.explain(model, images.numpy(), GRADIENTS, layer="features", target=4)
    assert all(out[name].maps.dtype == np.float32 for name in GRADIENTS)
    torch.testing.assert_close(
        torch.tensor(out["saliency"].maps), usual(images, "saliency", target=4), rtol=0.1, atol=0.02
    )


def test_images_of_another_precision_than_the_model_are_told(images: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"perhaps images\.to\(torch\.float32\)"):
        fastxai.Saliency(networks.plain_cnn())(images.double())


@pytest.mark.parametrize("method", LAYERED + GRADIENTS[2:])
def test_new_tensors_on_another_device_by_default(method: str, images: torch.Tensor) -> None:
    model, expected = networks.plain_cnn(), usual(images, method, target=[[4, 2], [0, 3]])
    with torch.device("meta"):
        out = fastxai.explain(model, images, method, target=[[4, 2], [0, 3]])
    assert torch.equal(out[method].maps, expected)


@pytest.mark.parametrize("method", GRADIENTS)
def test_anomaly_mode_and_deterministic_algorithms(method: str, images: torch.Tensor) -> None:
    expected = usual(images, method)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autograd.set_detect_anomaly(True):
            assert torch.equal(usual(images, method), expected)
    finally:
        torch.use_deterministic_algorithms(False)


_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import test_explain_hostile, torch
torch.rand(5)
print(test_explain_hostile.checksums())
"""


def checksums() -> list[int]:
    methods = ["gradcam", "guided_gradcam", "smoothgrad"]
    images = networks.images(networks.plain_cnn)
    out = fastxai.explain(networks.plain_cnn(), images, methods, target="top2")
    return [zlib.crc32(out[name].maps.numpy().tobytes()) for name in methods]


def test_another_process_gives_the_same_bits() -> None:
    script = _SCRIPT.format(tests=str(Path(__file__).parent))
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == str(checksums())


# --- several at once ------------------------------------------------------------------------------


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


# --- explainers and results -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["copied", "pickled"]
)
def test_explainers_can_be_copied(again: Any, images: torch.Tensor) -> None:
    explainer = fastxai.GradCAM(networks.plain_cnn(), layer="features")
    assert torch.equal(again(explainer)(images), usual(images, "gradcam"))


def test_an_explainer_follows_its_model(images: torch.Tensor) -> None:
    model = networks.plain_cnn()
    explainer = fastxai.GradCAM(model)
    explainer(images)
    torch.manual_seed(1)
    model.features[6] = nn.Conv2d(12, 16, 5, padding=2, stride=2)
    model.double()
    assert torch.equal(
        explainer(images.double(), 4),
        fastxai.GradCAM(copy.deepcopy(model), layer="features")(images.double(), 4),
    )


def test_gradients_of_many_targets_are_not_kept(images: torch.Tensor) -> None:
    """Of a thousand classes those by every feature map would fill the memory."""
    from fastxai.explain.session import Session

    most: list[int] = []
    before = Session.forget

    def forget(session: Session, k: int) -> None:
        most.append(len(session._found))
        before(session, k)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", FastxaiWarning)
        patch.setattr(Session, "forget", forget)
        fastxai.explain(networks.plain_cnn(), images, ["gradcam", "saliency"], target="top5")
    assert most == [1] * 5


def test_the_plain_gradient_of_guided_gradcam_ends_at_the_layer(images: torch.Tensor) -> None:
    model, count = networks.plain_cnn(), []
    model.features[0].register_full_backward_hook(lambda *_: count.append(1))
    fastxai.GuidedGradCAM(model, layer="features.5")(images)
    assert len(count) == 1


def test_results_print_on_a_line(images: torch.Tensor) -> None:
    out = fastxai.explain(
        networks.plain_cnn(), images, ["gradcam", "saliency"], target=4, layer=["features.5"]
    )
    assert repr(out) == "Explanations(gradcam, saliency; 2 images, 1 targets each)"
    assert repr(out["saliency"]) == "Explanation('saliency', maps (2, 24, 24); 2 ok)"


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"gradcam": {}, "saliency": {"output": 1}}, "'saliency' hold output"),
        ({"gradcam": None}, "options of 'gradcam' are None"),
        ({"saliency": {"bogus": 1}}, "bogus"),
        (["gradcam", "grad_cam"], "'gradcam' twice"),
        ([], "no method is named"),
        (7, "methods=7"),
    ],
    ids=["shared option", "no options", "unknown option", "twice", "none", "a number"],
)
def test_methods_that_can_not_be_read_are_told(
    methods: Any, message: str, images: torch.Tensor
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fastxai.explain(networks.plain_cnn(), images, methods)


@pytest.mark.parametrize("unit", [-1, 16, 1.5, True, "3"])
def test_units_that_there_are_not(unit: Any, images: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match="unit="):
        fastxai.DeconvNet(networks.plain_cnn()).project(images, "features", unit)


def test_a_projection_of_tokens_finds_units_and_places() -> None:
    model, images = vit_with_relu(), networks.images(networks_attention.vit)
    layer = "encoder.layers.1"
    kept: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, x, y: kept.append(y))
    model(images)
    handle.remove()
    tokens = kept[0][:, 1:]
    found = fastxai.DeconvNet(model).project(images, layer)
    assert torch.equal(found.unit, tokens.amax(1).argmax(1))
    place = found.position[:, 0] * 4 + found.position[:, 1]  # a grid of 3 x 4
    assert torch.equal(place, tokens[[0, 1], :, found.unit].argmax(1))
    torch.testing.assert_close(found.activation, tokens.amax((1, 2)).detach())
    assert found.maps.abs().sum() > 0


def vit_with_relu() -> nn.Module:
    model = networks_attention.vit()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GELU):
                setattr(module, name, nn.ReLU())
    return model


def test_a_projection_needs_a_relu(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 22 * 22, 5))
    for refused in (fastxai.DeconvNet(model), lambda x: fastxai.DeconvNet(model).project(x, "1")):
        with pytest.raises(InvalidInputError, match="no activation that a ReLU rule"):
            refused(images)


def test_a_projection_of_a_reused_layer_takes_the_call_asked_for(images: torch.Tensor) -> None:
    model, kept = networks.plain_cnn(), []
    model.shared = nn.ReLU()
    model.features[2] = model.features[5] = model.shared
    handle = model.shared.register_forward_hook(lambda m, x, y: kept.append(y.detach().clone()))
    model(images)
    handle.remove()
    deconv = fastxai.DeconvNet(model)
    for call, options in ((0, {}), (0, {"call": 0}), (1, {"call": 1})):
        found = deconv.project(images, "shared", **options)
        torch.testing.assert_close(found.activation, kept[call].flatten(1).amax(1))
    with pytest.raises(InvalidInputError, match="call=9"):
        deconv.project(images, "shared", call=9)
    with pytest.raises(InvalidInputError, match="call=-1"):
        deconv.project(images, "shared", call=-1)


def test_a_projection_reads_a_layer_as_told(images: torch.Tensor) -> None:
    deconv = fastxai.DeconvNet(networks.plain_cnn())
    usual, turned = (
        deconv.project(images, "features", reshape=reshape)
        for reshape in (None, lambda maps: maps.flip(1))
    )
    assert torch.equal(turned.unit, 15 - usual.unit)
    assert torch.equal(turned.maps, usual.maps)
    with pytest.raises(InvalidInputError, match="reshape= raised ZeroDivisionError"):
        deconv.project(images, "features", reshape=lambda maps: 1 / 0)


def test_a_projection_tells_its_progress(images: torch.Tensor, capsys: Any) -> None:
    fastxai.DeconvNet(networks.plain_cnn(), verbose=True).project(images, "features")
    assert "project" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reshape", "message"),
    [(3, "reshape=3"), (lambda maps: 1 / 0, "reshape= raised ZeroDivisionError")],
    ids=["no function", "raises"],
)
def test_a_reshape_that_can_not_be_used(reshape: Any, message: str, images: torch.Tensor) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fastxai.GradCAM(networks.plain_cnn(), layer="features", reshape=reshape)(images)


@pytest.mark.parametrize("baseline", ["grey", torch.zeros(2, 2)], ids=["str", "2x2"])
def test_a_baseline_that_is_no_image(baseline: Any, images: torch.Tensor) -> None:
    kind = "integrated_gradients"
    with pytest.raises(InvalidInputError, match="baseline"):
        fastxai.Saliency(networks.plain_cnn(), kind=kind, baseline=baseline)(images)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_activations_that_scripted_modules_hide_are_told(images: torch.Tensor) -> None:
    model = Doing(lambda module, x: module.net(x))
    model.net.features = torch.jit.script(model.net.features)
    with pytest.raises(InvalidInputError, match=r"scripted or traced modules .*net\.features"):
        fastxai.GuidedBackprop(model)(images)


def test_warnings_name_the_users_line(images: torch.Tensor) -> None:
    with pytest.warns(FastxaiWarning) as caught:
        fastxai.GradCAM(networks.plain_cnn(), layer="features")(images, lambda out: (out * 0).sum())
    assert [warning.filename for warning in caught] == [__file__]


# --- memory ---------------------------------------------------------------------------------------


def small(most: int, seen: list[int]) -> Doing:
    """A plain CNN whose memory holds a few images."""

    def does(module: Any, x: torch.Tensor) -> Any:
        seen.append(len(x))
        if len(x) > most:
            raise MemoryError("too many")
        return module.net(x)

    return Doing(does)


MEMORY: Any = {
    "several methods": lambda model, x: fastxai.explain(model, x, "saliency, rise")["rise"].maps,
    "samples": lambda model, x: fastxai.Saliency(model, kind="smoothgrad", n_samples=5)(x, 1),
    "way": lambda model, x: fastxai.Saliency(model, kind="integrated_gradients", n_samples=5)(x, 1),
    "projection": lambda model, x: fastxai.DeconvNet(model).project(x, "net.features").maps,
    "views": lambda model, x: fastxai.Occlusion(model, window=12).views(x, 1, "net.features")[2],
}  # fmt: skip


@pytest.mark.parametrize("does", MEMORY.values(), ids=MEMORY)
def test_batches_are_halved_until_they_fit(does: Any, images: torch.Tensor) -> None:
    seen: list[int] = []
    many = torch.cat([images, images + 0.1, images * 0.5])
    whole, parts = does(small(1000, []), many), does(small(3, seen), many)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert max(seen) > 3
    with pytest.raises(MemoryError, match="too many"):
        does(small(0, []), many)


def test_the_graph_of_a_batch_that_did_not_fit_is_gone_before_the_next() -> None:
    kept: list[Any] = []

    class Large:
        """What the work had made."""

    def work(first: int, last: int) -> int:
        alive = [one() for one in kept if one() is not None]
        assert not alive
        large = Large()
        kept.append(weakref.ref(large))
        if last - first > 2:
            raise MemoryError
        return last - first

    batches = Batches(9, 8)
    assert batches.run(work, Progress(), "work") == [2, 2, 2, 2, 1]
    assert batches.halved and batches.size == 2


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gradient", {"n_samples": 8}),
        ("gradient", {"noise": 0.1}),
        ("gradient", {"baseline": 0.0}),
        ("gradient", {"random_state": 0}),
        ("smoothgrad", {"baseline": 1.0}),
        ("integrated_gradients", {"noise": 0.1}),
        ("integrated_gradients", {"random_state": 3}),
    ],
    ids=str,
)
def test_options_that_a_kind_of_saliency_has_no_use_for(kind: str, options: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))}= is given, .*'{kind}'"):
        fastxai.Saliency(networks.plain_cnn(), kind=kind, **options)


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("Saliency", "absolute"), ("GradCAM", "relu"), ("CAM", "relu"),
        ("Occlusion", "local"), ("Occlusion", "fast"), ("RISE", "fast"),
    ],
    ids=str,
)  # fmt: skip
def test_switches_are_true_or_false(method: str, option: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{option}='no': choose True or False"):
        getattr(fastxai, method)(networks.plain_cnn(), **{option: "no"})


# --- bad input, for every method ------------------------------------------------------------------


def spare() -> nn.Module:
    model = networks.plain_cnn()
    model.spare = nn.Conv2d(3, 3, 1)
    return model


def raising() -> nn.Module:
    return Doing(_raise(KeyError("no such key")))


BAD: Any = {
    "class out of range": (networks.plain_cnn, {"target": 5}, InvalidInputError, "0 to 4"),
    "number of targets": (networks.plain_cnn, {"target": [1, 2, 3]}, InvalidInputError, "3"),
    "bytes": (networks.plain_cnn, {"images": "byte"}, InvalidInputError, r"images\.float\(\)"),
    "NaN": (networks.plain_cnn, {"images": "nan"}, InvalidInputError, "hold NaN"),
    "no image": (networks.plain_cnn, {"images": "none"}, InvalidInputError, "batch of no image"),
    "another device": (
        lambda: networks.plain_cnn().to("meta"), {}, InvalidInputError, "the model is on meta",
    ),
    "forward that raises": (raising, {}, ModelError, "KeyError"),
    "one column": (lambda: networks.plain_cnn(1), {}, InvalidInputError, "task='binary'"),
    "output": (networks.plain_cnn, {"output": "no"}, InvalidInputError, r"\(2, 5\) float32"),
}  # fmt: skip
BAD_LAYER: Any = {
    "layer's name": (networks.plain_cnn, {"layer": "featurs"}, InvalidInputError, "'features'"),
    "layer that never runs": (spare, {"layer": "spare"}, InvalidInputError, "did not run"),
}
BAD_WINDOW: Any = {
    "window too large": ({"window": 25}, "25"),
    "stride of zero": ({"window": 8, "stride": 0}, "stride=0"),
}


@pytest.mark.parametrize(
    ("method", "case"),
    [(method, case) for method in METHODS for case in BAD]
    + [(method, case) for method in LAYERED for case in BAD_LAYER],
)
def test_bad_input_is_told_and_the_model_as_it_was(
    method: str, case: str, images: torch.Tensor
) -> None:
    build, options, error, message = {**BAD, **BAD_LAYER}[case]
    model, options = build().train(), dict(options)
    given = {"byte": images.byte(), "nan": images / 0, "none": images[:0], None: images}
    images = given[options.pop("images", None)]
    before = state_of(model) if case != "another device" else {}
    with pytest.raises(error, match=message):
        fastxai.explain(model, images, {method: METHODS[method]}, **options)
    assert_same_state(before, model)


@pytest.mark.parametrize("case", BAD_WINDOW)
def test_bad_windows_are_told_and_the_model_as_it_was(case: str, images: torch.Tensor) -> None:
    options, message = BAD_WINDOW[case]
    model = networks.plain_cnn().train()
    before = state_of(model)
    with pytest.raises(InvalidInputError, match=message):
        fastxai.Occlusion(model, **options)(images)
    assert_same_state(before, model)
