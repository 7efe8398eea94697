"""Whether the rows of a dataset fit its manifest and its packs; the tables may come from anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from regraft.errors import InvalidError
from regraft.records import DatasetVersion, Segment
from regraft.store.opening import Store
from regraft.store.tables import ROWS

#: Limits on one table: rows, and bytes when it is unpacked.
_COUNT = 1_000_000
_SIZE = 2**28


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What a row table holds: places by pack, pictures by split and label."""

    #: Where the last picture in each pack ends, in bytes; -1 where a place is not possible.
    ends: dict[str, int]
    counts: Counter[tuple[str, str]]


class RowChecks:
    """Check the rows of many versions; a table that they share is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[Segment, Part] = {}

    def faults(self, data: DatasetVersion) -> Iterator[tuple[str, str]]:
        """Yield the storage's name of what does not fit, and what is wrong with it; raises like `part`.

        A pack that is not there is passed over.
        """
        files = self._store.packs.files
        counts: Counter[tuple[str, str]] = Counter()
        ends: dict[str, int] = {}
        for segment in data.segments:
            part = self.part(segment)
            counts.update(part.counts)
            for pack, end in part.ends.items():
                known = ends.get(pack, 0)
                ends[pack] = -1 if -1 in (known, end) else max(known, end)
        for pack, end in sorted(ends.items()):
            if pack not in data.packs:
                yield files.name(pack), "is needed by rows, and the version does not name it"
            elif end < 0:
                yield files.name(pack), "cannot hold what rows look for"
            elif (file := self._store.storage.find(files.name(pack))) and end > file.size:
                yield files.name(pack), f"has {file.size:,} bytes, and rows look for pictures up to {end:,}"
        for pack in sorted(set(data.packs) - set(ends)):
            yield files.name(pack), "is named by the version, and no row needs it"
        said = {
            (split, label): n for split, labels in data.splits.items() for label, n in labels.items() if n
        }
        if counts != said or counts.total() != data.count or {label for _, label in said} - set(data.labels):
            table = self._store.blobs.name(data.segments[0].digest) if data.segments else ""
            yield table, "has rows that do not agree with the counts of the version"

    def part(self, segment: Segment) -> Part:
        """Return what a table holds.

        Raises IntegrityError where it is missing or damaged, InvalidError where it is no table of rows.
        """
        if segment not in self._parts:
            data = self._store.blobs.get(segment.digest)
            try:
                table = _read(data, segment.count)
            except (pa.ArrowException, ValueError, KeyError, OSError) as error:
                name = self._store.blobs.name(segment.digest)
                raise InvalidError(f"{name!r} is no table of rows.", where=name) from error
            self._parts[segment] = _part(table)
        return self._parts[segment]


def _read(data: bytes, count: int) -> pa.Table:
    """Read a table; a text that many rows have is not written out before it is known how long it is."""
    texts = [field.name for field in ROWS if field.type == pa.string()]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
    facts = file.metadata
    size = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
    if facts.num_rows != count or count > _COUNT or size > _SIZE:
        raise ValueError(count)
    table = file.read(use_threads=False)
    if table.column_names != ROWS.names or any(column.null_count for column in table.columns):
        raise ValueError(table.column_names)
    for name in texts:
        if _length(table.column(name)) > _SIZE:
            raise ValueError(name)
    return table.cast(ROWS)


def _length(column: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc  # slow to import, and most commands go without

    lengths = [pc.binary_length(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
    return pc.sum(pa.chunked_array(lengths, type=pa.int32())).as_py() or 0


def _part(table: pa.Table) -> Part:
    columns = (table.column(name).to_pylist() for name in ("pack", "offset", "length", "split", "label"))
    counts: Counter[tuple[str, str]] = Counter()
    ends: dict[str, int] = {}
    for pack, offset, length, split, label in zip(*columns, strict=True):
        counts[split, label] += 1
        known = ends.get(pack, 0)
        ends[pack] = -1 if known < 0 or offset < 0 or length < 0 else max(known, offset + length)
    return Part(ends=ends, counts=counts)
