"""The linear stand-in against scikit-learn, lime, Shapley's definition, and by hand."""

import math
from itertools import permutations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances, r2_score

from fastxai import LIME
from fastxai.explain.superpixels.sampling import Masks, lime_masks, shapley_masks
from fastxai.explain.superpixels.solve import constrained, r_squared, ridge, select
from fastxai.explain.superpixels.stability import stability

torch = pytest.importorskip("torch")

random = np.random.default_rng(0)


def drawn(n=200, segments=12, k=2, seed=0):
    """LIME's masks, and scores that hang on them and on chance."""
    generator = np.random.default_rng(seed)
    masks = lime_masks(n, segments, seed, 0.25)
    weights = generator.standard_normal((segments, k))
    return masks, masks.shown @ weights + generator.standard_normal((n, k))


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("n, segments", [(200, 12), (60, 50), (30, 1)], ids=str)
def test_ridge_is_scikit_learns(n, segments, alpha):
    masks, scores = drawn(n, segments)
    fit = ridge(masks.shown, scores, masks.weights, alpha)
    theirs = Ridge(alpha=alpha).fit(masks.shown * 1.0, scores, masks.weights)
    np.testing.assert_allclose(fit.coefficients, theirs.coef_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, theirs.intercept_, rtol=1e-8, atol=1e-9)
    mine = r_squared(fit, masks.shown, scores, masks.weights)
    for k in range(2):
        expected = r2_score(scores[:, k], fit.at(masks.shown)[:, k], sample_weight=masks.weights)
        assert mine[k] == pytest.approx(expected, rel=1e-9)


def lime_by_hand(data, labels, n_features, kernel_width=0.25):
    """lime_image and lime_base in NumPy, with the least squares of numpy.linalg."""
    norms = np.linalg.norm(data, axis=1) * np.linalg.norm(data[0])
    away = 1 - np.divide(data @ data[0], norms, out=np.zeros(len(data)), where=norms > 0)
    root = np.sqrt(np.sqrt(np.exp(-(away**2) / kernel_width**2)))

    def fit(columns, alpha):
        weights = root**2 / (root**2).sum()
        z = data[:, columns] - weights @ data[:, columns]
        y = labels - weights @ labels
        rows = np.concatenate([z * root[:, None], math.sqrt(alpha) * np.eye(len(columns))])
        values = np.concatenate([y * root, np.zeros(len(columns))])
        found = np.linalg.lstsq(rows, values)[0]
        left = (root**2 * np.square(y - z @ found)).sum()
        return found, weights @ (labels - data[:, columns] @ found), left

    used = list(range(data.shape[1]))
    if n_features is not None and n_features <= 6:
        used = []
        for _ in range(n_features):
            rest = [j for j in range(data.shape[1]) if j not in used]
            used.append(min(rest, key=lambda j: fit([*used, j], 0.0)[2]))
    elif n_features is not None:
        size = np.abs(fit(used, 0.01)[0])
        used = sorted(used, key=lambda j: -size[j])[:n_features]
    found, intercept, _ = fit(used, 1.0)
    coefficients = np.zeros(data.shape[1])
    coefficients[used] = found
    return coefficients, intercept


CASES = pytest.mark.parametrize(
    "n, segments, n_features",
    [(200, 12, None), (60, 50, None), (150, 30, 4), (150, 30, 10)],
    ids=["all", "many segments", "forward selection", "largest weights"],
)


@CASES
def test_lime_is_its_formula(n, segments, n_features):
    masks, scores = drawn(n, segments, 1)
    method = LIME(torch.nn.Linear(1, 1), n_features=n_features)
    fit = method.solve(masks.shown, scores, masks.weights)
    coefficients, intercept = lime_by_hand(masks.shown * 1.0, scores[:, 0], n_features)
    np.testing.assert_allclose(fit.coefficients[0], coefficients, rtol=1e-9, atol=1e-10)
    assert fit.intercept[0] == pytest.approx(intercept, rel=1e-9, abs=1e-10)


@CASES
def test_lime_is_the_package_lime(n, segments, n_features):
    base = pytest.importorskip("lime.lime_base").LimeBase(
        lambda away: np.sqrt(np.exp(-(away**2) / 0.25**2)), random_state=0
    )
    masks, scores = drawn(n, segments, 1)
    data = masks.shown * 1.0
    away = pairwise_distances(data, data[:1], metric="cosine").ravel()
    intercept, pairs, score, _ = base.explain_instance_with_data(
        data, scores, away, 0, n_features or segments
    )
    coefficients = np.zeros(segments)
    for number, value in pairs:
        coefficients[number] = value
    method = LIME(torch.nn.Linear(1, 1), n_features=n_features)
    fit = method.solve(masks.shown, scores, masks.weights)
    np.testing.assert_allclose(fit.coefficients[0], coefficients, rtol=1e-9, atol=1e-10)
    assert fit.intercept[0] == pytest.approx(intercept, rel=1e-9, abs=1e-10)
    found = r_squared(fit, masks.shown, scores, masks.weights)
    assert found[0] == pytest.approx(score, rel=1e-9)


def test_selection_finds_what_matters():
    masks, _ = drawn(300, 20)
    scores = masks.shown @ np.eye(20)[[3, 7]].T @ [2.0, -1.0]
    assert select(masks.shown, scores, masks.weights, 2).tolist() == [3, 7]
    assert {3, 7} <= set(select(masks.shown, scores, masks.weights, 8).tolist())
    assert select(masks.shown, scores, masks.weights, 99).tolist() == list(range(20))


# --- Shapley values ----------------------------------------------------------------------------


def game(shown, seed=1):
    """A score with interactions of two and three segments."""
    generator = np.random.default_rng(seed)
    z, m = shown * 1.0, shown.shape[1]
    pairs = generator.standard_normal((m, m))
    return (z @ generator.standard_normal(m) + ((z @ pairs) * z).sum(1) + 2 * z[:, :3].prod(1))[
        :, None
    ]


def shapley_by_definition(segments):
    """The mean rise over all orders in which segments come."""
    total = np.zeros(segments)
    for order in permutations(range(segments)):
        steps = np.zeros((segments + 1, segments), bool)
        for place, one in enumerate(order):
            steps[place + 1 :, one] = True
        total[list(order)] += np.diff(game(steps)[:, 0])
    return total / math.factorial(segments)


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 6])
def test_all_masks_give_the_shapley_values(segments):
    if segments < 3:
        score = lambda shown: (shown * 1.0).prod(1)[:, None]  # noqa: E731
        expected = np.full(segments, 1 / segments)
    else:
        score, expected = game, shapley_by_definition(segments)
    masks = shapley_masks(100, segments, 0)
    fit = constrained(masks.shown, score(masks.shown), masks.weights)
    np.testing.assert_allclose(fit.coefficients[0], expected, rtol=1e-10, atol=1e-12)


def test_masks_that_are_drawn_come_near_the_shapley_values():
    everything = shapley_masks(2**12, 12, 0)
    truth = constrained(everything.shown, game(everything.shown), everything.weights)
    errors = []
    for n in (100, 1600):
        some = [shapley_masks(n, 12, seed) for seed in range(8)]
        fits = [constrained(m.shown, game(m.shown), m.weights).coefficients for m in some]
        errors.append(np.sqrt(np.mean([np.square(f - truth.coefficients).mean() for f in fits])))
    assert errors[1] < errors[0] / 2.5  # the root of 16 is 4
    assert errors[1] < 0.1 * np.abs(truth.coefficients).max()


@pytest.mark.parametrize("n, segments", [(16, 4), (60, 20), (400, 50)], ids=str)
def test_the_values_add_up(n, segments):
    masks = shapley_masks(n, segments, 3)
    scores = np.random.default_rng(1).standard_normal((len(masks), 3)) * [1, 1e-3, 1e3]
    fit = constrained(masks.shown, scores, masks.weights)
    missing = fit.coefficients.sum(1) - (scores[0] - scores[1])
    assert (np.abs(missing) <= 1e-14 * np.abs(fit.coefficients).sum(1)).all()
    assert np.array_equal(fit.intercept, scores[1])


def test_an_additive_score_is_found_with_few_masks():
    masks = shapley_masks(60, 20, 0)
    weights = np.random.default_rng(2).standard_normal(20)
    scores = (masks.shown @ weights)[:, None] + 0.5
    fit = constrained(masks.shown, scores, masks.weights)
    np.testing.assert_allclose(fit.coefficients[0], weights, rtol=1e-9, atol=1e-10)


def test_masks_that_do_not_suffice_give_nan():
    shown = np.array([[True] * 3, [False] * 3, [True, False, False], [False, True, True]])
    fit = constrained(shown, np.ones((4, 1)), np.array([0, 0, 0.5, 0.5]))
    assert np.isnan(fit.coefficients).all()


# --- fidelity and stability --------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6], ids=str)
def test_of_scores_that_do_not_vary_nothing_is_explained(value):
    masks, scores = drawn(k=1)
    grain = np.float32(value) * (
        1 + np.finfo(np.float32).eps * random.integers(-2, 3, scores.shape)
    )
    fit = ridge(masks.shown, grain, masks.weights, 1.0)
    assert np.isnan(r_squared(fit, masks.shown, grain, masks.weights)).all()
    assert np.abs(fit.coefficients).max() <= 1e-5 * abs(value)


def solve(shown, scores, weights):
    return ridge(shown, scores, weights, 1.0)


def test_halves_tell_how_far_seeds_differ():
    """The root mean square of std beside that of the coefficients of 40 seeds: within a fifth."""
    found, told = [], []
    for seed in range(40):
        masks = lime_masks(400, 15, seed, 0.25)
        scores = game(masks.shown)
        found.append(ridge(masks.shown, scores, masks.weights, 1.0).coefficients)
        told.append(stability(masks, scores, solve, seed))
    true = np.sqrt(np.var(found, axis=0, ddof=1).mean())
    stds = np.sqrt(np.mean([np.square(one.std).mean() for one in told]))
    assert stds == pytest.approx(true, rel=0.2)
    agreement = np.mean([one.agreement[0] for one in told])
    pairs = [np.corrcoef(*(np.argsort(np.argsort(x[0])) for x in found[i : i + 2]))[0, 1]
             for i in range(0, 40, 2)]  # fmt: skip
    assert np.mean(pairs) - 0.15 < agreement < np.mean(pairs) + 0.02


def test_held_out_fidelity_is_below_that_of_the_masks_that_were_used():
    generator = np.random.default_rng(0)
    masks = lime_masks(100, 40, 0, 0.25)
    noise = generator.standard_normal((100, 1))
    fit = ridge(masks.shown, noise, masks.weights, 1.0)
    told = stability(masks, noise, solve, 0)
    assert r_squared(fit, masks.shown, noise, masks.weights)[0] > 0.3
    assert told.held_out[0] < 0
    assert abs(told.agreement[0]) < 0.3
    linear = (masks.shown @ generator.standard_normal(40))[:, None]
    assert stability(masks, linear, lambda z, y, w: ridge(z, y, w, 1e-6), 0).held_out > 0.99


def test_masks_that_were_written_out_leave_nothing_to_chance():
    masks = shapley_masks(64, 6, 0)
    told = stability(masks, game(masks.shown), constrained, 0)
    assert (told.std == 0).all()
    assert told.agreement.tolist() == [1.0]
    assert np.isnan(told.held_out).all()


def test_equal_coefficients_have_no_ranks():
    masks, scores = drawn(k=1)
    told = stability(masks, scores * 0, solve, 0)
    assert np.isnan(told.agreement).all()
    assert (told.std == 0).all()


def test_pairs_stay_together():
    """Of a score whose odd part alone is linear both halves find the same only if pairs do."""
    masks = shapley_masks(400, 20, 0)
    assert isinstance(masks, Masks)
    weights = np.random.default_rng(0).standard_normal(20)
    even = np.square(masks.shown.sum(1) - 10.0)
    scores = (masks.shown @ weights + even)[:, None]
    told = stability(masks, scores, constrained, 0)
    assert told.std.max() < 1e-9
