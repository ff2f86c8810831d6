"""explain_dataset: what it writes is what explain returns, and a run can end at any moment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_sets import CLASSES, digests, images, small_net

import fastxai
from fastxai.errors import InvalidInputError, StorageError

ALL = {
    "gradcam": {},
    "guided_gradcam": {},
    "saliency": {},
    "smoothgrad": {"n_samples": 3},
    "occlusion": {"window": 4, "stride": 4},
    "rise": {"n_masks": 20},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nobody interrupted."""
    return run(tmp_path_factory.mktemp("whole") / "run")


def run(out: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"methods": ALL, "batch_size": 4, "names": CLASSES}
    return fastxai.explain_dataset(small_net(), images(10), out=out, **{**given, **options})


@pytest.mark.parametrize("method", ["gradcam", "guided_gradcam", "saliency", "occlusion"])
def test_maps_are_those_of_explain(whole: Any, method: str) -> None:
    expected = fastxai.explain(small_net(), images(10), {method: ALL[method]})
    np.testing.assert_allclose(whole.take(range(10), method), expected[method].maps, 1e-5, 1e-7)


@pytest.mark.parametrize("method", ["smoothgrad", "rise"])
def test_random_numbers_belong_to_an_image_whatever_its_batch(
    whole: Any, method: str, tmp_path: Path
) -> None:
    other = run(tmp_path / "run", methods={method: ALL[method]}, batch_size=3)
    np.testing.assert_allclose(
        other.take(range(10), method), whole.take(range(10), method), 1e-4, 1e-6
    )


def test_the_table_holds_what_the_network_says(whole: Any) -> None:
    with torch.no_grad():
        expected = torch.softmax(small_net()(torch.from_numpy(images(10))), 1)
    assert whole.table["predicted"].tolist() == expected.argmax(1).tolist()
    np.testing.assert_allclose(whole.table["score"], expected.amax(1), 1e-5)
    np.testing.assert_allclose(np.stack(whole.table["top_scores"]).sum(1), 1, 1e-5)


def test_a_folder_holds_what_the_guide_says(whole: Any) -> None:
    names = {file.name for file in whole.path.iterdir()}
    assert names == {"manifest.json", "items.parquet", "maps.zarr", "table.parquet", ".lock"}


def test_two_runs_are_the_same_bytes(whole: Any, tmp_path: Path) -> None:
    assert digests(run(tmp_path / "run").path) == digests(whole.path)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_that_read_change_no_bit(whole: Any, tmp_path: Path, workers: int) -> None:
    assert digests(run(tmp_path / "run", workers=workers).path) == digests(whole.path)


def test_a_run_continues_with_the_threads_it_began_with(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    model = small_net()
    model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        with pytest.raises(Stopped):
            fastxai.explain_dataset(model, images(10), "saliency", tmp_path, batch_size=4)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        fastxai.explain_dataset(model, images(10), "saliency", tmp_path, batch_size=4)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {before}


class Stopped(Exception):
    """What ends a run early."""


def stop_after(published: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run ends by an exception when so many batches are on the disk."""
    from fastxai.image_sets import run as module

    original = module._batches

    def some(*args: Any) -> Any:
        for count, found in enumerate(original(*args)):
            if count == published:
                raise Stopped
            yield found

    monkeypatch.setattr(module, "_batches", some)


@pytest.mark.parametrize("published", [0, 1, 2])
def test_a_run_that_ended_early_continues_to_the_same_bytes(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: int
) -> None:
    with monkeypatch.context() as patched:
        stop_after(published, patched)
        with pytest.raises(Stopped):
            run(tmp_path / "run")
    early = fastxai.open_results(tmp_path / "run")
    assert (early.complete, early.done) == (False, 4 * published)
    assert digests(run(tmp_path / "run").path) == digests(whole.path)


def test_what_is_done_is_not_done_again(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    from fastxai.image_sets import chunk

    monkeypatch.setattr(chunk, "compute", None)  # would raise if it were called
    assert run(tmp_path / "run").complete


@pytest.mark.parametrize(
    "name",
    [".table-0a1b.tmp.parquet", "table/.part-000001-0a1b.tmp.parquet", "maps.zarr/rise/c/2/0/0"],
)
def test_what_a_killed_run_was_writing_is_removed(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        with pytest.raises(Stopped):
            run(tmp_path / "run")
    (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "run" / name).write_bytes(b"half of it")
    assert digests(run(tmp_path / "run").path) == digests(whole.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 5}, "batch_size was 4 and is 5"),
        ({"methods": "gradcam"}, "methods.saliency"),
        ({"random_state": 1}, "random_state was 0 and is 1"),
        ({"dtype": "float16"}, 'dtype was "float32" and is "float16"'),
        ({"names": ("a", "b", "c", "d")}, "names"),
    ],
    ids=["batch size", "methods", "seed", "dtype", "names"],
)
def test_other_settings_are_refused_with_the_difference(
    whole: Any, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match="other settings") as error:
        run(whole.path, **change)
    assert said in str(error.value)


def test_another_model_is_refused(whole: Any) -> None:
    with pytest.raises(InvalidInputError, match="the network's layers or weights differ"):
        fastxai.explain_dataset(
            small_net(1), images(10), ALL, whole.path, batch_size=4, names=CLASSES
        )


def test_a_newer_manifest_is_refused(whole: Any, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    file = tmp_path / "run" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    with pytest.raises(InvalidInputError, match=r"version 99.*upgrade fastxai"):
        run(tmp_path / "run")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "fastxai image set"}'])
def test_a_damaged_manifest_is_said_to_be(whole: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InvalidInputError, match="damaged"):
        fastxai.open_results(tmp_path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    from fastxai.image_sets.lock import only_writer

    with only_writer(tmp_path), pytest.raises(StorageError, match=r"process \d+ on .* writes"):
        run(tmp_path)


def test_the_lock_of_a_dead_process_is_taken_over(whole: Any, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".writer.json").write_text('{"process": 1, "host": "gone"}')
    assert digests(run(tmp_path).path) == digests(whole.path)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InvalidInputError, match=r"not empty.*thesis\.tex"):
        run(tmp_path)


def test_a_batch_that_does_not_fit_is_halved_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastxai.image_sets import chunk

    original = chunk.explained

    def scarce(job: Any, model: Any, given: Any, batch: Any, size: int) -> Any:
        if batch.k == 1 and size > 2:
            raise torch.OutOfMemoryError("out of memory")
        return original(job, model, given, batch, size)

    monkeypatch.setattr(chunk, "explained", scarce)
    halved = run(tmp_path / "run", methods="gradcam")
    assert halved.manifest.halved == {1: 2}
    expected = fastxai.explain(small_net(), images(10), "gradcam")["gradcam"].maps
    np.testing.assert_allclose(halved.take(range(10)), expected, 1e-5, 1e-7)


@pytest.mark.parametrize("full_after", [0, 1])
def test_a_full_disk_is_told_and_what_is_written_stays(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_after: int
) -> None:
    from fastxai.image_sets import store

    original, written = store._write, []

    def full(file: Path, content: bytes) -> None:
        if "part-" in file.name:
            if len(written) == full_after:
                raise OSError(28, "No space left on device")
            written.append(file)
        original(file, content)

    with monkeypatch.context() as patched:
        patched.setattr(store, "_write", full)
        with pytest.raises(StorageError, match="no space left"):
            run(tmp_path / "run")
    assert fastxai.open_results(tmp_path / "run").done == 4 * full_after
    assert digests(run(tmp_path / "run").path) == digests(whole.path)


def test_the_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = small_net().train()
    fastxai.explain_dataset(model, images(4), ALL, tmp_path / "run")
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": None}, "name the folder"),
        ({"batch_size": 0}, "batch_size"),
        ({"dtype": "float64"}, "float16"),
        ({"methods": "gradcm"}, "did you mean 'gradcam'"),
        ({"names": ("a", "b")}, "2 names of classes, and the model has 4"),
        ({"labels": [9] * 10}, "class 9"),
        ({"labels": [0] * 9}, "9"),
        ({"target": [0] * 9 + [7]}, "the target of image 9 is 7"),
        ({"target": 11}, "11"),
        ({"target": [0.5] * 10}, "whole numbers"),
        ({"target": lambda output: output.sum()}, "function"),
        ({"layer": "nowhere"}, "nowhere"),
        ({"weights": "file.pt"}, "by its name"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    given = {"out": tmp_path / "run", "methods": "gradcam", "batch_size": 4, **options}
    with pytest.raises(InvalidInputError) as error:
        fastxai.explain_dataset(small_net(), images(10), **given)
    assert said in str(error.value)
    assert not (tmp_path / "run" / "manifest.json").exists()
