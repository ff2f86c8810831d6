"""Networks of tables: rows as one tensor, the network left as it came."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import InvalidInputError
from ..explain.model import place_of, untouched
from ..explain.outputs import select_output
from .asking import Raw, read_array


def ask_network(model: Any, X: Any, batch: int) -> Raw:
    """The network's answers about the rows of X.

    Two columns or more are scores of classes (probabilities where each row sums to 1), one
    column is numbers.

    Raises
    ------
    InvalidInputError
        If X holds anything but numbers.
    """
    table = np.asarray(X)
    if table.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"the network takes numbers and X holds {table.dtype}: encode the categories first, "
            "or give a function that does and calls the network"
        )
    device, dtype = place_of(model)
    kept = []
    with untouched(model), torch.inference_mode(False), torch.no_grad():
        for start in range(0, len(table), batch):
            # A copy: what the network does to its input, the caller's table stays.
            rows = torch.tensor(table[start : start + batch], dtype=dtype or torch.float32)
            rows = rows if device is None else rows.to(device)
            found = select_output(model(rows), n=len(rows))
            kept.append(found.detach().to("cpu", torch.float64).numpy())
    return read_array(np.concatenate(kept))
