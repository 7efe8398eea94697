"""Packs: picture bytes end to end in content-addressed files of up to 64 MiB, one `pread` a picture.

Nothing is kept open between reads, so that a reader may be forked, pickled or shared between threads.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regraft import durable
from regraft.errors import IntegrityError
from regraft.records import Row
from regraft.store.blobs import Blobs

#: A pack is published when it has grown to this size, in bytes.
PACK_SIZE = 64 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the bytes of a picture lie."""

    pack: str
    offset: int
    length: int


class Packs:
    """The packs of a store."""

    def __init__(self, root: Path) -> None:
        self.files = Blobs(root)

    def read(self, row: Row) -> bytes:
        """Return the bytes of a row's picture; raises IntegrityError where they are not what was stored."""
        path = self.files.path(row.pack)
        try:
            data = _read(path, row.offset, row.length)
        except FileNotFoundError:
            raise IntegrityError(
                f"The pack {str(path)!r} of picture {row.key!r} is missing.", hint=_HEAL
            ) from None
        except OSError as error:
            raise durable.unreadable(error, path) from error
        if sha256(data).hexdigest() != row.digest:
            raise IntegrityError(f"Picture {row.key!r} is damaged in {str(path)!r}.", hint=_HEAL)
        return data


class PackWriter:
    """Fill packs one after the other; the places are known when all of them are published."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiting: list[tuple[str, int, int]] = []
        self._places: dict[str, Place] = {}

    def add(self, digest: str, data: bytes) -> None:
        """Put a picture at the end of the open pack."""
        if self._size and self._size + len(data) > PACK_SIZE:
            self._publish()
        self._waiting.append((digest, self._size, len(data)))
        self._chunks.append(data)
        self._size += len(data)

    def finish(self) -> dict[str, Place]:
        """Publish the open pack and return the place of every picture that was added, by digest."""
        self._publish()
        return self._places

    def _publish(self) -> None:
        if not self._chunks:
            return
        pack = self._packs.files.put(*self._chunks)
        for digest, offset, length in self._waiting:
            self._places[digest] = Place(pack=pack, offset=offset, length=length)
        self._chunks, self._size, self._waiting = [], 0, []


def _read(path: Path, offset: int, length: int) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.pread(handle, length, offset)
    finally:
        os.close(handle)


_HEAL = "Delete the pack if it is damaged, then add the same pictures again: it is made anew."
