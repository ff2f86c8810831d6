"""Hot loops of fastxai: arrays and numbers in, arrays and numbers out.

Three rooms with the same furniture: ``reference`` (NumPy float64, the specification), ``cpu``
(Numba, float32) and ``gpu`` (Triton, torch tensors).  `select` is the one place where a room
is chosen.
"""

from importlib import import_module
from typing import Any

_BACKENDS = {"auto": "cpu", "cpu": "cpu", "reference": "reference"}


def select(device: str = "auto") -> Any:
    """Return the package whose functions run on a device.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:1", "reference"}, default "auto"
        ``"auto"`` is the CPU, whose kernels take NumPy arrays, as those of CUDA take torch
        tensors; ``"reference"`` is slow and meant for tests.

    Returns
    -------
    module
        The backend with every kernel as a function, e.g. ``select("cpu").nearest``.

    Raises
    ------
    ValueError
        If there is no such backend, or it can not run here; the message says what is missing.

    Examples
    --------
    >>> from fastxai_kernels import select
    >>> select("cpu").__name__
    'fastxai_kernels.cpu'
    """
    if device in _BACKENDS:
        return import_module(f".{_BACKENDS[device]}", __name__)
    from ._cuda import torch_device

    torch_device(device)
    return import_module(".gpu", __name__)
