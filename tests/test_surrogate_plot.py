"""Pictures: the fidelity above each, nothing drawn that nobody reads, text inside of the sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from surrogate_tables import NAMES, X, buys, forest, numbers, shop

from fastxai import InvalidInputError, surrogate

KINDS = ["tree", "additive", "linear"]


def wave(rows: Any) -> Any:
    return np.sin(rows[:, 0]) + rows[:, 1] ** 2


CASES = {
    "classes": (lambda: forest(), lambda: X, {"class_names": NAMES}),
    "two classes": (lambda: forest(), lambda: X, {"target": 1}),
    "numbers": (lambda: wave, lambda: numbers(), {}),
    "categories": (lambda: buys, lambda: shop(), {}),
    "probabilities": (lambda: forest(), lambda: X, {"output": "probability"}),
    "few values": (
        lambda: lambda r: r[:, 0] + (r[:, 1] == 2),
        lambda: np.random.default_rng(0).integers(0, 4, (200, 2)).astype(float),
        {},
    ),
    "signs": (
        lambda: forest(),
        lambda: X,
        {"feature_names": ["$a$", "a_b^c", "<&>", "a very long name " * 8]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_every_figure_begins_with_the_fidelity(case: str, kind: Any, tmp_path: Path) -> None:
    model, rows, options = CASES[case]
    table = rows()
    found = surrogate(model(), table, kind, held_out=0.3, n_refits=1, **options)
    row = table.iloc[0] if hasattr(table, "iloc") else table[0]
    figures = [found.plot(title="A title"), found.plot_sizes(), found.explain(row).plot()]
    for figure in figures:
        texts = [text.get_text().replace("\n", " ") for text in figure.texts]
        assert found.headline in texts
    assert figures[0].texts[0].get_text() == "A title"
    figures[0].savefig(tmp_path / "picture.png", dpi=60)
    assert inside(figures[0])


def inside(figure: Any) -> bool:
    """Whether all text lies on the sheet."""
    figure.draw_without_rendering()
    box = figure.bbox
    titles = [t for ax in figure.axes for t in (ax.title, ax._left_title, ax._right_title)]
    for text in [*figure.texts, *titles, *(text for ax in figure.axes for text in ax.texts)]:
        here = text.get_window_extent()
        if text.get_text() and (here.x0 < -2 or here.x1 > box.x1 + 2 or here.y1 > box.y1 + 2):
            return False
    return True


def large(kind: Any) -> Any:
    options: dict[str, Any] = {"max_terms": 20}
    if kind == "tree":
        options = {"max_leaves": 20, "max_depth": 8}
    weights = 0.85 ** np.arange(20)
    rows = numbers(300, 20)
    return surrogate(lambda r: r @ weights, rows, kind, held_out=0.3, n_refits=0, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_reads_is_drawn_only_by_force(kind: Any) -> None:
    found = large(kind)
    assert not found.readable
    with pytest.raises(InvalidInputError, match="force=True"):
        found.plot()
    assert inside(found.plot(force=True))
    found.explain(numbers(1, 20)[0]).plot()  # one row's way is always short enough


def test_a_deep_tree_of_few_leaves_is_not_read_either() -> None:
    found = surrogate(forest(), X, max_leaves=12, max_depth=9, min_leaf=1, n_refits=0)
    assert found.size["depth"] > 4
    with pytest.raises(InvalidInputError, match="depth"):
        found.plot()


@pytest.mark.filterwarnings("ignore::fastxai.FastxaiWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_surrogate_that_found_nothing_has_a_picture(kind: Any) -> None:
    def rare(rows: Any) -> Any:
        return (np.arange(len(rows)) == 0).astype(int)

    found = surrogate(rare, np.arange(40.0)[:, None], kind, n_refits=1)
    found.plot()
    found.plot_sizes()


def test_the_same_surrogate_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        surrogate(forest(), X, n_refits=0).plot().savefig(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
