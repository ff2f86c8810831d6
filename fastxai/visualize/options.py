"""How images are made: steps, views, penalties, seeds."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from typing import Any

from .._checks import check_number, check_whole
from ..errors import InvalidInputError

_MOST_SCALING = 0.9


@dataclass(frozen=True)
class Options:
    """How images are made, the same for all units of a `FeatureVisualizer`.

    Attributes
    ----------
    steps : int, default 256
        Steps of Adam.
    learning_rate : float, default 0.05
        Of Adam, on the coefficients of the spectrum.
    jitter : float, default 0.05
        Largest shift of a view, as a share of the image's sides.
    scaling : float, default 0.1
        Largest change of size of a view: 0.1 is from 1 / 1.1 to 1.1.
    rotation : float, default 10.0
        Largest turn of a view, in degrees.
    total_variation : float, default 0.0
        Weight of the mean absolute difference of neighbouring pixels, in shares of the
        activation; see `FeatureVisualizer`.
    l2 : float, default 0.0
        Weight of the mean squared distance from mid-grey.
    copies : int, default 1
        Images a unit.
    diversity : float, default 0.0
        Weight of the likeness among a unit's copies; 0 leaves them to their seeds.
    decorrelate : bool, optional
        Whether the spectrum's channels are the principal colours of photographs, by default
        where images have three channels.
    decay : float, default 1.0
        Coefficients of frequency f are scaled by f ** -decay.
    views : int, default 8
        Held-out views by which finished images are judged.
    random_state : int, optional, default 0
        Seed; None draws one, which the result tells.
    """

    steps: int = 256
    learning_rate: float = 0.05
    jitter: float = 0.05
    scaling: float = 0.1
    rotation: float = 10.0
    total_variation: float = 0.0
    l2: float = 0.0
    copies: int = 1
    diversity: float = 0.0
    decorrelate: bool | None = None
    decay: float = 1.0
    views: int = 8
    random_state: int | None = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("copies", 1), ("views", 1)):
            check_whole(name, getattr(self, name), least)
        check_number("learning_rate", self.learning_rate, 0.0, above=True)
        check_number("jitter", self.jitter, 0.0, high=1.0)
        check_number("scaling", self.scaling, 0.0, high=_MOST_SCALING)
        check_number("rotation", self.rotation, 0.0, high=180.0)
        for name in ("total_variation", "l2", "diversity", "decay"):
            check_number(name, getattr(self, name), 0.0)
        if self.decorrelate not in (None, True, False):
            raise InvalidInputError(f"decorrelate={self.decorrelate!r}: choose True, False or None")
        if self.random_state is not None:
            check_whole("random_state", self.random_state, 0)
        if self.diversity and self.copies == 1:
            raise InvalidInputError(
                "diversity= pushes the copies of a unit apart, and there is one: give copies=2 "
                "or more"
            )

    def seed(self) -> int:
        """The seed, drawn where none was given."""
        return secrets.randbits(31) if self.random_state is None else int(self.random_state)


def read_options(who: str, given: dict[str, Any], others: tuple[str, ...]) -> Options:
    """Options by name.

    Raises
    ------
    TypeError
        There is no such option.
    """
    known = [field.name for field in fields(Options)]
    strange = sorted(set(given) - set(known))
    if strange:
        raise TypeError(
            f"{who} has no option {strange[0]!r}; it has {', '.join([*others, *known])}"
        )
    return Options(**given)
