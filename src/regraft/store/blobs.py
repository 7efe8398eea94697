"""Blobs: content-addressed, read-only, verified whenever they are read."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from regraft import durable
from regraft.errors import ConflictError, IntegrityError


class Blobs:
    """A folder of files named by the sha256 of their bytes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, *chunks: durable.Bytes) -> str:
        """Keep the chunks, end to end, as one blob and return its digest; a blob is stored once."""
        running = sha256()
        for chunk in chunks:
            running.update(chunk)
        digest = running.hexdigest()
        path = self.path(digest)
        if path.exists():
            durable.confirm(path, point="blob")  # who wrote it may have died before this
            return digest
        try:
            durable.put(path, *chunks, point="blob")
        except ConflictError:  # another writer was faster, with the same bytes
            durable.confirm(path, point="blob")
        return digest

    def get(self, digest: str) -> bytes:
        """Return a blob's bytes; raises IntegrityError where it is missing or damaged."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"The stored file {str(path)!r} is missing.", hint=_HEAL) from None
        except OSError as error:
            raise durable.unreadable(error, path) from error
        if sha256(data).hexdigest() != digest:
            raise IntegrityError(f"The stored file {str(path)!r} is damaged.", hint=_HEAL)
        return data

    def path(self, digest: str) -> Path:
        """Return where a blob lies, whether or not it is there."""
        return self._root / digest[:2] / digest[2:]


_HEAL = "Restore it from a copy of the workspace, or delete it and make the version again from its source."
