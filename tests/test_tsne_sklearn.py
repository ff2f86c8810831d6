"""scikit-learn's own t-SNE tests, run against ours; what is left out says why.

Their file is imported as it is installed, and `TSNE` in it replaced by `Adapter`, which
speaks their dialect where ours differs on purpose.
"""

from __future__ import annotations

from typing import Any

import pytest

from fastxai import TSNE

theirs = pytest.importorskip("sklearn.manifold.tests.test_t_sne")

_PRIVATE = "tests a private function of scikit-learn"
_WORDS = "asks for scikit-learn's words; tests/test_tsne_input.py asks for ours"
_PRINTS = "asks for lines on stdout; here progress goes to stderr (tests/test_progress.py)"
SKIPPED = {
    "test_gradient_descent_stops": _PRIVATE,
    "test_binary_search": _PRIVATE,
    "test_binary_search_underflow": _PRIVATE,
    "test_binary_search_neighbors": _PRIVATE,
    "test_binary_perplexity_stability": _PRIVATE,
    "test_gradient": _PRIVATE,
    "test_trustworthiness": _PRIVATE,
    "test_trustworthiness_n_neighbors_error": _PRIVATE,
    "test_trustworthiness_not_euclidean_metric": _PRIVATE,
    "test_answer_gradient_two_points": _PRIVATE,
    "test_answer_gradient_four_points": _PRIVATE,
    "test_skip_num_points_gradient": _PRIVATE,
    "test_barnes_hut_angle": _PRIVATE,
    "test_gradient_bh_multithread_match_sequential": _PRIVATE,
    "test_bad_precomputed_distances": _WORDS,
    "test_non_positive_computed_distances": _WORDS,
    "test_pca_initialization_not_compatible_with_precomputed_kernel": _WORDS,
    "test_high_perplexity_precomputed_sparse_distances": (
        "few stored distances are used as far as they go, or refused by row; "
        "tests/test_tsne_input.py"
    ),
    "test_exact_no_precomputed_sparse": "here method='exact' takes sparse distances too",
    "test_tsne_with_different_distance_metrics": (
        "asks for the same bits from scikit-learn's cosine distances and from our kernels', "
        "which round differently"
    ),
    "test_tsne_with_mahalanobis_distance": (
        "asks for scikit-learn's words and for the same bits from SciPy's distances; "
        "tests/test_search.py compares ours with SciPy's"
    ),
    "test_bh_match_exact": (
        "compares two kernels to 1e-4 of each coordinate, of which one is 1e-6; "
        "tests/test_tsne.py compares them to 1e-4 of the embedding"
    ),
    "test_verbose": _PRINTS,
    "test_n_iter_without_progress": _PRINTS,
    "test_min_grad_norm": _PRINTS + "; tests/test_tsne.py",
    "test_accessible_kl_divergence": _PRINTS + "; tests/test_tsne.py",
}


class Adapter(TSNE):
    """Ours under scikit-learn's conventions."""

    _EXPLORATION_MAX_ITER = 250

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: Any = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Any = "euclidean",
        metric_params: Any = None,
        init: Any = "pca",
        verbose: int = 0,
        random_state: Any = 0,
        method: str = "barnes_hut",
        angle: float = 0.5,
        n_jobs: int | None = None,
    ) -> None:
        given = dict(locals())
        for name in ("self", "__class__"):
            given.pop(name, None)
        super().__init__(**given)

    def fit(self, X: Any, y: Any = None) -> Any:
        asked = self.perplexity
        # Ours refuses a perplexity of 1, at which a point has one neighbour and no choice.
        self.perplexity = 1.001 if asked == 1 else asked
        self.early_exaggeration_iter = self._EXPLORATION_MAX_ITER
        self.final_momentum = 0.8
        try:
            super().fit(X, y)
        finally:
            self.perplexity = asked
        self.n_iter_ -= 1  # theirs is the index of the last iteration
        return self


@pytest.fixture(autouse=True)
def _ours_for_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theirs, "TSNE", Adapter)


for _name, _test in vars(theirs).items():
    if _name.startswith("test_"):
        reason = SKIPPED.get(_name)
        globals()[_name] = pytest.mark.skip(reason=reason)(_test) if reason else _test


def test_what_is_left_out_is_there() -> None:
    assert set(SKIPPED) <= set(vars(theirs))
