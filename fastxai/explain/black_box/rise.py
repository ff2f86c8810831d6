"""RISE: the score of the image seen through many random masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._checks import check_flag, check_number, check_whole
from ...errors import InvalidInputError
from ..explainer import Explainer
from ..kernels import room_for
from ..session import Maps, Session
from .baselines import check_baseline, read_baseline
from .occlusion import runner
from .perturbed import Perturbed, check_score, format_of, place_of

_CPU = torch.device("cpu")


def random_masks(
    seed: int,
    first: int,
    last: int,
    size: tuple[int, ...],
    cells: int,
    p: float,
    place: torch.device = _CPU,
) -> Tensor:
    """Masks [first, last) of one image, (last - first, *size) in [0, 1].

    A grid of cells, each open with probability ``p``, drawn a cell larger than the image,
    interpolated and shifted by a random part of a cell (section 3.2).  A mask's random numbers
    are its own: they do not depend on which masks are drawn together.
    """
    step = [-(-pixels // cells) for pixels in size]
    grids = np.empty((last - first, *[cells + 1] * len(size)), np.float32)
    shifts = []
    for row, number in enumerate(range(first, last)):
        random = np.random.default_rng([seed, number])
        grids[row] = random.random(grids.shape[1:]) < p
        shifts.append([int(random.integers(side)) for side in step])
    drawn = torch.from_numpy(grids).to(place)
    room = room_for(drawn)
    sides = tuple((cells + 1) * side for side in step)
    large = room.tensor(room.kernels.upsample(room.array(drawn), sides, False))
    masks = torch.empty((last - first, *size), dtype=torch.float32, device=place)
    for row, shift in enumerate(shifts):
        region = tuple(slice(by, by + pixels) for by, pixels in zip(shift, size, strict=True))
        masks[row] = large[row][region]
    return masks


class RISE(Explainer):
    """RISE: the mean of random masks, weighted by the score of what they leave to be seen.

        map_p = 1 / (n p) sum over masks m of  m_p  y(x * m + baseline * (1 - m))

    (Petsiuk, Das and Saenko 2018, equation 6).  Needs only answers: any callable, scripted and
    traced models too.

    Parameters
    ----------
    model : Module or callable
        It is left as it came.
    n_masks : int, default 4000
        For each image.  The map's noise falls with its root.
    cells : int, default 7
        Of the grid along each axis; more of them show smaller things, and need more masks.
    p : float, default 0.5
        Probability that a cell is open.
    baseline : float, sequence, Tensor, "mean" or "blur", default 0.0
        What stands where a mask is closed, as in `Occlusion`.
    score : {"probability", "logit"}, default "probability"
        What weighs the masks.
    random_state : int, default 0
        Seed; the masks are each image's own and do not depend on the batch.
    fast : bool, default False
        Run a copy of the model made for the purpose, batch norms folded into convolutions: the
        same within 1e-4.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.  The batch
        size is that of masked images, and of images as they are, too; by default of masked
        ones what fits and runs best.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    >>> fastxai.RISE(net, n_masks=50, cells=4)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    name = "rise"
    black_box = True

    def __init__(
        self,
        model: Any,
        *,
        n_masks: int = 4000,
        cells: int = 7,
        p: float = 0.5,
        baseline: Any = 0.0,
        score: str = "probability",
        random_state: int = 0,
        fast: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        check_score(score)
        check_baseline(baseline)
        check_whole("n_masks", n_masks, 1)
        check_whole("cells", cells, 1)
        check_whole("random_state", random_state, 0)
        check_flag("fast", fast)
        check_number("p", p, 0, above=True)
        if p >= 1:
            raise InvalidInputError(f"p={p!r}: choose a number of less than 1")
        self.n_masks, self.cells, self.p = int(n_masks), int(cells), float(p)
        self.baseline, self.score, self.fast = baseline, score, fast
        self.random_state = int(random_state)

    @property
    def signed(self) -> bool:  # type: ignore[override]
        """Probabilities are not negative; logits and a regression's values may be."""
        return self.score == "logit" or self.task == "regression"

    def compute(self, session: Session) -> dict[str, Maps]:
        """Image by image, so that its random numbers are its own."""
        images = session.inputs.images
        if self.cells > min(session.inputs.spatial):
            raise InvalidInputError(
                f"cells={self.cells} for images of {tuple(session.inputs.spatial)} pixels: give "
                f"at most {min(session.inputs.spatial)}"
            )
        model, forward = runner(self.model, session, self.fast)
        run = Perturbed(
            forward,
            session.inputs,
            session.targets,
            score=self.score,
            batch_size=self.batch_size,
            memory_format=format_of(model, images),
        )
        masked = _Masked(self, session)
        scores = run.scores(len(images) * self.n_masks, masked, session.plan.progress, "masks")
        return {"": Maps.of(masked.maps(scores).to(images.device))}


class _Masked:
    """Writes masked images: number i is image i // n under its mask i % n."""

    def __init__(self, rise: RISE, session: Session) -> None:
        images = session.inputs.images.detach()
        self._rise, self._session = rise, session
        self._size = session.inputs.spatial
        wide = torch.float64 if images.dtype == torch.float64 else torch.float32
        self._place = place_of(images)
        self._images = images.to(self._place, wide)
        self._baseline = read_baseline(rise.baseline, images).to(self._place, wide)

    def __call__(self, first: int, last: int, buffer: Tensor) -> Tensor:
        """Write numbers [first, last); whose rows' they are."""
        rows = torch.arange(first, last, device="cpu") // self._rise.n_masks
        for row in rows.unique().tolist():
            begin, end = self._numbers_of(row, first, last)
            masks = self._masks(row, begin, end).to(buffer.dtype)
            where = slice(row * self._rise.n_masks + begin - first, None)
            out = buffer[where][: end - begin]
            torch.lerp(self._baseline[row], self._images[row], masks[:, None], out=out)
        return rows

    def maps(self, scores: Tensor) -> Tensor:
        """(N, K, *spatial) from the scores (N * n, K); the masks are drawn again."""
        rise, k = self._rise, scores.shape[1]
        place, scores = self._place, scores.to(self._place)
        found = torch.zeros(len(self._images), k, *self._size, device=place)
        block = 64
        for row in range(len(found)):
            own = scores[row * rise.n_masks : (row + 1) * rise.n_masks]
            total = torch.zeros(k, int(np.prod(self._size)), dtype=torch.float64, device=place)
            for begin in range(0, rise.n_masks, block):
                end = min(begin + block, rise.n_masks)
                masks = self._masks(row, begin, end).flatten(1)
                total += own[begin:end].T @ masks.double()
            found[row] = (total / (rise.n_masks * rise.p)).reshape(k, *self._size)
        return found

    def _numbers_of(self, row: int, first: int, last: int) -> tuple[int, int]:
        n = self._rise.n_masks
        return max(first - row * n, 0), min(last - row * n, n)

    def _masks(self, row: int, begin: int, end: int) -> Tensor:
        rise = self._rise
        seed = self._session.seed_of(rise.random_state, row)
        return random_masks(seed, begin, end, self._size, rise.cells, rise.p, self._place)
