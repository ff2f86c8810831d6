"""The potential of a mesh of masses: a convolution by one forward and one inverse real FFT.

The mesh is extended by zeros to twice its size (open boundaries: Hockney and Eastwood 1981,
section 6-5-4); in Fourier space each wave is multiplied by

    G(k, l) = W(k, l) / (b(k) b(l))^2,    b(k) = sum_j M(j) cos(2 pi k j / N)

with W the transform of the sampled kernel and b that of the sampled B-spline, once for the
spreading and once for the gathering (Essmann et al. 1995): the spline then passes through
the kernel's values at the nodes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ._mesh_points import ORDER, WEIGHTS
from ._threads import parallel_for

_MARGIN = 8  # free nodes: the inverse of b rings where the periodic kernel has its kink
_FEWEST = 32  # nodes: the same, where the kernel has far to fall
_LONGEST = 1 << 24
_SAMPLED = (66 / 120, 26 / 120, 1 / 120)  # M at its centre and the next nodes
_ROWS = 16  # of a block of rows, and columns of a block of columns: they fix the bits
_COLUMNS = 32
_OFFSETS = 16

Array = NDArray[Any]


class Response(NamedTuple):
    """What a wave is multiplied by, and what a point's own mass adds to its own place.

    waves : (rows / 2 + 1, columns / 2 + 1), G for the waves of a padded mesh
    own : (2, 2), o[i, j] of the point's own potential at the place (t, s) in its cell,
        sum_ij o[i, j] cos(2 pi i t) cos(2 pi j s)
    """

    waves: Array
    own: NDArray[np.float64]


def padded(nodes: int) -> int:
    """The length of the transforms for so many nodes: even, and quick to transform."""
    half = max(nodes + _MARGIN, _FEWEST)
    if half > _LONGEST:
        return 2 * half  # nobody will transform so many: a size to be compared and refused
    return 2 * int(fft.next_fast_len(half, real=True))


def _symbol(length: int) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(length // 2 + 1) / length
    centre, first, second = _SAMPLED
    return centre + 2 * first * np.cos(angle) + 2 * second * np.cos(2 * angle)


def _near(length: int, distance: int) -> NDArray[np.float64]:
    """Rows that turn the waves of an even function into its values at 0 .. distance."""
    waves = np.arange(length // 2 + 1)
    both = np.where((waves == 0) | (waves == length // 2), 1.0, 2.0)
    angle = 2 * np.pi / length * np.outer(np.arange(distance + 1), waves)
    turned: NDArray[np.float64] = both * np.cos(angle) / length
    return turned


def _own_potential(waves: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Fourier coefficients, up to the first, of a point's own potential over its cell.

    The next ones are half a percent of these: the square of a quintic spline is very smooth.
    """
    reach = ORDER - 1
    left = np.einsum("dk,kl->dl", _near(rows, reach), waves)  # no BLAS: bits by its threads
    values = np.einsum("dl,el->de", left, _near(columns, reach))
    places = np.arange(_OFFSETS) / _OFFSETS
    weights = (places[:, None] ** np.arange(ORDER)) @ np.array(WEIGHTS)[:, :ORDER]
    pairs = np.zeros((_OFFSETS, ORDER))
    for a in range(ORDER):
        for b in range(ORDER):
            pairs[:, abs(a - b)] += weights[:, a] * weights[:, b]
    own = np.einsum("td,de,se->ts", pairs, values, pairs)
    turn = np.array([np.ones(_OFFSETS), 2 * np.cos(2 * np.pi * places)]) / _OFFSETS
    found: NDArray[np.float64] = np.einsum("it,ts,js->ij", turn, own, turn)
    return found


@lru_cache(maxsize=3)
def response(rows: int, columns: int, spacing: float, dof: float, double: bool) -> Response:
    """G for a padded mesh; the last few are kept, since it is the same for many iterations."""
    squares = [(np.arange(length // 2 + 1) * spacing) ** 2 / dof for length in (rows, columns)]
    kernel = 1.0 / (1.0 + squares[0][:, None] + squares[1])
    if dof != 1.0:
        kernel **= dof
    waves = fft.dctn(kernel, type=1, overwrite_x=True, workers=1)
    waves /= (_symbol(rows) ** 2)[:, None] * _symbol(columns) ** 2
    own = _own_potential(waves, rows, columns)
    kept = waves.astype(np.float64 if double else np.float32, copy=False)
    kept.setflags(write=False)
    return Response(kept, own)


def _forward(mesh: Array, spectrum: Array, start: int, stop: int) -> None:
    spectrum[start:stop] = fft.rfft(mesh[start:stop], axis=1, workers=1)


def _columns(spectrum: Array, waves: Array, rows: int, start: int, stop: int) -> None:
    half = rows // 2 + 1
    block = fft.fft(spectrum[:, start:stop], n=rows, axis=0, workers=1)
    block[:half] *= waves[:, start:stop]
    block[half:] *= waves[half - 2 : 0 : -1, start:stop]
    block = fft.ifft(block, axis=0, overwrite_x=True, workers=1)
    spectrum[:, start:stop] = block[: len(spectrum)]


def _back(spectrum: Array, mesh: Array, start: int, stop: int) -> None:
    mesh[start:stop] = fft.irfft(spectrum[start:stop], n=mesh.shape[1], axis=1, workers=1)


def convolve(mesh: Array, rows: int, waves: Array) -> None:
    """Turn masses into potentials, in place.

    ``mesh`` holds the rows in use, each of them already padded; the transforms of rows that
    are all zero are left out.
    """
    half = waves.shape[1]
    spectrum = np.empty((len(mesh), half), np.result_type(mesh.dtype, np.complex64))
    parallel_for(_forward, len(mesh), _ROWS, mesh, spectrum)
    parallel_for(_columns, half, _COLUMNS, spectrum, waves, rows)
    parallel_for(_back, len(mesh), _ROWS, spectrum, mesh)
