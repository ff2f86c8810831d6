"""t-SNE's optimisation: early exaggeration, then the main phase, by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..devices import namespace, to_host
from ..errors import DivergedError
from .tsne_graph import Graph, Positions
from .tsne_repulsion import Repulsion
from .umap_layout import along_a_curve

Callback = Callable[[int, float, Positions], Any]

# The divergence is looked at after so many iterations, as scikit-learn does.
CHECK_EVERY = 50
# Points are put in the order of a curve through the layout: neighbours share cache lines.
_ORDER_AT = (0, 50)
_ORDER_EVERY = 250
_MANY = 5000


class Phase(NamedTuple):
    """Iterations of one kind."""

    iterations: int
    exaggeration: float
    learning_rate: float
    momentum: float


class Rules(NamedTuple):
    """When to stop, how far to step, whom to tell."""

    n_iter_without_progress: int
    min_grad_norm: float
    tol: float | None
    max_step: float
    callbacks: Sequence[Callback]
    callbacks_every: int


class Layout(NamedTuple):
    """What came out.

    Attributes
    ----------
    Y : ndarray of shape (n, d)
    kl_divergence : float
        Of Y.
    iterations : int
        As run.
    history : ndarray of shape (m, 2)
        Iterations done, and the KL divergence then.
    mean_sum : float
        Z / n: the sum of the kernel over all other points, for a point on average.
    """

    Y: Positions
    kl_divergence: float
    iterations: int
    history: NDArray[np.float64]
    mean_sum: float


class _State:
    """Points in the order in which the kernels see them, and how they move."""

    def __init__(self, graph: Graph, start: Positions) -> None:
        self.graph = graph
        self.Y = start
        self.order: NDArray[Any] | None = None
        self.rest()

    def rest(self) -> None:
        """Nothing moves, all gains are 1."""
        xp = namespace(self.Y)
        self.velocity, self.gains = xp.zeros_like(self.Y), xp.ones_like(self.Y)

    def follow_curve(self, kernels: Any) -> None:
        order = _along_a_curve(self.Y)
        self.graph = kernels.reorder_graph(order, *self.graph)
        self.Y, self.velocity, self.gains = (
            part[order] for part in (self.Y, self.velocity, self.gains)
        )
        self.order = order if self.order is None else self.order[order]

    def places(self) -> Any:
        """The layout in the order of the data."""
        xp = namespace(self.Y)
        places = xp.empty_like(self.Y)
        places[slice(None) if self.order is None else self.order] = self.Y
        return places


def _along_a_curve(Y: Any) -> Any:
    if namespace(Y) is np:
        return along_a_curve(Y)
    from .cuda.layout import curve_order

    return curve_order(Y)


class Descent:
    """The two phases of one layout."""

    def __init__(
        self,
        kernels: Any,
        graph: Graph,
        start: Positions,
        repulsion: Repulsion,
        rules: Rules,
        advance: Callable[[float], None],
    ) -> None:
        self._kernels = kernels
        self._state = _State(graph, start)
        self._repulsion = repulsion
        self._rules = rules
        self._advance = advance
        self._iteration = self._told = 0
        self._history: list[tuple[int, float]] = []
        self._entropy = _entropy(graph[2])

    def run(self, early: Phase, main: Phase) -> Layout:
        """Both phases, one after the other."""
        for phase, is_main in ((early, False), (main, True)):
            self._state.rest()
            if not self._run_phase(phase, is_main):
                break
        last = main if self._iteration > early.iterations else early
        if not bool(namespace(self._state.Y).isfinite(self._state.Y).all()):
            self._diverged(last)
        _, normaliser = self._repulsion(self._state.Y)
        if not normaliser > 0:
            self._diverged(last)
        kl = self._entropy + self._cross_entropy() + float(np.log(normaliser))
        if self._is_told():
            self._tell(kl)
        self._record(kl)
        history = np.array(self._history, np.float64).reshape(-1, 2)
        places = self._state.places()
        return Layout(places, kl, self._iteration, history, normaliser / len(places))

    def _run_phase(self, phase: Phase, is_main: bool) -> bool:
        """False if a callback ended the work."""
        best, best_at, last, norm = np.inf, self._iteration, np.inf, np.inf
        for i in range(phase.iterations):
            self._reorder_when_due()
            watched = self._iteration > 0 and self._iteration % CHECK_EVERY == 0
            told = self._is_told()
            repulsion, normaliser = self._repulsion(self._state.Y)
            if not normaliser > 0:
                self._diverged(phase)
            if watched or told:
                cross, log_z = self._cross_entropy(), float(np.log(normaliser))
                kl = self._entropy + cross + log_z
                if told and self._tell(kl):
                    return False
            if watched:
                self._record(kl)
                # The function that falls: with exaggeration it is not the divergence itself.
                objective = phase.exaggeration * cross + log_z
                if objective < best:
                    best, best_at = objective, self._iteration
                elif is_main and self._iteration - best_at > self._rules.n_iter_without_progress:
                    break
                small = self._rules.tol is not None and last - objective < self._rules.tol
                if i > 0 and (norm <= self._rules.min_grad_norm or (is_main and small)):
                    break
                last = objective
            norm = self._move(phase, repulsion, normaliser)
        return True

    def _move(self, phase: Phase, repulsion: Positions, normaliser: float) -> float:
        """One step; the norm of the gradient."""
        state, rules = self._state, self._rules
        attraction = self._kernels.attraction(state.Y, *state.graph, self._repulsion.dof)
        state.Y, state.velocity, state.gains, norm = self._kernels.descend(
            state.Y,
            state.velocity,
            state.gains,
            attraction,
            repulsion,
            normaliser,
            phase.exaggeration,
            phase.learning_rate,
            phase.momentum,
            rules.max_step,
        )
        self._iteration += 1
        if not np.isfinite(norm):
            self._diverged(phase)
        self._advance(1)
        return float(norm)

    def _diverged(self, phase: Phase) -> NoReturn:
        raise DivergedError(
            f"t-SNE left the numbers in iteration {self._iteration}: the steps were too long "
            f"(learning rate {phase.learning_rate:g}, exaggeration {phase.exaggeration:g}); "
            "lower learning_rate, or leave it and max_step_norm at their defaults"
        )

    def _cross_entropy(self) -> float:
        state = self._state
        return float(self._kernels.cross_entropy(state.Y, *state.graph, self._repulsion.dof))

    def _is_told(self) -> bool:
        """Whether callbacks are to hear of this iteration, of which they have not heard yet."""
        due = self._iteration > 0 and self._iteration % self._rules.callbacks_every == 0
        return bool(self._rules.callbacks) and due and self._iteration != self._told

    def _tell(self, kl: float) -> bool:
        """Whether a callback asked to stop; each has a copy of its own."""
        self._told = self._iteration
        answers = [
            callback(self._iteration, kl, to_host(self._state.places()))
            for callback in self._rules.callbacks
        ]
        return any(isinstance(answer, (bool, np.bool_)) and bool(answer) for answer in answers)

    def _record(self, kl: float) -> None:
        if not self._history or self._history[-1][0] != self._iteration:
            self._history.append((self._iteration, kl))

    def _reorder_when_due(self) -> None:
        i = self._iteration
        due = i in _ORDER_AT or i % _ORDER_EVERY == 0
        if due and len(self._state.Y) > _MANY:
            self._state.follow_curve(self._kernels)


def _entropy(p: Any) -> float:
    """sum p log p of the affinities."""
    xp = namespace(p)
    wide = p.astype(np.float64) if xp is np else p.double()
    return float((wide * xp.log(wide)).sum())
