"""Where work runs, and in which kind of array its results leave: as the input came."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._warn import warn
from .errors import InvalidInputError

_CUDA = 2  # DLPack's number of CUDA devices


class Device(NamedTuple):
    """A device as chosen.

    Attributes
    ----------
    name : str
        "cpu", "cuda:0", ...
    torch : torch.device or None
        Where tensors lie; None on the CPU, whose kernels take NumPy arrays.
    """

    name: str
    torch: Any = None

    @property
    def kernels(self) -> Any:
        """The package whose kernels run there."""
        from fastxai_kernels import select

        return select(self.name)

    @property
    def is_gpu(self) -> bool:
        """Whether arrays are torch tensors."""
        return self.torch is not None


CPU = Device("cpu")


def choose_device(device: Any, X: Any = None) -> Device:
    """The device that ``device`` means for some input.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "cuda:1"} or torch.device
        "auto" is where an array of PyTorch, CuPy, ... lies; for arrays of the host it is CUDA
        where there is a device.
    X : array-like, optional

    Raises
    ------
    InvalidInputError
        If there is no such device here; the message says what is missing.
    """
    name = str(device)
    if name == "auto":
        number = _cuda_number(X)
        if number is None and (is_foreign(X) or not _cuda_available()):
            return CPU
        name = "cuda" if number is None else f"cuda:{number}"
    if name == "cpu":
        return CPU
    from fastxai_kernels._cuda import torch_device

    try:
        found = torch_device(name)
    except ValueError as error:
        raise InvalidInputError(str(error)) from None
    return Device(str(found) if found.type == "cuda" else "cuda:0", found)


def choose_device_again(device: Any, X: Any) -> Device:
    """As `choose_device`, for an estimator fitted elsewhere: the CPU where its GPU is missing."""
    try:
        return choose_device(device, X)
    except InvalidInputError as error:
        if not str(device).startswith("cuda") or _cuda_number(X) is not None:
            raise
        warn(f"fitted with device={str(device)!r}, and used on the CPU: {error}")
        return CPU


def _cuda_available() -> bool:
    from fastxai_kernels._cuda import available

    return available()


def is_foreign(X: Any) -> bool:
    """Whether X is an array of a library other than NumPy that speaks DLPack."""
    return hasattr(X, "__dlpack_device__") and not isinstance(X, np.ndarray | np.generic)


def is_tensor(X: Any) -> bool:
    """Whether X is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.Tensor)


def _cuda_number(X: Any) -> int | None:
    """The number of the CUDA device on which an array lies; None on the host."""
    if is_tensor(X):
        return X.device.index if X.device.type == "cuda" else None
    if not is_foreign(X):
        return None
    kind, number = X.__dlpack_device__()
    return int(number) if int(kind) == _CUDA else None


def as_tensor(X: Any) -> Any:
    """A torch tensor that shares the memory of an array of PyTorch, CuPy, JAX, ..."""
    import torch

    return X.detach() if is_tensor(X) else torch.from_dlpack(X)


def to_host(X: Any) -> Any:
    """A NumPy array of a tensor, or the array itself."""
    return X.detach().cpu().numpy() if is_tensor(X) else X


def host_array(X: Any) -> Any:
    """What NumPy can read: arrays of a GPU copied to the host, anything else as it is."""
    if not is_foreign(X):
        return X
    if is_tensor(X):  # numpy() refuses a graph, as it must
        return X if X.device.type == "cpu" else X.detach().cpu()
    return as_tensor(X).cpu().numpy() if _cuda_number(X) is not None else X


def giver_for(X: Any) -> Callable[[Any], Any]:
    """A function that hands out results in the kind of array X is, and where X lies.

    NumPy for anything but arrays of other libraries.
    """
    if is_tensor(X):
        place = X.device

        def give_tensor(result: Any) -> Any:
            import torch

            tensor = result if is_tensor(result) else torch.from_numpy(np.ascontiguousarray(result))
            return tensor.to(place)

        return give_tensor
    if is_foreign(X):
        read = _reader_of(X)
        number = _cuda_number(X)

        def give_foreign(result: Any) -> Any:
            import torch

            tensor = result if is_tensor(result) else torch.from_numpy(np.ascontiguousarray(result))
            return read(tensor.to("cpu" if number is None else f"cuda:{number}"))

        return give_foreign
    return to_host


def _reader_of(X: Any) -> Callable[[Any], Any]:
    """``from_dlpack`` of the library that X is of."""
    if hasattr(X, "__array_namespace__"):
        found = getattr(X.__array_namespace__(), "from_dlpack", None)
        if found is not None:
            return found  # type: ignore[no-any-return]
    library = sys.modules.get(type(X).__module__.split(".")[0])
    found = getattr(library, "from_dlpack", None)
    if found is None:
        raise InvalidInputError(
            f"results can not be handed out as {type(X).__name__}: its library has no from_dlpack; "
            "give a NumPy array or a torch tensor"
        )
    return found  # type: ignore[no-any-return]


def namespace(array: Any) -> Any:
    """``numpy`` or ``torch``, whichever the array is of: for the functions both name alike."""
    return sys.modules["torch"] if is_tensor(array) else np


def wait_for(device: Device) -> None:
    """Until the device has done what it was given: progress is true, Ctrl-C is heard."""
    if device.is_gpu and device.torch.type == "cuda":
        import torch

        torch.cuda.synchronize(device.torch)
