"""What all tests share: torch on one thread, since the tests themselves run side by side."""

from __future__ import annotations

import sys


def pytest_collection_finish() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
