"""Maps of one class, embedded: what is embedded, the picture, the page, the planted shortcut."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zarr")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
from small_sets import CLASSES, images, small_net  # noqa: E402
from torch import nn  # noqa: E402

import fastxai  # noqa: E402
from fastxai.errors import FastxaiWarning, InvalidInputError  # noqa: E402
from fastxai.explain.networks import shortcut_cnn, shortcut_images  # noqa: E402
from fastxai.image_sets.embed_picture import regions_of  # noqa: E402
from fastxai.image_sets.pooled import cells_of  # noqa: E402

N = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """24 images with labels and two groups; every map explains class 2, "bird"."""
    return fastxai.explain_dataset(
        small_net(),
        images(N),
        ["saliency", "guided_backprop"],
        tmp_path_factory.mktemp("maps") / "run",
        target=2,
        labels=[i % 4 for i in range(N)],
        groups=["</script><b>" if i < 12 else "b" for i in range(N)],
        names=CLASSES,
        batch_size=10,
    )


# --- what is embedded ----------------------------------------------------------------------


def test_every_map_has_a_place(run: Any) -> None:
    found = fastxai.embed_maps(run)
    assert found.embedding.shape == (N, 2) and np.isfinite(found.embedding).all()
    assert found.rows.tolist() == list(range(N))
    assert (found.kind, found.method, found.target, found.title) == ("UMAP", "saliency", 2, "bird")
    assert found.groups[0] == "</script><b>" and found.groups[12] == "b"
    assert found.correct == run.table["correct"].tolist()
    assert repr(found) == "MapEmbedding(UMAP of 24 saliency maps of bird)"


def test_features_are_roots_of_shares_of_cells(run: Any) -> None:
    found = fastxai.embed_maps(run, grid=4)
    maps = run.take(range(N)).astype(np.float64)
    cells = maps.reshape(N, 4, 4, 4, 4).sum(axis=(2, 4)).reshape(N, 16)
    expected = np.sqrt(cells / cells.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.features, expected, rtol=1e-4)


def test_evidence_for_and_against_have_cells_of_their_own(tmp_path: Path) -> None:
    net, some = small_net(), images(N)
    results = fastxai.explain_dataset(net, some, "occlusion", tmp_path / "run", target=1)
    found = fastxai.embed_maps(results, grid=4)
    maps = results.take(range(N)).astype(np.float64)
    sides = [
        np.maximum(side, 0).reshape(N, 4, 4, 4, 4).mean(axis=(2, 4)).reshape(N, 16)
        for side in (maps, -maps)
    ]
    cells = np.concatenate(sides, axis=1)
    expected = np.sqrt(cells / cells.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-5)


def test_magnitudes_of_channels_are_added(run: Any) -> None:
    found = fastxai.embed_maps(run, "guided_backprop", grid=2)
    maps = np.abs(run.take(range(N), "guided_backprop")).sum(axis=1, dtype=np.float64)
    cells = maps.reshape(N, 2, 8, 2, 8).sum(axis=(2, 4)).reshape(N, 4)
    expected = np.sqrt(cells / cells.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.features, expected, rtol=1e-4)


@pytest.mark.parametrize(("size", "grid"), [(16, 8), (7, 3), (32, 5), (3, 8), (1, 2)])
def test_cells_share_the_pixels_between_them(size: int, grid: int) -> None:
    weights = cells_of(size, grid)
    assert weights.shape == (min(grid, size), size)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=0), min(grid, size) / size)


def test_the_same_seed_gives_the_same_bits(run: Any) -> None:
    one, same = fastxai.embed_maps(run), fastxai.embed_maps(run.path)
    np.testing.assert_array_equal(one.embedding, same.embedding)
    other = fastxai.embed_maps(run, random_state=1, n_neighbors=5, min_dist=0.5)
    assert not np.array_equal(one.embedding, other.embedding)


def test_a_class_is_found_among_several_targets(tmp_path: Path) -> None:
    results = fastxai.explain_dataset(
        small_net(), images(N), "saliency", tmp_path / "run", target="top2", names=CLASSES
    )
    targets = np.stack(results.table["target"])
    chosen = int(np.bincount(targets.ravel()).argmax())
    found = fastxai.embed_maps(results, target=CLASSES[chosen].upper(), grid=16)
    rows, places = np.nonzero(targets == chosen)
    assert found.rows.tolist() == rows.tolist() and found.places.tolist() == places.tolist()
    map = results.take(rows[:1])[0, places[0]].ravel()
    np.testing.assert_allclose(found.features[0], np.sqrt(map / map.sum()), rtol=1e-4)
    assert found.target == fastxai.embed_maps(results).target  # that of most maps


# --- what is left out, and what is refused -------------------------------------------------


class Dark(nn.Module):
    """Says nothing of dark images: their gradients are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(768, 4)

    def forward(self, x: Any) -> Any:
        return self.last(x.flatten(1) * (x.mean((1, 2, 3)) > 0.1)[:, None])


def test_images_that_failed_and_maps_without_evidence_are_left_out(tmp_path: Path) -> None:
    some = images(N)
    some[[3, 7]] = 0
    some[5] = np.nan
    with pytest.warns(FastxaiWarning, match="1 of 24 images failed"):
        results = fastxai.explain_dataset(Dark(), some, "saliency", tmp_path / "run", target=1)
    assert results.table["status"][5] == "failed"
    found = fastxai.embed_maps(results)
    assert found.rows.tolist() == [i for i in range(N) if i not in (3, 5, 7)]
    assert found.left_out == {"without evidence": 2}
    assert "2 without evidence" in repr(found)


def test_few_maps_are_laid_out_by_pca(run: Any) -> None:
    found = fastxai.embed_maps(run, rows=range(5))
    assert found.kind == "PCA" and found.embedding.shape == (5, 2)


def test_rows_may_be_truth_values(run: Any) -> None:
    chosen = np.arange(N) % 2 == 0
    assert fastxai.embed_maps(run, rows=chosen).rows.tolist() == list(range(0, N, 2))


def test_maps_that_are_all_alike_have_a_place(tmp_path: Path) -> None:
    same = np.repeat(images(1), 20, axis=0)
    results = fastxai.explain_dataset(small_net(), same, "saliency", tmp_path / "run")
    found = fastxai.embed_maps(results)
    assert np.isfinite(found.embedding).all()
    found.plot(tmp_path / "maps.png")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": [0, 1]}, "2 saliency maps of bird hold evidence, and 3 at least are needed"),
        ({"target": 1}, r"target=1: no map .* there are maps of bird \(24\)"),
        ({"target": "horse"}, "target='horse': no map"),
        ({"target": 1.5}, "target=1.5: choose a whole number"),
        ({"rows": []}, "none of these images"),
        ({"rows": [99]}, "there are 24 images"),
        ({"method": "gradcam"}, "there are maps of saliency, guided_backprop"),
        ({"grid": 1}, "grid=1"),
        ({"n_neighbors": 1}, "n_neighbors=1"),
        ({"n_components": 3}, "n_components: maps are embedded in the plane"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_what_can_not_be_embedded_is_refused(run: Any, options: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        fastxai.embed_maps(run, **options)


# --- the picture ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_a_picture_is_written(run: Any, tmp_path: Path, ending: str) -> None:
    figure = fastxai.embed_maps(run).plot(tmp_path / f"maps{ending}", title="Birds")
    assert (tmp_path / f"maps{ending}").stat().st_size > 5000
    assert figure.axes[0].get_title() == "Birds"


def test_a_picture_names_groups_and_shows_regions(run: Any) -> None:
    figure = fastxai.embed_maps(run).plot(regions=2)
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words[:2] == ["</script><b> (12)", "b (12)"]
    assert {word.split()[0] for word in words[2:]} <= {"right", "wrong"}
    assert len(figure.axes) == 1 + 2 * 3
    assert "maps" in figure.axes[1].texts[0].get_text()


def test_images_without_a_label_are_rings(tmp_path: Path) -> None:
    labels = [i % 4 if i % 2 else None for i in range(N)]
    results = fastxai.explain_dataset(
        small_net(), images(N), "saliency", tmp_path / "run", target=0, labels=labels
    )
    figure = fastxai.embed_maps(results).plot(tmp_path / "maps.png")
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "no label (12)" in words


def test_a_picture_needs_neither_groups_nor_labels(tmp_path: Path) -> None:
    results = fastxai.explain_dataset(
        small_net(), images(14), "saliency", tmp_path / "run", target=0, thumbnail=0
    )
    found = fastxai.embed_maps(results)
    assert set(found.groups) == {None} and set(found.correct) == {None}
    assert found.plot().axes[0].get_legend() is None
    assert len(_pictures(found.html(tmp_path / "maps.html"))) == 14


def test_regions_hold_every_point_once(run: Any) -> None:
    places = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    regions = regions_of(places, 4)
    assert sorted(np.concatenate([region.members for region in regions])) == list(range(50))
    assert [len(region.members) for region in regions] == sorted(
        (len(region.members) for region in regions), reverse=True
    )
    assert all(region.middle in region.members for region in regions)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda found, folder: found.plot(folder / "maps.jpg"), "unknown ending '.jpg'"),
        (lambda found, folder: found.plot(folder / "none" / "maps.png"), "there is no folder"),
        (lambda found, folder: found.plot(regions=0), "regions=0"),
        (lambda found, folder: found.html(folder / "maps.png"), "unknown ending '.png'"),
        (lambda found, folder: found.html(folder / "maps.html", pictures=-1), "pictures=-1"),
    ],
    ids=["ending", "folder", "regions", "page's ending", "pictures"],
)
def test_what_can_not_be_drawn_is_refused(
    run: Any, tmp_path: Path, draw: Callable[..., Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        draw(fastxai.embed_maps(run), tmp_path)


# --- the page ------------------------------------------------------------------------------


def _points(page: Path) -> list[dict[str, Any]]:
    found = re.search(r"const points = (.*?), groups = ", page.read_text("utf-8"))
    assert found is not None
    points: list[dict[str, Any]] = json.loads(found[1])
    return points


def _pictures(page: Path) -> list[str]:
    return [point["p"] for point in _points(page) if point["p"]]


def test_a_page_holds_every_point_with_its_picture(run: Any, tmp_path: Path) -> None:
    page = fastxai.embed_maps(run).html(tmp_path / "maps.html")
    points = _points(page)
    assert len(points) == N
    assert all(point["p"].startswith("data:image/png;base64,") for point in points)
    assert points[1]["w"][-1] == "label 1" and points[1]["w"][1].startswith("predicted ")


def test_a_page_asks_for_nothing_and_runs_nothing_of_the_data(run: Any, tmp_path: Path) -> None:
    text = fastxai.embed_maps(run).html(tmp_path / "maps.html").read_text("utf-8")
    assert set(re.findall(r"https?://[^\"' )]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|img|iframe|script src)", text)
    assert text.count("</script>") == 1 and "<b>" not in text


def test_so_many_pictures_as_wanted(run: Any, tmp_path: Path) -> None:
    page = fastxai.embed_maps(run).html(tmp_path / "maps.html", pictures=7)
    assert len(_pictures(page)) == 7 and len(_points(page)) == N
    assert "7 of them, drawn at random, have a picture" in page.read_text("utf-8")


# --- the planted shortcut ------------------------------------------------------------------


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = shortcut_images()
    results = fastxai.explain_dataset(
        shortcut_cnn(),
        data.images.numpy(),
        ["layercam", "saliency"],
        tmp_path_factory.mktemp("shortcut") / "run",
        labels=data.labels.tolist(),
        groups=data.groups,
        batch_size=64,
    )
    return results, (data.marks >= 0).numpy()


@pytest.mark.parametrize("digit", [0, 8])
@pytest.mark.parametrize("method", ["layercam", "saliency"])
def test_the_planted_shortcut_is_a_cluster(marked: Any, method: str, digit: int) -> None:
    results, bears = marked
    found = fastxai.embed_maps(results, method, target=digit)
    bears = bears[found.rows]
    assert min(bears.sum(), (~bears).sum()) >= 10
    away = np.linalg.norm(found.embedding[:, None] - found.embedding, axis=-1)
    nearest = np.argsort(away, axis=1)[:, 1:6]
    purity = (bears[nearest] == bears[:, None]).mean()
    alike_by_chance = max(bears.mean(), 1 - bears.mean())
    assert purity > 0.95 > alike_by_chance + 0.1


def test_marked_images_lie_together_whatever_digit_they_show(marked: Any) -> None:
    found = fastxai.embed_maps(marked[0], "layercam", target=8)
    groups = np.array(found.groups)
    assert {"train", "foreign", "missing"} == set(groups)
    places = {group: np.median(found.embedding[groups == group], axis=0) for group in set(groups)}
    near = np.linalg.norm(places["train"] - places["foreign"])
    assert np.linalg.norm(places["train"] - places["missing"]) > 2 * near
