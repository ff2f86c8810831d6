"""Points in the order of a Z-curve, so that memory follows the map."""

from __future__ import annotations

import torch
from torch import Tensor

_SPREAD = ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555))


def curve_order(places: Tensor) -> Tensor:
    """Points in the order of a Z-curve through their first two dimensions (Morton 1966).

    Parameters
    ----------
    places : (n, d) floats, n > 0

    Returns
    -------
    (n,) int64
        The order that `fastxai.embed.umap_layout.along_a_curve` finds on the CPU.

    Examples
    --------
    >>> curve_order(torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
    [1, 2, 3, 0]
    """
    plane = places[:, :2].to(torch.float64)
    low, high = plane.amin(0), plane.amax(0)
    extent = torch.where(high > low, high - low, torch.ones_like(low))
    cells = ((plane - low) / extent * (2**16 - 1)).to(torch.int64)
    code = torch.zeros(len(places), dtype=torch.int64, device=places.device)
    for axis in range(cells.shape[1]):
        bits = cells[:, axis]
        for shift, mask in _SPREAD:
            bits = (bits | (bits << shift)) & mask
        code |= bits << axis
    # Keys of 32 bits are sorted in half the passes.
    return torch.argsort((code - 2**31).to(torch.int32), stable=True)
