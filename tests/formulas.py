"""Networks, images and tolerances of the methods' tests."""

from __future__ import annotations

from typing import Any

import networks
import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import torch

TARGET = torch.tensor([1, 3])
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-6}


def parts(build: Any = networks.plain_cnn) -> tuple[Any, torch.Tensor]:
    return build(), networks.images(build)
