"""The rows of a version: by position, by key, by content, without reading those that are not asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from regraft.errors import NotFoundError, did_you_mean
from regraft.records import Row, Segment
from regraft.store.blobs import Blobs
from regraft.store.sidecars import Sidecars
from regraft.store.tables import read_table, rows_of

#: What rows can be found by.
Fact = Literal["key", "digest", "family"]

#: Version of the index: changes with what it holds.
_KIND = "index-1"
_FACTS: tuple[Fact, ...] = ("key", "digest", "family")
#: Tables of so many segments stay in memory.
_KEPT = 64

#: A fact of a row, hashed, and where the row stands in its segment; sorted by the hash.
_ENTRY = np.dtype([("token", "<u8"), ("row", "<i4")])
#: The hashes of a segment in order, and where the row of each stands.
_Index: TypeAlias = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]


class Rows:
    """The rows of some segments in stored order.

    Tables are read when they are needed. An index by key, content and family is kept in the cache for each
    segment; building it reads the segment once.
    """

    def __init__(self, blobs: Blobs, segments: Sequence[Segment], cache: Path) -> None:
        self._blobs = blobs
        self.segments = tuple(segments)
        self._ends = list(accumulate(segment.count for segment in segments))
        self._sidecars = Sidecars(cache, _KIND)
        self._tables: dict[str, pa.Table] = {}
        self._indexes: dict[str, _Index] = {}

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Row]:
        for segment in self.segments:
            yield from rows_of(read_table(self._blobs, segment))

    def at(self, position: int) -> Row:
        """Return the row at a position; raises IndexError."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} of {len(self)}")
        position %= len(self)
        part = bisect_right(self._ends, position)
        start = self._ends[part - 1] if part else 0
        return self._row(self.segments[part], position - start)

    def part(self, positions: range) -> list[Row]:
        """Return the rows at some positions."""
        return [self.at(position) for position in positions]

    def by_key(self, key: str) -> Row:
        """Return the row of a key; raises NotFoundError with the closest key of its folder."""
        for row in self._find("key", {key}):
            return row
        folder = key.rpartition("/")[0]
        near = [row.key for row in self if row.key.rpartition("/")[0] == folder]
        raise NotFoundError(f"No picture has the key {key!r}.", hint=did_you_mean(key, near))

    def find(self, fact: Fact, values: Iterable[str]) -> list[Row]:
        """Return the rows whose key, digest or family is one of some values, in no order."""
        return list(self._find(fact, set(values)))

    def index(self) -> None:
        """Build what is missing of the index, so that the first search need not."""
        for segment in self.segments:
            self._index(segment)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table of each segment, or some columns of it."""
        for segment in self.segments:
            yield read_table(self._blobs, segment, columns)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tables": {}, "_indexes": {}}  # another process reads its own

    def _find(self, fact: Fact, wanted: set[str]) -> Iterator[Row]:
        tokens = np.array([_token(fact, value) for value in wanted], dtype=np.uint64)
        for segment in self.segments if wanted else ():
            known, places = self._index(segment)
            first, last = known.searchsorted(tokens, side="left"), known.searchsorted(tokens, side="right")
            for which in np.flatnonzero(first < last):
                for number in places[first[which] : last[which]]:
                    row = self._row(segment, int(number))
                    if getattr(row, fact) in wanted:
                        yield row

    def _row(self, segment: Segment, number: int) -> Row:
        return next(rows_of(self._table(segment).slice(number, 1)))

    def _table(self, segment: Segment) -> pa.Table:
        if (table := self._tables.get(segment.digest)) is None:
            for other in list(self._tables)[: len(self._tables) + 1 - _KEPT]:  # other threads put in theirs
                self._tables.pop(other, None)
            table = self._tables[segment.digest] = read_table(self._blobs, segment)
        return table

    def _index(self, segment: Segment) -> _Index:
        if (index := self._indexes.get(segment.digest)) is None:
            kept = self._sidecars.read(segment.digest)
            if kept is None:
                kept = _indexed(list(rows_of(read_table(self._blobs, segment))))
                self._sidecars.write(segment.digest, kept)
            # a search in a column of the array would copy it first
            index = np.ascontiguousarray(kept["token"]), np.ascontiguousarray(kept["row"])
            self._indexes[segment.digest] = index
        return index


def _indexed(rows: Sequence[Row]) -> npt.NDArray[np.void]:
    entries = np.zeros(len(rows) * len(_FACTS), dtype=_ENTRY)
    entries["token"] = [_token(fact, getattr(row, fact)) for fact in _FACTS for row in rows]
    entries["row"] = np.tile(np.arange(len(rows)), len(_FACTS))
    return entries[np.argsort(entries["token"], kind="stable")]


def _token(fact: Fact, value: str) -> int:
    return int.from_bytes(sha256(f"{fact}:{value}".encode()).digest()[:8], "little")
