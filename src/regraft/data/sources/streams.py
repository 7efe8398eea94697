"""Read a file that may be compressed, from front to back, and never more than it should hold."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from regraft import durable
from regraft.errors import InvalidArchive, InvalidError

#: A file that unpacks to more than this many times its size is made to fill memories and disks ...
MAX_RATIO = 200
#: ... unless what it unpacks to is small anyway, in bytes.
FREE = 10 * 10**6
#: No file unpacks to more than this, in bytes.
MAX_TOTAL = 256 * 2**30

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_CHUNK = 2**20
#: Memory that an xz file may ask for, in bytes; its highest preset asks for 65 MiB.
_XZ_MEMORY = 256 * 2**20


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def compression(head: bytes) -> str:
    """Name the compression that a file beginning with these bytes has; empty where it has none."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def check_growth(path: Path, unpacked: int, packed: int) -> None:
    """Raise InvalidArchive where a file unpacks to far more than its size."""
    if unpacked > MAX_TOTAL or (unpacked > FREE and unpacked > MAX_RATIO * packed):
        raise InvalidArchive(
            f"{str(path)!r} unpacks to more than {MAX_RATIO} times its size: it is made to fill memories."
            if unpacked <= MAX_TOTAL
            else f"{str(path)!r} unpacks to more than {MAX_TOTAL // 2**30} GiB.",
            hint="Pack the pictures again, in several archives if they are many.",
            where=str(path),
        )


def damaged(path: Path, error: Exception | None = None, *, words: str = "") -> InvalidArchive:
    """Return the exception that says that a packed file is truncated or damaged."""
    detail = words or str(error or "").strip(" .")
    return InvalidArchive(
        f"{str(path)!r} is truncated or damaged{f' ({detail})' if detail else ''}.",
        hint="Download it or pack it again.",
        where=str(path),
    )


class Stream:
    """The unpacked bytes of a file. Whatever is wrong with the file, `read` raises InvalidArchive."""

    def __init__(self, path: Path) -> None:
        """Open a file and look how it is compressed; raises NotAllowedError or StorageError."""
        self.path = path
        self.position = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise durable.unreadable(error, path) from error
        try:
            self.compression = compression(self._file.read(8))
            self._file.seek(0)
            self._source = _unpacker(self._file, self.compression)
        except Exception as error:
            self._file.close()
            raise damaged(path, error) from error

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        chunks: list[bytes] = []
        while size > 0 and (chunk := self._read_some(min(size, _CHUNK))):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def skip_to(self, position: int) -> None:
        """Read on to a position without keeping anything."""
        while self.position < position and self._read_some(min(position - self.position, _CHUNK)):
            pass

    def drain(self) -> None:
        """Read to the end, where the checksum is."""
        while self._read_some(_CHUNK):
            pass

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    def _read_some(self, size: int) -> bytes:
        try:
            data = self._source.read(size)
            packed = self._file.tell()
        except (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError) as error:
            raise damaged(self.path, error) from error
        self.position += len(data)
        if self.compression:
            check_growth(self.path, self.position, packed)
        return data


class _Xz:
    """An xz file, perhaps of several streams; unlike the library's own reader it limits memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._decoder.eof:
                rest = (self._decoder.unused_data or self._file.read(2**16)).lstrip(b"\0")  # padding
                if not rest:
                    return b""
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            else:
                rest = self._file.read(2**16) if self._decoder.needs_input else b""
                if not rest and self._decoder.needs_input:
                    raise EOFError("it ends too early")
            if data := self._decoder.decompress(rest, size):
                return data


def _unpacker(file: BinaryIO, kind: str) -> _Source:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return _Xz(file)
    if kind == "zstd":
        import pyarrow as pa  # slow to import, and needed for this compression alone

        source: _Source = pa.input_stream(file, compression="zstd")
        return source
    return file


def read_packed(path: Path, limit: int) -> bytes:
    """Return the unpacked bytes of a small file; raises InvalidError where they are more than `limit`."""
    with Stream(path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise InvalidError(
            f"{str(path)!r} holds more than {limit:,} bytes.", hint="Check the file.", where=str(path)
        )
    return data
