"""Hot loops of fastxai: arrays and numbers in, arrays and numbers out.

Two rooms with the same furniture: ``reference`` (NumPy float64, the specification) and
``cpu`` (Numba, float32).  `select` is the one place where a room is chosen.
"""

from importlib import import_module
from typing import Any

_BACKENDS = {"auto": "cpu", "cpu": "cpu", "reference": "reference"}


def select(device: str = "auto") -> Any:
    """Return the package whose functions run on a device.

    Parameters
    ----------
    device : {"auto", "cpu", "reference"}, default "auto"
        ``"auto"`` takes the fastest that is there (today the CPU); ``"reference"`` is slow
        and meant for tests.

    Returns
    -------
    module
        The backend with every kernel as a function, e.g. ``select("cpu").nearest``.

    Raises
    ------
    ValueError
        If there is no such backend.

    Examples
    --------
    >>> from fastxai_kernels import select
    >>> select("cpu").__name__
    'fastxai_kernels.cpu'
    """
    if device in _BACKENDS:
        return import_module(f".{_BACKENDS[device]}", __name__)
    if device == "gpu" or device.startswith("cuda"):
        raise ValueError(
            f"device={device!r}: the GPU backend is not there yet; use device='cpu' or 'auto'"
        )
    raise ValueError(f"device={device!r} is unknown; choose one of {', '.join(_BACKENDS)}")
