"""`FeatureBank`: what a network makes of every image of a set, on the disk and ready to use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn
from ..errors import InvalidInputError
from ..image_sets import need
from ..progress import open_progress

if TYPE_CHECKING:
    from ..embed.graph import NeighborGraph
    from .feature_map import FeatureMap


class FeatureBank:
    """The features of a whole image set at one layer of a network, memory-mapped.

    Made by `FeatureBank.build`, opened again by `FeatureBank.open`.  Row i of everything is the
    same image; images that failed are in `failed` and nowhere else.  Anything that takes an
    array takes a bank: ``fastxai.UMAP().fit_transform(bank)``.

    Attributes
    ----------
    path : Path
        The folder.
    features : ndarray of shape (n, d), float32
        Mapped from the file, read-only.
    thumbnails : ndarray of shape (n, h, w, 3), uint8, or None
        Small pictures, mapped.
    table : DataFrame
        A row an image: ``image`` (its number in the set), ``path``, ``label``, ``label_class``,
        ``group``, ``predicted``, ``score``, ``correct``, and where on its photo it lies.
    failed : DataFrame
        ``image``, ``path`` and ``reason`` of images that could not be read, or whose features
        are not finite.
    names : tuple of str or None
        Of the classes.
    layer : str
        Where the features were read.
    model
        The network, where the bank was built in this process.
    """

    def __init__(self, path: str | Path, model: Any = None) -> None:
        need("torch", "pyarrow", "pandas", "filelock")
        from .contents import read_rows, read_table
        from .folder import FEATURES, THUMBNAILS, read_manifest

        self.path, self.model = Path(path), model
        self.manifest = read_manifest(self.path)
        self.names = self.manifest.names
        self.layer = str(self.manifest.layout.arrays["features"]["attributes"]["layer"])
        self._all = read_table(self.path, self.manifest)
        good = self._all["status"] == "ok"
        self.table = self._all[good].reset_index(names="image").drop(columns=["status", "reason"])
        self.failed = self._all.loc[~good, ["path", "reason"]].reset_index(names="image")
        if not len(self.table):
            raise InvalidInputError(f"{self.path} holds no features: {'; '.join(self.problems())}")
        arrays, n = self.manifest.layout.arrays, len(self.table)
        self.features = read_rows(self.path / FEATURES, arrays["features"], n)
        self.thumbnails: NDArray[np.uint8] | None = None
        if "thumbnails" in arrays:
            self.thumbnails = read_rows(self.path / THUMBNAILS, arrays["thumbnails"], n)

    @classmethod
    def build(
        cls,
        model: Any,
        source: Any,
        layer: Any = None,
        out: str | Path | None = None,
        *,
        labels: Any = None,
        groups: Any = None,
        names: Sequence[str] | None = None,
        preprocess: Any = None,
        pool: str = "mean",
        output: Any = None,
        task: str = "softmax",
        batch_size: int = 32,
        thumbnail: int = 96,
        workers: int | None = None,
        weights: str | Path | None = None,
        verbose: bool = False,
    ) -> FeatureBank:
        """Run every image of a set through a network and keep its features, in bounded memory.

        A run that was killed continues where it was when it is started again with the same
        arguments, and the files are the same, byte for byte, as those of a run that nobody
        interrupted.

        Parameters
        ----------
        model : Module, Network or str
            A network, which is left as it came; or a name as of ``fastxai explain --model``:
            "efficientnet-lite0", "torchvision:NAME", "timm:NAME", or
            "package.module:callable", **whose code is run**.
        source
            The images, as of `fastxai.explain_dataset`: a folder, paths, a .csv or .parquet
            file, an array, a Dataset or a DataLoader.
        layer : str or Module, optional
            Whose output the features are; a name such as ``"relu[1]"`` is the second relu that
            runs.  By default the input of the last linear layer (of the last convolution, where
            that comes later): what the network tells the classes apart by.
        out : str or Path
            The folder to write.
        labels, groups, names, preprocess
            As of `fastxai.explain_dataset`.
        pool : {"mean", "flatten"}, default "mean"
            What becomes of the positions of a feature map (and of a transformer's tokens): the
            mean of each channel, or all numbers one after the other, which tells places apart.
        output, task
            As of `fastxai.explain`.
        batch_size : int, default 32
            Images that run together.
        thumbnail : int, default 96
            Pixels of the longer side of a small picture of each image; 0 for none.
        workers : int, optional
            Threads that read images; by default one a core, 8 at most.
        weights : str or Path, optional
            File of weights, where the model is a name.
        verbose : bool, default False
            Show progress.

        Returns
        -------
        FeatureBank

        Raises
        ------
        InvalidInputError
            If something that was given can not be worked with, no image can be read, or ``out``
            holds a bank with other settings (another network, too); the message shows the
            differences.  Single images that can not be read are no error: see ``bank.failed``.
        StorageError
            If the disk is full or read-only, or another process writes to ``out``.
        ModelError
            If the model raises.

        Examples
        --------
        >>> import numpy as np, torch, fastxai
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
        ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
        ... )
        >>> images = np.random.default_rng(0).random((10, 3, 16, 16), np.float32)
        >>> bank = fastxai.FeatureBank.build(net, images, out="bank")
        >>> bank.features.shape, bank.layer
        ((10, 8), 'input of 4')
        """
        need("torch", "pyarrow", "pandas", "filelock", "zarr")
        from .build import build, check_options, read_plan

        check_options(out, pool, task, batch_size, thumbnail, workers)
        with open_progress(verbose) as progress:
            plan = read_plan(
                model, source, layer, out, progress, labels=labels, groups=groups, names=names,
                preprocess=preprocess, pool=pool, output=output, task=task,
                batch_size=batch_size, thumbnail=thumbnail, weights=weights,
            )  # fmt: skip
            build(plan, workers, progress)
        bank = cls(plan.out, plan.network)
        if lines := bank.problems():
            warn("; ".join(lines))
        return bank

    @classmethod
    def open(cls, out: str | Path) -> FeatureBank:
        """Open what `build` wrote.

        Raises
        ------
        InvalidInputError
            If there is no bank, it is not finished, damaged, or of a newer version.

        Examples
        --------
        >>> import numpy as np, torch, fastxai
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
        >>> images = np.random.default_rng(0).random((10, 3, 16, 16), np.float32)
        >>> _ = fastxai.FeatureBank.build(net, images, out="pixels")
        >>> fastxai.FeatureBank.open("pixels")
        FeatureBank('pixels': 10 images, 768 features, input of 1)
        """
        return cls(out)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        """The folder, how many features of how many images, and where they were read."""
        lost = f", {len(self.failed):,} failed" if len(self.failed) else ""
        return (
            f"FeatureBank({str(self.path)!r}: {len(self):,} images, {self.features.shape[1]:,} "
            f"features, {self.layer}{lost})"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The features, so that estimators take a bank as it is."""
        return np.array(self.features, dtype, copy=copy)

    # --- what is known of the images -------------------------------------------------------

    @cached_property
    def labels(self) -> list[str | None]:
        """The true class of each image by its name (its number, where it has none); or None."""
        classes = self.table["label_class"].fillna(-1).astype(int).tolist()
        given = [one if isinstance(one, str) else None for one in self.table["label"]]
        return [
            self.class_name(k) if k >= 0 else text for k, text in zip(classes, given, strict=True)
        ]

    @cached_property
    def predictions(self) -> list[str | None]:
        """The predicted class of each image by its name or number; None of regressions."""
        found = self.table["predicted"].fillna(-1).astype(int).tolist()
        return [self.class_name(k) if k >= 0 else None for k in found]

    def class_name(self, k: int) -> str:
        """A class by its name, or its number where it has none."""
        there = self.names is not None and 0 <= k < len(self.names)
        return self.names[k] if there and self.names is not None else str(k)

    def title(self, row: int) -> str:
        """The file name of an image, or its number in the set."""
        path = self.table["path"].iloc[row]
        there = isinstance(path, str) and path
        return Path(path).name if there else f"image {int(self.table['image'].iloc[row])}"

    def shown(self, row: int) -> NDArray[np.uint8] | None:
        """What the network saw of an image, (H, W, 3): from its file, else its small picture."""
        from .contents import shown

        return shown(self, row)

    @property
    def images(self) -> Sequence[NDArray[np.uint8] | None]:
        """What the network saw of each image, as `shown`: read when it is asked for."""
        from .contents import Images

        return Images(self)

    def problems(self) -> list[str]:
        """A line for what failed, and one where the features tell no image from another."""
        lines = []
        if len(self.failed):
            count, first = len(self.failed), Counter(self.failed["reason"]).most_common(1)[0]
            lines.append(
                f"{count:,} of {len(self._all):,} images failed ({first[1]:,}: {first[0]})"
            )
        if len(self.table) > 1 and self.constant:
            lines.append(_constant(self))
        return lines

    @cached_property
    def constant(self) -> bool:
        """Whether all images have the same features."""
        from .contents import is_constant

        return is_constant(self.features)

    # --- what can be done with them --------------------------------------------------------

    def neighbors(self, n_neighbors: int = 15, *, metric: str = "euclidean", **options: Any) -> (
        NeighborGraph
    ):  # fmt: skip
        """The nearest neighbours of every image, by `fastxai.neighbors`.

        Parameters
        ----------
        n_neighbors : int, default 15
        metric : str, default "euclidean"
            Or "cosine", which leaves lengths out.
        **options
            Further ones of `fastxai.neighbors`.

        Returns
        -------
        NeighborGraph

        Raises
        ------
        InvalidInputError
            If all images have the same features, or there is only one.
        """
        from ..embed.neighbors import neighbors

        self._check_varied()
        return neighbors(self.features, n_neighbors, metric=metric, **options)

    def embed(self, method: str = "umap", **options: Any) -> FeatureMap:
        """How the network sees the set: its features in the plane, ready to be drawn.

        Parameters
        ----------
        method : {"umap", "tsne", "pca"}, default "umap"
            Fewer than 12 images have no neighbourhoods: they are laid out by PCA.
        **options
            Of `UMAP` (whose ``min_dist`` is 0.5 here: classes of a trained network are tight, and
            pictures need room), `TSNE` or `PCA`.

        Returns
        -------
        FeatureMap
            ``.plot("map.png")``, ``.html("map.html")``, ``.embedding``.

        Raises
        ------
        InvalidInputError
            If all images have the same features, or there are fewer than three.
        """
        from .feature_map import embed_bank

        self._check_varied()
        return embed_bank(self, method, options)

    def prototypes(self, n_prototypes: int = 10, n_criticisms: int = 10, **options: Any) -> Any:
        """Images that stand for the set, and such that those leave out.

        Parameters
        ----------
        n_prototypes, n_criticisms : int, default 10
        **options
            Further ones of `fastxai.prototypes`; ``labels=bank.labels`` chooses class by class.

        Returns
        -------
        Prototypes
            ``.plot()`` shows them.
        """
        from .prototypes import prototypes

        self._check_varied()
        found = prototypes(self.features, n_prototypes, n_criticisms, **options)
        return replace(found, pictures=self.images)

    def _check_varied(self) -> None:
        if len(self) > 1 and self.constant:
            raise InvalidInputError(f"{self.path}: {_constant(self)}")


def _constant(bank: FeatureBank) -> str:
    return (
        f"all {len(bank):,} images have the same features at {bank.layer}, which tells none from "
        "another: choose another layer"
    )
