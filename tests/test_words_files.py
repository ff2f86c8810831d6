"""Decoders as files: the same words after loading, and nothing for another model."""

import dotted
import numpy as np
import pytest
import torch

from fastxai import InvalidInputError, TextExplainer


@pytest.fixture(scope="module")
def explainer():
    made = TextExplainer(dotted.network(), width=16, epochs=40, batch_size=16, learning_rate=0.01)
    return made.fit(*dotted.dots(60))


@pytest.fixture
def file(explainer, tmp_path):
    explainer.save(tmp_path / "words.npz")
    return tmp_path / "words.npz"


def test_a_loaded_decoder_says_the_same(explainer, file):
    again = TextExplainer.load(file, dotted.network())
    images = dotted.dots(5, seed=3)[0]
    one, other = (e.explain(images, beam=2) for e in (explainer, again))
    assert one.texts == other.texts
    assert np.array_equal(one.log_probabilities, other.log_probabilities)
    assert np.array_equal(one[0].attention, other[0].attention)


def test_a_loaded_decoder_knows_how_it_was_trained(explainer, file):
    again = TextExplainer.load(file, dotted.network())
    assert again.vocabulary_ == explainer.vocabulary_ and again.layer_ == explainer.layer_
    assert again.width == 16 and again.learning_rate == 0.01
    assert np.array_equal(again.curve_.validation, explainer.curve_.validation)
    assert np.array_equal(again.held_out_, explainer.held_out_)


def test_nothing_in_the_file_is_pickled(file):
    with np.load(file, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fUb" for name in arrays.files)


def test_another_model_is_refused(file):
    with pytest.raises(InvalidInputError, match="another model"):
        TextExplainer.load(file, dotted.network(seed=1))


def test_files_of_another_kind_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "text.npz").write_text("no array at all")
    for name in ("other.npz", "broken.npz", "text.npz"):
        with pytest.raises(InvalidInputError, match=r"no text explainer: TextExplainer\.save"):
            TextExplainer.load(tmp_path / name, dotted.network())
    with pytest.raises(InvalidInputError, match="no such file"):
        TextExplainer.load(tmp_path / "missing.npz", dotted.network())


def test_what_has_learned_nothing_is_not_saved(tmp_path):
    with pytest.raises(InvalidInputError, match="call fit"):
        TextExplainer(dotted.network()).save(tmp_path / "words.npz")
    assert not (tmp_path / "words.npz").exists()


def test_only_npz_is_written(explainer, tmp_path):
    with pytest.raises(InvalidInputError, match="npz"):
        explainer.save(tmp_path / "words.pt")


def test_a_layer_that_was_a_module_is_found_by_its_name(tmp_path):
    model = dotted.network()
    made = TextExplainer(model, model[6], width=8, epochs=1).fit(*dotted.dots(20))
    made.save(tmp_path / "words.npz")
    again = TextExplainer.load(tmp_path / "words.npz", dotted.network())
    assert again.layer_ == again.layer == "6"


def test_reshape_is_asked_for_again(tmp_path):
    model = dotted.network()
    made = TextExplainer(model, "6", reshape=torch.relu, width=8, epochs=1).fit(*dotted.dots(20))
    made.save(tmp_path / "words.npz")
    with pytest.raises(InvalidInputError, match="reshape"):
        TextExplainer.load(tmp_path / "words.npz", dotted.network())
    assert TextExplainer.load(tmp_path / "words.npz", dotted.network(), reshape=torch.relu)
