"""Pictures of principal components: how much each one holds, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from . import canvas
from .maps import scatter
from .names import write_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BARS, _LINE = "#56B4E9", "#D55E00"
_REACH = 0.75  # how far the longest arrow goes towards the border
_ROOM = 0.08  # of the width and height, added on each side for the names of features


def scree(pca: Any, *, ax: Axes | None = None) -> Figure:
    """Draw how much of the variance each principal component explains, and all up to it.

    Parameters
    ----------
    pca : fitted PCA
        Of fastxai or of scikit-learn; ``explained_variance_ratio_`` is read.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, made without pyplot.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the model is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fastxai import plot
    >>> figure = plot.scree(PCA().fit(load_iris().data))
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    ratios = np.asarray(_fitted(pca, "explained_variance_ratio_"), np.float64)
    number, total = np.arange(1, len(ratios) + 1), np.cumsum(ratios)
    if ax is None:
        ax = canvas.MapFigure(figsize=(5.5, 3.6), layout="constrained").add_subplot()
    ax.bar(number, ratios, width=0.8, color=_BARS, label="each component")
    marker = "o" if len(ratios) <= 40 else ""
    ax.plot(number, total, color=_LINE, marker=marker, ms=4, lw=1.4, label="cumulative")
    ax.annotate(
        f"{total[-1]:.0%}" if total[-1] < 0.995 or total[-1] > 1 - 1e-6 else f"{total[-1]:.1%}",
        (number[-1], total[-1]),
        (0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=canvas.INK,
    )
    ax.set(xlim=(0.3, len(ratios) + 0.7), ylim=(0, min(1.0, total[-1]) * 1.12))
    ax.set_xlabel("principal component", color=canvas.INK)
    ax.set_ylabel("share of the variance", color=canvas.INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        frameon=False,
        fontsize=9,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.0,
        labelcolor=canvas.INK,
    )
    return canvas.root_figure(ax)


def biplot(
    pca: Any,
    X: ArrayLike,
    *,
    feature_names: Sequence[str] | None = None,
    labels: Any = None,
    top: int = 8,
    ax: Axes | None = None,
    **options: Any,
) -> Figure:
    """Draw the first two principal components, with the features they are made of as arrows.

    An arrow is a feature's loading on the two components, ``components_[:2].T *
    sqrt(explained_variance_[:2])``; all arrows are scaled alike to fit the points (Gabriel
    1971, "The biplot graphic display of matrices").  Features whose arrows point the same
    way vary together in this plane; a short arrow means that it hardly shows the feature.

    Parameters
    ----------
    pca : fitted PCA
        Of fastxai or of scikit-learn, with two components or more.
    X : array-like of shape (n, n_features) or (n, n_components)
        The data, or their scores (what ``transform`` returned), told apart by the number of
        columns; where both numbers are the same, the data.
    feature_names : sequence of str, optional
        One for each feature; by default ``pca.feature_names_in_`` or "feature 0" and so on.
    labels : array-like of shape (n,), optional
        Classes, as for `scatter`.
    top : int, default 8
        How many features get an arrow: those with the longest.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure, made without pyplot.
    **options
        Further options of `scatter`, such as ``values``, ``names`` or ``title``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the model is not fitted or has one component, or shapes do not match.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fastxai import plot
    >>> iris = load_iris()
    >>> pca = PCA(2).fit(iris.data)
    >>> figure = plot.biplot(pca, iris.data, feature_names=iris.feature_names)
    """
    components = np.asarray(_fitted(pca, "components_"), np.float64)
    variance = np.asarray(_fitted(pca, "explained_variance_"), np.float64)
    if len(components) < 2:
        raise InvalidInputError("a biplot shows two components and the model has one")
    if top < 0:
        raise InvalidInputError(f"top={top}: a number of features is expected")
    features = _feature_names(pca, feature_names, components.shape[1])
    scores = _scores(pca, X, components.shape)
    figure = scatter(scores, labels=labels, ax=ax, **options)
    axes = figure.axes[0] if ax is None else ax
    _label_axes(axes, np.asarray(_fitted(pca, "explained_variance_ratio_"), np.float64))
    loadings = components[:2].T * np.sqrt(variance[:2])
    _draw_arrows(axes, loadings, features, top)
    return figure


def _label_axes(axes: Axes, ratios: NDArray[np.float64]) -> None:
    """Name the components, mark where they are zero, and leave room for names of features."""
    for number, (name, ratio) in enumerate(zip("xy", ratios, strict=False), start=1):
        getattr(axes, f"set_{name}label")(
            f"component {number} ({ratio:.1%} of the variance)", fontsize=9, color=canvas.INK
        )
        low, high = getattr(axes, f"get_{name}lim")()
        # Arrows begin at zero, which the points need not surround.
        low, high = min(low, 0.0), max(high, 0.0)
        room = _ROOM * (high - low)
        getattr(axes, f"set_{name}lim")(low - room, high + room)
    axes.axhline(0, color="#DDDDDD", linewidth=0.7, zorder=0)
    axes.axvline(0, color="#DDDDDD", linewidth=0.7, zorder=0)


def _draw_arrows(axes: Axes, loadings: NDArray[np.float64], features: list[str], top: int) -> None:
    """Arrows of the longest loadings, scaled alike, the longest of them near to the border."""
    from matplotlib.patheffects import withStroke

    lengths = np.hypot(*loadings.T)
    chosen = np.argsort(-lengths, kind="stable")[:top]
    chosen = chosen[lengths[chosen] > 0]
    if not len(chosen):
        return
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    arrows = loadings[chosen]
    room = np.where(arrows > 0, [right, high], [left, low])
    with np.errstate(divide="ignore", invalid="ignore"):
        tips = arrows * (_REACH * np.where(arrows != 0, room / arrows, np.inf).min())
    shape: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 1.1}
    shape |= {"color": canvas.INK, "shrinkA": 0, "shrinkB": 0}
    shape["path_effects"] = [withStroke(linewidth=2.5, foreground="white")]
    for tip in tips:
        axes.annotate("", tip, (0.0, 0.0), zorder=3, arrowprops=shape)
    outward = tips / np.hypot(*tips.T)[:, None]
    write_names(axes, tips, [features[k] for k in chosen], outward=outward)


def _fitted(pca: Any, name: str) -> Any:
    if not hasattr(pca, name):
        raise InvalidInputError(
            f"{type(pca).__name__} has no {name}: give a fitted PCA of fastxai or scikit-learn"
        )
    return getattr(pca, name)


def _feature_names(pca: Any, given: Sequence[str] | None, n_features: int) -> list[str]:
    if given is None:
        given = getattr(pca, "feature_names_in_", None)
    if given is None:
        return [f"feature {k}" for k in range(n_features)]
    if len(given) != n_features:
        raise InvalidInputError(f"{len(given)} feature_names for {n_features} features")
    return [str(name) for name in given]


def _scores(pca: Any, X: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """The first two components of each point."""
    n_components, n_features = shape
    given: Any = X if hasattr(X, "shape") else np.asarray(X)
    if len(given.shape) != 2 or given.shape[1] not in (n_features, n_components):
        raise InvalidInputError(
            f"X of shape {tuple(given.shape)} is neither the data, {n_features} columns, nor "
            f"their scores, {n_components}"
        )
    if given.shape[1] == n_features:
        given = pca.transform(given)
    return np.asarray(given)[:, :2]
