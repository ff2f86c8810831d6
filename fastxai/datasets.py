"""Real data that needs no download: scikit-learn's digits, Fashion-MNIST from a Debian package."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CROP, _ROWS, _COLUMNS = 14, (0, 4, 7, 10, 14), (0, 7, 14)


class Dataset(NamedTuple):
    """Points, one class a point, and the names of the classes."""

    data: NDArray[np.float32]
    target: NDArray[np.int32]
    names: tuple[str, ...]


def digits() -> Dataset:
    """Return scikit-learn's handwritten digits: 1,797 images of 8 x 8 grey values, 10 classes.

    Returns
    -------
    Dataset
        ``data`` of shape (1797, 64), float32, in 0 to 16.

    Examples
    --------
    >>> from fastxai import datasets
    >>> datasets.digits().data.shape
    (1797, 64)
    """
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    return Dataset(data.astype(np.float32), target.astype(np.int32), tuple("0123456789"))


def fashion_mnist(folder: str | Path = FASHION_MNIST) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), training images first, then test.

    Parameters
    ----------
    folder : str or Path
        Where the four IDX files lie; by default where the Debian package
        ``dataset-fashion-mnist`` puts them.

    Returns
    -------
    Dataset
        ``data`` of shape (70000, 784), float32, in 0 to 255.

    Raises
    ------
    InvalidInputError
        If the files are not there.

    Examples
    --------
    >>> from fastxai import datasets
    >>> clothes = datasets.fashion_mnist()  # doctest: +SKIP
    """
    images, target = _images(Path(folder))
    return Dataset(images.reshape(len(images), -1).astype(np.float32), target, _CLOTHES)


def fashion_crops(out: str | Path | None = None, folder: str | Path = FASHION_MNIST) -> Dataset:
    """Return a million labelled vectors: 15 crops of 14 x 14 of each Fashion-MNIST image.

    The crops begin at rows 0, 4, 7, 10, 14 and columns 0, 7, 14, row by row, those of one
    image after one another, and inherit its class.

    Parameters
    ----------
    out : str or Path, optional
        A .npy file to write the crops to; they come back memory-mapped, and memory
        never holds all of them.
    folder : str or Path
        See `fashion_mnist`.

    Returns
    -------
    Dataset
        ``data`` of shape (1050000, 196), float32, in 0 to 255.

    Raises
    ------
    InvalidInputError
        If the files are not there, or ``out`` can not be written.

    Examples
    --------
    >>> from fastxai import datasets
    >>> crops = datasets.fashion_crops("crops.npy")  # doctest: +SKIP
    """
    images, target = _images(Path(folder))
    places = [(r, c) for r in _ROWS for c in _COLUMNS]
    shape = (len(images) * len(places), _CROP * _CROP)
    labels = np.repeat(target, len(places))
    if out is None:
        data = np.empty(shape, np.float32)
        _cut(images, places, data)
        return Dataset(data, labels, _CLOTHES)

    from .io import atomic_write, check_output

    with atomic_write(check_output(out, (".npy",))) as temporary:
        file = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
        _cut(images, places, file)
        file.flush()
        del file
    return Dataset(np.load(out, mmap_mode="r"), labels, _CLOTHES)


def _cut(images: NDArray[np.uint8], places: list[tuple[int, int]], out: NDArray[Any]) -> None:
    block = 5_000
    for start in range(0, len(images), block):
        some = images[start : start + block]
        crops = np.stack([some[:, r : r + _CROP, c : c + _CROP] for r, c in places], axis=1)
        first = start * len(places)
        out[first : first + len(some) * len(places)] = crops.reshape(-1, out.shape[1])


def _images(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    from ._readers import read_idx

    images, labels = [], []
    for part in ("train", "t10k"):
        files = [folder / f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        for file in files:
            if not file.is_file():
                raise InvalidInputError(
                    f"Fashion-MNIST is not there ({file} is missing); on Debian and Ubuntu: "
                    "sudo apt-get install dataset-fashion-mnist"
                )
        images.append(read_idx(files[0]))
        labels.append(read_idx(files[1]))
    return np.concatenate(images), np.concatenate(labels).astype(np.int32)
