"""Row tables: Parquet, cut into segments named by digest, so that versions share what did not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
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
        columns = {name: [getattr(row, name) for row in part] for name in _ROWS.names}
        segments.append(blobs.put(to_parquet(pa.table(columns, schema=_ROWS))))
    return tuple(segments)


def read_rows(blobs: Blobs, segments: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of some segments in stored order."""
    for segment in segments:
        # `pq.read_table` would import pyarrow's data sets first
        table = pq.ParquetFile(pa.BufferReader(blobs.get(segment))).read(use_threads=False)
        columns = [table.column(name).to_pylist() for name in _ROWS.names]
        for values in zip(*columns, strict=True):
            yield Row(**dict(zip(_ROWS.names, values, strict=True)))


def to_parquet(table: pa.Table) -> memoryview:
    """Write a table as Parquet; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())
