"""Images with some of their segments hidden, written by the kernel of occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ..black_box.baselines import check_baseline, read_baseline
from ..kernels import room_for
from .sampling import Masks
from .segments import Segments

SEGMENT = "segment"


def check_hidden(baseline: Any) -> None:
    """Refuse what is no baseline; "segment" is one here."""
    if isinstance(baseline, str) and baseline == SEGMENT:
        return
    try:
        check_baseline(baseline)
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}; or '{SEGMENT}' (its own mean)") from None


def hidden_images(baseline: Any, images: Tensor, segments: Sequence[Segments]) -> Tensor:
    """What stands where a segment is hidden, shaped like ``images`` (n, c, *spatial).

    ``"segment"`` is the mean of each segment by channel, which is lime's own.
    """
    if not (isinstance(baseline, str) and baseline == SEGMENT):
        return read_baseline(baseline, images)
    found = torch.empty(images.shape, dtype=images.dtype, device=images.device)
    for to, image, part in zip(found, images, segments, strict=True):
        numbers = part.numbers.ravel()
        count = np.bincount(numbers)
        for channel, pixels in zip(to, image.detach(), strict=True):
            values = pixels.reshape(-1).to("cpu", torch.float64).numpy()
            means = np.bincount(numbers, values) / count
            channel.copy_(torch.from_numpy(means[part.numbers]))
    return found


class Hidden:
    """Writes masked images: those of all masks of the first image, then those of the second.

    Attributes
    ----------
    total : int
        How many there are.
    form : memory_format
        How buffers should lie.
    """

    def __init__(
        self,
        images: Tensor,
        baseline: Tensor,
        segments: Sequence[Segments],
        masks: Sequence[Masks],
        form: Any,
    ) -> None:
        self._given = images, baseline
        numbers = np.stack([part.numbers for part in segments])
        # The kernel copies four bytes at a time: a double is two columns of them, which must
        # lie side by side.
        double = images.dtype == torch.float64
        self._numbers = np.repeat(numbers, 2, axis=-1) if double else numbers
        self.form = torch.contiguous_format if double else form
        self._masks = masks
        self._ends = np.cumsum([len(part) for part in masks])
        self._columns = max(part.shown.shape[1] for part in masks)
        self._read: dict[bool, list[Any]] = {}
        self.total = int(self._ends[-1])

    def __call__(self, first: int, last: int, buffer: Tensor) -> Tensor:
        """Write numbers [first, last); whose rows' they are."""
        numbers = np.arange(first, last)
        rows = np.searchsorted(self._ends, numbers, side="right").astype(np.int32)
        room = room_for(buffer)
        out = buffer.view(torch.float32) if room.is_gpu else buffer.numpy().view(np.float32)
        tables = [room.table(table, buffer) for table in (rows, self._shown(rows, numbers))]
        room.kernels.occlude_segments(*self._lying_as(buffer), *tables, out)
        return torch.from_numpy(rows).long()

    def _shown(self, rows: NDArray[np.int32], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(b, segments): what is left of each; images with fewer segments have columns unused."""
        shown = np.zeros((len(rows), self._columns), bool)
        for row in np.unique(rows):
            table, mine = self._masks[row].shown, rows == row
            within = numbers[mine] - (self._ends[row] - len(table))
            shown[mine, : table.shape[1]] = table[within]
        return shown

    def _lying_as(self, buffer: Tensor) -> list[Any]:
        """Images, baseline and segments in the buffer's order of memory, brought to it once."""
        plain = buffer.is_contiguous()
        if plain not in self._read:
            room = room_for(buffer)
            form = torch.channels_last if buffer.ndim == 4 else torch.channels_last_3d
            form = torch.contiguous_format if plain else form
            given = [
                part.detach().to(buffer.device, buffer.dtype).contiguous(memory_format=form)
                for part in self._given
            ]
            parts: list[Any] = [
                part.view(torch.float32) if room.is_gpu else part.numpy().view(np.float32)
                for part in given
            ]
            self._read[plain] = [*parts, room.table(self._numbers, buffer)]
        return self._read[plain]
