"""The maps of the commonest classes by UMAP: different reasons for one answer lie apart."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

from ..errors import InvalidInputError
from ..image_sets.embed import embed_maps
from ..image_sets.results import Results

_CLASSES = 3
_FEWEST = 30  # maps of a class
_MOST = 3000


class Reasons(NamedTuple):
    """A picture of the maps of a class."""

    name: str
    maps: int
    picture: str


def reasons(results: Results, table: Any) -> list[Reasons]:
    """Of the classes that most maps explain, where there are enough."""
    if len(results.manifest.layout.image_shape) != 3 or not len(table):
        return []
    target = table["target"] if results.single else table["target"].map(lambda some: some[0])
    counts = target.value_counts()
    found = []
    for k in sorted(counts.index, key=lambda k: (-int(counts[k]), int(k)))[:_CLASSES]:
        rows = table.index[target == k].to_numpy()[:_MOST]
        if len(rows) < _FEWEST:
            continue
        try:
            embedding = embed_maps(results, target=int(k), rows=rows)
            figure = embedding.plot()
        except InvalidInputError:  # too few of them say where anything is
            continue
        found.append(Reasons(embedding.title, len(embedding), _picture(figure)))
    return found


def _picture(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
