"""Arrays and tensors, and how inputs are read from them."""

import pytest

torch = pytest.importorskip("torch")


def ones(*shape, **kinds):
    return torch.ones(*shape, **kinds)


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = images(4, 3, 6, 5)
AGE = torch.arange(4.0)[:, None]
