"""A thread that writes batches while the next ones are computed."""

from __future__ import annotations

import queue
import threading
from typing import Any

from .manifest import Manifest
from .store import Encoded, Store


class Writer:
    """Publishes batches one after the other; its errors come up where the next one is given.

    At the end of the block everything that was given is on the disk, also when the block ends
    by an exception: what was computed is not lost.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        self._queue: queue.Queue[tuple[int, Encoded] | None] = queue.Queue(maxsize=2)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fastxai-writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def put(self, k: int, batch: Encoded) -> None:
        """Hand over a batch; waits while two are waiting already."""
        self._raise()
        self._queue.put((k, batch))

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # drained, so that nobody waits for room
            try:
                self._publish(*item)
            except BaseException as error:
                self._error = error

    def _publish(self, k: int, batch: Encoded) -> None:
        asked = self._manifest.size(k)
        if batch.size < asked:  # written down first: the batch is never there without it
            self._manifest.halved[k] = batch.size
            self._manifest.write(self._store.folder)
        self._store.publish(k, batch)
