"""Pictures and what is said of them in one Parquet file, as Hugging Face's `datasets` reads it.

The schema says in words of theirs that `image` holds pictures and `label` the number of a class.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from regraft.records import Row

#: A row group ends before it has more rows, or more bytes of pictures unless it is one picture.
MAX_ROWS, MAX_BYTES = 1_000, 32 * 2**20

_WORDS = ("key", "split", "group", "metadata")
_FIELDS = [
    ("key", pa.string()),
    ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("label", pa.int64()),
    ("split", pa.string()),
    ("group", pa.string()),
    ("metadata", pa.string()),
]


def write_parquet(pictures: Iterable[tuple[Row, bytes]], labels: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of a file of rows and their pictures; a label becomes its place in `labels`."""
    numbers = {label: number for number, label in enumerate(labels)}
    schema = pa.schema(_FIELDS, metadata={b"huggingface": _features(labels)})
    sink = _Sink()
    with pq.ParquetWriter(
        sink,
        schema,
        compression={"image.bytes": "none"} | dict.fromkeys(_leaves(), "zstd"),  # pictures are packed already
        use_dictionary=["split", "label"],
        write_statistics=["key", "label", "split", "group"],
    ) as writer:
        for group in _groups(pictures):
            columns = {name: [getattr(row, name) for row, _ in group] for name in _WORDS}
            columns["label"] = [numbers[row.label] for row, _ in group]
            columns["image"] = [{"bytes": data, "path": row.key} for row, data in group]
            writer.write(pa.table(columns, schema=schema), row_group_size=MAX_ROWS)
            yield from sink.drain()
    yield from sink.drain()


def _groups(pictures: Iterable[tuple[Row, bytes]]) -> Iterator[list[tuple[Row, bytes]]]:
    group: list[tuple[Row, bytes]] = []
    size = 0
    for row, data in pictures:
        if group and (len(group) == MAX_ROWS or size + len(data) > MAX_BYTES):
            yield group
            group, size = [], 0
        group.append((row, data))
        size += len(data)
    if group:
        yield group


def _features(labels: Sequence[str]) -> bytes:
    features: dict[str, object] = {name: {"dtype": "string", "_type": "Value"} for name, _ in _FIELDS}
    features["image"] = {"_type": "Image"}
    features["label"] = {"names": list(labels), "_type": "ClassLabel"}
    return json.dumps({"info": {"features": features}}).encode()


def _leaves() -> list[str]:
    return [*(name for name, _ in _FIELDS if name != "image"), "image.path"]


class _Sink:
    """A file to Arrow: what is written waits until it is taken away."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def write(self, piece: bytes) -> int:
        """Keep a piece."""
        self._pieces.append(bytes(piece))
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._position

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def drain(self) -> list[bytes]:
        """Return the pieces since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces
