"""`fastxai.prototypes`: what is chosen, from what input, and the picture of it."""

import numpy as np
import pytest
from scipy import sparse

from fastxai import FastxaiWarning, InvalidInputError, Prototypes, datasets, prototypes
from fastxai_kernels import select
from fastxai_kernels.cpu._threads import threads


@pytest.fixture(scope="module")
def digits():
    return datasets.digits()


@pytest.fixture(scope="module")
def found(digits):
    return prototypes(digits.data, 12, 8)


def points(n, d, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def greedy(X, n_prototypes, n_criticisms, gamma):
    """The whole matrix in float64, every candidate set in full."""
    X = X.astype(np.float64)
    square = (X**2).sum(axis=1)
    K = np.exp(-gamma * np.maximum(square[:, None] + square - 2 * X @ X.T, 0))
    means, chosen, losses = K.mean(axis=0), [], []
    for m in range(1, n_prototypes + 1):
        loss = K.mean() - 2 / m * (means[chosen].sum() + means)
        loss += (K[np.ix_(chosen, chosen)].sum() + 2 * K[chosen].sum(axis=0) + 1) / m**2
        loss[chosen] = np.inf
        chosen.append(int(loss.argmin()))
        losses.append(loss.min())
    witness, criticisms = means - K[chosen].mean(axis=0), []
    for _ in range(n_criticisms):
        gain = np.full(len(X), -np.inf)
        for i in set(range(len(X))) - set(chosen) - set(criticisms):
            C = [*criticisms, i]
            gain[i] = abs(witness[i]) + np.linalg.slogdet(K[np.ix_(C, C)])[1]
        criticisms.append(int(gain.argmax()))
    return chosen, criticisms, losses, witness


def test_digits_are_chosen_as_by_the_whole_matrix(digits, found):
    chosen, criticisms, losses, witness = greedy(digits.data, 12, 8, found.gamma)
    assert found.indices.tolist() == chosen
    assert found.criticisms.tolist() == criticisms
    np.testing.assert_allclose(found.mmd2, losses, atol=1e-6)
    np.testing.assert_allclose(found.witness, witness, atol=1e-6)


def test_the_result_holds_host_arrays(digits, found):
    assert isinstance(found, Prototypes)
    assert (found.indices.dtype, found.criticisms.dtype) == (np.int64, np.int64)
    assert (found.mmd2.shape, found.witness.shape) == ((12,), (1797,))
    assert found.labels is None


def test_gamma_is_the_inverse_of_the_median_squared_distance():
    X = points(300, 4)
    squares = ((X[:, None] - X) ** 2).sum(axis=2)[np.triu_indices(300, 1)]
    assert prototypes(X, 1, 0).gamma == pytest.approx(1 / np.median(squares), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e3, 1e25])
def test_the_unit_of_the_data_changes_no_choice(scale):
    X = points(200, 5)
    expected = prototypes(X, 6, 4)
    scaled = prototypes(X * np.float32(scale), 6, 4)
    assert np.array_equal(scaled.indices, expected.indices)
    assert np.array_equal(scaled.criticisms, expected.criticisms)
    assert scaled.gamma == pytest.approx(expected.gamma / scale**2, rel=1e-4)


def test_two_clusters_get_a_prototype_each_and_the_outlier_is_a_criticism():
    X = np.concatenate([points(50, 2), points(50, 2, seed=2) + 20, [[60.0, -40.0]]])
    found = prototypes(X, 2, 3, gamma=0.05)
    assert sorted(found.indices >= 50) == [False, True]
    assert 100 in found.criticisms


def test_several_rectangles_give_what_one_gives(monkeypatch):
    X = points(1100, 3)
    expected = prototypes(X, 5, 5)
    monkeypatch.setattr("fastxai.examples.prototypes_choice.ROWS", 96)
    monkeypatch.setattr("fastxai.examples.prototypes_choice._WORK", 1)
    found = prototypes(X, 5, 5)
    assert np.array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.witness, expected.witness, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(count, digits, found):
    with threads(count):
        again = prototypes(digits.data, 12, 8)
    for name in ("indices", "criticisms", "mmd2", "witness"):
        assert np.array_equal(getattr(again, name), getattr(found, name))


def test_classes_are_chosen_from_by_themselves(digits):
    found = prototypes(digits.data, 3, 2, labels=digits.target)
    assert found.labels.tolist() == np.repeat(np.arange(10), 3).tolist()
    assert found.criticism_labels.tolist() == np.repeat(np.arange(10), 2).tolist()
    assert np.array_equal(digits.target[found.indices], found.labels)
    rows = np.flatnonzero(digits.target == 7)
    alone = prototypes(digits.data[rows], 3, 2, gamma=found.gamma)
    assert np.array_equal(rows[alone.indices], found.indices[21:24])
    assert np.array_equal(rows[alone.criticisms], found.criticisms[14:16])
    assert np.array_equal(alone.mmd2, found.mmd2[21:24])
    assert np.array_equal(alone.witness, found.witness[rows])


@pytest.mark.parametrize(
    "labels",
    [["a", "b", None] * 20, np.array([1.0, 2.0, np.nan] * 20)],
    ids=["text", "numbers"],
)
def test_rows_without_a_label_are_left_out(labels):
    found = prototypes(points(60, 2), 2, 1, labels=labels)
    assert len(found.indices) == 4
    assert (found.indices % 3 != 2).all()
    assert np.isnan(found.witness).nonzero()[0].tolist() == list(range(2, 60, 3))


FORMS = {
    "float64": lambda X, _: X.astype(np.float64),
    "list": lambda X, _: X.tolist(),
    "column after column": lambda X, _: np.asfortranarray(X),
    "read-only": lambda X, _: np.frombuffer(X.tobytes(), np.float32).reshape(X.shape),
}


@pytest.mark.parametrize("form", [*FORMS, "memory map", "torch"])
def test_the_form_of_the_input_does_not_matter(form, tmp_path):
    X = points(80, 6)
    expected = prototypes(X, 4, 3, labels=np.arange(80) % 2)
    if form == "memory map":
        np.save(tmp_path / "X.npy", X)
        given = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif form == "torch":
        given = pytest.importorskip("torch").from_numpy(X)
    else:
        given = FORMS[form](X, None)
    found = prototypes(given, 4, 3, labels=np.arange(80) % 2)
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.criticisms, expected.criticisms)


BAD = {
    "NaN": ({"X": [[1, 2], [np.nan, 3]]}, "NaN at row 1, column 0"),
    "infinity": ({"X": [[1, 2], [np.inf, 3]]}, "inf at row 1"),
    "empty": ({"X": np.empty((0, 3))}, "0 sample"),
    "no feature": ({"X": np.empty((3, 0))}, "0 feature"),
    "one axis": ({"X": [1.0, 2.0]}, "2D array"),
    "images": ({"X": np.zeros((3, 4, 4))}, "reshape"),
    "text": ({"X": [["a"], ["b"]]}, "numbers"),
    "sparse": ({"X": sparse.eye_array(3)}, "toarray"),
    "no prototype": ({"n_prototypes": 0}, "n_prototypes=0"),
    "half a prototype": ({"n_prototypes": 1.5}, "n_prototypes=1.5"),
    "fewer than no criticisms": ({"n_criticisms": -1}, "n_criticisms=-1"),
    "no width": ({"gamma": 0.0}, "gamma=0.0"),
    "a width of NaN": ({"gamma": np.nan}, "gamma=nan"),
    "no kernel left": ({"gamma": 1e60}, "too large for data"),
    "labels of other points": ({"labels": [1, 2]}, "2 labels for 5 points"),
    "no label at all": ({"labels": [None] * 5}, "no point has one"),
    "labels without an order": ({"labels": np.array([1, "a", 2, 3, 4], object)}, "no order"),
    "a table of labels": ({"labels": np.zeros((5, 2))}, "one column"),
    "no such device": ({"device": "abacus"}, "abacus"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused(given, message):
    with pytest.raises(InvalidInputError, match=message):
        prototypes(**{"X": points(5, 2), "n_prototypes": 2, "n_criticisms": 1, **given})


def test_more_prototypes_than_points_are_all_points():
    with pytest.warns(FastxaiWarning, match="n_prototypes=9 is more than there are points"):
        found = prototypes(points(5, 2), 9, 0)
    assert sorted(found.indices) == [0, 1, 2, 3, 4]
    assert found.mmd2[-1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.witness, 0, atol=1e-6)


def test_a_class_with_too_few_points_is_named():
    labels = ["many"] * 15 + ["few"] * 2
    with pytest.warns(FastxaiWarning, match="in class few: reduced to 2"):
        found = prototypes(points(17, 2), 4, 0, labels=labels)
    assert found.labels.tolist() == ["few"] * 2 + ["many"] * 4


def test_one_point_stands_for_itself():
    with pytest.warns(FastxaiWarning, match="n_criticisms=1"):
        found = prototypes([[3.0, 4.0]], 1, 1)
    assert found.indices.tolist() == [0]
    assert found.criticisms.tolist() == []
    assert found.gamma == 1.0
    np.testing.assert_allclose([*found.mmd2, *found.witness], 0, atol=1e-6)


def test_of_equal_points_the_first_are_chosen_and_one_is_a_criticism():
    with pytest.warns(FastxaiWarning, match="all other points are copies"):
        found = prototypes(np.ones((40, 3)), 3, 5)
    assert found.indices.tolist() == [0, 1, 2]
    assert found.criticisms.tolist() == [3]
    np.testing.assert_allclose(found.mmd2, 0, atol=1e-6)


def test_copies_are_chosen_by_the_lowest_row():
    X = np.concatenate([points(700, 40)] * 2)
    found = prototypes(X, 5, 5)
    firsts = found.indices % 700
    assert len(set(firsts.tolist())) == 5
    assert (found.indices < 700).all()


def test_constant_columns_change_nothing():
    X = points(100, 3)
    wide = np.concatenate([X, np.full((100, 2), 7, np.float32)], axis=1)
    expected, found = prototypes(X, 5, 3), prototypes(wide, 5, 3)
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.criticisms, expected.criticisms)


def test_the_input_stays_as_it_is():
    X = points(50, 3)
    before = X.copy()
    prototypes(X, 3, 2)
    assert np.array_equal(X, before)


def test_progress_is_shown(capsys):
    prototypes(points(50, 3), 2, 1, verbose=True)
    assert "prototypes:" in capsys.readouterr().err


def test_ctrl_c_falls_between_two_calls(monkeypatch):
    kernels, calls = select("cpu"), []

    def interrupted(*given):
        calls.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(kernels, "kernel_sums", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prototypes(points(5000, 3), 2, 1)
    assert len(calls) == 1


@pytest.fixture(scope="module")
def pictures(digits):
    return digits.data.reshape(-1, 8, 8)


def test_the_picture_shows_prototypes_and_criticisms(found, pictures, tmp_path):
    figure = found.plot(pictures, columns=6, title="digits", path=tmp_path / "p.png")
    assert len(figure.axes) == 20
    words = [text.get_text() for text in figure.texts]
    assert {"Prototypes", "Criticisms", "digits"} <= set(words)
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_the_picture_has_a_row_a_class(digits, pictures):
    found = prototypes(digits.data, 2, 1, labels=digits.target)
    figure = found.plot(pictures, names=[f"digit {k}" for k in range(10)])
    words = [text.get_text() for text in figure.texts]
    assert {"digit 0", "digit 9", "Prototypes", "Criticisms"} <= set(words)
    assert len(figure.axes) == 30


def test_a_picture_without_criticisms(digits, pictures):
    assert len(prototypes(digits.data, 3, 0).plot(pictures).axes) == 3
    found = prototypes(digits.data, 1, 0, labels=digits.target)
    assert len(found.plot(pictures).axes) == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": np.zeros((3, 8, 8))}, "3 for 1,797 rows"),
        ({"images": 5}, "a int for"),
        ({"columns": 0}, "columns=0"),
        ({"size": 0.0}, "size=0.0"),
        ({"columns": 1000, "size": 1000}, "size=1000"),
        ({"path": "picture.txt"}, "picture.txt"),
    ],
    ids=["too few", "no images", "no columns", "no size", "too large", "no picture file"],
)
def test_a_picture_that_can_not_be_is_refused(given, message, found, pictures):
    with pytest.raises(InvalidInputError, match=message):
        found.plot(**{"images": pictures, **given})


def test_a_carpet_of_images_is_refused(digits, pictures):
    found = prototypes(digits.data, 90, 0)
    with pytest.raises(InvalidInputError, match="more than one can look at"):
        found.plot(pictures, columns=1)
