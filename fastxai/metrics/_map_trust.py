"""All figures of several methods as one table, which can be kept as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import InvalidInputError
from ._estimate import Estimate

RANDOM = "random"  # the row of maps of noise
_VERSION = 1
_SIGNS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class TrustRow:
    """One figure of one method.

    Attributes
    ----------
    method, measure : str
    value, low, high : float
        The figure and its 95% confidence interval over images like these; NaN where unknown.
    n, total : int
        How many images count, and how many there are.
    better : {"higher", "lower"}
        Which values are good.
    """

    method: str
    measure: str
    value: float
    low: float
    high: float
    n: int
    total: int
    better: str

    @property
    def estimate(self) -> Estimate:
        """The figure as an `Estimate`."""
        return Estimate(self.value, self.low, self.high)


@dataclass(frozen=True, eq=False, repr=False)
class Trust:
    """Figures of several methods on the same images.

    Attributes
    ----------
    rows : tuple of TrustRow
        One for each method and measure.
    settings : mapping
        How they were measured.

    Examples
    --------
    >>> from fastxai.metrics.maps import Trust, TrustRow
    >>> row = TrustRow("gradcam", "insertion", 0.61, 0.55, 0.67, 32, 32, "higher")
    >>> table = Trust((row,), {"steps": 50})
    >>> print(table)
                   insertion ↑
    gradcam  0.61 [0.55, 0.67]
    >>> Trust.from_json(table.to_json()) == table
    True
    """

    rows: tuple[TrustRow, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order in which they were asked for; noise is the last."""
        names = dict.fromkeys(row.method for row in self.rows)
        return tuple(sorted(names, key=RANDOM.__eq__))

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(dict.fromkeys(row.measure for row in self.rows))

    def __getitem__(self, key: tuple[str, str]) -> TrustRow:
        """The row of ``table["gradcam", "insertion"]``."""
        for row in self.rows:
            if (row.method, row.measure) == key:
                return row
        raise KeyError(
            f"{key!r}: the methods are {', '.join(self.methods)}, the measures "
            f"{', '.join(self.measures)}"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trust):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """A line a method, a column a measure; arrows show which end is good."""
        head = ["", *(f"{name} {self._sign(name)}" for name in self.measures)]
        lines = [head]
        for method in self.methods:
            cells = {row.measure: _cell(row) for row in self.rows if row.method == method}
            lines.append([method, *(cells.get(name, "") for name in self.measures)])
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([line[0].ljust(wide[0]), *map(str.rjust, line[1:], wide[1:])]).rstrip()
            for line in lines
        )

    def _sign(self, measure: str) -> str:
        return next(_SIGNS.get(row.better, "") for row in self.rows if row.measure == measure)

    def to_pandas(self) -> Any:
        """A data frame with a line for each method and measure.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        from ..errors import MissingDependencyError

        try:
            import pandas
        except ImportError:
            raise MissingDependencyError(
                "a data frame needs pandas: pip install 'fastxai[sets]'; .rows holds the same"
            ) from None
        return pandas.DataFrame([asdict(row) for row in self.rows])

    def to_json(self) -> str:
        """The table as JSON text; NaN is null, numbers are exact."""
        rows = [{k: _or_null(v) for k, v in asdict(row).items()} for row in self.rows]
        settings = {name: _or_null(value) for name, value in self.settings.items()}
        given = {"version": _VERSION, "settings": settings, "rows": rows}
        return json.dumps(given, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Trust:
        """The table that `to_json` wrote.

        Raises
        ------
        InvalidInputError
            If the text is something else, or of a newer version.
        """
        try:
            given = json.loads(text)
            version, rows, settings = given["version"], given["rows"], given["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"this is no table of trust as JSON: {error}") from None
        if version != _VERSION:
            raise InvalidInputError(
                f"the table has version {version}, and this fastxai reads {_VERSION}: install a "
                "newer one, or measure again"
            )
        try:
            return cls(tuple(TrustRow(**_numbers(row)) for row in rows), settings)
        except (TypeError, AttributeError) as error:
            raise InvalidInputError(f"this is no table of trust as JSON: {error}") from None


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with NaN where null stands."""
    return {
        k: (math.nan if v is None else float(v)) if k in ("value", "low", "high") else v
        for k, v in row.items()
    }


def _cell(row: TrustRow) -> str:
    if math.isnan(row.value):
        return "–"
    text = f"{row.value:.2f}"
    if not math.isnan(row.low):
        text += f" [{row.low:.2f}, {row.high:.2f}]"
    return text if row.n == row.total else f"{text} of {row.n}"
