"""The state of a model, and whether it is as it was."""

from __future__ import annotations

from typing import Any

import networks_attention  # noqa: F401  (adds to networks.NETWORKS)
import torch
from torch import nn

LAYER_METHODS = ["gradcam", "gradcam++", "hirescam", "layercam"]
PIXEL_METHODS = ["saliency", "guided_backprop", "deconvnet"]


def state_of(model: nn.Module) -> dict[str, Any]:
    """All that must be as it was."""
    return {
        "modes": [m.training for m in model.modules()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "identity": [id(m) for m in model.modules()],
        "parameters": [(id(p), p.requires_grad, p.grad is None) for p in model.parameters()],
        "values": [p.detach().clone() for p in model.parameters()],
        "buffers": [id(b) for b in model.buffers()],
        "buffer values": [b.clone() for b in model.buffers()],
        "random": torch.get_rng_state(),
    }


def assert_same_state(before: dict[str, Any], model: nn.Module) -> None:
    after = state_of(model)
    for name, value in before.items():
        if name == "random":
            assert torch.equal(value, after[name]), name
        elif "value" in name:
            assert all(torch.equal(a, b) for a, b in zip(value, after[name], strict=True)), name
        else:
            assert value == after[name], name
