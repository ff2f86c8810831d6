"""Neighbour graphs in .npz files: plain arrays, a schema version, a fingerprint of the points."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..io import atomic_write, check_output, existing_file
from .graph import NeighborGraph
from .spaces import is_sparse

_KIND = "fastxai NeighborGraph"
_SCHEMA = 1
_KWD = "metric_kwds."
_SAMPLE = 10_000
# What NumPy raises for files that are not whole, or another kind of file of its own.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(ValueError, AttributeError, TypeError),
)


def fingerprint(X: Any) -> str:
    """Shape and a hash of some 10,000 rows, spread over all."""
    n, d = X.shape
    rows: Any = X[:: max(1, -(-n // _SAMPLE))]
    digest = hashlib.sha256(f"{n} x {d}".encode())
    if is_sparse(rows):
        rows = rows.tocsr(copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        parts = [rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data]
    else:
        # -0.0 equals 0.0
        parts = [np.ascontiguousarray(rows, np.float32) + np.float32(0.0)]
    for part in parts:
        digest.update(part.tobytes())
    return digest.hexdigest()


def save_graph(graph: NeighborGraph, path: str | Path) -> None:
    """Write a graph; `NeighborGraph.save` has the words."""
    path = check_output(path, (".npz",))
    if not isinstance(graph.metric, str):
        raise InvalidInputError(
            "a graph whose metric is a function can not be written to a file; pickle it, or "
            "name the metric"
        )
    arrays: dict[str, Any] = {
        "kind": _KIND,
        "schema": _SCHEMA,
        "indices": graph.indices,
        "distances": graph.distances,
        "metric": graph.metric,
        "recall": graph.recall,
        "search": np.array([graph._seed, graph._promised]),
    }
    for name, value in graph.metric_kwds.items():
        arrays[_KWD + name] = array = np.asarray(value)
        if array.dtype.kind not in "biufU":
            raise InvalidInputError(f"metric_kwds[{name!r}] is no number, string or array of them")
    if graph.groups is not None:
        arrays["groups"] = graph.groups
    if graph.X is not None:
        arrays["points"] = fingerprint(graph.X)
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays)


def load_graph(path: str | Path, X: Any) -> NeighborGraph:
    """Read a graph; `NeighborGraph.load` has the words."""
    path = existing_file(path)
    arrays = _read(path)
    try:
        seed, promised = arrays["search"]
        graph = NeighborGraph(  # which checks the lists
            arrays["indices"],
            arrays["distances"],
            metric=str(arrays["metric"]),
            metric_kwds={
                name.removeprefix(_KWD): value.item() if value.ndim == 0 else value
                for name, value in arrays.items()
                if name.startswith(_KWD)
            },
            recall=float(arrays["recall"]),
            groups=arrays.get("groups"),
            seed=int(seed),
            promised=float(promised),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"{path} holds a damaged neighbour graph: {error}") from None
    if X is not None:
        graph.X = _reattach(path, graph, X, str(arrays.get("points", "")))
    return graph


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of the file, if it is one of ours and whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise InvalidInputError(
            f"{path} is damaged, truncated or no neighbour graph ({error}); build and save it anew"
        ) from None
    if str(arrays.get("kind")) != _KIND:
        raise InvalidInputError(
            f"{path} holds no neighbour graph; NeighborGraph.save writes such files"
        )
    if (schema := str(arrays.get("schema"))) != str(_SCHEMA):
        raise InvalidInputError(
            f"{path} holds a neighbour graph of schema {schema}, and this version of fastxai "
            f"reads schema {_SCHEMA}; build and save it anew"
        )
    wanted = {"indices", "distances", "metric", "recall", "search"}
    if missing := sorted(wanted - set(arrays)):
        raise InvalidInputError(f"{path} lacks {', '.join(missing)}; build and save it anew")
    return arrays


def _reattach(path: Path, graph: NeighborGraph, X: Any, expected: str) -> Any:
    """The points, if they are those that the neighbours were sought among."""
    from .validation import check_points

    points = check_points(None, X, reset=False)
    if graph.groups is not None and points.shape[0] == len(graph.groups) != graph.n_points:
        points = points[np.unique(graph.groups, return_index=True)[1]]
    if points.shape[0] != graph.n_points:
        raise InvalidInputError(
            f"X has {points.shape[0]:,} rows and {path} holds the neighbours of "
            f"{graph.n_points:,} points"
        )
    if not expected:
        raise InvalidInputError(
            f"{path} holds neighbours by precomputed distances: there is no X to them"
        )
    if fingerprint(points) != expected:
        raise InvalidInputError(
            f"X is not what the neighbours in {path} were sought among: its shape or its values "
            "differ"
        )
    return points
