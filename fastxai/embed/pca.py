"""Principal component analysis, as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..devices import CPU, Device, choose_device, giver_for, host_array, is_tensor
from ..errors import FastxaiWarning, InvalidInputError
from ..progress import Progress, open_progress
from .jobs import resolve_jobs
from .spaces import is_sparse
from .validation import check_points, check_seed

if TYPE_CHECKING:
    from typing import Self

_SOLVERS = ("auto", "covariance", "randomized")


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The directions along which points vary most, and the points seen along them.

    Centres the points and projects them on the leading eigenvectors of their covariance
    (Jolliffe 2002).  Data are read in blocks: a memory map is never loaded whole, sparse
    points are never made dense.  The same seed gives the same bits on any number of threads.

    Parameters
    ----------
    n_components : int, float or None, default 2
        How many components; a float in (0, 1): as many as hold this share of the variance;
        None: all ``min(n_samples, n_features)``.
    whiten : bool, default False
        Scale the components to unit variance (those along which nothing varies are left
        at zero).
    solver : {"auto", "covariance", "randomized"}, default "auto"
        ``"covariance"`` solves the eigenproblem of the covariance, or, where there are fewer
        rows than features, of the inner products of the rows; ``"randomized"`` iterates
        a random subspace (Halko, Martinsson and Tropp 2011), for an integer ``n_components``;
        ``"auto"`` takes the second for few components of more than 2000 features and rows.
    n_jobs : int or None, default None
        Threads: None or -1 for all that this process may use.
    random_state : int, None, Generator or RandomState, default 0
        Seeds the randomised solver; None draws a seed and keeps it in ``random_state_``.
    verbose : bool, default False
        Show progress on stderr.
    device : {"auto", "cpu", "cuda", "cuda:1"}, default "auto"
        Where it runs.  "auto" is where a torch tensor lies, and for arrays of the host a CUDA
        device where there is one, to which they are sent block by block.  Sparse points are
        worked on by the CPU.  Results come as X came; the attributes are NumPy arrays.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Orthonormal directions, largest variance first; the largest loading of each by
        absolute value (the first of equal ones) is positive.
    explained_variance_, explained_variance_ratio_, singular_values_ : ndarray (n_components,)
        Variance along each (denominator n - 1), its share of the whole, and the singular
        values of the centred data; float64.
    loadings_ : ndarray of shape (n_features, n_components)
        The components times their standard deviations: the covariances of the features with
        the whitened components.
    mean_ : ndarray of shape (n_features,)
        Mean of each feature.
    noise_variance_ : float
        Mean variance along the components left out.
    n_components_, n_samples_, n_features_in_ : int
        Components kept, rows and features seen.
    feature_names_in_ : ndarray of str
        Names of the features, where X had them.
    solver_ : str
        The solver that ran.
    device_ : str
        Where it ran: "cpu", "cuda:0", ...
    random_state_ : int
        The seed that was used.

    Raises
    ------
    InvalidInputError
        If X or a parameter can not be worked with; the message says why.
    NotEnoughMemoryError
        If the eigenproblem does not fit into memory.

    Notes
    -----
    float64 points are worked on in float64 and give float64; all others give float32.
    ``fit_transform(X)`` equals ``fit(X).transform(X)``, bit by bit, and a row is transformed
    to the same bits whatever rows come with it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastxai import PCA
    >>> pca = PCA(n_components=2)
    >>> pca.fit_transform(load_digits().data).shape
    (1797, 2)
    >>> pca.explained_variance_ratio_.round(3)
    array([0.149, 0.136])
    """

    def __init__(
        self,
        n_components: float | None = 2,
        *,
        whiten: bool = False,
        solver: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        device: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.solver = solver
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the components of X, of shape (n, d), dense or sparse; ``y`` is not used."""
        with self._run() as progress:
            self._fit(X, progress)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """``fit(X).transform(X)``, with X checked once."""
        with self._run() as progress:
            points, device = self._fit(X, progress)
            return giver_for(X)(self._project(points, device, progress))

    def transform(self, X: Any) -> Any:
        """The points X, of shape (m, d), along the components.

        Returns
        -------
        ndarray of shape (m, n_components)
            float64 if X is, else float32.
        """
        check_is_fitted(self)
        with self._run() as progress:
            device = self._device_for(X)
            points = self._checked(X, device, reset=False)
            return giver_for(X)(self._project(points, device, progress))

    def inverse_transform(self, X: Any) -> Any:
        """The points of feature space that X, of shape (m, n_components), stands for.

        Returns
        -------
        ndarray of shape (m, n_features)
            float64 if X is, else float32.
        """
        check_is_fitted(self)
        from .blocks import multiply_rows

        give, X = giver_for(X), host_array(X)
        points = check_points(None, X, reset=False, keep_float64=True, accept_sparse=False)
        if points.shape[1] != self.n_components_:
            raise InvalidInputError(
                f"X has {points.shape[1]} columns, but this PCA has {self.n_components_} components"
            )
        matrix = self.components_.astype(np.float64) * self._scale()[:, None]
        zero = np.zeros(self.n_components_)
        with self._run():
            restored = multiply_rows(points, zero, matrix, points.dtype, lambda rows: None)
        restored += self.mean_.astype(points.dtype)
        return give(restored)

    @property
    def loadings_(self) -> NDArray[Any]:
        """The components times their standard deviations, (n_features, n_components)."""
        check_is_fitted(self)
        loadings: NDArray[Any] = self.components_.T * np.sqrt(self.explained_variance_)
        return loadings.astype(self.components_.dtype)

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    @contextmanager
    def _run(self) -> Iterator[Progress]:
        """Progress, threads and single-threaded BLAS around all work."""
        from fastxai_kernels.cpu._blas import single_threaded_blas
        from fastxai_kernels.cpu._threads import threads

        count = resolve_jobs(self.n_jobs)
        with open_progress(self.verbose) as progress, threads(count), single_threaded_blas():
            yield progress

    def _device_for(self, X: Any) -> Device:
        """Where X is worked on; sparse points are by the CPU."""
        device = choose_device(self.device, X)
        return CPU if is_sparse(X) or hasattr(X, "sparse") else device

    def _checked(self, X: Any, device: Device, *, reset: bool, min_rows: int = 1) -> Any:
        if device.is_gpu:
            from .cuda.pca import check_blocks_there

            return check_blocks_there(self, X, device, reset=reset, least=min_rows)
        return check_points(
            self,
            host_array(X),
            reset=reset,
            keep_float64=True,
            min_rows=min_rows,
            in_blocks=True,
        )

    def _fit(self, X: Any, progress: Progress) -> tuple[Any, Device]:
        """Find the components; returns the checked points, and where they were worked on."""
        self._check_parameters()
        device = self._device_for(X)
        points = self._checked(X, device, reset=True, min_rows=2)
        wanted = self._wanted(*points.shape)
        self.random_state_, self.device_ = check_seed(self.random_state), device.name
        task = points, wanted, self.solver, self.random_state_
        with progress.stage("pca", 1.0) as advance:
            if device.is_gpu:
                from .cuda.pca import decompose_there

                found = decompose_there(*task, device, advance)
            else:
                from .decompose import decompose

                found = decompose(*task, advance)
        self._keep(found, points)
        return points, device

    def _check_parameters(self) -> None:
        if self.solver not in _SOLVERS:
            raise InvalidInputError(
                f"solver={self.solver!r} is unknown; choose one of {', '.join(_SOLVERS)}"
            )
        number: Any = self.n_components
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        share = isinstance(number, float | np.floating) and 0 < number < 1
        if number is not None and not share and not (whole and int(number) >= 1):
            raise InvalidInputError(
                f"n_components={number!r}: give a whole number of at least 1, a float between 0 "
                "and 1 (the share of the variance to keep), or None for all components"
            )
        if self.solver == "randomized" and not whole:
            raise InvalidInputError(
                f"solver='randomized' finds a given number of components, not n_components="
                f"{number!r}; give a whole number or use solver='covariance'"
            )

    def _wanted(self, n: int, d: int) -> float | None:
        wanted: Any = self.n_components
        if isinstance(wanted, Integral) and int(wanted) > min(n, d):
            raise InvalidInputError(
                f"n_components={wanted} must be at most min(n_samples, n_features) = {min(n, d)} "
                f"(n_samples = {n}, n_features = {d})"
            )
        return int(wanted) if isinstance(wanted, Integral) else wanted

    def _keep(self, found: Any, points: Any) -> None:
        """Turn what was found into the fitted attributes, in the dtype of the points."""
        dtype = _result_dtype(points)
        n, d = points.shape
        if found.total == 0:
            warnings.warn(
                "all rows are equal: there is no variance to show, and the components are "
                "arbitrary",
                FastxaiWarning,
                stacklevel=4,
            )
        variance, count = found.variance, len(found.variance)
        left = min(n, d) - count
        self.n_samples_, self.n_components_, self.solver_ = n, count, found.solver
        self.mean_ = found.mean.astype(dtype)
        self.components_ = found.directions.astype(dtype)
        self.explained_variance_ = variance
        self.explained_variance_ratio_ = variance / (found.total or 1.0)
        self.singular_values_ = np.sqrt(variance * (n - 1))
        rest = max(found.total - float(variance.sum()), 0.0)
        self.noise_variance_ = rest / left if left else 0.0

    def _scale(self) -> NDArray[np.float64]:
        """Standard deviations that whitening divides by; 1 where nothing varies."""
        if not self.whiten:
            return np.ones(self.n_components_)
        scale = np.sqrt(self.explained_variance_)
        return np.where(scale > np.finfo(np.float32).eps * scale.max(), scale, 1.0)

    def _project(self, points: Any, device: Device, progress: Progress) -> Any:
        matrix = self.components_.T.astype(np.float64) / self._scale()
        with progress.stage("project", points.shape[0]) as advance:
            if device.is_gpu:
                from .cuda.pca import multiply_there

                return multiply_there(points, self.mean_, matrix, device, advance)
            from .blocks import multiply_rows

            return multiply_rows(points, self.mean_, matrix, _result_dtype(points), advance)


def _result_dtype(points: Any) -> type[np.floating[Any]]:
    if is_tensor(points):
        return np.float64 if points.dtype.itemsize >= 8 else np.float32
    wide = points.dtype.kind == "f" and points.dtype.itemsize >= 8
    return np.float64 if wide else np.float32
