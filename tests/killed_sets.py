"""Runs in processes of their own, to be killed, interrupted, or refused; see test_set_killed."""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
import zarr
from small_sets import images, small_net

import fastxai

N, BATCH = 10, 2
_CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.rmtree"}


def run(out: Path | str, model: Any = None) -> Any:
    """The run that all of this is about."""
    model = small_net() if model is None else model
    return fastxai.explain_dataset(model, images(N), "gradcam", out, batch_size=BATCH)


def parts(out: Path) -> int:
    """How many batches are on the disk of a run that goes on."""
    return len(list((out / "table").glob("part-*.parquet")))


def stuck_net() -> Any:
    """The same network, stuck after two calls with one image and one with a batch."""
    net, calls = small_net(), []
    after = int(os.environ.get("FASTXAI_TEST_STUCK_AFTER", "3"))

    def hook(*_: Any) -> None:
        calls.append(1)
        time.sleep(600 if len(calls) > after else 0)

    net.register_forward_pre_hook(hook)
    return net


def stuck(out: str) -> None:
    """Begin a run that others meet in its middle."""
    torch.set_num_threads(1)
    run(out, stuck_net())


class Stops:
    """Holds threads for ever just before something happens in the folder they write to."""

    def __init__(self, root: Path) -> None:
        self.root = str(root) + "/"
        self.seen: list[str] = []
        self.at: dict[str, tuple[str, threading.Event]] = {}
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES or not isinstance(arguments[0], (str, Path)):
            return
        path = str(arguments[0])
        # Zarr's loop serves all threads, so it is not held, and reading changes nothing.
        if not path.startswith(self.root) or threading.current_thread().name == "zarr_io":
            return
        if event == "open" and arguments[1] == "r":
            return
        run, _, file = path.removeprefix(self.root).partition("/")
        moment = f"{event} {_plain(file)} {arguments[1] if event == 'open' else ''}".rstrip()
        if run not in self.at:
            self.seen.append(moment)
        elif self.at[run][0] == moment:
            self.at[run][1].set()
            threading.Event().wait()


def _plain(file: str) -> str:
    """A name without its random part."""
    return re.sub(r"[-.][0-9a-f]{8,32}(?=\.tmp|\.partial)", "", file)


def telling(moments: list[str]) -> list[str]:
    """Those before which the disk holds something that it held at no other of them.

    Of each file: half written (before what was written is synchronised) and there (before its
    temporary name would be removed); of the first batch and the last.
    """
    middle, half = re.compile(r"(/c/|part-00000)[123]"), re.compile(r"^open .*(w|None)$")
    kept = [m for m in dict.fromkeys(moments) if not middle.search(m) and "rename" not in m]
    return [m for m in kept if not half.search(m) or re.search(r"zarr.partial|manifest", m)]


def held(root: str) -> None:
    """One run a moment, each held there; then say so, and wait to be killed."""
    torch.set_num_threads(1)
    zarr.config.set({"threading.max_workers": 64})
    stops = Stops(Path(root))
    net = small_net()  # before there are threads: they share torch's random numbers
    run(Path(root) / "free", copy.deepcopy(net))
    folders = {}
    for number, moment in enumerate(telling(stops.seen)):
        name = f"run{number:02d}"
        reached = threading.Event()
        stops.at[name] = (moment, reached)
        thread = threading.Thread(
            target=run, args=(Path(root) / name, copy.deepcopy(net)), daemon=True
        )
        thread.start()
        while not reached.wait(0.01) and thread.is_alive():
            pass
        if reached.is_set():
            folders[name] = moment
    print(json.dumps(folders), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    held(sys.argv[1])
