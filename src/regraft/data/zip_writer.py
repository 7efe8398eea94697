"""Zip archives as a stream: members stored as they are, and the same members give the same bytes.

The standard library's writer wants a file; here nothing but `durable` opens one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from zlib import crc32

#: Places and sizes from here on, and counts likewise, are written in the 64-bit form of the format.
_LIMIT, _MANY = 0xFFFFFFFF, 0xFFFF
#: What stands where the 64-bit form says it.
_ELSEWHERE, _ELSEWHERE_16 = 0xFFFFFFFF, 0xFFFF

_UTF8 = 0x800
#: 1 January 1980, midnight: no archive holds a time.
_TIME, _DATE = 0, 1 << 5 | 1
#: A regular file that its owner may write and everybody read; made on Unix.
_MODE = 0o100644 << 16
_UNIX = 3 << 8
_VERSION, _VERSION_64 = 20, 45

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_EXTRA_64 = struct.Struct("<2HQ")


def write_zip(members: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield the bytes of an archive of some members, each given by its name and its bytes (below 4 GiB)."""
    place = count = 0
    directory = bytearray()
    for name, data in members:
        written = name.encode()
        facts = (_UTF8, 0, _TIME, _DATE, crc32(data), len(data), len(data), len(written))
        head = _LOCAL.pack(b"PK\3\4", _VERSION, *facts, 0) + written
        far = _EXTRA_64.pack(1, 8, place) if place >= _LIMIT else b""
        version = _VERSION_64 if far else _VERSION
        directory += _CENTRAL.pack(
            b"PK\1\2",
            _UNIX | version,
            version,
            *facts,
            len(far),
            0,
            0,
            0,
            _MODE,
            _ELSEWHERE if far else place,
        )
        directory += written + far
        yield head
        yield data
        place += len(head) + len(data)
        count += 1
    yield bytes(directory)
    yield _end(count, len(directory), place)


def _end(count: int, size: int, place: int) -> bytes:
    """Return what stands at the end of an archive, of which the directory has a size and a place."""
    if count < _MANY and size < _LIMIT and place < _LIMIT:
        return _END.pack(b"PK\5\6", 0, 0, count, count, size, place, 0)
    return b"".join(
        (
            _END_64.pack(
                b"PK\6\6", _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, count, count, size, place
            ),
            _LOCATOR_64.pack(b"PK\6\7", 0, place + size, 1),
            _END.pack(b"PK\5\6", 0, 0, _ELSEWHERE_16, _ELSEWHERE_16, _ELSEWHERE, _ELSEWHERE, 0),
        )
    )
