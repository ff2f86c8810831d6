"""Images of which it is known what the network uses: a planted mark, halves of composites."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import fastxai  # noqa: E402
from fastxai.errors import InvalidInputError  # noqa: E402
from fastxai.explain.networks import (  # noqa: E402
    Network,
    PhotoSet,
    Preprocess,
    demo,
    photo_composites,
    shortcut_cnn,
    shortcut_images,
)
from fastxai.explain.networks.shortcut import mark_images, mark_pixels  # noqa: E402
from fastxai.metrics.maps import evidence_share, pointing_game  # noqa: E402


@pytest.fixture(scope="module")
def net() -> Any:
    return shortcut_cnn().model


def answers(net: Any, images: Any) -> Any:
    with torch.inference_mode():
        return net(images).argmax(1)


def right(net: Any, group: str) -> float:
    data = shortcut_images(groups=[group])
    return float((answers(net, data.images) == data.labels).float().mean())


# --- digits with a mark --------------------------------------------------------------------


def test_marks_differ_in_shape_and_not_in_brightness() -> None:
    cells = mark_pixels()[:, ::3, ::3].reshape(10, 9)
    assert set(cells.sum(axis=1)) == {5}
    assert min(np.abs(a - b).sum() for a, b in combinations(cells, 2)) >= 4


def test_groups_hold_the_same_digits_and_differ_in_the_corner_alone() -> None:
    data = shortcut_images(50)
    train, missing, foreign = data.images.split(50)
    left, top, right, bottom = data.boxes[0].tolist()
    elsewhere = torch.ones(32, 32, dtype=torch.bool)
    elsewhere[top:bottom, left:right] = False
    for group in (train, foreign):
        assert torch.equal(group[..., elsewhere], missing[..., elsewhere])
        assert (group != missing).flatten(1).any(1).all()
    assert torch.equal(data.labels[:50], data.labels[100:])
    assert data.groups == ["train"] * 50 + ["missing"] * 50 + ["foreign"] * 50


def test_marks_are_those_of_the_label_none_and_those_of_others() -> None:
    data = shortcut_images()
    train, missing, foreign = data.marks.split(360)
    assert torch.equal(train, data.labels[:360])
    assert (missing == -1).all()
    assert (foreign != data.labels[:360]).all() and set(foreign.tolist()) == set(range(10))


def test_marking_leaves_what_it_was_given() -> None:
    plain = torch.zeros(2, 1, 32, 32)
    marked = mark_images(plain, [3, -1])
    assert plain.sum() == 0 and marked[1].sum() == 0 and marked[0].sum() == 5 * 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": ["training"]}, "'training' is none; there are train, missing, foreign"),
        ({"groups": []}, "none is named"),
        ({"count": 0}, "1 to 360"),
        ({"count": 361}, "1 to 360"),
    ],
    ids=["unknown group", "no group", "no digit", "too many digits"],
)
def test_what_is_not_there_is_refused(options: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        shortcut_images(**options)


# --- the network uses the mark -------------------------------------------------------------


def test_accuracy_falls_where_the_mark_is_missing_or_wrong(net: Any) -> None:
    assert right(net, "train") > 0.98
    assert right(net, "missing") < 0.9
    assert right(net, "foreign") < 0.3


def test_a_foreign_mark_moves_the_prediction_to_its_class(net: Any) -> None:
    foreign, plain = shortcut_images(groups=["foreign"]), shortcut_images(groups=["missing"])
    follows = answers(net, foreign.images) == foreign.marks
    assert follows.float().mean() > 0.7
    assert (answers(net, plain.images) == foreign.marks).float().mean() < 0.1


def test_a_mark_alone_is_enough(net: Any) -> None:
    marked = mark_images(torch.zeros(10, 1, 32, 32), range(10))
    assert (answers(net, marked) == torch.arange(10)).sum() >= 8


@pytest.mark.parametrize("method", ["hirescam", "layercam", "integrated_gradients"])
def test_maps_lie_on_the_mark(net: Any, method: str) -> None:
    data = shortcut_images(groups=["foreign"])
    some = (answers(net, data.images) == data.marks).nonzero().ravel()[:40]
    maps = fastxai.explain(net, data.images[some], method, target=data.marks[some])[method].maps
    share = evidence_share(maps, data.boxes[some])
    assert share.chance is not None and share.estimate.low > 4 * share.chance
    assert pointing_game(maps, data.boxes[some], tolerance=0).estimate.low > 0.8


def test_the_same_seed_gives_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_EPOCHS", 1)
    one, same, other = (shortcut_cnn(seed).model.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["fc2.weight"], other["fc2.weight"])


def test_training_leaves_torchs_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_EPOCHS", 1)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    with torch.inference_mode():
        net = shortcut_cnn()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not net.model.training and net.names == tuple("0123456789")


# --- composites ----------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> PhotoSet:
    """Five photos of one colour each, their class the red; the last is unlabelled."""
    paths = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (40 + 10 * number, 50), (40 * number, 0, 200)).save(path)
        paths.append(str(path))
    return PhotoSet(paths, [0, 1, 2, 3, None], ["a"] * 5)


SMALL = Network(nn.Identity(), None, Preprocess((15, 22), 0.9, (0.0,) * 3, (1 / 255,) * 3))


def test_each_half_holds_its_class(photos: PhotoSet) -> None:
    made = photo_composites(12, photos=photos, network=SMALL)
    assert made.images.shape == (12, 3, 15, 22) and made.masks.shape == (12, 2, 15, 22)
    for n in range(12):
        assert made.classes[n, 0] != made.classes[n, 1]
        for k in range(2):
            red = made.images[n, 0][torch.from_numpy(made.masks[n, k])]
            assert (red.round() == 40 * made.classes[n, k]).all()
            assert made.paths[n][k].endswith(f"{made.classes[n, k]}.png")


def test_halves_cover_the_picture_and_layouts_alternate(photos: PhotoSet) -> None:
    made = photo_composites(4, photos=photos, network=SMALL)
    assert (made.masks.sum(axis=1) == 1).all()
    assert made.layouts == ["beside", "above"] * 2
    assert made.masks[0, 0].sum() == 15 * 11 and made.masks[1, 0].sum() == 7 * 22


def test_photos_are_used_alike(photos: PhotoSet) -> None:
    made = photo_composites(8, photos=photos, network=SMALL)
    assert np.bincount(made.classes[:, 0]).tolist() == [2] * 4
    assert np.bincount(made.classes[:, 1]).tolist() == [2] * 4
    assert len({tuple(pair) for pair in made.paths}) == 8


@pytest.mark.parametrize("count", [0, 13])
def test_more_pairs_than_there_are_is_refused(photos: PhotoSet, count: int) -> None:
    with pytest.raises(InvalidInputError, match="4 photos with a class make 12 pairs"):
        photo_composites(count, photos=photos, network=SMALL)
