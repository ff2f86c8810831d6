"""Who is compared with whom, and who of them is installed where."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInputError
from .machine import versions

METHODS = ("umap", "tsne", "pca")
OURS = "fastxai"
# A library, its distribution, and the methods it has.
PEERS = {
    "umap-learn": ("umap-learn", ("umap",)),
    "openTSNE": ("openTSNE", ("tsne",)),
    "sklearn": ("scikit-learn", ("tsne", "pca")),
}
_COMPILE = (OURS, "umap-learn")  # by Numba, on first use


@dataclass(frozen=True)
class Contestant:
    """A library's method in an interpreter."""

    library: str
    method: str
    python: str
    version: str

    @property
    def compiles(self) -> bool:
        """Whether its first use on a machine takes longer for compiling."""
        return self.library in _COMPILE

    def params(self, n_points: int) -> dict[str, Any]:
        """Its defaults, but for a perplexity that few points ask for."""
        few = (n_points - 1) / 3
        return {"perplexity": max(1.5, few)} if self.method == "tsne" and few < 30 else {}


def find(
    methods: Sequence[str], against: Sequence[str], peers_python: str | None = None
) -> tuple[list[Contestant], list[str]]:
    """The contestants, ours first in each method, and what is to be said of those left out.

    Parameters
    ----------
    methods : sequence of str
        Of `METHODS`.
    against : sequence of str
        Of `PEERS`; looked for in ``peers_python`` first, then in this interpreter.
    peers_python : str, optional
        Another interpreter.

    Returns
    -------
    contestants : list of Contestant
    absent : list of str
        One line for each that is not installed, or has none of the methods.

    Raises
    ------
    InvalidInputError
        If a name is unknown, or the other interpreter does not run.
    """
    _known("method", methods, METHODS)
    _known("against", against, PEERS)
    places = {library: _place(library, peers_python) for library in against}
    mine = versions(sys.executable, (OURS,)).get(OURS, "from source")
    contestants = []
    for method in methods:
        contestants.append(Contestant(OURS, method, sys.executable, mine))
        for library, place in places.items():
            if place is not None and method in PEERS[library][1]:
                contestants.append(Contestant(library, method, *place))
    absent = []
    for library, place in places.items():
        if place is None:
            where = "this environment" if peers_python is None else f"{peers_python}, nor here"
            absent.append(f"{library} is not installed in {where}: left out")
        elif not set(methods) & set(PEERS[library][1]):
            absent.append(f"{library} has no {', '.join(methods)} here: left out")
    return contestants, absent


def _known(what: str, given: Sequence[str], names: Sequence[str] | dict[str, Any]) -> None:
    for name in given:
        if name not in names:
            raise InvalidInputError(f"--{what} {name!r}: choose among {', '.join(names)}")
    if not given or len(set(given)) < len(given):
        raise InvalidInputError(f"--{what}: name each of {', '.join(names)} at most once")


def _place(library: str, peers_python: str | None) -> tuple[str, str] | None:
    """The interpreter that has a library, and its version there."""
    distribution = PEERS[library][0]
    for python in (peers_python, sys.executable):
        if python is None:
            continue
        found = versions(python, (distribution,))
        if not found:
            raise InvalidInputError(f"--peers-python {python}: no Python interpreter that runs")
        if distribution in found:
            return python, found[distribution]
    return None
