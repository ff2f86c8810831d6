"""Batches of changed images: measured, halved, interrupted."""

import networks
import networks_attention  # noqa: F401  (registers the transformers)
import pytest
from occluding import X, agree

import fastxai
from fastxai import Occlusion

torch = pytest.importorskip("torch")
from fastxai.explain.black_box import perturbed  # noqa: E402


def sizes(model):
    """The batch sizes that a model is called with."""
    seen = []

    def call(x):
        seen.append(len(x))
        return model(x)

    return call, seen


def test_windows_of_several_images_share_a_batch():
    call, seen = sizes(networks.plain_cnn())
    found = Occlusion(call, window=12, stride=12, batch_size=6)(X)
    assert seen == [3, 6, 6]
    agree(found, Occlusion(networks.plain_cnn(), window=12, stride=12)(X))


@pytest.mark.parametrize("batch_size", [1, 5, 100, None], ids=str)
def test_the_batch_size_changes_nothing(batch_size):
    model = networks.plain_cnn()
    expected = Occlusion(model, window=8, local=False)(X)
    agree(Occlusion(model, window=8, batch_size=batch_size)(X), expected)


ERRORS = {
    "device": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "Python": MemoryError,
    "allocator": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to ..."),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_batches_are_halved_where_memory_does_not_suffice(error):
    model, seen = networks.plain_cnn(), []

    def call(x):
        seen.append(len(x))
        if len(x) > 3:
            raise error()
        return model(x)

    found = Occlusion(call, window=8, batch_size=16)(X)
    agree(found, Occlusion(model, window=8)(X))
    assert seen[1:4] == [15, 7, 3]
    assert set(seen[3:]) <= {2, 3}


def test_one_image_that_does_not_fit_is_an_error():
    calls = []

    def call(x):
        calls.append(len(x))
        if len(calls) > 1:
            raise MemoryError("too large")
        return x.flatten(1)[:, :5]

    with pytest.raises(MemoryError, match="too large"):
        Occlusion(call, window=8)(X)
    assert calls[-1] == 1


def test_little_memory_makes_small_batches(monkeypatch):
    call, seen = sizes(networks.plain_cnn())
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 1_000_000)
    Occlusion(call, window=8)(X)
    few = max(seen[2:])
    monkeypatch.setattr("fastxai.system.available_memory", lambda: 2**40)
    seen.clear()
    Occlusion(call, window=8)(X)
    assert 1 <= few < max(seen) <= 32


@pytest.mark.parametrize(("fit", "most"), [(5, 8), (8, 8), (20, 16), (31, 16), (32, 32), (99, 32)])
def test_batches_are_powers_of_two_whose_largest_activation_fits(monkeypatch, fit, most):
    """But for eight, below which a layer has too little to do."""
    call, seen = sizes(networks.plain_cnn())
    monkeypatch.setattr(perturbed, "_LARGEST", 24 * 24 * 8 * 4 * fit)
    Occlusion(call, window=6, stride=3)(X)
    assert most // 2 < max(seen) <= most  # what is left is shared out evenly


def test_another_error_is_raised_at_once():
    def call(x):
        if len(x) != 3:
            raise ValueError("a mistake in the model")
        return x.flatten(1)[:, :5]

    with pytest.raises(fastxai.ModelError, match="a mistake in the model"):
        Occlusion(call, window=8)(X)


def test_ctrl_c_falls_between_batches():
    calls = []

    def call(x):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return x.flatten(1)[:, :5]

    with pytest.raises(KeyboardInterrupt):
        Occlusion(call, window=2, batch_size=4)(X)
    assert len(calls) == 4
