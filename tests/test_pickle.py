"""A fitted model that was put away and taken out again, by this version and by earlier ones."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy import sparse

import fastxai
from fastxai import TSNE, UMAP, InvalidInputError

GOLDEN = sorted(Path(__file__).with_name("data").glob("*.pkl"))
X = np.random.default_rng(0).standard_normal((80, 4)).astype(np.float32)
X[:, 0] += 6 * (np.arange(80) % 2)
NEW = X[:6] + np.float32(0.3)


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle, protocol 2": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "joblib": by_joblib,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
MODELS = {
    "plain": lambda: UMAP(n_epochs=20).fit(X),
    "sparse": lambda: UMAP(n_epochs=20).fit(sparse.csr_matrix(np.maximum(X, 0))),
    "unique": lambda: UMAP(n_epochs=20, unique=True).fit(np.concatenate([X, X[:9]])),
    "supervised": lambda: UMAP(n_epochs=20).fit(X, np.arange(80) % 2),
    "given neighbours": lambda: UMAP(n_epochs=20, neighbors=fastxai.neighbors(X, 20)).fit(X),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_a_round_trip(way, make):
    model = make()
    before = model.transform(NEW)  # its search structure is built, and left behind
    taken = way(model)
    assert same(taken.embedding_, model.embedding_)
    assert (abs(taken.graph_ - model.graph_) > 0).nnz == 0
    assert isinstance(taken.graph_, sparse.csr_array)
    assert same(taken.transform(NEW), before)
    assert same(taken.transform(X), model.transform(X))
    assert repr(taken.get_params()) == repr(model.get_params())
    assert same(model.transform(NEW), before)


def test_an_unfitted_model():
    model = pickle.loads(pickle.dumps(UMAP(n_neighbors=7, n_epochs=20)))
    assert model.n_neighbors == 7
    assert same(model.fit_transform(X), UMAP(n_neighbors=7, n_epochs=20).fit_transform(X))


def _plain(value):
    """True for what any version of Python and NumPy can read."""
    if isinstance(value, (tuple, list)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray))


@pytest.mark.parametrize("make", [MODELS["plain"], MODELS["unique"]], ids=["plain", "unique"])
def test_a_pickle_holds_plain_arrays_and_a_version(make):
    state = make().__getstate__()
    assert state["schema"] == 1
    graph = state.pop("neighbors_").__getstate__()
    assert graph["schema"] == 1
    assert _plain(state)
    assert _plain(graph)


@pytest.mark.parametrize("schema", [None, 0, 2])
@pytest.mark.parametrize(
    "model", [UMAP(n_epochs=5), TSNE(max_iter=5, perplexity=3)], ids=["UMAP", "TSNE"]
)
def test_a_pickle_of_another_schema_is_refused(model, schema):
    state = {**model.fit(X).__getstate__(), "schema": schema}
    with pytest.raises(InvalidInputError, match=f"schema {schema}.*reads schema 1: fit it again"):
        type(model)().__setstate__(state)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_golden_files_load(file):
    kept = pickle.loads(file.read_bytes())
    model = kept["model"]
    assert same(model.embedding_, kept["embedding"])
    assert same(model.transform(kept["X"]), kept["embedding"])
    assert kept["weights"] is None or same(model.graph_.data, kept["weights"])
    assert kept["parameters"].items() <= model.get_params().items()
    # Another CPU rounds otherwise, and so few points magnify it: somewhere in the map.
    places = model.transform(kept["new"])
    low, high = kept["embedding"].min(axis=0) - 1, kept["embedding"].max(axis=0) + 1
    assert places.shape == kept["places"].shape
    assert ((places > low) & (places < high)).all()
    assert np.isfinite(model.fit_transform(kept["X"])).all()


def test_every_release_has_its_golden_file():
    release = fastxai.__version__
    assert GOLDEN
    names = {file.stem for file in GOLDEN}
    assert release.startswith("0+") or {f"tsne-{release}", f"umap-{release}"} <= names


def test_a_golden_file_loads_where_nothing_was_imported():
    program = (
        "import pickle, sys; kept = pickle.load(open(sys.argv[1], 'rb'));"
        "print(kept['model'].transform(kept['X']).tobytes() == kept['embedding'].tobytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(GOLDEN[-1])], capture_output=True, text=True
    )
    assert done.stdout == "True\n", done.stderr
