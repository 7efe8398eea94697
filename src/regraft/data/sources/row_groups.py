"""The pictures in a Parquet file, a few rows at a time, from front to back.

In any other order than the rows', a row group is begun again for each step back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from regraft import durable
from regraft.data.sources import streams
from regraft.data.sources.archives import Origin
from regraft.errors import InvalidPicture, RegraftError

#: Rows whose pictures are read together; two such batches may be in memory.
_BATCH = 32
#: Bytes of a column that are read ahead.
_BUFFER = 2**18


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever Arrow raises over damaged bytes into InvalidArchive."""
    try:
        yield
    except RegraftError:
        raise
    except PermissionError as error:
        raise durable.unreadable(error, path) from error
    except Exception as error:
        raise streams.damaged(path, words=first_line(error)) from error


def open_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file so that no column is read at once."""
    return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def first_line(error: Exception) -> str:
    """Return what Arrow says, without the rest of its pages."""
    return str(error).strip(" .").split("\n")[0][:200]


class Pictures:
    """The pictures of one file, read from front to back for threads that ask nearly in order."""

    def __init__(self, origin: Origin, column: str) -> None:
        self._origin = origin
        self._column = column
        self._lock = threading.Lock()
        #: Row group, its first row, and the pictures of the batches that were read last.
        self._recent: deque[tuple[int, int, pa.Array]] = deque(maxlen=2)
        self._batches: Iterator[pa.RecordBatch] | None = None
        #: The first row that cannot be read, and why, by row group.
        self._damage: dict[int, tuple[int, str]] = {}

    def read(self, group: int, row: int) -> bytes:
        """Return the bytes of the picture in a row of a row group; raises InvalidPicture."""
        with self._lock:
            try:
                value = self._find(group, row).as_py()
            except InvalidPicture:
                raise
            except Exception as error:  # over damaged bytes Arrow raises anything
                self._damage[group] = (self._next(group), first_line(error))
                self._batches = None
                raise self._refusal(group) from error
        if isinstance(value, str):
            raise InvalidPicture("a text in place of a picture.")
        if not isinstance(value, bytes):
            raise InvalidPicture("no picture in this row.")
        return value

    def _refusal(self, group: int) -> InvalidPicture:
        return InvalidPicture(f"the Parquet file is damaged here ({self._damage[group][1]}).")

    def _find(self, group: int, row: int) -> pa.Scalar:
        while True:
            for where, first, pictures in self._recent:
                if where == group and first <= row < first + len(pictures):
                    return pictures[row - first]
            if group in self._damage and row >= self._damage[group][0]:
                raise self._refusal(group)
            self._advance(group, row)

    def _next(self, group: int) -> int:
        """Return the first row that follows what was read last."""
        last = self._recent[-1] if self._recent else None
        return last[1] + len(last[2]) if last and last[0] == group else 0

    def _advance(self, group: int, row: int) -> None:
        start = self._next(group)
        if self._batches is None or not start or row < start:
            self._origin.check()
            file = open_file(self._origin.path)
            self._batches = file.iter_batches(
                batch_size=_BATCH, row_groups=[group], columns=[self._column], use_threads=False
            )
            self._recent.clear()
            start = 0
        batch = next(self._batches, None)
        if batch is None or not len(batch):
            raise ValueError("a row is missing")
        pictures = batch.column(0)
        if types.is_struct(pictures.type):
            pictures = pictures.field("bytes")
        self._recent.append((group, start, pictures))
