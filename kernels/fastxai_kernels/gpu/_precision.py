"""How products of float32 matrices are rounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_ALLOWED: ContextVar[bool] = ContextVar("tf32", default=False)


@contextmanager
def tf32() -> Iterator[None]:
    """Within it this room's large products may use TF32.

    Up to ten times as fast, but numbers are rounded to 10 bits before they are multiplied: a
    true neighbour can fall behind the candidates that are measured again, so that neighbours
    are no longer exact (distances returned are).
    """
    token = _ALLOWED.set(True)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


@contextmanager
def products() -> Iterator[None]:
    """Products within it are of float32, or of TF32 within `tf32`; torch is left as found."""
    # Torch has an old and a new setting, and refuses to multiply where they disagree: the old
    # one sets both, then each is put back by itself.
    old = torch.get_float32_matmul_precision()
    settings = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    new = [getattr(one, "fp32_precision", None) for one in settings]
    torch.backends.cuda.matmul.allow_tf32 = _ALLOWED.get()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(old)
        for one, found in zip(settings, new, strict=True):
            if found is not None:
                one.fp32_precision = found
