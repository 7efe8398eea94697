"""Row tables: Parquet, cut into segments named by digest, so that versions share what did not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from regraft.records import Row, Segment
from regraft.store.blobs import Blobs

#: Rows of one segment.
SEGMENT = 10_000

_NUMBERS = {"offset", "length", "width", "height"}
#: The columns of a row table.
ROWS = pa.schema(
    [(field.name, pa.int64() if field.name in _NUMBERS else pa.string()) for field in fields(Row)]
)


def write_rows(blobs: Blobs, rows: Iterable[Row]) -> tuple[Segment, ...]:
    """Store the rows in order and return their segments."""
    segments = []
    remaining = iter(rows)
    while part := list(islice(remaining, SEGMENT)):
        columns = {name: [getattr(row, name) for row in part] for name in ROWS.names}
        digest = blobs.put(to_parquet(pa.table(columns, schema=ROWS)))
        segments.append(Segment(digest=digest, count=len(part)))
    return tuple(segments)


def append_rows(blobs: Blobs, segments: Sequence[Segment], rows: Sequence[Row]) -> tuple[Segment, ...]:
    """Store rows after those of some segments; only the last one is written anew, where it is not full."""
    full = len(segments) - int(bool(segments) and bool(rows) and segments[-1].count < SEGMENT)
    rest = [*read_rows(blobs, segments[full:]), *rows] if rows else []
    return (*segments[:full], *write_rows(blobs, rest))


def rewrite_rows(
    blobs: Blobs, segments: Iterable[Segment], changes: Mapping[str, Row | None]
) -> tuple[Segment, ...]:
    """Store rows in the place of others, by digest, or take them out; order and all other segments stay."""
    result: list[Segment] = []
    for segment in segments:
        digests = read_table(blobs, segment, ["digest"]).column("digest").to_pylist() if changes else []
        if changes.keys().isdisjoint(digests):
            result.append(segment)
            continue
        rows = (changes.get(row.digest, row) for row in read_rows(blobs, [segment]))
        result += write_rows(blobs, (row for row in rows if row is not None))
    return tuple(result)


def read_rows(blobs: Blobs, segments: Iterable[Segment]) -> Iterator[Row]:
    """Yield the rows of some segments in stored order."""
    for segment in segments:
        yield from rows_of(read_table(blobs, segment))


def read_table(blobs: Blobs, segment: Segment, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table of one segment, or some columns of it."""
    # `pq.read_table` would import pyarrow's data sets first
    file = pq.ParquetFile(pa.BufferReader(blobs.get(segment.digest)))
    return file.read(columns=None if columns is None else list(columns), use_threads=False)


def rows_of(table: pa.Table) -> Iterator[Row]:
    """Yield the rows of a table."""
    columns = [table.column(name).to_pylist() for name in ROWS.names]
    # each name written out: three times as fast as a dictionary of them
    for key, digest, pack, offset, length, label, split, group, width, height, metadata in zip(
        *columns, strict=True
    ):
        yield Row(
            key=key,
            digest=digest,
            pack=pack,
            offset=offset,
            length=length,
            label=label,
            split=split,
            group=group,
            width=width,
            height=height,
            metadata=metadata,
        )


def to_parquet(table: pa.Table) -> memoryview:
    """Write a table as Parquet; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())
