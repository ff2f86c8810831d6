"""Paths as text that any table holds, also those whose bytes are no UTF-8."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

_URI = "file://"


def to_text(path: Any) -> str:
    r"""A path, absolute, as text: as it is, or as a file URI where its bytes are no UTF-8.

    Examples
    --------
    >>> to_text(b"/photos/caf\xe9.jpg")
    'file:///photos/caf%E9.jpg'
    """
    native = os.fsdecode(path)
    if not native or native.startswith(_URI):
        return native
    native = os.path.abspath(native)
    try:
        native.encode("utf-8")
    except UnicodeEncodeError:
        return Path(native).as_uri()
    return native


def from_text(text: str) -> str:
    """The path that `open` takes, of what `to_text` returned."""
    if not text.startswith(_URI):
        return text
    return os.fsdecode(unquote_to_bytes(text.removeprefix(_URI)))
