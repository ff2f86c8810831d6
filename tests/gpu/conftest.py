"""Kernels of the GPU in Triton's interpreter, in a run of their own.

    TRITON_INTERPRET=1 pytest tests/gpu

The variable is read when kernels are declared, so these tests can not share a process with
others.
"""

from __future__ import annotations

import os

if os.environ.get("TRITON_INTERPRET") != "1":
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)
