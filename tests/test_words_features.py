"""Feature maps as rows of places: one scale, the right order, coordinates beside them."""

import dotted
import pytest
import torch

from fastxai import NotEnoughMemoryError
from fastxai.explain.layers import Layer
from fastxai.words.features import FeatureRecorder, Places, Recorded


def recorded(maps):
    return Recorded(maps, Layer("conv"), maps)


def maps(n=300, seed=0):
    found = torch.randn(n, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    return found * torch.tensor([1.0, 10.0, 0.1])[:, None, None] + 2


def test_channels_have_mean_0_and_deviation_1_over_the_images_of_training():
    rows = torch.arange(280)
    places = Places.of(recorded(maps()), rows)
    found = places.rows(maps())[rows, :, :3].flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(3), atol=1e-3, rtol=0)


def test_places_come_line_by_line_with_their_coordinates():
    places = Places(torch.zeros(3), torch.ones(3), (4, 5))
    found = places.rows(maps(2))
    assert found.shape == (2, 20, 5) and places.channels == 5
    assert torch.equal(found[1, 7, :3], maps(2)[1, :, 1, 2])
    assert found[0, 0, 3:].tolist() == [-3, -3] and found[0, 4, 3:].tolist() == [-3, 3]
    assert found[0, 19, 3:].tolist() == [3, 3]


def test_a_constant_channel_is_zero():
    given = maps()
    given[:, 1] = 7.0
    found = Places.of(recorded(given), torch.arange(300)).rows(given)
    torch.testing.assert_close(found[:, :, 1], torch.zeros(300, 20), atol=1e-6, rtol=0)


def test_features_are_those_of_the_layer():
    model, (images, _) = dotted.network(), dotted.dots(5)
    found = FeatureRecorder(model, "2", batch_size=2).record(images)
    with torch.no_grad():
        torch.testing.assert_close(found.maps, model[:3](images))


def test_maps_that_do_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 1000)
    with pytest.raises(NotEnoughMemoryError, match="feature maps of 5 images"):
        FeatureRecorder(dotted.network()).record(dotted.dots(5)[0])
