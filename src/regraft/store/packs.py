"""Packs: picture bytes end to end in content-addressed files of up to 64 MiB, one `pread` a picture.

Nothing is kept open between reads, so that a reader may be forked, pickled or shared between threads.
Of many pictures in stored order, a MiB is read at once, while those before are in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from regraft.errors import IntegrityError
from regraft.records import Row
from regraft.store.blobs import Blobs
from regraft.store.storage import Storage

#: A pack is published when it has grown to this size, in bytes.
PACK_SIZE = 64 * 2**20
#: Of pictures side by side so much is read at once, in bytes, ...
_READ = 2**20
#: ... and so much between two of them that nobody has asked for.
_GAP = 64 * 2**10


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the bytes of a picture lie."""

    pack: str
    offset: int
    length: int


class Packs:
    """The packs of a store."""

    def __init__(self, storage: Storage) -> None:
        self.files = Blobs(storage, "packs")

    def read(self, row: Row) -> bytes:
        """Return the bytes of a row's picture; raises IntegrityError where they are not what was stored."""
        return self._check(row, self.files.read(row.pack, offset=row.offset, length=row.length))

    def keep(self, packs: Iterable[str]) -> None:
        """Let packs stay while the caller holds a lease; raises IntegrityError where one is gone."""
        for pack in packs:
            if not self.files.keep(pack):
                raise IntegrityError(f"The pack {self.files.name(pack)!r} is missing.", hint=_HEAL)

    def read_all(self, rows: Iterable[Row]) -> Iterator[tuple[Row, bytes]]:
        """Yield rows with the bytes of their pictures, in order; what lies side by side is read at once.

        Reading is about a MiB ahead. Raises IntegrityError like `read`, when it comes to the picture.
        """
        with ThreadPoolExecutor(1) as pool:
            ahead: tuple[list[Row], Future[bytes | None]] | None = None
            for part in _beside(rows):
                now, ahead = ahead, (part, pool.submit(self._range, part))
                if now is not None:
                    yield from self._verified(*now)
            if ahead is not None:
                yield from self._verified(*ahead)

    def _range(self, rows: Sequence[Row]) -> bytes | None:
        first, last = rows[0], rows[-1]
        length = last.offset + last.length - first.offset
        return self.files.read(first.pack, offset=first.offset, length=length)

    def _verified(self, rows: Sequence[Row], read: Future[bytes | None]) -> Iterator[tuple[Row, bytes]]:
        data, start = read.result(), rows[0].offset
        for row in rows:
            place = row.offset - start
            yield row, self._check(row, data and data[place : place + row.length])

    def _check(self, row: Row, data: bytes | None) -> bytes:
        if data is not None and sha256(data).hexdigest() == row.digest:
            return data
        name = self.files.name(row.pack)
        if data is None:
            raise IntegrityError(f"The pack {name!r} of picture {row.key!r} is missing.", hint=_HEAL)
        raise IntegrityError(f"Picture {row.key!r} is damaged in {name!r}.", hint=_HEAL)


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


def _beside(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in order, in parts that lie side by side in one pack."""
    part: list[Row] = []
    pack, start, end = "", 0, 0
    for row in rows:
        after = row.offset + row.length
        if row.pack != pack or not 0 <= row.offset - end <= _GAP or after - start > _READ:
            if part:
                yield part
            part, pack, start = [], row.pack, row.offset
        part.append(row)
        end = after
    if part:
        yield part


_HEAL = "Delete the pack if it is damaged, then add the same pictures again: it is made anew."
