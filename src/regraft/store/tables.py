"""Row tables: Parquet, cut into segments named by digest, so that versions share what did not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from regraft.records import Row
from regraft.store.blobs import Blobs

#: Rows of one segment.
SEGMENT = 10_000

_NUMBERS = {"offset", "length", "width", "height"}
_ROWS = pa.schema(
    [(field.name, pa.int64() if field.name in _NUMBERS else pa.string()) for field in fields(Row)]
)


def write_rows(blobs: Blobs, rows: Sequence[Row]) -> tuple[str, ...]:
    """Store the rows in order and return the digests of their segments."""
    segments = []
    remaining = iter(rows)
    while part := list(islice(remaining, SEGMENT)):
        segments.append(
            blobs.put(to_parquet(pa.Table.from_pylist([asdict(row) for row in part], schema=_ROWS)))
        )
    return tuple(segments)


def read_rows(blobs: Blobs, segments: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of some segments in stored order."""
    names = [field.name for field in fields(Row)]
    for segment in segments:
        table = pq.read_table(pa.BufferReader(blobs.get(segment)), use_threads=False)
        columns = [table.column(name).to_pylist() for name in names]
        for values in zip(*columns, strict=True):
            yield Row(**dict(zip(names, values, strict=True)))


def to_parquet(table: pa.Table) -> memoryview:
    """Write a table as Parquet; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())
