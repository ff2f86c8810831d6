"""Networks to look into, and what loads them: demo networks, photos, the command's models."""

from .composites import Composites, photo_composites
from .demo import (
    Network,
    cifar10_cnn,
    digit_images,
    digits_cnn,
    efficientnet_lite0,
    imagenet_names,
    photo_files,
)
from .photo_sets import PhotoSet, installed_photos
from .photos import Preprocess, read_photo
from .shortcut import ShortcutImages, shortcut_cnn, shortcut_images

__all__ = [
    "Composites",
    "Network",
    "PhotoSet",
    "Preprocess",
    "ShortcutImages",
    "cifar10_cnn",
    "digit_images",
    "digits_cnn",
    "efficientnet_lite0",
    "imagenet_names",
    "installed_photos",
    "photo_composites",
    "photo_files",
    "read_photo",
    "shortcut_cnn",
    "shortcut_images",
]
