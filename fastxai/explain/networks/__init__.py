"""Networks to look into, and what loads them: demo networks, photos, the command's models."""

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

__all__ = [
    "Network",
    "PhotoSet",
    "Preprocess",
    "cifar10_cnn",
    "digit_images",
    "digits_cnn",
    "efficientnet_lite0",
    "imagenet_names",
    "installed_photos",
    "photo_files",
    "read_photo",
]
