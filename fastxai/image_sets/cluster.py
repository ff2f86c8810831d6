"""A set explained by the workers of a dask cluster, batch by batch; this process writes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InvalidInputError, MissingDependencyError
from .dispatch import Dispatch
from .plan import Plan
from .store import Encoded


def computed(
    client: Any, plan: Plan, todo: list[int], workers: int | None = None
) -> Generator[tuple[int, Encoded]]:
    """Explain batches on a cluster.

    Parameters
    ----------
    client : distributed.Client or str
        Or the address of the scheduler.
    plan : Plan
    todo : list of int
        Batches.
    workers : int, optional
        Threads that read the images of a batch; by default as many as the worker has.

    Yields
    ------
    (int, Encoded)
        As they get ready.

    Raises
    ------
    InvalidInputError
        If a worker would give other bits, or can not read the images or the model.
    ModelError
        If the model raises on a worker.
    StorageError
        If the cluster is lost.
    FastxaiError
        If there are no workers, or they die of a batch again and again.
    """
    if not todo:
        return
    with _connected(client) as connected:
        dispatch = Dispatch(connected, plan, workers)
        try:
            yield from dispatch.batches(todo)
        except BaseException:
            dispatch.cancel()
            raise
        dispatch.end()


def check_client(client: Any) -> None:
    """Refuse what is no client before any work.

    Raises
    ------
    InvalidInputError
        If it is neither a client nor an address.
    MissingDependencyError
        If distributed is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependencyError(
            "a cluster needs distributed, which is not installed: pip install 'fastxai[cluster]'"
        ) from None
    if isinstance(client, str):
        return
    if not isinstance(client, Client):
        raise InvalidInputError(
            f"client= is a {type(client).__name__}: give a distributed.Client, or the address of "
            "the scheduler, 'tcp://host:8786'"
        )
    if client.asynchronous:
        raise InvalidInputError("client= is asynchronous: give Client(..., asynchronous=False)")
    if client.status != "running":
        raise InvalidInputError(f"client= is {client.status}: give one that is connected")


@contextmanager
def _connected(client: Any) -> Iterator[Any]:
    """The client; of an address, one that is closed at the end."""
    check_client(client)
    if not isinstance(client, str):
        yield client
        return
    from distributed import Client

    try:
        own = Client(client, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InvalidInputError(
            f"client={client!r}: no scheduler answers there ({error}); give the address that "
            "dask scheduler prints, 'tcp://host:8786'"
        ) from None
    try:
        yield own
    finally:
        own.close(timeout=10)
