"""Networks and images that local and folded forwards are compared on."""

import networks
import pytest

torch = pytest.importorskip("torch")

X = networks.images(networks.plain_cnn, 3)


def seeded(build):
    torch.manual_seed(0)
    model = build()
    if any(getattr(module, "running_mean", 0) is None for module in model.modules()):
        return model.eval()
    return networks.settle(model)
