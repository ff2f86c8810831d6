"""Zeiler and Fergus's three views of an occluded image."""

import networks
import networks_attention  # noqa: F401  (registers the transformers)
import numpy as np
import pytest
from occluding import X

from fastxai import InvalidInputError, Occlusion

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.mark.parametrize("layer", ["features.2", "fc", None, "features"], ids=str)
def test_three_views(layer):
    model = networks.plain_cnn()
    if layer == "fc":
        with pytest.raises(InvalidInputError, match="fc"):
            Occlusion(model, window=8, stride=8).views(X, layer=layer)
        return
    views = Occlusion(model, window=8, stride=8).views(X, target=2, layer=layer)
    assert views.probability.shape == views.predicted.shape == views.response.shape == (3, 3, 3)
    part = model.features[: 3 if layer == "features.2" else 9]
    with torch.no_grad():
        strongest = part(X[1:2])[0].sum((1, 2)).argmax()
        covered = X[1:2].clone()
        covered[:, :, 8:16, 16:] = 0
        output = model(covered)[0]
        torch.testing.assert_close(views.probability[1, 1, 2], output.softmax(0)[2])
        assert views.predicted[1, 1, 2] == output.argmax()
        torch.testing.assert_close(views.response[1, 1, 2], part(covered)[0, strongest].sum())


def test_views_of_numpy_images_and_binary_models():
    views = Occlusion(networks.binary(), window=8, task="binary").views(X.numpy())
    assert isinstance(views.predicted, np.ndarray)
    assert set(np.unique(views.predicted)) <= {0, 1}
    assert views.probability.dtype == np.float32


def test_views_of_a_layer_that_is_an_operation():
    model = networks.functional_cnn()
    views = Occlusion(model, window=8).views(networks.images(networks.functional_cnn))
    assert (views.response >= 0).all()


@pytest.mark.parametrize(
    "change", [lambda net: lambda x: net(x), lambda net: torch.jit.trace(net, X)],
    ids=["a function", "traced"],
)  # fmt: skip
def test_views_need_a_module(change):
    occlusion = Occlusion(change(networks.plain_cnn()), window=8)
    with pytest.raises(InvalidInputError, match=r"views look at a layer.*torch\.nn\.Module"):
        occlusion.views(X)
