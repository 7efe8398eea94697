"""Write zip archives piece by piece: uncompressed, and with equal bytes for equal members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import pack
from zlib import crc32

#: Sizes and places from here on, and numbers of members, stand in fields of their own (ZIP64).
LARGE = 0xFFFFFFFF
MANY = 0xFFFF
#: What stands in the usual field then.
_FOUR = 0xFFFFFFFF
_TWO = 0xFFFF
#: Names are UTF-8.
_FLAGS = 0x800
#: 1980-01-01, the first day of the format.
_DATE = 0x21
#: A regular file that its owner may write and everybody read.
_MODE = 0o100644


def stored(members: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield the bytes of an archive of some members, in the order given; one is in memory at a time."""
    directory = []
    offset = 0
    for name, data in members:
        words, size = name.encode(), len(data)
        large = size >= LARGE
        shown = _FOUR if large else size
        facts = pack("<HHHHHIII", 45, _FLAGS, 0, 0, _DATE, crc32(data), shown, shown)
        local = _extra([size, size] if large else [])
        header = b"PK\3\4" + facts + pack("<HH", len(words), len(local)) + words + local
        yield header
        yield data
        central = _extra(([size, size] if large else []) + ([offset] if offset >= LARGE else []))
        place = _FOUR if offset >= LARGE else offset
        directory.append(
            b"PK\1\2"
            + pack("<H", 3 << 8 | 45)
            + facts
            + pack("<HHHHHII", len(words), len(central), 0, 0, 0, _MODE << 16, place)
            + words
            + central
        )
        offset += len(header) + size
    yield from directory
    yield _end(len(directory), sum(map(len, directory)), offset)


def _extra(values: list[int]) -> bytes:
    return pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""


def _end(count: int, size: int, offset: int) -> bytes:
    """Write the end record; where numbers do not fit into it, two more before it."""
    if count < MANY and offset < LARGE and size < LARGE:
        return pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, 0)
    large = pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    place = pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
    return large + place + pack("<4sHHHHIIH", b"PK\5\6", 0, 0, _TWO, _TWO, _FOUR, _FOUR, 0)
