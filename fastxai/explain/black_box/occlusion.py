"""Occlusion: how far the score falls when a window of the image is covered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..._checks import check_flag
from ...progress import Progress
from ..explainer import Explainer
from ..inputs import Inputs
from ..kernels import Room, room_for
from ..session import Maps, Session
from ..targets.targets import Targets
from .baselines import check_baseline, read_baseline
from .local_forward import local_forward
from .perturbed import Forward, Perturbed, check_score, format_of, score_of
from .windows import window_table

if TYPE_CHECKING:
    from .views import Views


class Occluder:
    """Writes occluded images: number i is image i // n with window i % n of n covered.

    Attributes
    ----------
    windows : ndarray of int32, (n, axes, 2)
        First pixels and those after the last.
    form : memory_format
        How buffers should lie.
    latest : tuple of int and ndarray
        The first image of the batch that was last written, and the windows.
    """

    def __init__(
        self, images: Tensor, baseline: Any, windows: NDArray[np.int32], form: Any
    ) -> None:
        self.windows, self.latest = windows, (0, windows[:0])
        self._images, self._baseline = images, read_baseline(baseline, images)
        # The kernel copies four bytes at a time: a double is two columns of them, which must
        # lie side by side.
        double = images.dtype == torch.float64
        self.form = torch.contiguous_format if double else form
        self._columns = windows.copy()
        self._columns[:, -1] *= 1 + double
        self._read: dict[bool, list[Any]] = {}

    def __call__(self, first: int, last: int, buffer: Tensor) -> Tensor:
        """Write numbers [first, last); whose rows' they are."""
        return self.write(np.arange(first, last), buffer)

    def write(self, numbers: NDArray[np.int64], buffer: Tensor) -> Tensor:
        """Write these numbers; whose rows' they are."""
        rows, which = np.divmod(numbers, len(self.windows))
        rows = rows.astype(np.int32)
        room = room_for(buffer)
        tables = (room.table(table, buffer) for table in (rows, self._columns[which]))
        out = buffer.view(torch.float32) if room.is_gpu else buffer.numpy().view(np.float32)
        room.kernels.occlude(*self._lying_as(buffer, room), *tables, out)
        self.latest = (int(rows[0]), self.windows[which])
        return torch.from_numpy(rows).long()

    def _lying_as(self, buffer: Tensor, room: Room) -> list[Any]:
        """Images and baseline in the buffer's order of memory, brought to it once."""
        plain = buffer.is_contiguous()
        if plain not in self._read:
            form = torch.channels_last if buffer.ndim == 4 else torch.channels_last_3d
            form = torch.contiguous_format if plain else form
            given = [
                part.detach().to(buffer.device, buffer.dtype).contiguous(memory_format=form)
                for part in (self._images, self._baseline)
            ]
            self._read[plain] = [
                part.view(torch.float32) if room.is_gpu else part.numpy().view(np.float32)
                for part in given
            ]
        return self._read[plain]


def occlusion_scores(
    forward: Forward,
    inputs: Inputs,
    targets: Targets,
    windows: NDArray[np.int32],
    *,
    baseline: Any = 0.0,
    score: str = "logit",
    batch_size: int | None = None,
    memory_format: Any = torch.contiguous_format,
    progress: Progress | None = None,
    model: Any = None,
) -> Tensor:
    """Scores (N, n_windows, K) float64 of every image with every window covered."""
    progress = progress or Progress()
    occluder = Occluder(inputs.images, baseline, windows, memory_format)
    local = local_forward(model, forward, inputs, occluder, progress)
    run = Perturbed(
        local or forward,
        inputs,
        targets,
        score=score,
        batch_size=batch_size,
        memory_format=occluder.form,
        group=len(windows) if local else None,
    )
    found = run.scores(len(inputs) * len(windows), occluder, progress, "occlude")
    return found.reshape(len(inputs), len(windows), -1)


def occlusion_maps(
    forward: Forward,
    inputs: Inputs,
    targets: Targets,
    *,
    window: Any = None,
    stride: Any = None,
    baseline: Any = 0.0,
    score: str = "logit",
    output: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Maps (N, K, *spatial) float32: the mean drop of the score over the windows at a pixel.

    Parameters
    ----------
    forward : callable
        From `Inputs` to the selected output (N, classes), without a graph.
    inputs, targets : Inputs, Targets
        The images, and what is scored of each.
    window, stride : int or sequence of int, optional
        See `windows.window_table`.
    baseline : optional
        See `baselines.read_baseline`.
    score : {"logit", "probability"}, default "logit"
        What falls.
    output : Tensor, optional
        The output for ``inputs`` as they are, where it is known already.
    **options
        ``batch_size``, ``memory_format``, ``progress``; ``model``, if only what a window reaches
        is to be computed.
    """
    windows, _ = window_table(inputs.spatial, window, stride)
    before = score_of(targets, forward(inputs) if output is None else output, score)
    after = occlusion_scores(
        forward, inputs, targets, windows, baseline=baseline, score=score, **options
    )
    drops = (before[:, None] - after).transpose(1, 2)  # (N, K, n_windows)
    n, k = drops.shape[:2]
    images = inputs.images
    room = room_for(images)
    flat = drops.reshape(n * k, -1).contiguous()
    scores = flat.to(images.device) if room.is_gpu else flat.numpy()
    maps = room.kernels.occlusion_map(scores, room.table(windows, images), inputs.spatial)
    return room.tensor(maps).reshape(n, k, *inputs.spatial).to(inputs.images.device)


class Occlusion(Explainer):
    """Occlusion: how far the target's score falls when a window of the image is covered.

        map_p = mean over the windows w at p of  y(x) - y(x with w covered)

    (Zeiler and Fergus 2014, section 4.1).  Needs only answers: any callable, scripted and
    traced models too.

    Parameters
    ----------
    model : Module or callable
        It is left as it came.
    window : int or sequence of int, optional
        Side of the window in pixels, or one an axis; by default a seventh of the image.
    stride : int or sequence of int, optional
        Pixels from one window to the next, at most a window; by default half of one.  Windows
        at the border are cut there, so that every pixel is covered.
    baseline : float, sequence, Tensor, "mean" or "blur", default 0.0
        What covers, in the input's units: a value, one a channel, an image (C, *spatial), the
        image's own mean by channel, or the image blurred (a Gaussian of a twentieth of its
        side).  Of normalised images 0 is the training set's mean.
    score : {"logit", "probability"}, default "logit"
        What falls.
    local : bool, default True
        Compute of each layer only what the window reaches, and take the rest from the image as
        it is, on the CPU and as far as the model's operations allow: the same numbers up to
        rounding, some times faster.
    fast : bool, default False
        Run a copy of the model made for the purpose, batch norms folded into convolutions: the
        same within 1e-4.
    **options
        ``output``, ``task``, ``wrt``, ``batch_size``, ``verbose``: see `Explainer`.  The batch
        size is that of occluded images; by default what fits and runs best.

    Examples
    --------
    >>> import torch, fastxai
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    >>> fastxai.Occlusion(net, window=4, stride=2)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 16, 16])
    """

    name = "occlusion"
    signed = True
    black_box = True

    def __init__(
        self,
        model: Any,
        *,
        window: Any = None,
        stride: Any = None,
        baseline: Any = 0.0,
        score: str = "logit",
        local: bool = True,
        fast: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        check_score(score)
        check_baseline(baseline)
        check_flag("local", local)
        check_flag("fast", fast)
        self.window, self.stride, self.baseline = window, stride, baseline
        self.score, self.local, self.fast = score, local, fast

    def views(self, images: Any, target: Any = None, layer: Any = None) -> Views:
        """Return what the model says for each position of the window.

        Zeiler and Fergus's three views (2014, figure 7): the probability of the true class,
        the most probable class, and the total response of a layer's strongest feature map.

        Parameters
        ----------
        images, target
            As when called; one target an image.
        layer : str or Module, optional
            Whose strongest feature map is followed; by default as of `GradCAM`.

        Returns
        -------
        Views
            ``probability``, ``predicted``, ``response``: (N, rows, columns), a value a window.

        Examples
        --------
        >>> import torch, fastxai
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(),
        ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
        ... )
        >>> views = fastxai.Occlusion(net, window=4, stride=4).views(torch.rand(2, 3, 16, 16))
        >>> views.probability.shape
        torch.Size([2, 4, 4])
        """
        from .views import occlusion_views

        return occlusion_views(self, images, target, layer)

    def compute(self, session: Session) -> dict[str, Maps]:
        """Every image of the batch with every window covered."""
        model, forward = runner(self.model, session, self.fast)
        values = occlusion_maps(
            forward,
            session.inputs,
            session.targets,
            window=self.window,
            stride=self.stride,
            baseline=self.baseline,
            score=self.score,
            output=session.output,
            batch_size=self.batch_size,
            memory_format=format_of(model, session.inputs.images),
            progress=session.plan.progress,
            model=model if self.local else None,
        )
        return {"": Maps.of(values)}


def runner(model: Any, session: Session, fast: bool) -> tuple[Any, Forward]:
    """The model and its forward, or those of a copy made for the purpose."""
    plan = session.plan
    if fast:
        from .folding import fast_copy

        if found := fast_copy(model, session.inputs, session.output, plan.output):
            return found
    return model, plan.forward
