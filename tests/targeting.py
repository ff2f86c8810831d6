"""Outputs, and targets that are resolved on them."""

import pytest

torch = pytest.importorskip("torch")
from fastxai.explain.targets.request import read_target  # noqa: E402

N, C = 4, 6


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LOGITS = normal(N, C)
ONE = torch.tensor([[1.5], [-0.5], [0.0], [-3.0]])
PIXELS = normal(N, C, 4, 3, seed=1)


def resolved(target, output=LOGITS, task="softmax", size=(8, 6)):
    return read_target(target, len(output)).resolve(output, task, size)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


ROW = [1, 3, 0, 5]


def margin(output):
    return output[1] - output[2]


BOTH = torch.cat([-ONE, ONE], 1)
HALF = torch.zeros(4, 3, dtype=torch.bool)
HALF[:2] = True


EACH = torch.rand(N, 4, 3, generator=torch.Generator().manual_seed(3)) + 0.1
