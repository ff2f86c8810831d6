"""Images, networks and a plain loop that occlusion is compared with."""

import networks
import networks_attention  # noqa: F401  (registers the transformers)
import pytest

torch = pytest.importorskip("torch")

X = networks.images(networks.plain_cnn, 3)


def agree(found, expected, rtol=1e-4):
    """Equal beside the rounding of scores, of which maps are differences."""
    found, expected = torch.as_tensor(found), torch.as_tensor(expected)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=rtol, atol=2e-6)
