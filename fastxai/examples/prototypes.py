"""`prototypes`: the few points that stand for all, and those that the few leave out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_number, check_whole
from ..devices import choose_device, to_host
from ..progress import open_progress
from ..system import compile_kernels, require_memory
from .prototypes_choice import ROWS, Found, choose
from .prototypes_input import Data, gamma_of, groups_of, read_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Group = tuple[str, NDArray[np.int64] | None]  # what to say of a class, its rows or None for all


@dataclass(frozen=True)
class Prototypes:
    """What `prototypes` chose.

    Attributes
    ----------
    indices : ndarray of shape (n_prototypes,), int64
        Rows of X, in the order in which they were chosen; with labels class after class.
    criticisms : ndarray of shape (n_criticisms,), int64
        Rows of X, likewise.
    mmd2 : ndarray of shape (n_prototypes,), float64
        MMD^2 between the data (of the class) and the prototypes up to this one.
    gamma : float
        Of the kernel exp(-gamma |x - y|^2).
    witness : ndarray of shape (n,), float64
        Mean kernel value with the data (of the class) less that with the prototypes: above 0
        where the prototypes stand for too little of the data, below where for too much; NaN
        for rows without a label, where there are labels.
    labels, criticism_labels : ndarray or None
        The class of each prototype and criticism; None without labels.
    pictures : sequence of n images or None
        What `plot` shows by default: the images of the bank that they were chosen from.
    """

    indices: NDArray[np.int64]
    criticisms: NDArray[np.int64]
    mmd2: NDArray[np.float64]
    gamma: float
    witness: NDArray[np.float64] = field(repr=False)
    labels: NDArray[Any] | None = None
    criticism_labels: NDArray[Any] | None = None
    pictures: Any = field(default=None, repr=False, compare=False)

    def plot(
        self,
        images: Any = None,
        *,
        names: Any = None,
        columns: int = 10,
        size: float = 0.8,
        title: str | None = None,
        mean: Any = None,
        std: Any = None,
        path: Any = None,
    ) -> Figure:
        """Show the prototypes and the criticisms: two blocks, or with labels a row a class.

        Parameters
        ----------
        images : array or tensor of shape (n, ...), or sequence of n images, optional
            The picture of each row of X; only those chosen are read.  Left out only where the
            rows come from a `FeatureBank`, which has its own.
        names : sequence or mapping of label to str, optional
            Names of the classes.
        columns : int, default 10
            Images a row, where there are no labels.
        size : float, default 0.8
            Inches of the width of an image.
        title : str, optional
        mean, std
            As for `fastxai.plot.overlay`.
        path : str or Path, optional
            Where to save the picture: .png, .pdf or .svg.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InvalidInputError
            If there are no or not n images, or more prototypes than one can look at.
        """
        from .prototypes_picture import draw

        return draw(
            self, self.pictures if images is None else images, names=names, columns=columns,
            size=size, title=title, mean=mean, std=std, path=path,
        )  # fmt: skip


def prototypes(
    X: Any,
    n_prototypes: int = 10,
    n_criticisms: int = 10,
    *,
    gamma: float | None = None,
    labels: Any = None,
    device: Any = "auto",
    verbose: bool = False,
) -> Prototypes:
    """Choose the points that stand for the data best, and those they stand for least.

    A prototype is, greedily, the point that leaves the least squared maximum mean discrepancy
    between the data and the prototypes; a criticism is where their witness function is
    largest, up or down, and unlike the other criticisms.  All pairs of points are compared
    once, and no n x n matrix is kept.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The points: features of a network (`fastxai.FeatureBank`), pixels, columns of a table
        (scaled to one unit beforehand).
    n_prototypes : int, default 10
        Reduced, with a warning, where there are fewer points.
    n_criticisms : int, default 10
        Reduced, with a warning, where no points are left, or only copies of those chosen.
    gamma : float, optional
        Of the kernel exp(-gamma |x - y|^2).  By default 1 / median of |x - y|^2 over pairs of
        512 rows: half of the pairs have a kernel value above 1/e.
    labels : array-like of shape (n,), optional
        Then prototypes and criticisms are chosen within each class, of each so many; rows
        labelled None or NaN are left out.
    device : {"auto", "cpu", "cuda", "cuda:1"}, default "auto"
        Where kernels run: "auto" is where a torch tensor lies, and for arrays of the host a
        CUDA device where there is one.
    verbose : bool, default False
        Show progress on stderr.

    Returns
    -------
    Prototypes

    Raises
    ------
    InvalidInputError
        If X is no dense matrix of finite numbers, labels are not one a row, or a number has
        no meaning.
    NotEnoughMemoryError
        If the work would not fit into memory.

    References
    ----------
    Kim, Khanna and Koyejo, "Examples are not enough, learn to criticize! Criticism for
    interpretability", NIPS 2016.

    Examples
    --------
    >>> import fastxai
    >>> X = fastxai.datasets.digits().data
    >>> found = fastxai.prototypes(X, n_prototypes=5, n_criticisms=3)
    >>> len(found.indices), len(found.criticisms)
    (5, 3)
    >>> bool((found.mmd2[1:] < found.mmd2[:-1]).all())
    True
    """
    check_whole("n_prototypes", n_prototypes, 1)
    check_whole("n_criticisms", n_criticisms, 0)
    if gamma is not None:
        check_number("gamma", gamma, 0.0, above=True)
    where = choose_device(device, X)
    data = read_data(X, where)
    groups = groups_of(labels, data.n)
    _check_memory(data, groups, n_criticisms)
    with open_progress(verbose) as progress:
        if not where.is_gpu:
            compile_kernels(progress)
        width = gamma_of(data, gamma)
        scaled = data.scaled_gamma(width)
        sizes = [data.n if rows is None else len(rows) for _, rows in groups]
        total = sum(size**2 / 2 for size in sizes)
        with progress.stage("prototypes", total) as advance, _blas(where.is_gpu):
            found = [
                choose(where.kernels, data, rows, name, scaled, n_prototypes, n_criticisms, advance)
                for name, rows in groups
            ]
    return _together(found, groups, data.n, width, labels)


def _blas(on_gpu: bool) -> AbstractContextManager[None]:
    """Set once, not at each call of a kernel."""
    if on_gpu:
        return nullcontext()
    from fastxai_kernels.cpu._blas import single_threaded_blas

    return single_threaded_blas()


def _check_memory(data: Data, groups: Sequence[_Group], n_criticisms: int) -> None:
    n, d = data.n, data.d
    copied = max(0 if rows is None else len(rows) for _, rows in groups)
    if not data.on_gpu:
        tiles = 8.0 * 4 * ROWS * (d + ROWS)
        require_memory(
            n * (80.0 + 8.0 * min(n_criticisms, n)) + 4.0 * copied * d + tiles,
            f"the choice of prototypes among {n:,} x {d}",
            "take fewer points or criticisms",
        )


def _together(
    found: Sequence[Found],
    groups: Sequence[_Group],
    n: int,
    gamma: float,
    labels: Any,
) -> Prototypes:
    """One result of all classes, in rows of X."""
    witness = np.full(n, np.nan)
    indices, criticisms = [], []
    for one, (_, rows) in zip(found, groups, strict=True):
        members = np.arange(n) if rows is None else rows
        witness[members] = one.witness
        indices.append(members[one.prototypes])
        criticisms.append(members[np.array(one.criticisms, np.int64)])
    chosen, criticised = np.concatenate(indices), np.concatenate(criticisms)
    given = None if labels is None else np.asarray(to_host(labels))
    return Prototypes(
        indices=chosen,
        criticisms=criticised,
        mmd2=np.concatenate([one.mmd2 for one in found]),
        gamma=gamma,
        witness=witness,
        labels=None if given is None else given[chosen],
        criticism_labels=None if given is None else given[criticised],
    )
