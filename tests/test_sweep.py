"""Sweeps: one graph, aligned panels, figures, noise of the same covariance, and what is refused."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import fastxai
from fastxai.embed import sweep as sweeping
from fastxai.embed.null import gaussian_like
from fastxai.embed.sweep_figures import preservation
from fastxai.errors import FastxaiWarning, InvalidInputError
from fastxai.metrics.embedding import label_accuracy, neighbor_preservation

RNG = np.random.default_rng(0)
KINDS = np.repeat([0, 1, 2], 60)
X = (RNG.normal(size=(180, 6)) + 6 * np.eye(3, 6)[KINDS]).astype(np.float32)
UMAP: dict[str, Any] = {"method": "umap", "n_epochs": 15}
TSNE: dict[str, Any] = {"method": "tsne", "max_iter": 30, "early_exaggeration_iter": 10}


def run(**options: Any) -> Any:
    return fastxai.sweep(X, **options)


def settings(found: Any, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(panel.settings[name] for name in names) for panel in found.panels]


# What is varied


@pytest.mark.parametrize(
    ("options", "names", "expected"),
    [
        pytest.param(UMAP, ["n_neighbors"], [(5,), (15,), (50,)], id="umap"),
        pytest.param(TSNE, ["perplexity"], [(5,), (30,)], id="tsne: 100 needs 300 neighbours"),
        pytest.param({**UMAP, "n_neighbors": 7}, ["n_neighbors"], [(7,)], id="one value"),
        pytest.param(
            {**UMAP, "n_neighbors": [5, 9], "min_dist": (0, 0.5)},
            ["n_neighbors", "min_dist"],
            [(5, 0), (9, 0), (5, 0.5), (9, 0.5)],
            id="a grid, the first list along the rows",
        ),
        pytest.param(
            {**UMAP, "seeds": range(2)}, ["n_neighbors", "seed"], [(15, 0), (15, 1)], id="seeds"
        ),
        pytest.param(
            {**TSNE, "perplexity": np.array([4, 8]), "seeds": [3, 4]},
            ["perplexity", "seed"],
            [(4, 3), (8, 3), (4, 4), (8, 4)],
            id="perplexities and seeds",
        ),
        pytest.param(
            {**TSNE, "perplexity": [5, (5, 20)]}, ["perplexity"], [(5,), ((5, 20),)], id="scales"
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:the seeds")
def test_panels(options: dict[str, Any], names: list[str], expected: Any) -> None:
    found = run(**options, null=False)
    assert settings(found, *names) == expected
    for panel in found.panels:
        assert panel.embedding.shape == (180, 2)
        assert panel.embedding.dtype == np.float32
        assert panel.seconds > 0


def test_few_points_have_fewer_defaults() -> None:
    assert settings(fastxai.sweep(X[:20], **UMAP, null=False), "n_neighbors") == [(5,), (15,)]
    assert settings(fastxai.sweep(X[:10], **TSNE, null=False), "perplexity") == [(3.0,)]


@pytest.mark.parametrize("options", [UMAP, TSNE], ids=["umap", "tsne"])
def test_panels_are_what_the_estimator_draws(options: dict[str, Any]) -> None:
    """The reference is untouched; the others are turned and mirrored only."""
    found = run(**options, null=False)
    own = {name: value for name, value in options.items() if name != "method"}
    estimator = fastxai.UMAP if options is UMAP else fastxai.TSNE
    for number, panel in enumerate(found.panels):
        alone = estimator(**own, **{k: v for k, v in panel.settings.items() if k != "seed"})
        expected = alone.fit_transform(X)
        if number != found.reference:
            expected = fastxai.align(expected, found.panels[found.reference].embedding)
        np.testing.assert_array_equal(panel.embedding, expected)


def test_neighbours_are_sought_once_and_once_for_the_noise(monkeypatch: Any) -> None:
    calls = []

    def counted(points: Any, k: int, **options: Any) -> Any:
        calls.append(k)
        return fastxai.neighbors(points, k, **options)

    monkeypatch.setattr(sweeping, "find_neighbors", counted)
    found = run(**TSNE, perplexity=[5, 20], null="each")
    assert calls == [60, 60]
    assert found.neighbors.n_neighbors == 60


def test_given_neighbours_are_used() -> None:
    graph = fastxai.neighbors(X, 30)
    found = run(**UMAP, n_neighbors=[5, 20], neighbors=graph, null=False)
    assert found.neighbors is graph
    np.testing.assert_array_equal(
        found.panels[0].embedding, run(**UMAP, n_neighbors=[5, 20], null=False).panels[0].embedding
    )


@pytest.mark.parametrize(
    ("reference", "expected"), [(None, 1), (0, 0), (2, 2)], ids=["middle", "first", "last"]
)
def test_reference(reference: int | None, expected: int) -> None:
    found = run(**UMAP, reference=reference)
    assert found.reference == expected
    assert found.null.settings == found.panels[expected].settings
    fixed = found.panels[expected].embedding
    for panel in found.panels:
        again = fastxai.align(panel.embedding, fixed)
        np.testing.assert_allclose(again, panel.embedding, atol=1e-3)


@pytest.mark.parametrize("options", [UMAP, TSNE], ids=["umap", "tsne"])
def test_the_number_of_threads_changes_nothing(options: dict[str, Any]) -> None:
    runs = [run(**options, n_jobs=n, labels=KINDS) for n in (1, 2, 8)]
    for other in runs[1:]:
        for name, embedding in runs[0].arrays().items():
            np.testing.assert_array_equal(embedding, other.arrays()[name])
        for a, b in zip(runs[0].table(), other.table(), strict=True):
            assert {**a, "seconds": 0} == {**b, "seconds": 0}


# Figures


def test_figures() -> None:
    found = run(**TSNE, labels=KINDS)
    for panel in found.panels:
        assert set(panel.figures) == {"kl", "preservation", "accuracy"}
        exact = neighbor_preservation(X, panel.embedding, n_neighbors=15)
        assert panel.figures["preservation"] == pytest.approx(exact, abs=0.003)
        assert panel.figures["accuracy"] == label_accuracy(panel.embedding, KINDS)
    assert set(found.null.figures) == {"kl", "preservation"}
    assert "KL" in found.panels[0].caption


def test_preservation_of_lost_points() -> None:
    """They are not asked, and are lost as neighbours."""
    graph = fastxai.neighbors(X[:, :2], 5)
    assert preservation(graph, X[:, :2]) == 1.0
    lost = X[:, :2].copy()
    lost[::2] = np.nan
    true = graph.indices[1::2]
    assert preservation(graph, lost) == pytest.approx((true % 2 == 1).mean(), abs=1e-9)


def test_unlabelled_points_do_not_vote() -> None:
    labels = KINDS.astype(object)
    labels[::3] = None
    found = run(**UMAP, n_neighbors=10, labels=labels, null=False)
    kept = labels != None  # noqa: E711
    expected = label_accuracy(found.panels[0].embedding[kept], KINDS[kept])
    assert found.panels[0].figures["accuracy"] == expected
    assert "accuracy" not in run(**UMAP, n_neighbors=10, labels=[None] * 180).panels[0].figures


# Noise


def test_noise_has_the_mean_and_the_covariance_of_the_data() -> None:
    stretched = np.random.default_rng(1).normal(size=(5000, 4)) @ np.diag([9, 3, 1, 0.1]) + 20
    noise, metric = gaussian_like(stretched.astype(np.float32), "euclidean", 0)
    assert metric == "euclidean"
    spectrum = np.linalg.eigvalsh(np.cov(noise.T))
    np.testing.assert_allclose(spectrum, [0.01, 1, 9, 81], rtol=0.1)


def test_noise_has_the_angles_of_the_data() -> None:
    """Under cosine the mean counts: far from the origin all angles are small."""
    far = RNG.normal(size=(500, 4)) + [30, 0, 0, 40]
    noise, metric = gaussian_like(far.astype(np.float32), "cosine", 0)
    assert metric == "cosine"
    lengths = np.linalg.norm(noise, axis=1)
    assert lengths.mean() == pytest.approx(np.linalg.norm(far, axis=1).mean(), rel=0.02)


def test_noise_of_correlation_is_of_rows_without_their_means() -> None:
    lifted = X + RNG.normal(size=(180, 1)).astype(np.float32)
    noise, metric = gaussian_like(lifted, "correlation", 0)
    other, _ = gaussian_like(X, "correlation", 0)
    assert metric == "cosine"
    np.testing.assert_allclose(np.abs(noise), np.abs(other), atol=1e-3)


def test_noise_of_wide_sparse_data_has_its_variance() -> None:
    wide = sparse.random(1200, 5000, 0.01, format="csr", random_state=0, dtype=np.float32)
    noise, _ = gaussian_like(wide, "euclidean", 0)
    dense = wide.toarray()
    assert noise.shape[0] == 1200
    assert 50 < noise.shape[1] <= 450
    assert noise.var(axis=0).sum() == pytest.approx(dense.var(axis=0).sum(), rel=0.05)


@pytest.mark.parametrize(
    ("null", "count"), [(True, 1), (False, 0), ("each", 3)], ids=["one", "none", "each"]
)
def test_nulls(null: Any, count: int) -> None:
    found = run(**UMAP, null=null)
    assert len(found.nulls) == count
    assert (found.null is None) == (count == 0)
    assert all(panel.null and panel.embedding.shape == (180, 2) for panel in found.nulls)


def test_given_places_are_not_those_of_the_noise() -> None:
    start = RNG.normal(size=(180, 2)).astype(np.float32)
    found = run(**UMAP, n_neighbors=10, init=start)
    expected = run(**UMAP, n_neighbors=10, init="pca")
    np.testing.assert_array_equal(found.null.embedding, expected.null.embedding)


# Kinds of input


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(sparse.csr_matrix(np.where(X > 0.5, X, 0)), id="sparse"),
        pytest.param(X.astype(np.float64).tolist(), id="lists"),
        pytest.param(np.concatenate([X[:90], X[:90]]), id="copies"),
    ],
)
def test_inputs(kind: Any) -> None:
    found = fastxai.sweep(kind, **UMAP, n_neighbors=[5, 10])
    assert np.isfinite(found.panels[0].embedding).all()


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
def test_metrics(metric: str) -> None:
    found = run(**TSNE, perplexity=10, metric=metric)
    assert found.neighbors.metric == metric
    assert np.isfinite(found.null.embedding).all()


def test_distances() -> None:
    D = np.linalg.norm(X[:, None] - X, axis=-1)
    found = fastxai.sweep(D, **UMAP, n_neighbors=[5, 10], metric="precomputed", null=False)
    assert len(found.panels) == 2


def test_pca_first() -> None:
    found = run(**TSNE, perplexity=10, pca_components=3)
    reduced = fastxai.PCA(3).fit_transform(X)
    expected = fastxai.sweep(reduced, **TSNE, perplexity=10)
    for name, embedding in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], embedding)


def test_distinct_rows() -> None:
    twice = np.concatenate([X, X])
    graph = fastxai.neighbors(twice, 20, unique=True)
    found = fastxai.sweep(twice, **UMAP, n_neighbors=[5, 10], neighbors=graph)
    assert found.panels[0].embedding.shape == (360, 2)
    np.testing.assert_array_equal(found.panels[0].embedding[:180], found.panels[0].embedding[180:])


# The result


def test_table_and_titles() -> None:
    found = run(**UMAP, n_neighbors=[5, 10], labels=KINDS)
    rows = found.table()
    assert [row["points"] for row in rows] == ["data", "data", "noise"]
    assert rows[1]["n_neighbors"] == 10
    assert json.loads(json.dumps(rows)) == rows
    assert found.titles == ["n_neighbors 5", "n_neighbors 10", "noise · n_neighbors 10"]
    assert repr(found) == "Sweep(umap, 180 points, 2 panels and 1 of noise)"


def test_plot() -> None:
    found = run(**UMAP, n_neighbors=[5, 10, 20], min_dist=[0, 0.5], labels=KINDS)
    figure = found.plot(names=["a", "b", "c"], title="Points")
    titles = [axes.get_title() for axes in figure.axes]
    # The noise stands beside the row of its settings, the legend in the empty place.
    assert titles[3] == ""
    assert titles[7] == "noise · n_neighbors 10\nmin_dist 0.5"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert len(found.plot(columns=2, values=X[:, 0]).axes) == 8


def test_save(tmp_path: Path) -> None:
    found = run(**UMAP, n_neighbors=[5, 10], labels=KINDS)
    found.save(tmp_path / "sweep", title="Points")
    folder = tmp_path / "sweep"
    assert (folder / "panels.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "figures.json").read_text()) == found.table()
    maps = np.load(folder / "embeddings.npz")
    np.testing.assert_array_equal(maps["panel_1"], found.panels[1].embedding)
    np.testing.assert_array_equal(maps["null_0"], found.null.embedding)
    with pytest.raises(InvalidInputError, match="no folder"):
        found.save(tmp_path / "no" / "sweep")


def test_progress_shows_a_stage_a_panel(capfd: pytest.CaptureFixture[str]) -> None:
    found = run(**UMAP, n_neighbors=[5, 10], verbose=True)
    shown = capfd.readouterr().err
    for stage in ("n_neighbors 5: ", "n_neighbors 10: ", "noise · n_neighbors 10: "):
        assert shown.count("\n" + stage) == 1
    assert "layout" not in shown
    assert {"neighbours", "n_neighbors 5"} <= set(found.timings)


def test_several_seeds_that_make_no_difference_are_noticed() -> None:
    with pytest.warns(FastxaiWarning, match="init='random'"):
        run(**TSNE, perplexity=10, seeds=[0, 1], null=False)
    found = run(**TSNE, perplexity=10, seeds=[0, 1], init="random", null=False)
    assert not np.array_equal(found.panels[0].embedding, found.panels[1].embedding)


def test_an_interrupt_comes_through(monkeypatch: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping, "measure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(**UMAP)


# Refusals, all before any work


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"method": "pca"}, "'tsne' or 'umap'", id="method"),
        pytest.param({**UMAP, "perplexity": 5}, "not a parameter", id="perplexity of umap"),
        pytest.param({**TSNE, "n_neighbors": 5}, "not a parameter", id="n_neighbors of tsne"),
        pytest.param({**TSNE, "perplexity": []}, "empty list", id="no perplexity"),
        pytest.param({**TSNE, "perplexity": [5, ()]}, "empty list", id="no scales"),
        pytest.param({**TSNE, "perplexity": [5, 5.0]}, "twice", id="twice"),
        pytest.param({**TSNE, "perplexity": "5"}, "a list of numbers", id="text"),
        pytest.param({**TSNE, "perplexity": [5, 180]}, "perplexity=180", id="perplexity >= n"),
        pytest.param({**TSNE, "perplexity": 1}, "perplexity=1", id="perplexity 1"),
        pytest.param({**TSNE, "max_iter": 0}, "max_iter=0", id="of the estimator"),
        pytest.param({**UMAP, "n_neighbors": [5, 180]}, "n_neighbors=180", id="n_neighbors"),
        pytest.param({**UMAP, "n_neighbors": [5, 1.5]}, "n_neighbors=1.5", id="fraction"),
        pytest.param({**UMAP, "min_dist": [0.1, 2]}, "min_dist=2", id="min_dist"),
        pytest.param({**UMAP, "seeds": []}, "seeds is an empty", id="no seeds"),
        pytest.param({**UMAP, "seeds": [-1]}, "-1", id="seed"),
        pytest.param({**UMAP, "seeds": range(65)}, "65 panels", id="too many panels"),
        pytest.param({**UMAP, "n_neighbours": 5}, "did you mean n_neighbors", id="unknown"),
        pytest.param({**UMAP, "unique": True}, "unique=", id="unique"),
        pytest.param({**UMAP, "n_components": 3}, "2 dimensions", id="n_components"),
        pytest.param({**TSNE, "callbacks": print}, "callbacks=", id="callbacks"),
        pytest.param({**UMAP, "init": "nonsense"}, "init", id="init"),
        pytest.param({**UMAP, "reference": 3}, "0 to 2", id="reference"),
        pytest.param({**UMAP, "reference": "first"}, "0 to 2", id="reference by name"),
        pytest.param({**UMAP, "null": 2}, "'each'", id="null of a number"),
        pytest.param({**UMAP, "null": "all"}, "'each'", id="null"),
        pytest.param({**UMAP, "metric": "manhattan"}, "null=False", id="metric of the noise"),
        pytest.param({**UMAP, "labels": [1, 2]}, "2 labels", id="labels"),
        pytest.param({**UMAP, "pca_components": 0}, "pca_components=0", id="pca"),
        pytest.param(
            {**UMAP, "pca_components": 2, "neighbors": fastxai.neighbors(X, 50)},
            "leave one of them out",
            id="pca and graph",
        ),
        pytest.param({**UMAP, "neighbors": fastxai.neighbors(X, 20)}, "need 49", id="graph"),
        pytest.param({**UMAP, "n_jobs": 0}, "n_jobs=0", id="n_jobs"),
    ],
)
def test_refused(options: dict[str, Any], message: str, monkeypatch: Any) -> None:
    def no_work(*_: Any, **__: Any) -> None:
        raise AssertionError("work was begun")

    for name in ("compile_kernels", "find_neighbors", "gaussian_like"):
        monkeypatch.setattr(sweeping, name, no_work)
    with pytest.raises(InvalidInputError, match=message):
        run(**options)


def test_an_unknown_name_is_a_type_error_too() -> None:
    with pytest.raises(TypeError, match="no parameter 'spam'"):
        run(**UMAP, spam=1)


def test_the_name_is_the_function() -> None:
    assert inspect.isfunction(fastxai.sweep)
    assert "sweep" in dir(fastxai)
