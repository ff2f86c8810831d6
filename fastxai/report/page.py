"""The page: everything that is told about a set, in one file that needs no network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from .._warn import warn
from ..errors import InvalidInputError, MissingDependencyError
from ..image_sets.results import Results, open_results
from ..io import atomic_write, check_output
from ..metrics._estimate import Estimate
from ..metrics.maps import Trust
from ..progress import open_progress
from . import cards, facts, sections
from .evidence import SAMPLE, Evidence, sample
from .reasons import reasons

_TEMPLATE = "page.html.j2"
_COMPARED = 12  # groups


def write(
    results: Results | str | Path,
    path: str | Path | None = None,
    *,
    trust: Any = None,
    boxes: Any = None,
    reference: str | None = None,
    title: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write one HTML page about an explained set.

    It holds what was explained and what failed, how often the network was right and where the
    evidence lies, by class and by group, the groups compared with the first, the wrong answers,
    how far the maps can be trusted, and the maps of the commonest classes by UMAP.  It opens
    without a network.

    Parameters
    ----------
    results : Results, str or Path
        Of `explain_dataset`, or its folder.
    path : str or Path, optional
        The .html file; by default ``report.html`` in the folder.
    trust : Trust, optional
        Of `fastxai.metrics.maps.trust`; by default what ``fastxai report`` has measured.
    boxes : sequence, optional
        Where the object is, for the share of the evidence inside: for each image of the set
        (left, top, right, bottom) in pixels of the network's input, some of them, or None.
    reference : str, optional
        The group that others are compared with; by default one called after training, else the
        largest.
    title : str, optional
        By default the name of the folder.
    verbose : bool, default False
        Show progress.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        If there is no run, or nothing of it is explained yet.
    MissingDependencyError
        If jinja2 is not installed.

    Examples
    --------
    >>> import numpy as np, torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    >>> images = np.random.default_rng(0).random((10, 3, 16, 16), np.float32)
    >>> results = fastxai.explain_dataset(net, images, "saliency", "run")
    >>> fastxai.report.write(results).name
    'report.html'
    """
    results = results if isinstance(results, Results) else open_results(results)
    if not len(results.table):
        raise InvalidInputError(f"{results.path}: nothing is explained yet; continue the run first")
    if boxes is not None and len(boxes) != len(results):
        raise InvalidInputError(f"boxes= holds {len(boxes)} for {len(results)} images")
    if trust is not None and not isinstance(trust, Trust):
        raise InvalidInputError(
            f"trust= is a {type(trust).__name__}: give what fastxai.metrics.maps.trust returned"
        )
    path = results.path / "report.html" if path is None else Path(path)
    check_output(path, (".html", ".htm"))
    template = _template()
    with open_progress(verbose) as progress, progress.stage("report"):
        content = template.render(_content(results, trust, boxes, reference, title))
    with atomic_write(path) as temporary:
        temporary.write_text(content, "utf-8", errors="backslashreplace")
    return path


def _template() -> Any:
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError(
            "a report needs jinja2, which is not installed: pip install 'fastxai[sets]'"
        ) from None
    # Names of files and classes come from anywhere: everything is escaped.
    room = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    room.filters |= {"number": _number, "change": _change, "many": _many}
    return room.from_string(files(__package__).joinpath(_TEMPLATE).read_text("utf-8"))


def _content(
    results: Results, trust: Trust | None, boxes: Any, reference: str | None, title: str | None
) -> dict[str, Any]:
    table = facts.explained(results)
    drawn = sample(table.index.to_numpy())
    flat = len(results.manifest.layout.image_shape) == 3 and len(drawn) > 0
    evidence = {n: Evidence(results, n, drawn, boxes) for n in results.methods} if flat else {}
    classes, groups = facts.by_class(results, table), facts.by_group(table, reference)
    shown = cards.chosen(results)
    whole = facts.facts("all", table)
    first = results.methods[0]
    return {
        "title": title or results.path.resolve().name,
        "results": results,
        "settings": results.settings,
        "done": len(results.table),
        "whole": whole,
        "whole_row": sections.rows(evidence, [whole])[0],
        "by": "true" if facts.class_column(table) == "label_class" else "predicted",
        "classes": sections.rows(evidence, classes),
        "n_classes": len(classes),
        "groups": sections.rows(evidence, groups),
        "n_groups": len(groups),
        "changes": sections.changes(results, evidence, groups[:_COMPARED]),
        "not_compared": max(0, len(groups) - _COMPARED),
        "matrix": sections.matrix(results, groups),
        "methods": list(evidence),
        "sampled": SAMPLE if len(drawn) < len(table) else 0,
        "failures": facts.failures(results),
        "n_failed": len(results.table) - len(table),
        "n_wrong": int(table["correct"].eq(False).fillna(False).sum()),
        "cards": {name: cards.cards(results, first, rows) for name, rows in shown.items()},
        "trust": trust if trust is not None else _measured(results),
        "reasons": reasons(results, table),
        "boxes": boxes is not None,
        "problems": [line for line in results.problems() if "images failed" not in line],
    }


def _measured(results: Results) -> Trust | None:
    """The figures of trust that are there; a damaged file of them does not end the report."""
    from ..image_sets.trust import read_trust

    try:
        return read_trust(results.path)
    except InvalidInputError as error:
        warn(str(error))
        return None


def _number(value: Estimate | float | None, digits: int = 2) -> str:
    if value is None or value != value:
        return "–"
    return f"{float(value):.{digits}f}"


def _change(value: Estimate | None) -> str:
    """A difference of shares in points, with its interval."""
    if value is None:
        return "–"
    low, high = 100 * value.low, 100 * value.high
    return f"{100 * value.value:+.1f} ({low:+.1f} to {high:+.1f})"


def _many(value: int) -> str:
    return f"{value:,}"
