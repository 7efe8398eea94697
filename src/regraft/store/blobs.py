"""Blobs: content-addressed, read-only, verified whenever they are read."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

from regraft import durable
from regraft.errors import ConflictError, IntegrityError
from regraft.store.leases import reuse
from regraft.store.storage import Storage


class Blobs:
    """Files named by the sha256 of their bytes."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self.folder = folder

    def put(self, *chunks: durable.Bytes) -> str:
        """Keep the chunks, end to end, as one blob and return its digest; a blob is stored once.

        Who puts holds a lease until something refers to the blob. What is there already is read again: raises
        IntegrityError where it is damaged, so that nothing new relies on it.
        """
        running = sha256()
        for chunk in chunks:
            running.update(chunk)
        digest = running.hexdigest()
        name = self.name(digest)
        fresh = False
        # also what was written just now: one of several collectors may have condemned what was there before
        while not reuse(self._storage, name):
            with suppress(ConflictError):  # another writer was faster, with the same bytes
                self._storage.put(name, *chunks, point="blob")
                fresh = True
        if not fresh:
            self.get(digest)
            self._storage.confirm(name, point="blob")  # who wrote it may have died before this
        return digest

    def get(self, digest: str) -> bytes:
        """Return a blob's bytes; raises IntegrityError where it is missing or damaged."""
        name = self.name(digest)
        data = self._storage.read(name)
        if data is None:
            raise IntegrityError(f"The stored file {name!r} is missing.", hint=_HEAL)
        if sha256(data).hexdigest() != digest:
            raise IntegrityError(f"The stored file {name!r} is damaged.", hint=_HEAL)
        return data

    def read(self, digest: str, *, offset: int, length: int) -> bytes | None:
        """Return a range of a blob, not verified; None where there is no such blob."""
        return self._storage.read(self.name(digest), offset=offset, length=length)

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there."""
        return self._storage.find(self.name(digest)) is not None

    def keep(self, digest: str, *, flush: bool = False) -> bool:
        """Tell whether a blob is there and stays while the caller holds its lease.

        What no version has referred to yet has to be flushed: who wrote it may have died before that.
        """
        there = reuse(self._storage, self.name(digest))
        if there and flush:
            self._storage.confirm(self.name(digest), point="blob")
        return there

    def name(self, digest: str) -> str:
        """Return what a blob is called in its storage, whether or not it is there."""
        return f"{self.folder}/{digest[:2]}/{digest[2:]}"


_HEAL = (
    "See `regraft store verify`. Restore it from a copy of the workspace, or delete it and make the version "
    "again from its source."
)
