"""Sets on a cluster of processes: the same bytes as on one machine, also when workers die."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cluster_nets
import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from PIL import Image
from small_sets import CLASSES, digests, images, small_net
from torch import nn

import fastxai
from fastxai.errors import (
    FastxaiError,
    InvalidInputError,
    MissingDependencyError,
    ModelError,
    StorageError,
)
from fastxai.image_sets import dispatch, memory, store, worker

N, BATCH = 14, 3  # five batches, the last of two images
METHODS = {"gradcam": {}, "smoothgrad": {"n_samples": 2}, "rise": {"n_masks": 10}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two processes of one thread, which come back when they die."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0
        ) as cluster,
        Client(cluster) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run on this machine writes."""
    return digests(run(tmp_path_factory.mktemp("whole") / "run").path)


def run(out: Path, client: Any = None, **options: Any) -> Any:
    given = {"methods": METHODS, "batch_size": BATCH, "names": CLASSES, "client": client}
    given |= {"model": small_net(), "source": images(N), **options}
    return fastxai.explain_dataset(**given, out=out)


# --- the same bytes ----------------------------------------------------------------------


def test_a_cluster_writes_the_same_bytes(
    client: Client, whole: dict[str, str], tmp_path: Path
) -> None:
    assert digests(run(tmp_path / "run", client).path) == whole


def test_an_address_is_enough(client: Client, whole: dict[str, str], tmp_path: Path) -> None:
    address = client.scheduler.address
    assert digests(run(tmp_path / "run", address, workers=2).path) == whole


def test_a_model_by_its_name_is_built_on_the_workers(client: Client, tmp_path: Path) -> None:
    here, there = (
        run(tmp_path / name, c, model="cluster_nets:named")
        for name, c in (("here", None), ("there", client))
    )
    assert digests(here.path) == digests(there.path)


def test_a_model_that_only_this_process_knows_is_sent_by_value(
    client: Client, tmp_path: Path
) -> None:
    class Here(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.last = small_net(), lambda x: x * 2

        def forward(self, x: Any) -> Any:
            return self.last(self.net(x))

    here, there = (
        run(tmp_path / name, c, model=Here().eval())
        for name, c in (("here", None), ("there", client))
    )
    assert digests(here.path) == digests(there.path)


def photos(folder: Path) -> Path:
    """Eight in two folders, one of them damaged."""
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (8, 20, 24, 3), np.uint8)):
        file = folder / CLASSES[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    file.write_bytes(file.read_bytes()[:300])
    return folder


def prepared(photo: Any) -> Any:
    return np.asarray(photo.resize((16, 16)), np.float32).transpose(2, 0, 1) / np.float32(255)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (photos, {"labels": "folder", "preprocess": prepared, "target": "label"}),
        (lambda folder: cluster_nets.Items(8), {"target": "label"}),
        (lambda folder: images(8), {"target": np.arange(16).reshape(8, 2) % 4}),
    ],
    ids=["photos", "dataset", "targets"],
)
@pytest.mark.filterwarnings("ignore::fastxai.errors.FastxaiWarning")
def test_every_kind_of_source_gives_the_same_bytes(
    client: Client, tmp_path: Path, source: Any, options: dict[str, Any]
) -> None:
    found = source(tmp_path / "photos")
    here, there = (
        run(tmp_path / name, c, source=found, methods="gradcam", **options)
        for name, c in (("here", None), ("there", client))
    )
    assert digests(here.path) == digests(there.path)
    assert here.table["label"].notna().all() or "labels" not in options


def test_threads_of_one_process_change_no_bit(whole: dict[str, str], tmp_path: Path) -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as threads,
    ):
        assert digests(run(tmp_path / "run", threads).path) == whole


# --- ends and continuations --------------------------------------------------------------


def stop_after(written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run ends as by Ctrl-C when so many batches are on the disk."""
    original, done = store.Store.publish, []

    def publish(self: Any, k: int, batch: Any) -> None:
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(k)
        original(self, k, batch)

    monkeypatch.setattr(store.Store, "publish", publish)


@pytest.mark.parametrize("begun", ["here", "there"])
def test_a_run_continues_where_it_did_not_begin(
    client: Client,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begun: str,
) -> None:
    clients = [None, client] if begun == "here" else [client, None]
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", clients[0])
    assert fastxai.open_results(tmp_path / "run").done >= 2
    assert digests(run(tmp_path / "run", clients[1]).path) == whole


def test_ctrl_c_leaves_nothing_in_flight(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_after(0, patched)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", client)
    assert not client.futures


def test_a_worker_that_came_later_is_given_the_model(
    client: Client, whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = dispatch.Dispatch._introduce
    given: list[str] = []

    def introduce(self: Any, workers: Any = None) -> None:
        if workers is not None:  # at the start, nobody is there
            given.extend(workers)
            original(self, workers)

    monkeypatch.setattr(dispatch.Dispatch, "_introduce", introduce)
    assert digests(run(tmp_path / "run", client).path) == whole
    assert set(given) <= set(client.nthreads())
    assert given


def test_a_finished_run_needs_no_cluster(
    whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "run")
    assert run(tmp_path / "run", "tcp://nowhere:1").complete


def test_a_worker_keeps_few_models() -> None:
    before = dict(worker._RUNS)
    try:
        for name in ("a", "b", "c"):
            worker.receive(name, b"")
        assert list(worker._RUNS) == ["b", "c"]
        worker.forget("b")
        assert list(worker._RUNS) == ["c"]
    finally:
        worker._RUNS.clear()
        worker._RUNS.update(before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc")
@pytest.mark.parametrize(("setting", "ours"), [("65536", True), ("1000000", False)])
def test_the_allocator_is_left_as_the_user_set_it_but_not_as_dask_does(
    monkeypatch: pytest.MonkeyPatch, setting: str, ours: bool
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", setting)
    assert (memory._glibc() is not None) == ours


# --- what is refused, before the work and during it --------------------------------------


def test_another_version_is_refused_naming_the_worker(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastxai.image_sets.settings.__version__", "99.0")
    with pytest.raises(InvalidInputError, match=r"tcp://.*fastxai 0\.[0-9.]+ there and 99\.0 here"):
        run(tmp_path / "run", client)
    assert fastxai.open_results(tmp_path / "run").done == 0


def test_other_weights_are_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="elsewhere_another is another one"):
        run(tmp_path / "run", client, model="cluster_nets:elsewhere_another")


def test_images_that_only_this_process_can_read_are_no_bad_images(
    client: Client, tmp_path: Path
) -> None:
    items = cluster_nets.Items(8, only_here=True)
    with pytest.raises(InvalidInputError, match=r"tcp://.* can not read image .*no such disk"):
        run(tmp_path / "run", client, source=items)


def test_what_the_model_raises_comes_with_the_batch_the_worker_and_the_cause(
    client: Client, tmp_path: Path
) -> None:
    model = cluster_nets.Elsewhere(cluster_nets.fails)
    with pytest.raises(ModelError, match=r"for Sundays.*images \d+ to \d+.*tcp://") as error:
        run(tmp_path / "run", client, model=model)
    assert "in fails" in str(error.value.__cause__)


def test_a_model_that_can_not_be_pickled_is_refused(client: Client, tmp_path: Path) -> None:
    model = small_net()
    model.lock = threading.Lock()
    with pytest.raises(InvalidInputError, match="model can not be sent to workers"):
        run(tmp_path / "run", client, model=model)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "client= is a int"),
        ("tcp://127.0.0.1:9", "no scheduler answers"),
        ("nonsense", "no sch"),
    ],
    ids=["number", "nobody there", "no address"],
)
def test_what_is_no_client_is_refused(tmp_path: Path, given: Any, said: str) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(InvalidInputError, match=said),
    ):
        run(tmp_path / "run", given)


def test_distributed_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"fastxai\[cluster\]"):
        run(tmp_path / "run", "tcp://127.0.0.1:1")


def test_without_workers_it_waits_says_so_and_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE", 0.5)
    monkeypatch.setattr(dispatch, "_TOLD_AFTER", 0.0)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as empty,
        pytest.raises(FastxaiError, match="has had no worker"),
    ):
        run(tmp_path / "run", empty)
    assert "waiting for workers of" in capfd.readouterr().err


def test_a_cluster_that_is_lost_leaves_a_run_that_continues(
    whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    original = store.Store.publish

    def publish(self: Any, k: int, batch: Any) -> None:
        original(self, k, batch)
        cluster.close()

    with Client(cluster, set_as_default=False) as lost, monkeypatch.context() as patched:
        patched.setattr(store.Store, "publish", publish)
        with pytest.raises(StorageError, match=r"cluster at .* is lost.*continue"):
            run(tmp_path / "run", lost)
    assert fastxai.open_results(tmp_path / "run").done >= BATCH
    assert digests(run(tmp_path / "run").path) == whole


# --- workers that die, last, since their successors take seconds to start ------------------


@pytest.mark.parametrize("allowed", [3, 0], ids=["dask does it again", "dask gives up"])
def test_a_worker_killed_in_the_middle_changes_no_byte(
    client: Client, tmp_path: Path, allowed: int
) -> None:
    client.cluster.scheduler.allowed_failures = allowed
    file = tmp_path / "alive"
    model = cluster_nets.Elsewhere(cluster_nets.Dies(while_there=file))
    source = cluster_nets.marked(N, where=7)
    here = run(tmp_path / "here", model=model, source=source)
    file.touch()
    there = run(tmp_path / "there", client, model=model, source=source)
    assert not file.exists()  # somebody died
    assert digests(here.path) == digests(there.path)


def test_a_batch_that_kills_every_worker_is_named_when_all_others_are_done(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.cluster.scheduler.allowed_failures = 0
    monkeypatch.setattr(dispatch, "_DEATHS", 2)
    model = cluster_nets.Elsewhere(cluster_nets.Dies())
    with pytest.raises(FastxaiError, match=r"^images 6 to 8 end the workers"):
        run(tmp_path / "run", client, model=model, source=cluster_nets.marked(N, where=7))
    results = fastxai.open_results(tmp_path / "run")
    assert sorted(set(range(N)) - set(results.table.index)) == [6, 7, 8]
