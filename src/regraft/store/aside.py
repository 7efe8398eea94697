"""A store beside another one: it has all that the other has, and what is written goes with it when it ends.

By it work can be tried with the very code that would do it, and nothing of it is there afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from regraft import durable
from regraft.errors import ConflictError
from regraft.store.opening import Store
from regraft.store.storage import Folder, Found, Storage


class Overlay:
    """A storage that reads from two places, and writes into the upper one; the lower one never changes."""

    def __init__(self, lower: Storage, upper: Storage) -> None:
        self._lower = lower
        self._upper = upper
        #: What was taken away, and is still there below.
        self._gone: set[str] = set()

    def put(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Publish above; raises ConflictError where the name exists in either place."""
        if self._below(name):
            raise ConflictError(f"The file {name!r} exists already.")
        self._upper.put(name, *chunks, point=point)

    def swap(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Replace above."""
        self._upper.swap(name, *chunks, point=point)

    def confirm(self, name: str, *, point: str) -> None:
        """Do nothing: nobody relies on what goes away."""

    def renew(self, name: str) -> bool:
        """Tell whether the file is there; below its time stays what it is."""
        return self.find(name) is not None

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        """Read above, or else below."""
        data = self._upper.read(name, offset=offset, length=length)
        if data is None and name not in self._gone:
            return self._lower.read(name, offset=offset, length=length)
        return data

    def find(self, name: str) -> Found | None:
        """Look above, or else below."""
        return self._upper.find(name) or self._below(name)

    def list(self, folder: str) -> Iterator[Found]:
        """Yield what is above, and what of the rest is below."""
        seen = set(self._gone)
        for found in self._upper.list(folder):
            seen.add(found.name)
            yield found
        yield from (found for found in self._lower.list(folder) if found.name not in seen)

    def remove(self, name: str) -> None:
        """Take the file away above, and hide it below."""
        self._upper.remove(name)
        self._gone.add(name)

    def _below(self, name: str) -> Found | None:
        return None if name in self._gone else self._lower.find(name)


@contextmanager
def aside(store: Store) -> Iterator[Store]:
    """Open a store on top of another one for a while; it fetches nothing.

    It shares the caches, and what was measured on the machine. Raises NotAllowedError or StorageError where
    nothing can be written beside the store.
    """
    root = durable.folder(store.cache / f"aside-{secrets.token_hex(4)}")
    try:
        beside = Store(Overlay(store.storage, Folder(root)), root, store.address)
        beside.cache, beside.machines, beside.offline = store.cache, store.machines, True
        yield beside
    finally:
        durable.remove_folder(root)
