"""Two photos in one picture: which half holds which class is known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from ...errors import InvalidInputError
from .demo import Network, efficientnet_lite0
from .photo_sets import PhotoSet, installed_photos
from .photos import Preprocess, read_photo

LAYOUTS = ("beside", "above")


class Composites(NamedTuple):
    """Pictures of two photos of different classes, side by side or one above the other.

    Attributes
    ----------
    images : Tensor of shape (N, C, H, W)
        Prepared for the network.
    shown : ndarray of shape (N, H, W, 3), uint8
    classes : ndarray of shape (N, 2), int64
        Of the left or upper half, and of the right or lower one.
    masks : ndarray of shape (N, 2, H, W), bool
        The half of each class.
    layouts : list of N str
        "beside" or "above".
    paths : list of N (str, str)
        The photos.
    """

    images: Any
    shown: Any
    classes: Any
    masks: Any
    layouts: list[str]
    paths: list[tuple[str, str]]


def photo_composites(
    count: int = 40,
    *,
    photos: PhotoSet | None = None,
    network: Network | None = None,
    seed: int = 0,
) -> Composites:
    """Put photos with known classes together by two.

    Of each photo its middle is taken, in the proportions of a half.  Every photo is used about
    as often as any other, and as often first as second; layouts alternate.

    Parameters
    ----------
    count : int, default 40
    photos : PhotoSet, optional
        Those with a label are used; by default those of `installed_photos` that the network
        names right.
    network : Network, optional
        For which they are prepared; by default `efficientnet_lite0`.
    seed : int, default 0
        Of the pairs.

    Returns
    -------
    Composites

    Raises
    ------
    InvalidInputError
        If there are not so many pairs of photos of different classes.
    MissingDependencyError
        If packages with photos or weights are needed and not there.

    Examples
    --------
    >>> from fastxai.explain.networks import photo_composites
    >>> made = photo_composites(8)  # doctest: +SKIP
    >>> made.images.shape, made.classes.shape, made.masks.shape  # doctest: +SKIP
    (torch.Size([8, 3, 224, 224]), (8, 2), (8, 2, 224, 224))
    """
    network = network or efficientnet_lite0()
    known = _labelled(photos) if photos is not None else _named_right(network)
    pairs = _pairs(known, count, seed)
    whole = network.preprocess
    images, shown, masks, layouts = [], [], [], []
    for number, pair in enumerate(pairs):
        layout = LAYOUTS[number % len(LAYOUTS)]
        picture = _joined([known[k][0] for k in pair], layout, whole)
        image, seen = Preprocess(
            whole.size, 1.0, whole.mean, whole.std, whole.interpolation
        ).prepare(picture)
        images.append(image)
        shown.append(seen)
        masks.append(_halves(whole.size, layout))
        layouts.append(layout)
    return Composites(
        torch.from_numpy(np.stack(images)),
        np.stack(shown),
        np.array([[known[k][1] for k in pair] for pair in pairs], np.int64),
        np.stack(masks),
        layouts,
        [(known[a][0], known[b][0]) for a, b in pairs],
    )


def _labelled(photos: PhotoSet) -> list[tuple[str, int]]:
    pairs = zip(photos.paths, photos.labels, strict=True)
    return [(path, label) for path, label in pairs if label is not None]


def _named_right(network: Network) -> list[tuple[str, int]]:
    """Installed photos whose class the network names."""
    known = _labelled(installed_photos())
    if not known:
        return []
    images, _ = network.preprocess([read_photo(path) for path, _ in known])
    with torch.inference_mode():
        predicted = network.model(images).argmax(1).tolist()
    return [photo for photo, named in zip(known, predicted, strict=True) if named == photo[1]]


def _pairs(known: list[tuple[str, int]], count: int, seed: int) -> list[tuple[int, int]]:
    """Numbers of two photos of different classes; all photos are first once, then again."""
    order = np.random.default_rng([seed, 5]).permutation(len(known)).tolist()
    found = []
    for step in range(1, len(order)):
        for first, second in zip(order, order[step:] + order[:step], strict=True):
            if known[first][1] != known[second][1]:
                found.append((first, second))
    if not 1 <= count <= len(found):
        raise InvalidInputError(
            f"count={count}: {len(known)} photos with a class make {len(found)} pairs of "
            "different classes; foolbox and scikit-image bring some: "
            "pip install --no-deps foolbox scikit-image"
        )
    return found[:count]


def _half(size: tuple[int, int], layout: str) -> tuple[int, int]:
    """Height and width of the first half."""
    high, wide = size
    return (high, wide // 2) if layout == "beside" else (high // 2, wide)


def _joined(paths: list[str], layout: str, whole: Preprocess) -> Image.Image:
    """Both photos in one picture of the input's size."""
    high, wide = whole.size
    first = _half(whole.size, layout)
    rest = (high, wide - first[1]) if layout == "beside" else (high - first[0], wide)
    picture = Image.new("RGB", (wide, high))
    corner = (first[1], 0) if layout == "beside" else (0, first[0])
    for path, size, place in zip(paths, (first, rest), ((0, 0), corner), strict=True):
        part = Preprocess(size, whole.crop, interpolation=whole.interpolation)
        picture.paste(Image.fromarray(part.prepare(read_photo(path))[1]), place)
    return picture


def _halves(size: tuple[int, int], layout: str) -> Any:
    masks = np.zeros((2, *size), bool)
    high, wide = _half(size, layout)
    masks[0, :high, :wide] = True
    masks[1] = ~masks[0]
    return masks
