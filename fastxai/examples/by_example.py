"""`explain_by_example`: the images of a set that a network takes for the most alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check_flag, check_whole
from .._warn import warn
from ..errors import InvalidInputError
from .bank import FeatureBank
from .nearest import Near, check_metric, distances_to, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class ByExample:
    """The images of a bank nearest to one, in the network's own space.

    Attributes
    ----------
    bank : FeatureBank
    title : str
        What the image is called.
    shown : ndarray of shape (H, W, 3), uint8, or None
        The image as the network saw it.
    features : ndarray of shape (d,), float32
    prediction : str or None
        The network's class for the image; None of regressions.
    score : float
        Its probability.
    truth : str or None
        The image's own label, where it is one of the bank.
    label : str or None
        The class whose images are told from the others: the predicted one, or that of
        ``label=``; None where nothing can be told apart.
    nearest : Near
        The k nearest of all images, whatever their label: ``rows``, ``distances``, ``labels``.
    same, other : Near
        The k nearest with this label, and with other labels; empty without labels.
    agreement : float or None
        The share with this label among those of ``nearest`` that have a label.
    usual : float or None
        The share with this label among all images of the bank that have one: what agreement
        would be by chance.
    median : float
        The median distance of the image to those of the bank, to measure others by.
    copies : ndarray of int64
        Rows with the very same features: the image itself, where it is in the bank.
    metric : str
    """

    bank: FeatureBank
    title: str
    shown: NDArray[np.uint8] | None
    features: NDArray[np.float32]
    prediction: str | None
    score: float
    truth: str | None
    label: str | None
    nearest: Near
    same: Near
    other: Near
    agreement: float | None
    usual: float | None
    median: float
    copies: NDArray[np.int64]
    metric: str

    def __repr__(self) -> str:
        """What was found, in a line."""
        return f"ByExample({self.title}: {'; '.join(self.lines())})"

    def lines(self) -> list[str]:
        """What was found, a sentence each."""
        found = []
        if self.prediction is not None:
            found.append(f"predicted {self.prediction} ({self.score:.2f})")
        if self.truth is not None:
            found.append(f"labelled {self.truth}")
        if words := self.votes():
            found.append(words)
        if self.label is None:
            found.append(f"the nearest is at {self.nearest.distances[0]:.3g}")
        else:
            if len(self.same):
                found.append(
                    f"the nearest labelled {self.label} is at {self.same.distances[0]:.3g}"
                )
            found.append(_other(self.other))
        found.append(f"{self.metric} distance, median of all {self.median:.3g}")
        if len(self.copies):
            rows = self.copies[:3].tolist()
            names = ", ".join(self.bank.title(row) for row in rows)
            more = ", ..." if len(self.copies) > len(rows) else ""
            found.append(f"with the very same features in the bank: {names}{more}")
        return found

    def votes(self) -> str:
        """How many of the nearest have the label, and of all; "" where no labels tell."""
        if self.label is None:
            return ""
        if not self.usual:
            other = "other image" if self.truth == self.label else "image"
            return f"no {other} of the bank is labelled {self.label}"
        if self.agreement is None:
            return "none of the nearest has a label"
        known = sum(label is not None for label in self.nearest.labels)
        among = f"the {known} nearest"
        if known < len(self.nearest):
            among = f"the {known} with a label among the {len(self.nearest)} nearest"
        count = round(self.agreement * known)
        return f"{count} of {among} are labelled {self.label} ({self.usual:.0%} of all are)"

    def plot(self, path: str | Path | None = None, *, title: str | None = None) -> Figure:
        """Draw the image, and beside it the nearest images with this label and with others.

        Below each stand its distance and its label, and what the network takes it for where
        that is another class.

        Parameters
        ----------
        path : str or Path, optional
            Where to save it: .png, .pdf or .svg.
        title : str, optional

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .example_picture import draw

        return draw(self, path, title)


def _other(other: Near) -> str:
    """Where the nearest with another label is."""
    if not len(other):
        return "no image of the bank has another label"
    return f"the nearest with another label ({other.labels[0]}) is at {other.distances[0]:.3g}"


def explain_by_example(
    bank: FeatureBank | str | Path,
    image: Any,
    k: int = 5,
    *,
    model: Any = None,
    metric: str = "euclidean",
    label: int | str | None = None,
    copies: bool = False,
    preprocess: Any = None,
) -> ByExample:
    """Explain what a network makes of an image by the images of a set that it takes for alike.

    The image's features are compared with those of the whole set, at the layer of the bank.
    Listed are the nearest images of all, those with the label that the network predicts, and
    those with other labels: "it says 7, because to it the image looks like these; the nearest
    that is no 7 is twice as far".

    Parameters
    ----------
    bank : FeatureBank, str or Path
        Of the training images, or its folder.
    image : int, str, Path, PIL image, ndarray or Tensor
        A row of the bank; a photo; or the network's input, floats (C, *spatial).
    k : int, default 5
        How many images each list holds; less, with a warning, where there are not so many.
    model : Module, Network or str, optional
        The network of the bank: not needed for a row of the bank, for a bank that was built in
        this process, and for one of a network of a library, which is known by its name.
    metric : {"euclidean", "cosine"}, default "euclidean"
    label : int or str, optional
        Tell images with this label from others, instead of the predicted one: "why is it not a
        dog?"
    copies : bool, default False
        Whether images with the very same features (up to the rounding of float32) are listed:
        the image itself, where it is in the bank.  They are named in ``.copies`` anyhow.
    preprocess : callable, optional
        How a photo becomes the input, where the bank's way was a function of one's own.

    Returns
    -------
    ByExample
        ``.plot("examples.png")``, ``.nearest``, ``.same``, ``.other``, ``.agreement``.

    Raises
    ------
    InvalidInputError
        If the bank is of another network (or its weights have changed since), all its features
        are the same, the image can not be read or has another shape, or a label is unknown.

    References
    ----------
    Caruana, Kangarloo, Dionisio, Sinha and Johnson, "Case-based explanation of
    non-case-based learning methods", 1999.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 2))
    >>> images = np.random.default_rng(0).random((40, 3, 16, 16), np.float32)
    >>> bank = fastxai.FeatureBank.build(net, images, out="nearby", labels=[0, 1] * 20)
    >>> found = fastxai.explain_by_example(bank, images[7], k=3)
    >>> len(found.same), len(found.other), found.copies
    (3, 3, array([7]))
    """
    from .query import read_query

    check_whole("k", k, 1)
    check_metric(metric)
    check_flag("copies", copies)
    if not isinstance(bank, FeatureBank):
        bank = FeatureBank.open(bank)
    bank._check_varied()
    query = read_query(bank, image, model, preprocess)
    values, equal = distances_to(bank.features, query.features, metric)
    if query.row is not None:
        equal[query.row] = True
    allowed = np.ones(len(bank), np.bool_) if copies else ~equal
    if query.row is not None:
        allowed[query.row] = False
    if not allowed.any():
        raise InvalidInputError(
            f"{query.title}: {bank.path} holds no other image"
            + ("" if copies else "; copies=True lists those with the very same features")
        )
    if k > (most := int(allowed.sum())):
        warn(f"k = {k}, and there are {most} images to list: {most} are taken")
        k = most
    chosen = _label(bank, label, query.prediction)
    labels = bank.labels
    known = np.array([one is not None for one in labels]) & allowed
    like = np.array([one is not None and one == chosen for one in labels]) & allowed
    told = chosen is not None and bool(known.any())
    near = nearest(values, allowed, k, labels)
    nobody = np.zeros(len(bank), np.bool_)
    votes = [one == chosen for one in near.labels if one is not None]
    return ByExample(
        bank=bank,
        title=query.title,
        shown=query.shown,
        features=query.features,
        prediction=query.prediction,
        score=query.score,
        truth=None if query.row is None else labels[query.row],
        label=chosen if told else None,
        nearest=near,
        same=nearest(values, like if told else nobody, k, labels),
        other=nearest(values, (known & ~like) if told else nobody, k, labels),
        agreement=sum(votes) / len(votes) if told and votes else None,
        usual=float(like.sum() / known.sum()) if told else None,
        median=float(np.median(values[allowed])),
        copies=np.flatnonzero(equal & (np.arange(len(bank)) != query.row)).astype(np.int64),
        metric=metric,
    )


def _label(bank: FeatureBank, label: Any, prediction: str | None) -> str | None:
    """The name of the class whose images are told from others."""
    if label is None:
        return prediction if _comparable(bank) else None
    there = sorted({one for one in bank.labels if one is not None})
    if not there:
        raise InvalidInputError(f"label={label!r}: the images of {bank.path} have no labels")
    from ..image_sets.labels import class_of

    if (k := class_of(label, bank.names)) >= 0 and bank.class_name(k) in there:
        return bank.class_name(k)
    if str(label) in there:
        return str(label)
    listed = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
    raise InvalidInputError(
        f"label={label!r}: no image of {bank.path} has this label; there are {listed}"
    )


def _comparable(bank: FeatureBank) -> bool:
    """Whether labels and predicted classes are named alike."""
    return bool(bank.table["label_class"].notna().any())
