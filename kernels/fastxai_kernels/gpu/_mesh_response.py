"""The potential of a mesh of masses: a convolution by one forward and one inverse real FFT.

The mesh is extended by zeros to twice its size (open boundaries: Hockney and Eastwood 1981,
section 6-5-4); in Fourier space each wave is multiplied by

    G(k, l) = W(k, l) / (b(k) b(l))^2,    b(k) = sum_j M(j) cos(2 pi k j / N)

with W the transform of the sampled kernel and b that of the sampled B-spline, once for the
spreading and once for the gathering (Essmann et al. 1995): the spline then passes through
the kernel's values at the nodes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor

_MARGIN = 8  # free nodes: the inverse of b rings where the periodic kernel has its kink
_FEWEST = 32  # nodes: the same, where the kernel has far to fall
_LONGEST = 1 << 24
_SAMPLED = (66 / 120, 26 / 120, 1 / 120)  # M at its centre and the next nodes
_OFFSETS = 16
_REACH = 6  # distances of two nodes that one point has


class Response(NamedTuple):
    """What a wave is multiplied by, and what a point's own mass adds to its own place.

    waves : (rows, columns / 2 + 1), G for the waves of a padded mesh
    own : (2, 2) float64, o[i, j] of the point's own potential at the place (t, s) in its
        cell,  sum_ij o[i, j] cos(2 pi i t) cos(2 pi j s)
    """

    waves: Tensor
    own: Tensor


def padded(nodes: int) -> int:
    """The length of the transforms for so many nodes: even, and quick to transform."""
    half = max(nodes + _MARGIN, _FEWEST)
    if half > _LONGEST:
        return 2 * half  # nobody will transform so many: a size to be compared and refused
    return 2 * int(next_fast_len(half, real=True))


def _spline(z: float) -> float:
    """The quintic B-spline at the distance z from its centre."""
    powers = (max(reach - abs(z), 0.0) ** 5 for reach in (3, 2, 1))
    return sum(f * power for f, power in zip((1, -6, 15), powers, strict=True)) / 120.0


def _own_of_distances() -> list[list[float]]:
    """(2, 6): Fourier coefficients over a cell of a point's own potential, of that of nodes.

    Up to the first: the next ones are half a percent of these, since the square of a quintic
    spline is very smooth.
    """
    rows = [[0.0] * _REACH for _ in range(2)]
    for o in range(_OFFSETS):
        weights = [_spline(o / _OFFSETS + 2 - j) for j in range(_REACH)]
        turns = (1.0 / _OFFSETS, 2.0 * math.cos(2 * math.pi * o / _OFFSETS) / _OFFSETS)
        for i, turn in enumerate(turns):
            for a in range(_REACH):
                for b in range(_REACH):
                    rows[i][abs(a - b)] += turn * weights[a] * weights[b]
    return rows


def _distances(length: int, device: torch.device) -> Tensor:
    """From node 0 to each one, the short way round."""
    along = torch.arange(length, device=device)
    return torch.minimum(along, length - along).double()


def _symbol(length: int, waves: int, device: torch.device) -> Tensor:
    angle = torch.arange(waves, device=device).double() * (2 * math.pi / length)
    centre, first, second = _SAMPLED
    return centre + 2 * first * torch.cos(angle) + 2 * second * torch.cos(2 * angle)


@lru_cache(maxsize=3)
def response(
    rows: int, columns: int, spacing: float, dof: float, double: bool, device: torch.device
) -> Response:
    """G for a padded mesh; the last few are kept, since it is the same for many iterations."""
    x, y = ((_distances(length, device) * spacing) ** 2 / dof for length in (rows, columns))
    kernel = (1.0 + x[:, None] + y).reciprocal_()
    if dof != 1.0:
        kernel.pow_(dof)
    half = columns // 2 + 1
    waves = torch.fft.rfft2(kernel).real.contiguous()
    waves /= _symbol(rows, rows, device)[:, None] ** 2
    waves /= _symbol(columns, half, device) ** 2
    near = torch.fft.irfft2(waves.to(torch.complex128), s=(rows, columns))[:_REACH, :_REACH]
    turned = torch.tensor(_own_of_distances(), dtype=torch.float64, device=device)
    # No matrix product: the sums of so few terms are to have one order.
    left = (turned[:, :, None] * near).sum(1)
    own = (left[:, None, :] * turned).sum(2)
    return Response(waves if double else waves.float(), own)


def convolve(mesh: Tensor, waves: Tensor) -> Tensor:
    """The potential at the nodes of a padded mesh of masses."""
    spectrum = torch.fft.rfft2(mesh)
    spectrum *= waves
    potential: Tensor = torch.fft.irfft2(spectrum, s=mesh.shape)
    return potential
