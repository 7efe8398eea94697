"""Leases: how those who write keep those who clean up from taking away what is needed in a moment.

A version is published last, after the blobs and packs that it needs. Until then nobody refers to them. So:

- Who writes holds a lease, a small file. It is a time: nothing that was written or touched since the oldest
  live lease began is collected.
- Who finds that a blob is there already, and wants to rely on it, touches it first.
- Who collects first publishes what it condemns, then looks at times and leases again, and only then
  removes. Who has touched something and finds it condemned waits until the collector is done, and looks
  whether it is still there.

Every order of these steps keeps what a writer relies on. A lease ends with its process; one on another
host, which cannot be looked at, counts for a week.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from regraft.errors import ConflictError
from regraft.records import canonical
from regraft.store.processes import alive, started
from regraft.store.storage import Storage

#: For so long a lease of another host counts, in seconds.
FOREIGN = 7 * 24 * 3600.0
#: For so long a writer waits for a collector, in seconds.
PATIENCE = 300.0

_LEASES = "leases"
_CONDEMNED = "condemned"


@contextmanager
def lease(storage: Storage) -> Iterator[None]:
    """Hold a lease while writing what nobody refers to yet."""
    name = f"{_LEASES}/{secrets.token_hex(8)}.json"
    storage.put(name, canonical(_owner()), point="lease")
    try:
        yield
    finally:
        storage.remove(name)


def oldest(storage: Storage) -> float | None:
    """Return when the oldest live lease began, by the clock of the storage; forget those of the dead."""
    times = []
    for found in storage.list(_LEASES):
        if _live(storage.read(found.name), found.modified):
            times.append(found.modified)
        else:
            storage.remove(found.name)
    return min(times, default=None)


def reuse(storage: Storage, name: str) -> bool:
    """Tell whether a file is there and stays while the caller holds its lease.

    Raises ConflictError where a collector that has condemned it does not come to an end.
    """
    patience = time.monotonic() + PATIENCE
    while storage.renew(name):
        if not any(name in names for names in _condemned(storage)):
            # a collector that was done before this look may have looked at the time before it was renewed
            return storage.find(name) is not None
        if time.monotonic() > patience:
            raise ConflictError(
                f"A collector of garbage has condemned {name!r}, and is still at work.",
                hint="Wait until `regraft store gc` has ended. If none runs anywhere, delete the folder "
                f"{_CONDEMNED!r} of the workspace.",
            )
        time.sleep(0.01)  # a collector is at work: it will take the file away, or see that it was touched
    return False


@contextmanager
def condemn(storage: Storage, names: set[str]) -> Iterator[None]:
    """Publish which files are about to be removed."""
    for _ in _condemned(storage):
        pass  # what collectors left behind who were killed is forgotten
    name = f"{_CONDEMNED}/{secrets.token_hex(8)}.json"
    storage.put(name, canonical({**_owner(), "names": sorted(names)}), point="gc.condemn")
    try:
        yield
    finally:
        storage.remove(name)


def _condemned(storage: Storage) -> Iterator[set[str]]:
    for found in storage.list(_CONDEMNED):
        data = storage.read(found.name)
        if _live(data, found.modified):
            yield set(json.loads(data or b"{}").get("names", ()))
        else:
            storage.remove(found.name)


def _owner() -> dict[str, object]:
    return {"host": socket.gethostname(), "process": os.getpid(), "started": started(os.getpid())}


def _live(data: bytes | None, began: float) -> bool:
    if data is None:
        return False
    try:
        owner = json.loads(data)
        if owner["host"] == socket.gethostname():
            return alive(owner["process"], owner["started"])
    except (ValueError, KeyError, TypeError):
        pass  # it cannot be read: it counts like that of another host
    return time.time() - began < FOREIGN
